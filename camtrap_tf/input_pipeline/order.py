"""The order of an epoch, which follows from (seed, epoch), so that any step can be reached directly.

It is a permutation of all examples, or what `Sampling` draws from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np


def epoch_order(block_sizes: Sequence[int], *, seed: int, epoch: int, window: int = 0) -> np.ndarray:
    """Returns the order in which an epoch goes through all examples.

    With a window, blocks (shards) are put in random order and each example moves by up to `window` places, which keeps
    reads near each other; without one, or with one as large as the set, the permutation is uniform.

    Args:
        block_sizes: number of examples in each block.
        seed: seed of the run.
        epoch: epoch, counted from the very first run.
        window: shuffle window in examples; 0: the whole set.

    Returns:
        `[N]` int64, each of 0 … N-1 once.
    """
    total = int(sum(block_sizes))
    random = np.random.default_rng([seed % 2**32, epoch])
    if not window or window >= total:
        return random.permutation(total)
    starts = np.cumsum([0, *block_sizes[:-1]])
    blocks = random.permutation(len(block_sizes))
    order = np.concatenate([np.arange(starts[block], starts[block] + block_sizes[block]) for block in blocks])
    places = random.random(total)
    places *= window
    places += np.arange(total)
    return order[np.argsort(places, kind="stable")]


@dataclass(frozen=True, slots=True, eq=False)
class Sampling:
    """Which examples an epoch has, by the class of their record.

    Attributes:
        kind: `weighted`: as many draws as there are examples, with replacement, by `weights`; `balanced`: as many examples
            as there are, the groups in turn, each in permutations of its own; `capped`: at most `cap` of a group, each once.
        groups: `[records]` group of each record, from 0; negative where its class is not known. Such records come as often
            as they would anyway.
        weights: `[records]`, for `weighted`.
        cap: for `capped`.
    """

    kind: Literal["weighted", "balanced", "capped"]
    groups: np.ndarray
    weights: np.ndarray | None = None
    cap: int = 0

    @property
    def repeats(self) -> bool:
        """Whether an example may come several times in an epoch, which then is as long as the set."""
        return self.kind != "capped"

    def size(self, records: np.ndarray) -> int:
        """Returns the number of examples in an epoch, given the record of each example."""
        if self.repeats:
            return len(records)
        groups = self.groups[records]
        sizes = np.bincount(groups[groups >= 0]) if (groups >= 0).any() else np.zeros(0, int)
        return int(np.minimum(sizes, self.cap).sum() + (groups < 0).sum())


def sampled_order(
    sampling: Sampling, records: np.ndarray, *, block_sizes: Sequence[int], seed: int, epoch: int, window: int = 0
) -> np.ndarray:
    """Returns the examples that an epoch goes through, in order.

    Args:
        sampling: what is drawn. `weighted` and `balanced` draw from the whole set.
        records: `[N]` record of each example.
        block_sizes: number of examples in each block.
        seed: seed of the run.
        epoch: epoch, counted from the very first run.
        window: shuffle window in examples, for `capped`.

    Returns:
        `[sampling.size(records)]` int64.
    """
    random = np.random.default_rng([seed % 2**32, epoch, 1])
    groups = sampling.groups[records]
    if sampling.kind == "weighted":
        assert sampling.weights is not None
        totals = np.cumsum(sampling.weights[records])
        return np.searchsorted(totals, random.random(len(records)) * totals[-1], side="right").clip(max=len(records) - 1)
    if sampling.kind == "balanced":
        return _in_turn(groups, random)
    order = epoch_order(block_sizes, seed=seed, epoch=epoch, window=window)
    kept = random.permutation(len(records))
    kept = kept[(groups[kept] < 0) | (occurrences(groups[kept]) < sampling.cap)]
    return order[np.isin(order, kept)]


def _in_turn(groups: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Returns examples so that any C in a row from a multiple of C on have one of each group, but for those without one."""
    known = np.flatnonzero(groups >= 0)
    if not len(known):
        return random.permutation(len(groups))
    there = np.unique(groups[known])
    rounds = -(-len(known) // len(there))
    turns = random.permuted(np.tile(there, (rounds, 1)), axis=1).ravel()[: len(known)]
    chosen = np.empty(len(known), np.int64)
    for group in there:
        places, members = np.flatnonzero(turns == group), np.flatnonzero(groups == group)
        passes = -(-len(places) // len(members))
        chosen[places] = np.concatenate([random.permutation(members) for _ in range(max(passes, 1))])[: len(places)]
    order = np.empty(len(groups), np.int64)
    unknown = np.zeros(len(groups), bool)
    unknown[random.permutation(len(groups))[: len(groups) - len(known)]] = True
    order[~unknown], order[unknown] = chosen, random.permutation(np.flatnonzero(groups < 0))
    return order


def occurrences(values: np.ndarray) -> np.ndarray:
    """Returns, for each value of a row, how often it came before."""
    order = np.argsort(values, kind="stable")
    arranged = values[order]
    starts = np.flatnonzero(np.diff(arranged, prepend=arranged[:1] - 1)) if len(values) else np.zeros(0, int)
    lengths = np.diff([*starts, len(values)])
    before = np.empty(len(values), np.int64)
    before[order] = np.arange(len(values)) - np.repeat(starts, lengths)
    return before
