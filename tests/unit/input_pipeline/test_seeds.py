"""Numbers by chance per example."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from camtrap_tf.input_pipeline.seeds import example_seeds, uniform


def mixed(value: int) -> int:
    """Returns the hash of a 32-bit number, in Python's whole numbers."""
    value ^= value >> 16
    value = value * 0x7FEB352D % 2**32
    value ^= value >> 15
    value = value * 0x846CA68B % 2**32
    return value ^ value >> 16


def test_numbers_are_the_published_hash() -> None:
    """They equal the hash worked out with unbounded whole numbers."""
    seeds = np.array([[5, 7], [-3, 2**31 - 1], [-(2**31), -1]], np.int32)
    expected = []
    for first, second in seeds.tolist():
        state = mixed(mixed((first + 1) % 2**32) ^ second % 2**32)
        expected.append([(mixed((state + (8 + k + 1) * 0x9E3779B9) % 2**32) >> 8) / 2**24 for k in range(4)])
    np.testing.assert_array_equal(uniform(tf.constant(seeds), stream=8, count=4), np.array(expected, np.float32))


def test_numbers_are_uniform_and_unrelated() -> None:
    """Neighbouring examples, numbers and epochs look independent; all of [0, 1) is used evenly."""
    drawn = [
        uniform(tf.constant(example_seeds(np.arange(40_000), seed=3, epoch=epoch)), stream=0, count=6).numpy()
        for epoch in (1, 2)
    ]
    shares = np.histogram(drawn[0], 50, (0, 1))[0] / drawn[0].size * 50
    assert np.abs(shares - 1).max() < 0.06
    assert drawn[0].min() >= 0
    assert drawn[0].max() < 1
    assert np.abs(np.corrcoef(drawn[0].T) - np.eye(6)).max() < 0.03
    assert abs(np.corrcoef(drawn[0][:-1].ravel(), drawn[0][1:].ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(drawn[0].ravel(), drawn[1].ravel())[0, 1]) < 0.02


def test_compiled_numbers_are_the_same() -> None:
    """XLA gives equal bits."""
    seeds = tf.constant(example_seeds(np.arange(500), seed=1, epoch=4))
    compiled = tf.function(lambda s: uniform(s, stream=0, count=3), jit_compile=True)
    np.testing.assert_array_equal(compiled(seeds), uniform(seeds, stream=0, count=3))


def test_seeds_differ_by_run_epoch_and_example() -> None:
    """No two of (seed, epoch, example) share a seed."""
    every = [
        tuple(row)
        for seed in (0, 1, 2**32 - 1)
        for epoch in range(3)
        for row in example_seeds(np.arange(9), seed=seed, epoch=epoch)
    ]
    assert len(set(every)) == 81
