"""From a model's answers to single frames to probabilities of the capture event that they belong to.

`mean`, `max` and `min` put probabilities together. `mean_logits` averages what stands before softmax or sigmoid, and takes
that to probabilities afterwards: the geometric mean, in which one frame that is very sure counts for more. Of an ordinal
head the logits are the logarithms of its probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import numpy as np

from camtrap_tf.config.names import Aggregation
from camtrap_tf.errors import SettingError, suggestion
from camtrap_tf.labels import PRESENT_FROM

if TYPE_CHECKING:
    from camtrap_tf.models.head_specs import HeadSpec


def check_mode(mode: str) -> None:
    """Makes sure that `mode` is one of the aggregation modes.

    Raises:
        SettingError: it is not.
    """
    if mode not in get_args(Aggregation):
        raise SettingError(f"--aggregation-mode {mode}: no such mode{suggestion(mode, get_args(Aggregation))}")


@dataclass(frozen=True, slots=True)
class Combining:
    """How a model's answers to the frames of an event become one.

    Attributes:
        mode: see `combine`.
        sigmoid: label types whose classes do not exclude each other.

    Raises:
        SettingError: no such mode.
    """

    mode: Aggregation = "mean"
    sigmoid: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        check_mode(self.mode)

    @classmethod
    def of(cls, mode: Aggregation, specs: Mapping[str, HeadSpec]) -> Combining:
        """Returns a mode for a model with these heads, by label type."""
        return cls(mode, frozenset(label for label, spec in specs.items() if spec.kind == "sigmoid"))

    @property
    def of_logits(self) -> bool:
        """Whether the model is to answer with logits; otherwise with probabilities."""
        return self.mode == "mean_logits"

    def probabilities(self, label: str, answers: np.ndarray) -> np.ndarray:
        """Returns the probabilities `[..., C]` that answers `[..., C]` stand for."""
        return link(answers, sigmoid=label in self.sigmoid) if self.of_logits else answers

    def combined(self, label: str, answers: np.ndarray) -> np.ndarray:
        """Returns the probabilities `[C]` of an event, from the answers `[frames, C]` to its frames."""
        return combine(answers, self.mode, sigmoid=label in self.sigmoid)


MEAN = Combining()


def link(logits: np.ndarray, *, sigmoid: bool) -> np.ndarray:
    """Returns the probabilities of logits `[..., C]`: by softmax, or class by class by the sigmoid; float32."""
    values = np.asarray(logits, np.float64)
    if sigmoid:
        return (0.5 * (1.0 + np.tanh(0.5 * values))).astype(np.float32)  # which does not overflow
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)


def combine(answers: np.ndarray, mode: Aggregation = "mean", *, sigmoid: bool = False) -> np.ndarray:
    """Returns one value per class over all frames of an event.

    `max` and `min` values do not add up to 1; they are compared, not shared out.

    Args:
        answers: `[frames, C]`, probabilities in [0, 1], or logits for `mean_logits`; at least one frame.
        mode: `mean`, `mean_logits`, `max` or `min`, taken class by class.
        sigmoid: whether classes do not exclude each other; matters for `mean_logits`.

    Returns:
        `[C]` float32, probabilities.

    Raises:
        SettingError: no such mode.
        ValueError: no frame.
    """
    check_mode(mode)
    frames = np.asarray(answers)
    if frames.ndim != 2 or len(frames) == 0:
        raise ValueError(f"answers to frames have the shape [frames, classes] with a frame at least, not {frames.shape}")
    if mode == "mean_logits":
        return link(frames.mean(axis=0, dtype=np.float64), sigmoid=sigmoid)
    if mode == "mean":
        return frames.mean(axis=0, dtype=np.float64).astype(np.float32)
    return (frames.max(axis=0) if mode == "max" else frames.min(axis=0)).astype(np.float32)


def combine_frames(frames: Sequence[Mapping[str, np.ndarray]], combining: Combining = MEAN) -> dict[str, np.ndarray]:
    """Returns, per label type, the combined probabilities of the frames that have that label type.

    Args:
        frames: per frame: label type → answer `[C]`; a frame that could not be read has none.
        combining: how they become one.

    Returns:
        Label type → `[C]`, in the order in which label types first occur; empty where no frame has any.
    """
    collected: dict[str, list[np.ndarray]] = {}
    for frame in frames:
        for label, values in frame.items():
            collected.setdefault(label, []).append(values)
    return {label: combining.combined(label, np.stack(values)) for label, values in collected.items()}


def top_class(values: np.ndarray) -> int:
    """Returns the index of the largest value; of equal ones the first."""
    return int(np.argmax(values))


def present(values: np.ndarray, names: Sequence[str]) -> list[str]:
    """Returns the names of the classes of a sigmoid head that are there, most likely first; of equal ones the first."""
    order = np.argsort(-np.asarray(values), kind="stable")
    return [names[i] for i in order if values[i] >= PRESENT_FROM]


def best_answer(values: np.ndarray, names: Sequence[str], blank: str | None = None) -> tuple[str, float]:
    """Returns the name of the most likely class, and its probability.

    Args:
        values: `[C]`.
        names: of the classes.
        blank: of a sigmoid head: what to say where no class is there; its probability is then 1 minus that of the most
            likely class.
    """
    index = top_class(values)
    if blank is not None and values[index] < PRESENT_FROM:
        return blank, 1.0 - float(values[index])
    return names[index], float(values[index])
