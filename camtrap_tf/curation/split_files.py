"""The files that tell of a splitting: who is where, what leaks, what each split holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from camtrap_tf.curation.dealing import Splitting
from camtrap_tf.curation.kept_splits import read_earlier
from camtrap_tf.curation.leakage import leakage_report
from camtrap_tf.curation.split_tables import SplitTable, draw_table, not_evaluable, split_table, table_text, write_table
from camtrap_tf.errors import CamtrapError
from camtrap_tf.files import write_csv, write_json, write_text

SPLITS_FOLDER = "splits"
"""Folder, beside the shards of a data set, of the files that tell of its splits."""

SPLITS_CSV, SPLITS_JSON, LEAKAGE_JSON = "splits.csv", "splits.json", "leakage.json"
TABLE_CSV, TABLE_TEXT, TABLE_PICTURE = "split_table.csv", "split_table.txt", "split_table.png"
SPLIT_FILES = (SPLITS_CSV, SPLITS_JSON, LEAKAGE_JSON, TABLE_CSV, TABLE_TEXT, TABLE_PICTURE)


@dataclass(frozen=True, slots=True)
class SplitFiles:
    """What was written.

    Attributes:
        folder: where the files are.
        table: the whole table.
        shown: its rows for the label types that were spread, the most frequent classes first.
        moved: a sentence on groups that were in another split here before; None where none moved.
    """

    folder: Path
    table: SplitTable
    shown: SplitTable
    moved: str | None


def write_split_files(splitting: Splitting, folder: Path) -> SplitFiles:
    """Writes `splits.csv`, `splits.json`, `leakage.json` and the table of classes (CSV, text, PNG)."""
    moved = moved_text(splitting, folder / SPLITS_JSON)
    table = split_table(splitting)
    shown = table.of_labels(splitting.labels)
    fields = [field for field in (splitting.location, splitting.event) if field is not None]
    write_csv(folder / SPLITS_CSV, ("id", "split", "group", *fields), _rows(splitting, fields))
    write_json(folder / SPLITS_JSON, groups_by_split(splitting))
    write_json(folder / LEAKAGE_JSON, leakage_report(splitting, not_evaluable(splitting)))
    write_table(table, folder / TABLE_CSV)
    write_text(folder / TABLE_TEXT, table_text(shown) + "\n")
    draw_table(shown, list(splitting.shares.values()), folder / TABLE_PICTURE)
    return SplitFiles(folder, table, shown, moved)


def remove_split_files(folder: Path) -> None:
    """Removes what an earlier splitting left in a folder, and the folder if nothing else is in it."""
    for name in SPLIT_FILES:
        (folder / name).unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _rows(splitting: Splitting, fields: list[str]) -> Iterator[tuple[str, ...]]:
    """Yields the rows of `splits.csv`, by id."""
    names = splitting.groups.names
    groups = [names[group] for group in splitting.groups.of_record.tolist()]
    meta = [[value or "" for value in splitting.inventory.meta(field)] for field in fields]
    yield from sorted(zip(splitting.inventory.ids, splitting.splits, groups, *meta, strict=True))


def groups_by_split(splitting: Splitting) -> dict[str, list[str]]:
    """Returns split → its groups, sorted; what `--keep-splits` reads."""
    names = splitting.groups.names
    held: dict[str, set[str]] = {split: set() for split in splitting.shares}
    for split, group in set(zip(splitting.splits, splitting.groups.of_record.tolist(), strict=True)):
        held[split].add(names[group])
    return {split: sorted(groups) for split, groups in held.items()}


def moved_text(splitting: Splitting, earlier: Path) -> str | None:
    """Returns a sentence on the groups that were in another split before; None where none moved or nothing was before."""
    if not earlier.exists():
        return None
    try:
        before = read_earlier(earlier).split_of_group
    except CamtrapError:
        return None
    now = {group: split for split, groups in groups_by_split(splitting).items() for group in groups}
    known = [group for group in now if group in before]
    moved = [group for group in known if now[group] != before[group]]
    if not moved:
        return None
    return (
        f"{len(moved)} of {len(known)} groups that were split here before are in another split now, e.g. {moved[0]!r} "
        f"({before[moved[0]]} → {now[moved[0]]}); --keep-splits with the earlier {earlier.name} leaves them where they are"
    )
