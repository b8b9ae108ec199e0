"""The epochs of a training: steps, validation, what follows from it, and what is written."""

from __future__ import annotations

import collections
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf

from camtrap_tf.config.training import TrainConfig
from camtrap_tf.errors import CamtrapError
from camtrap_tf.input_pipeline.batches import InputErrors, evaluation_batches, example_count, training_batches
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.input_pipeline.shard_set import ShardSet
from camtrap_tf.labels import LabelMapping
from camtrap_tf.logs import logger
from camtrap_tf.models.metrics import Scores
from camtrap_tf.progress import track
from camtrap_tf.training.callbacks import Best, EarlyStopping, Plateau
from camtrap_tf.training.measuring import measure
from camtrap_tf.training.optimizers import rate_of
from camtrap_tf.training.run_folder import RunFolder
from camtrap_tf.training.state import state_of
from camtrap_tf.training.step import Stepper

LOSS_LAG = 8
"""Steps after which a loss is looked at, so that looking does not hold up the device."""
_LOG = logger(__name__)


@dataclass
class Progress:
    """Where a training stands.

    Attributes:
        epoch: epochs that lie behind.
        best: the best epoch so far.
        stopping: counts epochs without a better validation loss.
        plateau: the same for the learning rate.
        history: epoch → scores by name, of the epochs of this process.
    """

    epoch: int
    best: Best = field(default_factory=Best)
    stopping: EarlyStopping = field(default_factory=EarlyStopping)
    plateau: Plateau = field(default_factory=Plateau)
    history: dict[int, dict[str, Any]] = field(default_factory=dict)

    def state(self) -> dict[str, Any]:
        """Returns the counters, to be saved."""
        return {
            "epoch": self.epoch,
            "best": self.best.state(),
            "stopping": self.stopping.state(),
            "plateau": self.plateau.state(),
        }

    def restore(self, facts: Mapping[str, Any]) -> None:
        """Takes over saved counters."""
        self.best.restore(facts.get("best", {}))
        self.stopping.restore(facts.get("stopping", {}))
        self.plateau.restore(facts.get("plateau", {}))


@dataclass
class Training:
    """Everything that the epochs need.

    Attributes:
        config: the settings.
        model: that is trained.
        optimizer: that trains it.
        stepper: their steps.
        preprocessing: how pictures become model input.
        mapping: the label types to learn.
        training: shards to train on.
        validation: shards to validate on.
        folder: where everything goes.
        facts: kept in the state beside counters: digests of what was trained on.
    """

    config: TrainConfig
    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    stepper: Stepper
    preprocessing: Preprocessing
    mapping: LabelMapping
    training: ShardSet
    validation: ShardSet
    folder: RunFolder
    facts: dict[str, Any] = field(default_factory=dict)

    def frames_of(self, shards: ShardSet) -> tf.data.Dataset:
        """Returns every frame of a data set, in batches, for `measure`."""
        return evaluation_batches(
            shards, self.preprocessing, self.mapping, batch_size=self.config.batch_size, threads=self.config.n_cpus
        )


def run_epochs(work: Training, progress: Progress) -> str:
    """Trains until the last epoch, or until the validation loss has stopped improving.

    Returns:
        Why it ended, one line.

    Raises:
        CamtrapError: the loss is not a number.
        DatasetError: too many pictures cannot be decoded.
    """
    config = work.config
    validation = work.frames_of(work.validation)
    while progress.epoch < config.max_epochs:
        number = progress.epoch + 1
        trained = _train_epoch(work, progress.epoch)
        validated = measure(
            work.stepper.predict,
            validation,
            work.validation,
            work.mapping.label_types,
            regularisation=work.stepper.regularisation(),
        )
        loss = validated.scores.total_loss(work.stepper.loss_weights)
        if not math.isfinite(loss):
            raise CamtrapError(_not_finite(f"validation loss of epoch {number}", work, ""))
        if validated.errors.failed:
            _LOG.warning("validation: %s", validated.errors.text())
        rate = rate_of(work.optimizer).base
        _report(work, number, trained, validated.scores, rate, progress)
        progress.epoch = number
        is_best = progress.best.update(loss, epoch=number)
        stop = progress.stopping.update(loss, patience=config.early_stopping_patience)
        lower = progress.plateau.update(loss, rate=rate, patience=config.reduce_lr_on_plateau_patience)
        if lower < rate:
            rate_of(work.optimizer).base = lower
            _LOG.info("epoch %d: validation loss stays on one level, learning rate %g from now on", number, lower)
        facts = {**progress.state(), "learning_rate": rate_of(work.optimizer).base, **work.facts}
        state = state_of(work.optimizer, config.optimizer, facts)
        work.folder.checkpoint(work.model, state, epoch=number, loss=loss, best=is_best)
        if stop:
            return f"stopped after epoch {number}: no better validation loss for {config.early_stopping_patience} epochs"
    return f"all {config.max_epochs} epochs done"


