"""Logging: one line a message on stderr, and two files in the log folder (`run_info.log`, `run_debug.log`)."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

ROOT = "camtrap_tf"


def logger(name: str) -> logging.Logger:
    """Returns the logger of a module; pass `__name__`."""
    return logging.getLogger(name)


def start_logging(folder: Path | None = None, *, level: int = logging.INFO) -> None:
    """Sends messages of the package to stderr and, given a folder, to its two log files (appended to).

    Calling it again replaces the earlier set-up. A message logged with `extra={"file_only": True}` goes to the files alone.

    Args:
        folder: where `run_info.log` and `run_debug.log` go; created if needed.
        level: least level shown on stderr.
    """
    root = logging.getLogger(ROOT)
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    root.setLevel(logging.DEBUG)
    root.propagate = False
    console = logging.StreamHandler(sys.stderr)
    console.setLevel(level)
    console.setFormatter(logging.Formatter("%(message)s"))
    console.addFilter(lambda record: not getattr(record, "file_only", False))
    root.addHandler(console)
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name, file_level in (("run_info.log", logging.INFO), ("run_debug.log", logging.DEBUG)):
        file = logging.FileHandler(folder / name, encoding="utf-8")
        file.setLevel(file_level)
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root.addHandler(file)
