"""Services that take scores, with stand-ins for their packages."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from camtrap_tf.errors import SettingError
from camtrap_tf.training.loggers import PACKAGES, ScoreLoggers, check_services


class Recorder(ModuleType):
    """A module that writes down every call of any of its functions."""

    def __init__(self, name: str, answers: dict[str, Any]) -> None:
        super().__init__(name)
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self._answers = answers

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*args: Any, **options: Any) -> Any:
            """Remembers the call."""
            self.calls.append((name, args, options))
            answer = self._answers.get(name)
            return answer(*args, **options) if callable(answer) else answer

        return call

    def arguments(self, name: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Returns what a function was last called with."""
        return next((args, options) for called, args, options in reversed(self.calls) if called == name)


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, Recorder]:
    """Puts stand-ins in the place of all three packages, with no key or server anywhere."""
    for variable in ("MLFLOW_TRACKING_URI", "COMET_API_KEY", "WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(variable, raising=False)
    experiment = Recorder("experiment", {"get_key": "c1"})
    run = Recorder("run", {})
    run.__dict__["id"] = "w1"
    made = {
        "mlflow": Recorder("mlflow", {"start_run": SimpleNamespace(info=SimpleNamespace(run_id="m1"))}),
        "comet_ml": Recorder(
            "comet_ml",
            {kind: lambda **_: experiment for kind in ("Experiment", "OfflineExperiment", "ExistingExperiment")},
        ),
        "wandb": Recorder("wandb", {"init": lambda **_: run}),
    }
    for name, module in made.items():
        monkeypatch.setitem(sys.modules, name, module)
    return {**made, "experiment": experiment, "run": run}


def start(folder: Path, *services: str, resumed: bool = False) -> ScoreLoggers:
    """Begins runs."""
    settings = {"batch_size": 8, "labels": ["species", "count"], "long": "x" * 999}
    return ScoreLoggers(services, folder=folder, project="traps", settings=settings, resumed=resumed)  # type: ignore[arg-type]  # services by plain texts


SCORES = {"loss": 1.5, "val_label/is+there_accuracy": 0.5, "val_loss": None, "epoch": 3}


def test_mlflow(modules: dict[str, Recorder], tmp_path: Path) -> None:
    """Without a server everything goes into the run folder; settings are shortened, names made safe, gaps left out."""
    loggers = start(tmp_path, "mlflow")
    loggers.log(3, SCORES)
    loggers.close()
    mlflow = modules["mlflow"]
    assert mlflow.arguments("set_tracking_uri")[0] == (f"sqlite:///{tmp_path}/mlflow.db",)
    params = mlflow.arguments("log_params")[0][0]
    assert params["labels"] == "species count"
    assert len(params["long"]) == 250
    assert mlflow.arguments("log_metrics") == (
        ({"loss": 1.5, "val_label/is_there_accuracy": 0.5, "epoch": 3.0},),
        {"step": 3},
    )
    assert mlflow.arguments("end_run")[1] == {"status": "FINISHED"}


def test_mlflow_with_a_server(modules: dict[str, Recorder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that the environment names is left alone."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://there")
    start(tmp_path, "mlflow")
    assert "set_tracking_uri" not in [name for name, _, _ in modules["mlflow"].calls]


def test_comet(modules: dict[str, Recorder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key experiments stay offline in the run folder; with one they are sent, and gone on with."""
    loggers = start(tmp_path, "comet")
    loggers.log(3, SCORES)
    loggers.close(failed=True)
    assert modules["comet_ml"].arguments("OfflineExperiment")[1]["offline_directory"] == str(tmp_path / "comet")
    assert modules["experiment"].arguments("log_metrics")[1] == {"step": 3, "epoch": 3}
    assert modules["experiment"].arguments("log_other")[0] == ("ended", "failed")
    monkeypatch.setenv("COMET_API_KEY", "k")
    start(tmp_path, "comet")
    assert modules["comet_ml"].calls[-1][0] == "Experiment"
    start(tmp_path, "comet", resumed=True)
    assert modules["comet_ml"].arguments("ExistingExperiment")[1]["experiment_key"] == "c1"


def test_wandb(modules: dict[str, Recorder], tmp_path: Path) -> None:
    """Without a key runs stay offline; a resumed training goes on with its run, a new one does not."""
    start(tmp_path, "wandb").log(2, SCORES)
    first = modules["wandb"].arguments("init")[1]
    assert (first["mode"], first["id"], first["dir"]) == ("offline", None, str(tmp_path))
    assert modules["run"].arguments("log")[1] == {"step": 2}
    assert (tmp_path / "log_services.json").is_file()
    start(tmp_path, "wandb", resumed=True).close(failed=True)
    again = modules["wandb"].arguments("init")[1]
    assert (again["id"], again["resume"]) == ("w1", "allow")
    assert modules["run"].arguments("finish")[1] == {"exit_code": 1}
    start(tmp_path, "wandb")
    assert modules["wandb"].arguments("init")[1]["id"] is None


def test_a_service_that_fails_is_left_out(
    modules: dict[str, Recorder], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Training goes on when a service cannot be reached, and the others are still told."""

    def broken(*_: Any, **__: Any) -> None:
        """Fails like a network that is down."""
        raise ConnectionError("no route to host")

    modules["mlflow"]._answers["log_metrics"] = broken
    loggers = start(tmp_path, "mlflow", "wandb")
    loggers.log(1, SCORES)
    loggers.log(2, SCORES)
    assert caplog.text.count("--log-to mlflow: ConnectionError: no route to host") == 1
    assert [args[1] for args in [(n, o) for n, _, o in modules["run"].calls if n == "log"]] == [{"step": 1}, {"step": 2}]


@pytest.mark.parametrize("service", list(PACKAGES))
def test_a_package_that_is_not_there(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said before training, with the command that installs it."""
    module, package = PACKAGES[service]
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SettingError, match=f"--log-to {service}: .* `pip install {package}`"):
        check_services([service])


def test_nothing_asked_for_imports_nothing(tmp_path: Path) -> None:
    """Without services no package is touched and nothing is written."""
    before = set(sys.modules)
    check_services(())
    loggers = start(tmp_path)
    loggers.log(1, SCORES)
    loggers.close()
    assert not {"mlflow", "comet_ml", "wandb"} & (set(sys.modules) - before)
    assert not list(tmp_path.iterdir())
