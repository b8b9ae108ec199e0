"""How a training begins: the one place where the flags of resuming, continuing and transfer are read.

1. `--continue-training`, `--rebuild-model`, `--transfer-learning`, `--starting-epoch` or `--model-to-load` given: a new
   attempt, as the table says. What an earlier one left in the run folder is kept aside. Only with `--resume auto` beside
   them, in so many words, the attempt that these very settings began is gone on with.
2. Else the run folder decides. Nothing in it, or `--resume off`: a new attempt. A training with the same
   settings (but for `FREE_TO_CHANGE`): gone on with, or said to be finished. One with other settings, or one whose
   checkpoints are lost: an error.

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

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from camtrap_tf.config.running import RunningConfig
from camtrap_tf.config.training import TrainConfig
from camtrap_tf.config.watching import WatchConfig
from camtrap_tf.errors import ModelError, SettingError, shortened
from camtrap_tf.training.earlier import Earlier, read_earlier, require_nothing_lost

if TYPE_CHECKING:
    from camtrap_tf.training.source import SourceModel

FREE_TO_CHANGE = frozenset(
    {
        *("run_outputs_dir", "model_save_dir", "log_outdir"),
        *("max_epochs", "n_cpus", "tensorboard", "dry_run", "unused_model_ok"),
        *RunningConfig.model_fields,
        *WatchConfig.model_fields,
    }
)
"""Settings that a training may be gone on with under other values: places, workers, logging, and how long it goes."""

_COMPARED_BY_CONTENT = ("train_tfr_path", "val_tfr_path", "test_tfr_path", "class_mapping_json")
"""Paths to what a training compares by digest, wherever it lies; see `require_same_data`."""

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
        earlier: the training in the run folder that is gone on with; None: a new attempt.
    """

    mode: Mode
    frozen: bool
    warnings: tuple[str, ...] = ()
    earlier: Earlier | None = None

    @property
    def resumes(self) -> bool:
        """Whether an earlier training in the run folder is gone on with."""
        return self.earlier is not None

    @property
    def copies(self) -> bool:
        """Whether weights come from a trained model."""
        return self.mode != "fresh" and not self.resumes

    @property
    def continues(self) -> bool:
        """Whether epochs are counted on."""
        return self.mode in ("continue", "continue_rebuild") and not self.resumes

    @property
    def text(self) -> str:
        """One line for people."""
        if self.earlier is not None:
            return f"going on from {self.earlier.position.text} of the training in {self.earlier.folder}"
        return _MODES[self.mode]


def start_in_folder(config: TrainConfig) -> Start:
    """Returns how a training with these settings begins in its run folder.

    Raises:
        SettingError: the folder holds a training with other settings, or one that has lost what it would go on from.
        SourceError: its facts cannot be read.
    """
    if config.resume == "off":
        return start_rule(config)
    earlier = read_earlier(config.run_outputs_dir)
    if earlier is None and not starts_by_flag(config):
        require_nothing_lost(config.run_outputs_dir)
    return start_rule(config, earlier)


def start_rule(config: TrainConfig, earlier: Earlier | None = None) -> Start:
    """Returns how a training with these settings begins.

    Args:
        config: the settings.
        earlier: what the run folder holds.

    Raises:
        SettingError: the run folder holds a training with other settings.
    """
    start = _start_as_told(config)
    if earlier is None or config.resume == "off":
        return start
    differences = changed_settings(config, earlier.settings)
    if starts_by_flag(config):
        if "resume" in config.model_fields_set and not differences:
            return replace(start, earlier=earlier, warnings=(*start.warnings, *moved_paths(config, earlier.settings)))
        note = f"a new attempt begins; the earlier one in {earlier.folder} is kept aside"
        return replace(start, warnings=(*start.warnings, note))
    if differences:
        told = shortened(differences, between="; ")
        raise SettingError(
            f"--run-outputs-dir {earlier.folder}: holds a training with other settings ({told}); give "
            "those again to go on with it, another folder, or --resume off to begin anew (it is kept aside)"
        )
    return replace(start, earlier=earlier, warnings=(*start.warnings, *moved_paths(config, earlier.settings)))


def starts_by_flag(config: TrainConfig) -> bool:
    """Returns whether a flag says how to start, so that the run folder is not asked."""
    by_switch = config.continue_training or config.rebuild_model or config.transfer_learning
    return by_switch or config.starting_epoch is not None or config.model_to_load is not None


def settings_that_count(config: TrainConfig) -> dict[str, Any]:
    """Returns the settings that make a training what it is, as plain values."""
    return config.model_dump(mode="json", exclude=set(FREE_TO_CHANGE))


def changed_settings(config: TrainConfig, earlier: Mapping[str, Any]) -> list[str]:
    """Returns the settings that count and differ from those of an earlier training: `seed: 1 → 2`.

    A setting that the earlier one did not know yet counts as its default.
    """
    told = []
    for name, before, value in _differing(config, earlier):
        if name in _COMPARED_BY_CONTENT and (bool(before) == bool(value) or name == "class_mapping_json"):
            continue
        if not _same_place(before, value):
            told.append(f"{name}: {_plain(before)} → {_plain(value)}")
    return told


def moved_paths(config: TrainConfig, earlier: Mapping[str, Any]) -> list[str]:
    """Returns a note on the paths that are written in another way than in an earlier training with the same settings."""
    moved = [f"{name}: {_plain(before)} → {_plain(value)}" for name, before, value in _differing(config, earlier)]
    return [f"other paths than before, to the same: {'; '.join(moved)}"] if moved else []


def _differing(config: TrainConfig, earlier: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Returns name, earlier value and present value of the settings that count and are not written alike."""
    now = settings_that_count(config)
    defaults = {name: TrainConfig.model_fields[name].get_default(call_default_factory=True) for name in now}
    both = [(name, earlier.get(name, defaults[name]), value) for name, value in now.items()]
    return [(name, before, value) for name, before, value in both if _plain(before) != _plain(value)]


def _same_place(one: Any, other: Any) -> bool:
    """Returns whether two values are paths to the same file or folder, which is there."""
    if not isinstance(one, str) or not isinstance(other, str):
        return False
    return Path(other).exists() and Path(one).resolve() == Path(other).resolve()


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def _start_as_told(config: TrainConfig) -> Start:
    """Returns the start that the flags alone ask for, with the flags that have no effect in it."""
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
    """Returns how many epochs lie behind: of the training gone on with, as told, of the model that is continued, or none."""
    if start.earlier is not None:
        return start.earlier.position.epoch
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
