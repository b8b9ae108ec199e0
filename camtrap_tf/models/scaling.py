"""Input scaling: which mean and deviation a backbone's weights expect, and the layer that applies them.

Pictures come as floats in 0 … 255. Scaling is `(picture / 255 - mean) / deviation` per channel, so one pair of
triples says all there is to say, for every family of weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras

NORMALISATION_LAYER = "normalisation"


@dataclass(frozen=True, slots=True)
class Scaling:
    """Mean and standard deviation per channel (red, green, blue), of pictures in [0, 1]."""

    means: tuple[float, ...]
    stdevs: tuple[float, ...]


SYMMETRIC = Scaling((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""Pictures in [-1, 1]; what TensorFlow's own networks were trained with."""

SYMMETRIC_128 = Scaling((128 / 255,) * 3, (128 / 255,) * 3)
"""Pictures divided by 128, less 1: in [-1, 0.992]."""

IMAGENET = Scaling((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Pictures standardised with ImageNet's mean and deviation."""

UNIT = Scaling((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
"""Pictures in [0, 1]."""


def expected_scaling(backbone: str) -> Scaling:
    """Returns the scaling that published weights of a keras.applications backbone were made with.

    Networks that keras.applications builds with scaling inside (EfficientNet, MobileNetV3, ConvNeXt) are built
    without it here, and get the same scaling from our own layer.

    Source: `preprocess_input` and `include_preprocessing` of keras.applications, Keras 3.15.
    """
    if backbone.startswith("EfficientNetV2"):
        return IMAGENET if "V2B" in backbone else SYMMETRIC_128
    return IMAGENET if backbone.startswith(("DenseNet", "EfficientNet", "ConvNeXt")) else SYMMETRIC


def scaling_layer(means: Sequence[float], stdevs: Sequence[float]) -> keras.layers.Layer:
    """Returns the layer that scales `[B, H, W, 3]` floats in 0 … 255; computes in float32 under every precision."""
    scale = [1.0 / (255.0 * stdev) for stdev in stdevs]
    offset = [-mean / stdev for mean, stdev in zip(means, stdevs, strict=True)]
    return keras.layers.Rescaling(scale, offset, name=NORMALISATION_LAYER, dtype="float32")
