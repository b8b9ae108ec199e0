"""Weights by layer name: read from a model or from a file of any Keras generation, and put where they fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import keras

from camtrap_tf.errors import ModelError
from camtrap_tf.files import path_hint
from camtrap_tf.models.layer_graph import LayerGraph, differences, main_graph, renamed
from camtrap_tf.models.old_files import NamedWeights, OldFile, layers_group, read_old_file, stable_names


def weighted_layers(model: keras.Model) -> dict[str, keras.layers.Layer]:
    """Returns stable name → layer for every layer with weights, nested models opened."""
    found: list[keras.layers.Layer] = []

    def collect(container: keras.Model) -> None:
        """Adds the layers with weights of a model."""
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


def fit(
    layers: Mapping[str, keras.layers.Layer], source: NamedWeights, *, other: Mapping[str, str] | None = None
) -> tuple[list[str], list[Misfit]]:
    """Copies weights into the layers of the same name where all shapes agree.

    Args:
        layers: to fill, by stable name.
        source: weights by stable name.
        other: layers that are not to be filled although the name is the same → why; see `unlike`.

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
        if other and name in other:
            misfits.append(Misfit(layer.name, other[name]))
            continue
        layer.set_weights(source[name])
        filled.append(name)
    return filled, misfits


def unlike(model: keras.Model, graph: LayerGraph) -> dict[str, str]:
    """Compares a network with the one that an old file describes.

    Weights of one shape can stand under each other's names without a shape that tells it; what comes before a layer does.

    Args:
        model: the network to fill.
        graph: of the file, by stable names; nothing is compared where it is empty.

    Returns:
        Stable name → what is not the same, of layers with weights in both.
    """
    if not graph:
        return {}
    layers = weighted_layers(model)
    names = {layer.name: name for name, layer in layers.items()}
    return differences(graph, renamed(main_graph(model.get_config(), names.keys()), names), layers)


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
    file = read_file(path)
    misfits = fit(layers, file.weights, other=unlike(backbone, file.graph))[1]
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
        return layers_group(file) is None and ("layers" in file or "_layer_checkpoint_dependencies" in file)


def read_file(path: Path) -> OldFile:
    """Returns the weights in a `.keras` file or an HDF5 file of the older layout, by stable layer name.

    Raises:
        ModelError: absent, unreadable, of another layout, or with code inside.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such weights file{path_hint(path)}")
    if path.suffix == ".keras":
        return OldFile(weights_of(load_keras_file(path)))
    return read_old_file(path)


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


def _first_line(err: BaseException) -> str:
    lines = [line.strip() for line in str(err).splitlines() if line.strip()]
    return (lines[0] if lines else type(err).__name__)[:300]
