"""Names and kinds of heads."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from camtrap_tf.models.heads import HeadSpec, OrdinalHead, attach_heads, head_names, probabilities_from, spec_of

FEATURES = np.random.default_rng(0).normal(size=(50, 4)).astype("f") * 5


def test_names_are_plain_and_unique() -> None:
    """Label types that read alike in plain letters still get heads of their own, which Keras accepts."""
    labels = ["species", "a/b", "a b", "été", "ete", "动物", "物", "Species"]
    names = head_names(labels)
    assert len({name.lower() for name in names.values()}) == len(labels)
    assert all(name.removeprefix("label__").replace("_", "x").isalnum() and name.isascii() for name in names.values())
    assert names["species"] == "label__species"


def test_heads_answer_by_label_type() -> None:
    """Outputs are keyed by label type as the user wrote it."""
    features = keras.Input((4,))
    specs = {"c": HeadSpec("sigmoid"), "d": HeadSpec("ordinal", order=(1, 0))}
    model = keras.Model(features, attach_heads(features, {"a/b": 3, "c": 2, "d": 2}, specs))
    shapes = {label: value.shape for label, value in model(keras.ops.zeros((5, 4))).items()}
    assert shapes == {"a/b": (5, 3), "c": (5, 2), "d": (5, 2)}


@pytest.mark.parametrize("order", [(1, 0), (2, 0, 1), (3, 1, 4, 0, 2)])
def test_ordinal_probabilities_are_differences_of_cumulative_ones(order: tuple[int, ...]) -> None:
    """Class probabilities equal P(rank <= k) - P(rank <= k - 1) worked out from score and thresholds in float64."""
    head = OrdinalHead(order)
    head.build((None, 4))
    rng = np.random.default_rng(1)
    kernel, first, steps = (rng.normal(size=weight.shape).astype("f") for weight in head.weights)
    head.set_weights([kernel, first, steps])
    thresholds = first[0] + np.concatenate([[0.0], np.cumsum(np.log1p(np.exp(steps.astype(float))) + 1e-3)])
    at_most = 1 / (1 + np.exp(-(thresholds[None, :] - FEATURES.astype(float) @ kernel.astype(float))))
    ranked = np.diff(np.concatenate([np.zeros((50, 1)), at_most, np.ones((50, 1))], axis=1), axis=1)
    found = probabilities_from(head(FEATURES), spec_of(head)).numpy()
    np.testing.assert_allclose(found[:, list(order)], ranked, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


def test_ordinal_starts_even() -> None:
    """Where the score is 0, a new head gives every class the same probability."""
    head = OrdinalHead((3, 1, 0, 2, 4))
    np.testing.assert_allclose(np.exp(head(np.zeros((1, 4), "f")).numpy()), 0.2, rtol=1e-5)


def test_ordinal_is_sound_far_out() -> None:
    """Scores far beyond all thresholds give finite logarithms and gradients."""
    head = OrdinalHead((0, 1, 2, 3))
    head.build((None, 1))
    head.set_weights([np.ones((1, 1), "f"), *head.get_weights()[1:]])
    features = tf.constant([[-300.0], [300.0]])
    with tf.GradientTape() as tape:
        tape.watch(features)
        found = head(features)
    assert np.isfinite(found.numpy()).all()
    assert np.isfinite(tape.gradient(found, features).numpy()).all()
    assert found.numpy().argmax(axis=1).tolist() == [0, 3]


def test_kinds_survive_a_model_file(tmp_path) -> None:
    """A model file alone says what its heads are, and answers as before."""
    features = keras.Input((4,))
    specs = {"s": HeadSpec("sigmoid", blanks=("blank", "nothing")), "o": HeadSpec("ordinal", order=(2, 0, 1)), "x": HeadSpec()}
    model = keras.Model(features, attach_heads(features, dict.fromkeys(specs, 3), specs))
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras", compile=False, safe_mode=True)
    assert {layer.name.removeprefix("label__"): spec_of(layer) for layer in again.layers[1:]} == specs
    for label, values in model(FEATURES).items():
        np.testing.assert_array_equal(values, again(FEATURES)[label])
