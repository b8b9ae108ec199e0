"""One training step and one prediction step, on one device or several.

The functions that run on a device take a part of the batch and know the whole of it by its counts, which are added
up over all devices before anything is divided. So the loss is that of the global batch, however it is split.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from camtrap_tf.input_pipeline.augment import augment_batch
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.input_pipeline.strong_augment import Mixture, StrongAugmentation, mix_batch, strengthen_batch
from camtrap_tf.models.bundle import probabilities_of
from camtrap_tf.models.losses import masked_cross_entropy, masked_mean
from camtrap_tf.models.metrics import HeadScore, Scores, correct_counts

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
        jit_compile: bool = False,
    ) -> None:
        """Model and optimiser have to be made in the scope of the strategy."""
        self.loss_weights = dict(loss_weights)
        self._model = model
        self._optimizer = optimizer
        self._strategy = strategy
        self._preprocessing = preprocessing
        self._strong = strong or StrongAugmentation()
        with strategy.scope():
            self._sums = tf.Variable(
                tf.zeros([len(self.loss_weights), 4], tf.float64),
                trainable=False,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.SUM,
            )
        # One trace for batches of every size. Parts on several devices have no such signature; they are traced per size.
        single = strategy.num_replicas_in_sync == 1
        images = tf.TensorSpec([None, *model.input.shape[1:]], tf.float32)
        part = {
            "images": images,
            "seeds": tf.TensorSpec([None, 2], tf.int32),
            "targets": {label: tf.TensorSpec([None], tf.int32) for label in self.loss_weights},
        }
        # Nothing in here branches on tensors, so that Python need not be rewritten.
        options: dict[str, Any] = {"autograph": False, "reduce_retracing": True}
        self._train = tf.function(
            self._train_everywhere, jit_compile=jit_compile, input_signature=[part] if single else None, **options
        )
        self._predict = tf.function(
            self._predict_everywhere, input_signature=[{"images": images, "targets": {}}] if single else None, **options
        )

    def train(self, batch: Batch) -> tf.Tensor:
        """Takes one step on a global batch.

        Args:
            batch: `images` float32 `[B, H, W, 3]` in 0 … 255, `seeds` int32 `[B, 2]`, `targets` label type → int32 `[B]`,
                -1 where missing.

        Returns:
            The total loss of the global batch, on its device; reading it waits for the step.
        """
        part = {
            "images": batch["images"],
            "seeds": batch["seeds"],
            "targets": {label: batch["targets"][label] for label in self.loss_weights},
        }
        return self._train(self._spread(part))

    def predict(self, images: tf.Tensor) -> dict[str, np.ndarray]:
        """Returns label type → probabilities `[B, C]` of pictures `[B, H, W, 3]` in 0 … 255."""
        parts = self._predict(self._spread({"images": images, "targets": {}}))
        count = int(images.shape[0])
        return {
            label: np.concatenate([part.numpy() for part in self._strategy.experimental_local_results(values)])[:count]
            for label, values in parts.items()
        }

    def epoch_scores(self) -> Scores:
        """Returns the scores over all steps since the last call, and begins anew."""
        sums = self._sums.numpy() if self._strategy.num_replicas_in_sync == 1 else self._sums.read_value().numpy()
        with self._strategy.scope():
            self._sums.assign(tf.zeros_like(sums))
        scores = Scores({label: HeadScore() for label in self.loss_weights}, self.regularisation())
        for row, score in zip(sums, scores.heads.values(), strict=True):
            score.add(row)
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

    def train_step(self, batch: Batch) -> tf.Tensor:
        """Takes the step of one device on its part of the batch; to be called by `strategy.run`.

        Returns:
            The device's share of the total loss; shares add up to it.
        """
        context = tf.distribute.get_replica_context()
        images, mixture = self._varied(batch["images"], batch["seeds"])
        with tf.GradientTape() as tape:
            logits = self._model(images, training=True)
            parts = {label: _head_loss(batch["targets"][label], logits[label], mixture) for label in self.loss_weights}
            counts = context.all_reduce(tf.distribute.ReduceOp.SUM, [count for _, count in parts.values()])
            loss = tf.add_n(
                [
                    weight * masked_mean(parts[label][0], count)
                    for (label, weight), count in zip(self.loss_weights.items(), counts, strict=True)
                ]
            )
            if self._model.losses:
                loss += tf.add_n(self._model.losses) / context.num_replicas_in_sync
        variables = self._model.trainable_variables
        self._optimizer.apply(tape.gradient(loss, variables), variables)
        rows = [_sums_row(parts[label], batch["targets"][label], logits[label], mixture) for label in self.loss_weights]
        self._sums.assign_add(tf.cast(tf.convert_to_tensor(rows), tf.float64))
        return loss

    def _varied(self, images: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, Mixture | None]:
        """Returns the pictures as chance has changed them, and what was mixed with what, if anything was."""
        images = augment_batch(images, seeds, self._preprocessing)
        images = strengthen_batch(images, seeds, self._strong, stacked=self._preprocessing.stacked)
        return mix_batch(images, seeds, self._strong) if self._strong.mixes else (images, None)

    def _train_everywhere(self, batch: Batch) -> tf.Tensor:
        return self._strategy.reduce(tf.distribute.ReduceOp.SUM, self._strategy.run(self.train_step, args=(batch,)), axis=None)

    def _predict_everywhere(self, batch: Batch) -> Any:
        return self._strategy.run(lambda part: probabilities_of(self._model, part["images"]), args=(batch,))

    def _spread(self, batch: Batch) -> Any:
        """Gives each device its part; equal parts, filled up with unlabelled rows where the batch does not divide."""
        replicas = self._strategy.num_replicas_in_sync
        if replicas == 1:
            return batch
        padded = pad_batch(batch, replicas)
        size = int(padded["images"].shape[0]) // replicas

        def part(context: tf.distribute.distribute_lib.ValueContext) -> Any:
            start = context.replica_id_in_sync_group * size
            return tf.nest.map_structure(lambda tensor: tensor[start : start + size], padded)

        return self._strategy.experimental_distribute_values_from_function(part)


def _head_loss(targets: tf.Tensor, logits: tf.Tensor, mixture: Mixture | None) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns summed loss and labelled count of a head.

    Of mixed pictures both labels count, each with its share: the loss of soft targets. A missing one takes its share of
    the count along, so that the other is neither diluted nor guessed at.
    """
    if mixture is None:
        return masked_cross_entropy(targets, logits)
    own = masked_cross_entropy(targets, logits, mixture.share)
    partner = masked_cross_entropy(tf.gather(targets, mixture.partner), logits, 1.0 - mixture.share)
    return own[0] + partner[0], own[1] + partner[1]


def _sums_row(
    part: tuple[tf.Tensor, tf.Tensor], targets: tf.Tensor, logits: tf.Tensor, mixture: Mixture | None
) -> list[tf.Tensor]:
    """Returns what a batch adds to the sums of a head; a mixture counts as right where its larger part is recognised."""
    if mixture is not None:
        targets = tf.where(mixture.share >= 0.5, targets, tf.gather(targets, mixture.partner))
    labelled = tf.reduce_sum(tf.cast(targets >= 0, tf.float32))
    loss = part[0] if mixture is None else masked_mean(*part) * labelled
    return [loss, labelled, *correct_counts(targets, logits)]


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
    unlabelled = tf.fill([extra], -1)
    padded["targets"] = {
        label: tf.concat([values, tf.cast(unlabelled, values.dtype)], axis=0) for label, values in batch["targets"].items()
    }
    return padded
