"""The order of an epoch: a permutation that follows from (seed, epoch), so that any step can be reached directly."""

from __future__ import annotations

from collections.abc import Sequence

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
