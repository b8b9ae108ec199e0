"""The inventory commands for the standards of the camera-trap world: COCO Camera Traps, MegaDetector, Camtrap DP and others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from camtrap_tf.config.picture_sources import (
    CamtrapDpInventoryConfig,
    CocoInventoryConfig,
    MegadetectorInventoryConfig,
    PictureSourceConfig,
    TimelapseInventoryConfig,
    WildlifeInsightsInventoryConfig,
)
from camtrap_tf.errors import SourceError, TooManyRejectsError
from camtrap_tf.files import write_csv
from camtrap_tf.inventory.building import begin_writing, check_target, write_kept, written_lines
from camtrap_tf.inventory.picture_columns import table_of_grouped
from camtrap_tf.inventory.table import Inventory
from camtrap_tf.records import Reject
from camtrap_tf.rejects import reasons_text, rejects_path
from camtrap_tf.sources.camtrap_dp import CamtrapDpSource
from camtrap_tf.sources.cct_document import CctDocument
from camtrap_tf.sources.coco import CocoSource
from camtrap_tf.sources.megadetector import MegadetectorSource
from camtrap_tf.sources.picture_checks import NOT_OBSERVED, REMOTE, too_many
from camtrap_tf.sources.picture_records import PictureSource
from camtrap_tf.sources.picture_tables import PICTURES, VIDEO, Tally
from camtrap_tf.sources.timelapse import TimelapseSource
from camtrap_tf.sources.wildlife_insights import WildlifeInsightsSource

REMOTE_COLUMNS = ("id", "item", "url")


@dataclass(frozen=True, slots=True)
class BuiltFromStandard:
    """An inventory that was made, and what became of everything that was read.

    Attributes:
        path: the inventory.
        inventory: its records.
        source: what was read.
        tallies: of pictures and of observations: read = used + rejected + elsewhere.
        rejects: entries that are in no record.
        dropped: records left out for a missing label.
        remote: how many pictures are only a URL.
        notes: further sentences.
        dry_run: nothing was written.
        refusal: why it would not be written without `--dry-run`: too much was rejected; empty where it would.
    """

    path: Path
    inventory: Inventory
    source: Path
    tallies: tuple[Tally, Tally]
    rejects: tuple[Reject, ...]
    dropped: tuple[Reject, ...]
    remote: int
    notes: tuple[str, ...]
    dry_run: bool = False
    refusal: str = ""

    @property
    def exit_code(self) -> int:
        """That of the command without `--dry-run`."""
        return TooManyRejectsError.exit_code if self.refusal else 0

    def text(self) -> str:
        """Returns the summary for a person."""
        lines = [*self.tally_lines(), *self.notes]
        rejects = bool(self.rejects)
        lines += written_lines(self.path, self.inventory, len(self.dropped), rejects=rejects, dry_run=self.dry_run)
        if self.remote:
            only = "1 picture that is" if self.remote == 1 else f"{self.remote} pictures that are"
            would = "would list " if self.dry_run else ""
            lines.append(f"{remote_path(self.path)}: {would}{only} only a URL ({REMOTE})")
        if self.refusal:
            lines.append(f"without --dry-run nothing of it is written (exit code {self.exit_code}): {self.refusal}")
        return "\n".join(lines)

    def tally_lines(self) -> list[str]:
        """Returns a line on what became of the pictures, and one on the observations, with the reasons of rejects."""
        counted_ones = [tally for tally in self.tallies if tally.read]
        return [f"{self.source}: {one.text()}{reasons_text(_of_tally(one, self.rejects))}" for one in counted_ones]


def build_from_coco(config: CocoInventoryConfig, document: CctDocument | None = None) -> BuiltFromStandard:
    """Reads a COCO Camera Traps file and writes its inventory.

    Args:
        config: which file, and how it is read.
        document: its content, where it is parsed already.

    Raises:
        SettingError: the inventory cannot be written there, or the image root cannot be used.
        SourceError: the file cannot be read, or has no usable record.
        TooManyRejectsError: more was rejected than `max_rejected_share` allows.
    """
    check_target(config.export_path, (config.path,))
    return _build(CocoSource(config, document), config)


def build_from_megadetector(config: MegadetectorInventoryConfig) -> BuiltFromStandard:
    """Reads MegaDetector results and writes their inventory; raises as `build_from_coco` does."""
    check_target(config.export_path, (config.path,))
    return _build(MegadetectorSource(config), config)


def build_from_camtrap_dp(config: CamtrapDpInventoryConfig) -> BuiltFromStandard:
    """Reads a Camtrap DP package and writes its inventory; raises as `build_from_coco` does."""
    check_target(config.export_path, (config.path,))
    return _build(CamtrapDpSource(config), config)


def build_from_wildlife_insights(config: WildlifeInsightsInventoryConfig) -> BuiltFromStandard:
    """Reads a Wildlife Insights download and writes its inventory; raises as `build_from_coco` does."""
    check_target(config.export_path, (config.path,))
    return _build(WildlifeInsightsSource(config), config)


def build_from_timelapse(config: TimelapseInventoryConfig) -> BuiltFromStandard:
    """Reads a CSV export of Timelapse and writes its inventory; raises as `build_from_coco` does."""
    check_target(config.export_path, (config.path,))
    return _build(TimelapseSource(config), config)


def remote_path(inventory: Path) -> Path:
    """Returns where the pictures that are only a URL are listed: `<stem>.remote.csv` beside the inventory."""
    return inventory.with_name(f"{inventory.stem}.remote.csv")


def _build(source: PictureSource, config: PictureSourceConfig) -> BuiltFromStandard:
    """Makes the records of a source, judges the rejects, writes inventory, rejects and remote pictures."""
    grouped = source.grouped
    checked = grouped.checked
    rejects, tallies = checked.rejects, (checked.picture_tally, checked.seen_tally)
    remote = () if config.keep_remote else checked.remote
    if not config.dry_run:
        begin_writing(config.export_path, rejects)
        _write_remote(config.export_path, remote)
    advice = f"; {source.advice}" if source.advice else ""
    if not len(grouped.ids):
        listed = None if config.dry_run else config.export_path
        raise SourceError(f"{config.path}: {_nothing_text(tallies, rejects, listed, remote=bool(remote))}{advice}")
    refusal = _refusal(tallies, rejects, config, advice)
    if refusal and not config.dry_run:
        raise TooManyRejectsError(f"{config.path}: {refusal}")
    inventory, dropped = write_kept(Inventory.from_table(table_of_grouped(grouped)), config, rejects)
    return BuiltFromStandard(
        config.export_path, inventory, config.path, tallies, rejects, tuple(dropped), len(remote), tuple(source.notes),
        config.dry_run, refusal,
    )  # fmt: skip


def _refusal(tallies: tuple[Tally, Tally], rejects: Sequence[Reject], config: PictureSourceConfig, advice: str) -> str:
    """Returns why the records of a source are not written where too much of it was rejected; else an empty text."""
    over = too_many(tallies, config.max_rejected_share)
    if over is None:
        return ""
    see = "" if config.dry_run else f"see {rejects_path(config.export_path)}, "
    return (
        f"{over.rejected} of {over.read} {over.unit} rejected{_reasons(over, tallies[1], rejects)[0]}, "
        f"more than --max-rejected-share {config.max_rejected_share:g} allows; {see}mend the source or the image root, or "
        f"raise --max-rejected-share{advice}"
    )


def _of_tally(tally: Tally, rejects: Sequence[Reject]) -> list[Reject]:
    """Returns the rejects that a tally counts as such: those of pictures, or of observations."""
    unit = "picture" if tally.unit == PICTURES else "observation"
    return [one for one in rejects if one.unit == unit]


def _reasons(tally: Tally, seen: Tally, rejects: Sequence[Reject]) -> tuple[str, list[Reject]]:
    """Returns the reasons of the rejects that a tally counts, and those that are examples of them.

    Pictures that were lost with their observations (`seen`) are told with the reasons of these.
    """
    mine = _of_tally(tally, rejects)
    if not mine or any(one.reason != NOT_OBSERVED for one in mine):
        return reasons_text(mine), mine
    causes = _of_tally(seen, rejects)
    return f"{reasons_text(mine)}, with {seen.rejected} {seen.unit}{reasons_text(causes)}", causes


def _nothing_text(tallies: tuple[Tally, Tally], rejects: Sequence[Reject], path: Path | None, *, remote: bool) -> str:
    """Returns what became of the pictures of a source where none can be used, with an example of the reasons it lists.

    `path`: inventory beside which the rejects are listed; None: nowhere.
    """
    pictures, seen = tallies
    reasons, examples = _reasons(pictures, seen, rejects)
    said = f"no usable picture in {pictures.read}; {pictures.rejected} rejected{reasons}"
    examples = examples or [one for one in rejects if one.unit == VIDEO]
    said += "".join(f", {count} {where}" for where, count in pictures.elsewhere.items())
    if examples:
        said += f", e.g. {_named(examples[0])}: {examples[0].detail}"
    if path is None:
        return said
    said += f"; see {rejects_path(path)}" if rejects else ""
    return said + (f"; {remote_path(path)} lists the remote ones" if remote else "")


def _named(reject: Reject) -> str:
    """Returns how a message names a reject: an observation that its id stands for is called one."""
    return f"observation {reject.item}" if reject.unit == "observation" and " " not in reject.item else reject.item


def _write_remote(inventory: Path, remote: tuple[tuple[str, str, str], ...]) -> None:
    """Lists remote pictures beside an inventory; removes the list of an earlier one where there are none."""
    path = remote_path(inventory)
    if remote:
        write_csv(path, REMOTE_COLUMNS, ((picture, item, url) for item, picture, url in remote))
    else:
        path.unlink(missing_ok=True)
