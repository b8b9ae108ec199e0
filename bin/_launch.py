"""Runs a command of the checkout that this folder belongs to, with the checkout's own Python where the libraries are there."""

import importlib.util
import os
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
NEEDED = ("pydantic", "tyro", "yaml", "tensorflow")


def launch(*words):
    """Runs `camtrap <words> <what the user typed>`; returns the exit code."""
    if sys.version_info < (3, 11) or any(importlib.util.find_spec(name) is None for name in NEEDED):
        own_python = CHECKOUT / ".venv" / "bin" / "python"
        if own_python.exists() and Path(sys.prefix).resolve() != (CHECKOUT / ".venv").resolve():
            os.execv(str(own_python), [str(own_python), *sys.argv])
        sys.stderr.write(f"camtrap: error: the libraries that this needs are not installed; run `make setup` in {CHECKOUT}\n")
        return 2
    # This folder must not be searched for modules: `train` or `export` could be taken for somebody else's.
    sys.path[0] = str(CHECKOUT)
    from camtrap_tf.cli.main import main

    return main([*words, *sys.argv[1:]], is_process=True)
