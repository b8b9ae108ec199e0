"""Optimisers and their rates."""

import keras
import numpy as np
import pytest

from camtrap_tf.config.names import Optimizer
from camtrap_tf.training.optimizers import make_optimizer, rate_of, rate_used
from camtrap_tf.training.schedules import RateShape


def step(optimizer: keras.optimizers.Optimizer, value: float, gradients: list[float]) -> float:
    """Returns a weight after steps along these gradients."""
    weight = keras.Variable([value], name="kernel")
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor([gradient])], [weight])
    return float(weight.value[0])


def test_sgd_by_hand() -> None:
    """Momentum 0.9 and a rate of base / (1 + 1e-4 · step), worked out by hand."""
    expected, velocity = 1.0, 0.0
    for number, gradient in enumerate([0.5, -0.2, 0.7]):
        velocity = 0.9 * velocity - 0.1 / (1 + 1e-4 * number) * gradient
        expected += velocity
    assert step(make_optimizer("sgd", learning_rate=0.1), 1.0, [0.5, -0.2, 0.7]) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("name", ["rmsprop", "adam", "adamw"])
def test_others_keep_their_rate(name: Optimizer) -> None:
    """The others equal Keras' optimiser of that name at a constant rate."""
    theirs = {"rmsprop": keras.optimizers.RMSprop, "adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW}[name]
    ours = make_optimizer(name, learning_rate=0.05)
    expected = step(theirs(0.05, **({"weight_decay": 0.0} if name == "adamw" else {})), 1.0, [0.5, -0.2])
    assert step(ours, 1.0, [0.5, -0.2]) == pytest.approx(expected, abs=1e-6)


def test_rate_can_be_changed_between_steps() -> None:
    """A new base rate holds from the next step on."""
    optimizer = make_optimizer("sgd", learning_rate=0.1)
    rate_of(optimizer).base = 0.0
    assert step(optimizer, 1.0, [5.0]) == 1.0
    assert rate_of(optimizer).base == 0.0


def test_weight_decay_spares_biases() -> None:
    """Decay shrinks kernels, not biases, and is there for sgd too."""
    optimizer = make_optimizer("sgd", learning_rate=0.1, weight_decay=0.5)
    kernel, bias = keras.Variable([1.0], name="kernel"), keras.Variable([1.0], name="bias")
    optimizer.apply([keras.ops.zeros(1), keras.ops.zeros(1)], [kernel, bias])
    np.testing.assert_allclose([kernel.value[0], bias.value[0]], [1 - 0.1 * 0.5, 1.0], rtol=1e-6)


def test_rate_used_is_that_of_the_last_step() -> None:
    """A rate that halves at every step was, after three of them, a quarter of the base; before any, the base itself."""
    optimizer = make_optimizer("rmsprop", learning_rate=0.8, shape=RateShape(schedule="step", every_steps=1, factor=0.5))
    assert rate_used(optimizer) == pytest.approx(0.8)
    step(optimizer, 1.0, [0.5, -0.2, 0.7])
    assert rate_used(optimizer) == pytest.approx(0.2)
    assert rate_of(optimizer).base == pytest.approx(0.8)


def test_rate_used_knows_of_steps_that_were_left_out() -> None:
    """Under a loss scale, a step whose gradient overflows is none, and the rate stays where it was."""
    shape = RateShape(schedule="step", every_steps=1, factor=0.5)
    optimizer = make_optimizer("rmsprop", learning_rate=0.8, shape=shape, loss_scaling=True)
    step(optimizer, 1.0, [1.0, float("inf"), 1.0])
    assert rate_used(optimizer) == pytest.approx(0.4)
