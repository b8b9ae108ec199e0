"""What is said of the splits of a classification data set: empty ones, and those whose share of the crops is far off."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence

import numpy as np

from camtrap_tf.config.classification import ClassificationConfig
from camtrap_tf.curation.leakage import shares_off
from camtrap_tf.curation.scored_splits import GroupTable, alone_in
from camtrap_tf.sources.classification_csv import CropRow
from camtrap_tf.sources.split_files import Place, Splits, places_to_splits


def group_table(rows: Sequence[CropRow]) -> tuple[GroupTable, list[Place]]:
    """Returns how many crops of each label stand at each (data set, location), and these pairs in the order of its rows."""
    by_name = {f"{row.dataset}/{row.location}": row.place for row in rows}
    names = sorted(by_name)
    labels = sorted({label for row in rows for label in row.labels})
    at, number = {name: place for place, name in enumerate(names)}, {label: place for place, label in enumerate(labels)}
    counts = np.zeros((len(names), len(labels)), np.int64)
    for row in rows:
        for label in row.labels:
            counts[at[f"{row.dataset}/{row.location}"], number[label]] += 1
    return GroupTable(tuple(names), tuple(labels), counts), [by_name[name] for name in names]


def share_notes(
    rows: Sequence[CropRow], splits: Splits, config: ClassificationConfig, shares: Mapping[str, float]
) -> list[str]:
    """Returns a sentence on the splits whose share of the crops is far off, where none is empty and none was taken over.

    Args:
        rows: the crops.
        splits: their locations by split.
        config: how they were dealt.
        shares: what each split was due, 0 where nothing.
    """
    due = {name: share for name, share in shares.items() if share > 0}
    split_of = places_to_splits(splits)
    counts = collections.Counter(split_of[row.place] for row in rows)
    if config.match_test or not all(counts[name] for name in due):
        return []
    off = shares_off({name: counts[name] / len(rows) for name in due}, due)
    mend = (
        "--method random comes nearer where the locations allow it"
        if config.method == "smallest_first"
        else "too few locations, or too unequal ones; labels at few locations come before the shares"
    )
    return [f"warning: shares of the crops are off: {', '.join(off)}; {mend}"] if off else []


def empty_split_warnings(
    rows: Sequence[CropRow], splits: Splits, config: ClassificationConfig, shares: Mapping[str, float]
) -> list[str]:
    """Returns a sentence on the splits that should have crops and have none, with why and what to do; as `share_notes`."""
    empty = [repr(name) for name, share in shares.items() if share > 0 and not splits[name]]
    if not empty:
        return []
    test = set(splits["test"]) if config.match_test else set()
    table, _ = group_table([row for row in rows if row.place not in test])
    alone = int(alone_in(table).sum())
    none = f"split {empty[0]} has" if len(empty) == 1 else f"splits {' and '.join(empty)} have"
    return [
        f"{none} no crop: {alone} of {len(table.groups)} locations {'has' if alone == 1 else 'have'} a label that is at no "
        "other, and such labels go to train; add locations with them, leave them out (--min-locs 2), or take fewer splits"
    ]
