"""The end of a training: the best weights, measured, become the bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from camtrap_tf.files import write_json
from camtrap_tf.labels import LabelMapping
from camtrap_tf.models.bundle import Bundle
from camtrap_tf.models.heads import blanks_of
from camtrap_tf.models.locating import BEST_FILE
from camtrap_tf.models.weights import fit, load_keras_file, weighted_layers, weights_of
from camtrap_tf.prediction.writers import write_test_predictions
from camtrap_tf.records import MISSING
from camtrap_tf.training.earlier import FINISHED_FILE
from camtrap_tf.training.extremes import write_extremes
from camtrap_tf.training.inputs import Inputs
from camtrap_tf.training.loop import Progress, Training
from camtrap_tf.training.measuring import Measured, majority_accuracy, measure
from camtrap_tf.training.results import TrainResult, leftovers
from camtrap_tf.training.run_folder import TEST_FILE
from camtrap_tf.training.state import state_path
from camtrap_tf.training.strategies import in_float32


def finish(work: Training, inputs: Inputs, progress: Progress, info: Mapping[str, Any], ending: str) -> TrainResult:
    """Takes the best weights, measures them on the test data, writes the bundle."""
    assert inputs.full_mapping is not None
    config, best = work.config, work.folder.path / BEST_FILE
    misfits = fit(weighted_layers(work.model), weights_of(load_keras_file(best)))[1]
    assert not misfits, misfits
    scores = {"validation": _with_baseline(_validation(work, progress), "validation", inputs)}
    if "test" in inputs.shards:
        measured = measure(
            work.stepper.predict, work.frames_of(inputs.shards["test"]), inputs.shards["test"], work.mapping.label_types,
            specs=work.specs, combining=work.combining, keep=True, description="Test",
        )  # fmt: skip
        _write_test(work, inputs, measured)
        heads = {label: score.as_dict() for label, score in measured.scores.heads.items()}
        scores["test"] = _with_baseline(heads, "test", inputs)
    if config.log_extreme_examples:
        _write_extremes(work)
    bundle_info = {
        **info,
        "epoch": progress.best.epoch,
        "metrics": {"validation_loss": progress.best.loss, **scores},
    }
    bundle = Bundle(work.model, inputs.full_mapping, work.preprocessing, bundle_info)
    state = state_path(best)
    with in_float32(work.model):
        bundle.write(config.model_save_dir, beside={state_path(Path("model.keras")).name: state} if state.is_file() else {})
    if config.keep_epochs == "best_last":
        work.folder.prune(keep={progress.epoch, progress.best.epoch})
    said = {
        "ending": ending,
        "early": progress.ended is not None,
        "best_epoch": progress.best.epoch,
        "scores": scores,
        "model_sha256": bundle.info["model_sha256"],
    }
    write_json(work.folder.path / FINISHED_FILE, said)
    left = leftovers(work.folder.path)
    return TrainResult(ending, work.folder.path, config.model_save_dir, progress.best.epoch, scores, left)


def _write_extremes(work: Training) -> None:
    """Writes the validation pictures that the best model is surest and most mistaken about."""
    labels = work.mapping.label_types
    measured = measure(
        work.stepper.predict, work.frames_of(work.validation), work.validation, labels,
        specs=work.specs, combining=work.combining, keep=True, description="Extreme examples",
    )  # fmt: skip
    names = {label: work.mapping.names(label) for label in labels}
    write_extremes(
        work.folder.path, measured.rows, work.validation, names=names, specs=work.specs, k=work.config.log_extreme_examples
    )


def _validation(work: Training, progress: Progress) -> dict[str, dict[str, float | None]]:
    """Returns the validation scores of the best epoch, measured again where an earlier process found it."""
    if progress.best.epoch in progress.history:
        return progress.history[progress.best.epoch]["val"]
    measured = measure(
        work.stepper.predict, work.frames_of(work.validation), work.validation, work.mapping.label_types,
        specs=work.specs, combining=work.combining,
    )  # fmt: skip
    return {label: score.as_dict() for label, score in measured.scores.heads.items()}


def _with_baseline(
    heads: Mapping[str, Mapping[str, float | None]], part: str, inputs: Inputs
) -> dict[str, dict[str, float | None]]:
    mapping: LabelMapping = inputs.mapping  # type: ignore[assignment]  # without one there would have been a problem
    counts = inputs.counts[part]
    return {
        label: {
            **values,
            "baseline": None
            if inputs.specs[label].kind == "sigmoid"  # there is no most frequent class where there may be several
            else majority_accuracy(counts.get(label, {}), mapping.classes[label]),
        }
        for label, values in heads.items()
    }


def _write_test(work: Training, inputs: Inputs, measured: Measured) -> None:
    """Writes `test_preds.json`: every test record with a usable frame, with its labels as they stand in the shards."""
    shards, labels = inputs.shards["test"], work.mapping.label_types
    ids: list[str] = []
    truth: dict[str, list[str | list[str]]] = {label: [] for label in labels}
    blanks = blanks_of(work.specs)
    for rows in measured.rows:
        for record in rows.records:
            example = shards.example(int(record))
            ids.append(example.id)
            for label, classes in truth.items():
                observed = example.labels.get(label) or (MISSING,)
                classes.append(list(observed) if label in blanks else observed[0])
    write_test_predictions(
        work.folder.path / TEST_FILE,
        ids=ids,
        probabilities={label: np.concatenate([rows.probabilities[label] for rows in measured.rows]) for label in labels},
        ground_truth=truth,
        class_names={label: work.mapping.names(label) for label in labels},
        blanks={label: names[0] for label, names in blanks.items()},
    )
