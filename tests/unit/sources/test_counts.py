"""Counts as classes."""

import pytest

from camtrap_tf.sources.counts import bin_count


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10", "10"), ("11", "11-50"), ("50", "11-50"), ("51", "51+"), ("NA", "NA"),
        ("0", "0"), ("1", "1"), ("007", "7"), (" 3 ", "3"), ("3.0", "3"), ("1000", "51+"),
        ("11-50", "11-50"), ("51+", "51+"), ("3.5", "NA"), ("-4", "NA"), ("many", "NA"), ("", "NA"),
        ("1_0", "NA"), ("1e1", "NA"), ("٣", "NA"), ("9" * 5000, "NA"),
    ],
)  # fmt: skip
def test_counts_are_binned(text: str, expected: str) -> None:
    """Small counts stand for themselves, larger ones fall in two bins, anything else is NA."""
    assert bin_count(text) == expected
