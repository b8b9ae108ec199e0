"""MegaDetector results files (`md_results.json`), formats 1.0 to 1.6: read and written without losing anything.

Receives a path, hands on a `MegadetectorDocument`, whose entries stay plain dicts, and from it pictures with checked
detections. Source: MegaDetector output format, https://lila.science/megadetector-output-format.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from camtrap_tf.detections.boxes import BoxError, checked_box, is_cut, is_number
from camtrap_tf.errors import SourceError, counted
from camtrap_tf.files import printable, read_json, write_members
from camtrap_tf.records import BoundingBox, Reject

Entry = dict[str, Any]

MAX_BYTES = 4 * 2**30
"""Larger files are refused: parsed, they would need more memory than most machines have."""

KNOWN_VERSIONS = ("1.0", "1.1", "1.2", "1.3", "1.4", "1.5", "1.6")
VIDEO_SUFFIXES = frozenset((".mp4", ".avi", ".mov", ".mpg", ".mpeg", ".m4v", ".mkv", ".wmv", ".flv", ".asf", ".3gp", ".webm"))
ANIMAL = "animal"
NOTHING = "0"
"""Category id that stands for no detection by convention."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """One thing that was found in a picture.

    Attributes:
        category: name of its detection category, e.g. `animal`.
        category_id: id of that category in the file.
        confidence: in [0, 1]; None where the file gives none, as in ground truth.
        box: where it is.
        classifications: class name and confidence, best first.
        frame_number: frame of the video, where it is one.
        place: its place among the detections of the picture as the file lists them, from 0.
        cut: whether its box stuck out of the picture and was cut at the edge.
        unknown_classes: how many of its classifications are of no known class, and left out.
    """

    category: str
    category_id: str
    confidence: float | None
    box: BoundingBox
    classifications: tuple[tuple[str, float], ...] = ()
    frame_number: int | None = None
    place: int = 0
    cut: bool = False
    unknown_classes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectedPicture:
    """One entry of `images`.

    Attributes:
        file: its path as the file gives it, with forward slashes.
        item: how rejects name it, e.g. `image 12`.
        detections: what was found, in the order of the file; empty where nothing was.
        failure: why the detector could not look at it; None where it could.
        video: whether it is a video rather than a picture.
        rejects: detections that cannot be used.
        entry: the entry itself, with keys of its own such as `location` or `datetime`.
    """

    file: str
    item: str
    detections: tuple[Detection, ...]
    failure: str | None
    video: bool
    rejects: tuple[Reject, ...]
    entry: Entry


@dataclass(frozen=True, kw_only=True)
class MegadetectorDocument:
    """A MegaDetector results file.

    Attributes:
        images: entries of `images`.
        others: further members, e.g. `info`, `detection_categories`, `classification_categories`.
        keys: all members in their order.
        notes: what a reader of the log should know.
    """

    images: list[Any]
    others: Entry = field(default_factory=dict)
    keys: tuple[str, ...] = ("images", "detection_categories", "info")
    notes: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> MegadetectorDocument:
        """Reads a results file.

        Raises:
            SourceError: it is absent, too large, not JSON (cut off, for example), or of another form.
        """
        path = Path(path)
        if path.is_file() and path.stat().st_size > MAX_BYTES:
            raise SourceError(f"{path}: files over {MAX_BYTES / 2**30:.0f} GiB are not read; split it")
        return cls.of(read_json(path, what="MegaDetector results file"), what=str(path))

    @classmethod
    def of(cls, value: Any, *, what: str = "document") -> MegadetectorDocument:
        """Makes a document of parsed JSON; `what` names it in messages.

        Raises:
            SourceError: it is no MegaDetector results file.
        """
        _check_form(value, what)
        others = {key: one for key, one in value.items() if key != "images"}
        document = cls(images=value["images"], others=others, keys=tuple(value))
        if document.version and document.version not in KNOWN_VERSIONS:
            note = (
                f"{what}: format {document.version} is not one of {KNOWN_VERSIONS[0]} to {KNOWN_VERSIONS[-1]}; read as the last"
            )
            return cls(images=document.images, others=others, keys=document.keys, notes=(note,))
        return document

    def write(self, path: Path) -> None:
        """Writes the document as UTF-8 JSON, one entry of `images` a line, whole or not at all.

        Raises:
            SourceError: it holds what JSON cannot say.
        """
        members = ((key, self.images if key == "images" else self.others[key]) for key in self.keys)
        write_members(Path(path), members, ("images",))

    @property
    def info(self) -> Entry:
        """The member `info`; empty where there is none."""
        info = self.others.get("info")
        return info if isinstance(info, dict) else {}

    @property
    def version(self) -> str:
        """`format_version` as text (older files have a number there); empty where there is none."""
        version = self.info.get("format_version")
        return "" if version is None or isinstance(version, bool) else str(version).strip()

    @property
    def detection_categories(self) -> dict[str, str]:
        """Id → name of what the detector looks for."""
        return _names(self.others.get("detection_categories"))

    @property
    def classification_categories(self) -> dict[str, str]:
        """Id → name of the classifier's classes; empty where no classifier ran."""
        return _names(self.others.get("classification_categories"))

    def typical_threshold(self, kind: str = "detection") -> float | None:
        """Returns the threshold that the model's makers recommend, where the file says it; `kind`: or `classification`."""
        metadata = self.info.get("detector_metadata" if kind == "detection" else "classifier_metadata")
        value = metadata.get(f"typical_{kind}_threshold") if isinstance(metadata, dict) else None
        return float(value) if value is not None and is_number(value) and 0 <= value <= 1 else None

    def pictures(self) -> Iterator[DetectedPicture | Reject]:
        """Yields every entry with its detections checked, or why it is none, in the order of the file."""
        categories, classes = self.detection_categories, self.classification_categories
        for number, entry in enumerate(self.images, start=1):
            yield _picture(entry, f"image {number}", categories, classes)


