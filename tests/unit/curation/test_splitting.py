"""Which split a record falls in."""

from __future__ import annotations

import collections
import random

import pytest

from camtrap_tf.curation.splitting import split_by_group, split_by_hash, split_by_values, unit_hash
from camtrap_tf.errors import SettingError

SHARES = [("train", 0.7), ("val", 0.2), ("test", 0.1)]


@pytest.mark.parametrize(
    ("record_id", "expected"),
    [
        ("1", 0.768711),
        ("2", 0.781715),
        ("0", 0.811724),
        ("img0", 0.577512),
        ("Dogs#dog3192", 0.508153),
        ("capture_1", 0.096823),
        ("cat0.jpg", 0.431842),
        ("dog1", 0.421421),
        ("S1_20130521_20130704_1", 0.751110),
    ],
)
def test_hash_is_that_of_camera_trap_classifier(record_id: str, expected: float) -> None:
    """Golden values, so that records stay in the splits they always had."""
    assert unit_hash(record_id) == pytest.approx(expected, abs=5e-7)


def test_ids_beyond_ascii_have_a_hash() -> None:
    """UTF-8 is hashed."""
    assert 0 <= unit_hash("Zürich 🦊") <= 1


def test_the_first_split_whose_end_reaches_the_hash_is_taken() -> None:
    """Cumulative shares 0.77, 0.79 and 1 cut the golden values where they should."""
    assert split_by_hash(["1", "2", "0"], [("a", 0.77), ("b", 0.02), ("c", 0.21)]) == ["a", "b", "c"]


@pytest.mark.parametrize("shares", [(0.7, 0.2, 0.1), (0.6, 0.3, 0.1), (0.9, 0.05, 0.05)])
def test_hash_shares_are_approached(shares: tuple[float, ...]) -> None:
    """With many records each split has about its share, and every record has one."""
    names = ("train", "val", "test")
    splits = split_by_hash([f"r{i}" for i in range(20_000)], list(zip(names, shares, strict=True)))
    counts = collections.Counter(splits)
    assert sum(counts.values()) == 20_000
    for name, share in zip(names, shares, strict=True):
        assert counts[name] / 20_000 == pytest.approx(share, abs=0.012)


def test_the_last_split_is_closed() -> None:
    """A hash above a rounded last end falls in the last split; a share of 0 gets nothing."""
    top = next(f"{i}" for i in range(100_000) if unit_hash(f"{i}") > 0.9999)
    assert split_by_hash([top], [("a", 0.3), ("b", 0.699), ("c", 0.0)]) == ["b"]
    ids = [f"r{i}" for i in range(2000)]
    assert set(split_by_hash(ids, [("a", 0.0), ("b", 1.0), ("c", 0.0)])) == {"b"}


def test_hash_does_not_depend_on_other_records() -> None:
    """A record's split stays when records are added or shuffled."""
    ids = [f"r{i}" for i in range(300)]
    before = dict(zip(ids, split_by_hash(ids, SHARES), strict=True))
    more = [*(f"n{i}" for i in range(50)), *reversed(ids)]
    after = dict(zip(more, split_by_hash(more, SHARES), strict=True))
    assert {one: after[one] for one in ids} == before


def test_meta_values_are_splits() -> None:
    """The value is the split's name, whatever it is."""
    assert split_by_values(["1", "2"], ["train", "S1 späť"], "split_name") == ["train", "S1 späť"]


def test_records_without_a_value_are_an_error() -> None:
    """The error says how many, and names one."""
    with pytest.raises(SettingError, match=r"2 of 3 records have no 'split_name', e.g. '2'"):
        split_by_values(["1", "2", "3"], ["train", None, ""], "split_name")


@pytest.mark.parametrize("value", ["a/b", ".hidden", "a\\b", "a\nb"])
def test_values_have_to_fit_in_file_names(value: str) -> None:
    """A split begins the names of its shards."""
    with pytest.raises(SettingError, match="cannot begin the name of a shard"):
        split_by_values(["1"], [value], "split_name")


def world(groups: int, records: int, *, seed: int = 0) -> tuple[list[str], list[str], dict[str, list[str | None]]]:
    """Returns ids, groups and labels: groups of unequal size, classes that go with the group, some missing."""
    draw = random.Random(seed)
    ids = [f"r{i}" for i in range(records)]
    place = [f"g{min(draw.randrange(groups), draw.randrange(groups))}" for _ in ids]
    species = [draw.choice(["a", "b", "c", f"of {one}"]) for one in place]
    count: list[str | None] = [draw.choice(["1", "2", None]) for _ in ids]
    return ids, place, {"species": [*species], "count": count}


