"""Heads: one dense layer of logits per label type, and the names they go by inside Keras.

Keras forbids `/` in layer names and TensorFlow dislikes more, while label types are free text; so heads have
internal names (`label__species`), and everything outside the model speaks of label types.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

import keras

HEAD_PREFIX = "label__"


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


def attach_heads(features: keras.KerasTensor, classes: Mapping[str, int]) -> dict[str, keras.KerasTensor]:
    """Puts a dense layer on the features for each label type.

    Args:
        features: `[B, F]`.
        classes: label type → number of classes.

    Returns:
        Label type → logits `[B, C]`, float32 under every precision.
    """
    names = head_names(list(classes))
    return {
        label: keras.layers.Dense(count, kernel_initializer="he_normal", dtype="float32", name=names[label])(features)
        for label, count in classes.items()
    }
