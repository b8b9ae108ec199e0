"""Label mappings put together by the command."""

from __future__ import annotations

from pathlib import Path

import pytest

from camtrap_tf.config.dataset import LabelsMergeConfig
from camtrap_tf.curation.mappings import merge_label_mappings
from camtrap_tf.errors import LabelError, SourceError
from camtrap_tf.labels import LabelMapping


def test_the_merged_mapping_is_written_and_told(tmp_path: Path) -> None:
    """The file covers both; the summary says what each brought."""
    LabelMapping({"species": {"cat": 0, "dog": 1}}).write(tmp_path / "a.json")
    LabelMapping({"species": {"cat": 0, "ant": 1}, "count": {"1": 0}}).write(tmp_path / "b.json")
    config = LabelsMergeConfig(mappings=(tmp_path / "a.json", tmp_path / "b.json"), output=tmp_path / "new/c.json")
    planned = merge_label_mappings(config.model_copy(update={"dry_run": True})).text()
    assert not (tmp_path / "new").exists()
    merged = merge_label_mappings(config)
    assert planned == merged.text().replace(f"{tmp_path}/new", f"would write {tmp_path}/new")
    assert LabelMapping.read(tmp_path / "new/c.json").as_json() == {
        "count": {"1": 0},
        "species": {"ant": 0, "cat": 1, "dog": 2},
    }
    assert merged.text().splitlines() == [
        f"{tmp_path}/a.json: adds species: cat, dog",
        f"{tmp_path}/b.json: adds species: ant; adds count: 1",
        f"{tmp_path}/new/c.json: classes per label: count 1, species 3",
    ]


def test_mappings_that_disagree_are_refused(tmp_path: Path) -> None:
    """Nothing is written."""
    LabelMapping({"species": {"cat": 0, "dog": 0}}).write(tmp_path / "a.json")
    LabelMapping({"species": {"cat": 0, "dog": 1}}).write(tmp_path / "b.json")
    config = LabelsMergeConfig(mappings=(tmp_path / "a.json", tmp_path / "b.json"), output=tmp_path / "c.json")
    with pytest.raises(LabelError, match="make them agree"):
        merge_label_mappings(config)
    assert not (tmp_path / "c.json").exists()


def test_absent_mappings_are_named(tmp_path: Path) -> None:
    """One line, with the path."""
    config = LabelsMergeConfig(mappings=(tmp_path / "a.json", tmp_path / "b.json"), output=tmp_path / "c.json")
    with pytest.raises(SourceError, match=r"a\.json: no such label mapping"):
        merge_label_mappings(config)
