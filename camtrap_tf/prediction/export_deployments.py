"""Deployments of a Camtrap DP: read from a table or made of meta data, checked, found for a picture.

Nothing is made up: a deployment without place, start or end is an error that says what is missing where.
Source: Camtrap DP 1.0.2, deployments.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from camtrap_tf.errors import SettingError, SourceError, shortened, suggestion
from camtrap_tf.logs import logger
from camtrap_tf.prediction.export_pictures import PictureFacts
from camtrap_tf.sources.picture_times import parse_time
from camtrap_tf.sources.table_columns import TableColumns

LOG = logger(__name__)

REQUIRED = ("deploymentID", "latitude", "longitude", "deploymentStart", "deploymentEnd")
TIMES = ("deploymentStart", "deploymentEnd")
_NUMBERS: Mapping[str, tuple[type[int] | type[float], float, float]] = {
    "latitude": (float, -90, 90), "longitude": (float, -180, 180), "coordinateUncertainty": (int, 1, float("inf")),
    "cameraDelay": (int, 0, float("inf")), "cameraHeight": (float, 0, float("inf")), "cameraDepth": (float, 0, float("inf")),
    "cameraTilt": (int, -90, 90), "cameraHeading": (int, 0, 360), "detectionDistance": (float, 0, float("inf")),
}  # fmt: skip
_BOOLEANS = {"true": "true", "1": "true", "yes": "true", "false": "false", "0": "false", "no": "false"}
_FEATURES = (
    "roadPaved", "roadDirt", "trailHiking", "trailGame", "roadUnderpass", "roadOverpass", "roadBridge", "culvert", "burrow",
    "nestSite", "carcass", "waterSource", "fruitingTree",
)  # fmt: skip
COLUMNS = (
    "deploymentID", "locationID", "locationName", "latitude", "longitude", "coordinateUncertainty", "deploymentStart",
    "deploymentEnd", "setupBy", "cameraID", "cameraModel", "cameraDelay", "cameraHeight", "cameraDepth", "cameraTilt",
    "cameraHeading", "detectionDistance", "timestampIssues", "baitUse", "featureType", "habitat", "deploymentGroups",
    "deploymentTags", "deploymentComments",
)  # fmt: skip
_ALSO = {
    "deployment": "deploymentID", "location": "locationID", "lat": "latitude", "lon": "longitude", "lng": "longitude",
    "long": "longitude", "start": "deploymentStart", "startdate": "deploymentStart", "end": "deploymentEnd",
    "enddate": "deploymentEnd", "camera": "cameraID", "deploymentstartdate": "deploymentStart",
    "deploymentenddate": "deploymentEnd",
}  # fmt: skip
SHOWN = 5
_NOTHING = frozenset(("", "NA", "NaN", "nan"))


@dataclass(frozen=True, slots=True)
class Deployment:
    """One camera at one place for some time.

    Attributes:
        cells: column of the standard → text, checked.
        start_s: when it began, in s since 1970.
        end_s: when it ended.
    """

    cells: Mapping[str, str]
    start_s: float
    end_s: float

    @property
    def id(self) -> str:
        """Its `deploymentID`."""
        return self.cells["deploymentID"]

    @property
    def offset(self) -> str:
        """The time zone of its start, as ISO 8601 writes it."""
        return zone_of(self.cells["deploymentStart"])


@dataclass
class Deployments:
    """The deployments there are, to be found by a picture's facts.

    Attributes:
        by_id: id → deployment.
        given: whether they come from a table; otherwise they are made of the pictures' meta data.
        utc_offset: time zone of times without one.
    """

    by_id: dict[str, Deployment] = field(default_factory=dict)
    given: bool = True
    utc_offset: str | None = None
    _places: dict[str, list[Deployment]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Notes which deployments were at which place."""
        for one in self.by_id.values():
            for name in {one.cells.get(column, "") for column in ("locationID", "locationName", "cameraID")} - {""}:
                self._places.setdefault(name, []).append(one)

    def of_picture(self, facts: PictureFacts) -> Deployment:
        """Returns the deployment of a picture.

        By its id, then by location or camera and time, then by the folders it lies in; one deployment alone is everybody's.

        Raises:
            ValueError: none, or several; begins with a reason code and a colon.
        """
        if not self.given:
            return self._of_meta(facts)
        if facts.deployment is not None:
            found = self._named(facts.deployment, facts.time)
            if found is None:
                near = suggestion(facts.deployment, self.by_id)
                raise ValueError(f"unknown_deployment: no deployment {facts.deployment!r} is given{near}")
            return found
        for name in (*facts.places, *reversed(facts.relative.split("/")[:-1])):
            found = self._named(name, facts.time)
            if found is not None:
                return found
        if len(self.by_id) == 1 and not facts.places:
            return next(iter(self.by_id.values()))
        raise ValueError("no_deployment: neither its meta data nor its folders name a deployment, location or camera")

    def _named(self, name: str, time: str | None) -> Deployment | None:
        """Returns the deployment that a name and a time mean; None where it is none, or not clear which."""
        if name in self.by_id:
            return self.by_id[name]
        there = self._places.get(name, [])
        if len(there) == 1:
            return there[0]
        moment = parse_time(zoned(time, self.utc_offset or (there[0].offset if there else "Z")) or "")
        hits = [one for one in there if moment is not None and one.start_s <= moment[1] <= one.end_s]
        return hits[0] if len(hits) == 1 else None

    def _of_meta(self, facts: PictureFacts) -> Deployment:
        """Returns the deployment that the picture's own meta data describe; of several pictures the first decides."""
        named = standard_names(facts.meta)
        cells = {column: facts.meta[name] for name, column in named.items()}
        cells.setdefault("deploymentID", facts.deployment or (facts.places[0] if facts.places else ""))
        if cells["deploymentID"] in self.by_id:
            return self.by_id[cells["deploymentID"]]
        try:
            made = checked(cells, self.utc_offset)
        except ValueError as err:
            raise ValueError(f"bad_deployment: {err}") from err
        self.by_id[made.id] = made
        return made


