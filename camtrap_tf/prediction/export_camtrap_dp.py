"""Predictions as a Camtrap DP 1.0.2 package: deployments, media, observations, `datapackage.json`.

Every picture has an observation of its own. Events have one too: a record of several pictures is an event, and so are records
of one picture each that name the same event, one after the other (their probabilities are averaged). Only deployments that
pictures are of are in it. Pictures without deployment or time are left out and listed.
Source: Camtrap DP 1.0.2, https://camtrap-dp.tdwg.org/data.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import mimetypes
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from camtrap_tf.errors import SourceError
from camtrap_tf.files import finished_folder, sha256_file, write_csv, write_json
from camtrap_tf.prediction.aggregation import combine_frames
from camtrap_tf.prediction.export_answers import Answer, answers
from camtrap_tf.prediction.export_boxes import PredictedBox, box_of
from camtrap_tf.prediction.export_classes import UNCLASSIFIED, Meaning
from camtrap_tf.prediction.export_deployments import COLUMNS as DEPLOYMENT_COLUMNS
from camtrap_tf.prediction.export_deployments import Deployment, Deployments, seconds, zoned
from camtrap_tf.prediction.export_model import ModelFacts
from camtrap_tf.prediction.export_package import DESCRIPTION, datapackage, require_own_package, taxonomic
from camtrap_tf.prediction.export_pictures import FactBook, PictureFacts
from camtrap_tf.prediction.results import NO_DETECTION, PicturePrediction, RecordPrediction
from camtrap_tf.records import Reject
from camtrap_tf.rejects import write_rejects

MEDIA_COLUMNS = (
    "mediaID", "deploymentID", "captureMethod", "timestamp", "filePath", "filePublic", "fileName", "fileMediatype", "exifData",
    "favorite", "mediaComments",
)  # fmt: skip
OBSERVATION_COLUMNS = (
    "observationID", "deploymentID", "mediaID", "eventID", "eventStart", "eventEnd", "observationLevel", "observationType",
    "cameraSetupType", "scientificName", "count", "lifeStage", "sex", "behavior", "individualID", "individualPositionRadius",
    "individualPositionAngle", "individualSpeed", "bboxX", "bboxY", "bboxWidth", "bboxHeight", "classificationMethod",
    "classifiedBy", "classificationTimestamp", "classificationProbability", "observationTags", "observationComments",
)  # fmt: skip
_FILE_PATH = re.compile(r"^(?=^[^./~])(^((?!\.{2}).)*$).*$")
"""What the standard's media table takes for a path."""
_KEPT_OF_ROW = ("captureMethod", "filePublic", "fileName", "fileMediatype", "exifData", "favorite")


@dataclass(kw_only=True)
class CamtrapDp:
    """What a package is made of, and what became of the pictures.

    Attributes:
        model: what made the predictions; has a classifier name.
        meanings: class of the species label → what it means.
        book: facts of pictures.
        deployments: to find theirs in.
        facts: what people said about the package.
        coverage: taxonomic coverage of the package that the deployments come from.
        unknown_below: see `answers`.
        media_url: put before paths; None: they stay relative.
        hashes: write the SHA-256 of files.
        overwrite: an earlier package of this program gives way.
        now: the clock.
        media: pictures in the package.
        observations: observation type → observations.
        rejected: reason → pictures that are not in it.
        used: deployments in it.
    """

    model: ModelFacts
    meanings: Mapping[str, Meaning]
    book: FactBook
    deployments: Deployments
    facts: Mapping[str, Any]
    coverage: Sequence[Mapping[str, Any]] = ()
    unknown_below: float = 0.0
    media_url: str | None = None
    hashes: bool = True
    overwrite: bool = False
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
    media: int = 0
    observations: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    used: dict[str, Deployment] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Placed:
    """A picture with its deployment, time and id; where it lies, and the path or URL that the package gives for it."""

    picture: PicturePrediction
    facts: PictureFacts
    deployment: Deployment
    time: str
    media_id: str
    path: str
    stored: str


@contextmanager
def camtrap_package(folder: Path, package: CamtrapDp) -> Iterator[Callable[[RecordPrediction], None]]:
    """Gives a function that adds a record; the package appears when it is complete.

    Beside it, `<folder>.rejects.csv` lists the pictures that are not in it, where there are any.

    Raises:
        SourceError: not one picture could be placed.
        SettingError: what is there to be overwritten is no package of this program.
    """
    rejects_path = folder.with_name(f"{folder.name}.rejects.csv")
    with ExitStack() as stack:
        scratch = stack.enter_context(finished_folder(folder, replace=package.overwrite))
        media = stack.enter_context((scratch / "media.csv").open("w", newline="", encoding="utf-8", errors="backslashreplace"))
        seen = stack.enter_context(
            (scratch / "observations.csv").open("w", newline="", encoding="utf-8", errors="backslashreplace")
        )
        tables = _Tables(package, media, seen)
        yield tables.add
        tables.finish()
        if not package.media:
            reasons = ", ".join(f"{reason} {count}" for reason, count in package.rejected.most_common()) or "no picture"
            raise SourceError(f"--export camtrap-dp: no picture has a deployment and a time ({reasons}); {tables.advice()}")
        media.flush()
        seen.flush()
        used = [package.used[key] for key in sorted(package.used)]
        rows = [[one.cells.get(column, "") for column in DEPLOYMENT_COLUMNS] for one in used]
        write_csv(scratch / "deployments.csv", DEPLOYMENT_COLUMNS, rows)
        about = datapackage(
            package.facts,
            name=folder.name,
            created=package.now(),
            deployments=used,
            levels=tables.levels,
            taxa=taxonomic(tables.names, package.meanings.values(), package.coverage),
            classifier=str(package.model.classifier),
        )
        write_json(scratch / DESCRIPTION, about, indent=2)
        if package.overwrite and folder.exists() and any(folder.iterdir()):
            require_own_package(folder)  # it was one at the start; somebody may have put files there since
        write_rejects(rejects_path, tables.rejects)


