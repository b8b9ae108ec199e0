"""From shards to a run folder and a finished bundle, with TensorFlow; `train.py` has looked at everything before."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import tensorflow as tf

from camtrap_tf import __version__
from camtrap_tf.config.names import OWN_BACKBONES, Normalisation
from camtrap_tf.config.training import TrainConfig
from camtrap_tf.errors import CamtrapError
from camtrap_tf.executors import available_cores
from camtrap_tf.files import digest_of, sha256_file
from camtrap_tf.input_pipeline.batches import example_count
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.input_pipeline.statistics import channel_statistics
from camtrap_tf.input_pipeline.strong_augment import StrongAugmentation
from camtrap_tf.logs import logger
from camtrap_tf.models.backbones import backbone_scaling
from camtrap_tf.models.bundle import FORMAT_VERSION, describe_heads
from camtrap_tf.models.choice import default_side_px, has_weights
from camtrap_tf.models.classifier import build_classifier, freeze_backbone, head_layers
from camtrap_tf.models.locating import PREPROCESSING_FILE
from camtrap_tf.prediction.aggregation import Combining
from camtrap_tf.training.best_so_far import of_this_folder, why_best_begins_anew
from camtrap_tf.training.callbacks import EarlyStopping, Plateau, score_text, unjudged
from camtrap_tf.training.checkpoints import Checkpoint, Checkpoints
from camtrap_tf.training.copying import CopyReport, copy_weights, nothing_copied, require_complete
from camtrap_tf.training.devices import compiles, order_operations, strategy_on
from camtrap_tf.training.finishing import finish
from camtrap_tf.training.imbalance import set_up_balance
from camtrap_tf.training.inputs import Inputs
from camtrap_tf.training.loggers import ScoreLoggers
from camtrap_tf.training.loop import Progress, Training, run_epochs
from camtrap_tf.training.optimizers import rate_of
from camtrap_tf.training.results import TrainResult
from camtrap_tf.training.run_folder import RunFolder
from camtrap_tf.training.schedules import Thaw, freezes_batch_norm, steps_per_epoch
from camtrap_tf.training.signals import SignalWatch
from camtrap_tf.training.start_rule import settings_that_count
from camtrap_tf.training.state import RateState, StateProvider, VariablesState, restore_optimizer
from camtrap_tf.training.step import Stepper
from camtrap_tf.training.strategies import (
    computing_in,
    freeze_batch_norm,
    heads_from_zero,
    set_up,
    synchronise_batch_norm,
)

_LOG = logger(__name__)


def run_training(config: TrainConfig, inputs: Inputs, behind: int, watch: SignalWatch) -> TrainResult:
    """Trains from the start rule to the bundle, in a run folder that is locked.

    Args:
        config: the settings.
        inputs: what `gather` found, without a problem.
        behind: epochs that lie behind.
        watch: the signals that may stop it.

    Raises:
        CamtrapError: something cannot be used after all.
        StopSignal: a signal came.
    """
    order_operations(inputs.devices)
    folder, checkpoints = RunFolder(config.run_outputs_dir), Checkpoints(config.run_outputs_dir)
    folder.tidy()
    checkpoints.tidy()
    restored = checkpoints.newest() if inputs.start.resumes else None
    progress = Progress(behind)
    work, info = _set_up(config, inputs, progress, folder, checkpoints, watch, fresh=restored is None)
    if restored is not None:
        _restore(work, progress, restored)
    work.loggers = ScoreLoggers(
        config.log_to, folder=folder.path, project=config.log_project, settings=settings_that_count(config),
        resumed=restored is not None,
    )  # fmt: skip
    failed = True
    try:
        ending = run_epochs(work, progress)
        failed = False
    finally:
        folder.close()
        work.loggers.close(failed=failed)
    return finish(work, inputs, progress, info, ending)


def _set_up(
    config: TrainConfig, inputs: Inputs, progress: Progress, folder: RunFolder, checkpoints: Checkpoints, watch: SignalWatch,
    *, fresh: bool,
) -> tuple[Training, dict[str, Any]]:  # fmt: skip
    """Makes everything that a training works with, as it is before its first step, and writes what is known by then.

    Args:
        config: the settings.
        inputs: what `gather` found.
        progress: at the epochs that lie behind; takes over counters of the training that is continued.
        folder: run folder.
        checkpoints: of the run folder.
        watch: the signals that may stop it.
        fresh: whether it begins now; else it will be put where a checkpoint was.

    Returns:
        The training, and what `run.json` says of it.
    """
    assert inputs.mapping is not None  # without one there would have been a problem
    assert inputs.full_mapping is not None
    behind = progress.epoch
    keras.utils.set_random_seed(seed_for(config.seed, "weights"))
    preprocessing = choose_preprocessing(config, inputs)
    strategy = strategy_on(inputs.devices, synchronised=config.synchronised_batch_norm)
    _LOG.info("mode: %s; recipe: %s; devices: %s", inputs.start.text, config.recipe, ", ".join(inputs.devices))
    for told in unjudged(inputs.unseen, inputs.mapping, inputs.counts.get("validation", {})):
        _LOG.info("%s", told)
    with strategy.scope():
        with computing_in(config.precision):
            model = starting_model(config, inputs, preprocessing)
        sampling, objectives = set_up_balance(config, inputs)
        steps = steps_per_epoch(config, example_count(inputs.shards["training"], preprocessing, sampling))
        before = 0 if inputs.start.mode == "continue" else _begun_at(inputs, behind)
        optimizer, unfreezing = set_up(config, model, batch_size=steps[0], epoch_steps=steps[1], behind=before)
    combining = frames_combined(config, inputs)
    facts = {
        "validation": inputs.shards["validation"].digest,
        "labels": list(inputs.trained),
        "weights": list(config.labels_loss_weights),
        "monitor": config.monitor,
        "aggregation": combining.mode,
    }
    if fresh:
        _take_over_state(config, inputs, optimizer)
        same_run = inputs.start.continues and _take_over_best(config, inputs, progress, folder, facts, preprocessing)
        same_folder = inputs.start.continues and inputs.source is not None and of_this_folder(folder.path, inputs.source.file)
        folder.clear_way(epoch=behind if same_folder else 0, keep_best=same_run)
    info = {**_info(config, inputs, preprocessing, behind), "aggregation_mode": combining.mode}
    folder.write_setup(config, inputs.full_mapping, preprocessing, info, inputs.shards)
    stepper = Stepper(
        model, optimizer, strategy=strategy, preprocessing=preprocessing, loss_weights=loss_weights(config, inputs),
        strong=StrongAugmentation.from_config(config), unfreezing=unfreezing, accumulate_steps=config.accumulate_steps,
        objectives=objectives, predicts_logits=combining.of_logits,
        jit_compile=compiles(config.jit_compile, inputs.devices),
    )  # fmt: skip
    work = Training(
        config, model, optimizer, stepper, preprocessing, inputs.mapping,
        inputs.shards["training"], inputs.shards["validation"], folder, facts, checkpoints, watch,
        {**info["versions"], "cores": available_cores(), "devices": list(inputs.devices)},
        specs=inputs.specs, sampling=sampling, combining=combining, unseen=inputs.unseen,
    )  # fmt: skip
    work.providers |= _providers(work, progress)
    return work, info


def _providers(work: Training, progress: Progress) -> dict[str, StateProvider]:
    """Returns what a checkpoint keeps of a training, by name."""
    return {
        "model": VariablesState(lambda: work.model.variables, "model"),
        "optimizer": VariablesState(lambda: work.optimizer.variables, "optimiser"),
        "rate": RateState(rate_of(work.optimizer)),
        "sums": work.stepper,
        "progress": progress,
    }


def frames_combined(config: TrainConfig, inputs: Inputs) -> Combining:
    """Returns how the answers to the frames of an event become one: as told, else as in the model that is continued."""
    earlier = inputs.start.earlier.info.get("aggregation_mode") if inputs.start.earlier is not None else None
    known = earlier or (inputs.source.aggregation_mode if inputs.source is not None else "mean")
    return Combining.of(config.aggregation_mode or known, inputs.specs)


def _begun_at(inputs: Inputs, behind: int) -> int:
    """Returns how many epochs lay behind when the training began, in an earlier process perhaps."""
    earlier = inputs.start.earlier
    return behind if earlier is None else int(earlier.info.get("epochs_before", 0))


def _restore(work: Training, progress: Progress, restored: Checkpoint) -> None:
    """Puts everything where it was at a checkpoint.

    Raises:
        CamtrapError: the checkpoint does not fit, or the best model so far is gone.
    """
    absent = [name for name in work.providers if name not in restored.state]
    if absent:
        raise CamtrapError(
            f"{work.folder.path}: its checkpoint holds no state of {absent[0]}; it was written by another version; "
            "--resume off begins anew"
        )
    for name, provider in work.providers.items():
        provider.restore(restored.state[name])
    work.folder.go_on(epoch=progress.epoch, best_epoch=progress.best.epoch)
    _LOG.info("going on after %s", progress.position.text)
    before = restored.facts.get("environment", {})
    changed = [f"{name} {before.get(name)} → {now}" for name, now in work.environment.items() if before.get(name) != now]
    if changed:
        _LOG.warning("not as when this training began, so last bits may come out otherwise: %s", ", ".join(changed))


def seed_for(seed: int, use: str) -> int:
    """Returns the seed of one use, in 32 bits; uses with other names have seeds of their own."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{use}".encode()).digest()[:4], "big")


