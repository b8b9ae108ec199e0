"""Extreme examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from camtrap_tf.input_pipeline.shard_set import ShardSet
from camtrap_tf.models.heads import HeadSpec
from camtrap_tf.training.extremes import find_extremes, write_extremes
from camtrap_tf.training.measuring import RecordRows
from tests.reading import rows_of
from tests.unit.training.helpers import write_dataset

PROBABILITIES = np.array(
    [[0.7, 0.2, 0.1], [0.9, 0.05, 0.05], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4], [0.2, 0.7, 0.1]], np.float32
)
TARGETS = np.array([0, 0, 1, 0, -1, 1])


def found(k: int) -> dict[tuple[int, str], list[tuple[int, float]]]:
    """Returns extremes by class and kind: record and distance."""
    groups: dict[tuple[int, str], list[tuple[int, float]]] = {}
    for one in find_extremes(np.arange(10, 16), PROBABILITIES, TARGETS, k=k):
        groups.setdefault((one.class_index, one.kind), []).append((one.record, pytest.approx(one.distance)))
    return groups


def test_one_class_a_record() -> None:
    """Right ones go by the lead of the true class, wrong ones by that of the answer; each under its own class."""
    assert found(5) == {
        (0, "right"): [(11, 0.85), (10, 0.5)],
        (0, "false"): [(12, 0.3)],
        (0, "missed"): [(13, 0.7)],
        (1, "right"): [(15, 0.5)],
        (1, "false"): [(13, 0.7)],
        (1, "missed"): [(12, 0.3)],
    }
    assert found(1)[0, "right"] == [(11, 0.85)]


def test_several_classes_a_record() -> None:
    """Of sigmoid heads each class counts by itself; records without labels take no part."""
    probabilities = np.array([[0.9, 0.2], [0.6, 0.9], [0.1, 0.5]])
    targets = np.array([[1, 1], [0, 1], [-1, -1]])
    spec = HeadSpec(kind="sigmoid")
    extremes = find_extremes(np.arange(3), probabilities, targets, k=3, spec=spec)
    assert {(one.class_index, one.kind, one.record) for one in extremes} == {
        (0, "right", 0),
        (0, "false", 1),
        (1, "right", 1),
        (1, "missed", 0),
    }


def test_sheets_and_table(tmp_path: Path) -> None:
    """Every class that has extremes gets a sheet; the table names records, and an earlier attempt goes."""
    shards = ShardSet.open((write_dataset(tmp_path / "data"),), ("val",))
    stale = tmp_path / "extreme_examples" / "old.png"
    stale.parent.mkdir()
    stale.write_bytes(b"")
    rows = [RecordRows(np.arange(6), {"is/there": PROBABILITIES}, {"is/there": TARGETS})]
    names = {"is/there": ("no", "yes: surely", "maybe")}
    folder = write_extremes(tmp_path, rows, shards, names=names, specs={}, k=2)
    assert not stale.exists()
    assert sorted(path.name for path in (folder / "is_there").iterdir()) == ["000_no.png", "001_yes_ surely.png"]
    table = rows_of(folder / "is_there.csv")
    assert len(table) == 7
    assert table[0] == {
        "class": "no", "kind": "right", "rank": "1", "id": "val1", "distance": "0.8500",
        "answers": "no 90.0%; yes: surely 5.0%; maybe 5.0%",
    }  # fmt: skip
    with Image.open(folder / "is_there" / "000_no.png") as sheet:
        colours = {colour for _, colour in sheet.convert("RGB").getcolors(1 << 24)}
    assert any(abs(r - 40) < 12 and abs(g - 60) < 12 and abs(b - 160) < 12 for r, g, b in colours)  # the zebra's


def test_nothing_measured(tmp_path: Path) -> None:
    """Without records there is an empty folder, and no error."""
    shards = ShardSet.open((write_dataset(tmp_path / "data"),), ("val",))
    assert write_extremes(tmp_path, [], shards, names={"species": ("a",)}, specs={}, k=2).is_dir()
