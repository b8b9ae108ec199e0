"""Camtrap DP 1.0 packages as picture tables: deployments, media, observations of pictures and of events.

Observations name their event; pictures without one of their own belong to the event of their deployment whose time they fall
into. Source: Camtrap DP 1.0.2, https://camtrap-dp.tdwg.org/data.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from camtrap_tf.config.picture_sources import CamtrapDpInventoryConfig
from camtrap_tf.detections.boxes import REASONS, BoxError, checked_boxes
from camtrap_tf.errors import SourceError
from camtrap_tf.files import read_json
from camtrap_tf.records import Reject
from camtrap_tf.sources.counts import binned
from camtrap_tf.sources.picture_records import PictureSource
from camtrap_tf.sources.picture_tables import NO_PICTURE, Flags, PictureTables, Rows, picture_reject, picture_table, seen_table
from camtrap_tf.sources.picture_times import parse_times
from camtrap_tf.sources.table_columns import TableColumns, read_table

PACKAGE = "datapackage.json"
SPECIES = "species"
LABELS = ("lifeStage", "sex", "behavior")
TYPE_CLASSES = {"blank": "blank", "human": "human", "vehicle": "vehicle", "unknown": "unknown"}
"""Observation type → class of species where no scientific name is given."""

UNCLASSIFIED = "unclassified"
MOSTLY = 0.9
"""Share of the pictures with observations of their own from which on labels count as given per picture."""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class CamtrapDpSource(PictureSource):
    """Reads a Camtrap DP package."""

    def __init__(self, config: CamtrapDpInventoryConfig) -> None:
        """Keeps the settings; without an image root the package's folder is it."""
        path = config.path / PACKAGE if config.path.is_dir() else config.path
        if config.image_root is None:
            config = config.model_copy(update={"image_root": path.parent})
        super().__init__(config)
        self.package = path

    def tables(self) -> PictureTables:
        """Reads the package; see `PictureSource.tables`.

        Raises:
            SourceError: it cannot be read, or lacks a table or column.
        """
        described = read_described(self.package)
        media = read_resource(self.package, described, "media", "picture")
        observations = read_resource(self.package, described, "observations", "observation")
        deployments = read_resource(self.package, described, "deployments", "record")
        rejects = [*media.rejects, *observations.rejects, *deployments.rejects]
        notes = [f"{len(deployments.rejects)} lines of {deployments.path.name} are rejected"] if deployments.rejects else []
        pictures = _pictures(media, deployments, _licence(described), rejects, notes)
        pictures = _with_events(pictures, observations)
        ids = media.column("mediaID")
        seen, lost, rows = _seen(observations, pictures, ids, rejects)
        bad = sum(one.unit == "observation" for one in rejects)
        covered = np.zeros(len(pictures), bool)
        covered[rows[rows >= 0]] = True
        per_event = bool((rows == NO_PICTURE).any() and covered.sum() < MOSTLY * len(pictures))
        return PictureTables(
            pictures=pictures, seen=seen, per_event=per_event, main_label=SPECIES, lost=lost, rejects=rejects,
            pictures_read=len(media) + len(media.rejects), seen_read=len(observations) + len(observations.rejects), notes=notes,
            seen_of_rejected=len(observations) + len(observations.rejects) - len(seen) - bad,
        )  # fmt: skip


def read_described(path: Path) -> dict[str, Any]:
    """Returns the content of `datapackage.json`.

    Raises:
        SourceError: it cannot be read, or describes something else.
    """
    if path.suffix.lower() == ".zip":
        raise SourceError(f"{path}: is a zip file; unpack it and name the {PACKAGE} in it")
    described = read_json(path, what="Camtrap DP package")
    if not isinstance(described, dict) or not isinstance(described.get("resources"), list):
        raise SourceError(f"{path}: not a Camtrap DP package; it has no list of resources")
    return described


def read_resource(package: Path, described: dict[str, Any], name: str, unit: str) -> TableColumns:
    """Returns a table of the package.

    Raises:
        SourceError: it is not described, lies elsewhere, or cannot be read.
    """
    found = [one for one in described["resources"] if isinstance(one, dict) and one.get("name") == name]
    if not found:
        raise SourceError(f"{package}: describes no table {name!r}; Camtrap DP needs deployments, media and observations")
    path = found[0].get("path")
    if isinstance(path, list) and len(path) == 1:
        path = path[0]
    if not isinstance(path, str) or not path or "\0" in path:
        raise SourceError(f"{package}: the table {name!r} has no path to one file")
    if _URL.match(path):
        raise SourceError(f"{package}: the table {name!r} is at {path}; fetch it and put its file name there")
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\\" in path:
        raise SourceError(f"{package}: the path {path!r} of the table {name!r} leads out of the package")
    return read_table(package.parent / path, what=f"the table {name} of the package", unit=unit)


