"""What is imported is declared, and explained; what lies beside the code is installed with it."""

from __future__ import annotations

import ast
import configparser
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = {"PIL": "pillow", "google": "protobuf", "yaml": "pyyaml"}
"""Import name → package, where they differ by more than a dash."""


def declared() -> configparser.ConfigParser:
    """Returns `setup.cfg`."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    return config


def imported(file: Path) -> set[str]:
    """Returns the first parts of the names that a module imports with a statement."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def test_every_import_is_declared_and_explained() -> None:
    """Whatever the package imports by a statement stands in install_requires and in docs/dependencies.md."""
    names = set().union(*(imported(file) for file in (ROOT / "camtrap_tf").rglob("*.py")))
    foreign = {PACKAGES.get(name, name.replace("_", "-")) for name in names - sys.stdlib_module_names - {"camtrap_tf"}}
    required = {re.split(r"[\[<>=~! ]", line)[0] for line in declared()["options"]["install_requires"].split()}
    explained = set(re.findall(r"`([a-z0-9-]+)[^`]*`", (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")))
    assert "tensorflow" in foreign
    assert foreign - required == set()
    assert foreign - explained == set()


def test_files_beside_the_code_are_installed() -> None:
    """Every file of the package that is no module is covered by a pattern of package_data."""
    covered = {
        path
        for package, patterns in declared()["options.package_data"].items()
        for pattern in patterns.split()
        for path in ROOT.joinpath(*package.split(".")).glob(pattern)
    }
    there = {
        path
        for path in (ROOT / "camtrap_tf").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and "__pycache__" not in path.parts
    }
    assert there
    assert there - covered == set()