def steps_per_epoch(config: TrainConfig, examples: int) -> tuple[int, int, int]:
    """Returns batch size, steps of an epoch, and steps in which all examples are seen once.

    A data set smaller than a batch makes the batch smaller.
    """
    batch_size = min(config.batch_size, examples)
    once = examples // batch_size if config.drop_remainder else math.ceil(examples / batch_size)
    return batch_size, config.n_batches_per_epoch_train or once, once


def epoch_batches(work: Training, epoch: int) -> Iterator[Mapping[str, tf.Tensor]]:
    """Yields the batches of an epoch.

    With `--n-batches-per-epoch-train` epochs are cut out of an endless row of passes through the data, each of which is
    a permutation of its own.
    """
    config = work.config
    batch_size, steps, once = steps_per_epoch(config, example_count(work.training, work.preprocessing))
    first, left = epoch * steps, steps
    while left:
        number, behind = divmod(first, once)
        batches = training_batches(
            work.training,
            work.preprocessing,
            work.mapping,
            batch_size=batch_size,
            epoch=number,
            seed=config.seed,
            buffer_size=config.buffer_size,
            drop_remainder=config.drop_remainder,
            threads=config.n_cpus,
            start_step=behind,
        )
        taken = min(left, once - behind)
        yield from itertools.islice(batches, taken)
        first, left = first + taken, left - taken


def _train_epoch(work: Training, epoch: int) -> Scores:
    """Takes the steps of one epoch.

    Raises:
        CamtrapError: the loss of a batch is not a number.
        DatasetError: too many pictures cannot be decoded.
    """
    steps = steps_per_epoch(work.config, example_count(work.training, work.preprocessing))[1]
    errors = InputErrors()
    running: collections.deque[tuple[int, tf.Tensor, tf.Tensor]] = collections.deque()
    described = f"Epoch {epoch + 1} of {work.config.max_epochs}"
    for step, batch in enumerate(track(epoch_batches(work, epoch), total=steps, description=described, unit="steps")):
        errors.add(batch)
        running.append((step, work.stepper.train(batch), batch["records"]))
        if len(running) > LOSS_LAG:
            _check_loss(work, epoch, *running.popleft())
    for one in running:
        _check_loss(work, epoch, *one)
    errors.check(work.training)
    if errors.failed:
        _LOG.warning("training: %s", errors.text())
    return work.stepper.epoch_scores()


def _check_loss(work: Training, epoch: int, step: int, loss: tf.Tensor, records: tf.Tensor) -> None:
    if not math.isfinite(float(loss)):
        ids = [work.training.example(int(record)).id for record in records.numpy()[:5]]
        shown = ", ".join(ids) + (", …" if len(records) > 5 else "")
        raise CamtrapError(_not_finite(f"loss of epoch {epoch + 1}, step {step + 1}", work, f" (records {shown})"))


def _not_finite(what: str, work: Training, where: str) -> str:
    return (
        f"the {what} is not a number{where}; lower --initial-learning-rate {work.config.initial_learning_rate:g}, "
        f"or look at these records; checkpoints of earlier epochs are in {work.folder.path}"
    )


def _report(work: Training, number: int, trained: Scores, validated: Scores, rate: float, progress: Progress) -> None:
    """Logs an epoch: one line, a row of `training.log`, TensorBoard."""
    row: dict[str, float | int | None] = {"epoch": number}
    parts: dict[str, dict[str, float | None]] = {"train": {}, "val": {}}
    for part, prefix, scores in (("train", "", trained), ("val", "val_", validated)):
        total = scores.total_loss(work.stepper.loss_weights)
        row[f"{prefix}loss"] = parts[part]["loss"] = total
        for label, score in scores.heads.items():
            for name, value in score.as_dict().items():
                row[f"{prefix}label/{label}_{name}"] = parts[part][f"label/{label}_{name}"] = value
    row["lr"] = rate
    work.folder.log_epoch(row)
    if work.config.tensorboard:
        work.folder.tensorboard(number, {**parts, "train": {**parts["train"], "learning_rate": rate}})
    progress.history[number] = {
        "loss": row["loss"],
        "val_loss": row["val_loss"],
        "val": {label: score.as_dict() for label, score in validated.heads.items()},
    }
    heads = ", ".join(
        f"{label} {_percent(trained.heads[label].as_dict()['accuracy'] if label in trained.heads else None)}/"
        f"{_percent(score.as_dict()['accuracy'])}"
        for label, score in validated.heads.items()
    )
    _LOG.info(
        "epoch %d of %d: loss %.4f, validation loss %.4f; accuracy training/validation: %s; learning rate %g",
        number, work.config.max_epochs, row["loss"], row["val_loss"], heads, rate,
    )  # fmt: skip


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"
