"""Coarser classes in the place of a model's: each target has some of its labels, what is in none is `other`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from camtrap_tf.errors import LabelError, SourceError, suggestion
from camtrap_tf.files import read_json
from camtrap_tf.prediction.split_tables import SplitAnswers
from camtrap_tf.sources.split_files import read_label_index

OTHER = "other"


@dataclass(frozen=True, slots=True)
class TargetColumns:
    """What targets are made of, over the classes of a model in their order.

    Attributes:
        names: `T` targets.
        members: per target the places of its classes.
        target_of: class → target.
        rest: classes that no target names; they are in `other`.
    """

    names: tuple[str, ...]
    members: tuple[tuple[int, ...], ...]
    target_of: Mapping[str, str]
    rest: tuple[str, ...]

    def truth(self, name: str) -> str | None:
        """Returns the target of a true class, which may be a target already; None where it is missing or in none."""
        if name in self.names:
            return name
        found = self.target_of.get(name, OTHER if name else "")
        return found if found in self.names else None

    def summed(self, probabilities: np.ndarray) -> np.ndarray:
        """Returns the probabilities `[T]` of targets from those `[C]` of the classes; 0 for a target without any class."""
        values = np.asarray(probabilities, np.float64)
        return np.array([values[list(own)].sum() for own in self.members])


@dataclass(frozen=True, slots=True)
class Targets:
    """Which labels a target is made of.

    Attributes:
        names: the targets in their order.
        members: target → labels of the model.
    """

    names: tuple[str, ...]
    members: Mapping[str, tuple[str, ...]]

    def over(self, classes: Sequence[str], where: str = "the model") -> TargetColumns:
        """Returns what the targets are made of; classes that none names are in `other`, after the others unless named.

        Args:
            classes: of the model, in their order.
            where: who has these classes, for the message.

        Raises:
            LabelError: there is no such class.
        """
        place = {name: number for number, name in enumerate(classes)}
        for target, labels in self.members.items():
            for label in labels:
                if label not in place:
                    raise LabelError(
                        f"--target-mapping: {target!r} has {label!r}, no class of {where}{suggestion(label, place)}"
                    )
        mapped = {label for labels in self.members.values() for label in labels}
        rest = tuple(name for name in classes if name not in mapped)
        members = dict(self.members)
        names = self.names
        if rest:
            members[OTHER] = (*members.get(OTHER, ()), *rest)
            names = names if OTHER in names else (*names, OTHER)
        columns = tuple(tuple(place[label] for label in members.get(name, ())) for name in names)
        return TargetColumns(names, columns, {label: target for target, own in members.items() for label in own}, rest)

    def applied(self, answers: SplitAnswers) -> SplitAnswers:
        """Returns answers about targets: a logit is the logarithm of the sum of the exponentials of its members'.

        Probabilities then are the sums of those of the members. A true class that is a target stays it, so that data
        labelled by targets can be measured on too.

        Raises:
            LabelError: the model has no such label.
        """
        columns = self.over(answers.names)
        logits = np.full((len(answers.ids), len(columns.names)), -np.inf, np.float32)
        for rows, whole in answers.pieces():
            for column, own in enumerate(columns.members):
                if own:
                    logits[rows, column] = np.logaddexp.reduce(whole[:, list(own)], axis=1)
        number: dict[str | None, int] = {name: column for column, name in enumerate(columns.names)}
        truth = [number.get(columns.truth(name), -1) for name in answers.stated]
        return replace(answers, names=columns.names, logits=logits, targets=np.array(truth, np.int64))


def read_targets(mapping: Path, index: Path | None) -> Targets:
    """Reads a target mapping and the order of its targets.

    Raises:
        SourceError: a file cannot be read, or is of another form.
        LabelError: a label is there twice, or the order names other targets.
    """
    value = read_json(mapping, what="target mapping")
    whole = isinstance(value, dict) and value and all(
        isinstance(labels, list) and all(isinstance(label, str) for label in labels) for labels in value.values()
    )  # fmt: skip
    if not whole:
        raise SourceError(f'{mapping}: not a target mapping; that is {{"target": ["label", …], …}}')
    members = {target: tuple(labels) for target, labels in value.items()}
    owner: dict[str, str] = {}
    for target, labels in members.items():
        for label in labels:
            if label in owner:
                twice = f"twice in {target!r}" if owner[label] == target else f"in {owner[label]!r} and in {target!r}"
                raise LabelError(f"{mapping}: {label!r} is {twice}; keep one")
            owner[label] = target
    return Targets(_ordered(sorted(members), index), members)


def _ordered(targets: Sequence[str], index: Path | None) -> tuple[str, ...]:
    if index is None:
        return tuple(targets)
    names = read_label_index(index)
    strange = sorted(set(targets) - set(names)) or sorted(set(names) - {*targets, OTHER})
    if strange:
        raise LabelError(f"{index}: {strange[0]!r} is in one only of this file and the target mapping; make them agree")
    return tuple(names)
