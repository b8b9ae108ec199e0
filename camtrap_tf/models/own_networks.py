"""Networks in camera-trap-classifier's layout: ResNets of 18, 34, 50, 101 and 152 layers, and small_cnn.

Layers carry the names that Keras gave them there (`conv2d_3`, counted in the order of building), so that
weights of older models find their place by name. Its ResNets of bottlenecks are not those of keras.applications: a
stride is in the first convolution of a block, shortcuts branch off before normalisation, every convolution has a bias.

Source: He et al. 2016, Identity Mappings in Deep Residual Networks (pre-activation blocks).
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

L2_OF_KERNELS = 1e-4
RESNET_BLOCKS = {
    "ResNet18": (2, 2, 2, 2),
    "ResNet34": (3, 4, 6, 3),
    "ResNet50": (3, 4, 6, 3),
    "ResNet101": (3, 4, 23, 3),
    "ResNet152": (3, 8, 36, 3),
}
"""How many blocks each stage has."""
BASIC = ("ResNet18", "ResNet34")
"""Those of basic blocks; the others have bottlenecks."""


class _Builder:
    """Makes layers with counted names."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def name(self, kind: str) -> str:
        """Returns the next name of a kind of layer: `conv2d_0`, `conv2d_1` …"""
        number = self._counts.get(kind, 0)
        self._counts[kind] = number + 1
        return f"{kind}_{number}"

    def conv(self, x: keras.KerasTensor, filters: int, side: int, stride: int = 1) -> keras.KerasTensor:
        """Returns a convolution `[N, H / stride, W / stride, filters]` of `side` x `side` px, with bias and L2."""
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
        """Returns the input normalised by batch, then rectified; its shape stays."""
        return layers.ReLU(name=self.name("relu"))(layers.BatchNormalization(name=self.name("batch_normalization"))(x))

    def block(
        self, x: keras.KerasTensor, kernels: Sequence[tuple[int, int]], *, stride: int, activated: bool
    ) -> keras.KerasTensor:
        """Adds convolutions, the first of them striding, beside a shortcut.

        Args:
            x: features.
            kernels: filters and side of each convolution.
            stride: of the block.
            activated: whether `x` is normalised already.
        """
        residual = x if activated else self.norm_relu(x)
        for place, (filters, side) in enumerate(kernels):
            residual = self.conv(residual if place == 0 else self.norm_relu(residual), filters, side, 1 if place else stride)
        if stride > 1 or x.shape[-1] != residual.shape[-1]:
            x = self.conv(x, residual.shape[-1], 1, stride)
        return layers.Add(name=self.name("add"))([x, residual])


def preactivation_resnet(name: str, *, height: int, width: int) -> keras.Model:
    """Returns a pre-activation ResNet, from normalised pictures to averaged features.

    Args:
        name: one of `RESNET_BLOCKS`.
        height: of the input in px.
        width: of the input in px.

    Returns:
        `[B, height, width, 3]` float32 → `[B, 512]` for basic blocks, `[B, 2048]` for bottlenecks.
    """
    build = _Builder()
    images = keras.Input((height, width, 3), name="pictures")
    x = build.norm_relu(build.conv(images, 64, 7, 2))
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool")(x)
    for stage, count in enumerate(RESNET_BLOCKS[name]):
        filters = 64 * 2**stage
        kernels = [(filters, 3)] * 2 if name in BASIC else [(filters, 1), (filters, 3), (4 * filters, 1)]
        for block in range(count):
            x = build.block(x, kernels, stride=2 if block == 0 and stage > 0 else 1, activated=stage == 0 and block == 0)
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
