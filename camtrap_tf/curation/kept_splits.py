"""An earlier splitting, read back: which group was in which split, and where known which record.

It is a `splits.json` (split → groups; a group is a text, or a data set and a location) or a `splits.csv` (a row per record).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from camtrap_tf.curation.scored_splits import FREE
from camtrap_tf.errors import SettingError, SourceError, suggestion
from camtrap_tf.files import path_hint, read_json, unreadable

COLUMNS = ("id", "split", "group")
"""Columns of `splits.csv` that are read."""


@dataclass(frozen=True, slots=True)
class EarlierSplits:
    """An earlier splitting.

    Attributes:
        path: where it was read from.
        split_of_group: group → split.
        split_of_record: record id → split; None where the file does not say.
    """

    path: Path
    split_of_group: Mapping[str, str]
    split_of_record: Mapping[str, str] | None

    def settled(self, groups: Sequence[str], splits: Sequence[str]) -> npt.NDArray[np.int64]:
        """Returns the split of each group, `[groups]`, `FREE` for those that are new.

        Args:
            groups: names of the groups.
            splits: the splits there are.

        Raises:
            SettingError: a split of the file is not one of them, or none of its groups is there.
        """
        number = {name: place for place, name in enumerate(splits)}
        known = [self.split_of_group.get(group) for group in groups]
        for split in sorted({split for split in known if split is not None}):
            if split not in number:
                raise SettingError(
                    f"{self.path}: its split {split!r} is none of --split-names {' '.join(splits)}{suggestion(split, splits)}"
                )
        if self.split_of_group and not any(known):
            raise SettingError(
                f"{self.path}: none of its {len(self.split_of_group)} groups, e.g. {next(iter(self.split_of_group))!r}, is in "
                f"the inventory, whose groups are e.g. {groups[0]!r}; check --split-group"
            )
        return np.asarray([FREE if split is None else number[split] for split in known], np.int64)


def read_earlier(path: Path) -> EarlierSplits:
    """Reads an earlier splitting.

    Raises:
        SourceError: it cannot be read, or is none.
    """
    if path.suffix.lower() == ".csv":
        return _from_rows(path)
    return EarlierSplits(path, _from_lists(path, read_json(path, what="file of earlier splits")), None)


def _from_rows(path: Path) -> EarlierSplits:
    groups: dict[str, str] = {}
    records: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise SourceError(f"{path}: no column {', '.join(missing)}; an earlier splits.csv has id, split and group")
            for number, row in enumerate(reader, start=2):
                if not all(row[name] for name in COLUMNS):
                    raise SourceError(f"{path}: line {number} lacks its id, split or group")
                _put(groups, row["group"], row["split"], path)
                records[row["id"]] = row["split"]
    except FileNotFoundError as err:
        raise SourceError(f"{path}: no such file of earlier splits{path_hint(path)}") from err
    except OSError as err:
        raise SourceError(f"{path}: {unreadable(err, 'file of earlier splits')}") from err
    except (UnicodeDecodeError, csv.Error) as err:
        raise SourceError(f"{path}: cannot be read as a CSV table: {err}") from err
    return EarlierSplits(path, groups, records)


def _from_lists(path: Path, value: Any) -> dict[str, str]:
    """Returns group → split from split → groups."""
    groups: dict[str, str] = {}
    if not isinstance(value, dict):
        raise SourceError(f"{path}: not an earlier splitting: it should hold split → list of groups")
    for split, members in value.items():
        if not isinstance(members, list):
            raise SourceError(f"{path}: split {split!r} should hold a list of groups")
        for member in members:
            _put(groups, _group_text(member, split, path), split, path)
    return groups


def _group_text(member: Any, split: str, path: Path) -> str:
    """Returns the name of a group; of a pair of data set and location the location."""
    if isinstance(member, list) and len(member) == 2:
        member = member[1]
    if isinstance(member, str | int) and str(member):
        return str(member)
    raise SourceError(f"{path}: {str(member)[:60]!r} in split {split!r} is neither a group nor [data set, location]")


def _put(groups: dict[str, str], group: str, split: str, path: Path) -> None:
    earlier = groups.setdefault(group, split)
    if earlier != split:
        raise SourceError(f"{path}: group {group!r} is in two splits, {earlier!r} and {split!r}; it leaks, and cannot be kept")
