"""`queried_images.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.errors import SourceError
from camtrap_tf.records import BoundingBox, CaptureEvent, Reject
from camtrap_tf.sources.queried_images import QueriedImage, QueriedImagesSource, read_queried_images, write_queried_images

BOX = BoundingBox(0.1, 0.2, 0.3, 0.4)


def read(tmp_path: Path, value: Any) -> list[QueriedImage | Reject]:
    """Writes JSON and reads its entries."""
    (tmp_path / "q.json").write_text(json.dumps(value), encoding="utf-8")
    return list(read_queried_images(tmp_path / "q.json"))


def test_pictures_come_back(tmp_path: Path) -> None:
    """Keys, labels, location and boxes survive; boxes are a list of one on purpose."""
    image = QueriedImage(
        key="d/a/b.jpg", dataset="d", location="7", dataset_class="fox", labels=("fox",), boxes=(("animal", BOX),)
    )
    write_queried_images(tmp_path / "q.json", {image.key: image})
    assert list(read_queried_images(tmp_path / "q.json")) == [image]
    assert image.file == "a/b.jpg"
    value = json.loads((tmp_path / "q.json").read_text(encoding="utf-8"))
    assert value["d/a/b.jpg"]["bbox"] == [{"category": "animal", "bbox": [0.1, 0.2, 0.3, 0.4]}]


def test_what_is_left_out_has_a_meaning(tmp_path: Path) -> None:
    """A location may be a number or absent, boxes absent: then nobody drew any."""
    first, second = read(tmp_path, {"d/a.jpg": {"location": 7, "label": ["x"]}, "d/b.jpg": {"label": ["x", "y"], "class": "z"}})
    assert isinstance(first, QueriedImage)
    assert isinstance(second, QueriedImage)
    assert (first.location, second.location) == ("7", "unknown_location")
    assert (first.boxes, first.dataset_class, second.dataset_class) == (None, "x", "z")


@pytest.mark.parametrize(
    ("key", "entry", "reason"),
    [
        ("a.jpg", {"label": ["x"]}, "bad_key"),
        ("d/a.jpg", {"label": ["x"], "dataset": "e"}, "bad_key"),
        ("d/../../a.jpg", {"label": ["x"]}, "outside_root"),
        ("d/a.jpg", {"label": []}, "no_label"),
        ("d/a.jpg", {"label": [3]}, "no_label"),
        ("d/a.jpg", [], "not_an_object"),
        ("d/a.jpg", {"label": ["x"], "bbox": [{"bbox": [10, 20, 30, 40]}]}, "box_absolute"),
        ("d/a.jpg", {"label": ["x"], "bbox": [[0, 0, 1, 1]]}, "box_not_numbers"),
    ],
)
def test_bad_entries_are_rejected(key: str, entry: Any, reason: str, tmp_path: Path) -> None:
    """A bad entry has its reason and its key."""
    (found,) = read(tmp_path, {key: entry})
    assert isinstance(found, Reject)
    assert (found.reason, found.item) == (reason, key)


def test_other_files_are_refused(tmp_path: Path) -> None:
    """A COCO file is no queried_images.json."""
    with pytest.raises(SourceError, match=r"not a queried_images\.json"):
        read(tmp_path, {"images": [], "annotations": []})


def test_records_have_boxes(tmp_path: Path) -> None:
    """A record per picture, an observation per box."""
    entry = {"label": ["fox"], "location": "hill", "bbox": [{"category": "animal", "bbox": [0.1, 0.2, 0.3, 0.4]}] * 2}
    read(tmp_path, {"d/a.jpg": entry, "d/b.jpg": {"label": ["rat"]}, "x": {}})
    source = QueriedImagesSource(tmp_path / "q.json", label="species")
    entries = list(source.records())
    first, second = (one for one in entries if isinstance(one, CaptureEvent))
    assert [one.box for one in first.observations] == [BOX, BOX]
    assert [one.box for one in second.observations] == [None]
    assert first.meta_data["location"] == "hill"
    assert source.read == len(entries) == 3
