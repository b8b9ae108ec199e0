"""MegaDetector results files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.detections.megadetector import DetectedPicture, MegadetectorDocument, left_out_text
from camtrap_tf.errors import SourceError
from camtrap_tf.records import BoundingBox, Reject
from tests.shared_data import shared

BOX = [0.1, 0.2, 0.3, 0.4]


def document(images: list[Any], **others: Any) -> MegadetectorDocument:
    """Returns a document with these entries."""
    head = {"info": {"format_version": "1.4"}, "detection_categories": {"1": "animal", "2": "person"}}
    return MegadetectorDocument.of({**head, "classification_categories": {"0": "fox", "7": "elk"}, **others, "images": images})


def picture(entry: Any) -> DetectedPicture:
    """Returns the one picture of a document."""
    (found,) = document([entry]).pictures()
    assert isinstance(found, DetectedPicture)
    return found


def test_a_detection() -> None:
    """Category, confidence, box and classes are read, the likeliest class first."""
    one = {"category": "1", "conf": 0.9, "bbox": BOX, "classifications": [["0", 0.1], ["7", 0.8]]}
    (detection,) = picture({"file": "a\\b.jpg", "detections": [one]}).detections
    assert (detection.category, detection.category_id, detection.confidence) == ("animal", "1", 0.9)
    assert detection.box == BoundingBox(*BOX)
    assert detection.classifications == (("elk", 0.8), ("fox", 0.1))
    assert picture({"file": "a\\b.jpg", "detections": [one]}).file == "a/b.jpg"


@pytest.mark.parametrize(
    ("detection", "reason"),
    [
        ({"category": "1", "conf": 0.9, "bbox": [100, 200, 30, 40]}, "box_absolute"),
        ({"category": "1", "conf": 0.9, "bbox": [0.1, 0.2, 0, 0.4]}, "box_empty"),
        ({"category": "1", "conf": 0.9, "bbox": [1.1, 0.2, 0.5, 0.4]}, "box_outside"),
        ({"category": "1", "conf": 0.9}, "box_not_numbers"),
        ({"category": "5", "conf": 0.9, "bbox": BOX}, "unknown_category"),
        ({"category": "1", "conf": 90, "bbox": BOX}, "bad_confidence"),
        ({"category": "1", "conf": "0.9", "bbox": BOX}, "bad_confidence"),
        ({"category": "1", "bbox": BOX, "classifications": [0.5]}, "bad_classification"),
        ({"category": "1", "bbox": BOX, "classifications": {}}, "bad_classification"),
        ("x", "not_an_object"),
    ],
)
def test_bad_detections_are_rejected_one_by_one(detection: Any, reason: str) -> None:
    """A bad detection is named by its place; the others of the picture are kept."""
    found = picture({"file": "a.jpg", "detections": [{"category": "2", "conf": 1, "bbox": BOX}, detection]})
    (reject,) = found.rejects
    assert (reject.id, reject.item, reject.unit, reject.reason) == ("a.jpg", "image 1, detection 2", "observation", reason)
    assert " " in reject.detail
    assert [one.category for one in found.detections] == ["person"]


def test_old_spellings() -> None:
    """Format 1.0: version a number, category ids numbers, no confidence, category 0 says that there is nothing."""
    found = document([{"file": "a.jpg", "detections": [{"category": 1, "bbox": BOX}, {"category": "0", "bbox": [0, 0, 0, 0]}]}])
    (one,) = found.pictures()
    assert isinstance(one, DetectedPicture)
    assert [(d.category, d.confidence) for d in one.detections] == [("animal", None)]
    assert one.rejects == ()
    assert MegadetectorDocument.of({"info": {"format_version": 1.2}, "detection_categories": {}, "images": []}).version == "1.2"


@pytest.mark.parametrize(
    "entry",
    [
        {"file": "a.jpg", "failure": "Failure image access"},
        {"file": "a.jpg", "failure": "Failure image access", "detections": None},
        {"file": "a.jpg", "detections": None},
        {"file": "a.jpg"},
    ],
)
def test_failures(entry: dict[str, Any]) -> None:
    """A picture that the detector could not look at is told from one in which it found nothing."""
    assert picture(entry).failure
    assert picture({"file": "a.jpg", "detections": [], "failure": None}).failure is None


def test_videos() -> None:
    """Videos are known by their facts or their name, and detections keep their frame."""
    entry = {"file": "a.mp4", "frame_rate": 20, "frames_processed": [0, 20]}
    found = picture({**entry, "detections": [{"category": "1", "conf": 1, "bbox": BOX, "frame_number": 20}]})
    assert found.video
    assert found.detections[0].frame_number == 20
    assert picture({"file": "b.AVI", "detections": []}).video
    assert not picture({"file": "b.jpg", "detections": []}).video


@pytest.mark.parametrize(
    ("entry", "reason"), [(5, "not_an_object"), ({"detections": []}, "no_path"), ({"file": ""}, "no_path")]
)
def test_entries_that_are_no_pictures(entry: Any, reason: str) -> None:
    """They are rejected by number."""
    (found,) = document([entry]).pictures()
    assert isinstance(found, Reject)
    assert (found.item, found.reason) == ("image 1", reason)


def test_nothing_is_lost_from_reading_to_writing(tmp_path: Path) -> None:
    """Unknown keys and the order of everything are kept, also in the ENA24 results."""
    value = {
        "x": [1],
        "images": [{"file": "ü.jpg", "mine": {"b": 1, "a": 2}, "detections": []}],
        "detection_categories": {"1": "a"},
    }
    MegadetectorDocument.of(value).write(tmp_path / "out.json")
    assert json.dumps(json.loads((tmp_path / "out.json").read_text("utf-8"))) == json.dumps(value)
    real = shared("data/ena24_small/ena24_small/md_annotations.json")
    MegadetectorDocument.read(real).write(tmp_path / "out.json")
    assert json.dumps(json.loads((tmp_path / "out.json").read_text("utf-8"))) == json.dumps(json.loads(real.read_text("utf-8")))


def test_halves_of_surrogate_pairs(tmp_path: Path) -> None:
    """What is no character is replaced, so that it can be written."""
    value = {"images": [{"file": "a\ud800.jpg", "detections": []}], "detection_categories": {"1": "\U0001f98a"}}
    (tmp_path / "md.json").write_text(json.dumps(value))
    found = MegadetectorDocument.read(tmp_path / "md.json")
    assert found.images[0]["file"] == "a?.jpg"
    assert found.detection_categories == {"1": "\U0001f98a"}


def test_thresholds_and_versions() -> None:
    """Thresholds recommended in the file are found; an unknown version is said."""
    info = {"format_version": "3.0", "detector_metadata": {"typical_detection_threshold": 0.2}, "classifier_metadata": 5}
    found = document([], info=info)
    assert found.typical_threshold() == 0.2
    assert found.typical_threshold("classification") is None
    assert "3.0" in found.notes[0]
    assert document([]).notes == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "is a list"),
        ("{}", "no list of images"),
        ('{"images": []}', "no detection_categories"),
        ('{"images": [], "annotations": [], "categories": []}', "inventory coco"),
        ('{"images": [{"file": "a.jpg", "det', "cut off"),
    ],
)
def test_other_files(tmp_path: Path, text: str, message: str) -> None:
    """What is no results file is told with its path."""
    (tmp_path / "md.json").write_text(text)
    with pytest.raises(SourceError, match=message) as caught:
        MegadetectorDocument.read(tmp_path / "md.json")
    assert "md.json" in str(caught.value)
    with pytest.raises(SourceError, match="no such"):
        MegadetectorDocument.read(tmp_path / "absent.json")


def test_a_class_that_nobody_knows_costs_itself_alone() -> None:
    """It is counted, and the detection stays; where it is the likeliest, no less likely one stands in for it."""
    both = [
        {"category": "1", "bbox": BOX, "classifications": pairs}
        for pairs in ([["9", 0.1], ["0", 0.9]], [["9", 0.9], ["0", 0.1]])
    ]
    found = picture({"file": "a.jpg", "detections": both})
    assert found.rejects == ()
    assert [one.classifications for one in found.detections] == [(("fox", 0.9),), ()]
    assert [one.unknown_classes for one in found.detections] == [1, 1]
    assert left_out_text(found.detections) == ["2 classifications left out: of no class that classification_categories knows"]


def test_boxes_that_stick_out_are_cut_and_counted() -> None:
    """The box ends at the edge; what is less than rounding is no cut."""
    boxes = [[0.1, 0.1, 1.2, 0.2], [0.5, 0.5, 0.5004, 0.5], [0.1, 0.1, 0.2, 0.2]]
    found = picture({"file": "a.jpg", "detections": [{"category": "1", "conf": 1, "bbox": one} for one in boxes]})
    assert [one.cut for one in found.detections] == [True, False, False]
    assert found.detections[0].box == BoundingBox(0.1, 0.1, 0.9, 0.2)
    assert left_out_text(found.detections) == ["1 box stuck out of the picture, cut at the edge"]
    assert left_out_text(found.detections[1:]) == []
