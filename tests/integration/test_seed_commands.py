"""The commands of a large camera-trap project, written for camera-trap-classifier, are understood, planned and run."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.cli.main import main, parse
from tests.factories import make_jpeg
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


def here(command: str, folder: Path, *, max_epochs: int = 1, starting_epoch: int = 0) -> list[str]:
    """Returns a command with only paths, model, epochs, batch and devices changed."""
    text = command.replace("/host/data_hdd/data/tfr_files", f"{folder}/tfr_data").replace("/host/data_hdd", str(folder))
    changes = {"model": "small_cnn", "batch_size": 8, "n_gpus": 0, "n_cpus": 2}
    changes |= {"processes_images_in_parallel_n_processes": 1, "max_epochs": max_epochs, "starting_epoch": starting_epoch}
    for flag, value in changes.items():
        text = re.sub(rf"-{flag} \S+", f"-{flag} {value}", text)
    return text.split()


def draw(folder: Path, survey: str, first: int) -> None:
    """Writes 48 pictures and their table: empty, vehicle and two species, the latter with a count and what they do."""
    pictures = folder / "data" / survey
    rows = []
    for i in range(first, first + 48):
        kind = ("lion", "zebra", "empty", "vehicle")[i % 4]
        colour = {"lion": (200, 160, 60), "zebra": (230, 230, 230), "empty": (60, 120, 60), "vehicle": (40, 40, 160)}[kind]
        name = f"{survey}/{i:03}.jpg"
        pictures.mkdir(parents=True, exist_ok=True)
        (folder / "data" / name).write_bytes(make_jpeg(80, 60, colour=colour))
        seen = kind in ("lion", "zebra")
        doing = {label: str(i // 4 % 2) if seen else "" for label in SPECIES_LABELS[2:]}
        rows.append(
            {
                "capture_id": f"capture_{i}",
                "dir": name,
                "empty": "species" if seen else kind,
                "species": kind if seen else "",
                "count": str(1 + i // 4 % 2) if seen else "",
                **doing,
                "species_panthera": f"panthera_{kind}" if seen else "",
                "survey": survey,
                "image": f"{i}.jpg",
                "location": f"site{i % 5}",
                "split_name": ("train", "train", "val", "test")[i // 4 % 4],
            }
        )
    with (folder / "data" / "inventory_list_20180806.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Steps 2 and 3 for two regions, and the label mappings that their models share."""
    folder = tmp_path_factory.mktemp("project")
    for number, region in enumerate(("southern_africa", "west_africa")):
        draw(folder / region, region, 1000 * number)
        for command in (seed.INVENTORY, seed.DATASET_SPECIES, seed.DATASET_EMPTY):
            assert main(["legacy", *here(command.replace("southern_africa", region), folder)]) == 0
    for kind in ("species", "empty_or_not"):
        mappings = [
            str(folder / "tfr_data" / kind / region / "label_mapping.json") for region in ("southern_africa", "west_africa")
        ]
        common = folder / "data" / "common_label_mappings" / kind / "label_mapping.json"
        assert main(["labels", "merge", "--mappings", *mappings, "--output", str(common)]) == 0
    return folder


def epochs_of(run: Path) -> list[int]:
    """Returns the epochs that the training log of a run lists."""
    with (run / "training.log").open(newline="") as file:
        return [int(row["epoch"]) for row in csv.DictReader(file)]


def test_datasets_of_the_seed(project: Path) -> None:
    """Step 3 left the empty ones out, kept all splits and capped the sides; the other dataset is balanced."""
    species = json.loads((project / "tfr_data/species/southern_africa/dataset.json").read_text())
    text = json.dumps(species)
    assert all(split in text for split in ("train", "val", "test"))
    mapping = json.loads((project / "tfr_data/species/southern_africa/label_mapping.json").read_text())
    assert mapping["species"] == {"lion": 0, "zebra": 1}
    assert mapping["empty"] == {"species": 0}
    shards = sorted(path.name for path in (project / "tfr_data/empty_or_not/southern_africa").glob("*.tfrecord"))
    assert shards == ["test_001-of-001.tfrecord", "train_001-of-001.tfrecord", "val_001-of-001.tfrecord"]


@pytest.mark.slow
def test_seed_trainings_run(project: Path) -> None:
    """Steps 4 to 8, one after the other, as they were run."""
    runs = project / "runs"

    def train(command: str, **epochs: int) -> None:
        """Runs a training of the project with other numbers of epochs."""
        assert main(["legacy", *here(command, project, **epochs)]) == 0

    train(seed.TRAIN_SPECIES, max_epochs=2)
    run, saved = runs / "species/sa_and_ss/outputs_all_labels", runs / "species/sa_and_ss/saves_all_labels"
    assert len(epochs_of(run)) == 2
    assert {"model.keras", "label_mappings.json", "image_processing.json", "bundle.json"} <= {
        path.name for path in saved.iterdir()
    }
    assert (run / "test_preds.json").exists()
    assert json.loads((saved / "image_processing.json").read_text())["color_augmentation"] == "full_randomized"

    train(seed.TRANSFER)
    west = runs / "species/west_africa"
    assert len(epochs_of(west / "outputs")) == 1
    assert set(json.loads((west / "saves" / "bundle.json").read_text())["heads"]) == {"species_panthera", "count"}

    for command in (seed.FINE_TUNE, seed.FINE_TUNE_REBUILT):
        train(command)
        assert set(json.loads((west / "saves" / "bundle.json").read_text())["heads"]) == set(SPECIES_LABELS)

    train(seed.AFTER_CRASH, starting_epoch=2, max_epochs=3)
    assert epochs_of(run)[-1] == epochs_of(run)[0] + 2

    train(seed.TRAIN_EMPTY)
    train(seed.MORE_DATA, starting_epoch=1, max_epochs=2)
    assert len(epochs_of(runs / "empty_or_not/sa_and_ss/outputs")) == 1
    assert len(epochs_of(runs / "empty_or_not/sa_and_ss/outputs_continue")) == 1
    assert (runs / "empty_or_not/sa_and_ss/saves_continue/model.keras").exists()
