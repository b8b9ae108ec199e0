"""How a training begins: the one place where the flags of continuing and transfer are read.

| flags | backbone | heads | optimiser | trained | epochs counted from |
|---|---|---|---|---|---|
| none | `--weights` | new | new | all | 0 |
| `--continue-training` | the model's | the model's, same classes | as saved, rate too unless given | all | the model's |
| … `--rebuild-model` | the model's | by class name, others new | new | all | the model's |
| `--transfer-learning` | the model's | by class name, others new | new | heads | 0 |
| … `--transfer-learning-type all_layers` | the model's | by class name, others new | new | all | 0 |

`--starting-epoch` wins over the last column, `--freeze-backbone` over the one before. Weights go by layer name,
heads by class name: a class keeps its weights wherever its index moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import keras
import numpy as np

from camtrap_tf.config.names import HUB_PREFIX
from camtrap_tf.config.training import TrainConfig
from camtrap_tf.errors import ModelError
from camtrap_tf.labels import LabelMapping
from camtrap_tf.models.classifier import head_layers
from camtrap_tf.models.heads import HEAD_PREFIX
from camtrap_tf.models.weights import Misfit, fit, weighted_layers
from camtrap_tf.training.source import SourceModel

Mode = Literal["fresh", "continue", "continue_rebuild", "transfer_last_layer", "transfer_all_layers"]
_MODES: dict[Mode, str] = {
    "fresh": "a new model",
    "continue": "going on with a trained model, optimiser included",
    "continue_rebuild": "going on with a trained model, new optimiser",
    "transfer_last_layer": "transfer from a trained model; backbone frozen",
    "transfer_all_layers": "transfer from a trained model; all layers trained",
}


@dataclass(frozen=True, slots=True)
class Start:
    """How a training begins.

    Attributes:
        mode: see the table of this module.
        frozen: whether the backbone stays as it is.
        warnings: flags that have no effect in this mode.
    """

    mode: Mode
    frozen: bool
    warnings: tuple[str, ...] = ()

    @property
    def copies(self) -> bool:
        """Whether weights come from a trained model."""
        return self.mode != "fresh"

    @property
    def continues(self) -> bool:
        """Whether epochs are counted on."""
        return self.mode in ("continue", "continue_rebuild")

    @property
    def text(self) -> str:
        """One line for people."""
        return _MODES[self.mode]


def start_rule(config: TrainConfig) -> Start:
    """Returns how a training with these settings begins."""
    if config.continue_training:
        mode: Mode = "continue_rebuild" if config.rebuild_model else "continue"
    elif config.transfer_learning:
        mode = f"transfer_{config.transfer_learning_type}"
    else:
        mode = "fresh"
    ignored = []
    if mode == "fresh":
        if config.model_to_load is not None:
            ignored.append("--model-to-load (needs --continue-training or --transfer-learning)")
        if "transfer_learning_type" in config.model_fields_set:
            ignored.append("--transfer-learning-type (needs --transfer-learning)")
    else:
        if config.weights != "none":
            ignored.append("--weights (the weights are those of --model-to-load)")
        if config.normalisation is not None:
            ignored.append("--normalisation (the scaling is that of --model-to-load)")
        if config.continue_training and "transfer_learning_type" in config.model_fields_set:
            ignored.append("--transfer-learning-type (needs --transfer-learning)")
    frozen = mode == "transfer_last_layer" or config.freeze_backbone
    return Start(mode, frozen, tuple(f"no effect: {flag}" for flag in ignored))


def starting_epoch(config: TrainConfig, start: Start, source: SourceModel | None) -> int:
    """Returns how many epochs lie behind: as told, else those of the model that is continued, else none."""
    if config.starting_epoch is not None:
        return config.starting_epoch
    return (source.epoch or 0) if start.continues and source is not None else 0


def check_source(config: TrainConfig, source: SourceModel) -> None:
    """Makes sure that the model to start from has the backbone that was asked for.

    Raises:
        ModelError: it is known to have another.
    """
    if source.backbone is not None and source.backbone != config.model:
        raise ModelError(
            f"--model {config.model}: {source.file} was made with {source.backbone}; give --model {source.backbone}, "
            "or start a new model without --continue-training and --transfer-learning"
        )


@dataclass(frozen=True, slots=True)
class HeadCopy:
    """What became of a head.

    Attributes:
        label: the label type.
        kept: classes that took over their weights.
        added: classes that begin anew.
        dropped: classes of the source that are not wanted.
        reordered: whether a class that was kept has another index than in the source.
    """

    label: str
    kept: tuple[str, ...]
    added: tuple[str, ...]
    dropped: tuple[str, ...]
    reordered: bool = False

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

    def table(self, *, frozen: bool) -> str:
        """Returns the table of what was kept, added and dropped, and what is trained."""
        rows = [("part", "kept", "added", "dropped", "trained")]
        filled = f"{self.layers} layers" + (f", {len(self.misfits)} not" if self.misfits else "")
        rows.append(("backbone", filled, "", "", "frozen" if frozen else "yes"))
        rows += [(f"head {head.label}", _some(head.kept), _some(head.added), _some(head.dropped), "yes") for head in self.heads]
        rows += [(f"head {label}", "", "", "all", "") for label in self.dropped_heads]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([*lines, *(f"not filled: {misfit.layer}: {misfit.reason}" for misfit in self.misfits)])


def _some(names: tuple[str, ...]) -> str:
    return f"{len(names)} ({', '.join(names[:4])}{', …' if len(names) > 4 else ''})" if names else ""


def copy_weights(model: keras.Model, mapping: LabelMapping, source: SourceModel) -> CopyReport:
    """Fills a new model from a trained one, backbone by layer name and heads by class name.

    Args:
        model: the classifier to fill.
        mapping: classes of its heads.
        source: the trained model.
    """
    layers = {name: layer for name, layer in weighted_layers(model).items() if not layer.name.startswith(HEAD_PREFIX)}
    filled, misfits = fit(layers, source.weights)
    heads = [_copy_head(head, label, mapping, source) for label, head in head_layers(model).items()]
    dropped = tuple(label for label in source.heads if label not in mapping.label_types)
    return CopyReport(len(filled), tuple(misfits), tuple(heads), dropped)


def _copy_head(head: keras.layers.Dense, label: str, mapping: LabelMapping, source: SourceModel) -> HeadCopy:
    wanted, weights = mapping.names(label), source.heads.get(label)
    if weights is None:
        return HeadCopy(label, (), wanted, ())
    places = _places(label, mapping, source.mapping)
    old = source.mapping.names(label)
    if weights.kernel.shape[0] != head.kernel.shape[0]:
        return HeadCopy(label, (), wanted, old)
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
        told = [f"{head.label!r} has classes {_change(head)}" for head in other]
        told += [f"{label!r} is not in --labels" for label in report.dropped_heads]
        raise ModelError(
            f"--continue-training: the heads of {source.file} are others: {'; '.join(told)}; "
            "add --rebuild-model, or use --transfer-learning"
        )


def _change(head: HeadCopy) -> str:
    parts = (("added", head.added), ("dropped", head.dropped))
    return " and ".join(f"{what} {_some(names)}" for what, names in parts if names)
