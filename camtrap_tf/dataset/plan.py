"""The shard plan: which records go into which shard, in which order. Arithmetic only, no files.

Per split the records are sorted by id and cut into slices of nearly equal size; inside a shard they are shuffled. The plan
depends on ids, splits, the seed and the size of shards, on nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from camtrap_tf.dataset.discovery import SUFFIX
from camtrap_tf.errors import SettingError

LONGEST_SPLIT_NAME = 200
"""Bytes; file systems allow 255 for a file name."""


@dataclass(frozen=True, slots=True)
class PlannedShard:
    """One shard to be written.

    Attributes:
        name: file name.
        split: the split of its records.
        start: first of its records among those of the split, sorted by id.
        stop: one past the last.
    """

    name: str
    split: str
    start: int
    stop: int


def plan_shards(split: str, records: int, *, max_records: int) -> tuple[PlannedShard, ...]:
    """Cuts the records of a split into as few shards as possible, whose sizes differ by one at most.

    Args:
        split: name of the split.
        records: how many records it has.
        max_records: most records in a shard.
    """
    count = -(-records // max_records)
    # Nearest whole number to i * records / count, halves up, without floats.
    ends = [(2 * i * records + count) // (2 * count) for i in range(count + 1)] if count else []
    return tuple(PlannedShard(f"{split}_{i + 1:03d}-of-{count:03d}{SUFFIX}", split, ends[i], ends[i + 1]) for i in range(count))


def shuffled(ids: Sequence[str], *, seed: int, shard: str) -> list[int]:
    """Returns the order in which the records of a shard are written: positions in `ids`.

    Records are sorted by a hash of seed, shard and id, so the order is the same with every version of every library.
    """
    keys = [hashlib.sha256(f"{seed}\0{shard}\0{record}".encode()).digest() for record in ids]
    return sorted(range(len(ids)), key=keys.__getitem__)


def order_of_splits(found: Iterable[str], configured: Sequence[str]) -> tuple[str, ...]:
    """Returns the splits that occur: the configured ones in their order, then others by name.

    Raises:
        SettingError: a name cannot be the beginning of a file name.
    """
    names = set(found)
    for name in sorted(names):
        if not name or name.startswith(".") or "/" in name or "\0" in name or len(name.encode()) > LONGEST_SPLIT_NAME:
            raise SettingError(
                f"split name {name[:60]!r} cannot begin the name of a shard; use letters, digits, '-' and '_', "
                f"at most {LONGEST_SPLIT_NAME} bytes"
            )
    known = [name for name in dict.fromkeys(configured) if name in names]
    return (*known, *sorted(names - set(known)))
