"""MLflow, Comet and Weights & Biases: told of a training's settings and scores where `--log-to` names them.

None of them is ever needed: their packages are imported when one is named, never before. A service that fails while
training runs is told nothing more, with a warning; training goes on. Without a key or a server they write into the run
folder, to be sent later with their own tools.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from camtrap_tf.config.watching import LogService
from camtrap_tf.errors import SettingError
from camtrap_tf.files import read_json, write_json
from camtrap_tf.logs import logger
from camtrap_tf.training.earlier import SERVICES_FILE

PACKAGES: dict[LogService, tuple[str, str]] = {
    "mlflow": ("mlflow", "mlflow"),
    "comet": ("comet_ml", "comet-ml"),
    "wandb": ("wandb", "wandb"),
}
"""Module and package of each service."""
_LONGEST_SETTING = 250
_COMET_AUTOMATIC = ("log_code", "log_graph", "auto_param_logging", "auto_metric_logging", "parse_args", "log_git_patch")
_LOG = logger(__name__)


class ScoreLogger(Protocol):
    """A service under way."""

    def log(self, epoch: int, scores: Mapping[str, float]) -> None:
        """Sends the scores of an epoch, counted from 1."""

    def close(self, *, failed: bool) -> None:
        """Ends the run."""


def check_services(services: Sequence[LogService]) -> None:
    """Makes sure that the packages of these services are there.

    Raises:
        SettingError: one is not installed, or does not load.
    """
    for service in services:
        module, package = PACKAGES[service]
        try:
            importlib.import_module(module)
        except ImportError as err:
            raise SettingError(
                f"--log-to {service}: the package {package} is not installed; run `pip install {package}`, "
                f"or leave {service} out"
            ) from err


class ScoreLoggers:
    """All services of a training; what one of them raises stops that one alone.

    The run folder keeps what each calls the run, so that a resumed training goes on there.
    """

    def __init__(
        self,
        services: Sequence[LogService],
        *,
        folder: Path,
        project: str,
        settings: Mapping[str, Any],
        resumed: bool = False,
    ) -> None:
        """Begins a run at each service.

        Args:
            services: by name.
            folder: run folder; its name is that of the run.
            project: of the run, at the services.
            settings: of the training.
            resumed: go on with the runs that the folder knows.
        """
        self._under_way: dict[str, ScoreLogger] = {}
        known = read_json(folder / SERVICES_FILE) if resumed and (folder / SERVICES_FILE).is_file() else {}
        ids: dict[str, str] = {}
        texts = {key: _text(value) for key, value in settings.items()}
        for service in services:
            with _Shielded(self, service):
                self._under_way[service], ids[service] = _STARTS[service](folder, project, texts, known.get(service))
        if ids:
            write_json(folder / SERVICES_FILE, {**known, **ids})

    def log(self, epoch: int, scores: Mapping[str, float | int | None]) -> None:
        """Sends the scores of an epoch to all; those that are not known are left out."""
        known = {_name(key): float(value) for key, value in scores.items() if value is not None}
        for service, one in list(self._under_way.items()):
            with _Shielded(self, service):
                one.log(epoch, known)

    def close(self, *, failed: bool = False) -> None:
        """Ends all runs."""
        for service, one in list(self._under_way.items()):
            with _Shielded(self, service):
                one.close(failed=failed)
        self._under_way.clear()

    def drop(self, service: str, err: Exception) -> None:
        """Leaves a service alone from now on."""
        self._under_way.pop(service, None)
        _LOG.warning("--log-to %s: %s: %s; training goes on without it", service, type(err).__name__, err)


class _Shielded:
    """A block whose errors leave one service out, and nothing else; whatever a foreign client raises is meant."""

    def __init__(self, loggers: ScoreLoggers, service: str) -> None:
        self._loggers, self._service = loggers, service

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, err: BaseException | None, trace: object) -> bool:
        if isinstance(err, Exception):
            self._loggers.drop(self._service, err)
            return True
        return False


class _Mlflow:
    """A run of MLflow: at the server that `MLFLOW_TRACKING_URI` names, else in `mlflow.db` of the run folder."""

    def __init__(self, folder: Path, project: str, settings: Mapping[str, str], known: str | None) -> None:
        self._mlflow = mlflow = importlib.import_module("mlflow")
        if not os.environ.get("MLFLOW_TRACKING_URI"):
            mlflow.set_tracking_uri(f"sqlite:///{folder.resolve() / 'mlflow.db'}")
            if mlflow.get_experiment_by_name(project) is None:
                mlflow.create_experiment(project, artifact_location=(folder.resolve() / "mlflow_artifacts").as_uri())
        mlflow.set_experiment(project)
        run = mlflow.start_run(run_id=known) if known else mlflow.start_run(run_name=folder.resolve().name)
        self.id = str(run.info.run_id)
        if not known:
            mlflow.log_params(dict(settings))

    def log(self, epoch: int, scores: Mapping[str, float]) -> None:
        self._mlflow.log_metrics(dict(scores), step=epoch)

    def close(self, *, failed: bool) -> None:
        self._mlflow.end_run(status="FAILED" if failed else "FINISHED")


class _Comet:
    """An experiment of Comet: sent where there is a key, else kept in `comet/` of the run folder."""

    def __init__(self, folder: Path, project: str, settings: Mapping[str, str], known: str | None) -> None:
        comet = importlib.import_module("comet_ml")
        quiet = dict.fromkeys(_COMET_AUTOMATIC, False)
        if not (os.environ.get("COMET_API_KEY") or comet.get_config("comet.api_key")):
            (folder / "comet").mkdir(exist_ok=True)
            self._experiment = comet.OfflineExperiment(project_name=project, offline_directory=str(folder / "comet"), **quiet)
        elif known:
            self._experiment = comet.ExistingExperiment(experiment_key=known, **quiet)
        else:
            self._experiment = comet.Experiment(project_name=project, **quiet)
        self.id = str(self._experiment.get_key())
        self._experiment.set_name(folder.resolve().name)
        self._experiment.log_parameters(dict(settings))

    def log(self, epoch: int, scores: Mapping[str, float]) -> None:
        self._experiment.log_metrics(dict(scores), step=epoch, epoch=epoch)

    def close(self, *, failed: bool) -> None:
        self._experiment.log_other("ended", "failed" if failed else "finished")
        self._experiment.end()


class _Wandb:
    """A run of Weights & Biases: sent where `WANDB_API_KEY` or `WANDB_MODE` says so, else kept in the run folder."""

    def __init__(self, folder: Path, project: str, settings: Mapping[str, str], known: str | None) -> None:
        wandb = importlib.import_module("wandb")
        self._run = wandb.init(
            project=project,
            name=folder.resolve().name,
            dir=str(folder.resolve()),
            id=known,
            resume="allow" if known else None,
            config=dict(settings),
            mode=None if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_MODE") else "offline",
        )
        self.id = str(self._run.id)

    def log(self, epoch: int, scores: Mapping[str, float]) -> None:
        self._run.log(dict(scores), step=epoch)

    def close(self, *, failed: bool) -> None:
        self._run.finish(exit_code=1 if failed else 0)


def _started(kind: Callable[..., Any]) -> Callable[..., tuple[ScoreLogger, str]]:
    def start(folder: Path, project: str, settings: Mapping[str, str], known: str | None) -> tuple[ScoreLogger, str]:
        """Begins or goes on with a run; returns it and its id."""
        made = kind(folder, project, settings, known)
        return made, made.id

    return start


_STARTS: dict[str, Callable[..., tuple[ScoreLogger, str]]] = {
    "mlflow": _started(_Mlflow),
    "comet": _started(_Comet),
    "wandb": _started(_Wandb),
}


def _text(value: Any) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text if len(text) <= _LONGEST_SETTING else text[: _LONGEST_SETTING - 1] + "…"


def _name(score: str) -> str:
    """Returns the name of a score with nothing in it but what all services take."""
    return re.sub(r"[^\w\-. /]", "_", score)
