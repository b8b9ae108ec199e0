"""Dealing groups to splits: from random draws by moves and swaps to a dealing that none of them makes better.

The other way, class by class with the smallest first, is here too; it needs no random numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from camtrap_tf.config.splits import SplitScore
from camtrap_tf.curation.scored_splits import (
    FREE,
    Dealing,
    GroupTable,
    Ints,
    Scorer,
    Target,
    best_of_draws,
    check_enough,
    seed_of,
    settle,
)
from camtrap_tf.errors import SettingError

GAIN = 1e-9
"""A step has to lower the score by more than this, which is more than rounding does."""

SEARCH_CELLS = 2 * 10**9
"""Numbers that the search may work out; it ends there. A bound in work, not in time, so that the result does not depend on
the machine: about half a minute."""


def deal_by_score(
    table: GroupTable,
    target: Target,
    *,
    formula: SplitScore = "animl",
    draws: int = 10_000,
    jitter: float = 0.03,
    seed: int = 0,
    frozen: Ints | None = None,
    closed: Sequence[int] = (),
) -> Dealing:
    """Deals groups to splits: the best of many random draws, made better by moving and swapping groups.

    A class in only one group goes to train with it. A class with a group for every split gets into every split, as far as
    what is settled allows; that comes before the score.

    Args:
        table: what the groups hold.
        target: splits and shares.
        formula: `animl` or `ms`.
        draws: random draws.
        jitter: how far the share of groups may be off in a draw.
        seed: equal seeds deal equally.
        frozen: `[groups]` splits that are settled, `FREE` otherwise.
        closed: splits that take no further group.

    Raises:
        SettingError: there are fewer groups than splits.
    """
    check_enough(table, target)
    settled = settle(table, target, frozen)
    if closed:
        return _deal_beside(table, target, settled, tuple(closed), formula=formula, draws=draws, jitter=jitter, seed=seed)
    scorer = Scorer(table, target, formula)
    drawn, drawn_count = best_of_draws(scorer, settled, draws=draws, jitter=jitter, seed=seed_of(seed, "splits"))
    found = improve(scorer, drawn, np.flatnonzero(settled == FREE), seed=seed_of(seed, "swaps"))
    return Dealing(found, scorer.score(found), scorer.score(drawn) if drawn_count else None, drawn_count)


def _deal_beside(
    table: GroupTable,
    target: Target,
    settled: Ints,
    closed: tuple[int, ...],
    *,
    formula: SplitScore,
    draws: int,
    jitter: float,
    seed: int,
) -> Dealing:
    """Deals what is not in a closed split to the others, by their shares among themselves."""
    opened = [split for split in range(len(target.names)) if split not in closed]
    rest = np.flatnonzero(~np.isin(settled, closed))
    counts = table.counts[rest]
    held = counts.sum(axis=0) > 0
    part = GroupTable(
        tuple(table.groups[group] for group in rest),
        tuple(label for label, some in zip(table.labels, held, strict=True) if some),
        counts[:, held],
    )
    whole = sum(target.shares[split] for split in opened)
    inner = Target(tuple(target.names[split] for split in opened), tuple(target.shares[split] / whole for split in opened))
    place = {split: number for number, split in enumerate(opened)}
    frozen = np.asarray([place.get(int(split), FREE) for split in settled[rest]], np.int64)
    dealt = deal_by_score(part, inner, formula=formula, draws=draws, jitter=jitter, seed=seed, frozen=frozen)
    assignment = settled.copy()
    assignment[rest] = np.asarray(opened, np.int64)[dealt.assignment]
    return Dealing(assignment, Scorer(table, target, formula).score(assignment), None, dealt.draws)


def improve(scorer: Scorer, assignment: Ints, free: Ints, *, seed: int) -> Ints:
    """Returns a dealing that no move of one free group, and no swap of two, makes better; never worse than the one given.

    Args:
        scorer: the score.
        assignment: `[groups]`, where to begin.
        free: groups that may move.
        seed: of the order in which swaps are tried.
    """
    search = _Search(scorer, assignment.copy(), free)
    rng = np.random.default_rng(seed)
    better = len(free) > 0
    while better and search.cells_left > 0:
        while search.move() and search.cells_left > 0:
            pass
        better = search.swap_all(rng.permutation(free))
    return search.assignment


class _Search:
    """A dealing under improvement, with the sums of its splits kept up to date."""

    def __init__(self, scorer: Scorer, assignment: Ints, free: Ints) -> None:
        self.scorer = scorer
        self.assignment = assignment
        self.free = free
        self.sums = scorer.sums(assignment)
        self.costs = np.asarray([scorer.cost(self.sums[split], split) for split in range(len(self.sums))])
        self.cells_left = SEARCH_CELLS

    def move(self) -> bool:
        """Makes the best move of one group to another split; tells whether there was one."""
        rows, at = self.scorer.rows[self.free], self.assignment[self.free]
        splits = len(self.sums)
        self.cells_left -= rows.size * (splits + 1)
        gains = np.empty((len(rows), splits))
        for split in range(splits):
            gains[:, split] = self.scorer.cost(self.sums[split] + rows, split) - self.costs[split]
        for split in range(splits):
            own = np.flatnonzero(at == split)
            gains[own] += (self.scorer.cost(self.sums[split] - rows[own], split) - self.costs[split])[:, None]
            gains[own, split] = 0.0
        best, to = np.unravel_index(int(np.argmin(gains)), gains.shape)
        if gains[best, to] >= -GAIN:
            return False
        self._put(int(self.free[best]), int(to))
        return True

    def swap_all(self, order: Ints) -> bool:
        """Tries, for each group in turn, its best swap with a group of another split; tells whether one was made."""
        made = False
        for group in order.tolist():
            if self.cells_left <= 0:
                break
            made |= self._swap(group)
        return made

    def _swap(self, group: int) -> bool:
        source = int(self.assignment[group])
        others = self.free[self.assignment[self.free] != source]
        row = self.scorer.rows[group]
        best, partner = -GAIN, -1
        for split in range(len(self.sums)):
            members = others[self.assignment[others] == split]
            if not len(members):
                continue
            change = self.scorer.rows[members] - row
            self.cells_left -= 2 * change.size
            gains = self.scorer.cost(self.sums[source] + change, source) - self.costs[source]
            gains += self.scorer.cost(self.sums[split] - change, split) - self.costs[split]
            lowest = int(np.argmin(gains))
            if gains[lowest] < best:
                best, partner = float(gains[lowest]), int(members[lowest])
        if partner < 0:
            return False
        there = int(self.assignment[partner])
        self._put(partner, source)
        self._put(group, there)
        return True

    def _put(self, group: int, split: int) -> None:
        """Puts a group into a split; counts are whole numbers, so the sums stay exact."""
        before, row = int(self.assignment[group]), self.scorer.rows[group]
        self.sums[before] -= row
        self.sums[split] += row
        self.assignment[group] = split
        for one in (before, split):
            self.costs[one] = self.scorer.cost(self.sums[one], one)


def deal_smallest_first(
    table: GroupTable,
    target: Target,
    *,
    formula: SplitScore = "animl",
    frozen: Ints | None = None,
    closed: Sequence[int] = (),
    first: Mapping[str, Sequence[str]] | None = None,
) -> Dealing:
    """Deals groups class by class, the class with the fewest records first, and its smallest groups first.

    For each class, a group that has it and is not dealt yet goes to the last split (test) as long as that holds less than
    its share of the class, else to the one before (val), else to train; with it come all its classes. A class in only one
    group goes to train with it.

    Args:
        table: what the groups hold.
        target: splits and shares.
        formula: the score to report.
        frozen: `[groups]` splits that are settled, `FREE` otherwise.
        closed: splits that take no further group.
        first: class → groups that are dealt before its other ones.

    Raises:
        SettingError: there are fewer groups than splits, or a split got none though there were enough for all.
    """
    check_enough(table, target)
    settled = settle(table, target, frozen)
    assignment = settled.copy()
    held = np.stack([table.counts[assignment == split].sum(axis=0) for split in range(len(target.names))])
    sizes = table.counts.sum(axis=0)
    fill = [split for split in reversed(range(len(target.names))) if split != target.train and split not in closed]
    for label in sorted(range(len(table.labels)), key=lambda one: (int(sizes[one]), table.labels[one])):
        early = set((first or {}).get(table.labels[label], ()))
        mine = np.flatnonzero((table.counts[:, label] > 0) & (assignment == FREE)).tolist()
        for group in sorted(mine, key=lambda one: (table.groups[one] not in early, table.counts[one, label], one)):
            wanting = (split for split in fill if held[split, label] < target.shares[split] * sizes[label])
            split = next(wanting, target.train)
            assignment[group] = split
            held[split] += table.counts[group]
    assignment[assignment == FREE] = target.train  # groups without any class
    _refuse_emptied(target, settled, assignment, closed)
    return Dealing(assignment, Scorer(table, target, formula).score(assignment))


def _refuse_emptied(target: Target, settled: Ints, assignment: Ints, closed: Sequence[int]) -> None:
    """Makes sure that a split is empty only where too few groups could be dealt, the others being settled.

    Raises:
        SettingError: there were enough.
    """
    opened = [split for split in range(len(target.names)) if split not in closed]
    emptied = [target.names[split] for split in opened if not (assignment == split).any()]
    lacking = sum(not (settled == split).any() for split in opened)
    if emptied and (settled == FREE).sum() >= lacking:
        raise SettingError(
            f"the method smallest_first leaves split {' and '.join(map(repr, emptied))} without a group, as those before it "
            "take all; deal by score (the default for locations), or give that split a larger share"
        )
