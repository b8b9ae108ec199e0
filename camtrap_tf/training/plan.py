"""What a training would do, in words: inputs, labels, model, devices, epochs, outputs. Nothing is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from camtrap_tf.config.names import HUB_PREFIX, OWN_BACKBONES
from camtrap_tf.config.training import TrainConfig
from camtrap_tf.errors import ModelError, counted
from camtrap_tf.labels import LabelMapping
from camtrap_tf.models.choice import default_side_px, has_weights
from camtrap_tf.records import MISSING
from camtrap_tf.training.earlier import nothing_to_do, require_work
from camtrap_tf.training.inputs import SPLITS, Inputs, gather, known_records
from camtrap_tf.training.observations import never_several
from camtrap_tf.training.schedules import Thaw, describe_thaw, freezes_batch_norm, steps_per_epoch
from camtrap_tf.training.start_rule import starting_epoch

EXIT_ABSENT = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan to read.

    Attributes:
        lines: of the text.
        problems: what stands in the way.
        finished: whether there is nothing left to do.
    """

    lines: tuple[str, ...]
    problems: tuple[str, ...]
    finished: bool = False

    @property
    def exit_code(self) -> int:
        """0, or 2 where something stands in the way."""
        return EXIT_ABSENT if self.problems else 0

    def text(self) -> str:
        """Returns the plan."""
        ready = [] if self.finished else ["ready to start"]
        ending = ["cannot start:", *(f"  {problem}" for problem in self.problems)] if self.problems else ready
        return "\n".join([*self.lines, *ending])


def make_plan(config: TrainConfig) -> Plan:
    """Returns the plan of a training; inputs that are absent are listed, all other parts are still there."""
    inputs = gather(config)
    lines = ["training plan (nothing is written)", f"mode: {inputs.start.text}"]
    lines += _inputs(config, inputs) + _labels(config, inputs) + _model(config, inputs) + _schedule(config, inputs)
    lines += [f"run folder: {config.run_outputs_dir}", f"bundle: {config.model_save_dir}"]
    lines += [f"warning: {warning}" for warning in (*inputs.warnings, *never_several(inputs))]
    earlier, behind = inputs.start.earlier, starting_epoch(config, inputs.start, inputs.source)
    if behind >= config.max_epochs and earlier is None:
        loaded = inputs.source.digest if inputs.source else None
        inputs.attempt(lambda: require_work(config, behind=behind, loaded=loaded))
    finished = nothing_to_do(earlier, config) if earlier is not None and not inputs.problems else None
    if finished is not None:
        return Plan((lines[0], finished), (), finished=True)
    return Plan(tuple(lines), tuple(dict.fromkeys(str(problem) for problem in inputs.problems)))


def _inputs(config: TrainConfig, inputs: Inputs) -> list[str]:
    lines = ["inputs:"]
    given = (
        (config.train_tfr_path, config.train_tfr_pattern),
        (config.val_tfr_path, config.val_tfr_pattern),
        (config.test_tfr_path, config.test_tfr_pattern),
    )
    for name, (paths, patterns) in zip(SPLITS, given, strict=True):
        where = f"{' '.join(map(str, paths))} [{' '.join(patterns)}]"
        if not paths:
            lines.append(f"  {name}: none")
        elif name in inputs.shards:
            shards = inputs.shards[name]
            lines.append(f"  {name}: {counted(len(shards), 'record')} in {counted(len(shards.shards), 'shard')}, {where}")
        else:
            lines.append(f"  {name}: not usable, {where}")
    mapping = config.class_mapping_json or "beside the training shards"
    lines.append(f"  label mapping: {mapping}{'' if inputs.full_mapping else ' (not usable)'}")
    if inputs.start.copies:
        found = inputs.source.file if inputs.source else f"{config.model_to_load} (not usable)"
        lines.append(f"  model to start from: {found}")
    return lines


