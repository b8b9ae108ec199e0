"""Counts of categories, and the locations that have one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from camtrap_tf.cct.counting import category_counts, count_file, find_locations, locations_with
from camtrap_tf.cct.validating import validate_file
from camtrap_tf.config.cct import CctCountsConfig, CctLocationsConfig, CctValidateConfig
from camtrap_tf.errors import SettingError
from camtrap_tf.sources.cct_document import CctDocument
from tests.reading import rows_of
from tests.shared_data import shared
from tests.unit.cct.documents import make_annotation, make_document, make_image

IMAGES = [make_image("1", "a"), make_image("2", "a", dataset="x"), make_image("3", "b")]
ANNOTATIONS = [
    make_annotation("1", "1", 7),
    make_annotation("2", "1", 7),
    make_annotation("3", "2", 7),
    make_annotation("4", "3", 3),
    make_annotation("5", "1", 3),
]


def test_counts_of_every_category() -> None:
    """Two rats on one image count twice; a location name in two data sets is two locations; zeros are listed."""
    counts = category_counts(make_document(IMAGES, ANNOTATIONS))
    assert [(one.name, one.annotations, one.images, one.locations) for one in counts] == [
        ("empty", 0, 0, 0),
        ("fox", 2, 2, 2),
        ("rat", 3, 2, 2),
    ]


def test_counts_of_a_real_file(tmp_path: Path) -> None:
    """The published CCT-20 validation set: 10 locations, 3582 annotations, as counted from the JSON itself."""
    path = shared("data/cct20_cis_val_json/cis_val_annotations.json")
    done = count_file(CctCountsConfig(path=path, output=tmp_path / "c.csv"))
    value = json.loads(path.read_text(encoding="utf-8"))
    for one in done.counts:
        assert one.annotations == sum(entry["category_id"] == int(one.id) for entry in value["annotations"])
    assert sum(int(row["annotations"]) for row in rows_of(tmp_path / "c.csv")) == 3582


def test_locations_with_a_category() -> None:
    """Most annotations first; case does not matter; an unknown name is an error."""
    document = make_document(IMAGES, ANNOTATIONS)
    assert locations_with(document, ["Rat"]) == (("", "a", 2, 1), ("x", "a", 1, 1))
    with pytest.raises(SettingError, match="did you mean 'rat'"):
        locations_with(document, ["rats"])


def test_contrast_and_files(tmp_path: Path) -> None:
    """Everything else at those locations is counted and can be written: as CSV, as JSON, as a document."""
    make_document(IMAGES, ANNOTATIONS).write(tmp_path / "in.json")
    for name in ("l.csv", "l.json"):
        found = find_locations(
            CctLocationsConfig(
                path=tmp_path / "in.json",
                category=("rat",),
                contrast=True,
                output=tmp_path / name,
                cct_output=tmp_path / "o.json",
            )
        )
    assert found.contrast == (("7", "rat", 3, 2), ("3", "fox", 1, 1))
    assert (tmp_path / "l_contrast.csv").read_text(encoding="utf-8").splitlines()[1:] == ["7,rat,3,2", "3,fox,1,1"]
    assert json.loads((tmp_path / "l.json").read_text(encoding="utf-8"))["locations"][0]["location"] == "a"
    assert len(CctDocument.read(tmp_path / "o.json").annotations) == 4
    assert "everything at these locations" in found.text()


def test_images_without_a_location_are_at_none(tmp_path: Path) -> None:
    """Neither the summary nor the table of categories takes their missing location for one; their number is told."""
    images = [make_image("1", None), make_image("2", "unknown_location"), make_image("3", "b")]
    document = make_document(images, [make_annotation(key, key) for key in "123"])
    document.write(tmp_path / "in.json")
    assert {one.name: one.locations for one in category_counts(document)}["fox"] == 1
    text = count_file(CctCountsConfig(path=tmp_path / "in.json")).text()
    assert "3 images, 3 annotations, 3 categories, 1 location (2 images without a location)" in text
    found = find_locations(CctLocationsConfig(path=tmp_path / "in.json", category=("fox",), output=tmp_path / "o.csv"))
    assert "3 annotations of fox at 1 location, 2 of them at none" in found.text()


def test_files_of_another_kind_are_kept(tmp_path: Path) -> None:
    """Tables do not replace settings, documents, or the file that is read."""
    document = tmp_path / "x.json"
    make_document([make_image("i")], [make_annotation("1", "i")]).write(document)
    before = document.read_bytes()
    (tmp_path / "facts.yaml").write_text("a: 1")
    for output in (tmp_path / "facts.yaml", document):
        with pytest.raises(SettingError, match="--output"):
            count_file(CctCountsConfig(path=document, output=output))
        with pytest.raises(SettingError, match="--report"):
            validate_file(CctValidateConfig(path=document, report=output))
    with pytest.raises(SettingError, match="--output"):
        find_locations(CctLocationsConfig(path=document, category=("fox",), output=document))
    with pytest.raises(SettingError, match="--cct-output"):
        find_locations(CctLocationsConfig(path=document, category=("fox",), cct_output=tmp_path / "a.csv"))
    with pytest.raises(ValueError, match="--output and --cct-output are one file"):
        CctLocationsConfig(path=document, category=("fox",), output=tmp_path / "a.json", cct_output=tmp_path / "a.json")
    assert (document.read_bytes(), (tmp_path / "facts.yaml").read_text()) == (before, "a: 1")
    for _ in range(2):
        count_file(CctCountsConfig(path=document, output=tmp_path / "counts.csv"))
