"""The run folder: what is written while training, and what of an earlier attempt is moved out of the way."""

from __future__ import annotations

import contextlib
import csv
import math
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
import yaml

from camtrap_tf.config.training import TrainConfig
from camtrap_tf.errors import CamtrapError, ModelError
from camtrap_tf.files import write_csv, write_json, write_text
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.input_pipeline.shard_set import ShardSet
from camtrap_tf.labels import LabelMapping
from camtrap_tf.logs import logger
from camtrap_tf.models.locating import BEST_FILE, MAPPING_FILE, PREPROCESSING_FILE, RUN_FILE, epoch_of
from camtrap_tf.training.checkpoints import CHECKPOINTS
from camtrap_tf.training.earlier import CONFIG_FILE, EXTREMES, FINISHED_FILE, SERVICES_FILE, SHARDS_FILE
from camtrap_tf.training.event_files import cut_events
from camtrap_tf.training.state import TrainingState, read_state, state_path, write_state

LOG_FILE = "training.log"
METRICS_FILE = "metrics.csv"
TIMING_FILE = "timing.csv"
_TABLES = (LOG_FILE, METRICS_FILE, TIMING_FILE)
TEST_FILE = "test_preds.json"
TENSORBOARD = "tensorboard"
_SETUP = (CONFIG_FILE, RUN_FILE, MAPPING_FILE, PREPROCESSING_FILE, SHARDS_FILE)
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
        """Puts what an earlier attempt left aside, in `previous_<n>/`, so that it can be used there as a run folder.

        What the new attempt would mix up with its own is moved; what it shares, models and tables of epochs that lie behind, is
        in both places.

        Args:
            epoch: epochs of the earlier attempt that belong to this one too; checkpoints, models and log rows of later ones
                are moved. 0: all of them are.
            keep_best: whether the best model so far belongs to this training too.
        """
        models = {path: epoch_of(path.name.replace(".state.npz", ".keras")) or 0 for path in self.path.iterdir()}
        stale = [path for path, number in models.items() if number > epoch]
        shared = [path for path, number in models.items() if 0 < number <= epoch]
        best = [self.path / BEST_FILE, state_path(self.path / BEST_FILE)]
        tables = [*(self.path / name for name in _TABLES), self.path / TENSORBOARD]
        stale += [self.path / name for name in (TEST_FILE, CHECKPOINTS, FINISHED_FILE, EXTREMES, SERVICES_FILE)]
        stale += ([] if epoch else tables) + ([] if keep_best else best)
        stale = [path for path in stale if path.exists()]
        if not stale:
            return
        number = 1
        while (self.path / f"previous_{number}").exists():
            number += 1
        aside = self.path / f"previous_{number}"
        aside.mkdir()
        shared += [*(self.path / name for name in _SETUP), *(tables if epoch else []), *(best if keep_best else [])]
        copied = sum(_put(path, aside) for path in shared if path.exists())
        moved = sum(_files_in(path) for path in stale)
        for path in stale:
            os.replace(path, aside / path.name)
        self.cut_rows(epoch)
        _LOG.info("%s: of an earlier attempt %d files moved to %s and %d copied", self.path, moved, aside.name, copied)

    def write_setup(
        self,
        config: TrainConfig,
        mapping: LabelMapping,
        preprocessing: Preprocessing,
        info: Mapping[str, Any],
        shards: Mapping[str, ShardSet],
    ) -> None:
        """Writes what is known before training: settings, label mapping, image processing, shards, facts about the model."""
        text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        write_text(self.path / CONFIG_FILE, text)
        mapping.write(self.path / MAPPING_FILE)
        preprocessing.write(self.path / PREPROCESSING_FILE)
        write_json(self.path / SHARDS_FILE, {name: found.states() for name, found in shards.items()}, indent=None)
        write_json(self.path / RUN_FILE, dict(info))

    def go_on(self, *, epoch: int, best_epoch: int) -> None:
        """Makes the folder agree with a checkpoint: later rows are cut off, later model files removed. They will be made again.

        Args:
            epoch: epochs that lie behind.
            best_epoch: which of them is the best so far; 0: there is none yet.
        """
        later = [path for path in self.path.iterdir() if (epoch_of(path.name) or 0) > epoch]
        for path in later:
            path.unlink()
            state_path(path).unlink(missing_ok=True)
        self.cut_rows(epoch)
        (self.path / FINISHED_FILE).unlink(missing_ok=True)
        if best_epoch:
            self.require_best(best_epoch)

    def tidy(self) -> None:
        """Removes what a process that was killed left half written."""
        for path in self.path.glob(".*.part*"):
            path.unlink()

    def save_epoch(self, model: keras.Model, state: TrainingState, *, epoch: int, loss: float) -> Path:
        """Saves model and state of an epoch.

        Args:
            model: to save.
            state: of the training.
            epoch: counted from 1.
            loss: validation loss.

        Returns:
            The model file.

        Raises:
            CamtrapError: the disk is full or cannot be written to.
        """
        file = self.path / f"model_epoch_{epoch:02d}_loss_{loss:.2f}.keras"
        scratch = self.path / f".{file.stem}.part.keras"
        try:
            model.save(scratch)
            write_state(file, state)
            os.replace(scratch, file)
        except OSError as err:
            state_path(file).unlink(missing_ok=True)
            raise _unwritten(file, err) from err
        finally:
            scratch.unlink(missing_ok=True)
        return file

    def mark_best(self, epoch: int) -> None:
        """Copies model and state of an epoch as the best so far.

        Raises:
            ModelError: its files are gone.
            CamtrapError: the disk is full or cannot be written to.
        """
        models = self.path.glob("model_epoch_*.keras")
        files = [path for path in models if epoch_of(path.name) == epoch and state_path(path).is_file()]
        if not files:
            raise ModelError(f"{self.path}: the model of epoch {epoch}, the best so far, is gone; --resume off begins anew")
        _copy(state_path(files[0]), state_path(self.path / BEST_FILE))
        _copy(files[0], self.path / BEST_FILE)

    def require_best(self, epoch: int) -> None:
        """Makes sure that the best model is that of an epoch, copying it where it is another.

        Raises:
            ModelError: its files are gone.
        """
        known = read_state(self.path / BEST_FILE) if (self.path / BEST_FILE).is_file() else None
        if known is None or known.facts.get("epoch") != epoch:
            self.mark_best(epoch)

    def prune(self, *, keep: Iterable[int]) -> None:
        """Removes model files of all epochs but these."""
        kept = set(keep)
        for path in self.path.iterdir():
            if path.suffix == ".keras" and epoch_of(path.name) not in (None, *kept):
                path.unlink()
                state_path(path).unlink(missing_ok=True)

    def log_epoch(self, row: Mapping[str, float | int | None], *, step: int) -> None:
        """Adds a row to `training.log` and, with the number of steps so far, to `metrics.csv`."""
        self._add_row(LOG_FILE, row)
        self._add_row(METRICS_FILE, {"epoch": row["epoch"], "step": step, **row})

    def log_times(self, row: Mapping[str, float | int | None]) -> None:
        """Adds a row to `timing.csv`, which holds what differs from run to run."""
        self._add_row(TIMING_FILE, row)

    def _add_row(self, name: str, row: Mapping[str, float | int | None]) -> None:
        """Adds a row; rows of this or later epochs are cut off, other columns begin a new file."""
        file, number = self.path / name, int(row["epoch"] or 0)
        kept = [old for old in _rows(file) if old.keys() == row.keys() and _epoch(old) < number]
        rows = [list(old.values()) for old in kept] + [["" if value is None else value for value in row.values()]]
        write_csv(file, list(row), rows)

    def cut_rows(self, epoch: int) -> None:
        """Cuts off the rows of later epochs from all tables, and their events from TensorBoard's files."""
        for file in (self.path / name for name in _TABLES):
            rows = _rows(file)
            kept = [list(row.values()) for row in rows if _epoch(row) <= epoch]
            if len(kept) < len(rows):
                write_csv(file, list(rows[0]), kept)
        cut_events(self.path / TENSORBOARD, epoch)

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


