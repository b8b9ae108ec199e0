"""The sample's facts as others write them: CSV, COCO Camera Traps and MegaDetector JSON.

All three are written event by event, so that a large sample needs little memory.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from camtrap_tf.detections.boxes import rounded
from camtrap_tf.files import atomic_file, json_line
from camtrap_tf.records import BoundingBox
from camtrap_tf.sample.locations import locations
from camtrap_tf.sample.rendering import Box
from camtrap_tf.sample.scenery import HEIGHT_PX, WIDTH_PX
from camtrap_tf.sample.scenes import FRAMES, SceneEvent
from camtrap_tf.sample.seeds import generator
from camtrap_tf.sample.species import BLANK, SPECIES

CSV_COLUMNS = ("event_id", "image_1", "image_2", "image_3", "species", "count", "behaviour", "posture", "location", "datetime")

UNIDENTIFIED = "unidentified"
"""Category of animals in the COCO file whose species nobody gave."""

CATEGORIES = ("empty", *sorted(SPECIES), UNIDENTIFIED)
"""Names of the COCO categories; a category's number is its place here."""

TIME = "%Y-%m-%d %H:%M:%S"


@dataclass(frozen=True, slots=True)
class DrawnEvent:
    """An event and where its animals are in its pictures.

    Attributes:
        scene: what happened.
        boxes: per frame, one entry per animal; None where nothing of it is in view.
    """

    scene: SceneEvent
    boxes: tuple[tuple[Box | None, ...], ...]


Writer = Callable[[DrawnEvent], None]


