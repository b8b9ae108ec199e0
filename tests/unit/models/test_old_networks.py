"""Files of camera-trap-classifier, written with h5py alone: each network gives the answers that it gave there."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from camtrap_tf.config.training import ModelConfig
from camtrap_tf.errors import LabelError, ModelError
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.models.backbones import build_backbone
from camtrap_tf.models.bundle import Bundle
from camtrap_tf.models.classifier import build_classifier
from camtrap_tf.training.copying import copy_weights
from camtrap_tf.training.source import read_source
from tests.unit.models.helpers import MAPPING, pictures, preprocessing
from tests.unit.models.old_networks import OldNetwork, put_together, write_old_file

CLASSES = {label: len(MAPPING.names(label)) for label in MAPPING.label_types}
SIDES = {"small_cnn": 30, "Xception": 71, "InceptionResNetV2": 75}


def scaled(side: int) -> np.ndarray:
    """Returns the test picture as the old network saw it."""
    of: Preprocessing = preprocessing(side)
    return ((pictures(1, side) / 255 - of.image_means) / of.image_stdevs).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder whose files, which may be large, do not stay."""
    yield tmp_path
    for path in tmp_path.glob("*.hdf5"):
        path.unlink()


def save(folder: Path, name: str, *, first: int = 0, exchange: tuple[str, ...] = (), **options: Any) -> OldNetwork:
    """Writes a network of that name with its JSON files as camera-trap-classifier left them."""
    side = SIDES.get(name, 64)
    network = put_together(name, scaled(side), CLASSES, first=first)
    if exchange:
        network.exchange(*exchange)
    write_old_file(network, folder / "best_model.hdf5", **options)
    MAPPING.write(folder / "label_mappings.json")
    preprocessing(side).write(folder / "image_processing.json")
    return network


def check(folder: Path, network: OldNetwork) -> None:
    """Reads the file and compares logits with what the network gave."""
    bundle = Bundle.read(folder / "best_model.hdf5")
    logits = bundle.model(pictures(1, network.picture.shape[1]), training=False)
    for label, expected in network.answers.items():
        assert np.ptp(expected) > 0.05
        np.testing.assert_allclose(logits[label], expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("small_cnn", 0), ("ResNet18", 0), ("ResNet50", 93), ("Xception", 1), ("InceptionResNetV2", 0),
        *(pytest.param(name, 1, marks=pytest.mark.large) for name in ("ResNet34", "ResNet101", "ResNet152")),
    ],
)  # fmt: skip
def test_old_network_answers_as_it_did(folder: Path, name: str, first: int) -> None:
    """Whatever number its layers begin with, a network read from its file gives the logits of plain operations."""
    check(folder, save(folder, name, first=first))


@pytest.mark.parametrize("description", [True, False])
@pytest.mark.parametrize("scope", ["{}", "{}_1"])
@pytest.mark.parametrize("nested", [False, True])
def test_layouts_of_one_network(folder: Path, description: bool, scope: str, nested: bool) -> None:
    """A network is read alike with and without its description, from a copy for two GPUs, and with weights called otherwise."""
    network = save(folder, "small_cnn", description=description, scope=scope, nested=nested)
    if nested and scope != "{}" and not description:  # nothing says which layer of the inner network is meant
        with pytest.raises(LabelError, match="no label type 'species_1'"):
            Bundle.read(folder / "best_model.hdf5")
        return
    check(folder, network)


def test_layers_of_one_shape_under_each_others_names(folder: Path) -> None:
    """Two layers of one shape that change places are an error that names one of them."""
    save(folder, "ResNet18", exchange=("conv2d_2", "conv2d_3"))
    with pytest.raises(ModelError, match=r"looks like ResNet18.* comes after .* in the file, here after"):
        Bundle.read(folder / "best_model.hdf5")


