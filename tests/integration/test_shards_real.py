"""Shards of real, awkward pictures, read by TensorFlow as camera-trap-classifier reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

from camtrap_tf.config.dataset import DatasetConfig, DatasetInspectConfig
from camtrap_tf.dataset.inspection import inspect_dataset
from camtrap_tf.dataset.summary import WrittenDataset
from camtrap_tf.dataset.writing import create_dataset
from camtrap_tf.inventory.table import Inventory
from tests.factories import make_event
from tests.shared_data import SHARED, shared

AWKWARD = ("data/speciesnet_awkward", "data/image_edge_cases")
REJECTED = {"african_elephants_truncated_file": "truncated", "3437265929": "truncated", "error_img": "empty_file"}


def build(output: Path, **options: object) -> WrittenDataset:
    """One record per awkward picture, the path as id."""
    paths = [path for folder in AWKWARD for path in sorted(shared(folder).iterdir()) if path.suffix.lower() == ".jpg"]
    events = [make_event(path.stem, pictures=(str(path.relative_to(SHARED)),), labels={"species": path.stem}) for path in paths]
    Inventory.from_records(events).write(output.with_suffix(".json"))
    result = create_dataset(
        DatasetConfig.model_validate(
            {
                "inventory": output.with_suffix(".json"),
                "output_dir": output,
                "image_root_path": SHARED,
                "split_names": ("train",),
                "split_percent": (1.0,),
                "max_rejected_share": 0.5,
                "workers": 1,
                **options,
            }
        )
    )
    assert isinstance(result, WrittenDataset)
    return result


def read_with_tensorflow(folder: Path) -> dict[str, tuple[int, ...]]:
    """Id → shape of the first picture, by TensorFlow's parser and decoder."""
    shapes = {}
    for data in tf.data.TFRecordDataset([str(path) for path in sorted(folder.glob("*.tfrecord"))]):
        context, lists = tf.io.parse_single_sequence_example(
            data,
            context_features={"id": tf.io.FixedLenFeature([], tf.string)},
            sequence_features={
                "images": tf.io.FixedLenSequenceFeature([], tf.string),
                "label/species": tf.io.FixedLenSequenceFeature([], tf.string),
            },
        )
        assert lists["label/species"][0] == context["id"]
        shapes[context["id"].numpy().decode()] = tuple(tf.io.decode_jpeg(lists["images"][0]).shape)
    return shapes


@pytest.mark.parametrize("truncated", ["reject", "recover"])
def test_awkward_pictures(tmp_path: Path, truncated: str) -> None:
    """Grey, CMYK, rotated and misnamed pictures are RGB of at most 300 px; the others are rejected with their reason."""
    result = build(tmp_path / "out", image_save_side_max=300, truncated=truncated)
    shapes = read_with_tensorflow(tmp_path / "out")
    for name, shape in shapes.items():
        assert shape[2] == 3, name
        assert max(shape[:2]) <= 300, name
    assert shapes["african_elephants_with_exif_orientation"] == shapes["african_elephants"] == (225, 300, 3)
    expected = {name: why for name, why in REJECTED.items() if truncated == "reject" or why != "truncated"}
    assert not set(expected) & set(shapes)
    counts = {why: list(expected.values()).count(why) for why in expected.values()}
    assert result.manifest.pictures.rejected == counts
    assert result.manifest.records.rejected == {"no_picture": len(expected)}
    assert inspect_dataset(DatasetInspectConfig(path=tmp_path / "out", verify=True)).exit_code == 0
