"""What is said of a download."""

from __future__ import annotations

import collections
from pathlib import Path

import pytest

from camtrap_tf.acquire.outcome import Counts, Downloaded, Plan


@pytest.mark.parametrize(("share", "code"), [(0.0, 3), (0.19, 3), (0.2, 0), (1.0, 0)])
def test_too_many_failures_are_exit_code_3(share: float, code: int) -> None:
    """Two of ten failed: that is more than a share of 0.19, not more than one of 0.2."""
    counts = Counts(read=10, fetched=7, there=1, reasons=collections.Counter(not_found=2), bytes=7_000_000, seconds=2.0)
    done = Downloaded("list.txt", Path("out"), counts, share)
    assert done.exit_code == code
    assert "list.txt: 10 files = 7 fetched + 1 there already + 2 failed (2 × not_found)" in done.text()
    assert "out: 7.0 MB in 2 s (3.5 MB/s, 3.5 files/s)" in done.text()
    assert ("more than --max-failed-share" in done.text()) == (code == 3)


def test_an_empty_list_is_no_failure() -> None:
    """Nothing to do is done."""
    assert Downloaded("list.txt", Path("out"), Counts(), 0.0).exit_code == 0


def test_plans_reckon_by_a_sample() -> None:
    """10 MB are known; of 1000 unknown files 4 were asked, 3 of them named 6 MB together: 2 MB each, 2010 MB in all."""
    plan = Plan(Counts(read=1010, fetched=1010), 10_000_000, 1000, 4, 6_000_000, collections.Counter(not_found=1))
    assert plan.text() == (
        "would fetch 1010 files, 2.0 GB (about, by the sizes of 3); of 4 asked, 1 are not to be had (1 × not_found)"
    )
    assert Plan(Counts(fetched=5), 500, 0, 0, 0, collections.Counter()).text() == "would fetch 5 files, 500 B (by their sizes)"
    assert "sizes are not known" in Plan(Counts(fetched=5), 0, 5, 1, 0, collections.Counter(forbidden=1)).text()
