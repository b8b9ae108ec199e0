"""Confidences of detections: read from meta data, calibrated, and drawn by."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from camtrap_tf.config.dataset import DatasetConfig
from camtrap_tf.config.inventory import CsvInventoryConfig
from camtrap_tf.dataset.framing import frame
from camtrap_tf.dataset.schema import decode_example, decode_meta, encode_example
from camtrap_tf.dataset.writing import create_dataset
from camtrap_tf.errors import DatasetError, LabelError, SettingError
from camtrap_tf.input_pipeline.order import sampled_order
from camtrap_tf.input_pipeline.shard_set import ShardSet
from camtrap_tf.inventory.building import build_from_csv
from camtrap_tf.training.confidences import read_confidences
from camtrap_tf.training.imbalance import make_sampling, set_up_balance
from camtrap_tf.training.inputs import gather
from tests.factories import make_event, make_jpeg
from tests.unit.training.helpers import MAPPING, make_config

SPECIES = ("lion", "lion", "lion", "lion", "zebra", "zebra")
GOLDEN = ("1", "1", "0.5", "0.5", "1", "0.2")


def write_shards(folder: Path, confidences: tuple[str | None, ...] = GOLDEN) -> Path:
    """Writes a shard of each split; the meta data of training records have these confidences."""
    folder.mkdir()
    for split in ("train", "val"):
        with (folder / f"{split}_001-of-001.tfrecord").open("wb") as file:
            for number, (species, text) in enumerate(zip(SPECIES, confidences, strict=True)):
                meta = {} if text is None else {"detection_conf": text}
                event = make_event(f"{split}{number}", labels={"species": species}, place="été", **meta)
                file.write(frame(encode_example(event, [(0, make_jpeg(seed=number))], MAPPING, label_types=("species",))))
    MAPPING.write(folder / "label_mapping.json")
    return folder


def confidences_of(folder: Path, **options: Path) -> np.ndarray:
    """Returns the confidences of the training records."""
    return read_confidences(ShardSet.open([folder], ["train"]), "detection_conf", **options)


def test_meta_data_is_read_without_pictures() -> None:
    """What is read from the fields of the message is what decoding it whole gives; none where there is none."""
    for meta in ({}, {"detection_conf": "0.25", "x": "é"}):
        data = encode_example(make_event(**meta), [(0, make_jpeg())], MAPPING, label_types=("species",))
        assert decode_meta(memoryview(data)) == decode_example(data).meta_data == meta
    with pytest.raises(DatasetError):
        decode_meta(b"\x0a\xff")


def test_weights_of_the_worked_example(tmp_path: Path) -> None:
    """With classes made equal, weights are those worked out for confidences 1 1 .5 .5 and 1 .2; without, the confidences."""
    data = write_shards(tmp_path / "data")
    for more, expected in (({}, [1, 1, 0.5, 0.5, 1, 0.2]), ({"label_weighted": True}, [0.70, 0.70, 0.35, 0.35, 1.75, 0.35])):
        config = make_config(data, tmp_path, labels=["species"], test_tfr_path=[], weight_by_detection_conf=True, **more)
        inputs = gather(config)
        assert not inputs.problems
        sampling = set_up_balance(config, inputs)[0]
        np.testing.assert_allclose(sampling.weights, expected)


def test_draws_follow_the_weights(tmp_path: Path) -> None:
    """Over many epochs records come in proportion to their confidence."""
    config = make_config(tmp_path, tmp_path, weight_by_detection_conf=True)
    sampling = make_sampling(config, "species", np.zeros(6, int), np.array([float(text) for text in GOLDEN]))
    drawn = np.concatenate(
        [sampled_order(sampling, np.arange(6), block_sizes=[6], seed=1, epoch=epoch) for epoch in range(2000)]
    )
    shares = np.bincount(drawn, minlength=6) / len(drawn)
    np.testing.assert_allclose(shares, np.array([1, 1, 0.5, 0.5, 1, 0.2]) / 4.2, atol=0.01)


def test_calibration(tmp_path: Path) -> None:
    """Confidences go through the curve: straight lines between its points, level beyond its ends."""
    np.savez(tmp_path / "curve.npz", x=[0.25, 0.75], y=[0.1, 0.6])
    found = confidences_of(write_shards(tmp_path / "data"), calibration=tmp_path / "curve.npz")
    np.testing.assert_allclose(found, [0.6, 0.6, 0.35, 0.35, 0.6, 0.1])


@pytest.mark.parametrize(
    "arrays", [None, {"x": [0, 1]}, {"x": [1, 0], "y": [0, 1]}, {"x": [0, 1], "y": [0, 2]}, {"x": [0], "y": [0]}]
)
def test_bad_calibration(tmp_path: Path, arrays: dict | None) -> None:
    """A file that is none, or holds no curve, is refused by its flag."""
    path = tmp_path / "curve.npz"
    path.write_bytes(b"nothing") if arrays is None else np.savez(path, **arrays)
    with pytest.raises(SettingError, match=r"--detection-conf-calibration .*curve\.npz: "):
        confidences_of(write_shards(tmp_path / "data"), calibration=path)


@pytest.mark.parametrize(
    ("confidences", "message"),
    [
        ((None,) * 6, "6 of 6 training records have no 'detection_conf' .* there are place"),
        (("1", None, "0", None, "1", "1"), r"2 of 6 .*the first is record 1\b"),
        (("1", "1", "high", "1", "1", "1"), "record 2 .* 'high', which is no number from 0 to 1"),
        (("1", "1.5", "1", "1", "1", "1"), "'1.5'"),
        (("1", "nan", "1", "1", "1", "1"), "'nan'"),
        (("0",) * 6, "every training record is 0"),
    ],
)
def test_bad_confidences(tmp_path: Path, confidences: tuple[str | None, ...], message: str) -> None:
    """Absent, unreadable and useless confidences stop a training before it begins, and a plan says so."""
    data = write_shards(tmp_path / "data", confidences)
    config = make_config(data, tmp_path, labels=["species"], test_tfr_path=[], weight_by_detection_conf=True)
    (problem,) = gather(config).problems
    with pytest.raises(DatasetError, match=message):
        raise problem


def test_a_class_of_no_confidence_cannot_be_made_equal(tmp_path: Path) -> None:
    """Where all records of a class have the confidence 0, its weights would not be numbers."""
    config = make_config(tmp_path, tmp_path, weight_by_detection_conf=True, label_weighted=True)
    with pytest.raises(LabelError, match="confidence 0"):
        make_sampling(config, "species", np.array([0, 0, 1]), np.array([0.5, 0.5, 0]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"detection_conf_field": "conf"}, "--detection-conf-field goes with --weight-by-detection-conf"),
        ({"weight_by_detection_conf": True, "sampling": "balanced"}, "exclude each other"),
        ({"weight_by_detection_conf": True, "sampling_label": "species"}, "--sampling-label goes with"),
    ],
)
def test_bad_settings(tmp_path: Path, changes: dict, message: str) -> None:
    """What does not go together is refused."""
    with pytest.raises(ValueError, match=message):
        make_config(tmp_path, tmp_path, **changes)


def test_confidence_travels_from_the_table_to_the_shards(tmp_path: Path) -> None:
    """A column of the CSV becomes meta data of the inventory, of the shards, and the confidences of training."""
    for number in range(8):
        (tmp_path / f"{number}.jpg").write_bytes(make_jpeg(seed=number))
    with (tmp_path / "table.csv").open("w", newline="") as file:
        rows = [[str(n), f"{n}.jpg", "lion" if n % 2 else "zebra", f"0.{n + 1}"] for n in range(8)]
        csv.writer(file).writerows([["id", "file", "species", "detection_conf"], *rows])
    build_from_csv(
        CsvInventoryConfig(
            path=tmp_path / "table.csv", export_path=tmp_path / "i.json", capture_id_field="id", image_fields=("file",),
            label_fields=("species",), meta_data_fields=("detection_conf",),
        )
    )  # fmt: skip
    create_dataset(
        DatasetConfig(
            inventory=tmp_path / "i.json", output_dir=tmp_path / "out", image_root_path=tmp_path, split_names=("train",),
            split_percent=(1.0,), workers=1,
        )
    )  # fmt: skip
    found = confidences_of(tmp_path / "out")
    np.testing.assert_allclose(np.sort(found), np.arange(1, 9) / 10)
