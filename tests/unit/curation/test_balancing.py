"""Undersampling."""

from __future__ import annotations

import collections
import random

from camtrap_tf.curation.balancing import balanced_rows

IDS = [f"r{i}" for i in range(300)]
SPLITS = ["train" if i % 3 else "val" for i in range(300)]
CLASSES: list[str | None] = [None if i % 10 == 9 else "a" if i % 7 == 0 else "b" for i in range(300)]


def test_classes_are_equal_within_each_split() -> None:
    """Every class of a split has as many records as its rarest one; missing ones are left out."""
    rows = balanced_rows(IDS, SPLITS, CLASSES, seed=1)
    kept = collections.Counter((SPLITS[row], CLASSES[row]) for row in rows)
    before = collections.Counter((split, name) for split, name in zip(SPLITS, CLASSES, strict=True))
    for split in ("train", "val"):
        assert kept[split, "a"] == kept[split, "b"] == min(before[split, "a"], before[split, "b"])
    assert {name for _, name in kept} == {"a", "b"}
    assert rows == sorted(rows)


def test_the_choice_depends_on_ids_and_seed_alone() -> None:
    """Shuffled records give the same choice, another seed another."""
    chosen = {IDS[row] for row in balanced_rows(IDS, SPLITS, CLASSES, seed=1)}
    order = list(range(300))
    random.Random(0).shuffle(order)
    ids, classes = [IDS[row] for row in order], [CLASSES[row] for row in order]
    rows = balanced_rows(ids, [SPLITS[row] for row in order], classes, seed=1)
    assert {ids[row] for row in rows} == chosen
    assert {IDS[row] for row in balanced_rows(IDS, SPLITS, CLASSES, seed=2)} != chosen
