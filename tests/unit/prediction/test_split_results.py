"""Which model and which files a prediction of splits takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from camtrap_tf.config.training_files import PredictSplitConfig
from camtrap_tf.errors import CamtrapError, ModelError
from camtrap_tf.prediction.split_results import find_checkpoint, predict_split

FILES = ("model_best.keras", "model_epoch_02_loss_1.50.keras", "model_epoch_12_loss_1.10.keras", "run.json")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Gives a run folder with empty model files."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name in FILES:
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("best", FILES[0]),
        ("last", FILES[2]),
        ("2", FILES[1]),
        ("12.pt", FILES[2]),
        ("ckpt_2.pt", FILES[1]),
        ("ckpt_012", FILES[2]),
        (FILES[1], FILES[1]),
    ],
)
def test_names_of_checkpoints(run: Path, name: str, file: str) -> None:
    """Epochs are found under every name they have been given."""
    assert find_checkpoint(run, name) == run / file


def test_paths_of_checkpoints(run: Path, tmp_path: Path) -> None:
    """A path elsewhere means itself."""
    (tmp_path / "other.keras").touch()
    assert find_checkpoint(run, str(tmp_path / "other.keras")) == tmp_path / "other.keras"


@pytest.mark.parametrize(
    ("name", "message"),
    [("3.pt", r"no model of epoch 3 \(there: 2, 12\)"), ("besst", "did you mean 'best'"), ("x.pt", "no such file")],
)
def test_checkpoints_that_are_not_there(run: Path, name: str, message: str) -> None:
    """An epoch that was not kept is named with those that were."""
    with pytest.raises(ModelError, match=message):
        find_checkpoint(run, name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"run": "absent"}, "--run absent: no such folder"),
        ({}, "was not trained from COCO Camera Traps files"),
    ],
)
def test_runs_that_have_no_splits(run: Path, changes: dict[str, str], message: str) -> None:
    """A run that began at shards has no files whose splits could be classified."""
    with pytest.raises(CamtrapError, match=message):
        predict_split(PredictSplitConfig.model_validate({"run": run, **changes}))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": ("val", "val")}, "names a split twice"),
        ({"split": ("../val",)}, "cannot begin the name of a file"),
        ({"split": ("val", "test"), "cct": "c.json"}, "--cct is one split"),
        ({"cct": "c.json", "classification_csv": "c.csv"}, "exclude each other"),
        ({"target_index": "i.json"}, "does nothing without --target-mapping"),
    ],
)
def test_settings_that_contradict_each_other(settings: dict[str, object], message: str) -> None:
    """Settings that cannot go together are refused."""
    with pytest.raises(ValueError, match=message):
        PredictSplitConfig.model_validate({"run": "r", **settings})
