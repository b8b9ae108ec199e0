"""`queried_images.json` of COCO Camera Traps and of MegaDetector results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.cct.megadetector import to_megadetector_file
from camtrap_tf.config.cct import CctToMegadetectorConfig
from camtrap_tf.config.classification import QueriedImagesConfig
from camtrap_tf.curation.queried_images import make_queried_images
from camtrap_tf.errors import SettingError
from tests.unit.cct.documents import make_annotation, make_document, make_image


def write(tmp_path: Path) -> Path:
    """Writes a document: one box, two boxes, none, and one that lies outside."""
    images = [make_image("one", "hill"), make_image("two", None), make_image("none"), make_image("out")]
    annotations = [
        make_annotation("1", "one", bbox=[10, 12, 20, 30]),
        make_annotation("2", "two", 3),
        make_annotation("3", "two", 7),
        make_annotation("4", "out", bbox=[500, 0, 5, 5]),
    ]
    make_document(images, annotations).write(tmp_path / "ds_cct.json")
    return tmp_path / "ds_cct.json"


def made(path: Path, **options: Any) -> tuple[dict[str, Any], str]:
    """Returns what was written, and what was said."""
    done = make_queried_images(QueriedImagesConfig(path=path, dataset="ds", **options))
    value: dict[str, Any] = json.loads(done.output.read_text(encoding="utf-8"))
    return value, done.text()


def test_pictures_with_one_box_by_default(tmp_path: Path) -> None:
    """The one picture with exactly one box is kept, the others are listed with reasons, and the counts add up."""
    value, text = made(write(tmp_path))
    entry = value.pop("ds/one.jpg")
    assert value == {}
    assert (entry["dataset"], entry["location"], entry["class"], entry["label"]) == ("ds", "hill", "fox", ["fox"])
    assert entry["bbox"][0]["category"] == "animal"
    assert entry["bbox"][0]["bbox"] == pytest.approx([0.1, 0.2, 0.2, 0.5])
    assert "4 images read = 1 kept + 3 left out (2 × no_detection, 1 × several_detections)" in text
    assert "1 boxes or annotations left out (1 × box_outside)" in text


def test_several_boxes_on_request(tmp_path: Path) -> None:
    """With keep_several a picture has all its boxes and each of its labels once."""
    value, _ = made(write(tmp_path), keep_several=True)
    assert value["ds/two.jpg"]["label"] == ["fox", "rat"]
    assert len(value["ds/two.jpg"]["bbox"]) == 2
    assert value["ds/two.jpg"]["location"] == "unknown_location"


@pytest.mark.parametrize("kind", ["categories", "animals"])
def test_the_way_over_megadetector_gives_the_same(kind: Any, tmp_path: Path) -> None:
    """Directly, or over MegaDetector results of either kind, the same pictures come out."""
    path = write(tmp_path)
    direct, _ = made(path, keep_several=True)
    to_megadetector_file(CctToMegadetectorConfig(path=path, output=tmp_path / "md.json", detections_are=kind))
    over, _ = made(tmp_path / "md.json", keep_several=True)
    assert over == direct


def test_data_set_has_to_be_known(tmp_path: Path) -> None:
    """Pictures that name no data set need --dataset; without --output the name follows the input."""
    with pytest.raises(SettingError, match="give --dataset"):
        make_queried_images(QueriedImagesConfig(path=write(tmp_path)))
    done = make_queried_images(QueriedImagesConfig(path=write(tmp_path), dataset="ds", dry_run=True))
    assert done.output.name == "ds_cct_queried_images.json"
    assert not done.output.exists()


def test_an_id_that_an_earlier_annotation_has_is_rejected(tmp_path: Path) -> None:
    """As everywhere: the first annotation of an id counts, so the second picture has no box."""
    images = [make_image("one"), make_image("two")]
    make_document(images, [make_annotation("1", "one"), make_annotation("1", "two")]).write(tmp_path / "x_cct.json")
    value, text = made(tmp_path / "x_cct.json")
    assert list(value) == ["ds/one.jpg"]
    assert "1 × repeated_id" in text
    _, text = made(tmp_path / "x_cct.json", dry_run=True)
    assert "rejects.csv: would say what is not in it, and why" in text
