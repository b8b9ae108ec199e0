"""Averaging frames over records."""

import numpy as np
import pytest

from camtrap_tf.training.measuring import by_record, majority_accuracy


@pytest.mark.parametrize("size", [1, 2, 3, 5, 11])
def test_records_across_batches(size: int) -> None:
    """However frames are cut into batches, each record is the mean of its frames, once, in order."""
    rng = np.random.default_rng(0)
    records = np.array([0, 0, 1, 3, 3, 3, 3, 4, 5, 5, 6])
    values, targets = rng.random((11, 3)), records * 2 - 1
    batches = [(records[i : i + size], {"a": values[i : i + size]}, {"a": targets[i : i + size]}) for i in range(0, 11, size)]
    rows = list(by_record(batches))
    assert np.concatenate([row.records for row in rows]).tolist() == [0, 1, 3, 4, 5, 6]
    expected = [values[records == record].mean(axis=0) for record in (0, 1, 3, 4, 5, 6)]
    np.testing.assert_allclose(np.concatenate([row.probabilities["a"] for row in rows]), expected, rtol=1e-6)
    assert np.concatenate([row.targets["a"] for row in rows]).tolist() == [-1, 1, 5, 7, 9, 11]


def test_nothing_to_average() -> None:
    """No frames, no records."""
    assert list(by_record([])) == []


def test_baseline_is_the_most_frequent_class_of_the_data_measured() -> None:
    """Names of one class count together; missing and unknown ones do not count."""
    classes = {"cat": 0, "dog": 1, "doggy": 1}
    assert majority_accuracy({"cat": 4, "dog": 3, "doggy": 3, "-1": 50, "wolf": 90}, classes) == pytest.approx(0.6)
    assert majority_accuracy({"-1": 4}, classes) is None
