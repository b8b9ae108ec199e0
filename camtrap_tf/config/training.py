"""Settings of training."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from camtrap_tf.config.base import LoggedConfig, Seed, StageConfig
from camtrap_tf.config.heads import HeadConfig
from camtrap_tf.config.names import Normalisation, Optimizer, TransferType
from camtrap_tf.config.optimisation import SCORES_OF, DevicesConfig, RatesConfig
from camtrap_tf.config.running import RunningConfig
from camtrap_tf.config.variation import VariationConfig
from camtrap_tf.config.watching import WatchConfig


class ShardsConfig(StageConfig):
    """Where the examples are."""

    train_tfr_path: tuple[Path, ...] = Field(min_length=1, description="folders with training shards, searched through")
    val_tfr_path: tuple[Path, ...] = Field(min_length=1, description="folders with validation shards")
    test_tfr_path: tuple[Path, ...] = Field((), description="folders with test shards, for the best model at the end")
    train_tfr_pattern: tuple[str, ...] = Field(("train",), description="splits to train on")
    val_tfr_pattern: tuple[str, ...] = Field(("val",), description="splits to validate on")
    test_tfr_pattern: tuple[str, ...] = Field(("test",), description="splits to test on")
    pattern_is_substring: bool = Field(
        False, description="patterns are parts of file names, all of which must occur, instead of split names"
    )
    class_mapping_json: Path | None = Field(None, description="label mapping; default: label_mapping.json beside the shards")


class InputConfig(VariationConfig):
    """Which examples the model sees, and how."""

    labels: tuple[str, ...] = Field(min_length=1, description="label types to learn, e.g. species count")
    labels_loss_weights: tuple[float, ...] = Field((), description="weight of each label in the loss, in the same order")

    batch_size: int = Field(128, gt=0, description="examples per step, over all replicas")
    drop_remainder: bool = Field(False, description="drop the last, smaller batch of an epoch")
    buffer_size: int = Field(32768, ge=0, description="shuffle window in records; 0: the whole data set")
    n_cpus: int | None = Field(None, ge=1, description="threads that read and decode; default: one per core")
    n_batches_per_epoch_train: int | None = Field(None, ge=1, description="steps per epoch; default: all records once")


class ModelConfig(StageConfig):
    """Which network, and where its weights come from."""

    model: str = Field(description="backbone by name, e.g. ResNet18, MobileNetV2, EfficientNetB0, or hub:<keras-hub preset>")
    weights: str = Field("none", description="start of the backbone: none, imagenet, or a weights file")
    normalisation: Normalisation | None = Field(
        None,
        description="input scaling: as the backbone's weights expect, or mean and deviation of the data set; "
        "default: backbone where weights are given, else dataset",
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout before the heads")
    freeze_backbone: bool = Field(False, description="train the heads only")


class TrainingConfig(
    InputConfig, ModelConfig, HeadConfig, RatesConfig, DevicesConfig, RunningConfig, WatchConfig, LoggedConfig
):
    """What every training takes, wherever its examples come from."""

    run_outputs_dir: Path = Field(description="run folder: checkpoints, logs, metrics")
    model_save_dir: Path = Field(description="folder of the finished bundle")

    n_gpus: Literal["auto"] | int = Field("auto", description="how many GPUs; auto: all there are; 0: the CPU")
    fewer_gpus_ok: bool = Field(False, description="with fewer GPUs than asked for: warn and go on")

    max_epochs: int = Field(70, ge=0, description="last epoch, counted from the very first run")
    starting_epoch: int | None = Field(None, ge=0, description="epochs that lie behind (10: the next one is the 11th)")
    initial_learning_rate: float = Field(0.01, gt=0, description="learning rate to begin with")
    optimizer: Optimizer = Field("sgd", description="sgd has momentum 0.9 and decays by 1e-4 a step")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay")
    early_stopping_patience: int = Field(
        3, ge=0, description="stop after so many epochs without a better validation loss; 0: never"
    )
    reduce_lr_on_plateau_patience: int = Field(2, ge=0, description="tenth of the rate after this many such epochs; 0: never")
    reduce_lr_on_plateau_cooldown: int = Field(
        1, ge=0, description="after such a fall, one epoch fewer than this is left out of the count, as Keras does"
    )
    reduce_lr_on_plateau_min: float = Field(1e-5, ge=0, description="such falls do not go below this rate")
    reduce_lr_on_plateau_threshold_mode: Literal["abs", "rel"] = Field(
        "abs", description="for this count a validation loss is lower by 1e-4 (abs), or by that share of the lowest (rel)"
    )

    continue_training: bool = Field(False, description="go on with a trained model, optimiser included")
    rebuild_model: bool = Field(False, description="with --continue-training: new optimiser at --initial-learning-rate")
    transfer_learning: bool = Field(False, description="start from a trained model with other labels or classes")
    transfer_learning_type: TransferType = Field("last_layer", description="train the heads only, or all layers")
    model_to_load: Path | None = Field(None, description="bundle, run folder, .keras or .h5 file to start from")

    unused_model_ok: bool = Field(
        False, description="with --model-to-load but no flag that uses it: warn and train a new model"
    )

    tensorboard: bool = Field(True, description="write TensorBoard events into the run folder")
    seed: Seed = Field(123, description="seed of initial weights, order and augmentation")
    dry_run: bool = Field(False, description="print the plan and stop")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.labels_loss_weights and len(self.labels_loss_weights) != len(self.labels):
            raise ValueError(
                f"--labels-loss-weights has {len(self.labels_loss_weights)} entries, --labels has {len(self.labels)}; one each"
            )
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("--labels names a label type twice")
        if self.continue_training and self.transfer_learning:
            raise ValueError("--continue-training and --transfer-learning exclude each other; give one")
        if (self.continue_training or self.transfer_learning) and self.model_to_load is None:
            raise ValueError("--continue-training and --transfer-learning need --model-to-load")
        if self.rebuild_model and not self.continue_training:
            raise ValueError("--rebuild-model goes with --continue-training")
        uses_model = self.continue_training or self.transfer_learning or self.unused_model_ok
        if self.model_to_load is not None and not uses_model:
            raise ValueError(
                "--model-to-load is not used by a new model; add --continue-training to go on with that model, or "
                "--transfer-learning to start from it"
            )
        metric, _, label = self.monitor.partition("/")
        if label and label not in self.labels:
            raise ValueError(f"--monitor {self.monitor}: {label!r} is not in --labels")
        kinds = {one: self.head_type(one) for one in ((label,) if label else self.labels)}
        if not any(metric in SCORES_OF[kind] for kind in kinds.values()):
            there = sorted(frozenset().union(*(SCORES_OF[kind] for kind in kinds.values())))
            heads = ", ".join(f"{one} ({kind})" for one, kind in kinds.items())
            raise ValueError(f"--monitor {self.monitor}: not a score of {heads}; there are {', '.join(there)}")
        if isinstance(self.n_gpus, int) and self.n_gpus < 0:
            raise ValueError("--n-gpus is 'auto' or a number from 0")
        return self


class TrainConfig(TrainingConfig, ShardsConfig):
    """Train a model with one head per label; writes a run folder and the finished bundle."""
