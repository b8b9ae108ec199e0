"""Records of boxes: for data sets of crops, a record with several boxes becomes a record per box.

Such a record has the one picture that the box is in, what was seen in that box, the meta data of the record it is of, the id of
that record (`crop_of`) and the confidence of the detector (`detection_conf`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from camtrap_tf.errors import SettingError, counted
from camtrap_tf.inventory.columns import table_of
from camtrap_tf.inventory.table import Inventory
from camtrap_tf.records import BoundingBox, CaptureEvent, Media, Observation

CROP_OF = "crop_of"
"""Meta data field with the id of the record that a box is of; boxes of one record are never in two splits."""

CONFIDENCE = "detection_conf"
"""Meta data field with the confidence of the detector: what a training weighted by it looks for."""


@dataclass(frozen=True, slots=True)
class BoxRecords:
    """An inventory of boxes, and what is not in it.

    Attributes:
        inventory: a record per box.
        with_boxes: records that it was made of.
        unsure: boxes below the threshold.
        lost: observations with a box of which it is not known what picture it is in.
    """

    inventory: Inventory
    with_boxes: int
    unsure: int
    lost: int

    def left_out_text(self) -> list[str]:
        """Returns a sentence on the boxes that are in no record, or nothing where all are."""
        said = _left_out(self.unsure, self.lost)
        return [f"--crop leaves out {' and '.join(said)}"] if said else []


def record_per_box(inventory: Inventory, *, threshold: float = 0.0) -> BoxRecords:
    """Returns a record per box; records and observations without a box are left out.

    The id is that of the record with `#` and the number of the box in it, from 0. Observations of the same box (several labels
    of one animal) stay one record.

    Args:
        inventory: records whose observations have boxes.
        threshold: boxes with a confidence below it are left out; those without a confidence are taken.

    Raises:
        SettingError: no observation has a box that can be used.
    """
    counts = {"with_boxes": 0, "unsure": 0, "lost": 0}

    def records() -> Iterator[CaptureEvent]:
        """Yields the records of all boxes."""
        for event in inventory:
            found = list(_boxes(event, threshold, counts))
            counts["with_boxes"] += bool(found)
            yield from found

    table = table_of(records())
    if not len(table):
        left_out = ", ".join(_left_out(counts["unsure"], counts["lost"]))
        why = f" that can be used ({left_out})" if left_out else ""
        raise SettingError(
            f"--crop: no record of the inventory has a box{why}; make it with `camtrap inventory coco`, "
            "`megadetector` or `camtrap-dp`, or leave --crop out"
        )
    return BoxRecords(Inventory.from_table(table), **counts)


def _left_out(unsure: int, lost: int) -> list[str]:
    """Returns how many boxes are left out, and why."""
    said = [f"{counted(unsure, 'box', 'es')} below --crop-threshold"] if unsure else []
    return [*said, f"{counted(lost, 'box', 'es')} of no known picture of its record"] if lost else said


def _boxes(event: CaptureEvent, threshold: float, counts: dict[str, int]) -> Iterator[CaptureEvent]:
    media = {one.path: one for one in event.media} | {one.media_id: one for one in event.media if one.media_id is not None}
    only = event.media[0] if len(event.media) == 1 else None
    found: dict[tuple[str, BoundingBox], list[Observation]] = {}
    pictures: dict[str, Media] = {}
    for one in event.observations:
        if one.box is None:
            continue
        picture = only if one.media_id is None else media.get(one.media_id)
        if picture is None:
            counts["lost"] += 1
        elif one.confidence is not None and one.confidence < threshold:
            counts["unsure"] += 1
        else:
            pictures[picture.path] = picture
            found.setdefault((picture.path, one.box), []).append(one)
    for number, ((path, _), observations) in enumerate(found.items()):
        yield _record(event, number, pictures[path], observations)


def _record(event: CaptureEvent, number: int, picture: Media, observations: list[Observation]) -> CaptureEvent:
    meta = {**event.meta_data, CROP_OF: event.event_id}
    sure = next((one.confidence for one in observations if one.confidence is not None), None)
    if sure is not None:
        meta[CONFIDENCE] = f"{sure:g}"
    return CaptureEvent(
        event_id=f"{event.event_id}#{number}", media=(picture,), observations=tuple(observations), meta_data=meta
    )


def source_records(inventory: Inventory) -> list[str]:
    """Returns the id of the record that each record is of: of boxes the one they were found in, else its own."""
    ids = inventory.ids
    if CROP_OF not in inventory.meta_fields:
        return ids
    return [whole or own for whole, own in zip(inventory.meta(CROP_OF), ids, strict=True)]
