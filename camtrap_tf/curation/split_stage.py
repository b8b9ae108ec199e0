"""The stage `split`: an inventory in, the same inventory with a split for each record out, and the files that tell of it."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from camtrap_tf.config.splits import SplitConfig
from camtrap_tf.curation.dealing import (
    BY_META,
    LeftOut,
    Means,
    Splitting,
    leave_out_new_in_test,
    leave_out_rare,
    split_inventory,
)
from camtrap_tf.curation.leakage import empty_split_warnings, warnings_of
from camtrap_tf.curation.picture_hashes import PHASH_FIELD, SHA256_FIELD, PictureHashes
from camtrap_tf.curation.split_files import SPLIT_FILES, SplitFiles, write_split_files
from camtrap_tf.curation.split_tables import not_evaluable, split_table, table_text
from camtrap_tf.errors import SettingError, counted
from camtrap_tf.files import check_writable, require_folder, writable_folder
from camtrap_tf.inventory.columns import LABEL, META, TEXT, schema_of
from camtrap_tf.inventory.table import Inventory
from camtrap_tf.logs import logger
from camtrap_tf.records import Reject
from camtrap_tf.rejects import counts_text, reasons_text, rejects_path, write_rejects

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class SplitInventory:
    """An inventory that was split.

    Attributes:
        config: what was asked for.
        splitting: records and their splits.
        path: the new inventory.
        read: records and rejected entries of the inventory read.
        rejects: those that are not in the new one.
        warnings: what a user should know.
        files: what was written; None in a dry run.
    """

    config: SplitConfig
    splitting: Splitting
    path: Path
    read: int
    rejects: tuple[Reject, ...]
    warnings: tuple[str, ...]
    files: SplitFiles | None

    def text(self) -> str:
        """Returns the summary for a person."""
        splitting = self.splitting
        lines = ["Dry run: no picture is read, nothing is written"] if self.files is None else []
        lines.append(
            f"{self.config.inventory}: {counted(self.read, 'record')} read = {len(splitting.splits)} split + "
            f"{len(self.rejects)} left out{reasons_text(self.rejects)}"
        )
        lines += [*how_text(splitting), *share_lines(splitting), *duplicate_lines(splitting)]
        shown = split_table(splitting).of_labels(splitting.labels) if self.files is None else self.files.shown
        lines.append(table_text(shown))
        lines += [f"warning: {warning}" for warning in self.warnings]
        if self.files is not None:
            lines += [self.files.moved] if self.files.moved else []
            lines.append(f"{self.path}: the inventory, its field {self.config.split_field!r} says the split")
            lines.append(f"files in {self.files.folder}: {', '.join(SPLIT_FILES)}")
        if self.rejects:
            lines.append(f"{rejects_path(self.path)}: what is left out, and why")
        return "\n".join(lines)


def split(config: SplitConfig) -> SplitInventory:
    """Splits an inventory and writes it again, with the files that tell of its splits.

    Raises:
        SettingError: settings and data do not fit, or a folder cannot be used.
        SourceError: the inventory or an earlier splitting cannot be read.
        LabelError: a label type does not exist.
    """
    if config.image_root_path is not None and not config.dry_run:
        require_folder(config.image_root_path, "--image-root-path")
    inventory = Inventory.read(config.inventory)
    path = config.output_dir / f"inventory{config.inventory.suffix.lower()}"
    if path.resolve() == config.inventory.resolve():
        raise SettingError(f"--output-dir {config.output_dir}: the inventory read lies there under the name of the new one")
    if not config.dry_run:
        check_writable(config.output_dir, "--output-dir")
    rejects = list(inventory.rejects)
    read = len(inventory) + len(rejects)
    for leave_out in (leave_out_rare, leave_out_new_in_test):
        inventory = _without(inventory, leave_out(inventory, config), rejects)
    means = Means(config.seed, config.workers, config.max_pixels, read_files=not config.dry_run, hash_all=True)
    splitting = split_inventory(inventory, config, means)
    warnings = warnings_of(splitting, not_evaluable(splitting))
    if config.split_by_meta is None:
        for warning in empty_split_warnings(splitting.splits, config.split_shares, splitting):
            _log.warning("warning: %s", warning)
    files = None
    if not config.dry_run:
        writable_folder(config.output_dir, "--output-dir")
        with_split(splitting, config.split_field).write(path)
        write_rejects(rejects_path(path), rejects)
        files = write_split_files(splitting, config.output_dir)
    return SplitInventory(config, splitting, path, read, tuple(rejects), tuple(warnings), files)


def _without(inventory: Inventory, left_out: LeftOut | None, rejects: list[Reject]) -> Inventory:
    """Returns the inventory without what is left out, which is added to the rejects."""
    if left_out is None or left_out.stay.all():
        return inventory
    gone = np.flatnonzero(~left_out.stay).tolist()
    ids = inventory.table["id"]
    rejects += [Reject(ids[row].as_py(), "", "record", left_out.reason, left_out.detail) for row in gone]
    if not left_out.stay.any():
        raise SettingError(f"no record is left after the step {left_out.step!r}: {left_out.detail}")
    return inventory.take(np.flatnonzero(left_out.stay))


def with_split(splitting: Splitting, field: str) -> Inventory:
    """Returns the inventory with the split of each record, and the hashes of its pictures, as meta data fields."""
    inventory, hashes = splitting.inventory, splitting.found.hashes
    new: dict[str, Sequence[str | None]] = {field: splitting.splits}
    if hashes is not None:
        new[SHA256_FIELD] = hashes.field(hashes.sha256, len(inventory))
        if splitting.settings.duplicates == "perceptual":
            new[PHASH_FIELD] = hashes.field(hashes.phash, len(inventory))
    columns = {name: inventory.table[name] for name in inventory.table.column_names}
    columns |= {META + name: pa.array(values, TEXT) for name, values in new.items()}
    fields = [name[len(META) :] for name in columns if name.startswith(META)]
    labels = [name[len(LABEL) :] for name in columns if name.startswith(LABEL)]
    schema = schema_of(labels, fields)
    return Inventory(pa.table([columns[name] for name in schema.names], schema=schema))


def how_text(splitting: Splitting) -> list[str]:
    """Returns a line on what was kept whole and how it was dealt."""
    groups, method = counted(len(splitting.groups.names), "group"), splitting.method
    whole = f"{groups} by {splitting.group_field!r}" if splitting.group_field else "every record by itself"
    how = f"splits as {splitting.settings.split_by_meta!r} says" if method == BY_META else f"method {method}"
    if splitting.dealing is not None:
        score = splitting.dealing.score
        how += f", score {splitting.settings.split_score} {score:.4f}" if np.isfinite(score) else ", no score: a split is empty"
    if splitting.dealing is not None and splitting.dealing.draw_score is not None and np.isfinite(splitting.dealing.draw_score):
        how += f" (best of {splitting.dealing.draws} random draws: {splitting.dealing.draw_score:.4f})"
    lines = [f"{whole}; {how}; classes of {', '.join(splitting.labels)} spread"]
    if splitting.kept is not None:
        stay = "1 group stays" if splitting.kept[0] == 1 else f"{splitting.kept[0]} groups stay"
        new = "1 is" if splitting.kept[1] == 1 else f"{splitting.kept[1]} are"
        lines.append(f"{stay} where {splitting.settings.keep_splits} has them, {new} new")
    return lines


def share_lines(splitting: Splitting) -> list[str]:
    """Returns a line per split: records, their share, groups."""
    records = np.bincount(splitting.split_codes, minlength=len(splitting.shares)).tolist()
    groups = collections.Counter(one for one, _ in set(zip(splitting.splits, splitting.groups.of_record.tolist(), strict=True)))
    lines = []
    for (name, share), count in zip(splitting.shares.items(), records, strict=True):
        due = "" if share is None else f", due {100 * share:g} %"
        share_text = f"{100 * count / len(splitting.splits):.1f} %{due}"
        lines.append(f"{name}: {counted(count, 'record')} ({share_text}) in {counted(groups[name], 'group')}")
    return lines


def duplicate_lines(splitting: Splitting) -> list[str]:
    """Returns lines on the pictures that are in two groups, and on those that could not be read."""
    found = splitting.found
    if found.hashes is None:
        return ["duplicates: not looked for"]
    hashes = found.hashes
    if not found.files_read and not hashes.reused:
        return [f"duplicates ({splitting.settings.duplicates}): not looked for in a dry run"]
    if hashes.nothing_read:
        return [f"duplicates ({splitting.settings.duplicates}): nothing compared, see the warning; {_files_text(hashes)}"]
    kinds = collections.Counter(pair.kind for pair in found.pairs)
    pairs = ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "none"
    line = f"duplicates ({splitting.settings.duplicates}): pairs of pictures in two groups: {pairs}"
    joined = splitting.joined.members()
    if joined:
        line += f"; they tie {sum(map(len, joined.values()))} groups to {len(joined)}"
    lines = [line, _files_text(hashes)]
    if found.unlike or found.not_compared:
        lines.append(
            f"{found.unlike} pairs with close hashes look different, {found.not_compared} could not be compared; none of "
            "them ties groups"
        )
    apart = len(splitting.joined.kept_apart)
    if apart:
        lines.append(
            f"{'1 pair stays' if apart == 1 else f'{apart} pairs stay'} in two splits, as the earlier splitting has it so"
        )
    return lines


def _files_text(hashes: PictureHashes) -> str:
    """Returns how many pictures there are, and how many of the files that were needed could be read."""
    line = f"{counted(len(hashes.record), 'picture')}, {hashes.reused} with known hashes; "
    if not hashes.failed:
        return line + f"{counted(hashes.looked_at, 'file')} read"
    line += f"{hashes.looked_at} of {hashes.looked_at + hashes.failed} files could be read"
    unusable = counted(sum(hashes.unusable.values()), "picture")
    return line + f", {unusable} cannot be compared{counts_text(hashes.unusable)}"
