"""Errors on their way out of tf.data."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from camtrap_tf.errors import DatasetError
from camtrap_tf.input_pipeline.failures import plain_failures


def _dataset(fail: Exception) -> tf.data.Dataset:
    def read(number: np.ndarray) -> np.ndarray:
        """Fails."""
        raise fail

    return tf.data.Dataset.range(2).map(lambda number: tf.numpy_function(read, [number], tf.int64))


def test_an_error_of_ours_comes_out_as_itself() -> None:
    """The message is the one that was raised, without TensorFlow's words around it."""
    with pytest.raises(DatasetError, match=r"^gone\.tfrecord: cannot be read; are the shards still there\?$"), plain_failures():
        list(_dataset(DatasetError("gone.tfrecord: cannot be read; are the shards still there?")))


def test_other_errors_stay_what_they_are() -> None:
    """A bug must not be dressed up as a mistake of the user."""
    with pytest.raises(tf.errors.OpError), plain_failures():
        list(_dataset(RuntimeError("a bug")))


def test_bytes_that_are_no_example_are_a_damaged_shard() -> None:
    """A record that cannot be parsed is reported as damage, with the command that finds it."""
    features = {"id": tf.io.FixedLenFeature([], tf.string)}
    dataset = tf.data.Dataset.from_tensors(tf.constant([b"\xff\xff\xff"])).map(
        lambda text: tf.io.parse_sequence_example(text, context_features=features)
    )
    with pytest.raises(DatasetError, match="inspect --verify"), plain_failures():
        list(dataset)
