"""Animl's config.yml as settings of ours, and commands that flags choose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from camtrap_tf.cli.main import parse
from camtrap_tf.config.training import TrainConfig
from camtrap_tf.config.training_files import TrainFilesConfig
from camtrap_tf.errors import SettingError

WHOLE: dict[str, Any] = {
    "seed": 32678456782,
    "device": "cuda:3",
    "num_workers": 4,
    "data_root": "data",
    "crops_dir": "crops",
    "num_classes": 9,
    "image_size": [200, 224],
    "num_epochs": 200,
    "batch_size": 128,
    "learning_rate": 0.001,
    "weight_decay": 0.002,
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Gives a current folder with `data`."""
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder: Path, **changes: Any) -> Path:
    """Writes a config.yml with changes; None leaves a key out."""
    path = folder / "runs/m/e/config.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    values = {key: value for key, value in {**WHOLE, **changes}.items() if value is not None}
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


@pytest.mark.parametrize(("inside", "flags"), [({"weights": "none"}, []), ({}, ["--weights", "none"])])
def test_without_weights_the_backbone_needs_no_preset(folder: Path, inside: dict[str, str], flags: list[str]) -> None:
    """`weights: none`, in the file or as a flag, takes the network that is built here."""
    config = parse(["train", "--config", str(written(folder, **inside)), *flags]).config
    assert isinstance(config, TrainFilesConfig)
    assert (config.model, config.weights) == ("ResNet18", "none")


def test_every_key_is_a_setting(folder: Path) -> None:
    """Each key of the file is in force under our name, beside the recipe, and run and bundle lie by the file."""
    path = written(folder)
    call = parse(["train", "--config", str(path)])
    assert call.command.words == ("train", "files")
    wanted = {
        "seed": 32678456782 % 2**32,
        "n_gpus": 1,
        "fewer_gpus_ok": True,
        "n_cpus": 4,
        "train_cct": Path("data/train_cct.json"),
        "val_cct": Path("data/val_cct.json"),
        "crops_dir": Path("data/crops"),
        "num_classes": 9,
        "output_height": 200,
        "output_width": 224,
        "max_epochs": 200,
        "batch_size": 128,
        "initial_learning_rate": 0.001,
        "weight_decay": 0.002,
        "recipe": "animl",
        "model": "hub:resnet_18_imagenet",
        "weights": "imagenet",
        "run_outputs_dir": path.parent / "run",
        "model_save_dir": path.parent / "bundle",
    }
    assert {key: getattr(call.config, key) for key in wanted} == wanted
    assert any("CUDA_VISIBLE_DEVICES=3" in notice for notice in call.notices)


def test_flags_and_our_settings_win(folder: Path) -> None:
    """A setting of ours in the file counts, a flag wins over both; another model brings no weights of Animl's."""
    path = written(folder, crops_dir=None, device="cpu", num_workers=0, image_size=64, focal_gamma=2)
    config: Any = parse(
        ["train", "--config", str(path), "--batch-size", "8", "--model", "small_cnn", "--recipe", "legacy"]
    ).config
    assert (config.batch_size, config.model, config.weights, config.recipe) == (8, "small_cnn", "none", "legacy")
    assert (config.n_gpus, config.n_cpus, config.focal_gamma, config.crops_dir) == (0, 1, 2, Path("data"))
    assert (config.output_height, config.output_width) == (64, 64)


