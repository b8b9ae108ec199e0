"""Running a program of the user's: no shell, its output passed on as it comes, stopped with all its children."""

from __future__ import annotations

import os
import selectors
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from camtrap_tf.errors import CamtrapError, SettingError
from camtrap_tf.files import path_hint

KEPT_CHARACTERS = 2000
LINES_SHOWN = 5
GRACE_S = 10.0
"""How long a program that is stopped may take before it is killed."""
LOOK_S = 0.5
OF_THIS_PYTHON = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
"""Variables that would lead another Python to the libraries of this one."""


INSTALL = (
    "install it in an environment of its own (`python -m venv ~/envs/megadetector`, `~/envs/megadetector/bin/pip install "
    "megadetector`) and name its Python with --megadetector-python ~/envs/megadetector/bin/python"
)
_NOT_THERE = 7
_LOOK_FOR = f"import importlib.util, sys; sys.exit({_NOT_THERE} * (importlib.util.find_spec(sys.argv[1]) is None))"


def require_program(program: str, flag: str) -> None:
    """Makes sure that a program can be found and started; it is not run.

    Args:
        program: a path, or a name that is looked for on the PATH.
        flag: names it in messages.

    Raises:
        SettingError: there is no such program, or it is no executable file; says what to do.
    """
    if shutil.which(program) is not None:
        return
    path, named = Path(program), "/" not in program
    if named and path.is_file():
        problem = f"no such program on the PATH; the file of that name in this folder is ./{program}"
    elif path.is_file():
        problem = f"cannot be run; make it executable (chmod +x {shlex.quote(program)})"
    elif path.is_dir() and not named:
        problem = "is a folder, no program"
    else:
        where = "no such program on the PATH" if named else f"no such file{path_hint(path)}"
        problem = f"{where}; where the package megadetector is not there yet: {INSTALL}"
    raise SettingError(f"{flag} {program}: {problem}")


def require_package(python: str, package: str) -> None:
    """Makes sure that a Python of the user's has a package; nothing of it is imported.

    Raises:
        SettingError: there is no such Python, or the package is not installed for it; says how to install it.
    """
    try:
        looked = subprocess.run(
            [python, "-c", _LOOK_FOR, package], stdin=subprocess.DEVNULL, capture_output=True, env=_environment(), check=False
        )  # fmt: skip
    except OSError as err:
        raise SettingError(f"{python}: cannot be started ({err.strerror}); {package} is needed: {INSTALL}") from err
    if looked.returncode == _NOT_THERE:
        raise SettingError(f"{python} has no package {package}; {INSTALL}")


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key not in OF_THIS_PYTHON}


def run_program(command: Sequence[str], *, what: str, timeout_s: float | None, advice: str) -> None:
    """Runs a program to its end; what it says goes to stderr.

    Args:
        command: program and arguments.
        what: names it in messages, e.g. `the detector`.
        timeout_s: stop it after this time; None: never.
        advice: what to do after a stop, for the message.

    Raises:
        SettingError: there is no such program.
        CamtrapError: it ended with an error, or took too long.
    """
    try:
        process = subprocess.Popen(
            list(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=_environment(), start_new_session=True,
        )  # fmt: skip
    except OSError as err:
        raise SettingError(
            f"{command[0]}: {what} cannot be started ({err.strerror}); check --megadetector-command, or leave it out; then "
            f"the package megadetector is needed: {INSTALL}"
        ) from err
    try:
        end = _pass_on(process, None if timeout_s is None else time.monotonic() + timeout_s)
        if end is None:
            raise CamtrapError(f"{what} took longer than --timeout-hours allows and was stopped; {advice}")
        if (code := process.wait()) != 0:
            raise CamtrapError(f"{what} ended with exit code {code}: {_last_lines(end)}; mend that, then {advice}")
    finally:
        _stop(process)


def _pass_on(process: subprocess.Popen[bytes], deadline: float | None) -> str | None:
    """Passes the output on until it ends; returns the end of it, or None where time is up."""
    assert process.stdout is not None  # asked for above
    said = ""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while deadline is None or time.monotonic() < deadline:
            if not selector.select(LOOK_S):
                continue
            piece = os.read(process.stdout.fileno(), 65536)
            if not piece:
                return said
            text = piece.decode("utf-8", "replace")
            sys.stderr.write(text)
            sys.stderr.flush()
            said = (said + text)[-KEPT_CHARACTERS:]
    return None


def _last_lines(said: str) -> str:
    lines = [line.strip() for line in said.replace("\r", "\n").splitlines() if line.strip()]
    return " | ".join(lines[-LINES_SHOWN:]) or "it said nothing"


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stops a program and its children, if it still runs; kills them where they do not listen."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, number)
            try:
                process.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                continue
    if process.stdout is not None:
        process.stdout.close()
