"""The launchers in `bin/`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(__file__).resolve().parents[3] / "bin"
LAUNCHERS = sorted(path.name for path in BIN.iterdir() if path.is_file() and not path.name.startswith("_"))


def test_launchers_of_the_older_programs_are_there() -> None:
    """Each older script has a launcher of its name, and one without `.py`."""
    for name in ("create_dataset_inventory", "create_dataset", "train", "predict", "export"):
        assert {name, f"{name}.py"} <= set(LAUNCHERS)


@pytest.mark.parametrize("name", LAUNCHERS)
def test_launcher_is_executable_and_guarded(name: str) -> None:
    """It can be run by name, and worker processes that import it do not run it again."""
    assert os.access(BIN / name, os.X_OK)
    text = (BIN / name).read_text()
    assert text.startswith("#!/usr/bin/env python3\n")
    assert 'if __name__ == "__main__":' in text


@pytest.mark.parametrize("name", ["create_dataset.py", "train"])
def test_launcher_runs_from_anywhere(name: str, tmp_path: Path) -> None:
    """Run from another folder it finds the package, and passes the exit code on."""
    done = subprocess.run(
        [sys.executable, str(BIN / name), "-no_such"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PATH": ""},
    )
    assert done.returncode == 2
    assert "no flag -no_such" in done.stderr


def test_launcher_without_libraries_says_what_to_do(tmp_path: Path) -> None:
    """In a checkout that was never set up, a Python without the libraries says: make setup."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("_launch.py", "train"):
        (folder / name).write_text((BIN / name).read_text())
    done = subprocess.run(
        [sys.executable, "-S", str(folder / "train")], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 2
    assert "make setup" in done.stderr
