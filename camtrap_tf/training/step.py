"""One training step and one prediction step, on one device or several.

The functions that run on a device take a part of the batch and know the whole of it by its counts, which are added
up over all devices before anything is divided. So the loss is that of the global batch, however it is split.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from camtrap_tf.input_pipeline.augment import augment_batch
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.input_pipeline.strong_augment import Mixture, StrongAugmentation, mix_batch, strengthen_batch
from camtrap_tf.models.bundle import logits_of, probabilities_of
from camtrap_tf.models.classifier import head_specs
from camtrap_tf.models.heads import HeadSpec
from camtrap_tf.models.losses import Objective, masked_mean
from camtrap_tf.models.metrics import COLUMNS, HeadScore, Scores, head_sums
from camtrap_tf.training.optimizers import averaged_weights
from camtrap_tf.training.schedules import Thaw
from camtrap_tf.training.strategies import Unfreezing, in_float32

Batch = Mapping[str, Any]


class Stepper:
    """Trains and applies a model over the devices of a strategy.

    Attributes:
        loss_weights: label type → weight in the loss; label types that are not in here are not trained.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        *,
        strategy: tf.distribute.Strategy,
        preprocessing: Preprocessing,
        loss_weights: Mapping[str, float],
        strong: StrongAugmentation | None = None,
        objectives: Mapping[str, Objective] | None = None,
        jit_compile: bool = False,
        accumulate_steps: int = 1,
        unfreezing: Unfreezing | None = None,
        predicts_logits: bool = False,
    ) -> None:
        """Model and optimiser have to be made in the scope of the strategy.

        Args:
            model: from pictures to logits.
            optimizer: built for all variables that will ever be trained.
            strategy: of the devices.
            preprocessing: the augmentation.
            loss_weights: see the attribute.
            strong: more augmentation.
            objectives: label type → what is made small for its head; its plain cross-entropy where not given.
            jit_compile: compile the step with XLA.
            accumulate_steps: pieces that a device works its part of the batch off in, one after the other.
            unfreezing: which variables are trained when; by default all of them, always.
            predicts_logits: `predict` gives logits instead of probabilities.
        """
        self.loss_weights = dict(loss_weights)
        self._model = model
        self._optimizer = optimizer
        self._strategy = strategy
        self._preprocessing = preprocessing
        self._strong = strong or StrongAugmentation()
        self._specs = {label: spec for label, spec in head_specs(model).items() if label in self.loss_weights}
        self._objectives = {
            label: (objectives or {}).get(label) or Objective(kind=self._specs[label].kind) for label in self.loss_weights
        }
        self._classes = [int(model.output[label].shape[-1]) for label in self.loss_weights]
        self._pieces = accumulate_steps
        self._answers = logits_of if predicts_logits else probabilities_of
        self._unfreezing = unfreezing or Unfreezing(model, Thaw())
        with strategy.scope():
            self._sums = _summed_over_devices([sum(self._classes), COLUMNS])
        self._prepare_graphs(jit_compile)

    def _prepare_graphs(self, jit_compile: bool) -> None:
        """Says what the graphs of training and prediction take; they are traced when they are first asked for."""
        # One trace for batches of every size. Parts on several devices have no such signature; they are traced per size.
        single = self._strategy.num_replicas_in_sync == 1
        images = tf.TensorSpec([None, *self._model.input.shape[1:]], tf.float32)
        part = {
            "images": images,
            "seeds": tf.TensorSpec([None, 2], tf.int32),
            "targets": {
                label: tf.TensorSpec([None, count] if self._specs[label].kind == "sigmoid" else [None], tf.int32)
                for label, count in zip(self.loss_weights, self._classes, strict=True)
            },
        }
        # Nothing in here branches on tensors, so that Python need not be rewritten.
        options: dict[str, Any] = {"autograph": False, "reduce_retracing": True}
        self._options = {"jit_compile": jit_compile, "input_signature": [part] if single else None, **options}
        self._stages: dict[int, Any] = {}
        self._train: Any = None
        self._predict = tf.function(
            self._predict_everywhere, input_signature=[{"images": images, "targets": {}}] if single else None, **options
        )

    def enter_epoch(self, epoch: int) -> None:
        """Prepares for an epoch, counted from 0: from now on `train` moves what this epoch trains."""
        stage = self._unfreezing.stage(epoch)
        variables = self._unfreezing.enter(stage)
        if stage not in self._stages:
            self._stages[stage] = tf.function(functools.partial(self._train_everywhere, variables), **self._options)
        self._train = self._stages[stage]

    def train(self, batch: Batch) -> tf.Tensor:
        """Takes one step on a global batch.

        Args:
            batch: `images` float32 `[B, H, W, 3]` in 0 … 255, `seeds` int32 `[B, 2]`, `targets` label type → int32 `[B]`,
                -1 where missing; of sigmoid heads `[B, C]`.

        Returns:
            The total loss of the global batch, on its device; reading it waits for the step.
        """
        part = {
            "images": batch["images"],
            "seeds": batch["seeds"],
            "targets": {label: batch["targets"][label] for label in self.loss_weights},
        }
        if self._train is None:
            self.enter_epoch(0)
        return self._train(self._spread(part, self._pieces))

    def predict(self, images: tf.Tensor) -> dict[str, np.ndarray]:
        """Returns label type → probabilities (or logits) `[B, C]` of pictures `[B, H, W, 3]` in 0 … 255."""
        parts = self._predict(self._spread({"images": images, "targets": {}}))
        count = int(images.shape[0])
        return {
            label: np.concatenate([part.numpy() for part in self._strategy.experimental_local_results(values)])[:count]
            for label, values in parts.items()
        }

    @contextmanager
    def delivered(self) -> Iterator[None]:
        """Makes the model for a while what is measured and saved: averaged weights where there are any, float32."""
        with averaged_weights(self._model, self._optimizer, self._strategy), in_float32(self._model):
            yield

    def epoch_scores(self) -> Scores:
        """Returns the scores over all steps since the last call, and begins anew."""
        sums = self.running_sums().numpy()
        with self._strategy.scope():
            self._sums.assign(tf.zeros_like(sums))
        return Scores(self.heads_of(sums), self.regularisation())

    def running_sums(self) -> tf.Tensor:
        """Returns the sums over the steps since the last `epoch_scores`, on their device; reading them waits for the steps."""
        return self._sums.read_value()

    def heads_of(self, sums: np.ndarray) -> dict[str, HeadScore]:
        """Returns label type → its score, of sums that were read."""
        parts = np.split(sums, np.cumsum(self._classes)[:-1])
        scores = {label: HeadScore(self._specs[label]) for label in self.loss_weights}
        for part, score in zip(parts, scores.values(), strict=True):
            score.add(part)
        return scores

    def state(self) -> dict[str, Any]:
        """Returns the sums over the steps since the last `epoch_scores`."""
        return {"sums": self._sums.numpy() if self._strategy.num_replicas_in_sync == 1 else self._sums.read_value().numpy()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on with saved sums."""
        with self._strategy.scope():
            self._sums.assign(tf.constant(state["sums"], tf.float64))

    def regularisation(self) -> float:
        """Returns the present penalty on the weights."""
        return float(tf.add_n(self._model.losses)) if self._model.losses else 0.0

    def train_step(self, variables: Sequence[Any], batch: Batch) -> tf.Tensor:
        """Takes the step of one device on its part of the batch; to be called by `strategy.run`.

        Args:
            variables: to move.
            batch: part of this device.

        Returns:
            The device's share of the total loss; shares add up to it.
        """
        context = tf.distribute.get_replica_context()
        pieces = [
            (*self._varied(piece["images"], piece["seeds"]), piece["targets"]) for piece in split_batch(batch, self._pieces)
        ]
        counts = context.all_reduce(tf.distribute.ReduceOp.SUM, self._counts(pieces))
        shares: list[tf.Tensor] = []
        gradients: list[tf.Tensor] = []
        for images, mixture, targets in pieces:
            # A piece begins when the one before it is done, so that no two of them fill the memory at once.
            with tf.control_dependencies([gradient for gradient in gradients if gradient is not None]):
                share, more = self._gradients(variables, images, targets, mixture, counts)
                shares.append(share)
                gradients = more if not gradients else [_plus(*both) for both in zip(gradients, more, strict=True)]
        self._optimizer.apply(self._same_everywhere(gradients), variables)
        return tf.add_n(shares)

    def _gradients(
        self,
        variables: Sequence[Any],
        images: tf.Tensor,
        targets: Mapping[str, tf.Tensor],
        mixture: Mixture | None,
        counts: Sequence[tf.Tensor],
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Returns a piece's share of the total loss, and its gradients; adds to the sums of the epoch."""
        pieces = self._pieces * tf.distribute.get_replica_context().num_replicas_in_sync
        with tf.GradientTape() as tape:
            logits = self._model(images, training=True)
            parts = {label: self._head_loss(label, targets[label], logits[label], mixture) for label in self.loss_weights}
            share = tf.add_n(
                [
                    weight * masked_mean(parts[label][0], count)
                    for (label, weight), count in zip(self.loss_weights.items(), counts, strict=True)
                ]
            )
            if self._model.losses:
                share += tf.add_n(self._model.losses) / pieces
            scaled = self._optimizer.scale_loss(share)
        sums = [_mixed_sums(targets[label], logits[label], self._specs[label], mixture) for label in self.loss_weights]
        self._sums.assign_add(tf.cast(tf.concat(sums, axis=0), tf.float64))
        return share, tape.gradient(scaled, variables)

    def _counts(self, pieces: Sequence[tuple[tf.Tensor, Mixture | None, Mapping[str, tf.Tensor]]]) -> list[tf.Tensor]:
        """Returns what the loss of each head is divided by, for the part of one device."""

        def count(label: str, targets: tf.Tensor, mixture: Mixture | None) -> tf.Tensor:
            """Returns what the loss of a head is divided by."""
            # What a head's loss is divided by does not depend on what the model answers.
            logits = tf.zeros([tf.shape(targets)[0], *self._model.output[label].shape[1:]])
            return self._head_loss(label, targets, logits, mixture)[1]

        return [
            tf.add_n([count(label, targets[label], mixture) for _, mixture, targets in pieces]) for label in self.loss_weights
        ]

    def _head_loss(
        self, label: str, targets: tf.Tensor, logits: tf.Tensor, mixture: Mixture | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns summed loss and labelled count of a head.

        Of mixed pictures both labels count, each with its share: the loss of soft targets. A missing one takes its share
        of the count along, so that the other is neither diluted nor guessed at.
        """
        objective = self._objectives[label]
        if mixture is None:
            return objective(targets, logits)
        own = objective(targets, logits, mixture.share)
        partner = objective(tf.gather(targets, mixture.partner), logits, 1.0 - mixture.share)
        return own[0] + partner[0], own[1] + partner[1]

    def _same_everywhere(self, gradients: list[Any]) -> list[Any]:
        """Makes every device see the overflow that one of them had, since Keras' loss scaling asks one of them only."""
        context = tf.distribute.get_replica_context()
        if context.num_replicas_in_sync == 1 or not isinstance(self._optimizer, keras.optimizers.LossScaleOptimizer):
            return gradients
        worst = tf.add_n([0.0 * tf.reduce_sum(gradient) for gradient in gradients if gradient is not None])
        worst = context.all_reduce(tf.distribute.ReduceOp.SUM, worst)
        return [None if gradient is None else gradient + worst for gradient in gradients]

    def _varied(self, images: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, Mixture | None]:
        """Returns the pictures as chance has changed them, and what was mixed with what, if anything was."""
        images = augment_batch(images, seeds, self._preprocessing)
        images = strengthen_batch(images, seeds, self._strong, stacked=self._preprocessing.stacked)
        return mix_batch(images, seeds, self._strong) if self._strong.mixes else (images, None)

    def _train_everywhere(self, variables: Sequence[Any], batch: Batch) -> tf.Tensor:
        shares = self._strategy.run(functools.partial(self.train_step, variables), args=(batch,))
        return self._strategy.reduce(tf.distribute.ReduceOp.SUM, shares, axis=None)

    def _predict_everywhere(self, batch: Batch) -> Any:
        # What is measured is what is saved: a model that computes in float32.
        with in_float32(self._model):
            return self._predict_parts(batch)

    def _predict_parts(self, batch: Batch) -> Any:
        return self._strategy.run(lambda part: self._answers(self._model, part["images"]), args=(batch,))

    def _spread(self, batch: Batch, pieces: int = 1) -> Any:
        """Gives each device its part; equal parts, filled up with unlabelled rows where the batch does not divide."""
        replicas = self._strategy.num_replicas_in_sync
        padded = pad_batch(batch, replicas * pieces)
        if replicas == 1:
            return padded
        size = int(padded["images"].shape[0]) // replicas

        def part(context: tf.distribute.distribute_lib.ValueContext) -> Any:
            """Returns the part of one device."""
            start = context.replica_id_in_sync_group * size
            return tf.nest.map_structure(lambda tensor: tensor[start : start + size], padded)

        return self._strategy.experimental_distribute_values_from_function(part)


def split_batch(batch: Batch, pieces: int) -> list[dict[str, Any]]:
    """Cuts a batch whose size divides into equal pieces."""
    if pieces == 1:
        return [dict(batch)]
    flat = [tf.split(tensor, pieces) for tensor in tf.nest.flatten(dict(batch))]
    return [tf.nest.pack_sequence_as(dict(batch), [parts[number] for parts in flat]) for number in range(pieces)]


def _summed_over_devices(shape: Sequence[int]) -> tf.Variable:
    """Returns float64 zeros that every device adds to by itself; read, they are the sum."""
    return tf.Variable(
        tf.zeros(shape, tf.float64),
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.SUM,
    )


def _plus(one: Any, other: Any) -> Any:
    return one if other is None else one + other


def _mixed_sums(targets: tf.Tensor, logits: tf.Tensor, spec: HeadSpec, mixture: Mixture | None) -> tf.Tensor:
    """Returns what a batch adds to the sums of a head; of mixed pictures both labels count, each with its share."""
    if mixture is None:
        return head_sums(targets, logits, spec)
    own = head_sums(targets, logits, spec, weights=mixture.share)
    return own + head_sums(tf.gather(targets, mixture.partner), logits, spec, weights=1.0 - mixture.share)


def pad_batch(batch: Batch, multiple: int) -> dict[str, Any]:
    """Returns a batch whose size divides: its first rows are repeated, without labels.

    So no device gets an empty part, whose batch statistics would not be numbers.
    """
    count = int(batch["images"].shape[0])
    extra = -count % multiple
    if not extra:
        return dict(batch)
    rows = tf.concat([tf.range(count), tf.range(extra) % count], axis=0)
    padded = tf.nest.map_structure(lambda tensor: tf.gather(tensor, rows), dict(batch))
    padded["targets"] = {
        label: tf.concat([values, -tf.ones_like(padded["targets"][label][count:])], axis=0)
        for label, values in batch["targets"].items()
    }
    return padded
