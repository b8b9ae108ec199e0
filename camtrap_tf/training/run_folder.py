"""The run folder: what is written while training, and what of an earlier attempt is moved out of the way."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
import yaml

from camtrap_tf.config.training import TrainConfig
from camtrap_tf.files import write_csv, write_json, write_text
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.labels import LabelMapping
from camtrap_tf.logs import logger
from camtrap_tf.models.bundle import MAPPING_FILE, PREPROCESSING_FILE
from camtrap_tf.models.locating import BEST_FILE, RUN_FILE, epoch_of
from camtrap_tf.training.state import TrainingState, state_path, write_state

CONFIG_FILE = "config.yaml"
LOG_FILE = "training.log"
TEST_FILE = "test_preds.json"
TENSORBOARD = "tensorboard"
_LOG = logger(__name__)


class RunFolder:
    """Writes into a run folder.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writers: dict[str, Any] = {}

    def clear_way(self, *, epoch: int, keep_best: bool) -> None:
        """Moves what an earlier attempt left and this one would mix up with into `previous_<n>/`.

        Args:
            epoch: epochs that lie behind; checkpoints and log rows of later ones are moved. 0: all of them are.
            keep_best: whether the best model so far belongs to this training too.
        """
        stale = [path for path in self.path.iterdir() if (epoch_of(path.name.replace(".state.npz", ".keras")) or 0) > epoch]
        names = [TEST_FILE] if epoch else [TEST_FILE, LOG_FILE, TENSORBOARD]
        if not keep_best:
            names += [BEST_FILE, state_path(self.path / BEST_FILE).name]
        stale += [self.path / name for name in names if (self.path / name).exists()]
        if not stale:
            return
        number = 1
        while (self.path / f"previous_{number}").exists():
            number += 1
        aside = self.path / f"previous_{number}"
        aside.mkdir()
        if epoch and (self.path / LOG_FILE).exists():
            shutil.copy2(self.path / LOG_FILE, aside)
        for path in stale:
            os.replace(path, aside / path.name)
        _LOG.info("%s: %d files of an earlier attempt moved to %s", self.path, len(stale), aside.name)

    def write_setup(
        self, config: TrainConfig, mapping: LabelMapping, preprocessing: Preprocessing, info: Mapping[str, Any]
    ) -> None:
        """Writes what is known before training: settings, label mapping, image processing, facts about the model."""
        text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        write_text(self.path / CONFIG_FILE, text)
        mapping.write(self.path / MAPPING_FILE)
        preprocessing.write(self.path / PREPROCESSING_FILE)
        write_json(self.path / RUN_FILE, dict(info))

    def checkpoint(self, model: keras.Model, state: TrainingState, *, epoch: int, loss: float, best: bool) -> Path:
        """Saves model and state of an epoch, as best one too where it is; older epochs but the best are removed.

        Args:
            model: to save.
            state: of the training.
            epoch: counted from 1.
            loss: validation loss.
            best: whether it is the best so far.

        Returns:
            The model file.
        """
        file = self.path / f"model_epoch_{epoch:02d}_loss_{loss:.2f}.keras"
        scratch = self.path / f".{file.stem}.part.keras"
        model.save(scratch)
        write_state(file, state)
        os.replace(scratch, file)
        if best:
            _copy(state_path(file), state_path(self.path / BEST_FILE))
            _copy(file, self.path / BEST_FILE)
        self._prune(keep=(epoch, int(state.facts["best"]["epoch"])))
        return file

    def _prune(self, *, keep: Iterable[int]) -> None:
        kept = set(keep)
        for path in self.path.iterdir():
            if path.suffix == ".keras" and epoch_of(path.name) not in (None, *kept):
                path.unlink()
                state_path(path).unlink(missing_ok=True)

    def log_epoch(self, row: Mapping[str, float | int | None]) -> None:
        """Adds a row to `training.log`; rows of this or later epochs are cut off, other columns begin a new file."""
        file, kept = self.path / LOG_FILE, []
        if file.is_file():
            with file.open(newline="", encoding="utf-8") as opened:
                kept = [old for old in csv.DictReader(opened) if old.keys() == row.keys() and _before(old, row)]
        rows = [list(old.values()) for old in kept] + [["" if value is None else value for value in row.values()]]
        write_csv(file, list(row), rows)

    def tensorboard(self, epoch: int, scalars: Mapping[str, Mapping[str, float | None]]) -> None:
        """Writes TensorBoard events: part (`train`, `val`) → name → value."""
        for part, values in scalars.items():
            if part not in self._writers:
                self._writers[part] = tf.summary.create_file_writer(str(self.path / TENSORBOARD / part))
            with self._writers[part].as_default():
                for name, value in values.items():
                    if value is not None:
                        tf.summary.scalar(name, value, step=epoch)
            self._writers[part].flush()

    def close(self) -> None:
        """Closes the event files."""
        for writer in self._writers.values():
            writer.close()


def _before(old: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    return str(old["epoch"]).isdigit() and int(old["epoch"]) < int(row["epoch"] or 0)


def _copy(source: Path, target: Path) -> None:
    scratch = target.with_name(f".{target.name}.part")
    shutil.copyfile(source, scratch)
    os.replace(scratch, target)
