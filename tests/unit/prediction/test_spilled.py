"""Rows of numbers in a file without a name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from camtrap_tf.prediction.spilled import SpilledRows


def test_rows_come_back_and_nothing_is_left(tmp_path: Path) -> None:
    """All rows are there in their order, as float32 that is not in memory; the folder shows no file."""
    wanted = np.random.default_rng(0).normal(size=(7, 3))
    rows = SpilledRows(tmp_path, 3)
    for one in wanted:
        rows.add(one)
    found = rows.array()
    assert isinstance(found, np.memmap)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, wanted.astype(np.float32))
    assert not list(tmp_path.iterdir())


def test_no_row(tmp_path: Path) -> None:
    """Without a row the array is empty, and as wide as it would be."""
    assert SpilledRows(tmp_path, 4).array().shape == (0, 4)


def test_rows_of_another_width(tmp_path: Path) -> None:
    """A row of another width cannot slip in."""
    with pytest.raises(ValueError, match="among rows of 2"):
        SpilledRows(tmp_path, 2).add(np.zeros(3))
