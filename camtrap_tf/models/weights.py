"""Weights by layer name: read from a model or from a file of any Keras generation, and put where they fit.

A layer that Keras named by itself (`conv2d_17`) has another number in every process. Such names are replaced
by the rank among their kind, in order of building, so that the same network always has the same names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import keras
import numpy as np

from camtrap_tf.errors import ModelError

LEGACY_HEAD_PREFIX = "label/"
"""How head layers are called in camera-trap-classifier's files."""

NamedWeights = Mapping[str, list[np.ndarray]]
"""Stable layer name → its arrays, in the order of Keras."""

_COUNTED = re.compile(
    r"^(conv2d|depthwise_conv2d|separable_conv2d|batch_normalization|layer_normalization|normalization|dense)(?:_(\d+))?$"
)


def stable_names(names: Iterable[str]) -> dict[str, str]:
    """Returns name → name that does not depend on what was built before it in the same process.

    `{conv2d_7, conv2d_9, stem}` become `{conv2d#0, conv2d#1, stem}`; the `/` of older files becomes `_`.
    """
    counted: dict[str, list[tuple[int, str]]] = {}
    stable: dict[str, str] = {}
    for name in dict.fromkeys(names):
        found = _COUNTED.match(name)
        if found:
            counted.setdefault(found[1], []).append((int(found[2] or 0), name))
        else:
            stable[name] = name if name.startswith(LEGACY_HEAD_PREFIX) else name.replace("/", "_")
    for kind, members in counted.items():
        for rank, (_, name) in enumerate(sorted(members)):
            stable[name] = f"{kind}#{rank}"
    return stable


def weighted_layers(model: keras.Model) -> dict[str, keras.layers.Layer]:
    """Returns stable name → layer for every layer with weights, nested models opened."""
    found: list[keras.layers.Layer] = []

    def collect(container: keras.Model) -> None:
        for layer in container.layers:
            if isinstance(layer, keras.Model):
                collect(layer)
            elif layer.weights:
                found.append(layer)

    collect(model)
    names = stable_names(layer.name for layer in found)
    return {names[layer.name]: layer for layer in found}


def weights_of(model: keras.Model) -> NamedWeights:
    """Returns the weights of a model by stable layer name."""
    return {name: layer.get_weights() for name, layer in weighted_layers(model).items()}


@dataclass(frozen=True, slots=True)
class Misfit:
    """A layer that got no weights, and why."""

    layer: str
    reason: str


def fit(layers: Mapping[str, keras.layers.Layer], source: NamedWeights) -> tuple[list[str], list[Misfit]]:
    """Copies weights into the layers of the same name where all shapes agree.

    Returns:
        Names of the layers that were filled, and those that were not, with the reason.
    """
    filled: list[str] = []
    misfits: list[Misfit] = []
    for name, layer in layers.items():
        wanted = [tuple(weight.shape) for weight in layer.weights]
        if name not in source:
            misfits.append(Misfit(layer.name, "not in the file"))
            continue
        given = [tuple(array.shape) for array in source[name]]
        if wanted != given:
            misfits.append(Misfit(layer.name, f"shapes {_shown(given)} do not fit {_shown(wanted)}"))
            continue
        layer.set_weights(source[name])
        filled.append(name)
    return filled, misfits


def _shown(shapes: list[tuple[int, ...]]) -> str:
    return " ".join("×".join(map(str, shape)) or "scalar" for shape in shapes) or "none"


def load_backbone_weights(backbone: keras.Model, path: Path, *, name: str) -> None:
    """Fills a backbone from a weights file; heads and other layers that the file has besides are left out.

    Args:
        backbone: the network to fill, all of it.
        path: `.h5` / `.hdf5` of Keras 1 or 2, `.weights.h5`, or `.keras`.
        name: of the backbone, for messages.

    Raises:
        ModelError: the file is absent, unreadable or does not fit.
    """
    if is_keras3_weights(path):
        try:
            backbone.load_weights(path)
        except (ValueError, OSError, KeyError) as err:
            raise ModelError(f"--weights {path}: does not fit {name}: {_first_line(err)}") from err
        return
    layers = weighted_layers(backbone)
    misfits = fit(layers, read_weights(path))[1]
    if misfits:
        shown = "; ".join(f"{misfit.layer}: {misfit.reason}" for misfit in misfits[:3])
        raise ModelError(
            f"--weights {path}: does not fit {name}: {len(misfits)} of {len(layers)} layers get no weights ({shown}"
            f"{'; …' if len(misfits) > 3 else ''}); choose the --model and input size that the file was made for"
        )


