"""Command lines as tests give them: in this process, or in one of their own that tells what it loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from camtrap_tf.cli.main import main

_TELLING = """
import sys
from camtrap_tf.cli.main import main

code = main(sys.argv[1:])
print(code, *(name for name in ("tensorflow", "keras") if name in sys.modules))
"""


def camtrap(*words: object) -> int:
    """Runs a command line; returns its exit code."""
    return main([str(word) for word in words])


def camtrap_alone(
    words: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a command line in a process of its own.

    Args:
        words: the command line after `camtrap`.
        cwd: folder it runs in; the present one by default.
        env: environment variables beside those of this process.

    Returns:
        the ended process; the last line of its stdout is the exit code, then which of tensorflow and keras were loaded.
    """
    command = [sys.executable, "-c", _TELLING, *words]
    variables = {**os.environ, **(env or {})}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=cwd, env=variables, check=False)
