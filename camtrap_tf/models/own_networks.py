"""Networks that keras.applications lacks, in camera-trap-classifier's layout: ResNet18, ResNet34 and small_cnn.

Layers carry the names that Keras gave them there (`conv2d_3`, counted in the order of building), so that
weights of older models find their place by name.

Source: He et al. 2016, Identity Mappings in Deep Residual Networks (pre-activation blocks).
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

L2_OF_KERNELS = 1e-4
BASIC_BLOCKS = {"ResNet18": (2, 2, 2, 2), "ResNet34": (3, 4, 6, 3)}


class _Builder:
    """Makes layers with counted names."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def name(self, kind: str) -> str:
        number = self._counts.get(kind, 0)
        self._counts[kind] = number + 1
        return f"{kind}_{number}"

    def conv(self, x: keras.KerasTensor, filters: int, side: int, stride: int = 1) -> keras.KerasTensor:
        return layers.Conv2D(
            filters,
            side,
            strides=stride,
            padding="same",
            kernel_initializer="he_normal",
            kernel_regularizer=keras.regularizers.L2(L2_OF_KERNELS),
            name=self.name("conv2d"),
        )(x)

    def norm_relu(self, x: keras.KerasTensor) -> keras.KerasTensor:
        return layers.ReLU(name=self.name("relu"))(layers.BatchNormalization(name=self.name("batch_normalization"))(x))

    def basic_block(self, x: keras.KerasTensor, filters: int, *, stride: int, activated: bool) -> keras.KerasTensor:
        """Adds two 3 × 3 convolutions beside a shortcut; `activated`: `x` is normalised already."""
        residual = self.conv(x if activated else self.norm_relu(x), filters, 3, stride)
        residual = self.conv(self.norm_relu(residual), filters, 3)
        if stride > 1 or x.shape[-1] != filters:
            x = self.conv(x, filters, 1, stride)
        return layers.Add(name=self.name("add"))([x, residual])


def small_resnet(name: str, *, height: int, width: int, blocks: Sequence[int]) -> keras.Model:
    """Returns a pre-activation ResNet of basic blocks, from normalised pictures to averaged features.

    Args:
        name: name of the model.
        height: of the input in px.
        width: of the input in px.
        blocks: how many blocks each of the stages has; filters double from 64, sides halve, from stage to stage.

    Returns:
        `[B, height, width, 3]` float32 → `[B, 64 · 2^(stages - 1)]`.
    """
    build = _Builder()
    images = keras.Input((height, width, 3), name="pictures")
    x = build.norm_relu(build.conv(images, 64, 7, 2))
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool")(x)
    for stage, count in enumerate(blocks):
        for block in range(count):
            first = stage == 0 and block == 0
            x = build.basic_block(x, 64 * 2**stage, stride=2 if block == 0 and stage > 0 else 1, activated=first)
    x = layers.GlobalAveragePooling2D(name="average")(build.norm_relu(x))
    return keras.Model(images, x, name=name)


def small_cnn(*, height: int, width: int) -> keras.Model:
    """Returns three convolutions and a dense layer: small enough for tests and for tiny pictures.

    The dense layer sees every place of the last feature map, so weights fit one input size only.

    Returns:
        `[B, height, width, 3]` float32 → `[B, 64]`.
    """
    build = _Builder()
    images = x = keras.Input((height, width, 3), name="pictures")
    for filters in (32, 32, 64):
        x = layers.Conv2D(filters, 3, activation="relu", kernel_initializer="he_normal", name=build.name("conv2d"))(x)
        x = layers.MaxPooling2D(2, name=build.name("max_pooling2d"))(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(64, activation="relu", kernel_initializer="he_normal", name=build.name("dense"))(x)
    x = layers.Dropout(0.5, name="dropout")(x)
    return keras.Model(images, x, name="small_cnn")
