"""Numbers by chance that depend on (seed, epoch, example) alone: never on batches, threads or devices.

TensorFlow's stateless generators take one seed a call; these take a batch of seeds at once, in plain integer arithmetic
that runs on the host, on a device and under XLA with equal results.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

_MASK = 0xFFFFFFFF
_GOLDEN = 0x9E3779B9 - 2**32
# The mixer with least bias among those of two multiplications; as signed numbers no product leaves 64 bits.
# Source: C. Wellons, "Prospecting for hash functions", 2018, function lowbias32.
_FIRST, _SECOND = 0x7FEB352D, 0x846CA68B - 2**32

WINDOW, FRAME, FLIP, ROTATION, COLOUR, ERASING, MIXING, RANDAUGMENT, JITTER, RESIZED = 0, 8, 16, 24, 32, 40, 48, 56, 128, 136
"""Streams: where the numbers of each use begin, so that none is used twice."""


def uniform(seeds: tf.Tensor, *, stream: int, count: int) -> tf.Tensor:
    """Draws numbers from U[0, 1) for each seed.

    Args:
        seeds: `[N, 2]` int32.
        stream: first of the numbers, one of the streams above.
        count: numbers per seed, at most 8 (of `RANDAUGMENT` and `RESIZED` more).

    Returns:
        `[N, count]` float32.
    """
    parts = tf.cast(seeds, tf.int64)
    state = _mixed(parts[:, :1] + 1)
    state = _mixed(state ^ (parts[:, 1:] & _MASK))
    counters = tf.range(stream + 1, stream + 1 + count, dtype=tf.int64)
    drawn = _mixed(state + counters * _GOLDEN)
    return tf.cast(tf.bitwise.right_shift(drawn, tf.constant(8, tf.int64)), tf.float32) * 2.0**-24


def _mixed(value: tf.Tensor) -> tf.Tensor:
    def shifted(x: tf.Tensor, bits: int) -> tf.Tensor:
        """Mixes a number with itself, moved to the right."""
        return x ^ tf.bitwise.right_shift(x, tf.constant(bits, tf.int64))

    value = shifted(value & _MASK, 16)
    value = shifted(value * _FIRST & _MASK, 15)
    return shifted(value * _SECOND & _MASK, 16)


def example_seeds(examples: np.ndarray, *, seed: int, epoch: int) -> np.ndarray:
    """Returns the seeds of examples in an epoch.

    Args:
        examples: `[N]` whole numbers from 0, which example.
        seed: seed of the run.
        epoch: epoch, counted from the very first run.

    Returns:
        `[N, 2]` int32.
    """
    first = np.random.SeedSequence([seed % 2**32, epoch]).generate_state(1, np.uint32).view(np.int32)
    return np.stack([np.broadcast_to(first, examples.shape), examples.astype(np.int32)], axis=1)
