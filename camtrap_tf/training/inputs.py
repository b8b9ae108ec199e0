"""What a training reads: shards, label mapping, model to start from, all looked at before any long work.

Problems are collected, so that a plan can show everything else; training itself stops at the first. TensorFlow is loaded
only where there are GPUs to be counted, or a trained model to be read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from camtrap_tf.config.names import BACKBONES
from camtrap_tf.config.training import TrainConfig
from camtrap_tf.errors import CamtrapError, DatasetError, LabelError, SettingError, suggestion
from camtrap_tf.input_pipeline.shard_set import ShardSet
from camtrap_tf.labels import UNKNOWN, LabelMapping, bin_order
from camtrap_tf.models.choice import check_backbone, require_side, require_within_reach
from camtrap_tf.models.devices import choose_devices, gpu_count
from camtrap_tf.models.head_specs import SOFTMAX, HeadSpec
from camtrap_tf.models.locating import MAPPING_NAMES, locate_json, locate_model
from camtrap_tf.records import MISSING
from camtrap_tf.training.confidences import read_confidences
from camtrap_tf.training.devices import compiles, order_operations
from camtrap_tf.training.earlier import require_same_data
from camtrap_tf.training.start_rule import Start, check_source, start_in_folder, start_rule

if TYPE_CHECKING:
    from camtrap_tf.training.source import SourceModel

MAPPING_NAME = "label_mapping.json"
SPLITS = ("training", "validation", "test")
Value = TypeVar("Value")
Counts = dict[str, dict[str, int]]


@dataclass
class Inputs:
    """What was found. Fields are None where a problem hid them.

    Attributes:
        start: how training begins.
        shards: `training`, `validation`, `test` → shards.
        counts: the same names → label type → class → records, missing ones under `"-1"`.
        full_mapping: the label mapping as given, but for the blank classes of sigmoid heads.
        mapping: of the label types to learn.
        specs: label type → what its head is.
        trained: label types that take part in the loss.
        confidences: `[records]` of training, how sure the detector was, where examples are drawn by that.
        source: model to start from.
        devices: to train on.
        problems: errors that stop the training.
        warnings: what the user should know.
    """

    start: Start
    shards: dict[str, ShardSet] = field(default_factory=dict)
    counts: dict[str, Counts] = field(default_factory=dict)
    full_mapping: LabelMapping | None = None
    mapping: LabelMapping | None = None
    specs: Mapping[str, HeadSpec] = field(default_factory=dict)
    trained: tuple[str, ...] = ()
    confidences: np.ndarray | None = None
    source: SourceModel | None = None
    devices: list[str] = field(default_factory=list)
    problems: list[CamtrapError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def unseen(self) -> dict[str, np.ndarray]:
        """Label type → `[C]` bool: classes without a training record. Sigmoid heads are left out."""
        found = {}
        for label in self.mapping.label_types if self.mapping is not None else ():
            if self.specs[label].kind == "sigmoid":
                continue
            indices, counts = self.mapping.classes[label], self.counts["training"][label]
            seen = {indices[name] for name, count in counts.items() if count and name in indices}
            absent = np.array([index not in seen for index in range(len(self.mapping.names(label)))])
            if absent.any():
                found[label] = absent
        return found

    def attempt(self, function: Callable[[], Value]) -> Value | None:
        """Returns what the function returns, or keeps its error."""
        try:
            return function()
        except CamtrapError as err:
            self.problems.append(err)
            return None


def gather(config: TrainConfig, *, labels_counted: bool = True, to_the_end: bool = True) -> Inputs:
    """Looks at everything that a training will read.

    Args:
        config: the settings.
        labels_counted: count classes, which goes through shards that have no manifest.
        to_the_end: look at what takes TensorFlow too where there are problems already.

    Returns:
        What was found, with the problems that there are.
    """
    inputs = Inputs(start_rule(config))
    inputs.start = inputs.attempt(lambda: start_in_folder(config)) or inputs.start
    inputs.warnings += inputs.start.warnings
    inputs.attempt(lambda: _check_model(config, inputs.start))
    _find_shards(config, inputs)
    _read_mapping(config, inputs)
    inputs.warnings += _without_effect(config)
    if inputs.mapping is not None and labels_counted:
        _count(inputs, inputs.mapping, config)
    if config.weight_by_detection_conf and labels_counted and "training" in inputs.shards:
        field, curve, training = config.detection_conf_field, config.detection_conf_calibration, inputs.shards["training"]
        inputs.confidences = inputs.attempt(lambda: read_confidences(training, field, curve))
    earlier, full = inputs.start.earlier, inputs.full_mapping
    if earlier is not None and full is not None:
        inputs.attempt(lambda: require_same_data(earlier, inputs.shards, full))
    if to_the_end or not inputs.problems:
        _choose_devices(config, inputs)
        _read_source(config, inputs)
    return inputs


def _check_model(config: TrainConfig, start: Start) -> None:
    """Makes sure that there are such a backbone and weights, as far as that can be seen without loading any.

    Raises:
        SettingError: there is no such backbone, or the input is too small for it.
        ModelError: a file is absent.
    """
    elsewhere = start.copies or start.resumes
    check_backbone(config.model, "none" if elsewhere else config.weights)
    if not elsewhere:
        side = BACKBONES.get(config.model)
        height, width = config.output_height or side, config.output_width or side
        if height and width:
            require_side(config.model, height=height, width=width)
        require_within_reach(config.model, config.weights)
    if config.model_to_load is not None and start.copies:
        locate_model(config.model_to_load, flag="--model-to-load", prefer_best=False)


def _find_shards(config: TrainConfig, inputs: Inputs) -> None:
    """Opens the shards of each split."""
    for name, paths, patterns, flag in (
        ("training", config.train_tfr_path, config.train_tfr_pattern, "--train-tfr-path"),
        ("validation", config.val_tfr_path, config.val_tfr_pattern, "--val-tfr-path"),
        ("test", config.test_tfr_path, config.test_tfr_pattern, "--test-tfr-path"),
    ):
        if paths:
            found = inputs.attempt(lambda p=paths, q=patterns, f=flag: _open(config, p, q, f))
            if found is not None:
                inputs.shards[name] = found


def _read_mapping(config: TrainConfig, inputs: Inputs) -> None:
    """Reads the label mapping, and says what the heads are."""
    given = inputs.attempt(lambda: LabelMapping.read(_mapping_file(config, inputs.shards.get("training"))))
    if given is None:
        return
    shaped = inputs.attempt(lambda: shape_heads(config, given))
    inputs.full_mapping, inputs.specs = full, _ = shaped or (given, {})
    inputs.mapping = inputs.attempt(lambda: full.select(config.labels)) if shaped else None


def _choose_devices(config: TrainConfig, inputs: Inputs) -> None:
    """Chooses the devices; TensorFlow counts the GPUs, where there may be any and they are wanted."""
    there = gpu_count() if config.n_gpus else 0
    inputs.devices = inputs.attempt(lambda: choose_devices(config.n_gpus, there=there, fewer_ok=config.fewer_gpus_ok)) or []
    inputs.attempt(lambda: compiles(config.jit_compile, inputs.devices))


def _read_source(config: TrainConfig, inputs: Inputs) -> None:
    """Reads the model to start from."""
    path = config.model_to_load
    if path is None or not inputs.start.copies:
        return
    if inputs.attempt(lambda: locate_model(path, flag="--model-to-load", prefer_best=False)) is None:
        return  # without TensorFlow, which would be of no use
    from camtrap_tf.training.source import read_source

    order_operations(inputs.devices)
    source = inputs.attempt(lambda: read_source(path, with_state=inputs.start.continues))
    if source is not None:
        inputs.source = source
        inputs.attempt(lambda: check_source(config, source))


def _open(config: TrainConfig, paths: tuple[Path, ...], patterns: tuple[str, ...], flag: str) -> ShardSet:
    return ShardSet.open(paths, patterns, substring=config.pattern_is_substring, flag=flag)


def _mapping_file(config: TrainConfig, training: ShardSet | None) -> Path:
    """Returns the label mapping's file: as given, else the one beside the training shards.

    Raises:
        SettingError: not given, and there is none.
    """
    if config.class_mapping_json is not None:
        return locate_json(config.class_mapping_json, MAPPING_NAMES)
    folders = [*config.train_tfr_path, *({shard.parent for shard in training.shards} if training else ())]
    for folder in folders:
        file = locate_json(folder / MAPPING_NAME, MAPPING_NAMES)
        if file.is_file():
            return file
    raise SettingError(f"--class-mapping-json: not given, and no {MAPPING_NAME} beside the training shards; give its path")


def _count(inputs: Inputs, mapping: LabelMapping, config: TrainConfig) -> None:
    """Counts classes, and finds label types that cannot be trained or measured."""
    for name, shards in inputs.shards.items():
        there = [label for label in mapping.label_types if label in shards.label_types]
        counts = inputs.attempt(lambda s=shards, t=there: s.label_counts(t))
        if counts is None:
            continue
        inputs.counts[name] = counts
        inputs.warnings += _unknown_classes(name, counts, mapping, inputs.specs)
    for name, shards in inputs.shards.items():
        if name in inputs.counts:
            inputs.attempt(lambda n=name, s=shards: _check_split(n, s, inputs, mapping))
    if "training" in inputs.counts:
        if inputs.counts["training"].keys() >= set(mapping.label_types):  # else the split's check has said so
            inputs.trained = inputs.attempt(lambda: _trainable(mapping, inputs)) or ()
        size = len(inputs.shards["training"])
        if config.drop_remainder and size < config.batch_size:
            inputs.problems.append(
                SettingError(
                    f"--batch-size {config.batch_size}: there are {size} training records, and --drop-remainder drops smaller "
                    f"batches; give {size} or less"
                )
            )


def _without_effect(config: TrainConfig) -> list[str]:
    """Returns a warning for each flag of heads and sampling that changes nothing beside the others."""
    flags = []
    if "blank_classes" in config.model_fields_set and "sigmoid" not in config.given_head_types().values():
        flags.append("--blank-classes (there is no sigmoid head)")
    if "buffer_size" in config.model_fields_set and config.draws and config.max_per_class is None:
        flags.append("--buffer-size (examples are drawn from the whole data set)")
    if config.aggregation_mode == "mean_logits" and config.image_choice_for_sets == "grayscale_stacking":
        flags.append("--aggregation-mode (the model sees the frames of an event together)")
    return [f"no effect: {flag}" for flag in flags]


def shape_heads(config: TrainConfig, full: LabelMapping) -> tuple[LabelMapping, dict[str, HeadSpec]]:
    """Returns the label mapping without the blank classes of sigmoid heads, and what each head is.

    Raises:
        LabelError: a label type does not exist, or a class of an ordinal head is no count bin.
        SettingError: `--blank-classes` names a class that no sigmoid head has.
    """
    specs: dict[str, HeadSpec] = {}
    mapping = full.select(config.labels)
    wanted = {name.casefold() for name in config.blank_classes}
    found: set[str] = set()
    for label in mapping.label_types:
        kind = config.head_type(label)
        if kind == "ordinal":
            order = bin_order(mapping.names(label), f"--head-types {label}=ordinal")
            specs[label] = HeadSpec("ordinal", order=order) if len(order) > 1 else SOFTMAX
        elif kind == "sigmoid":
            classes = mapping.classes[label]
            there = {classes[name] for name in classes if name.casefold() in wanted}
            names = [name for name in classes if classes[name] in there]
            found.update(name.casefold() for name in names)
            # blank ones that the mapping lacks may still stand in the shards
            known = {name.casefold() for name in names}
            specs[label] = HeadSpec(
                "sigmoid", blanks=(*names, *(name for name in config.blank_classes if name.casefold() not in known))
            )
            full = full.without(label, names)
        else:
            specs[label] = SOFTMAX
    sigmoid = [label for label, spec in specs.items() if spec.kind == "sigmoid"]
    if "blank_classes" in config.model_fields_set and sigmoid and not wanted <= found:
        absent = next(name for name in config.blank_classes if name.casefold() not in found)
        every = [name for label in sigmoid for name in mapping.classes[label]]
        raise SettingError(f"--blank-classes {absent}: no class of {', '.join(sigmoid)}{suggestion(absent, every)}")
    return full, specs


def _answers(label: str, mapping: LabelMapping, spec: HeadSpec, counts: Counts) -> int:
    """Returns how many different answers there are to learn."""
    blank = spec.kind == "sigmoid" and any(counts[label].get(name) for name in spec.blanks)
    return len(mapping.names(label)) + blank


def known_records(counts: Mapping[str, int], classes: Mapping[str, int]) -> int:
    """Returns how many records have a class that the mapping knows."""
    return sum(count for name, count in counts.items() if classes.get(name, UNKNOWN) != UNKNOWN)


def _unknown_classes(name: str, counts: Counts, mapping: LabelMapping, specs: Mapping[str, HeadSpec]) -> list[str]:
    warnings = []
    for label, classes in counts.items():
        known = {MISSING, *mapping.classes[label], *specs[label].blanks}
        strange = {one: count for one, count in classes.items() if one not in known}
        if strange:
            most = sorted(strange, key=lambda one: -strange[one])[:5]
            shown = ", ".join(f"{one} ({strange[one]})" for one in most) + (", …" if len(strange) > 5 else "")
            warnings.append(
                f"{name}: {sum(strange.values())} records have a class of {label!r} that the label mapping lacks, "
                f"and count as missing: {shown}"
            )
    return warnings


def _check_split(name: str, shards: ShardSet, inputs: Inputs, mapping: LabelMapping) -> None:
    """Makes sure that a split can be used for these label types.

    Raises:
        LabelError: a label type to train on is not in the shards, or none of its classes is known; or a split to
            measure on has nothing to measure.
    """
    counts = inputs.counts[name]
    if name == "training":
        shards.require_labels(mapping.label_types)
        shards.unknown_classes(mapping, {label: spec.blanks for label, spec in inputs.specs.items()})
        return
    known = {label: {**mapping.classes[label], **dict.fromkeys(inputs.specs[label].blanks, 0)} for label in mapping.label_types}
    empty = [label for label in mapping.label_types if not known_records(counts.get(label, {}), known[label])]
    if len(empty) == len(mapping.label_types):
        raise LabelError(
            f"--labels {' '.join(mapping.label_types)}: no {name} record has a known class of any of them; "
            f"give other {name} shards, or the label mapping that belongs to them"
        )
    inputs.warnings += [f"{name}: no record has a known class of {label!r}; it is not measured there" for label in empty]


def _trainable(mapping: LabelMapping, inputs: Inputs) -> tuple[str, ...]:
    """Returns the label types with more than one answer.

    Raises:
        DatasetError: there is none.
    """
    counts = inputs.counts["training"]
    single = [label for label in mapping.label_types if _answers(label, mapping, inputs.specs[label], counts) < 2]
    inputs.warnings += [
        f"label {label!r} has one class ({', '.join(mapping.names(label))}): nothing to learn, left out of the loss"
        for label in single
    ]
    trained = tuple(label for label in mapping.label_types if label not in single)
    if not trained:
        raise DatasetError(f"--labels {' '.join(mapping.label_types)}: none of them has two classes; there is nothing to learn")
    for label in trained:
        if inputs.specs[label].kind == "sigmoid":
            continue
        classes = mapping.classes[label]
        seen = {classes[name] for name, count in inputs.counts["training"][label].items() if count and name in classes}
        if len(seen) == 1:
            inputs.warnings.append(f"training: all records have one class of {label!r}; the model will always give that one")
    return trained
