"""Which split a record falls in: by a hash of its id, by a meta data field, or with its group.

None of the three depends on the order of the records, and a record's hash split stays when records are added.
"""

from __future__ import annotations

import bisect
import collections
import hashlib
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from camtrap_tf.errors import SettingError

Shares = Sequence[tuple[str, float]]
"""Splits with their share of the records, in [0, 1]; together 1."""
Content = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]
"""What a group holds: codes of classes, and for each the part of all its records."""

EVERY_RECORD = 0
"""The code that stands for a record, whatever its classes."""

ROUNDING = 1e-9
"""Sums of parts may be off by this much."""


def unit_hash(record_id: str) -> float:
    """Returns a number in [0, 1] that stands for an id: the first six hexadecimal digits of its MD5, as a fraction.

    Source: camera-trap-classifier's split hash; ids are encoded as UTF-8.
    """
    return int(hashlib.md5(record_id.encode()).hexdigest()[:6], 16) / 0xFFFFFF


def split_by_hash(ids: Sequence[str], shares: Shares) -> list[str]:
    """Returns the split of each id: the first one whose cumulative share reaches the id's hash; the last one takes the rest."""
    names, parts = zip(*((name, share) for name, share in shares if share > 0), strict=True)
    ends = list(itertools.accumulate(parts))[:-1]
    return [names[bisect.bisect_left(ends, unit_hash(one))] for one in ids]


def split_by_values(ids: Sequence[str], values: Sequence[str | None], field: str) -> list[str]:
    """Returns the values of a meta data field as splits.

    Raises:
        SettingError: a record has no value, or one that cannot begin a file name.
    """
    without = [one for one, value in zip(ids, values, strict=True) if not value]
    if without:
        raise SettingError(
            f"--split-by-meta {field}: {len(without)} of {len(ids)} records have no {field!r}, e.g. {without[0]!r}; "
            "give them one, or leave them out of the inventory"
        )
    for value in sorted({value for value in values if value}):
        if value.startswith(".") or any(character in value for character in "/\\\0\n\r"):
            raise SettingError(f"--split-by-meta {field}: {value!r} cannot begin the name of a shard; rename it")
    return [value for value in values if value]


def split_by_group(
    ids: Sequence[str],
    groups: Sequence[str | None],
    labels: Mapping[str, Sequence[str | None]],
    shares: Shares,
    settled: Sequence[str | None] | None = None,
) -> list[str]:
    """Returns the split of each record such that a group stays whole.

    Groups, in the order of their hashes, are dealt to the split that lacks most of what they hold: the deficit of a split in
    a class is the part of its due that it does not have yet. In the sum over classes, a class weighs what part of all
    its records the group has, so rare classes count as much as common ones; the number of records is one more class.
    Only splits with room are asked, those that come nearer to their share with the group than without it. When as many
    groups are left as splits are empty, each of these gets one, the larger split the larger group.

    Args:
        ids: id of each record.
        groups: group of each record; a record without one (None or empty) is a group by itself.
        labels: label type → class of each record, None where missing; the classes to spread.
        shares: splits and their shares; a share of 0 gets nothing.
        settled: the split where the group of each record has to go, None where it may go anywhere; those are dealt first.
    """
    keys = [("group", group) if group else ("record", one) for one, group in zip(ids, groups, strict=True)]
    rows_by_group: dict[tuple[str, str], list[int]] = collections.defaultdict(list)
    for row, key in enumerate(keys):
        rows_by_group[key].append(row)
    ordered = sorted(rows_by_group, key=lambda key: (hashlib.md5(":".join(key).encode()).digest(), key))
    codes, totals = _class_codes(len(ids), labels)
    contents = [_content(codes[rows_by_group[key]], totals) for key in ordered]
    names, parts = zip(*((name, share) for name, share in shares if share > 0), strict=True)
    place = {name: number for number, name in enumerate(names)}
    fixed = [None if settled is None else place.get(settled[rows_by_group[key][0]] or "") for key in ordered]
    dealt = dict(zip(ordered, _deal(contents, np.asarray(parts), len(totals), fixed), strict=True))
    return [names[dealt[key]] for key in keys]


def _class_codes(count: int, labels: Mapping[str, Sequence[str | None]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Numbers all classes of all label types; `EVERY_RECORD` is there for each record, -1 is a missing label.

    Returns:
        codes `[records, 1 + label types]`, and how many records have each code `[codes]`.
    """
    columns = [np.zeros(count, np.int64)]
    first = 1
    for label in sorted(labels):
        names = sorted({name for name in labels[label] if name is not None})
        number = {name: first + i for i, name in enumerate(names)}
        columns.append(np.fromiter((-1 if name is None else number[name] for name in labels[label]), np.int64, count))
        first += len(names)
    codes = np.stack(columns, axis=1)
    return codes, np.bincount(codes[codes >= 0], minlength=first)


def _content(codes: npt.NDArray[np.int64], totals: npt.NDArray[np.int64]) -> Content:
    """Returns which codes a group holds, and which part of all their records."""
    held, counts = np.unique(codes[codes >= 0], return_counts=True)
    return held, counts / totals[held]


def _deal(contents: Sequence[Content], shares: npt.NDArray[np.float64], codes: int, fixed: Sequence[int | None]) -> list[int]:
    """Returns the split, as an index, of each group; those that are fixed are there before the others are dealt."""
    has = np.zeros((len(shares), codes))
    sizes = [float(part[held == EVERY_RECORD][0]) for held, part in contents]
    largest_first = np.argsort(-shares, kind="stable").tolist()
    dealt = {group: split for group, split in enumerate(fixed) if split is not None}
    for group, split in dealt.items():
        has[split, contents[group][0]] += contents[group][1]
    free = [group for group in range(len(contents)) if group not in dealt]
    for place, group in enumerate(free):
        held, part = contents[group]
        empty = [split for split in largest_first if has[split, EVERY_RECORD] == 0]
        if len(empty) >= len(free) - place:
            left = sorted(free[place:], key=lambda one: -sizes[one])
            dealt |= dict(zip(left, empty, strict=False))
            break
        room = [split for split in largest_first if has[split, EVERY_RECORD] + sizes[group] / 2 <= shares[split] + ROUNDING]
        candidates = room or largest_first
        deficits = [float((part * (1 - has[split, held] / shares[split])).sum()) for split in candidates]
        chosen = candidates[int(np.argmax(deficits))]
        has[chosen, held] += part
        dealt[group] = chosen
    return [dealt[group] for group in range(len(contents))]
