"""A whole training with everything on that watches or varies it."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from camtrap_tf.config.watching import PlotConfig
from camtrap_tf.errors import SettingError
from camtrap_tf.training.plotting import plot
from camtrap_tf.training.train import train
from tests.unit.training.helpers import make_config, write_dataset

STRONG = {"randaugment": 0.3, "mixup": 0.4, "cutmix": 1.0, "random_erasing": 0.5}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Puts a stand-in in the place of wandb; returns what it is sent."""
    calls: list[Any] = []

    def init(**options: Any) -> Any:
        """Begins a run that remembers what it is told."""
        calls.append(("init", options["project"]))
        return SimpleNamespace(
            id="w1",
            log=lambda scores, step: calls.append(("log", step, sorted(scores))),
            finish=lambda exit_code: calls.append(("finish", exit_code)),
        )

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    return calls


def test_watched_training(tmp_path: Path, sent: list[Any], capfd: pytest.CaptureFixture[str]) -> None:
    """Services get every epoch, extreme examples are written, curves can be drawn, waiting is counted."""
    data = write_dataset(tmp_path / "data")
    config = make_config(data, tmp_path, log_to=["wandb"], log_project="traps", log_extreme_examples=2, **STRONG)
    assert train(config).bundle is not None
    assert sent[0] == ("init", "traps")
    assert [call[1] for call in sent if call[0] == "log"] == [1, 2]
    assert {"loss", "val_loss", "val_label/species_accuracy", "lr"} <= set(sent[1][2])
    assert sent[-1] == ("finish", 0)
    run = config.run_outputs_dir
    assert (run / "extreme_examples" / "species.csv").is_file()
    assert list((run / "extreme_examples" / "species").glob("*.png"))
    with (run / "timing.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert all(0 <= float(row["waiting_s"]) <= float(row["train_s"]) + 0.01 for row in rows)
    assert plot(PlotConfig(run=run)).file.is_file()


def test_extreme_examples_of_a_finished_training(tmp_path: Path) -> None:
    """Asked for afterwards, they are made from the finished training, without another epoch."""
    data = write_dataset(tmp_path / "data")
    train(make_config(data, tmp_path))
    before = (tmp_path / "run" / "metrics.csv").read_text()
    train(make_config(data, tmp_path, log_extreme_examples=1))
    assert (tmp_path / "run" / "extreme_examples" / "species.csv").is_file()
    assert (tmp_path / "run" / "metrics.csv").read_text() == before


def test_a_service_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said before anything is made."""
    monkeypatch.setitem(sys.modules, "mlflow", None)
    config = make_config(write_dataset(tmp_path / "data"), tmp_path, log_to=["mlflow"])
    with pytest.raises(SettingError, match="pip install mlflow"):
        train(config)
    assert not config.run_outputs_dir.exists()


def test_mixed_training_repeats(tmp_path: Path) -> None:
    """With everything that mixes and varies pictures on, the same settings give the same scores."""
    data = write_dataset(tmp_path / "data")
    for name in ("a", "b"):
        train(make_config(data, tmp_path / name, max_epochs=1, **STRONG))
    scores = [(tmp_path / name / "run" / "metrics.csv").read_text() for name in ("a", "b")]
    assert scores[0] == scores[1]
