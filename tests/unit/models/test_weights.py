"""Weights by layer name, from files of every generation."""

from pathlib import Path

import keras
import numpy as np
import pytest

from camtrap_tf.errors import ModelError
from camtrap_tf.models.backbones import build_backbone
from camtrap_tf.models.weights import fit, stable_names, weighted_layers, weights_of
from tests.shared_data import shared
from tests.unit.models.helpers import write_keras2_file


def test_counted_names_become_ranks() -> None:
    """Names that Keras counted are replaced by their rank in order of building, numerically."""
    names = stable_names(["conv2d_10", "conv2d_9", "conv2d", "stem", "dense_4", "label/a b", "x/expand"])
    assert names == {
        "conv2d": "conv2d#0", "conv2d_9": "conv2d#1", "conv2d_10": "conv2d#2", "stem": "stem", "dense_4": "dense#0",
        "label/a b": "label/a b", "x/expand": "x_expand",
    }  # fmt: skip


def test_same_network_twice_has_same_names() -> None:
    """A network with automatic names fits its twin built later in the same process."""
    one, other = (keras.applications.Xception(include_top=False, weights=None, input_shape=(71, 71, 3)) for _ in range(2))
    filled, misfits = fit(weighted_layers(other), weights_of(one))
    assert not misfits
    assert len(filled) == len(weights_of(one))
    np.testing.assert_array_equal(other.get_weights()[7], one.get_weights()[7])


def test_misfits_say_why() -> None:
    """Layers of another shape, and layers that are not there, are listed with the reason and left alone."""
    backbone = build_backbone("small_cnn", height=22, width=22)
    source = dict(weights_of(backbone))
    source["dense#0"] = [np.zeros((3, 64), np.float32), np.zeros(64, np.float32)]
    del source["conv2d#1"]
    filled, misfits = fit(weighted_layers(backbone), source)
    assert filled == ["conv2d#0", "conv2d#2"]
    assert [(misfit.layer, misfit.reason.split(" do")[0]) for misfit in misfits] == [
        ("conv2d_1", "not in the file"), ("dense_0", "shapes 3×64 64"),
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".weights.h5"])
def test_every_kind_of_file(tmp_path: Path, suffix: str) -> None:
    """A network's weights come back from each kind of file that Keras writes."""
    keras.utils.set_random_seed(3)
    given = build_backbone("small_cnn", height=22, width=22)
    path = tmp_path / f"w{suffix}"
    (given.save_weights if suffix == ".weights.h5" else given.save)(path)
    got = build_backbone("small_cnn", height=22, width=22, weights=str(path))
    for one, other in zip(given.get_weights(), got.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".weights.h5"])
def test_weights_of_another_size_are_refused(tmp_path: Path, suffix: str) -> None:
    """Weights whose shapes differ are an error, whatever the kind of file."""
    given = build_backbone("small_cnn", height=30, width=30)
    path = tmp_path / f"w{suffix}"
    (given.save_weights if suffix == ".weights.h5" else given.save)(path)
    with pytest.raises(ModelError, match="does not fit small_cnn"):
        build_backbone("small_cnn", height=22, width=22, weights=str(path))


def test_nested_network_in_an_old_file(tmp_path: Path) -> None:
    """A network that an old file keeps as one layer is opened; other layers are left out."""
    given = build_backbone("small_cnn", height=22, width=22)
    parts = [
        (f"{layer.name}/{kind}:0", array)
        for layer in given.layers
        for kind, array in zip(("kernel", "bias"), layer.get_weights(), strict=False)
    ]
    write_keras2_file(tmp_path / "w.hdf5", {"trunk": parts, "label/species": [("label/species/kernel:0", np.zeros((64, 3)))]})
    got = build_backbone("small_cnn", height=22, width=22, weights=str(tmp_path / "w.hdf5"))
    np.testing.assert_array_equal(got.get_weights()[2], given.get_weights()[2])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("w.h5", None, "no such file"),
        ("w.h5", b"junk", "HDF5"),
        ("w.keras", b"junk", "cannot be read"),
        ("w.txt", b"", "ends with"),
    ],
)
def test_unusable_files(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    """Absent and damaged files are one line."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=message):
        build_backbone("small_cnn", height=22, width=22, weights=str(tmp_path / name))


def test_real_weights_at_another_size() -> None:
    """ImageNet's MobileNetV2 loads at any size and equals keras.applications with the same file."""
    path = shared("weights/mobilenet_v2_1.0_224_no_top.h5")
    ours = build_backbone("MobileNetV2", height=96, width=64, weights=str(path))
    theirs = keras.applications.MobileNetV2(include_top=False, weights=str(path), input_shape=(96, 64, 3), pooling="avg")
    pictures = np.random.default_rng(0).uniform(-1, 1, (2, 96, 64, 3)).astype(np.float32)
    np.testing.assert_allclose(ours(pictures), theirs(pictures), atol=1e-5)
