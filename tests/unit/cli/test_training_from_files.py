"""Shards that a training makes of files: when they are made, kept and made again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from camtrap_tf.cli.training_from_files import fill_cache, shard_settings, train_from_files
from camtrap_tf.config.training_files import TrainFilesConfig
from camtrap_tf.errors import CamtrapError, RunLockedError, SettingError
from camtrap_tf.files import locked_folder
from camtrap_tf.inventory.of_splits import SplitFiles
from camtrap_tf.sources.cct_document import CctDocument
from camtrap_tf.training.plan import Plan

SPLITS = ("train", "val")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Gives a folder with a document and pictures per split."""
    for split in SPLITS:
        names = [f"{split}{number}" for number in range(4)]
        images = [{"id": name, "file_name": f"{name}.png", "location": f"{split}-hill"} for name in names]
        annotations = [{"id": name, "image_id": name, "category_id": number % 2} for number, name in enumerate(names)]
        categories = [{"id": 1, "name": "zebra"}, {"id": 0, "name": "ant"}]
        CctDocument(images=images, annotations=annotations, categories=categories).write(tmp_path / f"{split}_cct.json")
        for number, name in enumerate(names):
            pixels = np.random.default_rng(number).integers(0, 255, (20, 30, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    return tmp_path


def config(folder: Path, **changes: Any) -> TrainFilesConfig:
    """Returns settings with changes."""
    settings: dict[str, Any] = {"train_cct": folder / "train_cct.json", "val_cct": folder / "val_cct.json", "crops_dir": folder}
    places = {"run_outputs_dir": folder / "run", "model_save_dir": folder / "bundle"}
    return TrainFilesConfig(
        **{**settings, **places, "model": "small_cnn", "n_gpus": 0, "workers": 1, "max_epochs": 1, **changes}
    )


def fill(folder: Path, **changes: Any) -> tuple[list[str], dict[str, int]]:
    """Fills the cache; returns its lines, and when each shard was written."""
    settings = config(folder, **changes)
    lines = fill_cache(settings, SplitFiles.from_config(settings, "species"), SPLITS, folder / "run/cache")
    shards = sorted((folder / "run/cache").rglob("*.tfrecord"))
    return lines, {path.parent.name: path.stat().st_mtime_ns for path in shards}


def test_shards_are_used_again(folder: Path) -> None:
    """Nothing that changed: the shards stay, and the summary says so."""
    lines, first = fill(folder)
    assert lines[0].startswith("train: records: 4 in = 4 out + 0 rejected")
    lines, second = fill(folder)
    assert second == first
    assert all(line.endswith("as they were") for line in lines)


def test_a_picture_that_changed(folder: Path) -> None:
    """A picture that was written again makes the shards of its split anew, and of no other."""
    _, first = fill(folder)
    Image.new("RGB", (40, 40)).save(folder / "val1.png")
    _, second = fill(folder)
    assert {split for split in first if first[split] != second[split]} == {"val"}


def test_another_stored_size(folder: Path) -> None:
    """Another stored size makes all shards anew."""
    _, first = fill(folder)
    _, second = fill(folder, image_save_side_smallest=64)
    assert not set(first.values()) & set(second.values())


def test_shards_that_are_damaged(folder: Path) -> None:
    """A shard that was cut is made again."""
    fill(folder)
    shard = next((folder / "run/cache/val").glob("*.tfrecord"))
    whole = shard.read_bytes()
    shard.write_bytes(whole[:50])
    lines, _ = fill(folder)
    assert not lines[1].endswith("as they were")
    assert shard.read_bytes() == whole


def test_missing_pictures_are_counted(folder: Path) -> None:
    """A picture that is not there is in no shard, and the summary says how many these are."""
    (folder / "train0.png").unlink()
    lines, _ = fill(folder)
    assert "records: 3 in = 3 out + 0 rejected; 1 left out before (1 × missing_file)" in lines[0]


def test_a_place_in_two_splits_is_told(folder: Path) -> None:
    """A location in two splits brings a warning with its name, and so it does in a plan."""
    text = (folder / "val_cct.json").read_text(encoding="utf-8").replace("val-hill", "train-hill")
    (folder / "val_cct.json").write_text(text, encoding="utf-8")
    said = "warning: 1 location stands in two splits, e.g. train-hill in train and val"
    assert said in train_from_files(config(folder, dry_run=True)).text()
    lines, _ = fill(folder)
    assert lines[-1].startswith(said)


def test_pictures_in_two_splits_are_told(folder: Path) -> None:
    """So are they in a plan."""
    text = (folder / "val_cct.json").read_text(encoding="utf-8").replace("val1.png", "train2.png")
    (folder / "val_cct.json").write_text(text, encoding="utf-8")
    said = "warning: 1 picture stands in two splits, e.g. train2.png in train and val"
    assert said in train_from_files(config(folder, dry_run=True)).text()
    lines, _ = fill(folder)
    assert lines[-1].startswith(said)


def test_a_plan_looks_for_the_pictures(folder: Path) -> None:
    """Where they are not there, it says so and does not call the training ready."""
    for path in folder.glob("val*.png"):
        path.unlink()
    plan = train_from_files(config(folder, dry_run=True))
    assert plan.exit_code == 2
    assert "no usable picture in 4; 4 rejected (4 × missing_file)" in plan.text()
    assert "ready" not in plan.text()


@pytest.mark.parametrize("twin", ["train_cct.json", "copy.json"])
def test_one_file_for_two_splits_is_refused(folder: Path, twin: str) -> None:
    """By its name or by its content: nothing can be measured on what was trained on."""
    (folder / "copy.json").write_bytes((folder / "train_cct.json").read_bytes())
    with pytest.raises(SettingError, match=r"--val-cct .*the file of --train-cct.*split by location"):
        train_from_files(config(folder, val_cct=folder / twin, dry_run=True))


def test_shards_of_a_running_training_stay(folder: Path) -> None:
    """While one training has the shards, another in the same run folder is refused, and leaves them as they are."""
    _, before = fill(folder)
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(folder / "train0.png")
    with locked_folder(folder / "run/cache"), pytest.raises(RunLockedError, match="another process works in this folder"):
        train_from_files(config(folder))
    shards = sorted((folder / "run/cache").rglob("*.tfrecord"))
    assert {path.parent.name: path.stat().st_mtime_ns for path in shards} == before


def test_settings_of_the_training_itself(folder: Path) -> None:
    """The training sees shards and label mapping by absolute paths, and what the user gave, nothing else."""
    cache = (folder / "run/cache").resolve()
    settings = shard_settings(config(folder, batch_size=7), cache, SPLITS)
    assert (settings.train_tfr_path, settings.val_tfr_path, settings.test_tfr_path) == (
        (cache / "train",),
        (cache / "val",),
        (),
    )
    assert (settings.class_mapping_json, settings.labels, settings.batch_size) == (
        cache / "label_mapping.json",
        ("species",),
        7,
    )
    assert "weight_decay" not in settings.model_fields_set


def test_plan_writes_nothing(folder: Path) -> None:
    """A plan names files, classes in their order and places, and leaves no file."""
    found = train_from_files(config(folder, dry_run=True))
    assert isinstance(found.result, Plan)
    assert "classes of species, by index: zebra, ant" in found.text()
    assert not (folder / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "small_cn"}, "did you mean 'small_cnn'"),
        ({"recipe": "anml"}, "did you mean 'animl'"),
        ({"num_classes": 3}, "has 2 classes"),
        ({"crops_dir": Path("absent")}, "--crops-dir absent: no such folder"),
        ({"train_cct": Path("absent.json")}, "--train-cct absent.json: no such file"),
        ({"weights": "imagenet"}, "there are none for small_cnn"),
        ({"model": "hub:resnet_18_imagenett"}, "no such preset of keras-hub.*did you mean 'resnet_18_imagenet'"),
    ],
)
def test_mistakes_come_before_the_work(folder: Path, changes: dict[str, Any], message: str) -> None:
    """What can be known before shards are made ends the command before that."""
    with pytest.raises(CamtrapError, match=message):
        train_from_files(config(folder, **changes))
    assert not (folder / "run").exists()
