"""The order of an epoch."""

from __future__ import annotations

import numpy as np
import pytest

from camtrap_tf.input_pipeline.order import epoch_order


@pytest.mark.parametrize("window", [0, 1, 7, 40, 1000])
def test_every_example_comes_once(window: int) -> None:
    """Whatever the window, an epoch is a permutation."""
    assert sorted(epoch_order([17, 0, 30, 3], seed=1, epoch=2, window=window)) == list(range(50))


def test_order_follows_from_seed_and_epoch() -> None:
    """The same seed and epoch give the same order, others another."""
    orders = {
        (seed, epoch, window): tuple(epoch_order([30, 20], seed=seed, epoch=epoch, window=window))
        for seed in (1, 2)
        for epoch in (0, 1)
        for window in (0, 10)
    }
    assert len(set(orders.values())) == len(orders)
    assert tuple(epoch_order([30, 20], seed=1, epoch=1, window=10)) == orders[1, 1, 10]


def test_window_bounds_how_far_examples_move() -> None:
    """Within a window, an example is less than that many places from where its block puts it."""
    order = epoch_order([1000], seed=5, epoch=0, window=50)
    moved = np.abs(order - np.arange(1000))
    assert 10 < moved.mean() < 50
    assert moved.max() < 50


def test_blocks_change_places() -> None:
    """With a small window, which shard comes first is a matter of chance."""
    firsts = {int(epoch_order([10] * 5, seed=1, epoch=epoch, window=1)[0]) // 10 for epoch in range(40)}
    assert firsts == {0, 1, 2, 3, 4}


def test_whole_set_is_shuffled_uniformly() -> None:
    """Without a window every place is equally likely."""
    places = np.array([epoch_order([2, 3], seed=9, epoch=epoch) for epoch in range(2000)])
    counts = np.array([[np.sum(places[:, place] == example) for place in range(5)] for example in range(5)])
    assert np.abs(counts - 400).max() < 90