def _rows(file: Path) -> list[dict[str, str]]:
    if not file.is_file():
        return []
    with file.open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def _epoch(row: Mapping[str, str]) -> float:
    """Returns the epoch of a row; none of ours where it is not a number, so that the row goes."""
    text = str(row.get("epoch"))
    return int(text) if text.isdigit() else math.inf


def _files_in(path: Path) -> int:
    """Returns how many files a path stands for."""
    return sum(one.is_file() for one in path.rglob("*")) if path.is_dir() else 1


def _put(path: Path, folder: Path) -> int:
    """Puts a file or folder into another folder too, models as links where there may be some; returns the number of files."""
    if path.is_dir():
        shutil.copytree(path, folder / path.name)
        return _files_in(path)
    if path.suffix in (".keras", ".npz"):  # these are replaced as a whole, never written into
        with contextlib.suppress(OSError):
            os.link(path, folder / path.name)
            return 1
    shutil.copy2(path, folder)
    return 1


def _copy(source: Path, target: Path) -> None:
    """Copies a file, whole or not at all; raises a CamtrapError where it cannot be written."""
    scratch = target.with_name(f".{target.name}.part")
    try:
        shutil.copyfile(source, scratch)
        os.replace(scratch, target)
    except OSError as err:
        raise _unwritten(target, err) from err
    finally:
        scratch.unlink(missing_ok=True)


def _unwritten(file: Path, err: OSError) -> CamtrapError:
    what = err.strerror or err
    return CamtrapError(
        f"{file}: cannot be written ({what}); the last checkpoint stays; make room and run the same command again"
    )
