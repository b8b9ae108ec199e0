"""What a fine-tuning does with the parts of a model: blocks of the backbone, batch normalisation, precision."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from camtrap_tf.config.optimisation import Precision
from camtrap_tf.config.training import TrainConfig
from camtrap_tf.models.backbones import BACKBONE_LAYER
from camtrap_tf.models.classifier import head_layers
from camtrap_tf.models.weights import weighted_layers
from camtrap_tf.training.optimizers import give_share, make_optimizer
from camtrap_tf.training.schedules import BLOCKS, Thaw, base_rate, rate_shape


def batch_norms(layer: keras.layers.Layer) -> list[keras.layers.BatchNormalization]:
    """Returns the batch normalisation layers anywhere in a layer or model, itself included."""
    return [part for part in layer._flatten_layers() if isinstance(part, keras.layers.BatchNormalization)]


def freeze_batch_norm(model: keras.Model) -> None:
    """Fixes the batch normalisation of the backbone: stored statistics, scales and offsets stay."""
    for layer in batch_norms(model.get_layer(BACKBONE_LAYER)):
        layer.trainable = False


def heads_from_zero(model: keras.Model) -> None:
    """Empties the kernels of the heads.

    Few pictures pin down few directions of a kernel; in all others its random start would stay, as noise in the answers.
    """
    for head in head_layers(model).values():
        head.kernel.assign(keras.ops.zeros_like(head.kernel))


def synchronise_batch_norm(model: keras.Model) -> None:
    """Makes batch normalisation look at the batch over all devices; to be called before the first step."""
    for layer in batch_norms(model):
        layer.synchronized = True


class Unfreezing:
    """Which variables are trained in an epoch, and at which rates.

    Where nothing thaws, that is all of them, always.
    """

    def __init__(self, model: keras.Model, thaw: Thaw) -> None:
        """Takes the model as it is: layers that are not trainable by now never are."""
        self._thaw = thaw
        backbone = model.get_layer(BACKBONE_LAYER)
        layers = list(weighted_layers(backbone).values())[::-1] if backbone.trainable else []
        cuts = [len(layers) * block // BLOCKS for block in range(BLOCKS + 1)]
        self._blocks = [layers[first:last] for first, last in itertools.pairwise(cuts)]
        self._variables = [[v for layer in block for v in layer.trainable_variables] for block in self._blocks]
        inside = {id(variable) for block in self._variables for variable in block}
        self._heads = [variable for variable in model.trainable_variables if id(variable) not in inside]
        self._norms = [[norm for layer in block for norm in batch_norms(layer) if norm.trainable] for block in self._blocks]

    def give_shares(self, optimizer: keras.optimizers.Optimizer, *, epoch_steps: int, warmup_steps: int, behind: int) -> None:
        """Tells the optimiser the rates of the blocks, and when they begin.

        Args:
            optimizer: made by `make_optimizer`.
            epoch_steps: steps in an epoch.
            warmup_steps: over which the rate of a block rises.
            behind: epochs before the optimiser's first step.
        """
        for number, variables in enumerate(self._variables):
            start = max(0, self._thaw.first_epoch(number) - behind) * epoch_steps
            give_share(optimizer, variables, self._thaw.share(number), start=start, warmup=max(1, warmup_steps))

    def stage(self, epoch: int) -> int:
        """Returns how many blocks are trained in an epoch, counted from 0; none in a backbone that is frozen for good."""
        return self._thaw.open_blocks(epoch) if any(self._variables) else 0

    def enter(self, stage: int) -> list[Any]:
        """Makes batch normalisation that is still frozen work with its stored statistics; returns what is trained."""
        for number, norms in enumerate(self._norms):
            for norm in norms:
                norm.trainable = number < stage
        return self._heads + [variable for block in self._variables[:stage] for variable in block]


def set_up(
    config: TrainConfig, model: keras.Model, *, batch_size: int, epoch_steps: int, behind: int
) -> tuple[keras.optimizers.Optimizer, Unfreezing]:
    """Returns the optimiser of a model, built, and what is trained when; to be called in the scope of the strategy.

    Args:
        config: the settings.
        model: as it is to be trained; what is frozen in it stays so.
        batch_size: examples in a step, over all devices.
        epoch_steps: steps in an epoch.
        behind: epochs that lie behind before the optimiser's first step.
    """
    unfreezing = Unfreezing(model, Thaw.from_config(config))
    shape = rate_shape(config, config.optimizer, epochs=config.max_epochs - behind, epoch_steps=epoch_steps)
    optimizer = make_optimizer(
        config.optimizer,
        learning_rate=base_rate(config.initial_learning_rate, batch_size, scaled=config.scale_learning_rate),
        weight_decay=config.weight_decay,
        momentum=config.momentum,
        shape=shape,
        ema_decay=config.ema_decay,
        loss_scaling=config.precision == "mixed_float16",
    )
    optimizer.build(model.trainable_variables)
    unfreezing.give_shares(optimizer, epoch_steps=epoch_steps, warmup_steps=shape.warmup_steps, behind=behind)
    return optimizer, unfreezing


@contextmanager
def computing_in(precision: Precision) -> Iterator[None]:
    """Makes layers that are built in here compute with these numbers."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@contextmanager
def in_float32(model: keras.Model) -> Iterator[None]:
    """Makes a model compute in float32 for a while, so that what is saved or traced in here does so everywhere."""
    mixed = [(layer, layer.dtype_policy) for layer in model._flatten_layers() if layer.compute_dtype != layer.variable_dtype]
    for layer, _ in mixed:
        layer.dtype_policy = keras.dtype_policies.DTypePolicy("float32")
    try:
        yield
    finally:
        for layer, policy in mixed:
            layer.dtype_policy = policy
