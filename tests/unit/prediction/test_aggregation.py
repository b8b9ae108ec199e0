"""Aggregation over frames, against the published vector and plain Python."""

from __future__ import annotations

import numpy as np
import pytest

from camtrap_tf.errors import SettingError
from camtrap_tf.prediction.aggregation import Combining, combine, combine_frames, top_class

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
        combine(np.ones((1, 2)), "meen")  # type: ignore[arg-type]  # the mistake is the test


def test_mean_of_logits_is_the_geometric_mean() -> None:
    """For softmax: the product of the frames' probabilities to the power 1/frames, made to add up to 1."""
    frames = np.random.default_rng(2).dirichlet(np.ones(4), size=3)
    product = np.prod(frames, axis=0) ** (1 / 3)
    np.testing.assert_allclose(combine(np.log(frames), "mean_logits"), product / product.sum(), atol=1e-6)


def test_mean_of_logits_where_probabilities_are_exhausted() -> None:
    """Log odds of 40 and -38 give those of 1, though a probability of 1 - 4e-18 cannot be told from 1; nothing overflows."""
    logits = np.float32([[40.0, -2000.0], [-38.0, -2000.0]])
    np.testing.assert_allclose(combine(logits, "mean_logits", sigmoid=True), [1 / (1 + np.exp(-1.0)), 0.0], atol=1e-7)
    np.testing.assert_allclose(
        combine(np.float32([[900.0, 0.0], [-898.0, 0.0]]), "mean_logits"), [0.7310586, 0.2689414], atol=1e-6
    )


def test_combining_knows_sigmoid_heads() -> None:
    """Frames and events of a sigmoid head go class by class, those of others over all classes; other modes change nothing."""
    combining = Combining("mean_logits", frozenset({"seen"}))
    logits = np.log([[0.2, 0.8], [0.5, 0.5]])
    np.testing.assert_allclose(combining.probabilities("species", logits), np.exp(logits), atol=1e-6)
    np.testing.assert_allclose(combining.probabilities("seen", logits)[0], [0.2 / 1.2, 0.8 / 1.8], atol=1e-6)
    assert Combining("max").probabilities("seen", logits) is logits
