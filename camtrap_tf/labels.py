"""The label mapping: per label type, which class has which index. Many names may share an index.

Format of `label_mapping.json`: `{"species": {"cat": 0, "dog": 1, "doggy": 1}}` (camera-trap-classifier).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from camtrap_tf.errors import LabelError, suggestion
from camtrap_tf.files import read_json, write_json
from camtrap_tf.records import MISSING

UNKNOWN = -1
"""Index of a class that is missing, or that the mapping does not know."""
PRESENT_FROM = 0.5
"""From this probability on a class of a sigmoid head is there."""
COUNT_BIN = re.compile(r"(\d+)(?:\s*-\s*\d+|\+)?")
"""Names of count bins: `7`, `11-50`, `51+`."""


@dataclass(frozen=True, slots=True)
class LabelMapping:
    """Class → index per label type, checked: indices are exactly 0 … n-1.

    Attributes:
        classes: label type → class name → index.
    """

    classes: Mapping[str, Mapping[str, int]]

    @classmethod
    def from_classes(cls, classes: Mapping[str, Iterable[str]]) -> LabelMapping:
        """Numbers the classes of each label type in the order of their names as texts; missing ones are left out."""
        return cls(
            {
                label: {name: i for i, name in enumerate(sorted(set(names) - {MISSING, ""}))}
                for label, names in sorted(classes.items())
            }
        )

    @classmethod
    def from_json(cls, value: Any, where: str) -> LabelMapping:
        """Checks a parsed label mapping.

        Args:
            value: parsed JSON.
            where: file name for messages.

        Raises:
            LabelError: wrong form, or indices with gaps.
        """
        if not isinstance(value, dict) or not value:
            raise LabelError(f"{where}: a label mapping is an object of label types, each an object of class: index")
        for label, names in value.items():
            if not isinstance(names, dict):
                raise LabelError(f"{where}: label {label!r} is not an object of class: index")
            for name, index in names.items():
                if isinstance(index, bool) or not isinstance(index, int):
                    raise LabelError(f"{where}: label {label!r}, class {name!r}: index {index!r} is not a whole number")
            indices = sorted(set(names.values()))
            if indices != list(range(len(indices))):
                absent = sorted(set(range(len(indices) + 1)) - set(indices))
                raise LabelError(
                    f"{where}: label {label!r} has indices {indices[:12]}, not 0 to {len(indices) - 1} without gaps; "
                    f"first one missing is {absent[0]}; number its classes again"
                )
        return cls({str(label): dict(names) for label, names in value.items()})

    @classmethod
    def read(cls, path: Path) -> LabelMapping:
        """Reads a label mapping from its JSON file.

        Raises:
            LabelError: it is not usable as one.
            SourceError: it cannot be read.
        """
        return cls.from_json(read_json(path, what="label mapping"), str(path))

    def write(self, path: Path) -> None:
        """Writes the mapping as JSON."""
        write_json(path, self.as_json())

    def as_json(self) -> dict[str, dict[str, int]]:
        """Returns plain dictionaries, as they are written."""
        return {label: dict(names) for label, names in self.classes.items()}

    @property
    def label_types(self) -> tuple[str, ...]:
        """The label types, in the order of the mapping."""
        return tuple(self.classes)

    def names(self, label: str) -> tuple[str, ...]:
        """Returns the canonical class names of a label type by index: of several names for one index, the first listed.

        Raises:
            LabelError: no such label type.
        """
        by_index: dict[int, str] = {}
        for name, index in self._of(label).items():
            by_index.setdefault(index, name)
        return tuple(by_index[i] for i in range(len(by_index)))

    def index(self, label: str, name: str) -> int:
        """Returns the index of a class; -1 if it is missing or not in the mapping."""
        return self._of(label).get(name, UNKNOWN)

    def select(self, labels: Iterable[str]) -> LabelMapping:
        """Returns the mapping of some label types, in the order asked for.

        Raises:
            LabelError: one of them does not exist.
        """
        return LabelMapping({label: self._of(label) for label in labels})

    def without(self, label: str, names: Collection[str]) -> LabelMapping:
        """Returns the mapping without some classes of a label type, those that share an index with them included.

        The other classes keep their order and are numbered again.
        """
        known = self._of(label)
        gone = {known[name] for name in names if name in known}
        kept = sorted(set(known.values()) - gone)
        numbers = {index: number for number, index in enumerate(kept)}
        left = {name: numbers[index] for name, index in known.items() if index in numbers}
        return LabelMapping({**self.classes, label: left})

    def _of(self, label: str) -> Mapping[str, int]:
        if label not in self.classes:
            raise LabelError(f"no label type {label!r} in the label mapping{suggestion(label, self.classes)}")
        return self.classes[label]


def bin_order(names: Sequence[str], where: str) -> tuple[int, ...]:
    """Returns the indices of count bins (`1`, `11-50`, `51+`) by their lower bounds.

    Args:
        names: class names by index.
        where: what they are the classes of, for messages.

    Raises:
        LabelError: one of them is no count bin, or two begin with the same number.
    """
    bounds: dict[int, int] = {}
    for index, name in enumerate(names):
        match = COUNT_BIN.fullmatch(name.strip())
        if match is None:
            raise LabelError(
                f"{where}: class {name!r} is no count bin such as 7, 11-50 or 51+, so it has no place in an order; "
                "take it out of the label mapping (its records then count as missing), or use a softmax head"
            )
        lower = int(match[1])
        if lower in bounds:
            raise LabelError(
                f"{where}: classes {names[bounds[lower]]!r} and {name!r} begin with the same number; keep one of them"
            )
        bounds[lower] = index
    return tuple(bounds[lower] for lower in sorted(bounds))


def merge_mappings(mappings: Iterable[LabelMapping]) -> LabelMapping:
    """Returns one mapping that covers several: union of label types and of classes, numbered by name as text.

    Names that share an index in one of the mappings share one in the result.

    Raises:
        LabelError: the mappings disagree about which names are the same class: one says so, another,
            which knows both names, keeps them apart.
    """
    sources = list(mappings)
    merged: dict[str, dict[str, int]] = {}
    for label in sorted({label for source in sources for label in source.label_types}):
        parent: dict[str, str] = {}

        def root(name: str, parent: dict[str, str] = parent) -> str:
            """Returns the name that stands for all that were found to be one class."""
            while parent.setdefault(name, name) != name:
                name = parent[name]
            return name

        known = [source.classes[label] for source in sources if label in source.classes]
        for names in known:
            first: dict[int, str] = {}
            for name, index in names.items():
                one, other = sorted((root(first.setdefault(index, name)), root(name)))
                parent[other] = one
        for names in known:
            apart: dict[str, tuple[str, int]] = {}
            for name, index in names.items():
                seen_name, seen_index = apart.setdefault(root(name), (name, index))
                if seen_index != index:
                    raise LabelError(
                        f"label {label!r}: {seen_name!r} and {name!r} are one class in one mapping and two in another; "
                        "make them agree first"
                    )
        groups = sorted({root(name) for name in parent})
        number = {group: i for i, group in enumerate(groups)}
        merged[label] = {name: number[root(name)] for name in sorted(parent, key=lambda n: (number[root(n)], n != root(n), n))}
    return LabelMapping(merged)
