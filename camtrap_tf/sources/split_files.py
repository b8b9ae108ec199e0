"""The small files beside a classification data set: which locations each split has, and the number of each label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from camtrap_tf.errors import SettingError, SourceError
from camtrap_tf.files import read_json, write_json
from camtrap_tf.sources.cct_document import text_of

Place = tuple[str, str]
"""Data set and location."""
Splits = dict[str, list[Place]]

UNKNOWN_LOCATION = "unknown_location"
"""The location of images that name none; one name in every file, so that the files match."""

COMBINED = "combined"
"""The data set that Animl's splits give to every location; it stands for any."""


def places_to_splits(splits: Mapping[str, Sequence[Place]]) -> dict[Place, str]:
    """Returns (data set, location) → split.

    Raises:
        SettingError: a pair is in two splits.
    """
    found: dict[Place, str] = {}
    for name, places in splits.items():
        for place in places:
            if found.setdefault(place, name) != name:
                raise SettingError(
                    f"location {place[1]!r} of data set {place[0]!r} is in the splits {found[place]!r} and {name!r}"
                )
    return found


def read_splits(path: Path) -> Splits:
    """Returns split → (data set, location) pairs of a `splits.json`; `val` and `test` are there even where it has none.

    Raises:
        SourceError: it cannot be read, or is of another form.
        SettingError: a location is in two splits.
    """
    value = read_json(path, what="splits.json")
    if not isinstance(value, dict) or not value:
        raise SourceError(f'{path}: not a splits.json; that is {{"train": [["data set", "location"], …], "val": …}}')
    splits: Splits = {}
    for name, entries in value.items():
        if not name or name.startswith(".") or any(character in name for character in "/\\\0\n\r"):
            raise SourceError(f"{path}: {name!r} cannot begin the name of a file; rename that split")
        if not isinstance(entries, list):
            raise SourceError(f"{path}: split {name!r} is not a list of [data set, location]")
        splits[name] = [_place(entry, f"{path}, split {name!r}") for entry in entries]
    for name in ("train", "val", "test"):
        splits.setdefault(name, [])
    places_to_splits(splits)
    return splits


def _place(entry: object, where: str) -> Place:
    """Returns a pair; a location alone, as `camtrap split` writes it, stands for that of any data set."""
    if isinstance(entry, str) and entry:
        return COMBINED, entry
    if not isinstance(entry, list) or len(entry) != 2:
        raise SourceError(f"{where}: {str(entry)[:60]} is not [data set, location]")
    return text_of(entry[0]) or "", text_of(entry[1]) or UNKNOWN_LOCATION


def read_label_index(path: Path) -> list[str]:
    """Returns the labels of a `label_index.json`, in the order of their numbers.

    Raises:
        SourceError: it cannot be read, or its numbers are not 0, 1, 2 …
    """
    value = read_json(path, what="label_index.json")
    if not isinstance(value, dict) or {str(number) for number in range(len(value))} != value.keys():
        raise SourceError(f'{path}: not a label_index.json; that is {{"0": "label", "1": …}} without gaps')
    labels = [value[str(number)] for number in range(len(value))]
    if not all(isinstance(label, str) and label for label in labels):
        raise SourceError(f"{path}: every label has to be a text")
    return labels


def write_splits(path: Path, splits: Mapping[str, Iterable[Place]]) -> None:
    """Writes split → sorted list of [data set, location]; splits without any are there as empty lists."""
    write_json(path, {name: [list(place) for place in sorted(places)] for name, places in splits.items()}, indent=1)


def write_label_index(path: Path, labels: Sequence[str]) -> None:
    """Writes number → label."""
    write_json(path, {str(number): label for number, label in enumerate(labels)}, indent=1)
