"""The columnar way to an inventory; that it equals the way by records is tested with every source."""

from __future__ import annotations

import numpy as np

from camtrap_tf.inventory.picture_columns import _number_texts


def test_numbers_are_written_like_python_writes_them() -> None:
    """All numbers that a box can have: at the edges, tiny, and any in between."""
    numbers = np.concatenate([np.random.default_rng(0).random(5000), 10.0 ** -np.arange(0, 18), [0.0, 1.0, 0.5, 1 / 3, np.nan]])
    expected = [None if number != number else repr(number) for number in numbers.tolist()]
    assert _number_texts(numbers).to_pylist() == expected
