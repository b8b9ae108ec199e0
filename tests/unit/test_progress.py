"""Progress on stderr."""

from __future__ import annotations

import itertools

import pytest

from camtrap_tf import progress
from camtrap_tf.progress import TransferProgress, amount, track


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


def test_transfers_show_files_bytes_rate_and_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After 10 s with 5 of 20 files and 20 MB, 2 of them skipped: 2 MB/s, and 15 files at 10/3 s each are left."""
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    with TransferProgress(total=20, description="Fetching") as transfer:
        transfer.advance(files=2, skipped=2)
        transfer.advance(count=20_000_000)
        assert capsys.readouterr().err == ""
        clock[0] = 10.0
        transfer.advance(files=3)
    assert capsys.readouterr().err == "Fetching: 5 of 20 files, 20.0 MB, 2.0 MB/s, about 50 s left\n"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (123_456, "123 kB"), (5e13, "50.0 TB")]
)
def test_amounts_are_short(count: float, text: str) -> None:
    """Bytes are told in the unit that fits."""
    assert amount(count) == text