def _licence(described: dict[str, Any]) -> str | None:
    """Returns the licence of the media as the package says it."""
    listed = described.get("licenses")
    for one in listed if isinstance(listed, list) else []:
        if isinstance(one, dict) and one.get("scope") == "media":
            licence = one.get("name") or one.get("path")
            return licence if isinstance(licence, str) and licence else None
    return None


def _pictures(
    media: TableColumns, deployments: TableColumns, licence: str | None, rejects: list[Reject], notes: list[str]
) -> pa.Table:
    """Returns the table of pictures, with the column `deployment`."""
    ids, paths = media.required("mediaID"), media.required("filePath")
    of_deployment = pc.index_in(media.required("deploymentID"), value_set=deployments.required("deploymentID"))
    kinds = pc.fill_null(media.column("fileMediatype"), "image")
    codes = np.asarray(pc.fill_null(ids.dictionary_encode().indices, -1), np.int64)
    again = np.ones(len(media), bool)
    again[np.unique(codes, return_index=True)[1]] = False
    good = np.ones(len(media), bool)
    for problem, reason, detail in (
        (np.asarray(pc.is_null(ids)), "no_id", "has no mediaID"),
        (again, "repeated_id", "an earlier line has this mediaID"),
        (np.asarray(pc.is_null(paths)), "no_path", "has no filePath"),
        (~np.asarray(pc.starts_with(kinds, "image")), "not_a_picture", "is no picture but {kind}"),
        (np.asarray(pc.is_null(media.required("deploymentID"))), "no_deployment", "has no deploymentID"),
    ):
        for row in np.flatnonzero(problem & good).tolist():
            kind = kinds[row].as_py()
            said = detail.format(kind=kind)
            why = "video" if kind.startswith("video") and reason == "not_a_picture" else reason
            line = media.lines[row].as_py()
            rejects.append(picture_reject(ids[row].as_py() or "", f"{media.path.name} line {line}", why, said))
        good &= ~problem
    rows = pa.array(np.flatnonzero(good))
    places = of_deployment.take(rows)
    if places.null_count:
        table = deployments.path.name
        notes.append(
            f"{places.null_count} pictures name a deployment that {table} lacks; the deployment is taken for the location"
        )
    location = pc.coalesce(
        deployments.column("locationID"), deployments.column("locationName"), deployments.column("deploymentID")
    )
    paths = paths.take(rows)
    return picture_table(
        items=pa.array(media.items, pa.string()).take(rows),
        ids=ids.take(rows),
        paths=pc.if_else(pc.match_substring(paths, "/"), paths, pc.replace_substring(paths, "\\", "/")),
        columns={
            "location": pc.coalesce(location.take(places), media.required("deploymentID").take(rows)),
            "camera": deployments.column("cameraID").take(places),
            "time": media.column("timestamp").take(rows),
            "licence": pa.array([licence] * len(rows), pa.string()),
        },
        meta={
            "deployment": media.required("deploymentID").take(rows),
            "latitude": deployments.column("latitude").take(places),
            "longitude": deployments.column("longitude").take(places),
        },
    )


def _with_events(pictures: pa.Table, observations: TableColumns) -> pa.Table:
    """Returns the pictures with their events: those their observations name, else those they fall into by time."""
    names = observations.column("eventID")
    events = names.take(pc.index_in(pictures["id"].combine_chunks(), value_set=observations.column("mediaID")))
    lacking = np.asarray(pc.is_null(events))
    if lacking.any():
        events = pc.coalesce(events, _events_by_time(pictures, observations, lacking))
    return pictures.set_column(pictures.column_names.index("event"), "event", events)


def _events_by_time(pictures: pa.Table, observations: TableColumns, lacking: Flags) -> pa.Array:
    """Returns the event of each picture by deployment and time; null where it falls into none, or is not `lacking`."""
    starts, ends = (parse_times(observations.column(name))[1] for name in ("eventStart", "eventEnd"))
    taken = parse_times(pictures["time"].combine_chunks())[1]
    whole = np.flatnonzero(~np.isnan(starts) & ~np.isnan(ends) & np.asarray(pc.is_valid(observations.column("eventID"))))
    deployments = pictures["meta/deployment"].combine_chunks().dictionary_encode()
    of_pictures = np.asarray(deployments.indices, np.int64)
    known = pc.index_in(observations.column("deploymentID").take(pa.array(whole)), value_set=deployments.dictionary)
    of_events = np.asarray(pc.fill_null(known, -1), np.int64)
    chosen = np.full(len(pictures), -1, np.int64)
    for deployment in np.unique(of_pictures[lacking]).tolist():
        events = whole[of_events == deployment]
        events = events[np.argsort(starts[events], kind="stable")]
        rows = np.flatnonzero((of_pictures == deployment) & lacking & ~np.isnan(taken))
        chosen[rows] = _falling_into(taken[rows], starts[events], ends[events], events)
    return observations.column("eventID").take(pa.array(chosen, mask=chosen < 0))


