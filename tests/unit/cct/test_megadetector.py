"""COCO Camera Traps ⇄ MegaDetector results."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.cct.cleaning import clean
from camtrap_tf.cct.megadetector import from_megadetector_file, to_megadetector, to_megadetector_file
from camtrap_tf.cct.validating import problems_of
from camtrap_tf.config.cct import CctCleanConfig, CctFromMegadetectorConfig, CctToMegadetectorConfig
from camtrap_tf.detections.megadetector import DetectedPicture
from camtrap_tf.errors import SourceError
from camtrap_tf.sources.cct_document import CctDocument
from tests.reading import rows_of
from tests.shared_data import shared
from tests.unit.cct.documents import make_annotation, make_document, make_image, reasons


def test_boxes_become_relative_and_species_categories() -> None:
    """10, 12, 20, 30 px of 100 x 60 are .1, .2, .2, .5; a picture without a box keeps its place with an empty list."""
    document = make_document(
        [make_image("i", "hill"), make_image("bare")],
        [make_annotation("1", "i", bbox=[10, 12, 20, 30]), make_annotation("2", "bare", 0, bbox=None)],
    )
    done = to_megadetector(document)
    first, bare = done.document.images
    assert first["detections"][0]["bbox"] == pytest.approx([0.1, 0.2, 0.2, 0.5])
    assert (first["file"], first["location"], first["id"], first["max_detection_conf"]) == ("i.jpg", "hill", "i", 1.0)
    assert (bare["detections"], bare["max_detection_conf"], bare["is_ground_truth"]) == ([], 0, True)
    assert done.document.detection_categories == {"0": "empty", "3": "fox", "7": "rat"}
    assert done.unboxed == 1


def test_animals_with_their_species_as_classification() -> None:
    """On request every detection is an `animal`, for programs that look for those, and the species its classification."""
    done = to_megadetector(make_document([make_image("i")], [make_annotation("1", "i", confidence=0.5)]), animals=True)
    assert done.document.detection_categories["1"] == "animal"
    (picture,) = done.document.pictures()
    assert isinstance(picture, DetectedPicture)
    assert picture.detections[0].classifications == (("fox", 0.5),)


def test_what_cannot_be_a_detection_is_listed() -> None:
    """Boxes in px without a size, annotations of unknown images and categories are rejected by row; the rest stays."""
    images = [make_image("i"), make_image("sizeless", width=None)]
    annotations = [
        make_annotation("1", "i"),
        make_annotation("2", "sizeless"),
        make_annotation("3", "nowhere"),
        make_annotation("4", "i", 99),
        make_annotation("5", "sizeless", bbox=None, bbox_relative=[0.1, 0.1, 0.2, 0.2]),
        make_annotation("1", "i"),
    ]
    done = to_megadetector(make_document(images, annotations))
    assert sorted(reasons(done.rejects)) == [
        ("1", "repeated_id"), ("2", "box_without_size"), ("3", "unknown_image"), ("4", "unknown_category"),
    ]  # fmt: skip
    assert [len(image["detections"]) for image in done.document.images] == [1, 1]


def test_pictures_that_cannot_be_read_back_are_listed() -> None:
    """A path that leads out, a file or an id that is there again: rejected as `clean` does, their annotations with them."""
    images = [
        make_image("i"), make_image("out", file_name="../../etc/passwd.jpg"), make_image("again", file_name="i.jpg"),
        make_image("i", file_name="other.jpg"), make_image("nul", file_name="a\0.jpg"), {"id": "bare"},
    ]  # fmt: skip
    annotations = [make_annotation(key, key) for key in ("i", "out", "again", "nul", "bare", "nowhere")]
    document = make_document(images, annotations)
    done = to_megadetector(document)
    assert [one["file"] for one in done.document.images] == ["i.jpg"]
    assert [(one.unit, one.id, one.reason) for one in done.rejects] == [
        ("image", "out", "outside_root"), ("image", "again", "repeated_file"), ("image", "i", "repeated_id"),
        ("image", "nul", "outside_root"), ("image", "bare", "no_path"),
        ("annotation", "out", "image_left_out"), ("annotation", "again", "image_left_out"),
        ("annotation", "nul", "image_left_out"), ("annotation", "bare", "image_left_out"),
        ("annotation", "nowhere", "unknown_image"),
    ]  # fmt: skip
    cleaned = clean(document, CctCleanConfig(path=Path("x.json"), output=Path("y.json")))
    assert sorted(map(str, cleaned.rejects)) == sorted(map(str, done.rejects))
    text = replace(done, output=Path("y.json")).text()
    assert "6 images read = 1 kept + 5 left out" in text
    assert "6 annotations read = 1 detection + 0 without a box + 5 left out" in text


def test_nothing_is_written_where_no_image_is_left(tmp_path: Path) -> None:
    """Results without an image are an error that says why; a dry run shows the counts and says that it would be one."""
    make_document([make_image("i", file_name="../i.jpg")], [make_annotation("1", "i")]).write(tmp_path / "x.json")
    settings = CctToMegadetectorConfig(path=tmp_path / "x.json", output=tmp_path / "y.json")
    with pytest.raises(SourceError, match=r"no image is left: 1 image left out \(1 × outside_root\)"):
        to_megadetector_file(settings)
    assert [one.name for one in tmp_path.iterdir()] == ["x.json"]
    planned = to_megadetector_file(settings.model_copy(update={"dry_run": True}))
    assert "without --dry-run this is an error" in planned.text()
    assert planned.exit_code == SourceError.exit_code


def test_relative_boxes_are_said_and_read(tmp_path: Path) -> None:
    """The reject names the flag; with it the numbers of `bbox` are taken as they are."""
    make_document([make_image("i")], [make_annotation("1", "i", bbox=[0.1, 0.2, 0.3, 0.4])]).write(tmp_path / "x.json")
    done = to_megadetector_file(CctToMegadetectorConfig(path=tmp_path / "x.json"))
    assert [(one.reason, "--boxes relative" in one.detail) for one in done.rejects] == [("box_relative", True)]
    assert "1 box relative where px are expected; if all are, read them with --boxes relative" in done.text()
    done = to_megadetector_file(CctToMegadetectorConfig(path=tmp_path / "x.json", boxes="relative"))
    assert done.document.images[0]["detections"][0]["bbox"] == [0.1, 0.2, 0.3, 0.4]


def test_file_gets_its_default_name(tmp_path: Path) -> None:
    """Without --output the results lie beside the input as `<name>_md-format.json`."""
    make_document([make_image("i")], [make_annotation("1", "i")]).write(tmp_path / "ds_cct.json")
    done = to_megadetector_file(CctToMegadetectorConfig(path=tmp_path / "ds_cct.json"))
    assert done.output == tmp_path / "ds_cct_md-format.json"
    assert json.loads(done.output.read_text(encoding="utf-8"))["info"]["detector"] == "cct_to_md"
    assert "1 annotation read = 1 detection + 0 without a box + 0 left out" in done.text()


def back(path: Path, **options: Any) -> tuple[CctDocument, str]:
    """Returns the document made of MegaDetector results, and what the command said."""
    done = from_megadetector_file(CctFromMegadetectorConfig(path=path, output=path.with_name("back.json"), **options))
    return CctDocument.read(done.output), done.text()


def test_there_and_back_gives_the_same_boxes(tmp_path: Path) -> None:
    """A real file survives the way to MegaDetector results and back: boxes to 0.01 px, categories by name, locations."""
    source = shared("data/cct20_cis_val_json/cis_val_annotations.json")
    to_megadetector_file(CctToMegadetectorConfig(path=source, output=tmp_path / "md.json"))
    document, _ = back(tmp_path / "md.json")
    original = CctDocument.read(source)
    expected = []
    images, names = original.images_by_id(), original.category_names()
    for one in (one for one in original.annotations if "bbox" in one):
        image = images[one["image_id"]]
        x, y, width, height = one["bbox"]
        box = (x, y, min(width, image["width"] - x), min(height, image["height"] - y))
        expected.append((image["file_name"], names[str(one["category_id"])], *box))
    images, names = document.images_by_id(), document.category_names()
    found = [
        (images[one["image_id"]]["file_name"], names[str(one["category_id"])], *one["bbox"]) for one in document.annotations
    ]
    assert len(found) == len(expected) == 1763
    for one, want in zip(sorted(found), sorted(expected), strict=True):
        assert one[:2] == want[:2]
        assert one[2:] == pytest.approx(want[2:], abs=0.01)
    assert {image["location"] for image in document.images} == {image["location"] for image in original.images}
    assert {one["id"] for one in document.annotations} == {one["id"] for one in original.annotations if "bbox" in one}


def test_results_become_annotations(tmp_path: Path) -> None:
    """Sure detections become annotations, failures, videos and unsure ones are listed; sizes make px of relative boxes."""
    images = [
        {"file": "a/1.jpg", "width": 200, "height": 100, "detections": [
            {"category": "1", "conf": 0.9, "bbox": [0.1, 0.2, 0.3, 0.4], "classifications": [["0", 0.8]]},
            {"category": "1", "conf": 0.1, "bbox": [0.1, 0.2, 0.3, 0.4]}]},
        {"file": "a/2.jpg", "detections": [{"category": "2", "conf": 0.5, "bbox": [0, 0, 0.5, 0.5]}]},
        {"file": "a/3.jpg", "failure": "broken", "detections": None},
        {"file": "a/4.mp4", "detections": []},
    ]  # fmt: skip
    value = {
        "info": {"format_version": "1.4", "detector": "md_v5a"},
        "detection_categories": {"1": "animal", "2": "person"},
        "classification_categories": {"0": "fox"},
        "images": images,
    }
    (tmp_path / "md.json").write_text(json.dumps(value), encoding="utf-8")
    document, text = back(tmp_path / "md.json", threshold=0.2, categories_are="classifications", location_from_path=1)
    assert document.category_names() == {"0": "empty", "1": "fox", "2": "animal", "3": "person"}
    first, second = document.annotations
    assert (first["bbox"], first["category_id"], first["confidence"]) == ([20, 20, 60, 40], 1, 0.8)
    assert second["bbox_relative"] == [0, 0, 0.5, 0.5]
    assert "/" not in first["id"]
    assert [image["location"] for image in document.images] == ["a", "a"]
    assert "4 images read = 2 kept + 2 left out (1 × failure, 1 × video)" in text
    assert "3 annotations read = 2 kept + 1 left out (1 × below_threshold)" in text


def test_paths_that_lead_out_and_files_that_are_there_again_make_no_images(tmp_path: Path) -> None:
    """They are in the rejects with their detections, and what is written has no problem that `validate` knows."""
    detection = {"category": "1", "conf": 0.9, "bbox": [0.1, 0.2, 0.3, 0.4]}
    files = ("../x.jpg", "h.jpg", "h.jpg")
    value = {
        "info": {}, "detection_categories": {"1": "animal"},
        "images": [{"file": file, "width": 100, "height": 60, "detections": [detection]} for file in files],
    }  # fmt: skip
    (tmp_path / "md.json").write_text(json.dumps(value), encoding="utf-8")
    document, text = back(tmp_path / "md.json")
    assert list(problems_of(document)) == []
    assert "3 images read = 1 kept + 2 left out (1 × outside_root, 1 × repeated_file)" in text
    assert "3 annotations read = 1 kept + 2 left out (2 × image_left_out)" in text
    listed = [(row["item"], row["reason"]) for row in rows_of(tmp_path / "back.rejects.csv") if row["unit"] == "image"]
    assert listed == [("../x.jpg", "outside_root"), ("h.jpg", "repeated_file")]


def test_results_without_any_detection_are_refused(tmp_path: Path) -> None:
    """A file in which nothing was found makes no annotations."""
    value = {"info": {}, "detection_categories": {}, "images": [{"file": "a.jpg", "detections": []}]}
    (tmp_path / "md.json").write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(SourceError, match="no image has a detection"):
        back(tmp_path / "md.json")
