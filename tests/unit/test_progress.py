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


def test_transfers_that_failed_are_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that did not come is done with, but not fetched."""
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    with TransferProgress(total=1, description="Fetching") as transfer:
        clock[0] = 10.0
        transfer.advance(files=1, failed=1)
    assert capsys.readouterr().err == "Fetching: 1 of 1 files (1 failed), 0 B, 0 B/s, about 0 s left\n"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (123_456, "123 kB"), (5e13, "50.0 TB")]
)
def test_amounts_are_short(count: float, text: str) -> None:
    """Bytes are told in the unit that fits."""
    assert amount(count) == text