def _falling_into(
    times: npt.NDArray[np.float64], starts: npt.NDArray[np.float64], ends: npt.NDArray[np.float64], rows: Rows
) -> Rows:
    """Returns, for each time, the row of the event with the latest start that it falls into; -1 where it falls into none."""
    places = np.searchsorted(starts, times, side="right") - 1
    if not len(rows):
        return np.full(len(times), -1, np.int64)
    inside = (places >= 0) & (times <= ends[np.maximum(places, 0)])
    return np.where(inside, rows[np.maximum(places, 0)], -1)


def _seen(
    observations: TableColumns, pictures: pa.Table, media: pa.Array, rejects: list[Reject]
) -> tuple[pa.Table, Flags, Rows]:
    """Returns the table of observations, which pictures lost one, and the row of the picture of each (-1: of an event).

    Observations of pictures that are rejected (in `media`, not in `pictures`) are left out without a reject of their own.
    """
    media_ids, level = observations.column("mediaID"), observations.column("observationLevel")
    of_event = np.asarray(pc.fill_null(pc.equal(level, "event"), False)) | np.asarray(pc.is_null(media_ids))
    rows = np.asarray(pc.fill_null(pc.index_in(media_ids, value_set=pictures["id"].combine_chunks()), -2), np.int64)
    rows[of_event] = NO_PICTURE
    boxes, reasons = _boxes(observations)
    reasons[(rows == -2) & (reasons == "")] = "unknown_image"
    reasons[of_event & np.asarray(pc.is_null(observations.column("eventID")))] = "no_event"
    bad = reasons != ""
    unfounded = (reasons == "unknown_image") & np.asarray(pc.is_in(media_ids, pc.drop_null(media)))
    details = {
        "unknown_image": "no usable line of the media table has its mediaID",
        "no_event": "has neither mediaID nor eventID",
        "box_not_numbers": "its bbox is not four numbers",
    }
    for row in np.flatnonzero(bad & ~unfounded).tolist():
        reason = str(reasons[row])
        said = details.get(reason) or str(BoxError(reason, boxes[row].tolist()))
        item = f"{observations.path.name} line {observations.lines[row].as_py()}"
        rejects.append(Reject(media_ids[row].as_py() or "", item, "observation", reason, said))
    lost = np.zeros(len(pictures), bool)
    lost[rows[bad & (rows >= 0)]] = True
    good = np.flatnonzero(~bad)
    taken = pa.array(good)
    seen = seen_table(
        items=pa.array(observations.items, pa.string()).take(taken),
        picture=rows[good],
        labels={name: column.take(taken) for name, column in _labels(observations).items()},
        boxes=checked_boxes(boxes).boxes[good],
        event=observations.column("eventID").take(taken),
    )
    return seen, lost, rows[good]


def _labels(observations: TableColumns) -> dict[str, pa.Array]:
    """Returns label type → class of each observation; null where it is missing."""
    kind = pc.fill_null(observations.column("observationType"), UNCLASSIFIED)
    classes = pa.array([TYPE_CLASSES.get(one) for one in kind.to_pylist()], pa.string())
    blank = pc.equal(kind, "blank")
    unknown = pc.equal(kind, UNCLASSIFIED)
    species = pc.if_else(blank, classes, pc.coalesce(observations.column("scientificName"), classes))
    labels = {SPECIES: species, "count": binned(observations.column("count"))}
    labels |= {name: observations.column(name) for name in LABELS}
    return {name: pc.if_else(unknown, pa.scalar(None, pa.string()), column) for name, column in labels.items()}


def _boxes(observations: TableColumns) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.str_]]:
    """Returns `[n, 4]` the numbers of the boxes (NaN: none), and the reason code of each bad one (empty: it is fine)."""
    numbers = np.full((len(observations), 4), np.nan)
    given = np.zeros((len(observations), 4), bool)
    for place, name in enumerate(("bboxX", "bboxY", "bboxWidth", "bboxHeight")):
        column = observations.column(name)
        given[:, place] = np.asarray(pc.is_valid(column))
        numbers[:, place] = numbers_of(column)
    reasons = np.array(REASONS)[checked_boxes(numbers).problems].astype("U32")
    reasons[~given.any(1)] = ""
    return numbers, reasons


def numbers_of(column: pa.Array) -> npt.NDArray[np.float64]:
    """Returns texts as numbers; NaN where they are none."""

    def number(text: str | None) -> float:
        """Returns one text as a number."""
        try:
            return float(text) if text else np.nan
        except ValueError:
            return np.nan

    return np.array([number(text) for text in column.to_pylist()], np.float64)
