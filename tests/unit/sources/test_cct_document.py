"""A COCO Camera Traps file comes back as it was, or says what it is instead."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.errors import SourceError
from camtrap_tf.sources.cct_document import MAX_DEPTH, CctDocument, number_of, text_of
from tests.shared_data import shared

SMALL: dict[str, Any] = {
    "annotations": [{"image_id": "a", "id": 1, "category_id": 3, "bbox": [1, 2.5, 3, 4], "note": "é"}],
    "x-own": {"deep": [1, {"b": None}]},
    "categories": [{"name": "fox", "id": 3}, {"name": "empty", "id": 0}],
    "info": {"version": "1.0"},
    "images": [{"id": "a", "file_name": "a.jpg", "location": 7}],
}


def _write(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def test_document_comes_back_as_it_was(tmp_path: Path) -> None:
    """Reading and writing keep every member, unknown ones too, and the order of all keys."""
    CctDocument.read(_write(tmp_path / "a.json", SMALL)).write(tmp_path / "b.json")
    again = json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))
    assert json.dumps(again) == json.dumps(SMALL)


def test_real_file_comes_back_as_it_was(tmp_path: Path) -> None:
    """The published validation set of CCT-20 survives reading and writing, to the order of its keys."""
    path = shared("data/cct20_cis_val_json/cis_val_annotations.json")
    document = CctDocument.read(path)
    document.write(tmp_path / "again.json")
    again = (tmp_path / "again.json").read_text(encoding="utf-8")
    assert json.dumps(json.loads(again)) == json.dumps(json.loads(path.read_text(encoding="utf-8")))
    assert len(document.images) == 3484
    assert len(document.annotations) == 3582


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"images": [{"id": "a"', "cut off"),
        ("[]", "not a COCO Camera Traps file"),
        ('{"images": [], "detection_categories": {}}', "from-md"),
        ('{"annotations": [], "categories": []}', "has no images"),
        ('{"images": {}, "annotations": [], "categories": []}', "'images' is not a list"),
        ('{"images": [], "annotations": [], "info": ' + "[" * 70 + "]" * 70 + "}", f"deeper than {MAX_DEPTH}"),
        ('{"images": ' + "[" * 100_000, "cannot be read as JSON"),
    ],
)
def test_what_is_no_document_says_so(text: str, said: str, tmp_path: Path) -> None:
    """A file of another form, a cut one and a hostile one end in one sentence about it."""
    path = tmp_path / "x.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SourceError, match=said):
        CctDocument.read(path)


def test_nan_is_read_as_null_and_noted(tmp_path: Path) -> None:
    """NaN, as pandas writes it for missing locations, becomes null, so that the file written is JSON."""
    path = tmp_path / "x.json"
    path.write_text('{"images": [{"id": 1, "file_name": "a", "location": NaN}], "annotations": []}', encoding="utf-8")
    document = CctDocument.read(path)
    document.write(tmp_path / "y.json")
    assert document.images[0]["location"] is None
    assert any("NaN" in note for note in document.notes)
    assert "NaN" not in (tmp_path / "y.json").read_text(encoding="utf-8")


def test_entries_that_are_no_objects_are_rejected(tmp_path: Path) -> None:
    """Texts and numbers among the images are listed with their place; the others stay."""
    value = {"images": [{"id": 1}, "x", 3], "annotations": [], "categories": []}
    document = CctDocument.read(_write(tmp_path / "x.json", value))
    assert [reject.item for reject in document.rejects] == ["images 2", "images 3"]
    assert document.images == [{"id": 1}]


def test_half_a_surrogate_pair_can_be_written(tmp_path: Path) -> None:
    """A half of a surrogate pair, which no UTF-8 file can hold, is replaced when read."""
    path = tmp_path / "x.json"
    path.write_text('{"images": [{"id": "a\\ud800"}], "annotations": []}', encoding="utf-8")
    document = CctDocument.read(path)
    document.write(tmp_path / "y.json")
    assert document.images == [{"id": "a?"}]


def test_infinite_number_is_not_written(tmp_path: Path) -> None:
    """1e999, which is infinite in memory, ends in one sentence and leaves no file."""
    path = tmp_path / "x.json"
    path.write_text('{"images": [{"id": "a", "w": 1e999}], "annotations": []}', encoding="utf-8")
    with pytest.raises(SourceError, match="cannot be written as JSON"):
        CctDocument.read(path).write(tmp_path / "y.json")
    assert not (tmp_path / "y.json").exists()


@pytest.mark.parametrize(
    ("value", "text"),
    [("7", "7"), (7, "7"), (7.0, "7"), (7.5, "7.5"), (None, None), ("", None), (float("nan"), None), (True, None), ([], None)],
)
def test_ids_are_texts(value: Any, text: str | None) -> None:
    """Ids that are whole numbers, of whatever type, are the text of that number."""
    assert text_of(value) == text


@pytest.mark.parametrize(("value", "number"), [(3, 3.0), (2.5, 2.5), ("3", None), (True, None), (10**400, None)])
def test_numbers_are_finite(value: Any, number: float | None) -> None:
    """Only finite numbers count as numbers."""
    assert number_of(value) == number


@pytest.mark.parametrize(
    "value",
    [
        "18446744073709551616", "-9223372036854775809", "123456789012345678901234567890", "0.1234567890123456789", "-0.0",
        "5e-324", "1.7976931348623157e308", "9007199254740993",
        '"\\ud83d\\ude00 \\u0000"', '"1234567890123456789012"', "[[[]]]",
    ],
)  # fmt: skip
def test_values_are_read_without_loss(tmp_path: Path, value: str) -> None:
    """Whichever parser reads a file, its values are those that Python's own reads."""
    path = tmp_path / "x.json"
    path.write_text(f'\ufeff{{"images": [{{"id": 1, "mine": {value}}}], "annotations": []}}', encoding="utf-8")
    read = CctDocument.read(path).images[0]["mine"]
    assert (type(read), repr(read)) == (type(json.loads(value)), repr(json.loads(value)))
