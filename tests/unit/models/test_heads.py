"""Names of heads."""

import keras

from camtrap_tf.models.heads import attach_heads, head_names


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
    model = keras.Model(features, attach_heads(features, {"a/b": 3, "c": 2}))
    assert {label: value.shape for label, value in model(keras.ops.zeros((5, 4))).items()} == {"a/b": (5, 3), "c": (5, 2)}
