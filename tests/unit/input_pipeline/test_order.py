"""The order of an epoch."""

from __future__ import annotations

import numpy as np
import pytest

from camtrap_tf.input_pipeline.order import Sampling, epoch_order, occurrences, sampled_order


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


GROUPS = np.repeat([0, 1, 2, -1], [60, 20, 5, 15])


def drawn(sampling: Sampling, epoch: int = 0, **options: int) -> np.ndarray:
    """Returns the order of an epoch of records that are one example each."""
    records = np.arange(len(sampling.groups))
    return sampled_order(sampling, records, block_sizes=[50, 50], seed=3, epoch=epoch, **options)


@pytest.mark.parametrize(
    "sampling",
    [Sampling("weighted", GROUPS, np.ones(100)), Sampling("balanced", GROUPS), Sampling("capped", GROUPS, cap=7)],
    ids=lambda sampling: sampling.kind,
)
def test_sampling_follows_from_seed_and_epoch(sampling: Sampling) -> None:
    """Equal seeds and epochs draw the same, other epochs something else; an epoch has the size that is said."""
    assert drawn(sampling).tolist() == drawn(sampling).tolist() != drawn(sampling, 1).tolist()
    assert len(drawn(sampling)) == sampling.size(np.arange(100))


def test_weighted_draws_go_by_weight() -> None:
    """Over many draws each record comes as often as its weight says; one of weight 0 never does."""
    weights = np.array([0.0, 1.0, 3.0, 0.0])
    order = drawn(Sampling("weighted", np.zeros(4, int), weights))
    many = np.concatenate([drawn(Sampling("weighted", np.zeros(4, int), weights), epoch) for epoch in range(1000)])
    assert len(order) == 4
    np.testing.assert_allclose(np.bincount(many, minlength=4) / len(many), weights / 4, atol=0.02)


def test_balanced_batches_have_every_class() -> None:
    """Rows of as many examples as there are classes have each once; a class goes through all its records before any again."""
    order = drawn(Sampling("balanced", GROUPS))
    groups = GROUPS[order]
    known = groups[groups >= 0]
    for start in range(0, len(known) - 3, 3):
        assert sorted(known[start : start + 3]) == [0, 1, 2]
    assert sorted(order[groups < 0]) == list(range(85, 100))
    common = order[groups == 0]
    assert len(set(common)) == len(common)
    assert set(order[groups == 2]) == set(range(80, 85))


@pytest.mark.parametrize("window", [0, 10])
def test_cap(window: int) -> None:
    """At most so many of a class, each once, all of the small ones and those without a class; other ones each epoch."""
    order = drawn(Sampling("capped", GROUPS, cap=7), window=window)
    assert len(set(order)) == len(order) == 7 + 7 + 5 + 15
    assert [int((GROUPS[order] == group).sum()) for group in (0, 1, 2, -1)] == [7, 7, 5, 15]
    other = drawn(Sampling("capped", GROUPS, cap=7), 1, window=window)
    assert set(order) != set(other)


def test_occurrences() -> None:
    """Each value is numbered among those equal to it."""
    assert occurrences(np.array([3, 1, 3, 3, 1, 0])).tolist() == [0, 0, 1, 2, 1, 0]
    assert occurrences(np.zeros(0, int)).tolist() == []
