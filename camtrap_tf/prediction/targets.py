"""Coarser classes to measure a model on: each target has some of the model's labels, what is in none is `other`."""

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
class Targets:
    """Which labels a target is made of.

    Attributes:
        names: the targets in their order.
        members: target → labels of the model.
    """

    names: tuple[str, ...]
    members: Mapping[str, tuple[str, ...]]

    def applied(self, answers: SplitAnswers) -> SplitAnswers:
        """Returns answers about targets: a logit is the logarithm of the sum of the exponentials of its members'.

        Probabilities then are the sums of those of the members. A true class that is a target stays it, so that data
        labelled by targets can be measured on too.

        Raises:
            LabelError: the model has no such label.
        """
        place = {name: number for number, name in enumerate(answers.names)}
        for target, labels in self.members.items():
            for label in labels:
                if label not in place:
                    raise LabelError(
                        f"--target-mapping: {target!r} has {label!r}, no class of the model{suggestion(label, place)}"
                    )
        mapped = {label for labels in self.members.values() for label in labels}
        rest = tuple(name for name in answers.names if name not in mapped)
        members = dict(self.members)
        names = self.names
        if rest:
            members[OTHER] = (*members.get(OTHER, ()), *rest)
            names = names if OTHER in names else (*names, OTHER)
        logits = np.full((len(answers.ids), len(names)), -np.inf)
        for column, name in enumerate(names):
            own = [place[label] for label in members.get(name, ())]
            if own:
                logits[:, column] = np.logaddexp.reduce(answers.logits[:, own], axis=1)
        target_of = {label: target for target, labels in members.items() for label in labels}
        number = {name: column for column, name in enumerate(names)}
        truth = [number.get(name, number.get(target_of.get(name, OTHER if name else ""), -1)) for name in answers.stated]
        return replace(answers, names=names, logits=logits, targets=np.array(truth, np.int64))


def read_targets(mapping: Path, index: Path | None) -> Targets:
    """Reads a target mapping and the order of its targets.

    Raises:
        SourceError: a file cannot be read, or is of another form.
        LabelError: a label is in two targets, or the order names others.
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
            if owner.setdefault(label, target) != target:
                raise LabelError(f"{mapping}: {label!r} is in {owner[label]!r} and in {target!r}; keep one")
    return Targets(_ordered(sorted(members), index), members)


def _ordered(targets: Sequence[str], index: Path | None) -> tuple[str, ...]:
    if index is None:
        return tuple(targets)
    names = read_label_index(index)
    strange = sorted(set(targets) - set(names)) or sorted(set(names) - {*targets, OTHER})
    if strange:
        raise LabelError(f"{index}: {strange[0]!r} is in one only of this file and the target mapping; make them agree")
    return tuple(names)
