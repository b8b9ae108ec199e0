"""From a trained model into a new one: weights by layer name, heads by class name, and a report of what became of each."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

import keras
import numpy as np

from camtrap_tf.config.names import HUB_PREFIX
from camtrap_tf.config.training import TrainConfig
from camtrap_tf.errors import ModelError
from camtrap_tf.labels import LabelMapping
from camtrap_tf.models.classifier import head_layers
from camtrap_tf.models.heads import HEAD_PREFIX, spec_of
from camtrap_tf.models.weights import Misfit, fit, unlike, weighted_layers
from camtrap_tf.training.source import SourceModel
from camtrap_tf.training.start_rule import Start


@dataclass(frozen=True, slots=True)
class HeadCopy:
    """What became of a head.

    Attributes:
        label: the label type.
        kept: classes that took over their weights.
        added: classes that begin anew.
        dropped: classes of the source that are not wanted.
        kinds: kind of the head in the source and now, where they differ.
        reordered: whether a class that was kept has another index than in the source.
    """

    label: str
    kept: tuple[str, ...]
    added: tuple[str, ...]
    dropped: tuple[str, ...]
    reordered: bool = False
    kinds: tuple[str, str] | None = None

    @property
    def same(self) -> bool:
        """Whether the head is the one of the source."""
        return not (self.added or self.dropped)


@dataclass(frozen=True, slots=True)
class CopyReport:
    """What was taken over from a trained model.

    Attributes:
        layers: how many layers of the backbone were filled.
        misfits: layers that were not, with the reason.
        heads: one per label type of the new model.
        dropped_heads: label types of the source that are not wanted.
    """

    layers: int
    misfits: tuple[Misfit, ...]
    heads: tuple[HeadCopy, ...]
    dropped_heads: tuple[str, ...]

    def table(self, *, frozen: bool, trained: Container[str] | None = None, note: str = "") -> str:
        """Returns the table of what was kept, added and dropped, and what is trained.

        Args:
            frozen: whether the backbone stays as it is.
            trained: label types that are trained; all where not given.
            note: what else is to be said of training the backbone.
        """
        rows = [("part", "kept", "added", "dropped", "trained")]
        filled = f"{self.layers} layers" + (f", {len(self.misfits)} not" if self.misfits else "")
        rows.append(("backbone", filled if self.layers else "", "", "", "frozen" if frozen else f"yes{note}"))
        for head in self.heads:
            kept = _some(head.kept) + (" in another order" if head.reordered else "")
            learns = "yes" if trained is None or head.label in trained else "no: one class"
            rows.append((f"head {head.label}", kept, _some(head.added), _some(head.dropped), learns))
        rows += [(f"head {label}", "", "", "all", "") for label in self.dropped_heads]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        lines += [f"head {head.label} begins anew: {' → '.join(head.kinds)}" for head in self.heads if head.kinds]
        return "\n".join([*lines, *(f"not filled: {misfit.layer}: {misfit.reason}" for misfit in self.misfits)])


def _some(names: tuple[str, ...]) -> str:
    return f"{len(names)} ({', '.join(names[:4])}{', …' if len(names) > 4 else ''})" if names else ""


def nothing_copied(mapping: LabelMapping) -> CopyReport:
    """Returns the report of a model whose heads all begin anew."""
    return CopyReport(0, (), tuple(HeadCopy(label, (), mapping.names(label), ()) for label in mapping.label_types), ())


def copy_weights(model: keras.Model, mapping: LabelMapping, source: SourceModel) -> CopyReport:
    """Fills a new model from a trained one, backbone by layer name and heads by class name.

    Args:
        model: the classifier to fill.
        mapping: classes of its heads.
        source: the trained model.
    """
    layers = {name: layer for name, layer in weighted_layers(model).items() if not layer.name.startswith(HEAD_PREFIX)}
    filled, misfits = fit(layers, source.weights, other=unlike(model, source.graph))
    heads = [_copy_head(head, label, mapping, source) for label, head in head_layers(model).items()]
    dropped = tuple(label for label in source.heads if label not in mapping.label_types)
    return CopyReport(len(filled), tuple(misfits), tuple(heads), dropped)


def _copy_head(head: keras.layers.Layer, label: str, mapping: LabelMapping, source: SourceModel) -> HeadCopy:
    wanted, weights = mapping.names(label), source.heads.get(label)
    if weights is None:
        return HeadCopy(label, (), wanted, ())
    places = _places(label, mapping, source.mapping)
    old = source.mapping.names(label)
    spec = spec_of(head)
    if weights.spec.kind != spec.kind:
        return HeadCopy(label, (), wanted, old, kinds=(weights.spec.kind, spec.kind))
    if weights.kernel.shape[0] != head.kernel.shape[0]:
        return HeadCopy(label, (), wanted, old)
    if spec.kind == "ordinal":  # its thresholds mean something together only
        if [wanted[index] for index in spec.order] != [old[index] for index in weights.spec.order]:
            return HeadCopy(label, (), wanted, old)
        head.set_weights(weights.arrays)
        return HeadCopy(label, wanted, (), (), wanted != old)
    kernel, bias = (np.array(array) for array in head.get_weights())
    for index, place in places.items():
        kernel[:, index], bias[index] = weights.kernel[:, place], weights.bias[place]
    head.set_weights([kernel, bias])
    taken = set(places.values())
    return HeadCopy(
        label,
        tuple(name for index, name in enumerate(wanted) if index in places),
        tuple(name for index, name in enumerate(wanted) if index not in places),
        tuple(name for place, name in enumerate(old) if place not in taken),
        any(index != place for index, place in places.items()),
    )


def _places(label: str, mapping: LabelMapping, old: LabelMapping) -> dict[int, int]:
    """Returns index in the new head → index in the old one of the same class, by any of the names that a class goes by."""
    places: dict[int, int] = {}
    canonical = {name: index for index, name in enumerate(mapping.names(label))}
    for names in (canonical, mapping.classes[label]):
        for name, index in names.items():
            if index not in places and name in old.classes[label]:
                places[index] = old.classes[label][name]
    return places


def require_complete(report: CopyReport, start: Start, config: TrainConfig, source: SourceModel) -> None:
    """Makes sure that enough was taken over for the mode.

    Raises:
        ModelError: the backbone is another one, or training cannot go on with other heads.
    """
    if report.misfits:
        first = report.misfits[0]
        size = "" if config.model.startswith(HUB_PREFIX) else ", --output-width and --output-height"
        raise ModelError(
            f"{source.file}: does not fit --model {config.model}: {len(report.misfits)} of "
            f"{report.layers + len(report.misfits)} layers of the backbone get no weights "
            f"({first.layer}: {first.reason}); give the --model{size} it was trained with"
        )
    if start.mode != "continue":
        return
    other = [head for head in report.heads if not head.same]
    if other or report.dropped_heads:
        told = [
            f"{head.label!r} was a {head.kinds[0]} head, not a {head.kinds[1]} one"
            if head.kinds
            else f"{head.label!r} has classes {_change(head)}"
            for head in other
        ]
        told += [f"{label!r} is not in --labels" for label in report.dropped_heads]
        raise ModelError(
            f"--continue-training: the heads of {source.file} are others: {'; '.join(told)}; "
            "add --rebuild-model, or use --transfer-learning"
        )


def _change(head: HeadCopy) -> str:
    parts = (("added", head.added), ("dropped", head.dropped))
    return " and ".join(f"{what} {_some(names)}" for what, names in parts if names)
