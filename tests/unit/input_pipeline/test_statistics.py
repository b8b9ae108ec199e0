"""Mean and deviation of colour channels."""

from __future__ import annotations

import numpy as np
import pytest

from camtrap_tf.errors import DatasetError
from camtrap_tf.input_pipeline.batches import evaluation_batches
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.input_pipeline.shard_set import ShardSet
from camtrap_tf.input_pipeline.statistics import channel_statistics
from tests.factories import make_jpeg
from tests.unit.input_pipeline.conftest import MAPPING, WriteShard

PREP = Preprocessing(output_height=20, output_width=24)


def test_statistics_are_those_of_all_pixels(write_shard: WriteShard) -> None:
    """Over a sample as large as the set they equal mean and deviation of all pixels that evaluation sees."""
    shards = ShardSet.open([write_shard(pictures=40)], [])
    [batch] = evaluation_batches(shards, PREP, MAPPING, batch_size=40).as_numpy_iterator()
    pixels = batch["images"].astype(np.float64).reshape(-1, 3) / 255
    means, deviations = channel_statistics(shards, PREP, seed=1)
    np.testing.assert_allclose(means, pixels.mean(axis=0), atol=6e-5)
    np.testing.assert_allclose(deviations, pixels.std(axis=0), atol=6e-5)
    assert all(round(value, 4) == value for value in means + deviations)


def test_sample_follows_from_the_seed(write_shard: WriteShard) -> None:
    """Equal seeds draw equal samples, others another."""
    shards = ShardSet.open([write_shard(pictures=30)], [])
    drawn = [channel_statistics(shards, PREP, seed=seed, sample=5) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_one_colour_gives_a_usable_deviation(write_shard: WriteShard) -> None:
    """A set without any variation does not lead to a division by zero."""
    shards = ShardSet.open([write_shard(pictures=[[make_jpeg(colour=(90, 90, 90))]] * 2)], [])
    _, deviations = channel_statistics(shards, PREP, seed=1)
    assert min(deviations) > 0


def test_broken_pictures_stop_it(write_shard: WriteShard) -> None:
    """A set of which too much cannot be decoded is an error."""
    shards = ShardSet.open([write_shard(pictures=[[make_jpeg()], [b"nonsense"]])], [])
    with pytest.raises(DatasetError, match="1 of 2 pictures"):
        channel_statistics(shards, PREP, seed=1)
