"""The classifier: pictures in 0 … 255 → scaling → backbone → dropout → one head of logits per label type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras

from camtrap_tf.config.training import ModelConfig
from camtrap_tf.errors import LabelError
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.labels import LabelMapping
from camtrap_tf.models.backbones import BACKBONE_LAYER, build_backbone
from camtrap_tf.models.heads import HEAD_PREFIX, HeadSpec, attach_heads, spec_of
from camtrap_tf.models.scaling import scaling_layer

INPUT_LAYER = "images"


def build_classifier(
    config: ModelConfig, mapping: LabelMapping, preprocessing: Preprocessing, *, specs: Mapping[str, HeadSpec] | None = None
) -> keras.Model:
    """Returns the model for the label types of a mapping.

    Args:
        config: names the backbone and its weights.
        mapping: the label types to learn and their classes, no others.
        preprocessing: input size, and the mean and deviation of the scaling layer.
        specs: label type → what its head is; softmax where not given.

    Returns:
        `images` float32 `[B, H, W, 3]` in 0 … 255 → dictionary label type → logits float32 `[B, C]`.

    Raises:
        SettingError: unknown backbone, or an input size that it does not take.
        ModelError: weights out of reach or of another network.
        LabelError: a label type without classes.
    """
    classes = {label: len(mapping.names(label)) for label in mapping.label_types}
    empty = [label for label, count in classes.items() if not count]
    if empty:
        raise LabelError(f"label {empty[0]!r} has no class in the label mapping; leave it out of --labels")
    height, width = preprocessing.output_height, preprocessing.output_width
    images = keras.Input((height, width, 3), name=INPUT_LAYER)
    backbone = build_backbone(config.model, height=height, width=width, weights=config.weights)
    x = backbone(scaling_layer(preprocessing.image_means, preprocessing.image_stdevs)(images))
    if config.dropout:
        x = keras.layers.Dropout(config.dropout, name="dropout_before_heads")(x)
    model = keras.Model(images, attach_heads(x, classes, specs), name="classifier")
    if config.freeze_backbone:
        freeze_backbone(model)
    return model


def freeze_backbone(model: keras.Model) -> None:
    """Fixes everything but the heads; batch normalisation in there works with its stored statistics."""
    model.get_layer(BACKBONE_LAYER).trainable = False


def head_layers(model: keras.Model) -> dict[str, keras.layers.Layer]:
    """Returns label type → its head."""
    heads = [layer for layer in model.layers if layer.name.startswith(HEAD_PREFIX)]
    return {label: next(head for head in heads if head.output is output) for label, output in model.output.items()}


def head_specs(model: keras.Model) -> dict[str, HeadSpec]:
    """Returns label type → what its head is."""
    return {label: spec_of(layer) for label, layer in head_layers(model).items()}


def output_classes(model: keras.Model, labels: Sequence[str]) -> dict[str, int]:
    """Returns label type → number of classes that the model answers with."""
    return {label: int(model.output[label].shape[-1]) for label in labels}
