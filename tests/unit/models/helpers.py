"""A tiny classifier and a writer of old weights files, for tests of this room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import keras
import numpy as np

from camtrap_tf.config.training import ModelConfig
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.labels import LabelMapping
from camtrap_tf.models.bundle import Bundle
from camtrap_tf.models.classifier import build_classifier

MAPPING = LabelMapping({"species": {"cat": 0, "dog": 1, "fox": 2}, "is/there: été": {"no": 0, "yes": 1}})


def preprocessing(side: int = 22) -> Preprocessing:
    """Returns plain preprocessing of that input size."""
    return Preprocessing(output_height=side, output_width=side, image_means=(0.4, 0.5, 0.6), image_stdevs=(0.2, 0.25, 0.3))


def small_bundle(mapping: LabelMapping = MAPPING, *, seed: int = 1) -> Bundle:
    """Returns an untrained bundle of the small network."""
    keras.utils.set_random_seed(seed)
    processing = preprocessing()
    return Bundle(build_classifier(ModelConfig(model="small_cnn"), mapping, processing), mapping, processing)


def pictures(count: int = 4, side: int = 22) -> np.ndarray:
    """Returns noise in 0 … 255."""
    return np.random.default_rng(0).uniform(0, 255, (count, side, side, 3)).astype(np.float32)


def write_keras2_file(path: Path, layers: Mapping[str, Sequence[tuple[str, np.ndarray]]]) -> None:
    """Writes an HDF5 file as Keras 2 laid out whole models.

    Args:
        path: the file.
        layers: layer name → weights, each a name (`conv2d_1/kernel:0`) and an array.
    """
    with h5py.File(path, "w") as file:
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [name.encode() for name in layers]
        for name, weights in layers.items():
            layer = group.create_group(name)
            layer.attrs["weight_names"] = [weight_name.encode() for weight_name, _ in weights]
            for weight_name, array in weights:
                layer.create_dataset(weight_name, data=array)
