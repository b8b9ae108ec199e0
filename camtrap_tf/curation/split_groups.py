"""What splitting looks at: which group each record is in, and which classes it shows. In columns, for millions of records."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from camtrap_tf.curation.box_records import source_records
from camtrap_tf.curation.groups import AUTO, EVENT_FIELDS, LOCATION_FIELDS, find_field
from camtrap_tf.curation.scored_splits import GroupTable
from camtrap_tf.errors import LabelError, SettingError, suggestion
from camtrap_tf.inventory.columns import LABEL
from camtrap_tf.inventory.table import Inventory
from camtrap_tf.records import MISSING

Ints = npt.NDArray[np.int64]

PRIMARY_LABELS = ("species", "class", "category", "scientificname", "taxon", "label", "commonname")
"""Label types that say what is there, best first; case, `_`, `-` and spaces do not matter."""

NO_LABEL = ""
"""Stands for the records without any class, so that they are spread too."""


def unique_pairs(first: Ints, second: Ints) -> tuple[Ints, Ints]:
    """Returns the distinct pairs of two columns of numbers from 0 on, in order; much faster than by rows."""
    if not len(first):
        return first, second
    base = int(second.max()) + 1
    keys = np.unique(first * base + second)
    return keys // base, keys % base


@dataclass(frozen=True, slots=True)
class Groups:
    """The group of each record.

    Attributes:
        names: names of the groups, sorted.
        of_record: `[records]`, number of the group of each record.
        lone: `[groups]`, whether a group is a record by itself.
        by_itself: records that have no value of the field, so that their event or they themselves are their group.
    """

    names: tuple[str, ...]
    of_record: Ints
    lone: npt.NDArray[np.bool_]
    by_itself: int

    @property
    def sizes(self) -> Ints:
        """Records of each group, `[groups]`."""
        return np.bincount(self.of_record, minlength=len(self.names))

    def joined(self, joined: Ints) -> Groups:
        """Returns larger groups, each named after its first one.

        Args:
            joined: `[groups]`, number of the larger group of each, numbered in the order of their first groups.
        """
        _, first, count = np.unique(joined, return_index=True, return_counts=True)
        names = tuple(self.names[group] for group in first.tolist())
        return Groups(names, joined[self.of_record], self.lone[first] & (count == 1), self.by_itself)


def groups_of(inventory: Inventory, field: str | None, *, then: str | None = None) -> Groups:
    """Returns the group of each record: the value of a field, else of a second one, else the record by itself.

    Args:
        inventory: the records.
        field: meta data field; None: every record by itself.
        then: meta data field for records that lack the first.
    """
    keys: list[tuple[str, str]] = [("record", one) for one in source_records(inventory)]
    for kind, one in (("event", then), ("", field)):
        if one is not None:
            keys = [(kind, value) if value else key for value, key in zip(inventory.meta(one), keys, strict=True)]
    number = {key: place for place, key in enumerate(sorted(set(keys)))}
    names = tuple(f"{kind} {value}" if kind else value for kind, value in number)
    by_itself = sum(1 for kind, _ in keys if kind) if field is not None else 0
    lone = np.asarray([kind == "record" for kind, _ in number], bool)
    return Groups(names, np.fromiter((number[key] for key in keys), np.int64, len(keys)), lone, by_itself)


def event_field(inventory: Inventory) -> str | None:
    """Returns the meta data field that says the event, if there is one."""
    return find_field(inventory.meta_fields, EVENT_FIELDS)


def location_field(inventory: Inventory) -> str | None:
    """Returns the meta data field that says the location, if there is one."""
    return find_field(inventory.meta_fields, LOCATION_FIELDS)


def second_field(inventory: Inventory, wish: str, field: str | None) -> str | None:
    """Returns the field that groups the records which lack the first: the event, where `auto` chose the location."""
    found = event_field(inventory)
    return found if wish == AUTO and found != field else None


def spread_labels(inventory: Inventory, wish: Sequence[str]) -> tuple[str, ...]:
    """Returns the label types whose classes are spread over the splits.

    Args:
        inventory: the records.
        wish: label types; where there is none, the one that says what is there (`species`, `class` …), else all.

    Raises:
        LabelError: there is no such label type.
    """
    for label in wish:
        if label not in inventory.label_types:
            raise LabelError(
                f"--split-label: no label type {label!r} in the inventory{suggestion(label, inventory.label_types)}"
            )
    if wish:
        return tuple(wish)
    plain = {re.sub(r"[\s_-]", "", label.lower()): label for label in reversed(inventory.label_types)}
    primary = next((plain[name] for name in PRIMARY_LABELS if name in plain), None)
    return inventory.label_types if primary is None else (primary,)


@dataclass(frozen=True, slots=True)
class ClassRows:
    """Which records show which classes, each pair once.

    Attributes:
        classes: label type and class.
        code: `[pairs]`, number of the class.
        record: `[pairs]`, row of the record.
    """

    classes: tuple[tuple[str, str], ...]
    code: Ints
    record: Ints

    def of_labels(self, labels: Sequence[str]) -> ClassRows:
        """Returns those of some label types only."""
        chosen = [number for number, (label, _) in enumerate(self.classes) if label in labels]
        place = np.full(len(self.classes) + 1, -1, np.int64)
        place[chosen] = np.arange(len(chosen))
        keep = place[self.code] >= 0
        return ClassRows(tuple(self.classes[number] for number in chosen), place[self.code[keep]], self.record[keep])


def class_rows(inventory: Inventory) -> ClassRows:
    """Returns the classes of all records, in any of their observations; missing ones are left out."""
    record = np.repeat(np.arange(len(inventory)), inventory.observation_counts())
    classes: list[tuple[str, str]] = []
    codes, records = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for label in inventory.label_types:
        encoded = pc.list_flatten(inventory.table[LABEL + label].combine_chunks()).dictionary_encode()
        names = encoded.dictionary.to_pylist()
        order = sorted(name for name in names if name != MISSING)
        number = {name: len(classes) + place for place, name in enumerate(order)}
        renumbered = np.asarray([number.get(name, -1) for name in names], np.int64)
        code = renumbered[np.asarray(encoded.indices, np.int64)]
        pairs = unique_pairs(record[code >= 0], code[code >= 0])
        records.append(pairs[0])
        codes.append(pairs[1])
        classes += [(label, name) for name in order]
    return ClassRows(tuple(classes), np.concatenate(codes), np.concatenate(records))


def group_table(rows: ClassRows, groups: Groups) -> GroupTable:
    """Returns what each group holds: records of each class, and of those without any, which have to be spread as well."""
    records = len(groups.of_record)
    labels, code, record = [f"{label}: {name}" for label, name in rows.classes], rows.code, rows.record
    bare = np.setdiff1d(np.arange(records), record)
    if len(bare):
        code, record = np.concatenate([code, np.full(len(bare), len(labels))]), np.concatenate([record, bare])
        labels.append(NO_LABEL)
    flat = np.bincount(groups.of_record[record] * len(labels) + code, minlength=len(groups.names) * len(labels))
    counts = flat.reshape(len(groups.names), len(labels))
    held = np.flatnonzero(counts.any(axis=0))
    return GroupTable(groups.names, tuple(labels[number] for number in held.tolist()), counts[:, held])


def few_places(rows: ClassRows, groups: Groups, least: int) -> list[int]:
    """Returns the classes that are in fewer groups than asked for, as numbers."""
    pairs = unique_pairs(rows.code, groups.of_record[rows.record])
    places = np.bincount(pairs[0], minlength=len(rows.classes))
    return [number for number, count in enumerate(places.tolist()) if 0 < count < least]


def lone_class_groups(rows: ClassRows, groups: Groups) -> npt.NDArray[np.bool_]:
    """Returns which groups hold a class that no other group has, `[groups]`; without a table of groups and classes."""
    showing = records_showing(rows, few_places(rows, groups, 2), len(groups.of_record))
    return np.bincount(groups.of_record[showing], minlength=len(groups.names)) > 0


def records_showing(rows: ClassRows, classes: Sequence[int], records: int) -> npt.NDArray[np.bool_]:
    """Returns which records show one of some classes, `[records]`."""
    showing = np.zeros(records, bool)
    showing[rows.record[np.isin(rows.code, np.asarray(classes, np.int64))]] = True
    return showing


def refuse_several_labels(labels: Sequence[str], flag: str) -> str:
    """Returns the one label type that a setting is about.

    Raises:
        SettingError: there are several.
    """
    if len(labels) != 1:
        raise SettingError(f"{flag} is about the classes of one label type; name it with --split-label: {', '.join(labels)}")
    return labels[0]