def test_data_beside_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data_root that is not below the current folder is looked for beside the file."""
    path = written(folder, data_root="here")
    (path.parent / "here").mkdir()
    config: Any = parse(["train", "--config", str(path)]).config
    assert config.train_cct == path.parent / "here/train_cct.json"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_epoch": 3}, "no setting 'num_epoch'; did you mean 'num_epochs'"),
        ({"max_epochs": 3}, "num_epochs of .* and max_epochs say the same"),
        ({"device": "gpu"}, "device 'gpu' is neither cpu nor cuda"),
        ({"image_size": [1, 2, 3]}, "is not \\[height, width\\] in px"),
        ({"num_workers": "many"}, "num_workers 'many' is not a whole number"),
        ({"data_root": "elsewhere"}, "data_root elsewhere: no such folder"),
        ({"num_classes": 0}, "config.yml: num_classes: '0' must be greater than or equal to 1"),
        ({"batch_size": "big"}, "config.yml: batch_size: 'big' is not a whole number"),
        ({"train_cct": "x.json"}, "data_root of .* and train_cct say the same"),
        ({"learning_rate": [1, 2]}, "learning_rate: takes one value"),
    ],
)
def test_mistakes_in_the_file(folder: Path, changes: dict[str, Any], message: str) -> None:
    """A key that is unknown, or a value that cannot be, ends in one line that names it."""
    with pytest.raises(SettingError, match=message):
        parse(["train", "--config", str(written(folder, **changes))])


@pytest.mark.parametrize(("flag", "resume"), [("--resume", "auto"), ("--no-resume", "off"), ("--resume=off", "off")])
def test_resume_is_a_switch_too(folder: Path, flag: str, resume: str) -> None:
    """`--resume` and `--no-resume` alone stand for their values, for shards too."""
    assert parse(["train", "--config", str(written(folder)), flag]).config.resume == resume  # type: ignore[attr-defined]  # of trainings
    words = ["train", "--train-tfr-path", "a", "--val-tfr-path", "a", "--labels", "x", "--model", "small_cnn"]
    config = parse([*words, "--run-outputs-dir", "r", "--model-save-dir", "b", flag]).config
    assert isinstance(config, TrainConfig)
    assert config.resume == resume


def test_prediction_from_the_file(folder: Path) -> None:
    """`predict --config` takes the run beside the file and device and batch from it; keys of training are passed over."""
    path = written(folder, focal_gamma=2)
    call = parse(["predict", "--config", str(path), "--checkpoint", "200.pt", "--split", "val"])
    config: Any = call.config
    assert call.command.words == ("predict", "split")
    assert (config.run, config.output_dir) == (path.parent / "run", path.parent / "predictions")
    assert (config.split, config.checkpoint, config.batch_size, config.n_gpus) == (("val",), "200.pt", 128, "auto")
    with pytest.raises(SettingError, match="no setting 'num_epoch'"):
        parse(["predict", "--config", str(written(folder, num_epoch=2)), "--split", "val"])


def test_prediction_from_a_file_of_ours(folder: Path) -> None:
    """A training's file in our words does as well, and says where its run is."""
    (folder / "c.yaml").write_text("run_outputs_dir: r\nmodel: small_cnn\ntrain_cct: x.json\n", encoding="utf-8")
    config: Any = parse(["predict", "--config", "c.yaml", "--split", "test", "val"]).config
    assert (config.run, config.split) == (Path("r"), ("test", "val"))


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["predict", "--split", "val", "--run", "r"], "predict split"),
        (["predict", "--model-path", "m", "--image-dir", "d", "--results-file", "r.csv"], "predict"),
        (["evaluate", "--results", "r.json", "--cct", "c.json", "--output-dir", "o"], "evaluate results"),
        (["evaluate", "--model-path", "m", "--tfr-path", "d", "--output-dir", "o"], "evaluate"),
        (
            [
                "train",
                "--classification-csv",
                "c.csv",
                "--crops-dir",
                "d",
                "--model",
                "x",
                "--run-outputs-dir",
                "r",
                "--model-save-dir",
                "b",
            ],
            "train files",
        ),
    ],
)
def test_flags_choose_the_command(words: list[str], command: str) -> None:
    """A flag that only a variant of a command has means that variant."""
    assert parse(words).command.name == command


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--val-cct a", "give --train-cct, alone or with --val-cct, or --classification-csv"),
        ("--train-cct a --val-cct b --classification-csv c --crops-dir d", "exclude each other"),
        ("--train-cct a --val-cct b --splits s --crops-dir d", "--splits goes with --classification-csv"),
        ("--train-cct a --val-cct b", "--crops-dir is missing"),
        ("--train-cct a --val-cct b --crops-dir d --labels a b", "--labels"),
        ("--train-cct a --val-cct b --crops-dir d --train-tfr-path t", "no flag --train-tfr-path"),
    ],
)
def test_files_that_do_not_go_together(flags: str, message: str) -> None:
    """Files that are missing or contradict each other are named before anything is read."""
    with pytest.raises(SettingError, match=message):
        parse(["train", *flags.split(), "--model", "small_cnn", "--run-outputs-dir", "r", "--model-save-dir", "b"])
