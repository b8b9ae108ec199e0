"""From probabilities of single frames to probabilities of the capture event that they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

import numpy as np

from camtrap_tf.config.names import Aggregation
from camtrap_tf.errors import SettingError, suggestion
from camtrap_tf.labels import PRESENT_FROM


def combine(probabilities: np.ndarray, mode: Aggregation = "mean") -> np.ndarray:
    """Returns one value per class over all frames of an event.

    `max` and `min` values do not add up to 1; they are compared, not shared out.

    Args:
        probabilities: `[frames, C]`, in [0, 1]; at least one frame.
        mode: `mean`, `max` or `min`, taken class by class.

    Returns:
        `[C]` float32.

    Raises:
        SettingError: no such mode.
        ValueError: no frame.
    """
    check_mode(mode)
    frames = np.asarray(probabilities)
    if frames.ndim != 2 or len(frames) == 0:
        raise ValueError(f"probabilities of frames have the shape [frames, classes] with a frame at least, not {frames.shape}")
    if mode == "mean":
        return frames.mean(axis=0, dtype=np.float64).astype(np.float32)
    return (frames.max(axis=0) if mode == "max" else frames.min(axis=0)).astype(np.float32)


def combine_frames(frames: Sequence[Mapping[str, np.ndarray]], mode: Aggregation = "mean") -> dict[str, np.ndarray]:
    """Returns, per label type, the combined probabilities of the frames that have that label type.

    Args:
        frames: per frame: label type → `[C]`; a frame that could not be read has none.
        mode: see `combine`.

    Returns:
        Label type → `[C]`, in the order in which label types first occur; empty where no frame has any.
    """
    collected: dict[str, list[np.ndarray]] = {}
    for frame in frames:
        for label, values in frame.items():
            collected.setdefault(label, []).append(values)
    return {label: combine(np.stack(values), mode) for label, values in collected.items()}


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


def check_mode(mode: str) -> None:
    """Makes sure that `mode` is one of the aggregation modes.

    Raises:
        SettingError: it is not.
    """
    if mode not in get_args(Aggregation):
        raise SettingError(f"--aggregation-mode {mode}: no such mode{suggestion(mode, get_args(Aggregation))}")
