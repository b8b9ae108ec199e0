"""Mean and deviation of the colour channels over a sample of the training pictures, in one streaming pass."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from camtrap_tf.errors import DatasetError
from camtrap_tf.input_pipeline.batches import InputErrors, training_batches
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.input_pipeline.shard_set import ShardSet
from camtrap_tf.labels import LabelMapping

SAMPLE = 4096
"""Pictures looked at. Source: camera-trap-classifier."""
_BATCH = 32
_LEAST_DEVIATION = 1e-4

Triple = tuple[float, float, float]


def channel_statistics(
    shards: ShardSet, preprocessing: Preprocessing, *, seed: int, sample: int = SAMPLE, threads: int | None = None
) -> tuple[Triple, Triple]:
    """Returns mean and standard deviation of each channel over pictures drawn from the whole set, as models see them.

    Args:
        shards: the training records.
        preprocessing: the way to model input; nothing is varied.
        seed: which pictures are drawn; equal seeds give equal results.
        sample: how many pictures at most.
        threads: threads that decode; one per core where not given.

    Returns:
        Means and standard deviations of R, G, B, in [0, 1], to four decimals; deviations are above 0.

    Raises:
        DatasetError: too many of the pictures cannot be decoded.
    """
    batches = training_batches(
        shards,
        preprocessing.without_augmentation(),
        LabelMapping({}),
        batch_size=_BATCH,
        epoch=0,
        seed=seed,
        threads=threads,
    )
    errors = InputErrors()
    pixels, sums, squares = 0, np.zeros(3), np.zeros(3)
    for batch in batches.unbatch().take(sample).batch(_BATCH):
        errors.add(batch)
        images = tf.boolean_mask(batch["images"], batch["valid"]).numpy().astype(np.float64) / 255.0
        pixels += images.shape[0] * images.shape[1] * images.shape[2]
        sums += images.sum(axis=(0, 1, 2))
        squares += np.square(images).sum(axis=(0, 1, 2))
    errors.check(shards)
    if not pixels:
        raise DatasetError(f"{shards.shards[0].parent}: no picture in the shards can be decoded; build the dataset again")
    means = sums / pixels
    deviations = np.sqrt(np.maximum(squares / pixels - means**2, 0.0))
    return _rounded(means), _rounded(np.maximum(deviations, _LEAST_DEVIATION))


def _rounded(values: np.ndarray) -> Triple:
    red, green, blue = (round(float(value), 4) for value in values)
    return red, green, blue
