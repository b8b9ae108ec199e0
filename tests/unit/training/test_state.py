"""The state of a training on disk."""

from pathlib import Path

import keras
import numpy as np
import pytest

from camtrap_tf.config.names import Optimizer
from camtrap_tf.errors import ModelError
from camtrap_tf.training.optimizers import make_optimizer
from camtrap_tf.training.state import read_state, restore_optimizer, state_of, state_path, write_state


def optimizer_after(steps: int, name: Optimizer = "adam", size: int = 3) -> keras.optimizers.Optimizer:
    """Returns an optimiser that took some steps on one weight."""
    weight = keras.Variable(np.ones(size), name="kernel", dtype="float32")
    optimizer = make_optimizer(name, learning_rate=0.1)
    optimizer.build([weight])
    for number in range(steps):
        optimizer.apply([keras.ops.ones(size) * number], [weight])
    return optimizer


def test_round_trip(tmp_path: Path) -> None:
    """An optimiser restored from disk has the same variables; facts come back."""
    given, got = optimizer_after(3), optimizer_after(0)
    write_state(tmp_path / "m.keras", state_of(given, "adam", {"epoch": 4, "best": {"best": None}}))
    state = read_state(tmp_path / "m.keras")
    assert state is not None
    assert state.facts == {"epoch": 4, "best": {"best": None}}
    assert restore_optimizer(got, "adam", state) is None
    for one, other in zip(given.variables, got.variables, strict=True):
        np.testing.assert_array_equal(one.value, other.value)


def test_what_does_not_fit_is_left_alone() -> None:
    """Another optimiser or other shapes are not restored, with the reason."""
    state = state_of(optimizer_after(2), "adam", {})
    assert "trained with adam, not sgd" in str(restore_optimizer(optimizer_after(0, "sgd"), "sgd", state))
    other = optimizer_after(0, size=4)
    assert "other layers" in str(restore_optimizer(other, "adam", state))
    assert int(other.iterations) == 0


def test_absent_and_damaged(tmp_path: Path) -> None:
    """No state is None; a damaged one is an error that says what to do."""
    assert read_state(tmp_path / "m.keras") is None
    state_path(tmp_path / "m.keras").write_bytes(b"junk")
    with pytest.raises(ModelError, match="remove it"):
        read_state(tmp_path / "m.keras")
