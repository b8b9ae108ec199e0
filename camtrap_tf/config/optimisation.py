"""Settings of how weights move and on which devices: recipe, rates, unfreezing, averaging, precision."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from camtrap_tf.config.base import StageConfig
from camtrap_tf.config.names import HeadType

Precision = Literal["float32", "mixed_float16", "mixed_bfloat16"]
RateSchedule = Literal["legacy", "constant", "cosine", "step"]
JitCompile = Literal["auto", "on", "off"]
LESS_IS_BETTER = ("loss", "weighted_loss", "bin_error")
MONITORED = (*LESS_IS_BETTER, "accuracy", "weighted_accuracy", "top_k_accuracy", "within_one_bin", "micro_f1", "macro_f1")
_OF_CLASSES = frozenset({"loss", "accuracy", "top_k_accuracy", "weighted_loss", "weighted_accuracy"})
SCORES_OF: dict[HeadType, frozenset[str]] = {
    "softmax": _OF_CLASSES,
    "ordinal": _OF_CLASSES | {"within_one_bin", "bin_error"},
    "sigmoid": frozenset({"loss", "accuracy", "micro_f1", "macro_f1"}),
}
"""Which scores a kind of head has."""


class RatesConfig(StageConfig):
    """The learning rate over the steps, and how much of it each layer gets."""

    recipe: str | None = Field(
        None,
        description="settings to begin with: finetune, legacy, animl, animl-efficientnet, animl-resnet, plantnet, or a YAML "
        "file; default: finetune where --weights are given and with --transfer-learning, else legacy. Flags and --config "
        "win over it",
    )
    learning_rate_schedule: RateSchedule = Field(
        "legacy", description="the rate over the steps; legacy: sgd falls by 1e-4 a step, others keep their rate"
    )
    warmup_epochs: float = Field(0.0, ge=0, description="epochs in which the rate rises from 0, once more where layers thaw")
    learning_rate_step_epochs: float = Field(8.0, gt=0, description="with schedule step: epochs between two falls")
    learning_rate_step_factor: float = Field(0.1, gt=0, le=1, description="with schedule step: what a fall multiplies by")
    scale_learning_rate: bool = Field(
        False, description="--initial-learning-rate is that of batches of 256, and is scaled to --batch-size"
    )
    momentum: float | None = Field(None, ge=0, lt=1, description="of sgd (default: 0.9) and rmsprop (default: 0)")
    ema_decay: float = Field(
        0.0, ge=0, lt=1, description="average weights over steps with this decay; they are validated and saved; 0: off"
    )
    head_epochs: int = Field(0, ge=0, description="epochs in which the heads alone are trained, from 0 instead of random")
    unfreeze_epochs: int = Field(0, ge=0, description="epochs over which the backbone thaws from its top; 0: all at once")
    backbone_rate: float = Field(1.0, ge=0, description="learning rate of the backbone's top, as a share of the heads'")
    layer_decay: float = Field(1.0, gt=0, le=1, description="share of the rate that each deeper quarter of the backbone keeps")
    freeze_bn: bool | None = Field(
        None,
        description="batch normalisation of the backbone keeps its statistics and scales; default: what the recipe says, else "
        "on with --weights and --transfer-learning",
    )
    monitor: str = Field(
        "loss",
        description="what the best epoch and early stopping go by, on validation data: loss, accuracy, "
        "weighted_accuracy, macro_f1 …, the mean over the labels that have it, or that of one label (accuracy/species); "
        "default: loss or what the recipe says, with --label-weighted the weighted one",
    )

    @model_validator(mode="after")
    def _check_monitor(self) -> Self:
        metric = self.monitor.partition("/")[0]
        if metric not in MONITORED:
            raise ValueError(f"--monitor {self.monitor}: must be one of {', '.join(MONITORED)}, or one of them with /label")
        return self


class DevicesConfig(StageConfig):
    """What the devices do at once, and how exactly."""

    precision: Precision = Field(
        "float32", description="numbers that layers compute in; weights stay float32; mixed_float16 scales its loss"
    )
    jit_compile: JitCompile = Field("auto", description="compile the training step with XLA; auto: on one GPU")
    accumulate_steps: int = Field(
        1, ge=1, description="parts that a batch is worked off in, one after the other, to save memory; the step is the same"
    )
    synchronised_batch_norm: bool = Field(
        False, description="batch normalisation looks at the batch over all devices, not at each device's part"
    )


class RecipeConfig(StageConfig):
    """Print a recipe of training, to be copied, edited and given with --recipe."""

    name: str = Field("finetune", description="finetune, legacy, animl, animl-efficientnet, animl-resnet or plantnet")
