"""MegaDetector results as a source."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.config.picture_sources import MegadetectorInventoryConfig
from camtrap_tf.records import BoundingBox
from camtrap_tf.sources.megadetector import MegadetectorSource
from tests.shared_data import shared
from tests.unit.sources.picture_sources import read

BOX = [0.1, 0.2, 0.3, 0.4]


def found(confidence: float | None, category: str = "1", **facts: Any) -> dict[str, Any]:
    """Returns a detection."""
    return {"category": category, "bbox": BOX, **({} if confidence is None else {"conf": confidence}), **facts}


def source(folder: Path, images: list[Any], info: dict[str, Any] | None = None, **options: Any) -> MegadetectorSource:
    """Returns the source of a file with these entries."""
    head = {"detection_categories": {"1": "animal", "2": "person"}, "classification_categories": {"0": "fox", "1": "elk"}}
    (folder / "md.json").write_text(json.dumps({"info": info or {"format_version": "1.6"}, **head, "images": images}))
    return MegadetectorSource(MegadetectorInventoryConfig(path=folder / "md.json", export_path=folder / "o.json", **options))


def test_an_observation_per_detection(tmp_path: Path) -> None:
    """Detections from the threshold on are observations with box and class; a picture without any is empty."""
    images = [
        {"file": "a/1.jpg", "detections": [found(0.9, classifications=[["1", 0.7], ["0", 0.3]]), found(0.1), found(None, "2")]},
        {"file": "a/2.jpg", "detections": [found(0.19)]},
        {"file": "a/3.jpg", "detections": []},
    ]
    records, rejects = read(source(tmp_path, images, location_from_path=1))
    assert rejects == []
    assert [[dict(one.labels) for one in record.observations] for record in records] == [
        [{"detection": "animal", "species": "elk"}, {"detection": "person", "species": "-1"}],
        [{"detection": "empty", "species": "-1"}],
        [{"detection": "empty", "species": "-1"}],
    ]
    assert records[0].observations[0].box == BoundingBox(*BOX)
    assert [one.confidence for one in records[0].observations] == [0.9, None]
    assert records[0].observations[0].media_id == records[0].media[0].media_id == "a/1.jpg"
    assert dict(records[0].meta_data) == {"location": "a", "detection_confidence": "0.9"}


@pytest.mark.parametrize(
    ("options", "info", "expected"),
    [
        ({}, {}, ["animal"]),
        ({"threshold": 0.95}, {}, ["empty"]),
        ({}, {"detector_metadata": {"typical_detection_threshold": 0.05}}, 2),
    ],
)
def test_thresholds(tmp_path: Path, options: dict[str, float], info: dict[str, Any], expected: Any) -> None:
    """The user's counts, else the file's, else 0.2; the log says which."""
    md = source(tmp_path, [{"file": "1.jpg", "detections": [found(0.9), found(0.1)]}], info, **options)
    (record,), _ = read(md)
    seen = [one.labels["detection"] for one in record.observations]
    assert len(seen) == expected if isinstance(expected, int) else seen == expected
    assert any("detections from confidence" in note for note in md.notes)


def test_an_unknown_location_is_said(tmp_path: Path) -> None:
    """The note names the flag that helps, and goes with it."""
    images = [{"file": "a/1.jpg", "detections": []}]
    for parts, said in ((0, True), (1, False)):
        md = source(tmp_path, images, location_from_path=parts)
        read(md)
        assert any("--location-from-path" in note for note in md.notes) is said


def test_unsure_classes_are_missing(tmp_path: Path) -> None:
    """A class below its threshold is missing; the detection stays."""
    images = [{"file": "1.jpg", "detections": [found(0.9, classifications=[["0", 0.45]])]}]
    (record,), _ = read(source(tmp_path, images))
    assert dict(record.observations[0].labels) == {"detection": "animal", "species": "-1"}
    (record,), _ = read(source(tmp_path, images, classification_threshold=0.4))
    assert record.observations[0].labels["species"] == "fox"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"file": "x.jpg", "failure": "Failure image access", "detections": None}, "detector_failure"),
        ({"file": "x.mp4", "frame_rate": 20, "frames_processed": [0], "detections": []}, "video"),
        ({"file": "path/to/x.jpg", "detections": []}, "placeholder_path"),
        ({"file": "../x.jpg", "detections": []}, "outside_root"),
        ({"file": "1.jpg", "detections": []}, "repeated_file"),
        ({"detections": []}, "no_path"),
        ("x", "not_an_object"),
        ({"file": "x.jpg", "detections": [], "datetime": "2999-01-01 00:00:00"}, "future_time"),
    ],
)
def test_bad_entries_are_told_apart(tmp_path: Path, bad: Any, reason: str) -> None:
    """Each kind has a reason of its own, by number; the others stay."""
    records, rejects = read(source(tmp_path, [{"file": "1.jpg", "detections": []}, bad]))
    assert [one.event_id for one in records] == ["1.jpg"]
    assert [(one.reason, one.item, one.unit) for one in rejects] == [
        (reason, "image 2", "video" if reason == "video" else "picture")
    ]


def test_bad_detections(tmp_path: Path) -> None:
    """They are rejected by number; a picture with none but bad ones is not empty."""
    images = [
        {"file": "1.jpg", "detections": [found(0.9), found(0.9, bbox=[10, 20, 30, 40])]},
        {"file": "2.jpg", "detections": [found(7)]},
    ]
    records, rejects = read(source(tmp_path, images))
    assert [len(one.observations) for one in records] == [1]
    assert [(one.item, one.reason) for one in rejects] == [
        ("image 1, detection 2", "box_absolute"),
        ("image 2, detection 1", "bad_confidence"),
        ("image 2", "no_usable_observation"),
    ]


def test_what_reading_changed_is_said(tmp_path: Path) -> None:
    """A box that was cut and a class that is unknown are in the notes; the picture stays with its other class."""
    one = found(0.9, bbox=[0.1, 0.1, 1.2, 0.2], classifications=[["0", 0.9], ["9", 0.1]])
    md = source(tmp_path, [{"file": "1.jpg", "detections": [one]}])
    (record,), rejects = read(md)
    assert rejects == []
    assert record.observations[0].labels["species"] == "fox"
    assert "1 box stuck out of the picture, cut at the edge" in md.notes
    assert any(note.startswith("1 classification left out") for note in md.notes)


def test_real_results() -> None:
    """21 pictures of ENA24: the classes are those of the labels beside them, but for none."""
    folder = shared("data/ena24_small")
    path = folder / "ena24_small/md_annotations.json"
    md = MegadetectorSource(MegadetectorInventoryConfig(path=path, export_path="o.json", image_root=folder / "ena24_small"))
    records, rejects = read(md)
    assert (len(records), rejects) == (21, [])
    truth = dict(line.split(",") for line in (folder / "ena24_small/labels.csv").read_text().splitlines()[1:])
    said = {one.event_id: one.observations[0].labels["species"].lower() for one in records}
    assert said.keys() == truth.keys()
    assert sum(said[name] != "-1" for name in said) > 0


def test_results_of_documentation() -> None:
    """The five files that the example names are placeholders, each named."""
    path = shared("data/ena24_small/megadetector_output.json")
    records, rejects = read(MegadetectorSource(MegadetectorInventoryConfig(path=path, export_path="o.json")))
    assert records == []
    assert [one.reason for one in rejects] == ["placeholder_path"] * 5
    assert "path/to/example2.jpg" in rejects[1].detail
