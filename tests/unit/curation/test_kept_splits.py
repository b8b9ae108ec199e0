"""Earlier splittings, read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.curation.kept_splits import read_earlier
from camtrap_tf.errors import SettingError, SourceError


def write(path: Path, content: Any) -> Path:
    """Writes text as it is, anything else as JSON."""
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_groups_are_read_in_all_forms(tmp_path: Path) -> None:
    """Texts, pairs of data set and location, and rows of records."""
    plain = read_earlier(write(tmp_path / "a.json", {"train": ["x", "y"], "test": ["z"]}))
    pairs = read_earlier(write(tmp_path / "b.json", {"train": [["ds", "x"], ["ds", "y"]], "test": [["ds", "z"]]}))
    rows = read_earlier(write(tmp_path / "c.csv", "id,split,group,location\n1,train,x,x\n2,train,y,y\n3,test,z,z\n"))
    assert plain.split_of_group == pairs.split_of_group == rows.split_of_group == {"x": "train", "y": "train", "z": "test"}
    assert plain.split_of_record is None
    assert rows.split_of_record == {"1": "train", "2": "train", "3": "test"}
    assert rows.settled(["z", "new", "x"], ["train", "test"]).tolist() == [1, -1, 0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", {"train": ["x"], "test": ["x"]}, "group 'x' is in two splits"),
        ("a.json", {"train": [["a", "x"]], "test": [["b", "x"]]}, "group 'x' is in two splits"),
        ("a.json", ["x"], "split → list of groups"),
        ("a.json", {"train": "x"}, "should hold a list of groups"),
        ("a.json", {"train": [{"x": 1}]}, "neither a group nor"),
        ("a.json", "{", "not a file of earlier splits"),
        ("a.csv", "id,part\n1,x\n", "no column split, group"),
        ("a.csv", "id,split,group\n1,train,\n", "line 2 lacks"),
    ],
)
def test_what_is_no_splitting_is_an_error(tmp_path: Path, name: str, content: Any, message: str) -> None:
    """The message says what is wrong, in which file."""
    with pytest.raises(SourceError, match=message) as raised:
        read_earlier(write(tmp_path / name, content))
    assert name in str(raised.value)


def test_what_is_absent_is_an_error(tmp_path: Path) -> None:
    """In both forms."""
    for name in ("a.json", "a.csv"):
        with pytest.raises(SourceError, match="no such"):
            read_earlier(tmp_path / name)


def test_another_inventory_or_other_splits_are_told(tmp_path: Path) -> None:
    """A splitting none of whose groups is there, or with a split that is not asked for, is a slip."""
    earlier = read_earlier(write(tmp_path / "a.json", {"train": ["x"], "dev": ["y"]}))
    with pytest.raises(SettingError, match=r"none of its 2 groups, e\.g\. 'x'"):
        earlier.settled(["p", "q"], ["train", "dev"])
    with pytest.raises(SettingError, match="its split 'dev' is none of --split-names train val"):
        earlier.settled(["x", "y"], ["train", "val"])
