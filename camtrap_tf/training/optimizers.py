"""Optimisers by name: a base rate that can be changed between epochs, a share of it per variable, averaged weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from camtrap_tf.config.names import Optimizer
from camtrap_tf.training.schedules import RateShape, ramp

SGD_MOMENTUM = 0.9


class SteppedRate(keras.optimizers.schedules.LearningRateSchedule):
    """A base rate times a function of the step; the base can be set at any time."""

    def __init__(self, base: float, shape: RateShape) -> None:
        self._base = keras.Variable(base, trainable=False, dtype="float32", name="base_learning_rate")
        self._shape = shape

    def __call__(self, step: Any) -> Any:
        """Returns the rate of a step, counted from 0."""
        return self._base * self._shape(step)

    @property
    def base(self) -> float:
        """The rate before its shape."""
        return float(keras.ops.convert_to_numpy(self._base))

    @base.setter
    def base(self, value: float) -> None:
        self._base.assign(value)

    def get_config(self) -> dict[str, Any]:
        """Returns what it is made of."""
        return {"base": self.base, "shape": self._shape}


class Shares:
    """Share of the rate that each variable gets, by the optimiser's key of a variable; 1 where nothing was said."""

    def __init__(self) -> None:
        self._of: dict[str, Callable[[Any], Any]] = {}

    def put(self, key: str, share: float, *, start: int, warmup: int) -> None:
        """Gives a variable its share; it rises over `warmup` steps from step `start` on."""
        self._of[key] = lambda step: share * ramp(step, warmup, start=start) if start else share

    def at(self, key: str, step: Any) -> Any:
        """Returns the share at a step."""
        return self._of[key](step) if key in self._of else 1.0


class _Extended:
    """What our optimisers do besides Keras': shares of the rate, and an average that is quick at first."""

    shares: Shares

    def update_step(self: Any, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Moves one variable, decay included, at its own rate."""
        rate = learning_rate * self.shares.at(self._var_key(variable), self.iterations)
        if self.weight_decay is not None and self._use_weight_decay(variable):
            self.assign_sub(variable, variable * keras.ops.cast(rate * self.weight_decay, variable.dtype))
        super().update_step(gradient, variable, rate)  # type: ignore[misc]  # Keras is not typed

    def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
        """Leaves the decay to `update_step`, which knows the rate of the variable."""

    def _update_model_variables_moving_average(self: Any, trainable_variables: Sequence[Any]) -> None:
        """Averages weights. Early on they count for more, so that the average leaves the random start behind.

        Source: `num_updates` of TensorFlow's ExponentialMovingAverage.
        """
        step = keras.ops.cast(self.iterations, "float32")
        quick = keras.ops.where(step > 0, (1.0 + step) / (10.0 + step), 0.0)
        decay = keras.ops.minimum(quick, self.ema_momentum)
        for variable, average in zip(trainable_variables, self._model_variables_moving_average, strict=True):
            if average is not None:
                average.assign(decay * average + (1.0 - decay) * variable)


class _SGD(_Extended, keras.optimizers.SGD):
    pass


class _RMSprop(_Extended, keras.optimizers.RMSprop):
    pass


class _Adam(_Extended, keras.optimizers.Adam):
    pass


class _AdamW(_Extended, keras.optimizers.AdamW):
    pass


_CLASSES: Mapping[Optimizer, Any] = {"sgd": _SGD, "rmsprop": _RMSprop, "adam": _Adam, "adamw": _AdamW}


def make_optimizer(
    name: Optimizer,
    *,
    learning_rate: float,
    weight_decay: float = 0.0,
    momentum: float | None = None,
    shape: RateShape | None = None,
    ema_decay: float = 0.0,
    loss_scaling: bool = False,
) -> keras.optimizers.Optimizer:
    """Returns an optimiser whose `rate_of` is a `SteppedRate`.

    Args:
        name: one of the names in the settings.
        learning_rate: base rate to begin with.
        weight_decay: decoupled decay of kernels; biases and normalisation scales are left alone.
        momentum: of sgd, where the default is 0.9, and rmsprop, where it is 0.
        shape: the rate over the steps; by default camera-trap-classifier's: sgd falls, the others keep their rate.
        ema_decay: decay of the averaged weights, a part of the optimiser's variables; 0: none.
        loss_scaling: scale the loss, as half precision needs it. The factor is part of the variables too.
    """
    shape = shape or RateShape(schedule="inverse" if name == "sgd" else "constant")
    options: dict[str, Any] = {"learning_rate": SteppedRate(learning_rate, shape), "name": name}
    if name == "sgd":
        options["momentum"] = SGD_MOMENTUM if momentum is None else momentum
    elif name == "rmsprop":
        options["momentum"] = momentum or 0.0
    if ema_decay:
        options |= {"use_ema": True, "ema_momentum": ema_decay}
    decay = weight_decay if weight_decay or name == "adamw" else None  # Keras insists on a number for adamw
    optimizer = _CLASSES[name](weight_decay=decay, **options)
    optimizer.shares = Shares()
    if weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return keras.optimizers.LossScaleOptimizer(optimizer, name="loss_scale") if loss_scaling else optimizer


def inner(optimizer: keras.optimizers.Optimizer) -> Any:
    """Returns the optimiser that moves the weights, which a loss scale may surround."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def rate_of(optimizer: keras.optimizers.Optimizer) -> SteppedRate:
    """Returns the schedule of an optimiser made here."""
    schedule = inner(optimizer)._learning_rate  # the public attribute is the rate of the present step
    assert isinstance(schedule, SteppedRate)
    return schedule


def rate_used(optimizer: keras.optimizers.Optimizer) -> float:
    """Returns the rate of the last step that was taken, schedule and warm-up included; before any, that of the first.

    That is the rate of the heads; shares of other layers are not in it. To be called when the steps are done: their number is
    read from the optimiser, which alone knows of steps that a loss scale made it leave out.
    """
    taken = int(keras.ops.convert_to_numpy(inner(optimizer).iterations))
    return float(keras.ops.convert_to_numpy(rate_of(optimizer)(max(0, taken - 1))))


def give_share(
    optimizer: keras.optimizers.Optimizer, variables: Sequence[Any], share: float, *, start: int = 0, warmup: int = 1
) -> None:
    """Gives variables a share of the rate; where they start late, it rises from 0.

    Args:
        optimizer: made here.
        variables: of the model.
        share: of the rate.
        start: step from which on they are trained.
        warmup: steps over which their share rises after a late start.
    """
    real = inner(optimizer)
    for variable in variables:
        real.shares.put(real._var_key(variable), share, start=start, warmup=warmup)


@contextmanager
def averaged_weights(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, strategy: tf.distribute.Strategy | None = None
) -> Iterator[None]:
    """Puts the averaged weights into the model for a while; does nothing where none are kept or no step was taken."""
    real = inner(optimizer)
    if not real.use_ema or not int(keras.ops.convert_to_numpy(real.iterations)):
        yield
        return
    pairs = list(zip(real._trainable_variables, real._model_variables_moving_average, strict=True))
    kept = [keras.ops.convert_to_numpy(variable) for variable, _ in pairs]
    with (strategy or tf.distribute.get_strategy()).scope():
        for variable, average in pairs:
            variable.assign(keras.ops.convert_to_numpy(average))
    try:
        yield
    finally:
        with (strategy or tf.distribute.get_strategy()).scope():
            for (variable, _), value in zip(pairs, kept, strict=True):
                variable.assign(value)
