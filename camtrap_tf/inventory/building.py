"""The inventory commands: read a source, check, write the inventory and what was rejected, say what happened."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from camtrap_tf.config.inventory import (
    CsvInventoryConfig,
    FolderInventoryConfig,
    InventoryConfig,
    InventoryInspectConfig,
    InventoryMergeConfig,
    JsonInventoryConfig,
    PantheraInventoryConfig,
)
from camtrap_tf.errors import SourceError, counted
from camtrap_tf.files import check_output_file, check_writable, writable_folder
from camtrap_tf.inventory.columns import table_of
from camtrap_tf.inventory.merging import merge
from camtrap_tf.inventory.table import SUFFIXES, Inventory, check_suffix
from camtrap_tf.logs import keep_logs, logger
from camtrap_tf.progress import track
from camtrap_tf.records import MISSING, CaptureEvent, Reject
from camtrap_tf.rejects import reasons_text, rejects_line, rejects_path, write_rejects
from camtrap_tf.sources import Source
from camtrap_tf.sources.csv_table import CsvColumns, CsvSource
from camtrap_tf.sources.folders import FolderSource
from camtrap_tf.sources.json_records import JsonSource, other_kind
from camtrap_tf.sources.panthera import panthera_source

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class BuiltInventory:
    """An inventory that was made, and what became of everything that was read.

    Attributes:
        path: the inventory.
        inventory: its records.
        source: what was read.
        read: how many of the source's units were read, each of them used or rejected.
        unit: what these units are, e.g. `rows`.
        rejects: units that are in no record.
        dropped: records left out for a missing label.
        notes: further sentences.
        dry_run: nothing was written.
    """

    path: Path
    inventory: Inventory
    source: Path
    read: int
    unit: str
    rejects: tuple[Reject, ...]
    dropped: tuple[Reject, ...]
    notes: tuple[str, ...]
    dry_run: bool = False

    def text(self) -> str:
        """Returns the summary for a person."""
        records = len(self.inventory) + len(self.dropped)
        used = self.read - len(self.rejects)
        lines = [
            f"{self.source}: {self.read} {self.unit} read = {used} in {counted(records, 'record')} + "
            f"{len(self.rejects)} rejected" + reasons_text(self.rejects)
        ]
        lines.extend(self.notes)
        rejects = bool(self.rejects)
        lines += written_lines(self.path, self.inventory, len(self.dropped), rejects=rejects, dry_run=self.dry_run)
        return "\n".join(lines)


def build_from_csv(config: CsvInventoryConfig) -> BuiltInventory:
    """Reads a CSV table and writes its inventory.

    Raises:
        SettingError: a column does not exist, or the inventory cannot be written there.
        SourceError: the table cannot be read, or has no usable record.
    """
    check_target(config.export_path, (config.path,))
    columns = CsvColumns(
        id=config.capture_id_field,
        images=config.image_fields,
        labels=config.label_fields,
        meta=config.meta_data_fields,
        counts=config.count_fields,
        missing_tokens=config.missing_tokens,
        rows_are=config.rows_are,
    )
    return build(CsvSource(config.path, columns), config)


def build_from_folders(config: FolderInventoryConfig) -> BuiltInventory:
    """Reads a folder that has one sub-folder per class and writes its inventory; raises as `build_from_csv` does."""
    check_target(config.export_path, (config.path,))
    return build(FolderSource(config.path, nested=config.nested), config)


def build_from_panthera(config: PantheraInventoryConfig) -> BuiltInventory:
    """Reads a Panthera table and writes its inventory; raises as `build_from_csv` does."""
    check_target(config.export_path, (config.path,))
    return build(panthera_source(config, config.path), config)


def build_from_json(config: JsonInventoryConfig) -> BuiltInventory:
    """Checks an inventory (JSON or Parquet) and writes it again; raises as `build_from_csv` does."""
    check_target(config.export_path, (config.path,))
    check_suffix(config.path, "--path")
    if config.path.suffix.lower() == ".json":
        return build(JsonSource(config.path), config)
    inventory = Inventory.read(config.path)
    read = len(inventory) + len(inventory.rejects)
    return _finish(inventory, config, read, "records", list(inventory.rejects), [])


def merge_inventories(config: InventoryMergeConfig) -> MergedInventory:
    """Puts inventories together; a record that several have alike is kept once.

    Raises:
        SourceError: one cannot be read, or two have different records of one id.
    """
    check_target(config.export_path, config.inventories)
    parts = [Inventory.read(path) for path in config.inventories]
    merged = merge(parts, [str(path) for path in config.inventories])
    if not config.dry_run:
        begin_writing(config.export_path, [reject for part in parts for reject in part.rejects])
        merged.write(config.export_path, plain=config.plain)
    sizes = [(path, len(part), len(part.rejects)) for path, part in zip(config.inventories, parts, strict=True)]
    return MergedInventory(config.export_path, merged, tuple(sizes), config.dry_run)


@dataclass(frozen=True, slots=True)
class MergedInventory:
    """Several inventories in one.

    Attributes:
        path: where it was written.
        inventory: its records.
        sizes: per file, its path, records and rejects.
        dry_run: nothing was written.
    """

    path: Path
    inventory: Inventory
    sizes: tuple[tuple[Path, int, int], ...]
    dry_run: bool = False

    def text(self) -> str:
        """Returns the summary for a person."""
        lines = [f"{path}: {counted(records, 'record')}, {rejects} rejected" for path, records, rejects in self.sizes]
        total = sum(records for _, records, _ in self.sizes)
        again = total - len(self.inventory)
        start = "would write " if self.dry_run else ""
        lines.append(f"{start}{self.path}: {total} records = {len(self.inventory)} kept + {again} that were there already")
        return "\n".join(lines)


def inspect_inventory(config: InventoryInspectConfig) -> InspectedInventory:
    """Reads an inventory to show what it holds.

    Raises:
        SettingError: its name says no known form.
        SourceError: it cannot be read.
    """
    return InspectedInventory(config.inventory, Inventory.read(config.inventory))


@dataclass(frozen=True, slots=True)
class InspectedInventory:
    """An inventory and where it lies."""

    path: Path
    inventory: Inventory

    def text(self) -> str:
        """Returns the summary for a person: sizes, meta data fields, classes per label type."""
        inventory = self.inventory
        several = int(np.sum(inventory.observation_counts() > 1))
        lines = [
            f"{self.path}: {counted(len(inventory), 'record')}, {counted(inventory.picture_count(), 'picture')}, "
            f"{several} records with several observations, {len(inventory.rejects)} entries rejected"
            + reasons_text(inventory.rejects)
        ]
        for field in inventory.meta_fields:
            values = [value for value in inventory.meta(field) if value]
            lines.append(f"meta data {field}: {counted(len(set(values)), 'value')} in {counted(len(values), 'record')}")
        return "\n".join([*lines, *label_lines(inventory)])


def written_lines(path: Path, inventory: Inventory, dropped: int, *, rejects: bool, dry_run: bool) -> list[str]:
    """Returns the lines of a summary on the inventory that was (or would be) written, records dropped, and its rejects."""
    lines = []
    if dropped:
        records = counted(len(inventory) + dropped, "record")
        lines.append(f"{records} = {len(inventory)} kept + {dropped} dropped for a missing label")
    pictures, labels = counted(inventory.picture_count(), "picture"), ", ".join(inventory.label_types)
    start = "would write " if dry_run else ""
    lines.append(f"{start}{path}: {counted(len(inventory), 'record')}, {pictures}, labels: {labels}")
    return [*lines, rejects_line(path, dry_run=dry_run)] if rejects or dropped else lines


def label_lines(inventory: Inventory) -> Iterator[str]:
    """Yields, per label type, its size and the share of each class among the observations that have one."""
    observations = int(inventory.observation_counts().sum())
    for label, counts in inventory.label_counts().items():
        known = sum(counts.values())
        classes = counted(len(counts), "class", "es")
        yield f"label {label}: {classes} in {counted(known, 'observation')}, {observations - known} missing"
        for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            yield f"  {count:>9} {100 * count / known:6.2f} %  {name}"


def check_target(path: Path, sources: Iterable[Path]) -> None:
    """Makes sure that an inventory can be written there, and is none of the files that it is made of.

    Raises:
        SettingError: it cannot, or is.
    """
    check_suffix(path, "--export-path")
    check_output_file(path, "--export-path", suffixes=SUFFIXES, sources=sources)
    check_writable(path.parent, "--export-path")


def build(source: Source, config: InventoryConfig) -> BuiltInventory:
    """Reads a source and writes its inventory and what is not in it; raises as `build_from_csv` does."""
    inventory, rejects = read_source(source, config.path, None if config.dry_run else config.export_path)
    return _finish(inventory, config, source.read, source.unit, rejects, source.notes)


def read_source(source: Source, path: Path, target: Path | None) -> tuple[Inventory, list[Reject]]:
    """Returns the records of a source, and what is not among them.

    Args:
        source: what to read.
        path: the file that it reads, for messages.
        target: inventory beside which the rejects are written where nothing else is left; None: nowhere.

    Raises:
        SourceError: it has no usable record.
    """
    rejects: list[Reject] = []

    def records() -> Iterator[CaptureEvent]:
        """Yields the records and puts rejects aside."""
        for entry in track(source.records(), total=None, description="Making records", unit="records"):
            if isinstance(entry, Reject):
                rejects.append(entry)
            else:
                yield entry

    table = table_of(records())
    if not len(table):
        if target is not None:
            begin_writing(target, rejects)
        raise SourceError(
            f"{path}: no usable record in {source.read} {source.unit}; {len(rejects)} rejected{reasons_text(rejects)}"
            + (other_kind(rejects) if isinstance(source, JsonSource) else "")
        )
    return Inventory.from_table(table), rejects


def _finish(
    inventory: Inventory, config: InventoryConfig, read: int, unit: str, rejects: list[Reject], notes: Sequence[str]
) -> BuiltInventory:
    """Drops records with missing labels if asked to, writes inventory and rejects, logs the classes."""
    if not config.dry_run:
        begin_writing(config.export_path, rejects)
    inventory, dropped = write_kept(inventory, config, rejects)
    return BuiltInventory(
        config.export_path, inventory, config.path, read, unit, tuple(rejects), tuple(dropped), tuple(notes), config.dry_run
    )


def write_kept(inventory: Inventory, config: InventoryConfig, rejects: Sequence[Reject]) -> tuple[Inventory, list[Reject]]:
    """Writes an inventory whose rejects are written already, without records that miss a label where none are wanted.

    A dry run writes nothing.

    Returns:
        The inventory as it is written, and the records that were dropped, which are among its rejects then.

    Raises:
        SourceError: no record would be left.
    """
    dropped: list[Reject] = []
    if config.discard_missing:
        inventory, dropped = discard_missing(inventory)
    if dropped and not config.dry_run:
        begin_writing(config.export_path, [*rejects, *dropped])
    if not len(inventory):
        raise SourceError(f"{config.path}: every one of {len(dropped)} records misses a label; --discard-missing leaves none")
    if not config.dry_run:
        inventory.write(config.export_path, plain=config.plain)
    log_labels(inventory)
    return inventory, dropped


def log_labels(inventory: Inventory) -> None:
    """Logs the classes of each label type."""
    if log.isEnabledFor(logging.INFO):
        for line in label_lines(inventory):
            log.info(line)


def discard_missing(inventory: Inventory) -> tuple[Inventory, list[Reject]]:
    """Returns the records in which no observation misses a label, and the others as rejects."""
    missing = {label: inventory.matches(label, MISSING) for label in inventory.label_types}
    gone = np.any(list(missing.values()), axis=0)
    ids = inventory.table["id"]
    rejects = []
    for row in np.flatnonzero(gone).tolist():
        labels = ", ".join(label for label, found in missing.items() if found[row])
        rejects.append(Reject(ids[row].as_py(), "", "record", "missing_label", f"misses {labels}"))
    return inventory.take(np.flatnonzero(~gone)), rejects


def begin_writing(inventory: Path, rejects: Sequence[Reject]) -> None:
    """Writes the rejects beside an inventory, before anything else; removes those of an earlier one where there are none."""
    writable_folder(inventory.parent, "--export-path")
    keep_logs()
    write_rejects(rejects_path(inventory), rejects)
