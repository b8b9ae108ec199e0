"""Rows of numbers that lie in a file instead of in memory: the answers to a whole split, until they are written."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np


class SpilledRows:
    """Takes rows one by one; gives them back as an array that the system reads from disk where it is looked at.

    The file has no name, so that nothing is left however the process ends.
    """

    def __init__(self, folder: Path, width: int) -> None:
        """Opens the file.

        Args:
            folder: where its bytes lie; `width` × 4 for a row.
            width: numbers in a row.
        """
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - the array outlives any block
        self._width = width
        self._count = 0

    def add(self, row: np.ndarray) -> None:
        """Adds a row `[width]`, as float32.

        Raises:
            ValueError: it is of another width.
        """
        if row.shape != (self._width,):
            raise ValueError(f"a row of shape {row.shape} among rows of {self._width}")
        self._file.write(row.astype(np.float32).tobytes())
        self._count += 1

    def array(self) -> np.ndarray:
        """Returns all rows, float32 `[N, width]`, read-only."""
        shape = (self._count, self._width)
        if not self._count or not self._width:  # an empty file cannot be mapped
            return np.zeros(shape, np.float32)
        self._file.flush()
        return np.memmap(self._file, np.float32, "r", shape=shape)