def is_keras3_weights(path: Path) -> bool:
    """Returns whether a file has the layout of Keras 3's `.weights.h5`."""
    if path.suffix == ".keras" or not h5py.is_hdf5(path):
        return False
    with h5py.File(path, "r") as file:
        return _legacy_group(file) is None and ("layers" in file or "_layer_checkpoint_dependencies" in file)


def read_weights(path: Path) -> NamedWeights:
    """Returns the weights in a `.keras` file or an HDF5 file of the older layout, by stable layer name.

    Raises:
        ModelError: absent, unreadable, of another layout, or with code inside.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such weights file; check the path")
    if path.suffix == ".keras":
        return weights_of(load_keras_file(path))
    return read_legacy_weights(path)


def load_keras_file(path: Path) -> keras.Model:
    """Returns the model in a `.keras` file, without running code that the file may carry.

    Raises:
        ModelError: it cannot be read, or needs code of its own (a Lambda layer, an unknown class).
    """
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, OSError, KeyError, ImportError, AttributeError) as err:
        text = str(err)
        if "ambda" in text or "safe_mode" in text or "unsafe" in text:
            raise ModelError(
                f"{path}: holds code (a Lambda layer); refused: only models made of known layers are read"
            ) from err
        raise ModelError(f"{path}: cannot be read as a Keras model: {_first_line(err)}") from err


def read_legacy_weights(path: Path) -> NamedWeights:
    """Returns the weights in an HDF5 file of Keras 1 or 2 (whole model or weights alone), by stable layer name.

    Raises:
        ModelError: not such a file.
    """
    try:
        with h5py.File(path, "r") as file:
            group = _legacy_group(file)
            if group is None:
                raise ModelError(f"{path}: holds no layers in Keras' HDF5 layout; is it a weights file?")
            return _read_group(group)
    except OSError as err:
        raise ModelError(f"{path}: cannot be read as an HDF5 file: {_first_line(err)}") from err


def _legacy_group(file: h5py.File) -> h5py.Group | None:
    for group in (file, file.get("model_weights")):
        if isinstance(group, h5py.Group) and ("layer_names" in group.attrs or "layer_names0" in group.attrs):
            return group
    return None


def _read_group(group: h5py.Group) -> NamedWeights:
    """Collects arrays per layer, and per part of a nested model."""
    found: dict[str, list[np.ndarray]] = {}
    for layer_name in _texts(group, "layer_names"):
        layer = group[layer_name]
        parts: dict[str, list[np.ndarray]] = {}
        for weight_name in _texts(layer, "weight_names"):
            parts.setdefault(_owner(weight_name, layer_name), []).append(np.asarray(layer[weight_name]))
        if parts and layer_name not in parts:
            found.setdefault(layer_name, [array for arrays in parts.values() for array in arrays])
        for owner, arrays in parts.items():
            found.setdefault(owner, arrays)
    names = stable_names(found)
    return {names[name]: arrays for name, arrays in found.items()}


def _owner(weight_name: str, layer_name: str) -> str:
    """Returns the layer that a weight belongs to: `block/conv2d_1/kernel:0` → `conv2d_1`."""
    scope = weight_name.rpartition("/")[0]
    if not scope or scope == layer_name or scope.endswith("/" + layer_name):
        return layer_name
    return scope if scope.startswith(LEGACY_HEAD_PREFIX) else scope.rpartition("/")[2]


def _texts(group: h5py.Group, name: str) -> list[str]:
    """Returns a list of texts from the attributes of a group, where long lists are cut into `name0`, `name1` …"""
    if name in group.attrs:
        pieces = [group.attrs[name]]
    else:
        pieces = []
        while f"{name}{len(pieces)}" in group.attrs:
            pieces.append(group.attrs[f"{name}{len(pieces)}"])
    return [text.decode("utf-8") if isinstance(text, bytes) else str(text) for piece in pieces for text in piece]


def _first_line(err: BaseException) -> str:
    lines = [line.strip() for line in str(err).splitlines() if line.strip()]
    return (lines[0] if lines else type(err).__name__)[:300]