def choose_preprocessing(config: TrainConfig, inputs: Inputs) -> Preprocessing:
    """Returns how pictures become model input: size and scaling of the backbone, the source's, or the data's."""
    training = inputs.shards["training"]
    if inputs.start.resumes:
        return Preprocessing.read(config.run_outputs_dir / PREPROCESSING_FILE)
    if inputs.source is not None:
        old = inputs.source.preprocessing
        wanted = Preprocessing.from_config(
            config, input_size=old.output_height, normalisation=old.normalisation, stored_form=training.stored_form,
            image_means=old.image_means, image_stdevs=old.image_stdevs,
        )  # fmt: skip
        if wanted.stacked != old.stacked:
            _LOG.warning(
                "--image-choice-for-sets %s: the model was trained with %s",
                wanted.image_choice_for_sets,
                old.image_choice_for_sets,
            )
        return replace(wanted, output_width=config.output_width or old.output_width)
    trained = has_weights(config.model, config.weights)
    default: Normalisation = "backbone" if trained and config.model not in OWN_BACKBONES else "dataset"
    normalisation = config.normalisation or default
    if not trained and config.model not in OWN_BACKBONES:
        _LOG.info("weights are random; --weights imagenet (or a file) usually needs far fewer pictures")
    size = config.output_height if config.output_height and config.output_width else default_side_px(config.model)
    wanted = Preprocessing.from_config(config, input_size=size, normalisation=normalisation, stored_form=training.stored_form)
    if normalisation == "backbone":
        scaling = backbone_scaling(config.model)
        return wanted.with_statistics(scaling.means, scaling.stdevs)
    seed = seed_for(config.seed, "statistics")
    means, stdevs = channel_statistics(training, wanted, seed=seed, threads=config.n_cpus)
    return wanted.with_statistics(means, stdevs)


