"""Finding shards: folders and split names in, shard files out; a choice that matches nothing is an error at once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from camtrap_tf.errors import DatasetError, SettingError, shortened, suggestion
from camtrap_tf.files import PARTIAL, path_hint

SUFFIX = ".tfrecord"
MANIFEST_NAME = "dataset.json"
NUMBERED_SHARD = re.compile(r"^(?P<split>.+)_\d+-of-\d+\.tfrecord$")
"""Names that we, and camera-trap-classifier, give to shards."""


def split_of(name: str) -> str:
    """Returns the split that a shard belongs to by its name: `train` for `train_001-of-012.tfrecord`."""
    numbered = NUMBERED_SHARD.match(name)
    return numbered["split"] if numbered else name.removesuffix(SUFFIX)


def matches(name: str, pattern: str) -> bool:
    """Tells whether a shard's name starts with a split name, as a whole word.

    `test` matches `test_001-of-002.tfrecord` and `test_S1_001-of-002.tfrecord`, neither `tests_…` nor `latest_…`.
    """
    return re.match(rf"{re.escape(pattern)}(?![0-9A-Za-z])", name) is not None


def shards_below(path: Path) -> list[Path]:
    """Returns all shards in a folder and its sub-folders, sorted; or the file itself.

    Raises:
        DatasetError: a folder holds a dataset whose making was interrupted.
    """
    if path.is_file():
        return [path]
    found: list[Path] = []
    for folder, subfolders, names in os.walk(path):
        if PARTIAL in subfolders and MANIFEST_NAME not in names:
            raise DatasetError(f"{folder}: this dataset is unfinished; run the same `dataset create` again to finish it")
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        found += [Path(folder, name) for name in names if name.endswith(SUFFIX) and not name.startswith(".")]
    return sorted(found)


def find_shards(
    paths: Sequence[Path], patterns: Sequence[str], *, substring: bool = False, flag: str = "--path"
) -> tuple[Path, ...]:
    """Returns the shards of the given splits, sorted, each once.

    Args:
        paths: folders, searched with their sub-folders, or shard files.
        patterns: split names, any of which the name of a shard has to start with; all shards where there are none.
        substring: patterns are parts of the file name instead, all of which have to occur (camera-trap-classifier).
        flag: the flag that the paths came from, for messages.

    Raises:
        SettingError: a path does not exist, or a pattern matches nothing; says which splits are there.
        DatasetError: a folder holds an unfinished dataset.
    """
    for path in paths:
        if not path.exists():
            raise SettingError(f"{flag} {path}: no such file or folder{path_hint(path)}")
    every = _unique(shard for path in paths for shard in shards_below(path))
    where = f"{flag} {' '.join(map(str, paths))}"
    if not every:
        raise SettingError(f"{where}: no {SUFFIX} file there; give a folder that `dataset create` wrote")
    splits = sorted({split_of(shard.name) for shard in every})
    if substring:
        chosen = [shard for shard in every if all(pattern in shard.name for pattern in patterns)]
        if not chosen:
            raise SettingError(
                f"{where}: no shard has {' and '.join(map(repr, patterns))} in its name; splits there: "
                + shortened(splits, most=12)
            )
        return tuple(chosen)
    for pattern in patterns:
        if not any(matches(shard.name, pattern) for shard in every):
            hint = suggestion(pattern, splits)
            there = "" if "choose from" in hint else f" (splits there: {shortened(splits, most=12)})"
            raise SettingError(f"{where}: no shard of split {pattern!r}{hint}{there}")
    return tuple(shard for shard in every if not patterns or any(matches(shard.name, pattern) for pattern in patterns))


def _unique(shards: Iterable[Path]) -> list[Path]:
    return list({shard.resolve(): shard for shard in shards}.values())
