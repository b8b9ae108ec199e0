"""Prediction on several devices: batches are shared out over them."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from camtrap_tf.models.bundle import Bundle, logits_of, probabilities_of


class SharedOut:
    """The answers of a bundle, each batch shared out over several devices.

    Args:
        bundle: read inside `strategy.scope()`, so that every device has its copy.
        strategy: the devices.
        logits: answer with logits instead of probabilities.
    """

    def __init__(self, bundle: Bundle, strategy: tf.distribute.Strategy, *, logits: bool = False) -> None:
        self._strategy = strategy
        answer = functools.partial(logits_of if logits else probabilities_of, bundle.model)
        self._step = tf.function(lambda shares: strategy.run(answer, args=(shares,)), reduce_retracing=True)

    def __call__(self, images: Any) -> Mapping[str, np.ndarray]:
        """Returns label type → `[B, C]`, in the order of `images` `[B, H, W, 3]`."""
        devices, size = self._strategy.num_replicas_in_sync, len(images)
        # Every device gets a picture: some kernels do not take an empty batch.
        padded = tf.concat([images, tf.repeat(images[-1:], max(0, devices - size), axis=0)], axis=0)
        starts = [i * len(padded) // devices for i in range(devices + 1)]
        parts = [padded[start:end] for start, end in itertools.pairwise(starts)]
        shares = self._strategy.experimental_distribute_values_from_function(
            lambda context: parts[context.replica_id_in_sync_group]
        )
        answers = self._step(shares)
        return {
            label: np.concatenate([part.numpy() for part in self._strategy.experimental_local_results(values)])[:size]
            for label, values in answers.items()
        }
