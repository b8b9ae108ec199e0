"""The small files beside a classification data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.errors import CamtrapError
from camtrap_tf.sources.split_files import read_label_index, read_splits, write_label_index, write_splits


def write(path: Path, value: Any) -> Path:
    """Writes JSON."""
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def test_splits_come_back_sorted(tmp_path: Path) -> None:
    """Places are written sorted, and an empty split is there as an empty list."""
    write_splits(tmp_path / "s.json", {"train": [("b", "1"), ("a", "2")], "val": [], "test": []})
    assert json.loads((tmp_path / "s.json").read_text(encoding="utf-8")) == {
        "train": [["a", "2"], ["b", "1"]],
        "val": [],
        "test": [],
    }
    assert read_splits(tmp_path / "s.json")["train"] == [("a", "2"), ("b", "1")]


def test_older_and_plainer_forms_are_read(tmp_path: Path) -> None:
    """Without a test split it is empty; numbers and null are locations; a location alone stands for any data set."""
    value = {"train": [["a", 7], ["a", None]], "val": ["hill"]}
    assert read_splits(write(tmp_path / "s.json", value)) == {
        "train": [("a", "7"), ("a", "unknown_location")],
        "val": [("combined", "hill")],
        "test": [],
    }


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "not a splits.json"),
        ({"train": {}}, "is not a list"),
        ({"train": [["a"]]}, "is not .data set, location."),
        ({"../x": []}, "cannot begin the name of a file"),
        ({"train": [["a", "1"]], "val": [["a", "1"]]}, "is in the splits 'train' and 'val'"),
    ],
)
def test_other_files_say_what_they_are_not(value: Any, said: str, tmp_path: Path) -> None:
    """Wrong forms, names that lead out and overlapping splits are refused."""
    with pytest.raises(CamtrapError, match=said):
        read_splits(write(tmp_path / "s.json", value))


def test_label_index(tmp_path: Path) -> None:
    """Labels come back in the order of their numbers; gaps are refused."""
    labels = [f"label {number}" for number in range(12)]
    write_label_index(tmp_path / "l.json", labels)
    assert read_label_index(tmp_path / "l.json") == labels
    for bad in ({"0": "a", "2": "b"}, ["a"], {"0": 3}):
        with pytest.raises(CamtrapError):
            read_label_index(write(tmp_path / "x.json", bad))
