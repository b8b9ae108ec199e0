"""Progress on stderr."""

from __future__ import annotations

import itertools

import pytest

from camtrap_tf import progress
from camtrap_tf.progress import track


def test_items_pass_through(capsys: pytest.CaptureFixture[str]) -> None:
    """Short work says nothing; stdout stays free for results."""
    assert list(track(iter("abc"), total=3, description="Reading")) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("total", "first", "tenth"), [
    (40, "Reading: 1 of 40 rows", "Reading: 10 of 40 rows, about 600 s left"),
    (None, "Reading: 1 rows", "Reading: 10 rows"),
])  # fmt: skip
def test_long_work_says_how_far_it_is(
    total: int | None, first: str, tenth: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Off a terminal there is a plain line now and then; what is left is told once some items have shown how long they take."""
    clock = itertools.count(0, 20)
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    assert list(track("abcdefghij", total=total, description="Reading", unit="rows")) == list("abcdefghij")
    lines = capsys.readouterr().err.splitlines()
    assert (lines[0], lines[-1]) == (first, tenth)


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Items pass through the live bar too, with and without a known total."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert list(track("ab", total=2, description="Reading")) == ["a", "b"]
    assert list(track("ab", total=None, description="Reading")) == ["a", "b"]
    assert capsys.readouterr().out == ""
