"""The epochs of a training: steps, validation, what follows from it, and what is written."""

from __future__ import annotations

import collections
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from camtrap_tf.config.training import TrainConfig
from camtrap_tf.errors import CamtrapError, counted
from camtrap_tf.input_pipeline.batches import InputErrors, evaluation_batches, example_count, training_batches
from camtrap_tf.input_pipeline.order import Sampling
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.input_pipeline.shard_set import ShardSet
from camtrap_tf.labels import LabelMapping
from camtrap_tf.logs import logger
from camtrap_tf.models.heads import HeadSpec, blanks_of
from camtrap_tf.models.metrics import HeadScore, Scores
from camtrap_tf.prediction.aggregation import MEAN, Combining
from camtrap_tf.training.callbacks import Best, EarlyStopping, Flat, Plateau, judged, monitored, score_text
from camtrap_tf.training.checkpoints import CheckpointClock, Checkpoints, Position, listed
from camtrap_tf.training.live import EpochDisplay
from camtrap_tf.training.loggers import ScoreLoggers
from camtrap_tf.training.measuring import measure
from camtrap_tf.training.optimizers import rate_of, rate_used
from camtrap_tf.training.run_folder import RunFolder
from camtrap_tf.training.schedules import steps_per_epoch
from camtrap_tf.training.signals import SignalWatch, StopSignal
from camtrap_tf.training.state import StateProvider, state_of
from camtrap_tf.training.step import Stepper
from camtrap_tf.training.times import Times

LOSS_LAG = 8
"""Steps after which a loss is looked at, so that looking does not hold up the device."""
Running = collections.deque[tuple[int, tf.Tensor, tf.Tensor, tf.Tensor | None]]
"""Steps that are not looked at yet: number, loss, records, now and then the sums of the epoch so far."""
_LOG = logger(__name__)


