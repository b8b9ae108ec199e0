"""YAML files and checks of settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.cli.flags import flags_of
from camtrap_tf.cli.settings import make_config, read_yaml
from camtrap_tf.config.dataset import DatasetConfig
from camtrap_tf.config.sample import SampleConfig
from camtrap_tf.config.training import TrainConfig
from camtrap_tf.errors import SettingError

DATASET = {"inventory": "i.json", "output_dir": "o"}
TRAIN = {
    "train_tfr_path": ["t"],
    "val_tfr_path": ["v"],
    "run_outputs_dir": "r",
    "model_save_dir": "s",
    "model": "ResNet18",
    "labels": ["a"],
}


def from_yaml(tmp_path: Path, text: str) -> dict[str, Any]:
    """Returns what a YAML text says about a dataset."""
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return read_yaml(path, flags_of(DatasetConfig))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("output_dir: out", {"output_dir": "out"}),
        ("output-dir: out", {"output_dir": "out"}),
        ("split_names: [a, b]", {"split_names": ["a", "b"]}),
        ("split_names:\n- a\n- b", {"split_names": ["a", "b"]}),
        ("split_names: a", {"split_names": ["a"]}),
        ("remove_label_value: [no, 011, 1e3, null]", {"remove_label_value": ["no", "011", "1e3", "null"]}),
        ("overwrite: yes\nbalanced_sampling_min: false", {"overwrite": True, "balanced_sampling_min": False}),
        ("workers: null\nsplit_by_meta:", {"workers": None, "split_by_meta": None}),
        ("max_records_per_file: 10", {"max_records_per_file": "10"}),
        ("", {}),
        ("# nothing but a comment\n", {}),
    ],
)
def test_yaml_values(tmp_path: Path, text: str, expected: dict[str, Any]) -> None:
    """Scalars come as they are written, switches as truth values, lists as lists."""
    assert from_yaml(tmp_path, text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("outputdir: x", "line 1: no setting 'outputdir'; did you mean 'output_dir'?"),
        ("seed: 1\n\nseed: 2", "line 3: 'seed' is given twice"),
        ("output-dir: 1\noutput_dir: 2", "line 2: 'output_dir' is given twice"),
        ("split_names: [[a]]", "nested"),
        ("output_dir: {a: b}", "takes one value"),
        ("output_dir: [a]", "takes one value"),
        ("overwrite: perhaps", "neither true nor false"),
        ("a: [", "not YAML, line 1"),
        ("- a", "not a list of `key: value` lines"),
        ("[a]: b", "no setting ''"),
        ("config: other.yaml", "no setting 'config'"),
        ("seed: !!python/object/apply:os.system [x]", "takes one value"),
    ],
)
def test_yaml_mistakes(tmp_path: Path, text: str, message: str) -> None:
    """Each mistake names the file, the line and what is wrong."""
    with pytest.raises(SettingError, match=r"^--config .*run\.yaml") as caught:
        from_yaml(tmp_path, text)
    assert message in str(caught.value)


def test_yaml_too_large_or_absent(tmp_path: Path) -> None:
    """A file that cannot be one of settings is not read."""
    with pytest.raises(SettingError, match="larger than"):
        from_yaml(tmp_path, "#" * 1_000_001)
    with pytest.raises(SettingError, match="No such file"):
        read_yaml(tmp_path / "none.yaml", {})
    with pytest.raises(SettingError, match="cannot be read"):
        read_yaml(tmp_path, {})


def test_wrong_values_of_a_file_name_it() -> None:
    """A value that stands in a settings file is named with the file and its key, one of a flag with the flag."""
    values = TRAIN | {"batch_size": "many", "optimizer": "sdg", "crop_factor": "0.9", "seed": "one"}
    files = dict.fromkeys(("batch_size", "optimizer", "crop_factor"), Path("run.yaml"))
    with pytest.raises(SettingError) as caught:
        make_config(TrainConfig, values, command="train", files=files)
    for said in (
        "--config run.yaml: batch_size: 'many' is not a whole number",
        "--config run.yaml: optimizer: 'sdg' is not a choice; did you mean 'sgd'?",
        "--config run.yaml: crop_factor: '0.9' must be less than",
        "--seed one: not a whole number",
    ):
        assert said in str(caught.value), said


def test_fields_set_are_those_given() -> None:
    """`model_fields_set` of the settings tells what the user said."""
    config = make_config(SampleConfig, {"output_dir": "o", "seed": "7"}, command="sample")
    assert config.model_fields_set == {"output_dir", "seed"}


@pytest.mark.parametrize(
    ("model", "values", "key", "expected"),
    [
        (DatasetConfig, DATASET | {"workers": "none"}, "workers", None),
        (DatasetConfig, DATASET | {"truncated": "Recover"}, "truncated", "recover"),
        (DatasetConfig, DATASET | {"seed": "-1"}, "seed", 2**32 - 1),
        (TrainConfig, TRAIN | {"n_gpus": "2"}, "n_gpus", 2),
        (TrainConfig, TRAIN | {"n_gpus": "AUTO"}, "n_gpus", "auto"),
        (TrainConfig, TRAIN | {"color_augmentation": "None"}, "color_augmentation", "none"),
        (TrainConfig, TRAIN | {"weights": "none"}, "weights", "none"),
        (TrainConfig, TRAIN | {"labels_loss_weights": ["0.5"]}, "labels_loss_weights", (0.5,)),
    ],
)
def test_values_are_read(model: type[Any], values: dict[str, Any], key: str, expected: Any) -> None:
    """Texts become what the model wants; choices in any case; None where nothing is possible."""
    assert getattr(make_config(model, values, command="x"), key) == expected


@pytest.mark.parametrize(
    ("model", "values", "message"),
    [
        (DatasetConfig, DATASET | {"workers": "two"}, "x: --workers two: not a whole number"),
        (DatasetConfig, DATASET | {"workers": "1.5"}, "x: --workers 1.5: not a whole number"),
        (DatasetConfig, DATASET | {"seed": "one"}, "x: --seed one: not a whole number"),
        (DatasetConfig, DATASET | {"workers": "0"}, "x: --workers 0: must be greater than or equal to 1"),
        (DatasetConfig, DATASET | {"truncated": "recove"}, "x: --truncated recove: not a choice; did you mean 'recover'?"),
        (DatasetConfig, DATASET | {"split_percent": ["a"]}, "x: --split-percent a: not a number"),
        (
            DatasetConfig,
            DATASET | {"split_percent": ["0.5", "0.1", "0.1"]},
            "x: --split-percent 0.5 0.1 0.1 does not add up to 1",
        ),
        (DatasetConfig, DATASET | {"output_dir": ""}, "x: --output-dir is empty; give a path"),
        (DatasetConfig, {}, "x needs --inventory, --output-dir (`camtrap x --help` says what they are)"),
        (TrainConfig, TRAIN | {"n_gpus": "some"}, "x: --n-gpus some: not auto or a whole number"),
        (TrainConfig, TRAIN | {"n_gpus": "-1"}, "x: --n-gpus is 'auto' or a number from 0"),
        (
            TrainConfig,
            TRAIN | {"batch_size": "0", "optimizer": "adm"},
            "x: --batch-size 0: must be greater than 0; --optimizer adm: not a choice; did you mean 'adam'?",
        ),
    ],
)
def test_mistakes_are_one_line(model: type[Any], values: dict[str, Any], message: str) -> None:
    """What is wrong with values is said in one line, in the words of flags."""
    with pytest.raises(SettingError) as caught:
        make_config(model, values, command="x")
    assert str(caught.value) == message
