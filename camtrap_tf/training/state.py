"""The state of a training: what takes part in a checkpoint, and what lies beside a model file in one `.state.npz`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np

from camtrap_tf.errors import ModelError
from camtrap_tf.files import atomic_file
from camtrap_tf.logs import logger
from camtrap_tf.training.optimizers import SteppedRate

_LOG = logger(__name__)
_FACTS = "facts"


class StateProvider(Protocol):
    """Something that has to be as it was for a training to go on exactly; see `Training.providers`."""

    def state(self) -> dict[str, Any]:
        """Returns what has to be kept: nested dictionaries and lists of plain values and arrays."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Becomes what it was.

        Raises:
            ModelError: the state does not fit.
        """
        ...


class VariablesState:
    """The variables of a model or an optimiser, by position; seeds of layers are among a model's."""

    def __init__(self, variables: Callable[[], Sequence[keras.Variable]], what: str) -> None:
        """
        Args:
            variables: returns them, always in the same order.
            what: they belong to, for messages.
        """
        self._variables = variables
        self._what = what

    def state(self) -> dict[str, Any]:
        """Returns the values."""
        return {"values": [keras.ops.convert_to_numpy(variable) for variable in self._variables()]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Sets the values.

        Raises:
            ModelError: number or shapes differ.
        """
        variables, values = self._variables(), state["values"]
        shapes = [tuple(variable.shape) for variable in variables]
        if shapes != [value.shape for value in values]:
            raise ModelError(f"the checkpoint does not fit the {self._what}: other variables; --resume off begins anew")
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


class RateState:
    """The base of the learning rate, which is no variable of the optimiser."""

    def __init__(self, rate: SteppedRate) -> None:
        self._rate = rate

    def state(self) -> dict[str, Any]:
        """Returns the rate."""
        return {"base": self._rate.base}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Sets the rate."""
        self._rate.base = float(state["base"])


@dataclass(frozen=True, slots=True)
class TrainingState:
    """What a training needs besides the weights to go on.

    Attributes:
        optimizer: name of the optimiser.
        variables: its variables, in its order; the first is the number of steps.
        facts: plain values: epoch, learning rate, counters, digests.
    """

    optimizer: str
    variables: Sequence[np.ndarray]
    facts: dict[str, Any] = field(default_factory=dict)


def state_path(model_file: Path) -> Path:
    """Returns where the state of a model file lies: `model.keras` → `model.state.npz`."""
    return model_file.with_suffix(".state.npz")


def write_state(model_file: Path, state: TrainingState) -> None:
    """Writes the state beside its model file, whole."""
    arrays = {f"v{number:05d}": array for number, array in enumerate(state.variables)}
    text = json.dumps({"optimizer": state.optimizer, **state.facts}, allow_nan=False)
    with atomic_file(state_path(model_file)) as file:
        np.savez(file, **{_FACTS: np.frombuffer(text.encode(), np.uint8)}, **arrays)


def read_state(model_file: Path) -> TrainingState | None:
    """Returns the state beside a model file, or None where there is none.

    Raises:
        ModelError: there is one, but it cannot be read.
    """
    path = state_path(model_file)
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            facts = json.loads(file[_FACTS].tobytes().decode())
            variables = [file[name] for name in sorted(file.files) if name != _FACTS]
        return TrainingState(str(facts.pop("optimizer")), variables, facts)
    except (OSError, ValueError, KeyError, EOFError) as err:
        raise ModelError(f"{path}: cannot be read ({err}); remove it to go on with a new optimiser") from err


def state_of(optimizer: keras.optimizers.Optimizer, name: str, facts: dict[str, Any]) -> TrainingState:
    """Returns the present state of an optimiser."""
    return TrainingState(name, [keras.ops.convert_to_numpy(variable) for variable in optimizer.variables], facts)


def restore_optimizer(optimizer: keras.optimizers.Optimizer, name: str, state: TrainingState) -> str | None:
    """Puts a saved state into a built optimiser.

    Returns:
        None, or why it was left as it is.
    """
    if state.optimizer != name:
        return f"the model was trained with {state.optimizer}, not {name}"
    shapes = [tuple(variable.shape) for variable in optimizer.variables]
    if shapes != [array.shape for array in state.variables]:
        return "other layers are trained than before"
    for variable, array in zip(optimizer.variables, state.variables, strict=True):
        variable.assign(array)
    return None