@dataclass
class Progress:
    """Where a training stands.

    Attributes:
        epoch: epochs that lie behind.
        step: steps of the running epoch that lie behind.
        ended: why training ended before the last epoch, where it did.
        best: the best epoch so far.
        stopping: counts epochs without a better validation loss.
        plateau: the same for the learning rate.
        history: epoch → scores by name, of the epochs of this training.
        errors: pictures of the running epoch that could not be decoded.
    """

    epoch: int
    step: int = 0
    ended: str | None = None
    best: Best = field(default_factory=Best)
    stopping: EarlyStopping = field(default_factory=EarlyStopping)
    plateau: Plateau = field(default_factory=Plateau)
    history: dict[int, dict[str, Any]] = field(default_factory=dict)
    errors: InputErrors = field(default_factory=InputErrors)

    @property
    def position(self) -> Position:
        """The same as a place."""
        return Position(self.epoch, self.step)

    def state(self) -> dict[str, Any]:
        """Returns everything, for a checkpoint."""
        errors = {"seen": self.errors.seen, "failed": self.errors.failed, "records": list(self.errors.records)}
        history = {str(epoch): scores for epoch, scores in self.history.items()}
        return {**self.counters(), "step": self.step, "ended": self.ended, "history": history, "errors": errors}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes over everything from a checkpoint."""
        self.restore_counters(state)
        self.epoch, self.step, self.ended = int(state["epoch"]), int(state["step"]), state["ended"]
        self.history = {int(epoch): scores for epoch, scores in state["history"].items()}
        for name, value in state["errors"].items():
            setattr(self.errors, name, value)

    def counters(self) -> dict[str, Any]:
        """Returns the counters, for the state beside a model file."""
        return {
            "epoch": self.epoch,
            "best": self.best.state(),
            "stopping": self.stopping.state(),
            "plateau": self.plateau.state(),
        }

    def restore_counters(self, facts: Mapping[str, Any]) -> None:
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
        checkpoints: of the run folder.
        watch: for signals.
        environment: versions of libraries and the like, kept with every checkpoint.
        specs: label type → what its head is.
        sampling: which examples an epoch is made of; None: each once.
        combining: how the answers to the frames of a record become one.
        unseen: label type → `[C]` bool, classes without a training record, by which no epoch is judged.
        loggers: services that are told the scores.
        providers: name → what a checkpoint holds the state of and a resumed training restores, in this order.
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
    facts: dict[str, Any]
    checkpoints: Checkpoints
    watch: SignalWatch = field(default_factory=SignalWatch)
    environment: dict[str, Any] = field(default_factory=dict)
    providers: dict[str, StateProvider] = field(default_factory=dict)
    specs: Mapping[str, HeadSpec] = field(default_factory=dict)
    sampling: Sampling | None = None
    combining: Combining = MEAN
    unseen: Mapping[str, np.ndarray] = field(default_factory=dict)
    loggers: ScoreLoggers | None = None

    @property
    def example_count(self) -> int:
        """Training examples in an epoch."""
        return example_count(self.training, self.preprocessing, self.sampling)

    def frames_of(self, shards: ShardSet) -> tf.data.Dataset:
        """Returns every frame of a data set, in batches, for `measure`."""
        return evaluation_batches(
            shards,
            self.preprocessing,
            self.mapping,
            batch_size=self.config.batch_size,
            threads=self.config.n_cpus,
            blanks=blanks_of(self.specs),
        )


def run_epochs(work: Training, progress: Progress) -> str:
    """Trains from where it stands until the last epoch, or until the validation loss has stopped improving.

    Returns:
        Why it ended, one line.

    Raises:
        CamtrapError: the loss is not a number, or a checkpoint cannot be written.
        DatasetError: too many pictures cannot be decoded.
        StopSignal: a signal came; the checkpoint is written.
    """
    config = work.config
    validation = work.frames_of(work.validation)
    clock = CheckpointClock(every_steps=config.checkpoint_every_steps, every_minutes=config.checkpoint_every_minutes)
    with work.watch.deferred():
        try:
            while progress.epoch < config.max_epochs and progress.ended is None:
                times = Times()
                _train_epoch(work, progress, clock, times)
                _end_epoch(work, progress, validation, times)
                clock.written()
                work.watch.check()
        except StopSignal as stop:
            if stop.safe:
                save_checkpoint(work, progress, verify=True)
            raise
    return progress.ended or f"{counted(config.max_epochs, 'epoch')} done"


def save_checkpoint(work: Training, progress: Progress, *, verify: bool = False) -> None:
    """Writes a checkpoint of everything as it stands.

    Raises:
        CamtrapError: it cannot be written, or the weights are not numbers any more; earlier checkpoints stay.
    """
    state = {name: provider.state() for name, provider in work.providers.items()}
    values = state["model"]["values"]
    if not all(np.isfinite(value).all() for value in values if np.issubdtype(value.dtype, np.floating)):
        raise CamtrapError(_not_finite(f"weights at {progress.position.text}: one of them", work, ""))
    facts = {"best_epoch": progress.best.epoch, "environment": work.environment}
    work.checkpoints.write(progress.position, state, facts, verify=verify)


def _end_epoch(work: Training, progress: Progress, validation: tf.data.Dataset, times: Times) -> None:
    """Validates, decides what follows from it, and writes: rows, model file, checkpoint, best model, in this order.

    Killed in between, the checkpoint before is gone on from, and all of it is written again.
    """
    config, number = work.config, progress.epoch + 1
    with times.counted("validation_s"), work.stepper.delivered():
        validated = measure(
            work.stepper.predict,
            work.watch.between(validation),
            work.validation,
            work.mapping.label_types,
            specs=work.specs,
            combining=work.combining,
            regularisation=work.stepper.regularisation(),
        )
    trained = work.stepper.epoch_scores()
    loss = validated.scores.total_loss(work.stepper.loss_weights)
    if not math.isfinite(loss):
        raise CamtrapError(_not_finite(f"validation loss of epoch {number}", work, ""))
    if validated.errors.failed:
        _LOG.warning("validation: %s", validated.errors.text())
    fair = judged(validated.scores, work.unseen)
    value = monitored(config.monitor, fair, fair.total_loss(work.stepper.loss_weights))
    is_best = progress.best.update(value, epoch=number, loss=loss)
    differs = config.monitor != "loss" or value != loss
    verdict = (f"; judged by {score_text(config.monitor, value)}" if differs else "") + ("; best so far" if is_best else "")
    _report(work, number, trained, validated.scores, progress, verdict)
    progress.epoch, progress.step, progress.errors = number, 0, InputErrors()
    if progress.stopping.update(value, patience=config.early_stopping_patience):
        patience = config.early_stopping_patience
        progress.ended = f"stopped after epoch {number}: no better validation {config.monitor} for {patience} epochs"
    _lower_rate(work, progress, loss)
    with times.counted("save_s"):
        facts = {**progress.counters(), "learning_rate": rate_of(work.optimizer).base, **work.facts}
        with work.stepper.delivered():
            work.folder.save_epoch(work.model, state_of(work.optimizer, config.optimizer, facts), epoch=number, loss=loss)
        save_checkpoint(work, progress)
        if is_best:
            work.folder.mark_best(number)
        _prune(work, progress)
    work.folder.log_times({"epoch": number, **times.row()})


def _lower_rate(work: Training, progress: Progress, loss: float) -> None:
    """Lowers the base rate where the validation loss of the epoch that has just ended says so."""
    rate = rate_of(work.optimizer)
    base = rate.base
    lower = progress.plateau.update(loss, rate=base, flat=Flat.from_config(work.config))
    if lower < base:
        rate.base = lower
        told = "epoch %d: validation loss stays on one level; base of the learning rate %g from now on"
        _LOG.info(told, progress.epoch, lower)


def _prune(work: Training, progress: Progress) -> None:
    """Removes model files of epochs that are not wanted; those that a checkpoint may still call the best stay."""
    if work.config.keep_epochs == "best_last":
        best = {int(facts["best_epoch"]) for facts in work.checkpoints.facts()}
        work.folder.prune(keep={progress.epoch, progress.best.epoch, *best})


def epoch_batches(work: Training, epoch: int, *, start: int = 0) -> Iterator[Mapping[str, tf.Tensor]]:
    """Yields the batches of an epoch from step `start` on; nothing is read of those before.

    With `--n-batches-per-epoch-train` epochs are cut out of an endless row of passes through the data, each of which is
    a permutation of its own.
    """
    config = work.config
    batch_size, steps, once = steps_per_epoch(config, work.example_count)
    first, left = epoch * steps + start, steps - start
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
            blanks=blanks_of(work.specs),
            sampling=work.sampling,
        )
        taken = min(left, once - behind)
        yield from itertools.islice(batches, taken)
        first, left = first + taken, left - taken


def _train_epoch(work: Training, progress: Progress, clock: CheckpointClock, times: Times) -> None:
    """Takes the steps of one epoch that are still to be taken.

    Raises:
        CamtrapError: the loss of a batch is not a number.
        DatasetError: too many pictures cannot be decoded.
        StopSignal: a signal came, and nothing is under way.
    """
    epoch = progress.epoch
    work.stepper.enter_epoch(epoch)
    steps = steps_per_epoch(work.config, work.example_count)[1]
    running: Running = collections.deque()
    display = EpochDisplay(f"Epoch {epoch + 1} of {work.config.max_epochs}", total=steps, done=progress.step)
    batches = epoch_batches(work, epoch, start=progress.step)
    passed_over = np.zeros(len(work.mapping.label_types), np.int64)
    with times.counted("train_s"), display:
        for batch in display.batches(batches):
            progress.errors.add(batch)
            passed_over += np.asarray(batch["several"]).sum(axis=0)
            loss = work.stepper.train(batch)
            sums = work.stepper.running_sums() if display.wants_scores() else None
            running.append((progress.step, loss, batch["records"], sums))
            progress.step += 1
            times.steps, times.examples = times.steps + 1, times.examples + int(batch["records"].shape[0])
            due = clock.due()
            _check_losses(work, epoch, running, display, lag=0 if due or work.watch.received else LOSS_LAG)
            if due:
                save_checkpoint(work, progress)
                clock.written()
            work.watch.check()
        _check_losses(work, epoch, running, display, lag=0)
    times.waiting_s += display.waiting_s
    progress.errors.check(work.training)
    if progress.errors.failed:
        _LOG.warning("training: %s", progress.errors.text())
    if not progress.history:
        _tell_passed_over(work, passed_over, times.examples)


def _tell_passed_over(work: Training, counts: np.ndarray, examples: int) -> None:
    """Says how many examples of the first epoch have observations that no head looks at."""
    for label, count in zip(work.mapping.label_types, counts.tolist(), strict=True):
        if count:
            told = "label %r: %d of %d examples have several observations, of which the first counts"
            _LOG.info(told, label, count, examples)


def _check_losses(work: Training, epoch: int, running: Running, display: EpochDisplay, *, lag: int) -> None:
    """Looks at the losses of all but the last `lag` steps, and shows them."""
    while len(running) > lag:
        step, loss, records, sums = running.popleft()
        value = float(loss)
        _check_loss(work, epoch, step, value, records)
        display.tell(value, None if sums is None else _headlines(work.stepper.heads_of(sums.numpy())))


def _headlines(heads: Mapping[str, HeadScore]) -> dict[str, float | None]:
    """Returns the one score of each label type that people look at first."""
    return {label: score.as_dict()["micro_f1" if score.kind == "sigmoid" else "accuracy"] for label, score in heads.items()}


def _check_loss(work: Training, epoch: int, step: int, loss: float, records: tf.Tensor) -> None:
    if not math.isfinite(loss):
        ids = [work.training.example(int(record)).id for record in records.numpy()]
        shown = ", ".join(ids[:5]) + (", …" if len(ids) > 5 else "")
        _LOG.info("records of the batch whose loss is not a number: %s", ", ".join(ids))
        raise CamtrapError(_not_finite(f"loss of epoch {epoch + 1}, step {step + 1}", work, f" (records {shown})"))


def _not_finite(what: str, work: Training, where: str) -> str:
    """Returns a message: what is not a number, what helps, and what of this training is there to go on from."""
    folder = work.folder.path
    kept = next((f"the checkpoint of {position.text} stays" for position in listed(folder)), "no checkpoint is there yet")
    on = "--resume off begins anew at another rate"
    if any(folder.glob("model_epoch_*.keras")):
        on = f"--continue-training --model-to-load {folder} goes on from its last epoch at another rate"
    return (
        f"the {what} is not a number{where}; lower --initial-learning-rate {work.config.initial_learning_rate:g}, "
        f"or look at the data; {kept}, {on}"
    )


def _report(work: Training, number: int, trained: Scores, validated: Scores, progress: Progress, verdict: str) -> None:
    """Logs an epoch: one line, which ends in the verdict on it, a row of `training.log`, TensorBoard."""
    row: dict[str, float | int | None] = {"epoch": number}
    parts: dict[str, dict[str, float | None]] = {"train": {}, "val": {}}
    for part, prefix, scores in (("train", "", trained), ("val", "val_", validated)):
        total = scores.total_loss(work.stepper.loss_weights)
        row[f"{prefix}loss"] = parts[part]["loss"] = total
        for label, score in scores.heads.items():
            for name, value in score.as_dict().items():
                row[f"{prefix}label/{label}_{name}"] = parts[part][f"label/{label}_{name}"] = value
    row["lr"] = rate = rate_used(work.optimizer)
    steps = steps_per_epoch(work.config, work.example_count)[1]
    work.folder.log_epoch(row, step=number * steps)
    if work.loggers is not None:
        work.loggers.log(number, {name: value for name, value in row.items() if name != "epoch"})
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
        "epoch %d of %d: loss %.4f, validation loss %.4f; accuracy training/validation: %s; learning rate %g%s",
        number, work.config.max_epochs, row["loss"], row["val_loss"], heads, rate, verdict,
    )  # fmt: skip


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"
