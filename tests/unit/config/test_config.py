"""Settings that check themselves."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from camtrap_tf.config import base, dataset, delivery, inventory, names, sample, training
from camtrap_tf.config.dataset import DatasetConfig, LabelsMergeConfig
from camtrap_tf.config.delivery import PredictConfig
from camtrap_tf.config.inventory import CsvInventoryConfig
from camtrap_tf.config.training import TrainConfig

MODELS = [
    one
    for module in (dataset, delivery, inventory, sample, training)
    for one in vars(module).values()
    if isinstance(one, type) and issubclass(one, BaseModel) and one.__module__ == module.__name__
]


def make(model: type[BaseModel], **options: Any) -> Any:
    """Returns settings of a model with what it requires, and some options."""
    required: dict[type[BaseModel], dict[str, Any]] = {
        DatasetConfig: {"inventory": "i.json", "output_dir": "out"},
        TrainConfig: {
            "train_tfr_path": ("d",), "val_tfr_path": ("d",), "labels": ("species", "count"), "model": "small_cnn",
            "run_outputs_dir": "run", "model_save_dir": "save",
        },
        PredictConfig: {"model_path": "m", "results_file": "r.csv", "image_dir": "d"},
        CsvInventoryConfig: {
            "path": "t.csv", "export_path": "i.json", "capture_id_field": "id", "image_fields": ("a",), "label_fields": ("s",),
        },
        LabelsMergeConfig: {"mappings": ("a", "b"), "output": "c"},
    }  # fmt: skip
    return model(**{**required[model], **options})


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_setting_is_described(model: type[BaseModel]) -> None:
    """Each field has a help text and each model a docstring; unknown keys are refused."""
    assert model.__doc__
    assert all(field.description for field in model.model_fields.values())
    assert model.model_config["extra"] == "forbid"
    assert model.model_config["frozen"]


@pytest.mark.parametrize(
    "shares", [(0.7, 0.2, 0.1), (0.6, 0.3, 0.1), (0.9, 0.05, 0.05), (1.0, 0.0, 0.0), (1 / 3, 1 / 3, 1 / 3)]
)
def test_shares_add_up_to_one_within_rounding(shares: tuple[float, ...]) -> None:
    """Sums of floats are compared with tolerance."""
    assert make(DatasetConfig, split_percent=shares).split_percent == shares


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split_percent": (0.7, 0.2, 0.2)}, "does not add up to 1"),
        ({"split_percent": (1.2, -0.1, -0.1)}, "does not add up to 1"),
        ({"split_percent": (float("nan"), 0.5, 0.5)}, "does not add up to 1"),
        ({"split_percent": (0.5, 0.5)}, "one share per split"),
        ({"split_names": ("a", "a", "b")}, "a name twice"),
        ({"split_names": ("a", "b/c", "d")}, "cannot begin the name of a shard"),
        ({"split_names": ("a", "", "d")}, "cannot begin the name of a shard"),
        ({"remove_label_name": ("s",)}, "they go in pairs"),
        ({"keep_label_value": ("s", "t"), "keep_label_name": ("u",)}, "they go in pairs"),
        ({"balanced_sampling_min": True}, "needs --balanced-sampling-label"),
        ({"image_save_quality": 101}, "less than or equal to 100"),
        ({"max_records_per_file": 0}, "greater than or equal to 1"),
        ({"truncated": "mend"}, "'reject' or 'recover'"),
        ({"inventry": "i.json"}, "Extra inputs are not permitted"),
    ],
)
def test_wrong_data_set_settings(options: dict[str, Any], message: str) -> None:
    """Each is found when the settings are made."""
    with pytest.raises(ValidationError, match=message):
        make(DatasetConfig, **options)


def test_split_settings_do_not_matter_where_meta_data_decide() -> None:
    """With --split-by-meta names and shares are not looked at."""
    assert make(DatasetConfig, split_by_meta="part", split_percent=(0.5,)).split_by_meta == "part"


def test_the_smaller_side_is_limited_by_default() -> None:
    """To 500 px, unless a limit on the larger side is given."""
    assert make(DatasetConfig).side_smallest_px == 500
    assert make(DatasetConfig, image_save_side_max=300).side_smallest_px is None
    assert make(DatasetConfig, image_save_side_max=300, image_save_side_smallest=200).side_smallest_px == 200


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels_loss_weights": (1.0,)}, "one each"),
        ({"labels": ("s", "s")}, "names a label type twice"),
        ({"labels": ()}, "at least 1"),
        ({"continue_training": True}, "need --model-to-load"),
        ({"continue_training": True, "transfer_learning": True, "model_to_load": "m"}, "exclude each other"),
        ({"model_to_load": "m"}, "add --continue-training"),
        ({"model_to_load": "m", "starting_epoch": 3}, "or --transfer-learning"),
        ({"rebuild_model": True}, "goes with --continue-training"),
        ({"n_gpus": -1}, "number from 0"),
        ({"initial_learning_rate": 0}, "greater than 0"),
        ({"optimizer": "sdg"}, "'sgd'"),
    ],
)
def test_wrong_training_settings(options: dict[str, Any], message: str) -> None:
    """Each is found when the settings are made."""
    with pytest.raises(ValidationError, match=message):
        make(TrainConfig, **options)


@pytest.mark.parametrize(
    "options",
    [{"image_dir": None}, {"csv_path": "t.csv"}, {"image_dir": None, "csv_path": "t.csv", "csv_id_col": "id"}],
)
def test_predict_takes_a_folder_or_a_table(options: dict[str, Any]) -> None:
    """One of them, and a table with its columns."""
    with pytest.raises(ValidationError, match="csv"):
        make(PredictConfig, **options)


def test_seeds_are_folded_into_32_bits() -> None:
    """Whatever number is given, it is one that NumPy and Keras take."""
    assert make(DatasetConfig, seed=2**32 + 5).seed == 5
    assert make(DatasetConfig, seed=-1).seed == 2**32 - 1


def test_settings_cannot_be_changed() -> None:
    """They are values."""
    config = make(LabelsMergeConfig)
    with pytest.raises(ValidationError, match="frozen"):
        config.output = "d"


def test_one_mapping_cannot_be_merged() -> None:
    """Merging needs two."""
    with pytest.raises(ValidationError, match="at least 2"):
        make(LabelsMergeConfig, mappings=("a",))


def test_backbones_have_a_size_and_names_of_their_own() -> None:
    """No name is in both tables, and sizes are sensible."""
    assert not set(names.OWN_BACKBONES) & set(names.KERAS_BACKBONES)
    assert all(32 <= side <= 1024 for side in names.BACKBONES.values())
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in names.PICTURE_SUFFIXES)


def test_the_shared_ground_forbids_unknown_keys() -> None:
    """Every stage's settings come from it."""
    assert all(issubclass(model, base.StageConfig) for model in MODELS)


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"monitor": "macro_f1"}, True),
        ({"monitor": "macro_f1", "head_types": ["species=sigmoid"]}, False),
        ({"monitor": "weighted_accuracy/species", "head_types": ["species=sigmoid"]}, True),
        ({"monitor": "weighted_accuracy", "head_types": ["species=sigmoid"]}, False),
        ({"monitor": "within_one_bin/count", "head_types": ["count=ordinal"]}, False),
        ({"monitor": "bin_error/count"}, True),
    ],
)
def test_monitored_scores_exist(changes: dict, refused: bool) -> None:
    """A score that none of the heads in question has would make every epoch equally good; it is refused."""
    settings = {
        "train_tfr_path": ["t"], "val_tfr_path": ["v"], "labels": ["species", "count"], "model": "small_cnn",
        "run_outputs_dir": "r", "model_save_dir": "s",
    }  # fmt: skip
    if not refused:
        TrainConfig(**settings, **changes)
        return
    with pytest.raises(ValidationError, match=r"not a score of .*; there are .*accuracy"):
        TrainConfig(**settings, **changes)
