"""Messages on stderr and in the log folder."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from camtrap_tf.logs import keep_logs, logger, start_logging


def test_messages_go_to_stderr_and_two_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Debug messages go to one of the files alone."""
    start_logging(tmp_path / "logs")
    logger("camtrap_tf.some").info("hello")
    logger("camtrap_tf.some").debug("details")
    assert capsys.readouterr() == ("", "hello\n")
    info, debug = ((tmp_path / "logs" / name).read_text() for name in ("run_info.log", "run_debug.log"))
    assert "INFO camtrap_tf.some: hello" in info
    assert "details" not in info
    assert "hello" in debug
    assert "DEBUG camtrap_tf.some: details" in debug


def test_starting_again_replaces_and_appends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A message is shown once, and log files grow."""
    for text in ("one", "two"):
        start_logging(tmp_path)
        logger("camtrap_tf.some").info(text)
    assert capsys.readouterr().err == "one\ntwo\n"
    assert [line.split(": ")[-1] for line in (tmp_path / "run_info.log").read_text().splitlines()] == ["one", "two"]


def test_no_folder_no_files(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a folder messages go to stderr alone, from the level asked for."""
    monkeypatch.chdir(tmp_path)
    start_logging(level=logging.WARNING)
    logger("camtrap_tf.some").info("quiet")
    logger("camtrap_tf.some").warning("loud")
    assert capsys.readouterr().err == "loud\n"
    assert list(tmp_path.iterdir()) == []


def test_files_wait_until_work_begins(tmp_path: Path) -> None:
    """Messages from before the files were made are in them, once and in order; a set-up that never came to work leaves none."""
    start_logging(tmp_path / "refused", waits=True)
    logger("camtrap_tf.some").info("lost")
    start_logging(tmp_path / "logs", waits=True)
    logger("camtrap_tf.some").info("before")
    logger("camtrap_tf.some").debug("details")
    assert list(tmp_path.iterdir()) == []
    for _ in range(2):
        keep_logs()
    logger("camtrap_tf.some").info("after")
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]
    info, debug = ((tmp_path / "logs" / name).read_text().splitlines() for name in ("run_info.log", "run_debug.log"))
    assert [line.split(": ")[-1] for line in info] == ["before", "after"]
    assert [line.split(": ")[-1] for line in debug] == ["before", "details", "after"]


def test_a_module_that_python_was_started_with_is_heard(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Started as `python -m`, a module is called `__main__`; its messages are shown all the same."""
    start_logging(tmp_path)
    logger("__main__").info("note: said")
    assert capsys.readouterr().err == "note: said\n"
    assert all("note: said" in (tmp_path / name).read_text() for name in ("run_info.log", "run_debug.log"))
