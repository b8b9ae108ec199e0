"""What changes over a training as a pure function of step and epoch: learning rates and which layers are trained.

Nothing here has a memory, so a training that goes on at any step finds the same values as one that never stopped. Keras is
loaded only where a rate is computed; a plan needs none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from camtrap_tf.config.names import Optimizer
from camtrap_tf.config.optimisation import RateSchedule, RatesConfig
from camtrap_tf.config.training import TrainConfig
from camtrap_tf.models.choice import has_weights

SGD_DECAY = 1e-4
"""Source: camera-trap-classifier; rate / (1 + decay · steps)."""
BLOCKS = 4
"""Parts that a backbone is cut into, for unfreezing and for rates. Each stage is a graph to trace, so there are few."""
REFERENCE_BATCH = 256
"""Batch size that rates are given for where they are scaled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateShape:
    """The rate over the steps, as a share of the base rate.

    Attributes:
        schedule: `cosine` falls to 0 at `total_steps`, `step` by `factor` every `every_steps`, `inverse` with
            1 / (1 + 1e-4 · step).
        warmup_steps: steps in which the rate rises in a line from 0.
        total_steps: steps of the whole training.
        every_steps: see `step`.
        factor: see `step`.
    """

    schedule: RateSchedule | str = "constant"
    warmup_steps: int = 0
    total_steps: int = 1
    every_steps: int = 1
    factor: float = 1.0

    def __call__(self, step: Any) -> Any:
        """Returns the share at a step, counted from 0; a float32 scalar."""
        from keras import ops

        step = ops.cast(step, "float32")
        share = ops.ones_like(step)
        if self.schedule == "inverse":
            share = 1.0 / (1.0 + SGD_DECAY * step)
        elif self.schedule == "cosine":
            done = (step - self.warmup_steps) / max(1, self.total_steps - self.warmup_steps)
            share = 0.5 * (1.0 + ops.cos(math.pi * ops.clip(done, 0.0, 1.0)))
        elif self.schedule == "step":
            share = ops.power(ops.cast(self.factor, "float32"), ops.floor(step / self.every_steps))
        return share * ramp(step, self.warmup_steps) if self.warmup_steps else share


def ramp(step: Any, steps: int, *, start: int = 0) -> Any:
    """Returns a share that rises from `1 / steps` at step `start` to 1; before `start` it is 0."""
    from keras import ops

    step = ops.cast(step, "float32")
    return ops.clip((step - start + 1.0) / max(1, steps), 0.0, 1.0)


def stage_scale(config: RatesConfig) -> float:
    """Returns what the stages of a recipe (and its warm-up) are multiplied by: they take half of all epochs at most.

    A recipe knows nothing of `--max-epochs`; without this, a short training would be over before all of the backbone thaws.
    Stages that the user asks for by themselves stay as they are.
    """
    total = config.head_epochs + config.unfreeze_epochs
    if not isinstance(config, TrainConfig) or not total or {"head_epochs", "unfreeze_epochs"} & config.model_fields_set:
        return 1.0
    return min(1.0, config.max_epochs / (2 * total))


def rate_shape(config: RatesConfig, optimizer: Optimizer, *, epochs: int, epoch_steps: int) -> RateShape:
    """Returns the shape that the settings ask for.

    Args:
        config: the settings.
        optimizer: by name; under `legacy`, sgd alone has a rate that falls.
        epochs: that the optimiser will live for.
        epoch_steps: steps in an epoch.
    """
    schedule = config.learning_rate_schedule
    warmup = config.warmup_epochs * (1.0 if "warmup_epochs" in config.model_fields_set else stage_scale(config))
    return RateShape(
        schedule=("inverse" if optimizer == "sgd" else "constant") if schedule == "legacy" else schedule,
        warmup_steps=round(warmup * epoch_steps),
        total_steps=max(1, epochs * epoch_steps),
        every_steps=max(1, round(config.learning_rate_step_epochs * epoch_steps)),
        factor=config.learning_rate_step_factor,
    )


def base_rate(rate: float, batch_size: int, *, scaled: bool) -> float:
    """Returns the base rate: as given, or in proportion to the batch where it was given for batches of 256."""
    return rate * batch_size / REFERENCE_BATCH if scaled else rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Thaw:
    """Which blocks of the backbone are trained in which epoch, and at which share of the rate.

    Block 0 is the one below the heads.

    Attributes:
        head_epochs: epochs in which no block is.
        unfreeze_epochs: epochs after that over which they thaw one after the other; 0: all at once.
        backbone_rate: share of block 0.
        layer_decay: share of a block in that of the block above.
    """

    head_epochs: int = 0
    unfreeze_epochs: int = 0
    backbone_rate: float = 1.0
    layer_decay: float = 1.0

    @classmethod
    def from_config(cls, config: RatesConfig) -> Thaw:
        """Returns what the settings ask for, in a short training less of each stage."""
        scale = stage_scale(config)
        return cls(
            head_epochs=round(scale * config.head_epochs),
            unfreeze_epochs=round(scale * config.unfreeze_epochs),
            backbone_rate=config.backbone_rate,
            layer_decay=config.layer_decay,
        )

    @property
    def plain(self) -> bool:
        """Whether all layers are trained alike from the first step on."""
        return self == Thaw()

    def first_epoch(self, block: int) -> int:
        """Returns the first epoch, counted from 0, in which a block is trained."""
        return self.head_epochs + (block * self.unfreeze_epochs) // BLOCKS

    def open_blocks(self, epoch: int) -> int:
        """Returns how many blocks are trained in an epoch, counted from 0."""
        return sum(epoch >= self.first_epoch(block) for block in range(BLOCKS))

    def share(self, block: int) -> float:
        """Returns the share of the rate that a block gets."""
        return self.backbone_rate * self.layer_decay**block


def describe_thaw(thaw: Thaw, *, epochs: int) -> Sequence[str]:
    """Returns lines about what is trained when."""
    if thaw.plain:
        return []
    lines = [f"epochs 1 to {min(thaw.head_epochs, epochs)}: heads only"] if thaw.head_epochs else []
    opened = {thaw.first_epoch(block): block + 1 for block in range(BLOCKS)}
    for epoch, count in opened.items():
        shares = ", ".join(f"{thaw.share(block):.2g}" for block in range(count))
        lines.append(f"from epoch {epoch + 1}: {count} of {BLOCKS} parts of the backbone too, at rates × {shares}")
    return lines


def freezes_batch_norm(config: TrainConfig) -> bool:
    """Returns whether batch normalisation of the backbone keeps its statistics: as told, else with weights trained before.

    Batches of few pictures move the statistics of trained weights slower than the layers around them move, so that validation,
    which uses them, sees another network than training does. A training that is gone on with keeps to what it began with.
    """
    if config.freeze_bn is not None:
        return config.freeze_bn
    return config.transfer_learning or has_weights(config.model, config.weights)


def steps_per_epoch(config: TrainConfig, examples: int) -> tuple[int, int, int]:
    """Returns batch size, steps of an epoch, and steps in which all examples are seen once.

    A data set smaller than a batch makes the batch smaller.
    """
    batch_size = min(config.batch_size, examples)
    once = examples // batch_size if config.drop_remainder else math.ceil(examples / batch_size)
    return batch_size, config.n_batches_per_epoch_train or once, once
