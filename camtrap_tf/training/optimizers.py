"""Optimisers by name, all with a learning rate that can be changed between epochs."""

from __future__ import annotations

from typing import Any

import keras

from camtrap_tf.config.names import Optimizer

SGD_MOMENTUM = 0.9
SGD_DECAY = 1e-4
"""Source: camera-trap-classifier; rate / (1 + decay · steps)."""


class SteppedRate(keras.optimizers.schedules.LearningRateSchedule):
    """A base rate that falls with the inverse of the number of steps; the base can be set at any time."""

    def __init__(self, base: float, decay: float) -> None:
        self._base = keras.Variable(base, trainable=False, dtype="float32", name="base_learning_rate")
        self._decay = decay

    def __call__(self, step: Any) -> Any:
        """Returns the rate of a step, counted from 0."""
        return self._base / (1.0 + self._decay * keras.ops.cast(step, "float32"))

    @property
    def base(self) -> float:
        """The rate before decay."""
        return float(keras.ops.convert_to_numpy(self._base))

    @base.setter
    def base(self, value: float) -> None:
        self._base.assign(value)

    def get_config(self) -> dict[str, float]:
        """Returns what it is made of."""
        return {"base": self.base, "decay": self._decay}


def make_optimizer(name: Optimizer, *, learning_rate: float, weight_decay: float = 0.0) -> keras.optimizers.Optimizer:
    """Returns an optimiser whose `rate_of` is a `SteppedRate`.

    Args:
        name: `sgd` has momentum and decays by steps; `rmsprop`, `adam` and `adamw` keep the base rate.
        learning_rate: base rate to begin with.
        weight_decay: decoupled decay of kernels; biases and normalisation scales are left alone.
    """
    rate = SteppedRate(learning_rate, SGD_DECAY if name == "sgd" else 0.0)
    options: dict[str, Any] = {"learning_rate": rate, "weight_decay": weight_decay or None, "name": name}
    if name == "sgd":
        optimizer = keras.optimizers.SGD(momentum=SGD_MOMENTUM, **options)
    elif name == "rmsprop":
        optimizer = keras.optimizers.RMSprop(**options)
    elif name == "adam":
        optimizer = keras.optimizers.Adam(**options)
    else:
        optimizer = keras.optimizers.AdamW(**{**options, "weight_decay": weight_decay})
    if weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def rate_of(optimizer: keras.optimizers.Optimizer) -> SteppedRate:
    """Returns the schedule of an optimiser made here."""
    schedule = optimizer._learning_rate  # the public attribute is the rate of the present step
    assert isinstance(schedule, SteppedRate)
    return schedule
