"""Scripts in processes of their own that need not import TensorFlow again: children of one process that has."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_PARENT = """
import json, os, sys, traceback
import camtrap_tf.training.finishing, camtrap_tf.training.run, camtrap_tf.training.train

for line in sys.stdin:
    script, arguments, said = json.loads(line)
    child = os.fork()
    if not child:
        code = 1
        try:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(file, 1), os.dup2(file, 2)
            sys.argv = ["script", *arguments]
            exec(compile(script, "script", "exec"), {"__name__": "__main__"})
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class ForkedScripts:
    """Runs scripts one after the other, each in a child of a process that imports what a training needs once.

    That process has not begun to use TensorFlow, so that a child may still say which devices there are.
    """

    def __init__(self, folder: Path, *, timeout_s: float = 600) -> None:
        """Starts the process, without graphics cards; what scripts say lies in a folder."""
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
        self._folder, self._timeout_s = folder, timeout_s
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PARENT],
            cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def run(self, script: str, *arguments: object) -> str:
        """Runs a script; returns what it said on both streams.

        Raises:
            AssertionError: it failed, or took too long.
        """
        said = self._folder / "said.txt"
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([script, [*map(str, arguments)], str(said)]) + "\n")
        self._process.stdin.flush()
        ended, _, _ = select.select([self._process.stdout], [], [], self._timeout_s)
        code = self._process.stdout.readline().strip() if ended else "none in time"
        text = said.read_text(encoding="utf-8", errors="replace") if said.exists() else ""
        assert code == "0", f"exit code {code}: {text[-9000:]}"
        return text

    def close(self) -> None:
        """Ends the process and whatever still runs below it."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
