"""Undersampling: within each split every class is cut down to the rarest one."""

from __future__ import annotations

import collections
import hashlib
from collections.abc import Sequence


def balanced_rows(ids: Sequence[str], splits: Sequence[str], classes: Sequence[str | None], *, seed: int) -> list[int]:
    """Returns the rows to keep, ascending, so that every class has as many records as the rarest one of its split.

    Which records of a class stay depends on the seed and their ids alone, not on their order.

    Args:
        ids: id of each record.
        splits: split of each record.
        classes: class of each record; None where it is missing, such records are left out.
        seed: another seed keeps other records.
    """
    members: dict[str, dict[str, list[int]]] = collections.defaultdict(lambda: collections.defaultdict(list))
    for row, (split, name) in enumerate(zip(splits, classes, strict=True)):
        if name is not None:
            members[split][name].append(row)
    kept: list[int] = []
    for by_class in members.values():
        rarest = min(map(len, by_class.values()))
        for rows in by_class.values():
            kept.extend(sorted(rows, key=lambda row: _draw(ids[row], seed))[:rarest])
    return sorted(kept)


def _draw(record_id: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:balance:{record_id}".encode()).digest()