def _labels(config: TrainConfig, inputs: Inputs) -> list[str]:
    lines = ["labels:"]
    weights = config.labels_loss_weights or (1.0,) * len(config.labels)
    for label, weight in zip(config.labels, weights, strict=True):
        line = f"  {label}: loss weight {weight:g}"
        if inputs.mapping is not None:
            line += f", {len(inputs.mapping.names(label))} classes"
            kind = inputs.specs[label].kind
            line += f", {kind} head" if kind != "softmax" else ""
            line += _class_counts(label, inputs.mapping, inputs.counts.get("training", {}).get(label))
        lines.append(line)
    return lines


def _class_counts(label: str, mapping: LabelMapping, counts: dict[str, int] | None) -> str:
    if counts is None:
        return ""
    known = {name: count for name, count in counts.items() if name in mapping.classes[label]}
    most = sorted(known, key=lambda name: -known[name])[:8]
    shown = ", ".join(f"{name} {known[name]}" for name in most) + (", …" if len(known) > 8 else "")
    total = known_records(counts, mapping.classes[label])
    return f"; training: {shown} ({total} labelled, {counts.get(MISSING, 0)} missing)"


def _model(config: TrainConfig, inputs: Inputs) -> list[str]:
    if inputs.source is not None:
        processing: Any = inputs.source.preprocessing
        width, height = config.output_width or processing.output_width, config.output_height or processing.output_height
    else:
        side = None
        if not (config.output_width and config.output_height) and not any(
            isinstance(problem, ModelError) or "--model" in str(problem) for problem in inputs.problems
        ):
            side = inputs.attempt(lambda: default_side_px(config.model))
        width, height = config.output_width or side or 0, config.output_height or side or 0
    unknown = f"size that of {config.model_to_load}" if inputs.start.copies else "size not known"
    size = f"{width} × {height} px" if width and height else unknown
    preset = config.model.startswith(HUB_PREFIX) and config.weights in ("none", "imagenet")
    weights = "those of the preset" if preset else config.weights
    if inputs.start.copies:
        weights = f"those of {config.model_to_load}"
    hint = "" if inputs.start.copies or has_weights(config.model, config.weights) or config.model in OWN_BACKBONES else (
        " (--weights imagenet starts from trained ones)"
    )  # fmt: skip
    trained = "heads only, backbone frozen" if inputs.start.frozen else "all layers"
    return [f"model: {config.model}, input {size}", f"weights: {weights}{hint}", f"trained: {trained}"]


def _schedule(config: TrainConfig, inputs: Inputs) -> list[str]:
    behind = starting_epoch(config, inputs.start, inputs.source)
    lines = [f"devices: {', '.join(inputs.devices) or 'not known'}"]
    batch = f"batch: {config.batch_size}"
    if "training" in inputs.shards:
        size, steps, _ = steps_per_epoch(config, len(inputs.shards["training"]))
        most = "at most " if config.max_per_class and not config.n_batches_per_epoch_train else ""
        batch = f"batch: {size}, {most}{steps} steps an epoch"
    epochs = f"epochs: {behind + 1} to {config.max_epochs}" if behind < config.max_epochs else (
        f"epochs: none, {behind} lie behind and --max-epochs is {config.max_epochs}"
    )  # fmt: skip
    return [*lines, batch, epochs, *_rates(config, inputs)]


def _rates(config: TrainConfig, inputs: Inputs) -> list[str]:
    """Returns lines about how weights move: recipe, rates, what thaws, precision."""
    lines = [
        f"recipe: {config.recipe}",
        f"optimiser: {config.optimizer}, learning rate {config.initial_learning_rate:g}, {config.learning_rate_schedule}"
        + (f", averaged weights (decay {config.ema_decay:g})" if config.ema_decay else ""),
    ]
    if not inputs.start.frozen:
        lines += describe_thaw(Thaw.from_config(config), epochs=config.max_epochs)
    if freezes_batch_norm(config):
        lines.append("batch normalisation of the backbone: as it comes with the weights (--no-freeze-bn trains it)")
    lines.append(f"best epoch: by validation {config.monitor}")
    if config.aggregation_mode is not None:
        lines.append(f"frames of an event: {config.aggregation_mode}")
    if config.precision != "float32":
        lines.append(f"precision: {config.precision}")
    return lines
