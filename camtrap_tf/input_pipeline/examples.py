"""What counts as one example of a set of shards, and the examples of an epoch in their order."""

from __future__ import annotations

import numpy as np

from camtrap_tf.config.names import ImageChoice
from camtrap_tf.input_pipeline.order import Sampling, epoch_order, sampled_order
from camtrap_tf.input_pipeline.shard_set import ShardSet


class Examples:
    """What counts as one example: a record, or a frame of one.

    Attributes:
        block_sizes: number of examples in each shard.
        count: number of examples.
    """

    def __init__(self, shards: ShardSet, choice: ImageChoice) -> None:
        self._ends: np.ndarray | None = None
        self.block_sizes: tuple[int, ...] = shards.shard_sizes
        if choice == "all":
            self._ends = np.cumsum(np.maximum(shards.frame_counts(), 1), dtype=np.int64)
            last = self._ends[np.cumsum(shards.shard_sizes) - 1]
            self.block_sizes = tuple(np.diff(last, prepend=0).tolist())
        self.count = int(sum(self.block_sizes))

    def records(self) -> np.ndarray:
        """Returns the record of each example, `[N]` int64."""
        return self.locate(np.arange(self.count))[0]

    def locate(self, examples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns record (int64) and frame (int32; 0 where a record is the example) of examples."""
        if self._ends is None:
            return examples, np.zeros(len(examples), np.int32)
        records = np.searchsorted(self._ends, examples, "right")
        firsts = np.where(records > 0, self._ends[records - 1], 0)
        return records, (examples - firsts).astype(np.int32)

    def order(self, sampling: Sampling | None, *, seed: int, epoch: int, window: int) -> np.ndarray:
        """Returns the examples of an epoch in their order, `[n]` int64; each once where there is no sampling."""
        if sampling is None:
            return epoch_order(self.block_sizes, seed=seed, epoch=epoch, window=window)
        return sampled_order(sampling, self.records(), block_sizes=self.block_sizes, seed=seed, epoch=epoch, window=window)
