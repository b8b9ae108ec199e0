"""Aggregation over frames, against the published vector and plain Python."""

from __future__ import annotations

import numpy as np
import pytest

from camtrap_tf.errors import SettingError
from camtrap_tf.prediction.aggregation import combine, combine_frames, top_class

FIRST, SECOND = np.array([0.8, 0.6]), np.array([0.2, 0.8])


def test_mean_of_the_published_vector() -> None:
    """Species {cats .8, dogs .6} and {cats .2, dogs .8} give cats .5, dogs .7, top dogs .7."""
    values = combine(np.stack([FIRST, SECOND]), "mean")
    np.testing.assert_allclose(values, [0.5, 0.7], atol=1e-7)
    assert top_class(values) == 1


@pytest.mark.parametrize(("mode", "function"), [("mean", lambda v: sum(v) / len(v)), ("max", max), ("min", min)])
def test_modes_work_class_by_class(mode: str, function) -> None:
    """Each mode gives for every class what plain Python gives over the frames."""
    frames = np.random.default_rng(1).random((5, 7))
    wanted = [function([float(frame[c]) for frame in frames]) for c in range(7)]
    np.testing.assert_allclose(combine(frames, mode), wanted, atol=1e-6)


def test_frames_without_a_label_are_left_out_of_it() -> None:
    """A capture whose first image lacks a label type aggregates that one over the images that have it."""
    frames = [{"count": FIRST}, {"species": FIRST, "count": SECOND}, {}, {"species": SECOND, "count": SECOND}]
    combined = combine_frames(frames)
    np.testing.assert_allclose(combined["species"], [0.5, 0.7], atol=1e-7)
    np.testing.assert_allclose(combined["count"], [0.4, (0.6 + 0.8 + 0.8) / 3], atol=1e-7)


def test_no_frame_gives_no_prediction() -> None:
    """Frames that could not be read give an empty result, not a zero."""
    assert combine_frames([{}, {}]) == {}


def test_a_tie_goes_to_the_first_class() -> None:
    """Of equal values the first class wins."""
    assert top_class(combine(np.array([[0.4, 0.4, 0.2]]))) == 0


def test_unknown_mode_names_the_nearest() -> None:
    """A misspelt mode is refused with the one that was meant."""
    with pytest.raises(SettingError, match="did you mean 'mean'"):
        combine(np.ones((1, 2)), "meen")  # type: ignore[arg-type]