def test_model_to_load_lists_what_does_not_fit(folder: Path) -> None:
    """`--model-to-load` fills the layers that agree and lists the others with the reason."""
    network = save(folder, "ResNet18", exchange=("conv2d_2", "conv2d_3"))
    source = read_source(folder)
    model = build_classifier(ModelConfig(model="ResNet18"), MAPPING, preprocessing(64))
    report = copy_weights(model, MAPPING, source)
    assert source.backbone == "ResNet18"
    assert {"conv2d_2", "conv2d_3"} <= {misfit.layer for misfit in report.misfits}
    assert all("comes after" in misfit.reason for misfit in report.misfits)
    assert report.layers == 20 + 17 - len(report.misfits)
    kernel = model.get_layer("backbone").get_layer("conv2d_1").get_weights()[0]
    np.testing.assert_array_equal(kernel, network.weights["conv2d_1"][0][1])
    assert all(head.same for head in report.heads)


def test_backbone_alone_from_an_old_file(folder: Path) -> None:
    """`--weights` takes an old file for its network, heads left out, and compares the networks."""
    network = save(folder, "small_cnn")
    backbone = build_backbone("small_cnn", height=30, width=30, weights=str(folder / "best_model.hdf5"))
    np.testing.assert_array_equal(backbone.get_layer("dense_0").get_weights()[0], network.weights["dense"][0][1])
    change(folder / "best_model.hdf5", "strides", [2, 2])
    with pytest.raises(ModelError, match="does not fit small_cnn: 1 of 4 layers"):
        build_backbone("small_cnn", height=30, width=30, weights=str(folder / "best_model.hdf5"))


def change(path: Path, name: str, value: Any) -> None:
    """Sets a setting of layer `conv2d_1` in a file's description."""
    with h5py.File(path, "r+") as file:
        told = json.loads(file.attrs["model_config"])
        next(layer for layer in told["config"]["layers"] if layer["name"] == "conv2d_1")["config"][name] = value
        file.attrs["model_config"] = json.dumps(told).encode()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("strides", [2, 2], r"conv2d_1: has strides \(2, 2\) in the file, here \(1, 1\)"),
        ("padding", "same", "has padding same in the file, here valid"),
        ("activation", "tanh", "has activation tanh in the file, here relu"),
    ],
)
def test_network_that_works_otherwise(folder: Path, name: str, value: Any, message: str) -> None:
    """A network with the same shapes but other strides, padding or activation is refused."""
    save(folder, "small_cnn")
    change(folder / "best_model.hdf5", name, value)
    with pytest.raises(ModelError, match=message):
        Bundle.read(folder / "best_model.hdf5")


def test_arrays_of_a_layer_go_by_their_names(folder: Path) -> None:
    """Arrays of one shape in another order in the file find their places."""
    network = save(folder, "ResNet18")
    with h5py.File(folder / "best_model.hdf5", "r+") as file:
        for name in (name for name in network.weights if name.startswith("batch_normalization")):
            attributes = file[f"model_weights/{name}"].attrs
            attributes["weight_names"] = attributes["weight_names"][::-1]
    check(folder, network)


def spoil(file: h5py.File, how: str) -> None:
    """Damages a file of small_cnn."""
    group = file["model_weights"]
    if how == "absent":
        del group["conv2d/conv2d/kernel:0"]
    elif how in ("conv2d/conv2d/kernel:0", "conv2d"):
        with h5py.File(f"{file.filename}.other", "w") as other:
            group.copy(how, other, "x")
            other["x"].attrs.update(group[how].attrs)
        del group[how]
        group[how] = h5py.ExternalLink(f"{file.filename}.other", "x")
    elif how == "description":
        file.attrs["model_config"] = b"{"
    elif how == "deep":
        file.attrs["model_config"] = b'{"config":' * 100_000 + b"1" + b"}" * 100_000
    elif how == "network":
        group.attrs["layer_names"] = group.attrs["layer_names"][group.attrs["layer_names"] != b"conv2d"]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("absent", "cannot be read"), ("conv2d/conv2d/kernel:0", "lies in another file"), ("conv2d", "lies in another file"),
        ("description", "cannot be read"), ("deep", "cannot be read"), ("network", "its network is not one of .*ResNet152"),
    ],
)  # fmt: skip
def test_damaged_files(folder: Path, how: str, message: str) -> None:
    """Files that are damaged, point elsewhere or hold another network are one line."""
    save(folder, "small_cnn")
    with h5py.File(folder / "best_model.hdf5", "r+") as file:
        spoil(file, how)
    with pytest.raises(ModelError, match=message) as caught:
        Bundle.read(folder / "best_model.hdf5")
    assert "\n" not in str(caught.value)
