"""Where the pictures lie: which files there are below an image root, and in which of its folders paths begin.

Folders are listed once each, so that looking for many files costs little also on network storage.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from camtrap_tf.errors import SettingError
from camtrap_tf.files import join_inside

SAMPLE = 64
"""Paths that are tried to find out where in the root they begin."""

MOST_FOLDERS = 20_000
"""Folders of the root that are looked through for that."""

SMALLEST_BYTES = 200
"""Smaller files are looked into: no picture of a camera is as small."""

MISSING_FILE = "missing_file"
"""Reason code of pictures that are not there."""

_EXAMPLE_PATH = re.compile(r"/?path/(to|from)/", re.IGNORECASE)
_POINTERS = (b"version https://git-lfs", b"/annex/objects/", b"../.git/annex/")


def is_example_path(path: str) -> bool:
    """Returns whether a path is one that documentation uses to stand for others, e.g. `path/to/image.jpg`."""
    return _EXAMPLE_PATH.match(path) is not None


def find_folder(root: Path, paths: Sequence[str]) -> str:
    """Returns the folder below `root` in which the paths begin, as a prefix that ends with `/`; empty: in the root itself.

    The root itself wins where any of the paths is there; else the folder that holds most of a sample of them.

    Raises:
        SettingError: several folders hold equally many.
    """
    step = max(1, len(paths) // SAMPLE)
    sample = [path.lstrip("/") for path in paths[::step] if ".." not in path]
    if not sample or any(_is_file(root / path) for path in sample):
        return ""
    counts: dict[str, int] = {}
    for place, _, _ in itertools.islice(os.walk(root), MOST_FOLDERS):
        hits = sum(_is_file(Path(place, path)) for path in sample)
        if hits:
            counts[Path(place).relative_to(root).as_posix() + "/"] = hits
    if not counts:
        return ""
    best = [place for place, hits in counts.items() if hits == max(counts.values())]
    if len(best) > 1:
        named = ", ".join(str(root / place) for place in sorted(best)[:3])
        raise SettingError(f"--image-root {root}: the pictures lie in several folders of it ({named} …); name the right one")
    return best[0]


def file_problems(root: Path, paths: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Returns path → reason and detail of those that are no usable files below `root`.

    Only names and sizes are looked at, and the first bytes of files that are too small for a picture.
    """
    by_folder: dict[str, list[str]] = {}
    for path in paths:
        by_folder.setdefault(path.rpartition("/")[0], []).append(path)
    problems: dict[str, tuple[str, str]] = {}
    for folder, members in by_folder.items():
        place = root / folder.lstrip("/")
        sizes, trouble = _sizes(place)
        for path in members:
            size = sizes.get(path.rpartition("/")[2])
            if size is None:
                absolute = f"leads out of {root}; looked for below it, it " if path.startswith("/") else ""
                problems[path] = (MISSING_FILE, f"{absolute}is not {trouble or f'in {place}'}")
            elif size < SMALLEST_BYTES:
                pointer = _pointer(root / path.lstrip("/"), size)
                if pointer:
                    problems[path] = ("placeholder_file", pointer)
    return problems


def absent_files(root: Path, paths: Iterable[str]) -> set[str]:
    """Returns the paths that are no files below `root`, or below the folder in it where they begin.

    Paths that lead out of the root are not looked for, and not among them.

    Raises:
        SettingError: the files lie in several folders of the root.
    """
    looked_for = [path for path in dict.fromkeys(paths) if _stays_inside(path)]
    problems = file_problems(root / find_folder(root, looked_for), looked_for)
    return {path for path, (reason, _) in problems.items() if reason == MISSING_FILE}


def _stays_inside(path: str) -> bool:
    """Returns whether a path can be looked for below a root."""
    try:
        join_inside(Path(), path)
    except ValueError:
        return False
    return True


def _is_file(path: Path) -> bool:
    """Returns whether there is such a file; also for texts that cannot be the name of one."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _sizes(folder: Path) -> tuple[dict[str, int], str]:
    """Returns name → size of the files in a folder, and why it cannot be looked into, in words; empty where it can."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}, ""
    except (FileNotFoundError, NotADirectoryError):
        return {}, f"there: there is no folder {folder}"
    except OSError as err:
        return {}, f"seen: the folder {folder} cannot be read ({err.strerror})"


def _pointer(path: Path, size: int) -> str:
    """Returns what a small file stands for instead of being a picture; empty where it may be one."""
    if not size:
        return "is an empty file; fetch the picture again"
    try:
        start = path.read_bytes()[:SMALLEST_BYTES]
    except OSError:
        return ""
    if any(start.startswith(mark) or mark in start[:40] for mark in _POINTERS):
        return "is a pointer of Git LFS or git-annex, not the picture; fetch it with that tool"
    return ""