@pytest.mark.parametrize("largest", range(3))
def test_the_last_groups_go_by_size(largest: int) -> None:
    """Where there are as many groups as empty splits, the largest goes where most is due, in whichever order they are."""
    sizes = [6 if group == largest else 1 + group for group in range(3)]
    groups = [group for group, size in enumerate(sizes) for _ in range(size)]
    splits = split_by_group([str(i) for i in range(len(groups))], [f"g{group}" for group in groups], {}, SHARES)
    split_of = dict(zip(groups, splits, strict=True))
    by_size = [split_of[group] for group in sorted(range(3), key=lambda group: -sizes[group])]
    assert by_size == ["train", "val", "test"]


@pytest.mark.parametrize("groups", [3, 4, 12, 60])
def test_a_group_never_straddles_and_no_split_is_empty(groups: int) -> None:
    """From three groups on, every split gets whole groups."""
    for seed in range(5):
        ids, place, labels = world(groups, 40 * groups, seed=seed)
        splits = split_by_group(ids, [*place], labels, SHARES)
        found = collections.defaultdict(set)
        for group, split in zip(place, splits, strict=True):
            found[group].add(split)
        assert all(len(one) == 1 for one in found.values())
        assert set(splits) == {"train", "val", "test"}


def test_group_splits_do_not_depend_on_row_order() -> None:
    """Shuffled records get the same splits."""
    ids, place, labels = world(20, 500)
    place[7] = place[90] = ""
    expected = dict(zip(ids, split_by_group(ids, [*place], labels, SHARES), strict=True))
    for seed in range(5):
        rows = list(range(len(ids)))
        random.Random(seed).shuffle(rows)
        shuffled = {label: [values[row] for row in rows] for label, values in labels.items()}
        splits = split_by_group([ids[row] for row in rows], [place[row] for row in rows], shuffled, SHARES)
        assert dict(zip((ids[row] for row in rows), splits, strict=True)) == expected


@pytest.mark.parametrize("shares", [(0.7, 0.2, 0.1), (0.9, 0.05, 0.05), (0.5, 0.25, 0.25)])
def test_group_shares_are_approached(shares: tuple[float, ...]) -> None:
    """With many groups each split has about its share of records and of each class."""
    ids, place, labels = world(200, 4000)
    names = ("train", "val", "test")
    splits = split_by_group(ids, [*place], labels, list(zip(names, shares, strict=True)))
    for species in ("a", "b", "c"):
        rows = [row for row, one in enumerate(labels["species"]) if one == species]
        counts = collections.Counter(splits[row] for row in rows)
        for name, share in zip(names, shares, strict=True):
            assert counts[name] / len(rows) == pytest.approx(share, abs=0.04)


def test_rare_classes_are_spread() -> None:
    """A class that lives in 8 of 80 groups reaches every split, for any naming of the groups."""
    for name in range(10):
        groups = [f"{name}-{i // 10}" for i in range(800)]
        species: list[str | None] = ["rare" if i // 10 < 8 and i % 10 == 0 else "common" for i in range(800)]
        splits = split_by_group(
            [str(i) for i in range(800)], [*groups], {"s": species}, [("train", 0.6), ("val", 0.2), ("test", 0.2)]
        )
        assert {split for split, one in zip(splits, species, strict=True) if one == "rare"} == {"train", "val", "test"}


def test_records_without_a_group_are_by_themselves() -> None:
    """They are not one big group, and a group is not mixed up with a record of the same name."""
    ids = [f"r{i}" for i in range(400)]
    splits = split_by_group(ids, [None] * 200 + [""] * 200, {}, SHARES)
    counts = collections.Counter(splits)
    assert counts == {"train": 280, "val": 80, "test": 40}
    mixed = split_by_group(["a", *ids], [None, *["a"] * 400], {}, [("train", 0.5), ("val", 0.5)])
    assert mixed[0] != mixed[1]


def test_a_share_of_zero_gets_no_group() -> None:
    """Splits that should have nothing have nothing."""
    ids, place, labels = world(6, 60)
    assert set(split_by_group(ids, [*place], labels, [("train", 0.8), ("val", 0.2), ("test", 0.0)])) == {"train", "val"}


def test_settled_groups_are_dealt_before_the_others() -> None:
    """They are where they have to be, the rest evens out the shares, and nothing changes where nothing is settled."""
    ids = [str(i) for i in range(100)]
    place = [f"p{i // 5}" for i in range(100)]
    free = split_by_group(ids, [*place], {}, SHARES)
    assert split_by_group(ids, [*place], {}, SHARES, [None] * 100) == free
    settled = ["train" if i < 20 else None for i in range(100)]
    found = split_by_group(ids, [*place], {}, SHARES, settled)
    assert set(found[:20]) == {"train"}
    counts = collections.Counter(found)
    assert all(abs(counts[name] / 100 - share) < 0.06 for name, share in SHARES)
