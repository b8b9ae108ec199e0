"""Bundles: written whole, read from many places, checked."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from camtrap_tf.errors import ModelError
from camtrap_tf.labels import LabelMapping
from camtrap_tf.models.bundle import Bundle
from camtrap_tf.models.weights import weights_of
from tests.unit.models.helpers import MAPPING, pictures, preprocessing, small_bundle, write_keras2_file


def write_keras2(path: Path, bundle: Bundle) -> None:
    """Writes the weights of a small bundle as camera-trap-classifier did, layers counted from 3."""
    heads = {
        layer: f"label/{label}" for label, layer in (("species", "label__species"), ("is/there: été", "label__is_there_ete"))
    }
    layers = {}
    for stable, arrays in weights_of(bundle.model).items():
        kind, _, number = stable.partition("#")
        name = heads.get(stable, f"{kind}_{int(number or 0) + 3}")
        layers[name] = [(f"{name}/{part}:0", array) for part, array in zip(("kernel", "bias"), arrays, strict=True)]
    write_keras2_file(path, layers)


def test_round_trip(tmp_path: Path) -> None:
    """A bundle read back answers the same, knows its labels and keeps their order."""
    bundle = small_bundle()
    bundle.write(tmp_path / "b")
    back = Bundle.read(tmp_path / "b")
    assert back.labels == ("species", "is/there: été")
    assert back.mapping == MAPPING
    assert back.preprocessing == bundle.preprocessing
    for label, expected in bundle.probabilities(pictures()).items():
        np.testing.assert_allclose(back.probabilities(pictures())[label], expected, atol=1e-6)
        np.testing.assert_allclose(expected.sum(axis=1), 1, atol=1e-5)
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == [
        "bundle.json", "image_processing.json", "label_mappings.json", "model.keras",
    ]  # fmt: skip


def test_labels_beyond_the_model_are_left_out(tmp_path: Path) -> None:
    """A mapping may know more label types than the model answers."""
    bundle = small_bundle()
    bundle.mapping = LabelMapping({**MAPPING.classes, "count": {"1": 0, "2": 1}})
    bundle.write(tmp_path)
    assert Bundle.read(tmp_path).mapping == MAPPING
    assert "count" in json.loads((tmp_path / "label_mappings.json").read_text())


@pytest.mark.parametrize(
    "name", ["best_model.hdf5", "model_best.hdf5", "prediction_model.hdf5", "model_epoch_10_loss_4.41.hdf5"]
)
def test_old_names_mean_the_bundle(tmp_path: Path, name: str) -> None:
    """A path with an old file name that does not exist is resolved to the bundle in its folder, and says so."""
    small_bundle().write(tmp_path)
    place = Bundle.read(tmp_path / name).place
    assert place is not None
    assert place.file == tmp_path / "model.keras"
    assert name in str(place.note)


def test_real_old_file_wins(tmp_path: Path) -> None:
    """An old file that does exist gives its weights by layer name, whatever bundle stands beside it."""
    small_bundle(seed=1).write(tmp_path)
    other = small_bundle(seed=2)
    write_keras2(tmp_path / "best_model.hdf5", other)
    got = Bundle.read(tmp_path / "best_model.hdf5").probabilities(pictures())
    wanted = other.probabilities(pictures())
    assert got.keys() == wanted.keys() == set(MAPPING.label_types)
    for label, expected in wanted.items():
        np.testing.assert_allclose(got[label], expected, atol=1e-4)


def test_folder_of_old_files_gives_highest_epoch(tmp_path: Path) -> None:
    """In a folder without a bundle the highest epoch counts, not the newest file."""
    write_keras2(tmp_path / "model_epoch_11_loss_1.00.hdf5", small_bundle(seed=4))
    write_keras2(tmp_path / "model_epoch_02_loss_0.50.hdf5", small_bundle(seed=5))
    MAPPING.write(tmp_path / "label_mapping.json")
    preprocessing().write(tmp_path / "image_processing.json")
    place = Bundle.read(tmp_path).place
    assert place is not None
    assert (place.file.name, place.epoch) == ("model_epoch_11_loss_1.00.hdf5", 11)


def test_mapping_of_other_size_is_refused(tmp_path: Path) -> None:
    """A mapping with another number of classes is an error that names the label."""
    small_bundle().write(tmp_path / "b")
    LabelMapping({**MAPPING.classes, "species": {"cat": 0, "dog": 1}}).write(tmp_path / "m.json")
    with pytest.raises(ModelError, match="3 classes for label 'species', the label mapping 2"):
        Bundle.read(tmp_path / "b", class_mapping_json=tmp_path / "m.json")


def test_preprocessing_of_other_size_is_refused(tmp_path: Path) -> None:
    """Image processing that makes pictures of another size is an error."""
    small_bundle().write(tmp_path / "b")
    preprocessing(30).write(tmp_path / "p.json")
    with pytest.raises(ModelError, match="22 × 22"):
        Bundle.read(tmp_path / "b", pre_processing_json=tmp_path / "p.json")


def test_code_in_a_model_is_refused(tmp_path: Path) -> None:
    """A foreign model with a Lambda layer is not run."""
    small_bundle().write(tmp_path)
    images = keras.Input((22, 22, 3))
    keras.Model(images, keras.layers.Lambda(lambda x: x * 2)(images)).save(tmp_path / "foreign.keras")
    with pytest.raises(ModelError, match="refused"):
        Bundle.read(tmp_path / "foreign.keras")


def test_changed_model_file_is_noticed(tmp_path: Path) -> None:
    """A model file that is not the one described is an error."""
    small_bundle(seed=1).write(tmp_path)
    small_bundle(seed=2).model.save(tmp_path / "model.keras")
    with pytest.raises(ModelError, match="not the file"):
        Bundle.read(tmp_path)


@pytest.mark.parametrize("name", ["", "best_model.hdf5", "x.keras"])
def test_nothing_there(tmp_path: Path, name: str) -> None:
    """Where there is no model, one line says so."""
    with pytest.raises(ModelError, match="no "):
        Bundle.read(tmp_path / name)
