"""camera-trap-classifier's networks worked out with plain TensorFlow operations, and files of them in Keras 2's layout.

Nothing of the package is used: a network is run on a picture while it is put together, with weights drawn on the way, so
that its file and its answer come from the same place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tensorflow as tf

RESNETS = {
    "ResNet18": (False, (2, 2, 2, 2)),
    "ResNet34": (False, (3, 4, 6, 3)),
    "ResNet50": (True, (3, 4, 6, 3)),
    "ResNet101": (True, (3, 4, 23, 3)),
    "ResNet152": (True, (3, 8, 36, 3)),
}


@dataclass(frozen=True)
class Node:
    """A layer's name and what it gives for the picture, `[1, H, W, C]` or `[1, F]`."""

    name: str
    value: tf.Tensor


@dataclass
class OldNetwork:
    """A network under way.

    Attributes:
        picture: `[1, H, W, 3]`, scaled.
        first: number that counted names begin with; `conv2d` itself is number 0.
        seed: of the weights.
        layers: as Keras 2 describes them, in order of building.
        weights: layer → name and array of each weight.
        answers: label type → logits `[1, C]`.
    """

    picture: np.ndarray
    first: int = 0
    seed: int = 0
    layers: list[dict[str, Any]] = field(default_factory=list)
    weights: dict[str, list[tuple[str, np.ndarray]]] = field(default_factory=dict)
    answers: dict[str, np.ndarray] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begins to draw, and adds the input."""
        self._random = np.random.default_rng(self.seed)
        self.images = self.add("InputLayer", (), tf.constant(self.picture), name="images")

    def add(
        self, kind: str, inputs: Sequence[Node], value: tf.Tensor, *, name: str | None = None, counted: str = "",
        weights: Sequence[tuple[str, np.ndarray]] = (), **config: Any,
    ) -> Node:  # fmt: skip
        """Adds a layer; without a name it is counted as Keras counts."""
        if name is None:
            number = self._counts.get(counted or kind.lower(), self.first)
            self._counts[counted or kind.lower()] = number + 1
            name = (counted or kind.lower()) + (f"_{number}" if number else "")
        nodes = [[[one.name, 0, 0, {}] for one in inputs]] if inputs else []
        self.layers.append({"name": name, "class_name": kind, "config": {"name": name, **config}, "inbound_nodes": nodes})
        if weights:
            self.weights[name] = list(weights)
        return Node(name, value)

    def draw(self, *shape: int, fan_in: int) -> np.ndarray:
        """Draws a kernel that keeps numbers at their size."""
        return (self._random.standard_normal(shape, np.float32) / np.sqrt(fan_in)).astype(np.float32)

    def vector(self, length: int, middle: float) -> np.ndarray:
        """Draws numbers about `middle`."""
        return (middle + 0.2 * self._random.uniform(-1, 1, length)).astype(np.float32)

    def conv(
        self, x: Node, filters: int, side: int | tuple[int, int], stride: int = 1, *, padding: str = "same",
        bias: bool = False, name: str | None = None, activation: str = "linear",
    ) -> Node:  # fmt: skip
        """Adds a convolution."""
        height, width = (side, side) if isinstance(side, int) else side
        depth = x.value.shape[-1]
        weights = [("kernel", self.draw(height, width, depth, filters, fan_in=height * width * depth))]
        value = tf.nn.conv2d(x.value, weights[0][1], stride, padding.upper())
        if bias:
            weights.append(("bias", self.vector(filters, 0)))
            value += weights[1][1]
        return self.add(
            "Conv2D", [x], tf.nn.relu(value) if activation == "relu" else value, name=name, counted="conv2d", weights=weights,
            filters=filters, kernel_size=[height, width], strides=[stride, stride], padding=padding,
            data_format="channels_last", dilation_rate=[1, 1], activation=activation, use_bias=bias,
        )  # fmt: skip

    def separable(self, x: Node, filters: int, name: str) -> Node:
        """Adds a separable 3 × 3 convolution without bias."""
        depth = x.value.shape[-1]
        depthwise, pointwise = self.draw(3, 3, depth, 1, fan_in=9), self.draw(1, 1, depth, filters, fan_in=depth)
        value = tf.nn.conv2d(tf.nn.depthwise_conv2d(x.value, depthwise, [1, 1, 1, 1], "SAME"), pointwise, 1, "SAME")
        return self.add(
            "SeparableConv2D", [x], value, name=name, kernel_size=[3, 3], strides=[1, 1], padding="same",
            weights=[("depthwise_kernel", depthwise), ("pointwise_kernel", pointwise)],
        )  # fmt: skip

    def norm(self, x: Node, *, name: str | None = None, scale: bool = True) -> Node:
        """Adds batch normalisation, as it works in prediction."""
        depth = x.value.shape[-1]
        middles = {"gamma": 1.0, "beta": 0.0, "moving_mean": 0.0, "moving_variance": 1.0}
        weights = {kind: self.vector(depth, middle) for kind, middle in middles.items() if scale or kind != "gamma"}
        value = (x.value - weights["moving_mean"]) / np.sqrt(weights["moving_variance"] + np.float32(1e-3))
        value = value * weights.get("gamma", np.float32(1)) + weights["beta"]
        return self.add(
            "BatchNormalization", [x], value, name=name, counted="batch_normalization", weights=list(weights.items()),
            axis=[3], momentum=0.99, epsilon=0.001, scale=scale,
        )  # fmt: skip

    def relu(self, x: Node) -> Node:
        """Adds an activation."""
        return self.add("Activation", [x], tf.nn.relu(x.value), activation="relu")

    def max_pool(self, x: Node, side: int, stride: int, padding: str = "same") -> Node:
        """Adds max pooling."""
        return self.add("MaxPooling2D", [x], tf.nn.max_pool2d(x.value, side, stride, padding.upper()), counted="max_pooling2d")

    def total(self, one: Node, other: Node) -> Node:
        """Adds the sum of two."""
        return self.add("Add", [one, other], one.value + other.value)

    def joined(self, parts: Sequence[Node], name: str) -> Node:
        """Adds the parts one behind the other."""
        return self.add("Concatenate", parts, tf.concat([part.value for part in parts], -1), name=name)

    def average(self, x: Node) -> Node:
        """Adds the average over all places."""
        return self.add("GlobalAveragePooling2D", [x], tf.reduce_mean(x.value, (1, 2)), counted="global_average_pooling2d")

    def dense(self, x: Node, units: int, *, name: str | None = None, activation: str) -> Node:
        """Adds a dense layer; of `softmax` it gives the logits."""
        kernel, bias = self.draw(x.value.shape[-1], units, fan_in=x.value.shape[-1]), self.vector(units, 0)
        value = tf.matmul(x.value, kernel) + bias
        return self.add(
            "Dense", [x], tf.nn.relu(value) if activation == "relu" else value, name=name, activation=activation,
            weights=[("kernel", kernel), ("bias", bias)],
        )  # fmt: skip

    def heads(self, x: Node, classes: Mapping[str, int]) -> None:
        """Adds a head per label type."""
        for label, count in classes.items():
            self.answers[label] = self.dense(x, count, name=f"label/{label}", activation="softmax").value.numpy()

    def exchange(self, one: str, other: str) -> None:
        """Lets two layers change names, as if they had been built in the other order."""
        names = {one: other, other: one}
        self.weights[one], self.weights[other] = self.weights[other], self.weights[one]
        for layer in self.layers:
            layer["name"] = layer["config"]["name"] = names.get(layer["name"], layer["name"])
            for node in layer["inbound_nodes"]:
                for source in node:
                    source[0] = names.get(source[0], source[0])

    def description(self) -> dict[str, Any]:
        """Returns the network as Keras 2 describes it: the layers farthest from the answers first."""
        depths: dict[str, int] = {}
        for layer in reversed(self.layers):
            for source in (one[0] for node in layer["inbound_nodes"] for one in node):
                depths[source] = max(depths.get(source, 0), depths.get(layer["name"], 0) + 1)
        ordered = sorted(self.layers, key=lambda layer: -depths.get(layer["name"], 0))
        return {"class_name": "Model", "config": {"name": "model", "layers": ordered}}


def write_old_file(
    network: OldNetwork, path: Path, *, description: bool = True, scope: str = "{}", nested: bool = False
) -> None:
    """Writes a network as Keras 2.2 saves a whole model, optimiser and all.

    Args:
        network: run already.
        path: the file.
        description: whether the file says how the layers are joined.
        scope: what weights are called after their layer: `{}_1` where the process had such a layer already.
        nested: as one layer of a model that splits batches over two GPUs.
    """
    told = network.description()
    names = [layer["name"] for layer in told["config"]["layers"]]
    held = {
        name: [(f"{scope.format(name)}/{kind}:0", array) for kind, array in network.weights.get(name, ())] for name in names
    }
    if nested:
        inner = {"name": "model_1", **told, "inbound_nodes": [[["lambda", 0, 0, {}]], [["lambda_1", 0, 0, {}]]]}
        halves = [_plain(f"lambda{end}", "Lambda", "images") for end in ("", "_1")]
        outer = [_plain("images", "InputLayer"), *halves, inner, *(_plain(one, "Concatenate", "model_1") for one in ("a", "b"))]
        told = {"class_name": "Model", "config": {"name": "model_2", "layers": outer}}
        together = [weight for weights in held.values() for weight in weights]
        together.sort(key=lambda weight: weight[0].endswith(("moving_mean:0", "moving_variance:0")))
        held = {"images": [], "model_1": together, "a": []}
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"], file.attrs["backend"] = b"2.2.4-tf", b"tensorflow"
        if description:
            file.attrs["model_config"] = json.dumps(told).encode()
            file.attrs["training_config"] = b'{"optimizer_config": {"class_name": "SGD", "config": {"lr": 0.01}}}'
        group = file.create_group("model_weights")
        group.attrs["keras_version"], group.attrs["backend"] = b"2.2.4-tf", b"tensorflow"
        group.attrs["layer_names"] = np.array([name.encode() for name in held])
        for name, weights in held.items():
            layer = group.create_group(name)
            layer.attrs["weight_names"] = np.array([called.encode() for called, _ in weights])
            for called, array in weights:
                layer.create_dataset(called, data=array)
        optimizer = file.create_group("optimizer_weights")
        optimizer.attrs["weight_names"] = np.array([b"training/SGD/Variable:0"])
        optimizer.create_dataset("training/SGD/Variable:0", data=np.zeros((7, 7, 3, 64), np.float32))


def _plain(name: str, kind: str, *before: str) -> dict[str, Any]:
    """Returns the description of a layer without weights."""
    nodes = [[[one, 0, 0, {}] for one in before]] if before else []
    return {"name": name, "class_name": kind, "config": {"name": name}, "inbound_nodes": nodes}


def put_together(name: str, picture: np.ndarray, classes: Mapping[str, int], *, first: int = 0, seed: int = 0) -> OldNetwork:
    """Returns a network of camera-trap-classifier, run on a scaled picture."""
    network = OldNetwork(picture, first, seed)
    trunks = {"small_cnn": _small_cnn, "Xception": _xception, "InceptionResNetV2": _inception_resnet}
    features = _resnet(network, *RESNETS[name]) if name in RESNETS else trunks[name](network)
    network.heads(features, classes)
    return network


def _small_cnn(net: OldNetwork) -> Node:
    x = net.images
    for filters in (32, 32, 64):
        x = net.conv(x, filters, 3, padding="valid", bias=True, activation="relu")
        x = net.max_pool(x, 2, 2, "valid")
    x = net.add("Flatten", [x], tf.reshape(x.value, (1, -1)))
    x = net.dense(x, 64, activation="relu")
    return net.add("Dropout", [x], x.value)


def _resnet(net: OldNetwork, bottleneck: bool, repetitions: Sequence[int]) -> Node:
    x = net.max_pool(net.relu(net.norm(net.conv(net.images, 64, 7, 2, bias=True))), 3, 2)
    for stage, count in enumerate(repetitions):
        filters = 64 << stage
        for number in range(count):
            stride = 2 if stage and not number else 1
            y = x if stage == number == 0 else net.relu(net.norm(x))
            y = net.conv(y, filters, 1 if bottleneck else 3, stride, bias=True)
            y = net.conv(net.relu(net.norm(y)), filters, 3, bias=True)
            if bottleneck:
                y = net.conv(net.relu(net.norm(y)), 4 * filters, 1, bias=True)
            if x.value.shape != y.value.shape:
                x = net.conv(x, y.value.shape[-1], 1, stride, padding="valid", bias=True)
            x = net.total(x, y)
    x = net.relu(net.norm(x))
    x = net.add("AveragePooling2D", [x], tf.reduce_mean(x.value, (1, 2), keepdims=True), counted="average_pooling2d")
    return net.add("Flatten", [x], tf.reshape(x.value, (1, -1)))


def _xception(net: OldNetwork) -> Node:
    x = net.images
    for number, (filters, stride) in enumerate(((32, 2), (64, 1)), 1):
        x = net.conv(x, filters, 3, stride, padding="valid", name=f"block1_conv{number}")
        x = net.relu(net.norm(x, name=f"block1_conv{number}_bn"))

    def separable(x: Node, filters: int, name: str) -> Node:
        """Adds a separable convolution and its normalisation."""
        return net.norm(net.separable(x, filters, name), name=f"{name}_bn")

    sizes = {2: (128, 128), 3: (256, 256), 4: (728, 728), **dict.fromkeys(range(5, 13), (728,) * 3), 13: (728, 1024)}
    for block, filters in sizes.items():
        shortcut = x if len(filters) == 3 else net.norm(net.conv(x, filters[-1], 1, 2))
        for number, count in enumerate(filters, 1):
            x = separable(x if block == 2 and number == 1 else net.relu(x), count, f"block{block}_sepconv{number}")
        x = net.total(x if len(filters) == 3 else net.max_pool(x, 3, 2), shortcut)
    for number, count in enumerate((1536, 2048), 1):
        x = net.relu(separable(x, count, f"block14_sepconv{number}"))
    return net.average(x)


def _inception_resnet(net: OldNetwork) -> Node:
    def unit(x: Node, filters: int, side: Any, stride: int = 1, padding: str = "same", name: str | None = None) -> Node:
        """Adds a convolution, normalised and rectified."""
        x = net.conv(x, filters, side, stride, padding=padding, name=name)
        return net.relu(net.norm(x, scale=False, name=name and f"{name}_bn"))

    def branch(x: Node, *units: tuple[Any, ...]) -> Node:
        """Adds units, one after the other."""
        for one in units:
            x = unit(x, *one)
        return x

    def residual(x: Node, scale: float, kind: str, number: int, *branches: tuple[tuple[Any, ...], ...]) -> Node:
        """Adds branches to their input, scaled."""
        mixed = net.joined([branch(x, *units) for units in branches], f"{kind}_{number}_mixed")
        up = net.conv(mixed, x.value.shape[-1], 1, bias=True, name=f"{kind}_{number}_conv")
        x = net.add("Lambda", [x, up], x.value + scale * up.value, name=f"{kind}_{number}", arguments={"scale": scale})
        return x if scale == 1 else net.relu(x)

    valid = (2, "valid")
    x = branch(net.images, (32, 3, *valid), (32, 3, 1, "valid"), (64, 3))
    x = branch(net.max_pool(x, 3, 2, "valid"), (80, 1, 1, "valid"), (192, 3, 1, "valid"))
    x = net.max_pool(x, 3, 2, "valid")
    parts = [branch(x, (96, 1)), branch(x, (48, 1), (64, 5)), branch(x, (64, 1), (96, 3), (96, 3))]
    pooled = net.add("AveragePooling2D", [x], tf.nn.avg_pool2d(x.value, 3, 1, "SAME"), counted="average_pooling2d")
    x = net.joined([*parts, unit(pooled, 64, 1)], "mixed_5b")
    for number in range(1, 11):
        x = residual(x, 0.17, "block35", number, ((32, 1),), ((32, 1), (32, 3)), ((32, 1), (48, 3), (64, 3)))
    parts = [branch(x, (384, 3, *valid)), branch(x, (256, 1), (256, 3), (384, 3, *valid))]
    x = net.joined([*parts, net.max_pool(x, 3, 2, "valid")], "mixed_6a")
    for number in range(1, 21):
        x = residual(x, 0.1, "block17", number, ((192, 1),), ((128, 1), (160, (1, 7)), (192, (7, 1))))
    parts = [branch(x, (256, 1), (384, 3, *valid)), branch(x, (256, 1), (288, 3, *valid))]
    parts.append(branch(x, (256, 1), (288, 3), (320, 3, *valid)))
    x = net.joined([*parts, net.max_pool(x, 3, 2, "valid")], "mixed_7a")
    for number in range(1, 11):
        scale = 1.0 if number == 10 else 0.2
        x = residual(x, scale, "block8", number, ((192, 1),), ((192, 1), (224, (1, 3)), (256, (3, 1))))
    return net.average(unit(x, 1536, 1, name="conv_7b"))
