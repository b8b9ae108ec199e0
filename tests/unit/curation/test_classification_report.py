"""The inspection of a classification data set."""

from __future__ import annotations

from pathlib import Path

import pytest

from camtrap_tf.config.classification import ClassificationInspectConfig
from camtrap_tf.curation.classification_report import compared, inspect_classification_set, tabulate, too_little
from camtrap_tf.sources.classification_csv import CropRow, write_rows
from camtrap_tf.sources.split_files import Splits, write_splits
from tests.factories import make_jpeg
from tests.reading import rows_of

SPLITS: Splits = {"train": [("d", "1"), ("d", "2")], "val": [("d", "3")], "test": [("d", "4")]}


def row(number: int, location: str, label: str = "fox") -> CropRow:
    """Returns a crop."""
    return CropRow(path=f"{number}.jpg", dataset="d", location=location, dataset_class=label, confidence=1, labels=(label,))


ROWS = [row(0, "1"), row(1, "1"), row(2, "2"), row(3, "3"), row(4, "1", "<b>rat"), row(5, "9")]


def test_table_by_hand() -> None:
    """Foxes: 3 of 4 crops and 2 of 3 locations in train; the weight of a label is crops / (its crops * labels there)."""
    found = {(one.label, one.split): one for one in tabulate(ROWS, SPLITS)}
    fox = found["fox", "train"]
    assert (fox.crops, fox.crop_share, fox.locations, fox.location_share) == (3, 0.75, 2, pytest.approx(2 / 3))
    assert (fox.share_in_split, fox.weight) == (0.75, pytest.approx(4 / (3 * 2)))
    assert found["<b>rat", "train"].weight == pytest.approx(4 / (1 * 2))
    assert (found["fox", "test"].crops, found["fox", "test"].weight) == (0, 0)


@pytest.mark.parametrize(
    ("split", "facts", "flags"),
    [
        ("test", (300, 0.05, 5, 0.10), 0),
        ("test", (299, 0.08, 5, 0.10), 1),
        ("test", (299, 0.10, 4, 0.50), 1),
        ("test", (299, 0.08, 9, 0.09), 2),
        ("val", (1, 0.09, 5, 0.10), 0),
        ("train", (999, 0.39, 10, 0.40), 1),
        ("train", (1000, 0.39, 10, 0.39), 1),
        ("extra", (0, 0.0, 0, 0.0), 0),
    ],
)
def test_limits(split: str, facts: tuple[int, float, int, float], flags: int) -> None:
    """Locations are too few by number or by share, crops by both together, at the limits of each split."""
    assert len(too_little(split, *facts)) == flags


def test_compared_splits() -> None:
    """Only places that both have, in other splits, are listed."""
    other: Splits = {"train": [("d", "1"), ("d", "3"), ("e", "1")], "val": [("d", "2")]}
    assert compared(SPLITS, other) == ((("d", "2"), "train", "val"), (("d", "3"), "val", "train"))


def test_tables_and_page_are_written(tmp_path: Path) -> None:
    """Tables as CSV, a page with examples inside; names from data cannot become markup; the summary warns."""
    write_rows(tmp_path / "classification_ds.csv", ROWS)
    write_splits(tmp_path / "splits.json", SPLITS)
    (tmp_path / "crops").mkdir()
    (tmp_path / "crops/0.jpg").write_bytes(make_jpeg())
    config = ClassificationInspectConfig(
        path=tmp_path, output_dir=tmp_path / "o", crops_dir=tmp_path / "crops", compare=tmp_path / "splits.json"
    )
    found = inspect_classification_set(config)
    text = found.text()
    assert "6 crops, 0 rows rejected; locations: train 2, val 1, test 0" in text
    assert "warning: 1 crop at locations that no split has" in text
    (head,) = (line for line in text.splitlines() if line.startswith("too little"))
    assert "train 10 locations and 40% of them, 1000 crops or 40%" in head
    assert any(line.startswith("  fox: train ") for line in text.splitlines())
    page = (tmp_path / "o/inspection.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64") == 1
    assert "&lt;b&gt;rat" in page
    assert "<b>rat" not in page
    assert page.count("<circle") == 5
    rows = rows_of(tmp_path / "o/labels_by_split.csv")
    assert [int(one["crops"]) for one in rows if one["label"] == "fox"] == [3, 1, 0]


def test_examples_need_a_page(tmp_path: Path) -> None:
    """Crops without a folder to write the page to are not looked at, which is said."""
    write_rows(tmp_path / "classification_ds.csv", ROWS)
    write_splits(tmp_path / "splits.json", SPLITS)
    plain = inspect_classification_set(ClassificationInspectConfig(path=tmp_path)).text()
    assert "--crops-dir" not in plain
    found = inspect_classification_set(ClassificationInspectConfig(path=tmp_path, crops_dir=tmp_path))
    note = "--crops-dir: not looked at, as examples are on the page, which --output-dir writes"
    assert found.text().splitlines() == [*plain.splitlines(), note]
