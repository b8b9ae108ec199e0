"""Which shards a path and a pattern mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from camtrap_tf.dataset.discovery import find_shards, split_of
from camtrap_tf.errors import DatasetError, SettingError

NAMES = (
    "train_001-of-002.tfrecord",
    "train_002-of-002.tfrecord",
    "val_001-of-001.tfrecord",
    "interval_001-of-001.tfrecord",
    "train_valley_001-of-001.tfrecord",
    "test_S1_2013_001-of-001.tfrecord",
    "more/val_001-of-001.tfrecord",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with shards of several splits, and other files."""
    for name in NAMES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "train_notes.txt").write_text("")
    (tmp_path / ".train_003-of-003.tfrecord.12.part").write_text("")
    return tmp_path


def found(folder: Path, *patterns: str, substring: bool = False) -> list[str]:
    """Names of the shards found."""
    return [str(p.relative_to(folder)) for p in find_shards([folder], patterns, substring=substring, flag="--x")]


def test_a_pattern_is_a_split_at_the_start_of_the_name(folder: Path) -> None:
    """`val` is not found in interval or train_valley; sub-folders are searched."""
    assert found(folder, "val") == ["more/val_001-of-001.tfrecord", "val_001-of-001.tfrecord"]


def test_a_pattern_may_be_the_first_word_of_a_split(folder: Path) -> None:
    """`test` selects the split test_S1_2013, as seasons kept in their own splits need it."""
    assert found(folder, "test") == ["test_S1_2013_001-of-001.tfrecord"]
    assert found(folder, "test_S1_2013") == ["test_S1_2013_001-of-001.tfrecord"]


def test_of_several_splits_any_will_do(folder: Path) -> None:
    """Several patterns are a union of splits."""
    assert found(folder, "val", "interval") == [
        "interval_001-of-001.tfrecord",
        "more/val_001-of-001.tfrecord",
        "val_001-of-001.tfrecord",
    ]


def test_of_several_parts_all_have_to_occur(folder: Path) -> None:
    """As substrings, patterns are camera-trap-classifier's: anywhere in the name, all of them."""
    assert found(folder, "train", "val", substring=True) == ["train_valley_001-of-001.tfrecord"]


def test_without_patterns_everything(folder: Path) -> None:
    """No pattern selects all shards, unfinished and other files left out."""
    assert sorted(found(folder)) == sorted(NAMES)


def test_a_shard_is_found_once(folder: Path) -> None:
    """A folder named twice, or a file of it beside it, does not double its shards."""
    shard = folder / "val_001-of-001.tfrecord"
    assert len(find_shards([folder, folder / "more", shard], ["val"])) == 2


def test_one_shard_is_a_path_too(folder: Path) -> None:
    """A single file is accepted in the place of a folder."""
    shard = folder / "val_001-of-001.tfrecord"
    assert find_shards([shard], []) == (shard,)


def test_no_match_names_path_pattern_and_splits(folder: Path) -> None:
    """The message helps: where, what, what is there."""
    with pytest.raises(SettingError) as caught:
        find_shards([folder], ["vall"], flag="--val-tfr-path")
    message = str(caught.value)
    assert message.startswith(f"--val-tfr-path {folder}: no shard of split 'vall'; did you mean 'val'?")
    assert "interval, test_S1_2013, train, train_valley, val" in message


def test_each_pattern_has_to_match(folder: Path) -> None:
    """One split that is there does not hide another that is not."""
    with pytest.raises(SettingError, match="'holdout'"):
        find_shards([folder], ["train", "holdout"])


def test_no_substring_match_is_an_error(folder: Path) -> None:
    """So it is with substrings."""
    with pytest.raises(SettingError, match="no shard has 'train' and 'S2' in its name"):
        find_shards([folder], ["train", "S2"], substring=True)


def test_absent_and_empty_folders_are_errors(tmp_path: Path) -> None:
    """A folder that is not there, or has no shards, is said so with its flag."""
    with pytest.raises(SettingError, match=r"--x .*gone: no such file or folder"):
        find_shards([tmp_path / "gone"], ["train"], flag="--x")
    with pytest.raises(SettingError, match=r"no \.tfrecord file there"):
        find_shards([tmp_path], ["train"], flag="--x")


def test_an_unfinished_dataset_is_refused(folder: Path) -> None:
    """A folder with unfinished pieces and no manifest is not read; with the manifest it is."""
    (folder / ".partial").mkdir()
    with pytest.raises(DatasetError, match="unfinished"):
        find_shards([folder], ["train"])
    (folder / "dataset.json").write_text("{}")
    assert found(folder, "interval") == ["interval_001-of-001.tfrecord"]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train_001-of-012.tfrecord", "train"),
        ("test_S1_2013_001-of-3.tfrecord", "test_S1_2013"),
        ("x.tfrecord", "x"),
        ("a_b.tfrecord", "a_b"),
    ],
)
def test_split_of_a_name(name: str, split: str) -> None:
    """The split is what stands before the number."""
    assert split_of(name) == split
