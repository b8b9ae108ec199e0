"""Predictions as MegaDetector results, read by our own reader and looked at as plain JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from camtrap_tf.detections.megadetector import DetectedPicture, MegadetectorDocument
from camtrap_tf.prediction.export_classes import meanings
from camtrap_tf.prediction.export_megadetector import megadetector_file
from camtrap_tf.prediction.export_model import ModelFacts
from camtrap_tf.prediction.results import NO_DETECTION, RecordPrediction
from tests.unit.prediction.export_support import EMPTY, MODEL, NOW, record


def written(path: Path, records: Sequence[RecordPrediction], model: ModelFacts = MODEL, **options: object) -> dict:
    """Writes records and returns the parsed file."""
    told = meanings(model.names(model.species))
    with megadetector_file(path, model, told, now=lambda: NOW, **options) as add:
        for one in records:
            add(one)
    return json.loads(path.read_text(encoding="utf-8"))


def test_round_trip(tmp_path: Path) -> None:
    """Our reader finds every picture with its classes, best first, and names of classes and categories."""
    path = tmp_path / "md.json"
    written(path, [record(["p/a.jpg"]), record(["p/b.jpg"], EMPTY)], root=Path("p"))
    document = MegadetectorDocument.read(path)
    first, second = (one for one in document.pictures() if isinstance(one, DetectedPicture))
    assert (document.version, document.notes) == ("1.6", ())
    assert (first.file, second.file) == ("a.jpg", "b.jpg")
    assert first.detections[0].classifications == (
        ("Vulpes vulpes", 0.7), ("human", 0.15), ("empty", 0.1), ("car", 0.05),
    )  # fmt: skip
    assert first.detections[0].category == "animal"
    assert first.detections[0].confidence == pytest.approx(0.7)
    assert second.detections[0].confidence == pytest.approx(0.06)  # any threshold in use takes it for blank
    assert not first.rejects
    assert not second.rejects


def test_what_the_format_asks_for(tmp_path: Path) -> None:
    """Ids are texts of whole numbers, descriptions have the same ids, the version is a text, the classifier is named."""
    value = written(tmp_path / "md.json", [record(["a.jpg"])])
    ids = value["classification_categories"]
    assert all(key == str(int(key)) for key in [*ids, *value["detection_categories"]])
    assert value["classification_category_descriptions"] == {
        "0": ";;;;;;blank", "1": ";;;;vulpes;vulpes;", "2": ";;;;;;human", "3": ";;;;;;car",
    }  # fmt: skip
    assert value["classification_category_descriptions"].keys() == ids.keys()
    assert value["info"]["format_version"] == "1.6"
    assert value["info"]["classifier"] == "fox-model 0123456789ab"
    assert value["info"]["classification_completion_time"] == "2026-01-02 03:04:05"
    assert isinstance(value["images"][0]["detections"][0]["conf"], float)


def test_people_and_failures(tmp_path: Path) -> None:
    """A person is a detection of that category; a picture that failed has a reason and no list of detections."""
    person = {"species": (0.1, 0.1, 0.8, 0.0)}
    value = written(tmp_path / "md.json", [record(["a.jpg"], person), record(["b.jpg"], None)])
    assert value["images"][0]["detections"][0]["category"] == "2"
    assert value["images"][1] == {"file": "b.jpg", "failure": "truncated: the file ends too early", "detections": None}


def test_small_chances_are_left_out_but_the_best(tmp_path: Path) -> None:
    """Classes below the least confidence are left out; the best one stays whatever it has."""
    flat = {"species": (0.3, 0.25, 0.25, 0.2)}
    value = written(tmp_path / "md.json", [record(["a.jpg"]), record(["b.jpg"], flat)], min_confidence=0.5)
    assert [len(one["detections"][0]["classifications"]) for one in value["images"]] == [1, 1]


def test_sigmoid_heads(tmp_path: Path) -> None:
    """Where several classes may be there, nothing being there is a class of the file, with what is left of the likeliest."""
    model = ModelFacts.of({"species": ("fox", "car")}, {"species": "blank"})
    value = written(tmp_path / "md.json", [record(["a.jpg"], {"species": (0.2, 0.1)})], model)
    names = value["classification_categories"]
    found = value["images"][0]["detections"][0]["classifications"]
    assert [(names[key], chance) for key, chance in found] == [("blank", 0.8), ("fox", 0.2), ("car", 0.1)]


def test_boxes_of_a_picture_stand_together(tmp_path: Path) -> None:
    """Boxes keep their numbers, category and confidence; a picture without any has an empty list."""
    box = {"file": "x.jpg", "category": "animal", "detection_conf": "0.9", "unit": "relative"}
    first = record(["p/x.jpg"], x="0.1", y="0.2", width="0.3", height="0.4", box="0", record_id="c0", **box)
    second = record(["p/x.jpg"], EMPTY, x="0.5", y="0.5", width="0.1", height="0.1", box="1", record_id="c1", **box)
    bare = RecordPrediction("y.jpg", (), {}, {"file": "y.jpg"}, problem=(NO_DETECTION, "no box"))
    value = written(tmp_path / "md.json", [first, second, bare], detector="md_v5a")
    assert value["info"]["detector"] == "md_v5a"
    assert [one["file"] for one in value["images"]] == ["x.jpg", "y.jpg"]
    assert [one["bbox"] for one in value["images"][0]["detections"]] == [[0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0.1, 0.1]]
    assert [one["conf"] for one in value["images"][0]["detections"]] == [0.9, 0.9]
    assert value["images"][1]["detections"] == []


@pytest.mark.parametrize(
    ("said", "given", "written_as"),
    [
        ("md_v5a", None, "md_v5a"),
        ("md_v5a", "md_v6", "md_v6"),
        (None, None, "unknown"),
    ],
)
def test_boxes_have_a_detector(tmp_path: Path, said: str | None, given: str | None, written_as: str) -> None:
    """The detector is the one that is given, else the one that the records name; boxes without either have an unknown one."""
    about = {"detector": said} if said else {}
    bare = RecordPrediction("y.jpg", (), {}, {"file": "y.jpg"}, problem=(NO_DETECTION, "no box"))
    box = record(["p/x.jpg"], file="x.jpg", unit="relative", x="0", y="0", width="1", height="1", record_id="c", **about)
    lost = record(["z.jpg"], None, record_id="z", file="z.jpg", **about)
    value = written(tmp_path / "md.json", [bare, box, lost], detector=given)
    assert value["info"]["detector"] == written_as
    assert [one["file"] for one in value["images"]] == ["y.jpg", "x.jpg", "z.jpg"]


def test_nothing_is_left_after_an_error(tmp_path: Path) -> None:
    """A file that is not finished does not appear."""
    path = tmp_path / "md.json"

    def broken_off() -> None:
        """Stops amid writing."""
        with megadetector_file(path, MODEL, meanings(MODEL.names("species"))) as add:
            add(record(["a.jpg"]))
            raise InterruptedError

    with pytest.raises(InterruptedError):
        broken_off()
    assert not list(tmp_path.iterdir())