def starting_model(config: TrainConfig, inputs: Inputs, preprocessing: Preprocessing) -> keras.Model:
    """Builds the model and fills it as the start rule says."""
    assert inputs.mapping is not None
    copies = inputs.start.copies
    given = copies or inputs.start.resumes  # weights come from elsewhere
    settings = config.model_copy(update={"weights": "none"}) if given else config
    model = build_classifier(settings, inputs.mapping, preprocessing, specs=inputs.specs)
    if copies and inputs.source is not None:
        report = copy_weights(model, inputs.mapping, inputs.source)
        _LOG.info("from %s:\n%s", inputs.source.file, _table(report, config, inputs))
        require_complete(report, inputs.start, config, inputs.source)
    elif not given:
        _LOG.info("weights of the backbone: %s\n%s", config.weights, _table(nothing_copied(inputs.mapping), config, inputs))
    if inputs.start.frozen:
        freeze_backbone(model)
    if config.head_epochs and not given:
        heads_from_zero(model)
    if freezes_batch_norm(config):
        freeze_batch_norm(model)
    if config.synchronised_batch_norm:
        synchronise_batch_norm(model)
    for label, head in head_layers(model).items():
        head.trainable = label in inputs.trained
    return model


def _table(report: CopyReport, config: TrainConfig, inputs: Inputs) -> str:
    """Returns the table of what was taken over and what is trained."""
    head_epochs = Thaw.from_config(config).head_epochs
    notes = [f"from epoch {head_epochs + 1} on"] if head_epochs else []
    if freezes_batch_norm(config):
        notes.append("batch normalisation frozen")
    note = "".join(f", {one}" for one in notes)
    return report.table(frozen=inputs.start.frozen, trained=inputs.trained, note=note)