def standard_names(names: Iterable[str]) -> dict[str, str]:
    """Returns name → column of the standard, for names that are one in some spelling; each column once."""
    by_plain = {column.lower(): column for column in COLUMNS} | _ALSO
    found: dict[str, str] = {}
    exact = [name for name in names if name in COLUMNS]
    for name in (*exact, *names):
        column = by_plain.get(name.replace("_", "").replace(" ", "").lower())
        if column is not None and column not in found.values():
            found[name] = column
    return found


def read_deployments(table: TableColumns, utc_offset: str | None) -> Deployments:
    """Returns the checked deployments of a table.

    Raises:
        SettingError: columns or facts are missing, or lines cannot be used; says all of it, of long tables the first.
        SourceError: there is no deployment.
    """
    path = table.path
    named = standard_names(table.columns)
    absent = [column for column in REQUIRED if column not in named.values()]
    problems = [f"has no column {', '.join(absent)} (add {_them(absent)} to the table)"] if absent else []
    ignored = [name for name in table.columns if name and name not in named]
    if ignored:
        LOG.info("%s: columns that Camtrap DP does not have are left out: %s", path, ", ".join(ignored))
    problems += [f"{one.item}: {one.detail} (mend that line)" for one in table.rejects]
    found: dict[str, Deployment] = {}
    seen: set[str] = set()
    for i, cells in enumerate(_rows(table, named)):
        name = cells.get("deploymentID", "")
        clean, wrong = judged(cells, utc_offset, absent=absent)
        if name in seen:
            wrong.append(f"deployment {name} is there twice")
        if name:
            seen.add(name)
        if wrong:
            problems.append(f"line {table.lines[i].as_py()} ({name or 'no id'}): {', '.join(wrong)}")
        elif not absent:
            found[name] = _deployment(clean)
    if problems:
        raise SettingError(f"--deployments {path}: {shortened(problems, most=SHOWN, between='; ')}")
    if not found:
        raise SourceError(f"--deployments {path}: has no deployment, only a header")
    return Deployments(found, True, utc_offset)