@contextmanager
def csv_writer(path: Path, seed: int) -> Iterator[Writer]:
    """Gives a function that adds an event to `sample.csv`; missing labels are empty cells."""
    sites = locations(seed)
    with atomic_file(path, "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(CSV_COLUMNS)

        def add(event: DrawnEvent) -> None:
            """Adds an event."""
            scene = event.scene
            pictures = [scene.file_name(frame) for frame in range(FRAMES)]
            labels = [scene.labels.get(label, "") for label in ("species", "count", "behaviour", "posture")]
            table.writerow([scene.event_id, *pictures, *labels, sites[scene.location].name, scene.time.strftime(TIME)])

        yield add


@contextmanager
def coco_writer(path: Path, seed: int, part: Path) -> Iterator[Writer]:
    """Gives a function that adds an event to a COCO Camera Traps file: a box per animal, in px.

    Animals whose species nobody gave are `unidentified`; blank events that nobody labelled have no annotation.

    Args:
        path: file to write.
        seed: of the sample.
        part: scratch file for the annotations, which come after the images.
    """
    sites = locations(seed)
    with atomic_file(path, "w") as file, part.open("w+", encoding="utf-8") as notes:
        info = {"version": "1.0", "description": "Drawn camera-trap scenes", "year": 2023, "contributor": "camtrap_tf"}
        categories = [{"id": number, "name": name} for number, name in enumerate(CATEGORIES)]
        file.write(f'{{"info": {json.dumps(info)},\n"categories": {json.dumps(categories)},\n"images": [\n')
        images, annotations = _Listing(file), _Listing(notes)

        def add(event: DrawnEvent) -> None:
            """Adds an event."""
            for frame in range(FRAMES):
                images.add(_coco_image(event.scene, frame, sites[event.scene.location].name))
                annotations.extend(_coco_annotations(event, frame))

        yield add
        file.write('\n],\n"annotations": [\n')
        notes.seek(0)
        for line in notes:
            file.write(line)
        file.write("\n]}\n")
    part.unlink(missing_ok=True)


def _coco_image(scene: SceneEvent, frame: int, location: str) -> dict[str, Any]:
    image: dict[str, Any] = {
        "id": picture_id(scene, frame),
        "file_name": scene.file_name(frame),
        "location": location,
        "datetime": scene.frame_time(frame).strftime(TIME),
        "seq_id": scene.event_id,
        "frame_num": frame + 1,
        "seq_num_frames": FRAMES,
    }
    if scene.breakages[frame]:
        return {**image, "corrupt": True}
    return {**image, "width": WIDTH_PX, "height": HEIGHT_PX}


def _coco_annotations(event: DrawnEvent, frame: int) -> Iterator[dict[str, Any]]:
    scene = event.scene
    name = picture_id(scene, frame)
    extra = {label: scene.labels[label] for label in ("behaviour", "posture") if label in scene.labels}
    if "count" in scene.labels:
        extra["sequence_count"] = scene.labels["count"]
    category = CATEGORIES.index(scene.labels.get("species", UNIDENTIFIED).replace(BLANK, "empty"))
    if scene.species == BLANK:
        if "species" in scene.labels:
            yield {"id": f"{name}_0", "image_id": name, "category_id": 0}
        return
    for order, box in enumerate(event.boxes[frame]):
        note = {"id": f"{name}_{order}", "image_id": name, "category_id": category, **extra}
        if box is not None and scene.breakages[frame] is None:
            note["bbox"] = list(box)
        yield note


@contextmanager
def megadetector_writer(path: Path, seed: int) -> Iterator[Writer]:
    """Gives a function that adds an event to a MegaDetector results file (format 1.6): relative boxes, failures.

    Source: MegaDetector output format, https://lila.science/megadetector-output-format.
    """
    names = sorted(SPECIES)
    with atomic_file(path, "w") as file:
        info = {"format_version": "1.6", "detector": "camtrap_tf sample", "classifier": "camtrap_tf sample"}
        head = {
            "info": info,
            "detection_categories": {"1": "animal", "2": "person", "3": "vehicle"},
            "classification_categories": {str(number): name for number, name in enumerate(names)},
        }
        file.write(json.dumps(head)[:-1] + ',\n"images": [\n')
        images = _Listing(file)

        def add(event: DrawnEvent) -> None:
            """Adds an event."""
            for frame in range(FRAMES):
                images.add(_megadetector_image(event, frame, names, seed))

        yield add
        file.write("\n]}\n")


def _megadetector_image(event: DrawnEvent, frame: int, names: list[str], seed: int) -> dict[str, Any]:
    scene = event.scene
    if scene.breakages[frame]:
        return {"file": scene.file_name(frame), "failure": "Failure image access", "detections": None}
    sure = generator(seed, "confidence", scene.event_id, frame).uniform(0.62, 0.98, len(scene.individuals))
    detections = []
    for box, confidence in zip(event.boxes[frame], sure, strict=True):
        if box is None:
            continue
        found: dict[str, Any] = {"category": "1", "conf": round(float(confidence), 3), "bbox": list(relative(box))}
        if "species" in scene.labels:
            found["classifications"] = [[str(names.index(scene.species)), 1.0]]
        detections.append(found)
    detections.sort(key=lambda one: -float(one["conf"]))
    return {"file": scene.file_name(frame), "detections": detections}


def relative(box: Box) -> tuple[float, float, float, float]:
    """Returns a box in [0, 1] of the picture, rounded to 5 decimals without leaving it."""
    x, y, width, height = box
    return rounded(BoundingBox(x / WIDTH_PX, y / HEIGHT_PX, width / WIDTH_PX, height / HEIGHT_PX), 5)


def picture_id(scene: SceneEvent, frame: int) -> str:
    """Returns the name of a picture in the files that need one."""
    return f"{scene.event_id}_{frame + 1}"


class _Listing:
    """Writes the entries of a JSON array, one a line."""

    def __init__(self, file: IO[Any]) -> None:
        self._file = file
        self._begun = False

    def add(self, entry: dict[str, Any]) -> None:
        self._file.write((",\n" if self._begun else "") + json_line(entry))
        self._begun = True

    def extend(self, entries: Iterable[dict[str, Any]]) -> None:
        for entry in entries:
            self.add(entry)
