"""A record per box: which observations stay together, what is left out, and which split boxes fall in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.config.dataset import DatasetConfig
from camtrap_tf.curation.box_records import record_per_box
from camtrap_tf.curation.curating import curate
from camtrap_tf.errors import SettingError
from camtrap_tf.inventory.table import Inventory
from camtrap_tf.records import BoundingBox, CaptureEvent, Media, Observation

LEFT, RIGHT = BoundingBox(0, 0, 0.5, 1), BoundingBox(0.5, 0, 0.5, 1)


def make_boxes(event_id: str, observations: list[Observation], *, pictures: int = 1, **meta: str) -> CaptureEvent:
    """Returns a record with named pictures m0, m1 …."""
    media = tuple(Media(path=f"{event_id}_{i}.jpg", media_id=f"m{i}") for i in range(pictures))
    return CaptureEvent(event_id=event_id, media=media, observations=tuple(observations), meta_data=meta)


def seen(species: str, box: BoundingBox | None, **facts: Any) -> Observation:
    """Returns an observation."""
    return Observation(labels={"species": species}, box=box, **facts)


def test_every_box_is_a_record_of_its_picture() -> None:
    """A box has its picture, its class, the facts of its record, and how sure the detector was."""
    event = make_boxes(
        "e", [seen("fox", LEFT, media_id="m1", confidence=0.75), seen("rat", RIGHT, media_id="m0"), seen("owl", None)],
        pictures=2, location="a",
    )  # fmt: skip
    found = record_per_box(Inventory.from_records([event, make_boxes("bare", [seen("fox", None)])]))
    first, second = list(found.inventory)
    assert (first.event_id, first.media[0].path, first.label("species")) == ("e#0", "e_1.jpg", "fox")
    assert (second.event_id, second.media[0].path, second.label("species")) == ("e#1", "e_0.jpg", "rat")
    assert dict(first.meta_data) == {"location": "a", "crop_of": "e", "detection_conf": "0.75"}
    assert dict(second.meta_data) == {"location": "a", "crop_of": "e"}
    assert first.observations[0].box == LEFT
    assert found.with_boxes == 1


def test_several_labels_of_one_box_are_one_record() -> None:
    """Two observations of the same box of the same picture stay together."""
    event = make_boxes("e", [seen("fox", LEFT), seen("dog", LEFT), seen("rat", RIGHT)])
    records = list(record_per_box(Inventory.from_records([event])).inventory)
    assert [[one.labels["species"] for one in record.observations] for record in records] == [["fox", "dog"], ["rat"]]


def test_unsure_boxes_and_those_of_no_known_picture_are_left_out() -> None:
    """Boxes below the threshold go; so do those of which it is not said which of several pictures they are in."""
    unsure = make_boxes("e", [seen("fox", LEFT, confidence=0.1), seen("rat", RIGHT, confidence=0.5), seen("owl", LEFT)])
    torn = make_boxes("f", [seen("fox", LEFT), seen("rat", LEFT, media_id="elsewhere")], pictures=2)
    found = record_per_box(Inventory.from_records([unsure, torn]), threshold=0.5)
    assert [record.label("species") for record in found.inventory] == ["rat", "owl"]
    assert (found.unsure, found.lost) == (1, 2)
    told = "--crop leaves out 1 box below --crop-threshold and 2 boxes of no known picture of its record"
    assert found.left_out_text() == [told]
    settings = {"inventory": "i.json", "output_dir": "o", "crop": "square", "crop_threshold": 0.5, "duplicates": "off"}
    assert told in curate(Inventory.from_records([unsure, torn]), DatasetConfig.model_validate(settings)).warnings


def test_an_inventory_without_boxes_is_refused() -> None:
    """The error says what makes boxes."""
    with pytest.raises(SettingError, match=r"--crop: no record .*camtrap inventory coco"):
        record_per_box(Inventory.from_records([make_boxes("e", [seen("fox", None)])]))


@pytest.mark.parametrize(
    ("meta", "settings"),
    [
        ({}, {}),
        ({}, {"split_group": "none"}),
        ({"location": True}, {"split_group": "none"}),
        ({"sequence": True}, {}),
        ({"location": True}, {}),
    ],
)
def test_boxes_of_one_record_are_in_one_split(tmp_path: Path, meta: dict[str, bool], settings: dict[str, Any]) -> None:
    """Whatever the splits go by, and where some records lack it, boxes of a picture are never torn apart."""
    events = []
    for number in range(60):
        own = {name: f"{name}{number % 12}" for name in meta if number % 5}  # every fifth record lacks it
        events.append(make_boxes(f"e{number}", [seen("fox", LEFT), seen("rat", RIGHT)], **own))
    config = DatasetConfig(
        inventory=tmp_path / "i.json", output_dir=tmp_path, crop="square", split_percent=(0.6, 0.2, 0.2), duplicates="off",
        **settings,
    )  # fmt: skip
    curated = curate(Inventory.from_records(events), config)
    splits: dict[str, set[str]] = {}
    for record, split in zip(curated.inventory, curated.splits, strict=True):
        splits.setdefault(record.meta_data["crop_of"], set()).add(split)
    assert len(curated.inventory) == 120
    assert {len(found) for found in splits.values()} == {1}
    assert {split for found in splits.values() for split in found} == {"train", "val", "test"}
