"""Which split each group falls in, by score: thousands of random dealings at once, the best of them made better.

A group is what must stay whole, mostly a location. Two scores are known, both lower is better; they compare, split by split,
the share of each class's records and of each class's groups with the share that the split is due. `animl` also compares the
mix of classes in val and test with that of the whole.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from camtrap_tf.config.splits import SplitScore
from camtrap_tf.errors import SettingError, counted

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

FREE = -1
"""The assignment of a group that may go anywhere."""

RECORDS_WEIGHT = 2.0
PLACES_WEIGHT = 1.0
MIX_WEIGHT = 2.0
"""Weights of the terms of the score: classes' records, classes' groups, mix of classes.

Source: the published splitters of MegaDetector (the first two terms) and of Animl (all three).
"""

BROKEN = 1e6
"""What a class that a split lacks, though it needs it, adds while dealings are compared; far more than any score."""

DRAW_CELLS = 2**22
"""Draws times groups that are worked on at a time: 32 MB of numbers."""

MOST_DRAW_CELLS = 10**9
"""Draws times groups at most; beyond it there are fewer draws than asked for (100 000 groups still get 10 000)."""

TRAIN = "train"


@dataclass(frozen=True, slots=True)
class GroupTable:
    """What each group holds.

    Attributes:
        groups: names of the groups, sorted, so that the order of records does not matter.
        labels: names of the classes.
        counts: `[groups, labels]`, records of each class in each group; each class has at least one.
    """

    groups: tuple[str, ...]
    labels: tuple[str, ...]
    counts: Ints

    @property
    def places(self) -> Ints:
        """In how many groups each class is, `[labels]`."""
        return np.asarray((self.counts > 0).sum(axis=0), np.int64)


@dataclass(frozen=True, slots=True)
class Target:
    """Splits with what they are due.

    Attributes:
        names: the splits.
        shares: their shares, each above 0, together 1.
    """

    names: tuple[str, ...]
    shares: tuple[float, ...]

    @property
    def train(self) -> int:
        """Number of the split that is trained on."""
        return self.names.index(train_split(self.names))


def train_split(splits: Sequence[str]) -> str:
    """Returns the split that is trained on: the one named `train`, else the first."""
    return TRAIN if TRAIN in splits else splits[0]


@dataclass(frozen=True, slots=True)
class Dealing:
    """Groups dealt to splits.

    Attributes:
        assignment: `[groups]`, number of the split of each.
        score: its score.
        draw_score: score of the best random draw, which the search began with; None where there were no draws.
        draws: how many random draws were looked at.
    """

    assignment: Ints
    score: float
    draw_score: float | None = None
    draws: int = 0


class Scorer:
    """The score of one table, for one target and formula.

    Works on *sums*: `[..., 2 * labels + 1]`, the records and the groups of each class in a split, and its number of groups.
    """

    def __init__(self, table: GroupTable, target: Target, formula: SplitScore) -> None:
        counts = np.asarray(table.counts, np.float64)
        self.labels = counts.shape[1]
        self.rows = np.concatenate([counts, counts > 0, np.ones((len(counts), 1))], axis=1)
        self.target = target
        self.mixed = [formula == "animl" and split != target.train for split in range(len(target.names))]
        self.total = self.rows.sum(axis=0)
        self.records = self.total[: self.labels]
        self.places = self.total[self.labels : -1]
        self.mix = self.records / max(self.records.sum(), 1.0)
        everywhere = self.places >= len(target.names)
        self.needed = [
            np.ones(self.labels, bool) if split == target.train else everywhere for split in range(len(target.names))
        ]

    def sums(self, assignment: Ints) -> Floats:
        """Returns the sums of each split, `[splits, 2 * labels + 1]`."""
        return np.stack([self.rows[assignment == split].sum(axis=0) for split in range(len(self.target.names))])

    def terms(self, sums: Floats, split: int) -> Floats:
        """Returns what one split adds to the score, `[...]`; a split without records has no mix, which counts as zeros."""
        held, at = sums[..., : self.labels], sums[..., self.labels : -1]
        share = self.target.shares[split]
        result = RECORDS_WEIGHT * np.square(held / self.records - share).sum(axis=-1)
        result += PLACES_WEIGHT * np.square(at / self.places - share).sum(axis=-1)
        if self.mixed[split]:
            mix = held / np.maximum(held.sum(axis=-1, keepdims=True), 1.0)
            result += MIX_WEIGHT * np.square(mix - self.mix).sum(axis=-1)
        return np.asarray(result)

    def broken(self, sums: Floats, split: int) -> Floats:
        """Returns how many classes a split lacks that it needs, `[...]`; an empty split lacks one more than there are."""
        lacking = (sums[..., self.labels : -1] == 0) & self.needed[split]
        return np.asarray(lacking.sum(axis=-1) + (self.labels + 1) * (sums[..., -1] == 0), np.float64)

    def cost(self, sums: Floats, split: int) -> Floats:
        """Returns what dealings are compared by: what is broken comes first, then the score, `[...]`."""
        return self.terms(sums, split) + BROKEN * self.broken(sums, split)

    def score(self, assignment: Ints) -> float:
        """Returns the score of a dealing; infinite where a split is empty, as its mix of classes is undefined."""
        sums = self.sums(assignment)
        if not sums[:, -1].all():
            return float("inf")
        return float(sum(self.terms(sums[split], split) for split in range(len(sums))))

    def lacking(self, assignment: Ints) -> list[tuple[int, int]]:
        """Returns label and split of each class that a split lacks though the class has a group for every split."""
        sums = self.sums(assignment)
        return [
            (label, split)
            for label in np.flatnonzero(self.places >= len(sums)).tolist()
            for split in range(len(sums))
            if sums[split, self.labels + label] == 0
        ]


def best_of_draws(scorer: Scorer, frozen: Ints, *, draws: int, jitter: float, seed: int) -> tuple[Ints, int]:
    """Returns the best of many random dealings, and how many there were.

    A draw gives each split but the last `groups * (share + a)` groups, rounded down, `a` uniform in ± jitter, and the last
    one the rest; where there are enough groups, none is left empty. Draws that lack the fewest classes come first, then
    those with the lower score, then the earlier ones.

    Args:
        scorer: the score.
        frozen: `[groups]`, the split of a group that is settled, `FREE` otherwise.
        draws: how many.
        jitter: how far the share of groups may be off.
        seed: equal seeds draw equally.
    """
    free = np.flatnonzero(frozen == FREE)
    if not len(free):
        return frozen.copy(), 0
    draws = max(1, min(draws, MOST_DRAW_CELLS // len(frozen)))
    fixed = scorer.sums(frozen)
    rng = np.random.default_rng(seed)
    best: tuple[float, Ints] = (float("inf"), np.zeros(len(free), np.int64))
    at_a_time = max(1, DRAW_CELLS // len(free))
    for start in range(0, draws, at_a_time):
        drawn = _draw(rng, min(at_a_time, draws - start), len(free), fixed[:, -1], scorer.target.shares, jitter)
        costs = _costs(scorer, drawn, scorer.rows[free], fixed)
        lowest = int(np.argmin(costs))
        if costs[lowest] < best[0]:
            best = (float(costs[lowest]), drawn[lowest].astype(np.int64))
    assignment = frozen.copy()
    assignment[free] = best[1]
    return assignment, draws


def _draw(
    rng: np.random.Generator, draws: int, free: int, fixed: Floats, shares: Sequence[float], jitter: float
) -> npt.NDArray[np.int8]:
    """Returns random dealings of the free groups, `[draws, free]`.

    A group goes to the first split whose end its random number does not pass; the ends are the random numbers of that rank,
    so that no permutation has to be made.
    """
    sizes = _sizes(rng, draws, free, fixed, shares, jitter)
    keys = rng.random((draws, free), np.float32)
    ranked = np.concatenate([np.full((draws, 1), -1, np.float32), np.sort(keys, axis=1)], axis=1)
    drawn = np.zeros((draws, free), np.int8)
    for ends in np.cumsum(sizes, axis=1)[:, :-1].T:
        drawn += keys > np.take_along_axis(ranked, ends[:, None], axis=1)
    return drawn


def _sizes(rng: np.random.Generator, draws: int, free: int, fixed: Floats, shares: Sequence[float], jitter: float) -> Ints:
    """Returns how many of the free groups each split gets in each draw, `[draws, splits]`."""
    least = (fixed == 0).astype(np.int64)
    if free < least.sum():
        least[:] = 0
    groups = free + fixed.sum()
    offsets = rng.uniform(-jitter, jitter, (draws, len(shares) - 1))
    sizes = np.zeros((draws, len(shares)), np.int64)
    left = np.full(draws, free, np.int64)
    for split, share in enumerate(shares[:-1]):
        wanted = np.floor(groups * (share + offsets[:, split])).astype(np.int64) - int(fixed[split])
        sizes[:, split] = np.clip(wanted, least[split], left - least[split + 1 :].sum())
        left -= sizes[:, split]
    sizes[:, -1] = left
    return sizes


def _costs(scorer: Scorer, drawn: npt.NDArray[np.int8], rows: Floats, fixed: Floats) -> Floats:
    """Returns what each draw costs, `[draws]`: one product of matrices for each split but the last, which has the rest."""
    costs = np.zeros(len(drawn))
    rest = np.broadcast_to(scorer.total, (len(drawn), rows.shape[1]))
    for split in range(len(fixed) - 1):
        sums = (drawn == split).astype(np.float64) @ rows + fixed[split]
        rest = rest - sums
        costs += scorer.cost(sums, split)
    return costs + scorer.cost(rest, len(fixed) - 1)


def settle(table: GroupTable, target: Target, frozen: Ints | None = None) -> Ints:
    """Returns the groups whose split is settled: those given, and to train those with a class that no other group has.

    Args:
        table: what the groups hold.
        target: splits and shares.
        frozen: `[groups]` splits given, `FREE` otherwise.
    """
    settled = np.full(len(table.groups), FREE, np.int64) if frozen is None else np.asarray(frozen, np.int64).copy()
    settled[alone_in(table) & (settled == FREE)] = target.train
    return settled


def alone_in(table: GroupTable) -> npt.NDArray[np.bool_]:
    """Returns which groups hold a class that no other group has, `[groups]`."""
    return np.asarray((table.counts[:, table.places == 1] > 0).any(axis=1), bool)


def check_enough(table: GroupTable, target: Target) -> None:
    """Makes sure that every split can have a group, unless all of them go to train by their classes anyway.

    Raises:
        SettingError: there are fewer groups than splits.
    """
    if len(table.groups) < len(target.names) and not alone_in(table).all():
        raise too_few(len(table.groups), target.names)


def too_few(groups: int, splits: Sequence[str], what: str = "") -> SettingError:
    """Returns the error that there are fewer groups than splits; `what`: what they are, e.g. ` by 'location'`."""
    return SettingError(
        f"{counted(groups, 'group')}{what} cannot fill {len(splits)} splits ({', '.join(splits)}); take fewer splits "
        "(--split-names with --split-percent), or group by something finer (--split-group; 'none': every record by itself)"
    )


def seed_of(seed: int, name: str) -> int:
    """Returns the seed of one use, so that uses do not share their random numbers."""
    return (seed << 32) | zlib.crc32(name.encode())
