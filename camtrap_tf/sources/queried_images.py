"""`queried_images.json`: which pictures have which label, by `<data set>/<file>`; read and written, and as an inventory.

An entry is `{"dataset", "location"?, "class", "bbox"?: [{"category", "bbox": relative}], "label": [names]}`. `bbox` is there
where people drew all boxes of a picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from camtrap_tf.detections.boxes import BoxError, checked_box
from camtrap_tf.errors import SourceError
from camtrap_tf.files import read_json, write_json
from camtrap_tf.records import BoundingBox, CaptureEvent, Media, Observation, Reject
from camtrap_tf.sources.cct_document import text_of
from camtrap_tf.sources.classification_csv import LABEL
from camtrap_tf.sources.split_files import UNKNOWN_LOCATION

FILE = "queried_images.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueriedImage:
    """A picture, its labels, and its boxes where people drew them.

    Attributes:
        key: `<data set>/<file>`.
        dataset: data set; holds no slash.
        location: where the camera stood.
        dataset_class: what the data set calls what is on it.
        labels: what it is to be learnt as; more than one only where classes do not exclude each other.
        boxes: category and box of each, in the order of the file; None where nobody drew any.
    """

    key: str
    dataset: str
    location: str
    dataset_class: str
    labels: tuple[str, ...]
    boxes: tuple[tuple[str, BoundingBox], ...] | None = None

    @property
    def file(self) -> str:
        """The path of the picture in its data set."""
        return self.key.partition("/")[2]

    def entry(self) -> dict[str, Any]:
        """Returns what the file says of it."""
        entry: dict[str, Any] = {"dataset": self.dataset, "location": self.location, "class": self.dataset_class}
        if self.boxes is not None:
            entry["bbox"] = [
                {"category": category, "bbox": [box.x, box.y, box.width, box.height]} for category, box in self.boxes
            ]
        return {**entry, "label": list(self.labels)}


def write_queried_images(path: Path, images: Mapping[str, QueriedImage]) -> None:
    """Writes the pictures by their keys, whole or not at all."""
    write_json(path, {key: image.entry() for key, image in images.items()}, indent=1)


def read_queried_images(path: Path) -> Iterator[QueriedImage | Reject]:
    """Yields every entry, or why it is none, in the order of the file.

    Raises:
        SourceError: the file cannot be read, or is of another form.
    """
    value = read_json(path, what="queried_images.json")
    if not isinstance(value, dict) or {"images", "annotations", "detection_categories"} & value.keys():
        raise SourceError(f'{path}: not a queried_images.json; that is {{"<data set>/<file>": {{"label": [names], …}}}}')
    for key, entry in value.items():
        yield _image(key, entry)


def _image(key: str, entry: Any) -> QueriedImage | Reject:
    def reject(reason: str, detail: str) -> Reject:
        """Returns why the entry cannot be used."""
        return Reject(key, key, "record", reason, detail)

    if not isinstance(entry, dict):
        return reject("not_an_object", f"{str(entry)[:40]!r} where an object is expected")
    dataset, slash, file = key.partition("/")
    if not slash or not dataset or not file:
        return reject("bad_key", "is not <data set>/<file>")
    if entry.get("dataset") not in (None, dataset):
        return reject("bad_key", f"is said to be of the data set {entry['dataset']!r}")
    if ".." in PurePosixPath(file.replace("\\", "/")).parts or "\0" in file:
        return reject("outside_root", "leads out of the folder of pictures")
    given = entry.get("label", entry.get("class"))
    listed = given if isinstance(given, list) else [given]
    labels = [label for label in listed if isinstance(label, str) and label]
    if not labels or len(labels) != len(listed):
        return reject("no_label", "label is not a list of texts")
    try:
        boxes = None if entry.get("bbox") is None else tuple(_boxes(entry["bbox"]))
    except BoxError as err:
        return reject(err.reason, str(err))
    return QueriedImage(
        key=key,
        dataset=dataset,
        location=text_of(entry.get("location")) or UNKNOWN_LOCATION,
        dataset_class=text_of(entry.get("class")) or labels[0],
        labels=tuple(dict.fromkeys(labels)),
        boxes=boxes,
    )


def _boxes(value: Any) -> Iterator[tuple[str, BoundingBox]]:
    """Yields category and box of each entry; raises a BoxError for what is none."""
    if not isinstance(value, list):
        raise BoxError("box_not_numbers", value)
    for one in value:
        if not isinstance(one, dict):
            raise BoxError("box_not_numbers", one)
        yield text_of(one.get("category")) or "animal", checked_box(one.get("bbox"), relative=True)


class QueriedImagesSource:
    """Reads a `queried_images.json` as an inventory: a record per picture, an observation per box and label.

    Attributes:
        read: entries seen so far.
        notes: what a reader of the log should know.
    """

    unit = "entries"

    def __init__(self, path: Path, *, label: str = LABEL) -> None:
        self.path = path
        self.label = label
        self.read = 0
        self.notes: list[str] = []

    def records(self) -> Iterator[CaptureEvent | Reject]:
        """Yields a record per picture, its key as id and path, or why an entry is none."""
        for image in read_queried_images(self.path):
            self.read += 1
            if isinstance(image, Reject):
                yield image
                continue
            boxes: list[BoundingBox | None] = [box for _, box in image.boxes or ()]
            observations = tuple(
                Observation(labels={self.label: name}, box=box) for name in image.labels for box in boxes or [None]
            )
            facts = {"dataset": image.dataset, "location": image.location, "dataset_class": image.dataset_class}
            yield CaptureEvent(event_id=image.key, media=(Media(path=image.key),), observations=observations, meta_data=facts)
