"""What is wrong with a document."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from camtrap_tf.cct.validating import file_problems, notes_on, problems_of, validate_file
from camtrap_tf.config.cct import CctValidateConfig
from camtrap_tf.sources.cct_document import CctDocument
from tests.unit.cct.documents import make_annotation, make_document, make_image

NOW = datetime.datetime(2024, 6, 1)


def found(document: CctDocument) -> list[tuple[str, str, str]]:
    """Returns unit, item and reason of every problem."""
    return [(one.unit, one.item, one.reason) for one in problems_of(document, now=NOW)]


def test_a_sound_document_has_no_problem() -> None:
    """Ids of any kind that agree as texts, boxes inside, times in the past: nothing is wrong."""
    image = make_image("1", datetime="2024-05-31 10:00:00")
    numbered = {**make_annotation("1", "1"), "image_id": 1}
    assert found(make_document([image], [numbered, make_annotation("2", "1", bbox=None)])) == []


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (make_image("x", width=-3), "bad_dimensions"),
        (make_image("x", width="100"), "bad_dimensions"),
        (make_image("x", datetime="2031-01-01 00:00:00"), "future_time"),
        (make_image("x", date_captured="31/05/2024"), "bad_time"),
        (make_image("x", file_name="i.jpg"), "repeated_file"),
        (make_image("i", file_name="x.jpg"), "repeated_id"),
        (make_image("x", file_name="../x.jpg"), "outside_root"),
        ({"id": "x"}, "no_path"),
        ({"file_name": "x.jpg"}, "no_id"),
    ],
)
def test_problems_of_images(image: dict[str, Any], reason: str) -> None:
    """Each problem of an image has its reason and names the image."""
    problems = found(make_document([make_image("i"), image], []))
    assert [(unit, why) for unit, _, why in problems] == [("image", reason)]
    assert problems[0][1]


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        (make_annotation("x", "nowhere"), "unknown_image"),
        (make_annotation("x", "i", 99), "unknown_category"),
        (make_annotation("good", "i"), "repeated_id"),
        (make_annotation("x", "i", bbox=[90, 10, 20, 20]), "bbox_sticks_out"),
        (make_annotation("x", "i", bbox=[0.1, 0.1, 0.2, 0.2]), "box_relative"),
        (make_annotation("x", "i", bbox=[1, 1, 0, 5]), "box_empty"),
        (make_annotation("x", "i", bbox=[500, 1, 5, 5]), "box_outside"),
        (make_annotation("x", "i", bbox=None, bbox_relative=[50, 60, 70, 80]), "box_absolute"),
    ],
)
def test_problems_of_annotations(annotation: dict[str, Any], reason: str) -> None:
    """Each problem of an annotation has its reason."""
    document = make_document([make_image("i")], [make_annotation("good", "i"), annotation])
    assert [why for _, _, why in found(document)] == [reason]


def test_problems_of_categories() -> None:
    """Ids that clash, names that are there twice and missing ones are named by their place."""
    document = make_document([], []).with_parts(
        categories=[{"id": 1, "name": "fox"}, {"id": "1", "name": "rat"}, {"id": 2, "name": "FOX"}, {"name": "x"}, {"id": 3}]
    )
    assert [(item, why) for _, item, why in found(document)] == [
        ("categories 2", "repeated_id"),
        ("categories 3", "repeated_name"),
        ("categories 4", "no_id"),
        ("categories 5", "no_name"),
    ]


def test_files_are_looked_at(tmp_path: Path) -> None:
    """Missing files, other sizes and what is no picture are told apart; sizes only where asked for."""
    Image.new("RGB", (100, 60)).save(tmp_path / "good.jpg")
    Image.new("RGB", (60, 100)).save(tmp_path / "turned.jpg")
    (tmp_path / "text.jpg").write_text("no picture", encoding="utf-8")
    document = make_document([make_image(key) for key in ("good", "turned", "text", "gone")], [])
    assert [one.reason for one in file_problems(document, tmp_path, sizes=True)] == ["other_size", "unreadable", "missing_file"]
    assert [one.reason for one in file_problems(document, tmp_path, sizes=False)] == ["missing_file"]


def test_notes_say_what_the_file_can_be_used_for() -> None:
    """Missing locations and sequences, bare images and an `empty` that is not 0 are said."""
    document = make_document([make_image("i", None)], [], {30: "empty"})
    said = " ".join(notes_on(document))
    for part in ("have no location", "have no seq_id", "have no annotation", "by convention empty is 0"):
        assert part in said


def test_command_counts_writes_and_ends_as_asked(tmp_path: Path) -> None:
    """Fine and bad entries add up; the table has all problems; above the share allowed the exit code is 3."""
    images = [make_image("i")]
    annotations = [make_annotation(str(number), "nowhere") for number in range(10)]
    make_document(images, annotations).write(tmp_path / "in.json")
    config = CctValidateConfig(path=tmp_path / "in.json", report=tmp_path / "r.csv", max_problem_share=0.5)
    done = validate_file(config)
    assert "10 annotations = 0 fine + 10 with a problem (10 × unknown_image)" in done.text()
    assert "3 categories = 3 fine" in done.text()
    assert "… and 7 more" in done.text()
    assert len((tmp_path / "r.csv").read_text(encoding="utf-8").splitlines()) == 11
    assert done.exit_code == 3
    assert validate_file(config.model_copy(update={"max_problem_share": 1.0})).exit_code == 0
