"""HDF5 files of Keras 1 and 2: weights by layer name, and how the layers are joined where the file says so.

A layer that Keras named by itself (`conv2d_17`) has another number in every process. Such names are replaced
by the rank among their kind, in order of building, so that the same network always has the same names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from camtrap_tf.errors import ModelError
from camtrap_tf.models.layer_graph import LayerGraph, main_graph, nested_names, renamed

LEGACY_HEAD_PREFIX = "label/"
"""How head layers are called in camera-trap-classifier's files."""

NamedWeights = Mapping[str, list[np.ndarray]]
"""Stable layer name → its arrays, in the order of Keras."""

LARGEST_FILE_BYTES = 8 << 30
"""Of all arrays, unpacked; the largest network here has under 1 GiB."""
LARGEST_CONFIG_BYTES = 64 << 20

_COUNTED = re.compile(
    r"^(conv2d|depthwise_conv2d|separable_conv2d|batch_normalization|layer_normalization|normalization|dense)(?:_(\d+))?$"
)
_ORDER = ("kernel", "depthwise_kernel", "pointwise_kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance")
"""Names of a layer's arrays, in the order in which Keras takes them."""


@dataclass(frozen=True, slots=True)
class OldFile:
    """What an old file holds.

    Attributes:
        weights: by stable layer name.
        graph: how the layers are joined, by the same names; empty where the file holds weights alone.
    """

    weights: NamedWeights
    graph: LayerGraph = field(default_factory=dict)


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


def read_old_file(path: Path) -> OldFile:
    """Reads an HDF5 file of Keras 1 or 2, whole model or weights alone.

    Raises:
        ModelError: not such a file, damaged, or it points at other files.
    """
    try:
        with h5py.File(path, "r") as file:
            group = layers_group(file)
            if group is None:
                raise ModelError(f"{path}: holds no layers in Keras' HDF5 layout; is it a weights file?")
            network = _network(file)
            found = _read_layers(group, nested_names(network) if network else None, home=file.filename)
            names = stable_names(found)
            graph = renamed(main_graph(network, found.keys()), names)
    except (OSError, KeyError, TypeError, AttributeError, ValueError, RecursionError) as err:
        told = next(iter(str(err).strip().splitlines()), type(err).__name__)[:300]
        raise ModelError(f"{path}: cannot be read as an HDF5 file of Keras: {told}") from err
    return OldFile({names[name]: arrays for name, arrays in found.items()}, graph)


def layers_group(file: h5py.File) -> h5py.Group | None:
    """Returns the group that holds the layers; None where the file has another layout."""
    for group in (file, file.get("model_weights")):
        if isinstance(group, h5py.Group) and ("layer_names" in group.attrs or "layer_names0" in group.attrs):
            return group
    return None


def _network(file: h5py.File) -> Mapping[str, Any]:
    """Returns the description of the network; empty where there is none."""
    text = file.attrs.get("model_config")
    if text is None or len(text) > LARGEST_CONFIG_BYTES:
        return {}
    config = json.loads(text).get("config")
    return config if isinstance(config, Mapping) else {}


def _read_layers(group: h5py.Group, nested: Mapping[str, frozenset[str]] | None, *, home: str) -> dict[str, list[np.ndarray]]:
    """Collects arrays per layer, and per part of a nested model; they have to lie in the file `home`.

    The group of a layer says whose weights they are, not the names of the arrays: a model that was built beside
    another in one process has layer `conv2d` with `conv2d_1/kernel:0`.
    """
    found: dict[str, list[np.ndarray]] = {}
    parts: dict[str, list[np.ndarray]] = {}
    room = LARGEST_FILE_BYTES
    for name in _texts(group, "layer_names"):
        arrays = {one: _array(group[name], one, home=home) for one in _texts(group[name], "weight_names")}
        room -= sum(array.nbytes for array in arrays.values())
        if room < 0:
            raise ValueError(f"more than {LARGEST_FILE_BYTES >> 30} GiB of weights")
        if not arrays:
            continue
        owners = _owners(arrays, name, nested)
        if owners is None:
            found[name] = _ordered(arrays)
            continue
        for part, members in owners.items():
            if part in parts:
                raise ValueError(f"two of its layers are called {part}")
            parts[part] = _ordered({one: arrays[one] for one in members})
    twice = found.keys() & parts.keys()
    if twice:
        raise ValueError(f"two of its layers are called {min(twice)}")
    return found | parts


def _array(layer: h5py.Group, name: str, *, home: str) -> np.ndarray:
    data = layer[name]
    if data.file.filename != home or data.external or data.is_virtual:
        raise ValueError(f"{name} lies in another file")
    if data.nbytes > LARGEST_FILE_BYTES:
        raise ValueError(f"more than {LARGEST_FILE_BYTES >> 30} GiB of weights")
    return np.asarray(data)


def _owners(names: Collection[str], layer: str, nested: Mapping[str, frozenset[str]] | None) -> dict[str, list[str]] | None:
    """Returns layer inside a nested model → its weights; None where `layer` is no nested model.

    Args:
        names: of the arrays.
        layer: whose group they are in.
        nested: the nested models as the file describes them; None where it does not: names that repeat tell.
    """
    owners: dict[str, list[str]] = {}
    for name in names:
        scope = name.rpartition("/")[0]
        owners.setdefault(scope if scope.startswith(LEGACY_HEAD_PREFIX) else scope.rpartition("/")[2], []).append(name)
    if nested is not None and layer in nested:
        return _known(owners, layer, nested[layer])
    leaves = [_leaf(name) for name in names]
    if nested is not None or len(owners) < 2 or len(set(leaves)) == len(leaves):
        return None
    return owners


def _known(owners: Mapping[str, list[str]], layer: str, known: Collection[str]) -> dict[str, list[str]]:
    """Returns the owners under the names that the network gives its layers.

    Loaded into a process that has such a layer already, `conv2d_1` writes its weights as `conv2d_1_1/…`.
    """
    if owners.keys() <= set(known):
        return dict(owners)
    named = {re.sub(r"_\d+$", "", owner): members for owner, members in owners.items()}
    if len(named) == len(owners) and named.keys() <= set(known):
        return named
    raise ValueError(f"weights {min(owners.keys() - set(known))} of {layer} belong to none of its layers")


def _ordered(arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Returns a layer's arrays in the order of Keras, by their names where all are known."""
    leaves = [_leaf(name) for name in arrays]
    if len(set(leaves)) < len(leaves) or not set(leaves) <= set(_ORDER):
        return list(arrays.values())
    return [array for _, array in sorted(zip(leaves, arrays.values(), strict=True), key=lambda pair: _ORDER.index(pair[0]))]


def _leaf(name: str) -> str:
    """Returns what an array is: `block/conv2d_1/kernel:0` → `kernel`."""
    return name.rpartition("/")[2].partition(":")[0]


def _texts(group: h5py.Group, name: str) -> list[str]:
    """Returns a list of texts from the attributes of a group, where long lists are cut into `name0`, `name1` …"""
    if name in group.attrs:
        pieces = [group.attrs[name]]
    else:
        pieces = []
        while f"{name}{len(pieces)}" in group.attrs:
            pieces.append(group.attrs[f"{name}{len(pieces)}"])
    return [text.decode("utf-8") if isinstance(text, bytes) else str(text) for piece in pieces for text in piece]
