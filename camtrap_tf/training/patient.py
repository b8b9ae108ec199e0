"""What `camtrap train doctor` looks at with TensorFlow: the training's own model and data, before it runs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from camtrap_tf.config.training import TrainConfig
from camtrap_tf.input_pipeline.augment import augment_batch
from camtrap_tf.input_pipeline.batches import InputErrors, training_batches
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.input_pipeline.strong_augment import StrongAugmentation, strengthen_batch
from camtrap_tf.models.heads import blanks_of
from camtrap_tf.models.scaling import NORMALISATION_LAYER
from camtrap_tf.training import checkups
from camtrap_tf.training.checkups import Finding, Overfitted
from camtrap_tf.training.devices import strategy_on
from camtrap_tf.training.imbalance import set_up_balance
from camtrap_tf.training.inputs import Inputs
from camtrap_tf.training.optimizers import make_optimizer, rate_of
from camtrap_tf.training.run import choose_preprocessing, loss_weights, seed_for, starting_model
from camtrap_tf.training.schedules import RateShape, Thaw, base_rate
from camtrap_tf.training.step import Stepper
from camtrap_tf.training.strategies import Unfreezing, computing_in

LOOKED_AT = 256
"""Records whose pictures and labels are looked at."""
RANGE_STEPS = 40
RANGE = (1e-6, 3.0)
RANGE_BATCH = 32
_LAST = 5


class Patient:
    """A model with data, as the settings make them, on one device and without augmentation."""

    def __init__(self, config: TrainConfig, inputs: Inputs) -> None:
        assert inputs.mapping is not None  # without one there would have been a problem
        self._config, self._inputs, self._mapping = config, inputs, inputs.mapping
        keras.utils.set_random_seed(seed_for(config.seed, "weights"))
        self._preprocessing = choose_preprocessing(config, inputs)
        strategy = strategy_on(inputs.devices[:1])
        objectives = set_up_balance(config.model_copy(update={"sampling": "all", "label_weighted": False}), inputs)[1]
        with strategy.scope():
            with computing_in(config.precision):
                self._model = starting_model(config, inputs, self._preprocessing)
            self._optimizer = make_optimizer(
                config.optimizer, learning_rate=1.0, weight_decay=config.weight_decay, momentum=config.momentum,
                shape=RateShape(schedule="constant"), loss_scaling=config.precision == "mixed_float16",
            )  # fmt: skip
            self._optimizer.build(self._model.trainable_variables)
        # Everything thawed, each part at its own share of the rate: what the training comes to after its first stages.
        unfreezing = Unfreezing(self._model, replace(Thaw.from_config(config), head_epochs=0, unfreeze_epochs=0))
        unfreezing.give_shares(self._optimizer, epoch_steps=1, warmup_steps=1, behind=0)
        self._stepper = Stepper(
            self._model, self._optimizer, strategy=strategy, objectives=objectives,
            preprocessing=self._preprocessing.without_augmentation(), loss_weights=loss_weights(config, inputs),
            unfreezing=unfreezing,
        )  # fmt: skip
        self._variables = [*self._model.variables, *self._optimizer.variables]
        self._healthy = [np.asarray(variable.numpy()) for variable in self._variables]
        self._rate = base_rate(config.initial_learning_rate, config.batch_size, scaled=config.scale_learning_rate)

    def findings(self, *, steps: int, examples: int) -> list[Finding]:
        """Looks at batches, at the first loss, at learning rates, and lets one batch be learnt by heart."""
        batches = self._batches(self._preprocessing.without_augmentation())
        errors = InputErrors()
        for batch in batches:
            errors.add(batch)
        found = [Finding("fail" if errors.failed > 0.05 * errors.seen else "note", errors.text())] if errors.failed else []
        whole = _joined(batches)
        if not len(whole["images"]):
            return [*found, Finding("fail", "not one picture can be decoded; run `camtrap dataset inspect --verify`")]
        found += self._pictures(whole)
        targets = {label: whole["targets"][label] for label in self._stepper.loss_weights}
        found += checkups.labels_in_batches(targets, list(blanks_of(self._inputs.specs)))
        found += self._first_losses(batches[0])
        limit, good = self._range_test(batches)
        found += checkups.rate_findings(self._rate, limit, good)
        chosen = self._some(whole, examples)
        if chosen is None:
            return [*found, Finding("fail", f"none of the first {len(whole['images'])} records has a label to learn from")]
        first = self._by_heart(chosen, rate=self._rate, steps=steps)
        second = None if first.learnt or not first.moved else self._by_heart(chosen, rate=good, steps=steps)
        frozen = self._inputs.start.frozen or self._config.freeze_backbone
        return found + checkups.overfit_findings(first, second, frozen=frozen)

    def _batches(self, preprocessing: Preprocessing) -> list[Mapping[str, Any]]:
        size = min(RANGE_BATCH, self._config.batch_size, len(self._inputs.shards["training"]))
        made = training_batches(
            self._inputs.shards["training"], preprocessing, self._mapping, batch_size=size, epoch=0,
            seed=self._config.seed, threads=self._config.n_cpus, blanks=blanks_of(self._inputs.specs),
        )  # fmt: skip
        return list(itertools.islice(made, max(1, LOOKED_AT // size)))

    def _pictures(self, whole: Mapping[str, Any]) -> list[Finding]:
        """Looks at values before and after augmentation, and at pictures that occur twice."""
        images, ids = whole["images"], [self._inputs.shards["training"].example(int(i)).id for i in whole["records"]]
        scaled = np.asarray(self._model.get_layer(NORMALISATION_LAYER)(tf.constant(images[:RANGE_BATCH])))
        found = checkups.value_range(images, scaled)
        found += checkups.contradictions(images, whole["targets"], ids)
        batch = self._batches(self._preprocessing)[0]
        varied = augment_batch(batch["images"], batch["seeds"], self._preprocessing)
        strong = StrongAugmentation.from_config(self._config)
        varied = np.asarray(strengthen_batch(varied, batch["seeds"], strong, stacked=self._preprocessing.stacked))
        gone = float(((varied.std(axis=(1, 2, 3)) < 1.0) & batch["valid"].numpy()).mean())
        lost = gone - float((images[: len(varied)].std(axis=(1, 2, 3)) < 1.0).mean())
        if lost > 0.05:
            found.append(Finding("fail", f"augmentation leaves nothing to see in {lost:.0%} of the pictures; make it weaker"))
        return found

    def _first_losses(self, batch: Mapping[str, Any]) -> list[Finding]:
        """Looks at the loss of each head at a step of rate 0, in training mode: statistics of a new model are not sound yet."""
        self._stepper.epoch_scores()
        self._step(batch, 0.0)
        found = []
        for label, score in self._stepper.epoch_scores().heads.items():
            if score.labelled:
                classes = 2 if score.kind == "sigmoid" else len(self._mapping.names(label))
                found += checkups.first_loss(label, float(score.as_dict()["loss"] or 0.0), classes)
        self._heal()
        return found

    def _range_test(self, batches: Sequence[Mapping[str, Any]]) -> tuple[float | None, float]:
        """Takes steps at rising rates, as long as the loss is a number; the model is then put back."""
        rates = np.geomspace(*RANGE, RANGE_STEPS)
        losses: list[float] = []
        for rate, batch in zip(rates, itertools.cycle(batches), strict=False):
            losses.append(self._step(batch, float(rate)))
            if not math.isfinite(losses[-1]):
                break
        self._heal()
        losses += [math.nan] * (len(rates) - len(losses))
        return checkups.usable_rates(rates, np.array(losses))

    def _by_heart(self, batch: Mapping[str, Any], *, rate: float, steps: int) -> Overfitted:
        """Trains on one batch over and over; the model is then put back."""
        self._stepper.epoch_scores()
        before = [np.asarray(variable.numpy()) for variable in self._model.trainable_variables]
        losses = [self._step(batch, rate)]
        after = [np.asarray(variable.numpy()) for variable in self._model.trainable_variables]
        moved = any(not np.array_equal(one, other) for one, other in zip(before, after, strict=True))
        while len(losses) < steps and math.isfinite(losses[-1]):
            if len(losses) == steps - _LAST:
                self._stepper.epoch_scores()
            losses.append(self._step(batch, rate))
        heads = self._stepper.epoch_scores().heads
        self._heal()
        accuracy = {label: score.as_dict()["accuracy"] for label, score in heads.items()}
        return Overfitted(rate, len(losses), losses[0], float(np.mean(losses[-_LAST:])), accuracy, moved)

    def _step(self, batch: Mapping[str, Any], rate: float) -> float:
        """Takes a step; returns the loss without the penalty on weights."""
        rate_of(self._optimizer).base = rate
        penalty = self._stepper.regularisation()
        return float(self._stepper.train(batch)) - penalty

    def _heal(self) -> None:
        for variable, value in zip(self._variables, self._healthy, strict=True):
            variable.assign(value)

    def _some(self, whole: Mapping[str, Any], count: int) -> dict[str, Any] | None:
        """Returns a batch of labelled examples, the classes of the first label type in turn; None where there are none."""
        targets = {label: whole["targets"][label] for label in self._stepper.loss_weights}
        known = {label: values >= 0 if values.ndim == 1 else (values >= 0).all(axis=1) for label, values in targets.items()}
        rows = np.flatnonzero(np.any(list(known.values()), axis=0))
        if not len(rows):
            return None
        first = next(iter(targets.values()))
        groups: dict[bytes, int] = {}
        turn = []
        for row in rows:
            kind = first[row].tobytes()
            groups[kind] = groups.get(kind, -1) + 1
            turn.append(groups[kind])
        chosen = rows[np.argsort(turn, kind="stable")][:count]
        return {
            "images": tf.constant(whole["images"][chosen]),
            "seeds": tf.constant(whole["seeds"][chosen]),
            "targets": {label: tf.constant(values[chosen]) for label, values in targets.items()},
        }


def _joined(batches: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns all examples of some batches that could be decoded, as arrays."""
    valid = np.concatenate([batch["valid"].numpy() for batch in batches])

    def join(*parts: Any) -> np.ndarray:
        """Joins parts and keeps the rows that could be decoded."""
        return np.concatenate([np.asarray(part) for part in parts])[valid]

    picked = [{key: batch[key] for key in ("images", "seeds", "records", "targets")} for batch in batches]
    joined: dict[str, Any] = tf.nest.map_structure(join, *picked)
    return joined
