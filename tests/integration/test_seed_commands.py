"""The commands of a large camera-trap project, written for camera-trap-classifier, are understood, planned and run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.cli.main import main, parse
from tests.integration import seed_commands as seed

TFR = Path("/host/data_hdd/data/tfr_files")
RUNS = Path("/host/data_hdd/runs")
SPECIES_LABELS = ("species", "count", "standing", "resting", "moving", "eating", "interacting", "babies")


def config_of(command: str) -> Any:
    """Returns the settings of a command, and makes sure that they are checked."""
    return parse(["legacy", *command.split()]).config


def values(config: Any, keys: str) -> tuple[Any, ...]:
    """Returns some settings."""
    return tuple(getattr(config, key) for key in keys.split())


def test_inventory_is_understood() -> None:
    """Step 2: every flag is in the settings."""
    config = config_of(seed.INVENTORY)
    assert type(config).__name__ == "CsvInventoryConfig"
    assert config.path == Path("/host/data_hdd/southern_africa/data/inventory_list_20180806.csv")
    assert config.export_path == Path("/host/data_hdd/tfr_data/inventories/dataset_inventory_southern_africa.json")
    assert (config.capture_id_field, config.image_fields) == ("capture_id", ("dir",))
    assert config.label_fields == ("empty", *SPECIES_LABELS, "species_panthera")
    assert config.meta_data_fields == ("survey", "image", "location", "split_name")


def test_datasets_are_understood() -> None:
    """Step 3: sides are capped at 500 px at the most, 16 processes, filters and balancing as asked."""
    species, empty = config_of(seed.DATASET_SPECIES), config_of(seed.DATASET_EMPTY)
    for config in (species, empty):
        assert values(config, "image_save_side_max side_smallest_px") == (500, None)
        assert values(config, "split_by_meta workers max_records_per_file") == ("split_name", 16, 5000)
        assert config.image_root_path == Path("/host/data_hdd/southern_africa/data")
        assert config.inventory == Path("/host/data_hdd/tfr_data/inventories/dataset_inventory_southern_africa.json")
    assert values(species, "remove_label_name remove_label_value") == (("empty", "empty"), ("empty", "vehicle"))
    assert values(empty, "balanced_sampling_min balanced_sampling_label") == (True, "empty")
    assert species.output_dir == Path("/host/data_hdd/tfr_data/species/southern_africa")
    assert empty.output_dir == Path("/host/data_hdd/tfr_data/empty_or_not/southern_africa")


@pytest.mark.parametrize("command", [seed.TRAIN_SPECIES, seed.FINE_TUNE, seed.FINE_TUNE_REBUILT, seed.AFTER_CRASH])
def test_species_training_is_understood(command: str) -> None:
    """Steps 4, 6 and 7: inputs, labels and devices of the species model."""
    config = config_of(command)
    for split in ("train", "val", "test"):
        assert values(config, f"{split}_tfr_path {split}_tfr_pattern") == ((TFR / "species",), (split,))
    assert config.class_mapping_json == Path("/host/data_hdd/data/common_label_mappings/species/label_mapping.json")
    assert values(config, "model labels batch_size max_epochs") == ("InceptionResNetV2", SPECIES_LABELS, 128, 50)
    assert values(config, "n_cpus n_gpus fewer_gpus_ok buffer_size") == (32, 4, True, 32768)
    assert values(config, "color_augmentation preserve_aspect_ratio") == ("full_randomized", False)


@pytest.mark.parametrize("command", [seed.TRAIN_EMPTY, seed.MORE_DATA])
def test_empty_training_is_understood(command: str) -> None:
    """Steps 4 and 8: inputs, label and devices of the empty model."""
    config = config_of(command)
    assert config.train_tfr_path == config.val_tfr_path == config.test_tfr_path == (TFR / "empty_or_not",)
    assert values(config, "model labels batch_size n_cpus n_gpus") == ("ResNet18", ("empty",), 256, 8, 1)
    assert values(config, "color_augmentation preserve_aspect_ratio") == ("full_randomized", False)


def test_how_trainings_start_is_understood() -> None:
    """Steps 4 to 8: afresh, by transfer, going on, rebuilt, after a crash, in a new folder."""
    start = "continue_training rebuild_model transfer_learning starting_epoch max_epochs initial_learning_rate"
    saved = RUNS / "species/sa_and_ss/saves_all_labels/best_model.hdf5"
    assert values(config_of(seed.TRAIN_SPECIES), start) == (False, False, False, None, 50, 0.01)
    assert values(config_of(seed.TRAIN_EMPTY), start) == (False, False, False, None, 30, 0.01)
    transfer = config_of(seed.TRANSFER)
    assert values(transfer, start) == (False, False, True, None, 50, 0.01)
    assert values(transfer, "labels transfer_learning_type model_to_load") == (
        ("species_panthera", "count"),
        "last_layer",
        saved,
    )
    assert transfer.run_outputs_dir == RUNS / "species/west_africa/outputs"
    assert values(config_of(seed.FINE_TUNE), start) == (True, False, False, 0, 50, 0.01)
    assert config_of(seed.FINE_TUNE).model_to_load == saved
    assert values(config_of(seed.FINE_TUNE_REBUILT), start) == (True, True, False, 0, 50, 0.001)
    crash = config_of(seed.AFTER_CRASH)
    assert values(crash, start) == (True, True, False, 10, 50, 0.01)
    assert crash.model_to_load == crash.run_outputs_dir == RUNS / "species/sa_and_ss/outputs_all_labels"
    more = config_of(seed.MORE_DATA)
    assert values(more, start) == (True, False, False, 30, 50, 0.001)
    assert (more.model_to_load, more.run_outputs_dir) == (
        RUNS / "empty_or_not/sa_and_ss/outputs",
        RUNS / "empty_or_not/sa_and_ss/outputs_continue",
    )


@pytest.mark.parametrize(
    "command",
    [
        seed.DATASET_SPECIES,
        seed.DATASET_EMPTY,
        seed.TRAIN_SPECIES,
        seed.TRAIN_EMPTY,
        seed.TRANSFER,
        seed.FINE_TUNE,
        seed.FINE_TUNE_REBUILT,
        seed.AFTER_CRASH,
        seed.MORE_DATA,
    ],
)
def test_command_is_planned_as_written(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With --dry-run the plan is printed; what it cannot find here is listed in it."""
    assert main(["legacy", *command.split(), "--dry-run"]) == 2
    captured = capsys.readouterr()
    assert "/host/data_hdd" in captured.out
    assert "camtrap: error" not in captured.err
    assert not Path("/host/data_hdd").exists()
