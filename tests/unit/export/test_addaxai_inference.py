"""The file that AddaxAI runs: its crops are those of training, its answers come in the order of the classes."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from camtrap_tf.config.names import CropStrategy
from camtrap_tf.errors import PictureError
from camtrap_tf.export.addaxai_inference import FACTS, ModelInference
from camtrap_tf.images.crop import CropGeometry, cut_box


def plugin(folder: Path, **facts: object) -> ModelInference:
    """Returns the interface of a plug-in folder without a model."""
    (folder / FACTS).write_text(json.dumps({"classes": ["fox", "owl"], "crop_strategy": "square", **facts}))
    return ModelInference(folder, folder / "saved_model.pb")


@pytest.mark.parametrize("strategy", ["square", "pad", "tight"])
def test_crops_are_those_of_training(tmp_path: Path, strategy: CropStrategy) -> None:
    """Whatever the box, the crop is pixel for pixel what `camtrap crop` cuts; where that finds nothing, there is none."""
    rng = np.random.default_rng(5)
    picture = Image.fromarray(rng.integers(0, 256, (60, 100, 3), np.uint8))
    interface = plugin(tmp_path, crop_strategy=strategy)
    for _ in range(300):
        x, y = rng.uniform(-0.1, 1.05, 2)
        width, height = rng.uniform(0.0, 1.0, 2) ** 3
        crop = interface.get_crop(picture, (x, y, width, height))
        try:
            wanted = cut_box(np.asarray(picture), (x * 100, y * 60, width * 100, height * 60), CropGeometry(strategy))
        except PictureError:
            assert crop is None
        else:
            assert crop is not None
            assert np.array_equal(np.asarray(crop), wanted)


def test_class_names_count_from_one(tmp_path: Path) -> None:
    """AddaxAI numbers classes from 1, as texts."""
    assert plugin(tmp_path).get_class_names() == {"1": "fox", "2": "owl"}


def test_what_the_graph_gets_is_the_crop(tmp_path: Path) -> None:
    """The bytes of a crop hold its pixels unchanged, and stack to an array of one entry each."""
    crop = Image.fromarray(np.random.default_rng(1).integers(0, 256, (7, 9, 3), np.uint8))
    interface = plugin(tmp_path)
    batch = np.stack([interface.get_tensor(crop)] * 2)
    assert batch.shape == (2,)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(batch[1]))), np.asarray(crop))