def _rows(table: TableColumns, named: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Yields the rows by columns of the standard, without their empty cells."""
    columns = {column: table.columns[name].to_pylist() for name, column in named.items()}
    for i in range(len(table)):
        yield {column: values[i].strip() for column, values in columns.items() if values[i] and values[i].strip()}


def _them(names: Sequence[str]) -> str:
    """Returns the word for one or several things."""
    return "it" if len(names) == 1 else "them"


def checked(cells: Mapping[str, str], utc_offset: str | None) -> Deployment:
    """Returns a deployment whose cells the standard's table schema accepts.

    Raises:
        ValueError: something is missing or wrong; says all of it.
    """
    clean, wrong = judged(cells, utc_offset)
    if wrong:
        raise ValueError(", ".join(wrong))
    return _deployment(clean)


def judged(cells: Mapping[str, str], utc_offset: str | None, *, absent: Sequence[str] = ()) -> tuple[dict[str, str], list[str]]:
    """Returns the cells of a deployment that the standard's table schema accepts, and what is missing or wrong, a text each.

    Args:
        cells: column of the standard → text.
        utc_offset: time zone of times without one.
        absent: required columns that are known not to be there.
    """
    known = {column: text for column, text in cells.items() if text not in _NOTHING}
    missing = [column for column in REQUIRED if column not in known and column not in absent]
    wrong = [f"{', '.join(missing)} missing"] if missing else []
    clean: dict[str, str] = {}
    for column in COLUMNS:
        if column in known:
            try:
                clean[column] = _cell(column, known[column], utc_offset)
            except ValueError as err:
                wrong.append(str(err))
    if clean.keys() >= set(TIMES) and seconds(clean[TIMES[1]]) < seconds(clean[TIMES[0]]):
        wrong.append("deploymentEnd is before deploymentStart")
    return clean, wrong


def _deployment(clean: Mapping[str, str]) -> Deployment:
    """Returns the deployment of cells that are complete and right."""
    start, end = (seconds(clean[column]) for column in TIMES)
    return Deployment(clean, start, end)


def _cell(column: str, text: str, utc_offset: str | None) -> str:
    """Returns a cell as the standard's table schema takes it; raises ValueError where it does not."""
    if column in _NUMBERS:
        return _number(column, text)
    if column in TIMES:
        moment = zoned(_day_edge(text, last=column == "deploymentEnd"), utc_offset)
        if moment is None:
            raise ValueError(f"{column} {text!r} is no date and time such as 2020-05-30T04:57:37+02:00")
        if not zone_of(moment):
            raise ValueError(f"{column} {text!r} has no time zone (add it, or give --utc-offset)")
        return moment
    if column in ("timestampIssues", "baitUse"):
        if text.lower() not in _BOOLEANS:
            raise ValueError(f"{column} {text!r} is neither true nor false")
        return _BOOLEANS[text.lower()]
    if column == "featureType" and text not in _FEATURES:
        raise ValueError(f"featureType {text!r} is not of the standard{suggestion(text, _FEATURES)}")
    return text


def _number(column: str, text: str) -> str:
    """Returns a number of the column's range as it was written; raises ValueError where it is none."""
    kind, least, most = _NUMBERS[column]
    try:
        value = kind(text)
    except ValueError:
        raise ValueError(f"{column} {text!r} is not a {'whole ' if kind is int else ''}number") from None
    if not least <= value <= most:
        raise ValueError(f"{column} {text} is not in {least:g} … {most:g}")
    return text


def _day_edge(text: str, *, last: bool) -> str:
    """Returns a date alone as its first or last second; other texts as they are."""
    found = parse_time(text)
    if found is None or "T" in found[0]:
        return text
    return f"{found[0]}T{'23:59:59' if last else '00:00:00'}"


def zoned(text: str | None, offset: str | None) -> str | None:
    """Returns a time as `YYYY-MM-DDThh:mm:ss` with its zone, else with `offset`, else without; None where it is none."""
    found = parse_time(text or "")
    if found is None or "T" not in found[0]:
        return None
    zone = zone_of(found[0])
    return found[0][:19] + (zone or offset or "")


def zone_of(iso: str) -> str:
    """Returns the time zone at the end of an ISO 8601 time; empty where it has none."""
    found = re.search(r"(Z|[+-]\d{2}:\d{2})$", iso)
    return found[1] if found else ""


def seconds(iso: str) -> float:
    """Returns a time of `zoned` in s since 1970."""
    found = parse_time(iso)
    assert found is not None  # it has just been written by `zoned`
    return found[1]
