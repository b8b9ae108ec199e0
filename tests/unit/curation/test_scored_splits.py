"""The score of a dealing, and dealing by it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest

from camtrap_tf.curation.scored_splits import FREE, GroupTable, Scorer, Target, _draw, best_of_draws, settle
from camtrap_tf.curation.split_search import deal_by_score, deal_smallest_first, improve
from camtrap_tf.errors import SettingError

GOLDEN = GroupTable(tuple("ABCD"), ("fox", "bird"), np.asarray([[10, 0], [5, 5], [5, 10], [0, 5]]))
THREE = Target(("train", "val", "test"), (0.6, 0.2, 0.2))
FORMULAS = ("animl", "ms")


def world(groups: int = 40, labels: int = 6, *, seed: int = 0, common: float = 0.4) -> GroupTable:
    """Returns groups of unequal size, each with some of the classes."""
    draw = np.random.default_rng(seed)
    counts = draw.geometric(0.05, (groups, labels)) * (draw.random((groups, labels)) < common)
    counts[0, ~counts.any(axis=0)] = 1
    return GroupTable(tuple(f"g{i:03d}" for i in range(groups)), tuple(f"c{i}" for i in range(labels)), counts)


def shares_reached(table: GroupTable, assignment: Any, splits: int) -> Any:
    """Returns the share of each class's records in each split, `[splits, labels]`."""
    sums = np.stack([table.counts[assignment == split].sum(axis=0) for split in range(splits)])
    return sums / table.counts.sum(axis=0)


def slow_score(table: GroupTable, target: Target, assignment: Any, *, mix: bool) -> float:
    """Works the score out from a table of rows, as its definition reads."""
    rows = pd.DataFrame(
        [
            (target.names[assignment[g]], group, label, int(table.counts[g, j]))
            for g, group in enumerate(table.groups)
            for j, label in enumerate(table.labels)
            if table.counts[g, j]
        ],
        columns=["split", "location", "label", "n"],
    )
    whole = rows.groupby("label")["n"].sum()
    total = 0.0
    for name, share in zip(target.names, target.shares, strict=True):
        mine = rows[rows["split"] == name]
        n = mine.groupby("label")["n"].sum().reindex(whole.index, fill_value=0)
        m = mine.groupby("label")["location"].nunique().reindex(whole.index, fill_value=0)
        total += 2 * ((n / whole - share) ** 2).sum()
        total += ((m / rows.groupby("label")["location"].nunique() - share) ** 2).sum()
        if mix and name != "train":
            total += 2 * ((n / n.sum() - whole / whole.sum()) ** 2).sum()
    return float(total)


@pytest.mark.parametrize(("formula", "expected"), [("animl", 1.84), ("ms", 0.728889)])
def test_scores_are_the_published_ones(formula: Any, expected: float) -> None:
    """Golden values of both formulas."""
    assert Scorer(GOLDEN, THREE, formula).score(np.array([0, 0, 1, 2])) == pytest.approx(expected, abs=5e-7)


def test_terms_are_the_published_ones() -> None:
    """Golden values split by split: records and groups without the mix, then the mix alone."""
    assignment = np.asarray([0, 0, 1, 2])
    plain, mixed = Scorer(GOLDEN, THREE, "ms"), Scorer(GOLDEN, THREE, "animl")
    sums = plain.sums(assignment)
    terms = [float(plain.terms(sums[split], split)) for split in range(3)]
    assert terms == pytest.approx([0.290 + 0.075556, 0.185 + 0.035556, 0.085 + 0.057778], abs=1e-6)
    assert [float(mixed.terms(sums[split], split)) - terms[split] for split in range(3)] == pytest.approx(
        [0, 0.111111, 1.0], abs=1e-6
    )


@pytest.mark.parametrize("formula", FORMULAS)
def test_score_agrees_with_a_table_of_rows(formula: Any) -> None:
    """For any dealing, the score is what its definition gives."""
    table = world()
    for seed in range(5):
        assignment = np.random.default_rng(seed).integers(0, 3, len(table.groups))
        assert Scorer(table, THREE, formula).score(assignment) == pytest.approx(
            slow_score(table, THREE, assignment, mix=formula == "animl")
        )


def test_an_empty_split_is_worse_than_anything() -> None:
    """Its mix of classes is undefined."""
    assert Scorer(GOLDEN, THREE, "animl").score(np.array([0, 0, 1, 1])) == float("inf")


