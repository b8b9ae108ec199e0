"""Going on in the same run folder: the best model so far stays until one is better."""

import csv
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from camtrap_tf.labels import LabelMapping
from camtrap_tf.models.bundle import Bundle
from camtrap_tf.training.state import read_state
from tests.unit.training.helpers import make_config, run, write_dataset

WORSE = {"initial_learning_rate": 3.0, "max_epochs": 4}
"""Two more epochs at a rate at which nothing is learnt."""


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished training of two epochs: folders `run` and `save`."""
    out = tmp_path_factory.mktemp("trained")
    run(make_config(data, out))
    return out


@pytest.fixture
def out(trained: Path, tmp_path: Path) -> Path:
    """A copy of that training, to go on in."""
    return Path(shutil.copytree(trained, tmp_path / "t"))


def validation_losses(folder: Path) -> list[float]:
    """Returns the validation loss of each epoch, from `training.log`."""
    with (folder / "training.log").open(newline="") as file:
        return [float(row["val_loss"]) for row in csv.DictReader(file)]


def best_epoch(folder: Path) -> int:
    """Returns the epoch whose model `model_best.keras` is, by what lies beside it."""
    state = read_state(folder / "model_best.keras")
    assert state is not None
    return int(state.facts["epoch"])


@pytest.mark.parametrize("rebuild", [True, False], ids=["rebuilt", "as it was"])
@pytest.mark.parametrize("start", ["run", "run/model_epoch_02_loss_4.41.hdf5"])
def test_a_worse_epoch_does_not_replace_the_best(data: Path, out: Path, rebuild: bool, start: str) -> None:
    """After worse epochs run folder and bundle still hold the weights of the best epoch of all, with its loss."""
    weights = Bundle.read(out / "save").model.get_weights()
    settings: dict[str, Any] = {"continue_training": True, "rebuild_model": rebuild, "starting_epoch": 2, **WORSE}
    result = run(make_config(data, out, model_to_load=out / start, **settings))
    losses = validation_losses(out / "run")
    assert len(losses) == 4
    assert min(losses[2:]) > min(losses[:2]), "the later epochs were to be worse"
    best = 1 + int(np.argmin(losses))
    bundle = Bundle.read(out / "save")
    assert result.best_epoch == best_epoch(out / "run") == bundle.info["epoch"] == best
    assert bundle.info["metrics"]["validation_loss"] == pytest.approx(losses[best - 1])
    assert all(np.array_equal(one, other) for one, other in zip(bundle.model.get_weights(), weights, strict=True))


def test_going_on_from_the_bundle_of_the_run(data: Path, out: Path) -> None:
    """The bundle made of the run's best model belongs to the run as much as its checkpoints."""
    settings: dict[str, Any] = {"continue_training": True, "rebuild_model": True, "starting_epoch": 2, **WORSE}
    result = run(make_config(data, out, model_to_load=out / "save" / "best_model.hdf5", **settings))
    assert result.best_epoch == 1 + int(np.argmin(validation_losses(out / "run"))) <= 2


def test_a_better_epoch_replaces_it(data: Path, out: Path) -> None:
    """A later epoch that is better becomes the best model."""
    settings: dict[str, Any] = {"continue_training": True, "rebuild_model": True, "max_epochs": 3}
    result = run(make_config(data, out, model_to_load=out / "run", initial_learning_rate=0.003, **settings))
    losses = validation_losses(out / "run")
    assert losses[2] < min(losses[:2]), "the later epoch was to be better"
    assert result.best_epoch == best_epoch(out / "run") == 3


def test_an_epoch_before_the_last(data: Path, out: Path) -> None:
    """Going on from epoch 1 counts epoch 1 as the best, whatever came after it."""
    (first,) = (out / "run").glob("model_epoch_01_*.keras")
    result = run(make_config(data, out, continue_training=True, model_to_load=first, **{**WORSE, "max_epochs": 2}))
    assert result.best_epoch == best_epoch(out / "run") == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"monitor": "accuracy"}, "another --monitor"),
        ({"labels": ["species"]}, "other labels"),
        ({"class_mapping_json": "swapped.json"}, "other classes of 'species', or in another order"),
        ({"run_outputs_dir": "elsewhere"}, "is not of this run folder"),
    ],
)
def test_what_cannot_be_compared_begins_anew(
    data: Path, out: Path, changes: dict[str, Any], said: str, messages: pytest.LogCaptureFixture, monkeypatch: Any
) -> None:
    """With another monitor, other labels or another folder the first new epoch is the best, and one line says why."""
    monkeypatch.chdir(out)
    LabelMapping({"species": {"zebra": 0, "lion": 1}, "is/there": {"no": 0, "yes": 1}}).write(out / "swapped.json")
    assert LabelMapping.read(data / "label_mapping.json").names("species") == ("lion", "zebra")
    settings: dict[str, Any] = {"continue_training": True, "rebuild_model": True, **WORSE, "max_epochs": 3}
    result = run(make_config(data, out, model_to_load=out / "run", **{**settings, **changes}))
    assert result.best_epoch == 3
    lines = [record.getMessage() for record in messages.records if "best model begin anew" in record.getMessage()]
    assert len(lines) == 1
    assert said in lines[0]


def test_log_says_what_epochs_are_not_judged_by(data: Path, tmp_path: Path, messages: pytest.LogCaptureFixture) -> None:
    """Classes that only validation has are named once; each epoch is told with the loss that judges it, without them."""
    mapping = LabelMapping.from_classes({"species": ["lion", "zebra", "frog"], "is/there": ["no", "yes"]})
    strange = write_dataset(tmp_path / "strange", mapping=mapping, classes=("lion", "zebra", "frog"))
    settings: dict[str, Any] = {
        "labels": ["species"],
        "class_mapping_json": strange / "label_mapping.json",
        "test_tfr_path": [],
    }
    run(make_config(data, tmp_path, val_tfr_path=[strange], **settings))
    assert messages.text.count("without 2 validation records of classes that no training record has (frog)") == 1
    lines = [message for message in messages.messages if message.startswith("epoch ") and " of 2: " in message]
    judged = [float(match[1]) for line in lines if (match := re.search(r"judged by loss ([0-9.]+)", line))]
    assert len(judged) == 2
    assert "best so far" in lines[0]
    assert ("best so far" in lines[1]) == (judged[1] < judged[0])
    best = read_state(tmp_path / "run" / "model_best.keras")
    assert best is not None
    assert best.facts["best"]["best"] == pytest.approx(min(judged), abs=1e-4)
    assert all(one < printed for one, printed in zip(judged, validation_losses(tmp_path / "run"), strict=True))


def test_log_of_an_epoch_that_all_records_judge(data: Path, tmp_path: Path, messages: pytest.LogCaptureFixture) -> None:
    """Where the printed loss decides, the line of the epoch says the best so far and nothing else."""
    run(make_config(data, tmp_path, max_epochs=1, test_tfr_path=[]))
    (line,) = [message for message in messages.messages if message.startswith("epoch 1 of 1: ")]
    assert line.endswith("; best so far")
    assert "judged" not in messages.text
