"""Heads: one layer per label type from features to logits, of one of three kinds, and the names they go by inside Keras.

Keras forbids `/` in layer names and TensorFlow dislikes more, while label types are free text; so heads have
internal names (`label__species`), and everything outside the model speaks of label types.

A `softmax` head answers with one of its classes. A `sigmoid` head answers yes or no to each class; where nothing is there
all answers are no. An `ordinal` head knows the order of its classes. What a head is, its layer says, so that a model file
is enough to use it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from camtrap_tf.input_pipeline.targets import Blanks
from camtrap_tf.models.head_specs import SOFTMAX, HeadSpec

HEAD_PREFIX = "label__"
LEAST_GAP = 1e-3
"""Least distance of two thresholds of an ordinal head, so that no bin has probability 0."""


@keras.saving.register_keras_serializable(package="camtrap_tf")
class SigmoidHead(keras.layers.Dense):
    """A dense layer whose logits are read one by one: the log odds that a class is there."""

    def __init__(self, units: int, *, blanks: Sequence[str] = (), **options: Any) -> None:
        super().__init__(units, **options)
        self.blanks = tuple(blanks)

    def get_config(self) -> dict[str, Any]:
        """Returns what the layer is made again from."""
        return {**super().get_config(), "blanks": list(self.blanks)}


@keras.saving.register_keras_serializable(package="camtrap_tf")
class OrdinalHead(keras.layers.Layer):
    """Log-probabilities of ordered classes from one score and ascending thresholds.

    `P(rank <= k) = sigmoid(threshold_k - score)`, with `score = features · kernel`: the proportional odds model. The
    answer is the logarithm of the classes' probabilities, in the order of their indices, so that softmax gives them.

    Source: P. McCullagh (1980), Regression models for ordinal data, Journal of the Royal Statistical Society B 42, 109-142.
    """

    def __init__(self, order: Sequence[int], **options: Any) -> None:
        """Takes the class indices in their order, at least two."""
        super().__init__(**options)
        self.order = tuple(int(index) for index in order)

    @property
    def units(self) -> int:
        """Number of classes."""
        return len(self.order)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Makes the weights; without a score all classes are equally likely at first."""
        count = self.units
        shares = np.arange(1, count) / count
        thresholds = np.log(shares / (1 - shares))
        # softplus turned round
        steps = np.log(np.expm1(np.diff(thresholds) - LEAST_GAP)) if count > 2 else np.zeros(0)
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], 1), initializer="he_normal")
        self.first = self.add_weight(name="first", shape=(1,), initializer=keras.initializers.Constant(thresholds[0]))
        self.steps = self.add_weight(
            name="steps", shape=(count - 2,), initializer=lambda shape, dtype=None: keras.ops.cast(steps.reshape(shape), dtype)
        )
        super().build(input_shape)

    def call(self, features: tf.Tensor) -> tf.Tensor:
        """Returns log-probabilities `[B, C]`."""
        gaps = keras.ops.softplus(self.steps) + LEAST_GAP
        thresholds = keras.ops.concatenate([self.first, self.first + keras.ops.cumsum(gaps)])
        odds = keras.ops.matmul(features, self.kernel) - thresholds  # log odds of lying above each threshold, [B, C-1]
        above, below = keras.ops.log_sigmoid(odds), keras.ops.log_sigmoid(-odds)
        # sigmoid(u) - sigmoid(v) = sigmoid(u) sigmoid(-v) (1 - exp(v - u)), which loses nothing where both are near 0 or 1
        between = above[:, :-1] + below[:, 1:] + keras.ops.log(-keras.ops.expm1(-gaps))
        ranked = keras.ops.concatenate([below[:, :1], between, above[:, -1:]], axis=1)
        return keras.ops.take(ranked, np.argsort(self.order), axis=1)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Returns `[B, C]`."""
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """Returns what the layer is made again from."""
        return {**super().get_config(), "order": list(self.order)}


def head_names(labels: Sequence[str]) -> dict[str, str]:
    """Returns label type → name of its head layer: letters, digits and `_` only, no two alike.

    The name of a label type depends on those before it only where both read the same in plain letters.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for label in labels:
        plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode()
        slug = re.sub(r"[^A-Za-z0-9_]+", "_", plain).strip("_") or "x"
        name, number = slug, 1
        while name.lower() in taken:
            number += 1
            name = f"{slug}_{number}"
        taken.add(name.lower())
        names[label] = HEAD_PREFIX + name
    return names


def attach_heads(
    features: keras.KerasTensor, classes: Mapping[str, int], specs: Mapping[str, HeadSpec] | None = None
) -> dict[str, keras.KerasTensor]:
    """Puts a head on the features for each label type.

    Args:
        features: `[B, F]`.
        classes: label type → number of classes.
        specs: label type → what its head is; softmax where not given.

    Returns:
        Label type → logits `[B, C]`, float32 under every precision.
    """
    names = head_names(list(classes))
    return {label: _layer((specs or {}).get(label, SOFTMAX), count, names[label])(features) for label, count in classes.items()}


def _layer(spec: HeadSpec, count: int, name: str) -> keras.layers.Layer:
    options: dict[str, Any] = {"dtype": "float32", "name": name}
    if spec.kind == "ordinal" and count > 1:  # of one class there is no order to learn
        return OrdinalHead(spec.order, **options)
    if spec.kind == "sigmoid":
        return SigmoidHead(count, blanks=spec.blanks, kernel_initializer="he_normal", **options)
    return keras.layers.Dense(count, kernel_initializer="he_normal", **options)


def spec_of(layer: keras.layers.Layer) -> HeadSpec:
    """Returns what a head is."""
    if isinstance(layer, OrdinalHead):
        return HeadSpec("ordinal", order=layer.order)
    if isinstance(layer, SigmoidHead):
        return HeadSpec("sigmoid", blanks=layer.blanks)
    return SOFTMAX


def probabilities_from(logits: tf.Tensor, spec: HeadSpec) -> tf.Tensor:
    """Returns the probabilities `[B, C]` of a head; those of a sigmoid head do not add up to 1."""
    logits = tf.cast(logits, tf.float32)
    return tf.math.sigmoid(logits) if spec.kind == "sigmoid" else tf.nn.softmax(logits)


def blanks_of(specs: Mapping[str, HeadSpec]) -> Blanks:
    """Returns the label types of which all observations count → their classes that mean nothing is there."""
    return {label: spec.blanks for label, spec in specs.items() if spec.kind == "sigmoid"}