class _Tables:
    """Writes the rows of media and observations as records come in."""

    def __init__(self, package: CamtrapDp, media: IO[str], seen: IO[str]) -> None:
        """Takes the package and its two open tables, and writes their headers."""
        self.levels: set[str] = set()
        self.names: set[str] = set()
        self.rejects: list[Reject] = []
        self._package = package
        self._media = csv.DictWriter(media, MEDIA_COLUMNS, restval="", lineterminator="\r\n")
        self._seen = csv.DictWriter(seen, OBSERVATION_COLUMNS, restval="", lineterminator="\r\n")
        self._media.writeheader()
        self._seen.writeheader()
        self._of_media: Counter[str] = Counter()
        self._events: set[str] = set()
        self._group: list[_Placed] = []
        self._lost: set[str] = set()
        self._stamp = package.now().strftime("%Y-%m-%dT%H:%M:%SZ")

    def add(self, record: RecordPrediction) -> None:
        """Adds a record."""
        box = box_of(record)
        if box is not None:
            self._add_box(record, box)
            return
        placed = [one for picture in record.pictures if (one := self._place(record, picture, picture.path)) is not None]
        fresh = [one for one in placed if self._first(record, one)]
        several = len(record.pictures) > 1
        for one in fresh:
            event = one.facts.event or (record.id if several else None)
            self._observe(one, one.picture.probabilities, event)
            if not several:
                self._join(one)
        if several and fresh:
            self.finish()
            self._observe_event(fresh[0].facts.event or record.id, fresh, record.aggregated)

    def finish(self) -> None:
        """Writes the observations of the event whose pictures came in as records of their own."""
        placed, self._group = self._group, []
        if placed:
            combined = combine_frames([one.picture.probabilities for one in placed])
            self._observe_event(str(placed[0].facts.event), placed, combined)

    def _join(self, placed: _Placed) -> None:
        """Takes a picture to those of its event, which come one after the other."""
        if self._group and self._group[0].facts.event != placed.facts.event:
            self.finish()
        if placed.facts.event is not None:
            self._group.append(placed)

    def advice(self) -> str:
        """Returns what to do where pictures have no place, by the first of them."""
        if not self.rejects:
            return "check --image-dir or the results"
        first = self.rejects[0]
        return f"e.g. {first.item}: {first.detail}; see --deployments, --inventory, --export-root"

    def _add_box(self, record: RecordPrediction, box: PredictedBox) -> None:
        """Adds one box: the picture with its first box, an observation with every one that could be used."""
        if box.file in self._lost:
            return
        placed = self._place(record, box.picture, self._package.book.place_of(box), file=box.file)
        if placed is None:
            self._lost.add(box.file)
            return
        if placed.media_id not in self._of_media:
            self._write_media(placed)
        cells = {}
        if box.numbers is not None:
            sides = ("X", "Y", "Width", "Height")
            cells = {f"bbox{side}": f"{number:.6f}" for side, number in zip(sides, box.numbers, strict=True)}
        elif box.picture.problem:
            cells = {"observationComments": ": ".join(box.picture.problem)}
        if not box.lost_box:
            self._observe(placed, box.picture.probabilities, placed.facts.event, cells)

    def _first(self, record: RecordPrediction, placed: _Placed) -> bool:
        """Writes the media row of a picture; returns whether it is the first of it."""
        if placed.media_id in self._of_media:
            self._reject(record, placed.picture.path, "repeated_picture", "an earlier record has this picture")
            return False
        self._write_media(placed)
        return True

    def _place(
        self, record: RecordPrediction, picture: PicturePrediction, path: str, *, file: str | None = None
    ) -> _Placed | None:
        """Returns a picture with its deployment and time; None, and a reject, where it has none."""
        package = self._package
        facts = package.book.facts(record, path, file=file)
        try:
            absent = picture.problem is not None and picture.problem[0] != NO_DETECTION and not Path(path).is_file()
            if picture.problem and absent and not facts.row:
                raise ValueError(f"{picture.problem[0]}: {picture.problem[1]}")
            deployment = package.deployments.of_picture(facts)
            zone = package.deployments.utc_offset or deployment.offset
            time = zoned(facts.time, zone)
            if time is None:
                raise ValueError("no_time: neither its meta data nor its EXIF say when it was taken")
            stored = facts.stored_path or facts.relative
            if not _FILE_PATH.match(stored):
                raise ValueError("outside_root: its path is not below --export-root, or holds .., or begins with . or ~")
            if facts.stored_path is None and package.media_url:
                stored = package.media_url + quote(stored)
        except ValueError as err:
            reason, _, detail = str(err).partition(": ")
            self._reject(record, path, reason, detail)
            return None
        media_id = (
            facts.media_id or hashlib.sha256(f"{deployment.id}\n{facts.relative}".encode("utf-8", "replace")).hexdigest()[:16]
        )
        return _Placed(picture, facts, deployment, time, media_id, path, stored)

    def _reject(self, record: RecordPrediction, path: str, reason: str, detail: str) -> None:
        """Notes a picture that is not in the package."""
        self._package.rejected[reason] += 1
        self.rejects.append(Reject(record.id, path, "picture", reason, detail))

    def _write_media(self, placed: _Placed) -> None:
        """Writes the row of a picture; what a package said of it before is kept."""
        package, facts = self._package, placed.facts
        row = {key: facts.row[key] for key in _KEPT_OF_ROW if facts.row.get(key)}
        digest = facts.sha256 or (_digest(Path(placed.path)) if package.hashes else "")
        comments = [f"sha256:{digest}"] if digest else []
        if placed.picture.problem:
            comments.append(": ".join(placed.picture.problem))
        cells = {
            "mediaID": placed.media_id,
            "deploymentID": placed.deployment.id,
            "timestamp": placed.time,
            "filePath": placed.stored,
            "filePublic": "true" if package.media_url else "false",
            "fileName": facts.relative.rpartition("/")[2],
            "fileMediatype": mediatype(facts.relative),
            "mediaComments": " | ".join(comments),
        }
        self._media.writerow({**cells, **row})
        self._of_media[placed.media_id] += 0
        package.media += 1
        package.used[placed.deployment.id] = placed.deployment

    def _observe(
        self,
        placed: _Placed,
        probabilities: Mapping[str, Any],
        event: str | None,
        cells: Mapping[str, str] | None = None,
    ) -> None:
        """Writes the observations of one picture or box."""
        found = answers(probabilities, self._package.model, self._package.meanings, unknown_below=self._package.unknown_below)
        shared = {
            "deploymentID": placed.deployment.id,
            "mediaID": placed.media_id,
            "eventID": event or placed.media_id,
            "eventStart": placed.time,
            "eventEnd": placed.time,
            "observationLevel": "media",
            **(cells or {}),
        }
        for answer in found or (None,):
            self._of_media[placed.media_id] += 1
            self._write(f"{placed.media_id}_{self._of_media[placed.media_id]}", shared, answer)

    def _observe_event(self, event: str, placed: Sequence[_Placed], probabilities: Mapping[str, Any]) -> None:
        """Writes the observations of an event, once; of one whose pictures are of several deployments none."""
        if event in self._events or not probabilities or len({one.deployment.id for one in placed}) > 1:
            return
        self._events.add(event)
        times = sorted(placed, key=lambda one: seconds(one.time))
        shared = {
            "deploymentID": placed[0].deployment.id,
            "eventID": event,
            "eventStart": times[0].time,
            "eventEnd": times[-1].time,
            "observationLevel": "event",
        }
        found = answers(probabilities, self._package.model, self._package.meanings, unknown_below=self._package.unknown_below)
        for number, answer in enumerate(found, start=1):
            self._write(f"{event}_event_{number}", shared, answer)

    def _write(self, observation_id: str, shared: Mapping[str, str], answer: Answer | None) -> None:
        """Writes one observation; without an answer the picture stays unclassified."""
        cells = {"observationID": observation_id, **shared, "observationType": UNCLASSIFIED}
        if answer is not None:
            name = answer.meaning.name if answer.kind == answer.meaning.kind else ""
            cells |= {
                "observationType": answer.kind,
                "scientificName": name,
                **answer.cells,
                "classificationMethod": "machine",
                "classifiedBy": str(self._package.model.classifier),
                "classificationTimestamp": self._stamp,
                "classificationProbability": f"{answer.probability:g}",
            }
            if name:
                self.names.add(name)
        self._seen.writerow(cells)
        self.levels.add(cells["observationLevel"])
        self._package.observations[cells["observationType"]] += 1


def mediatype(name: str) -> str:
    """Returns the media type of a picture by its name."""
    found = mimetypes.guess_type(name)[0] or "image/jpeg"
    return found if found.startswith(("image/", "video/", "audio/")) else "image/jpeg"


def _digest(path: Path) -> str:
    """Returns the SHA-256 of a file; empty where it cannot be read."""
    try:
        return sha256_file(path)
    except OSError:
        return ""
