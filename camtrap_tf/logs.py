"""Logging: one line a message on stderr, and two files in the log folder (`run_info.log`, `run_debug.log`).

A command keeps its messages in mind until its work begins (`keep_logs`), so that one that was refused leaves no files.
"""

from __future__ import annotations

import logging
import logging.handlers
import sys
from pathlib import Path

from camtrap_tf.errors import SettingError

ROOT = "camtrap_tf"
LOG_FILES = {"run_info.log": logging.INFO, "run_debug.log": logging.DEBUG}
"""Name → least level of what goes in."""


def logger(name: str) -> logging.Logger:
    """Returns the logger of a module; pass `__name__`, which is `__main__` where Python was started with that module."""
    return logging.getLogger(ROOT if name == "__main__" else name)


class _Waiting(logging.handlers.BufferingHandler):
    """Keeps messages until it is known that there will be log files.

    Attributes:
        folder: where they will be.
    """

    def __init__(self, folder: Path) -> None:
        """Takes the folder; it need not be there."""
        super().__init__(capacity=sys.maxsize)
        self.folder = folder


def start_logging(folder: Path | None = None, *, level: int = logging.INFO, waits: bool = False) -> None:
    """Sends messages of the package to stderr and, given a folder, to its two log files (appended to).

    Calling it again replaces the earlier set-up. A message logged with `extra={"file_only": True}` goes to the files alone.

    Args:
        folder: where `run_info.log` and `run_debug.log` go; created if needed.
        level: least level shown on stderr.
        waits: make the files when `keep_logs` is called, with all messages until then.
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
    if folder is not None:
        root.addHandler(_Waiting(folder))
        if not waits:
            keep_logs()


def keep_logs() -> None:
    """Makes the log files that wait, if any do; for a stage to call when settings and inputs are good and its work begins.

    Raises:
        SettingError: they cannot be written.
    """
    root = logging.getLogger(ROOT)
    for waiting in [handler for handler in root.handlers if isinstance(handler, _Waiting)]:
        try:
            waiting.folder.mkdir(parents=True, exist_ok=True)
            files = [logging.FileHandler(waiting.folder / name, encoding="utf-8") for name in LOG_FILES]
        except OSError as err:
            raise SettingError(f"{waiting.folder}: cannot write log files there ({err.strerror}); give --log-outdir") from err
        for file, level in zip(files, LOG_FILES.values(), strict=True):
            file.setLevel(level)
            file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
            root.addHandler(file)
            for record in waiting.buffer:
                if record.levelno >= level:
                    file.handle(record)
        root.removeHandler(waiting)
        waiting.close()
