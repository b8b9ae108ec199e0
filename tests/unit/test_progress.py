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


@pytest.mark.parametrize(("total", "expected"), [(4, "Reading: 1 of 4 rows, about 60 s left"), (None, "Reading: 1 rows")])
def test_long_work_says_how_far_it_is(
    total: int | None, expected: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Off a terminal there is a plain line now and then."""
    clock = itertools.count(0, 20)
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    assert list(track("abcd", total=total, description="Reading", unit="rows")) == list("abcd")
    assert capsys.readouterr().err.splitlines()[0] == expected


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Items pass through the live bar too, with and without a known total."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert list(track("ab", total=2, description="Reading")) == ["a", "b"]
    assert list(track("ab", total=None, description="Reading")) == ["a", "b"]
    assert capsys.readouterr().out == ""