def _take_over_state(config: TrainConfig, inputs: Inputs, optimizer: keras.optimizers.Optimizer) -> None:
    """Restores optimiser and learning rate where training goes on with them."""
    source = inputs.source
    if inputs.start.mode != "continue" or source is None:
        return
    if source.state is None:
        _LOG.warning("%s: no state of the optimiser beside it; the optimiser begins anew", source.file)
        return
    reason = _reordered(inputs) or restore_optimizer(optimizer, config.optimizer, source.state)
    if reason:
        _LOG.warning("the optimiser begins anew: %s", reason)
    saved = float(source.state.facts.get("learning_rate", config.initial_learning_rate))
    if "initial_learning_rate" in config.model_fields_set:
        _LOG.info(
            "learning rate %g as given; it was %g at the end of the earlier training", config.initial_learning_rate, saved
        )
    else:
        rate_of(optimizer).base = saved
        _LOG.info("learning rate %g, as before", saved)


def _take_over_best(
    config: TrainConfig, inputs: Inputs, progress: Progress, folder: RunFolder, facts: Mapping[str, Any],
    preprocessing: Preprocessing,
) -> bool:  # fmt: skip
    """Restores the best epoch so far where training goes on in its run folder, and patience too with the same optimiser.

    Returns:
        Whether the best model so far counts.
    """
    reason = why_best_begins_anew(folder, inputs, facts, preprocessing, behind=progress.epoch)
    if reason is not None:
        _LOG.info("patience and best model begin anew: %s", reason)
        return False
    assert inputs.source is not None
    assert inputs.source.state is not None
    progress.restore_counters(inputs.source.state.facts)
    best = progress.best
    if inputs.start.mode == "continue_rebuild":  # a new optimiser has to be given time
        progress.stopping, progress.plateau = EarlyStopping(), Plateau()
    elif 0 < config.early_stopping_patience <= progress.stopping.wait:
        progress.stopping.wait = 0
        _LOG.info("patience is counted anew, since the earlier training ended for want of it; its best model still counts")
    judged_by = score_text(config.monitor, best.best)
    _LOG.info("the best so far is epoch %d, validation %s; it stays until one is better", best.epoch, judged_by)
    return True


def _reordered(inputs: Inputs) -> str | None:
    """Says why the optimiser's memory of a head would be that of other classes, if it would."""
    assert inputs.mapping is not None
    assert inputs.source is not None
    for label in inputs.mapping.label_types:
        if inputs.mapping.names(label) != inputs.source.mapping.names(label):
            return f"classes of {label!r} are in another order"
    return None


def loss_weights(config: TrainConfig, inputs: Inputs) -> dict[str, float]:
    """Returns label type → weight in the loss, of those that are trained."""
    weights = dict(zip(config.labels, config.labels_loss_weights or (1.0,) * len(config.labels), strict=True))
    return {label: weights[label] for label in inputs.trained}


def _info(config: TrainConfig, inputs: Inputs, preprocessing: Preprocessing, behind: int) -> dict[str, Any]:
    """Returns what is known about the model before it is trained; part of `bundle.json`."""
    assert inputs.mapping is not None
    if inputs.start.earlier is not None:
        return inputs.start.earlier.info
    weights: dict[str, Any] = {"origin": config.weights if config.weights in ("none", "imagenet") else "file"}
    if inputs.source is not None:
        weights = {"origin": inputs.start.mode, "model_sha256": sha256_file(inputs.source.file)}
    elif weights["origin"] == "file":
        weights |= {"name": Path(config.weights).name, "sha256": sha256_file(Path(config.weights))}
    return {
        "format_version": FORMAT_VERSION,
        "kind": "run",
        "heads": describe_heads(inputs.mapping, config.labels, inputs.specs),
        "backbone": {"name": config.model, "weights": weights, "frozen": inputs.start.frozen},
        "input": {"height": preprocessing.output_height, "width": preprocessing.output_width},
        "parents": {name: shards.digest for name, shards in inputs.shards.items()},
        "train_label_counts": inputs.counts["training"],
        "config_sha256": digest_of(settings_that_count(config)),
        "seed": config.seed,
        "epochs_before": behind,
        "versions": {
            "camtrap_tf": __version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
            "h5py": h5py.__version__,
            "python": platform.python_version(),
        },
    }