def test_draws_are_random_and_of_the_sizes_asked_for() -> None:
    """Each split gets its share of groups, off by the jitter at most; every group gets everywhere."""
    drawn = _draw(np.random.default_rng(0), 4000, 100, np.zeros(3), (0.6, 0.2, 0.2), 0.03)
    sizes = np.stack([(drawn == split).sum(axis=1) for split in range(3)], axis=1)
    assert set(sizes[:, 0]) <= {*range(57, 64)}
    assert set(sizes[:, 1]) <= {*range(17, 24)}
    assert len(np.unique(sizes[:, 0])) >= 6
    assert (sizes.sum(axis=1) == 100).all()
    for split, share in enumerate((0.6, 0.2, 0.2)):
        assert (drawn == split).mean(axis=0) == pytest.approx(share, abs=0.05)


def test_no_draw_leaves_a_split_empty_where_groups_are_few() -> None:
    """Twelve groups and shares of a twentieth: one group each."""
    drawn = _draw(np.random.default_rng(0), 500, 12, np.zeros(3), (0.9, 0.05, 0.05), 0.03)
    assert all((drawn == split).any(axis=1).all() for split in range(3))


@pytest.mark.parametrize("formula", FORMULAS)
def test_the_best_draw_is_found_and_chunks_do_not_matter(formula: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the draws, scored one by one, is better than the one returned."""
    table = world()
    scorer = Scorer(table, THREE, formula)
    free = np.full(len(table.groups), FREE)
    best, count = best_of_draws(scorer, free, draws=300, jitter=0.03, seed=5)
    drawn = _draw(np.random.default_rng(5), 300, len(free), np.zeros(3), THREE.shares, 0.03).astype(np.int64)
    broken = [sum(scorer.broken(scorer.sums(one)[split], split) for split in range(3)) for one in drawn]
    expected = min(range(300), key=lambda i: (broken[i], scorer.score(drawn[i])))
    assert count == 300
    assert best.tolist() == drawn[expected].tolist()
    monkeypatch.setattr("camtrap_tf.curation.scored_splits.DRAW_CELLS", 400)
    in_parts, _ = best_of_draws(scorer, free, draws=300, jitter=0.03, seed=5)
    assert scorer.score(in_parts) < np.median([scorer.score(one) for one in drawn])


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("seed", range(4))
def test_search_never_makes_it_worse_and_ends_where_no_step_helps(formula: Any, seed: int) -> None:
    """All moves and swaps, tried one by one, leave the dealing as good as it is."""
    table = world(14, 4, seed=seed)
    dealt = deal_by_score(table, THREE, formula=formula, draws=50, seed=seed)
    assert dealt.score <= (dealt.draw_score or 0)
    assert dealt.score == pytest.approx(slow_score(table, THREE, dealt.assignment, mix=formula == "animl"))
    scorer = Scorer(table, THREE, formula)

    def cost(assignment: Any) -> float:
        """The cost of a dealing from scratch."""
        return sum(float(scorer.cost(scorer.sums(assignment)[split], split)) for split in range(3))

    free = np.flatnonzero(settle(table, THREE) == FREE)
    here = cost(dealt.assignment)
    for group, split in itertools.product(free, range(3)):
        moved = dealt.assignment.copy()
        moved[group] = split
        assert cost(moved) >= here - 1e-6
    for one, other in itertools.combinations(free, 2):
        swapped = dealt.assignment.copy()
        swapped[[one, other]] = swapped[[other, one]]
        assert cost(swapped) >= here - 1e-6


def test_every_split_gets_every_class_that_can_be_everywhere() -> None:
    """Classes with three groups or more are in every split, also rare ones, for any seed."""
    for seed in range(10):
        table = world(60, 12, seed=seed, common=0.08)
        dealt = deal_by_score(table, Target(("train", "val", "test"), (0.9, 0.05, 0.05)), draws=200, seed=seed)
        reached = shares_reached(table, dealt.assignment, 3)
        assert (reached[:, table.places >= 3] > 0).all()
        assert (reached[0] > 0).all()


def test_a_class_in_one_group_goes_to_train() -> None:
    """There its group is settled, whatever the score says."""
    counts = np.ones((12, 2), np.int64)
    counts[:, 1] = 0
    counts[7, 1] = 5
    for seed in range(5):
        dealt = deal_by_score(GroupTable(tuple("abcdefghijkl"), ("x", "y"), counts), THREE, draws=100, seed=seed)
        assert dealt.assignment[7] == 0


def test_settled_groups_do_not_move() -> None:
    """The others are dealt around them, and no split is empty."""
    table = world(30)
    frozen = np.full(30, FREE)
    frozen[[1, 2, 3, 4]] = [2, 2, 1, 0]
    for dealt in (deal_by_score(table, THREE, frozen=frozen, draws=100), deal_smallest_first(table, THREE, frozen=frozen)):
        assert dealt.assignment[[1, 2, 3, 4]].tolist() == [2, 2, 1, 0]
        assert set(dealt.assignment.tolist()) == {0, 1, 2}


def test_a_closed_split_takes_no_more() -> None:
    """What is not in it is dealt to the others by their shares among themselves."""
    table = world(60)
    frozen = np.full(60, FREE)
    frozen[:5] = 2
    for dealt in (
        deal_by_score(table, THREE, frozen=frozen, closed=(2,), draws=200),
        deal_smallest_first(table, THREE, frozen=frozen, closed=(2,)),
    ):
        assert np.flatnonzero(dealt.assignment == 2).tolist() == [0, 1, 2, 3, 4]
    assert (deal_by_score(table, THREE, frozen=frozen, closed=(2,)).assignment[5:] == 1).mean() == pytest.approx(0.25, abs=0.07)


def test_equal_seeds_deal_equally() -> None:
    """And other seeds otherwise."""
    table = world(80)
    one, again, other = (deal_by_score(table, THREE, draws=20, seed=seed).assignment.tolist() for seed in (1, 1, 2))
    assert one == again != other


def test_smallest_first_by_hand() -> None:
    """The rarest class is dealt first, its smallest groups to test, then to val, then to train; all classes count."""
    counts = np.asarray([[4, 0], [3, 9], [2, 0], [1, 0], [0, 30], [0, 40]])
    table = GroupTable(tuple("abcdef"), ("rare", "common"), counts)
    # rare (10 records, test and val want 2): d(1) test, c(2) test, b(3) val, a(4) train; then common (79): e(30) test,
    # which has none and wants 15.8, then f(40): val has 9 of 15.8.
    assert deal_smallest_first(table, THREE).assignment.tolist() == [0, 1, 2, 2, 2, 1]
    first = deal_smallest_first(table, THREE, first={"rare": ["a"]}).assignment.tolist()
    assert first[0] == 2


def test_two_splits_and_other_names_work() -> None:
    """Without a split named train the first one is it."""
    target = Target(("a", "b"), (0.7, 0.3))
    table = world(30)
    dealt = deal_by_score(table, target, draws=100)
    assert shares_reached(table, dealt.assignment, 2)[1] == pytest.approx(0.3, abs=0.1)


def test_too_few_groups_are_an_error() -> None:
    """The message says what to do."""
    two = GroupTable(("a", "b"), ("x",), np.ones((2, 1), np.int64))
    with pytest.raises(SettingError, match="2 groups cannot fill 3 splits"):
        deal_by_score(two, THREE)


def test_search_stops_at_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """With no work allowed the dealing is returned as it was."""
    monkeypatch.setattr("camtrap_tf.curation.split_search.SEARCH_CELLS", 0)
    table = world(30)
    start = np.arange(30) % 3
    assert improve(Scorer(table, THREE, "ms"), start, np.arange(30), seed=0).tolist() == start.tolist()


def test_a_split_that_smallest_first_leaves_empty_is_an_error() -> None:
    """Four groups of one class with small shares of train: test and val take all; the message says what to do."""
    table = GroupTable(tuple("abcd"), ("x",), np.full((4, 1), 10, np.int64))
    with pytest.raises(SettingError, match=r"leaves split 'train' without a group.*deal by score"):
        deal_smallest_first(table, Target(("train", "val", "test"), (0.1, 0.45, 0.45)))
    scored = deal_by_score(table, Target(("train", "val", "test"), (0.1, 0.45, 0.45)), draws=50)
    assert set(scored.assignment.tolist()) == {0, 1, 2}


def test_fewer_groups_than_splits_are_dealt_where_all_of_them_go_to_train() -> None:
    """Their classes are found nowhere else."""
    table = GroupTable(("a", "b"), ("x", "y"), np.eye(2, dtype=np.int64))
    for dealt in (deal_by_score(table, THREE), deal_smallest_first(table, THREE)):
        assert dealt.assignment.tolist() == [0, 0]