def _check_form(value: Any, what: str) -> None:
    """Raises a SourceError that says what a value is instead of MegaDetector results."""
    if isinstance(value, list):
        raise SourceError(f"{what}: is a list; MegaDetector results are an object with images and detection_categories")
    if not isinstance(value, dict) or not isinstance(value.get("images"), list):
        raise SourceError(f"{what}: not a MegaDetector results file; it has no list of images")
    if "annotations" in value:
        raise SourceError(f"{what}: is a COCO file; read it with `camtrap inventory coco`")
    if not isinstance(value.get("detection_categories"), dict):
        raise SourceError(f"{what}: not a MegaDetector results file; it has no detection_categories (id: name)")


def _names(value: Any) -> dict[str, str]:
    """Returns id → name of a table of categories; entries that are none are left out."""
    if not isinstance(value, dict):
        return {}
    return {str(key): printable(name) for key, name in value.items() if isinstance(name, str) and name}


def _picture(entry: Any, item: str, categories: dict[str, str], classes: dict[str, str]) -> DetectedPicture | Reject:
    """Returns an entry with its detections checked, or why it is none."""
    if not isinstance(entry, dict):
        return Reject("", item, "picture", "not_an_object", f"{str(entry)[:40]!r} where an object is expected")
    file = entry.get("file")
    if not isinstance(file, str) or not file:
        return Reject("", item, "picture", "no_path", "has no file")
    file = printable(file if "/" in file else file.replace("\\", "/"))
    found, failure = entry.get("detections"), entry.get("failure")
    if failure is not None:
        failure = printable(str(failure)) or "failure"
    elif not isinstance(found, list):
        failure = "has no detections, not even an empty list"
    detections: list[Detection] = []
    rejects: list[Reject] = []
    for place, one in enumerate(found if isinstance(found, list) and failure is None else []):
        try:
            detection = _detection(one, place, categories, classes)
        except ValueError as err:
            reason = err.reason if isinstance(err, BoxError) else str(err).split(":")[0]
            detail = str(err) if isinstance(err, BoxError) else str(err).partition(": ")[2]
            rejects.append(Reject(file, f"{item}, detection {place + 1}", "observation", reason, detail))
        else:
            if detection is not None:
                detections.append(detection)
    return DetectedPicture(
        file=file, item=item, detections=tuple(detections), failure=failure, video=_is_video(file, entry),
        rejects=tuple(rejects), entry=entry,
    )  # fmt: skip


def _is_video(file: str, entry: Entry) -> bool:
    """Returns whether an entry is a video: by its facts, or by the name of its file."""
    return "frame_rate" in entry or "frames_processed" in entry or PurePosixPath(file).suffix.lower() in VIDEO_SUFFIXES


def _detection(value: Any, place: int, categories: dict[str, str], classes: dict[str, str]) -> Detection | None:
    """Returns one detection; None for those that say that there is nothing.

    Raises:
        ValueError: it cannot be used; begins with a reason code and a colon (a BoxError has its own).
    """
    if not isinstance(value, dict):
        raise ValueError("not_an_object: is not an object")
    key = str(value.get("category"))
    if key not in categories:
        if key == NOTHING:
            return None
        raise ValueError(f"unknown_category: category {key!r} is not in detection_categories")
    confidence, frame = value.get("conf"), value.get("frame_number")
    if confidence is not None and not (is_number(confidence) and 0 <= confidence <= 1):
        raise ValueError(f"bad_confidence: conf {str(confidence)[:40]!r} is not a number in [0, 1]")
    box = checked_box(value.get("bbox"), relative=True)
    found, unknown = _classifications(value.get("classifications"), classes)
    return Detection(
        category=categories[key],
        category_id=key,
        confidence=None if confidence is None else float(confidence),
        box=box,
        classifications=found,
        frame_number=frame if isinstance(frame, int) and not isinstance(frame, bool) else None,
        place=place,
        cut=is_cut(value["bbox"]),
        unknown_classes=unknown,
    )


def _classifications(value: Any, classes: dict[str, str]) -> tuple[tuple[tuple[str, float], ...], int]:
    """Returns names and confidences, best first, and how many were left out because nobody knows what class they are.

    Where that is the likeliest one, none is left: a less likely class must not pass for the answer.

    Raises:
        ValueError: begins with a reason code and a colon.
    """
    if value is None:
        return (), 0
    if not isinstance(value, list):
        raise ValueError("bad_classification: classifications is not a list")
    found: list[tuple[str | None, float]] = []
    for pair in value:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not is_number(pair[1]) or not 0 <= pair[1] <= 1:
            raise ValueError(f"bad_classification: {str(pair)[:40]!r} is not [category, confidence]")
        found.append((classes.get(str(pair[0])), float(pair[1])))
    found.sort(key=lambda one: -one[1])
    known = tuple((name, sure) for name, sure in found if name is not None)
    return (known if found and found[0][0] is not None else ()), len(found) - len(known)


def left_out_text(detections: Iterable[Detection]) -> list[str]:
    """Returns sentences on what was changed on reading: boxes that were cut at the edge, classes that were left out."""
    cut = unknown = 0
    for one in detections:
        cut += one.cut
        unknown += one.unknown_classes
    said = [f"{counted(cut, 'box', 'es')} stuck out of the picture, cut at the edge"] if cut else []
    if unknown:
        said.append(f"{counted(unknown, 'classification')} left out: of no class that classification_categories knows")
    return said
