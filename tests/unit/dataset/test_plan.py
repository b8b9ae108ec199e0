"""The shard plan."""

from __future__ import annotations

import pytest

from camtrap_tf.dataset.plan import order_of_splits, plan_shards, shuffled
from camtrap_tf.errors import SettingError


@pytest.mark.parametrize(("records", "most"), [(1, 5), (5, 5), (6, 5), (11, 5), (23, 4), (1000, 7), (12345, 5000)])
def test_shards_are_as_few_and_as_equal_as_can_be(records: int, most: int) -> None:
    """Every record is in one shard, none is over the limit, sizes differ by one at most."""
    shards = plan_shards("train", records, max_records=most)
    sizes = [shard.stop - shard.start for shard in shards]
    assert len(shards) == -(-records // most)
    assert [shard.start for shard in shards] == [0, *(shard.stop for shard in shards[:-1])]
    assert shards[-1].stop == records
    assert max(sizes) <= most
    assert max(sizes) - min(sizes) <= 1


def test_boundaries_are_rounded() -> None:
    """Boundaries are the nearest whole numbers to equal parts."""
    assert [shard.stop for shard in plan_shards("a", 10, max_records=4)] == [3, 7, 10]


def test_names() -> None:
    """Names carry split, number and count, three digits, from one."""
    names = [shard.name for shard in plan_shards("test_S1", 3, max_records=1)]
    assert names == [f"test_S1_{i:03d}-of-003.tfrecord" for i in (1, 2, 3)]


def test_no_records_no_shards() -> None:
    """An empty split has no shard."""
    assert plan_shards("val", 0, max_records=5) == ()


def test_order_depends_on_seed_and_shard() -> None:
    """The order inside a shard is a permutation, another one for another seed or shard, the same for the same."""
    ids = [f"id{i}" for i in range(50)]
    order = shuffled(ids, seed=123, shard="train_001-of-001.tfrecord")
    assert sorted(order) == list(range(50))
    assert order != list(range(50))
    assert order == shuffled(ids, seed=123, shard="train_001-of-001.tfrecord")
    assert order != shuffled(ids, seed=124, shard="train_001-of-001.tfrecord")
    assert order != shuffled(ids, seed=123, shard="val_001-of-001.tfrecord")


def test_order_is_the_same_for_ever() -> None:
    """Golden value: shards of tomorrow equal those of today."""
    assert shuffled(["a", "b", "c", "ö"], seed=123, shard="train_001-of-001.tfrecord") == [3, 1, 2, 0]


def test_splits_come_in_the_order_of_the_settings() -> None:
    """Configured splits first, others by name after them; those without records are left out."""
    assert order_of_splits(["val", "b", "a", "train"], ["train", "val", "test"]) == ("train", "val", "a", "b")


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a\0b", "x" * 201])
def test_split_names_have_to_fit_file_names(name: str) -> None:
    """A split that cannot begin a file name is refused."""
    with pytest.raises(SettingError, match="cannot begin the name of a shard"):
        order_of_splits(["train", name], [])
