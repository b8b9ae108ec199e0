"""`download inventory`: fetches pictures that are only a URL, and writes the inventory with the files they became."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.compute as pc

from camtrap_tf.acquire.downloading import fetch
from camtrap_tf.acquire.outcome import FAILED, Downloaded, failed_in
from camtrap_tf.acquire.wanted import Wanted, is_url, path_or_empty
from camtrap_tf.config.download import InventoryDownloadConfig
from camtrap_tf.errors import SettingError, SourceError
from camtrap_tf.inventory.building import begin_writing, check_target
from camtrap_tf.inventory.table import Inventory
from camtrap_tf.records import CaptureEvent, Media, Reject
from camtrap_tf.rejects import rejects_path

_URL = r"^[A-Za-z][A-Za-z0-9+.-]*://"


def download_inventory(config: InventoryDownloadConfig) -> Downloaded:
    """Fetches the pictures of an inventory that are only a URL, and writes another inventory with their files.

    Raises:
        SettingError: the new inventory cannot be written, or the image root does not hold the output folder.
        SourceError: the inventory cannot be read, no picture of it is a URL, or none could be fetched.
    """
    check_target(config.export_path, (config.path,))
    prefix = _prefix(config)
    inventory = Inventory.read(config.path)
    paths = pc.list_flatten(inventory.table["images"])
    remote = int(pc.sum(pc.match_substring_regex(paths, _URL)).as_py() or 0)
    if not remote:
        raise SourceError(f"{config.path}: none of its {len(paths)} pictures is a URL; there is nothing to fetch")
    if remote < len(paths) and config.image_root is None:
        raise SettingError(
            f"{config.path}: {len(paths) - remote} of its pictures are files already; name the folder their paths begin at "
            "with --image-root, and an --output-dir in it, so that all paths begin at one folder"
        )
    done = fetch(lambda _: _wanted(inventory), config, source=str(config.path), total=remote)
    if config.dry_run:
        return done
    written = _Rewriting(config, prefix)
    fetched = _from(written.records(inventory), config)
    begin_writing(config.export_path, written.rejects)
    fetched.write(config.export_path)
    notes = [f"{config.export_path}: {len(fetched)} records, {fetched.picture_count()} pictures; paths begin at {written.root}"]
    if written.rejects:
        notes.append(f"{rejects_path(config.export_path)}: {written.text()}")
    return replace(done, notes=tuple(notes))


def _prefix(config: InventoryDownloadConfig) -> str:
    """Returns what paths below the output folder begin with, seen from the image root."""
    if config.image_root is None:
        return ""
    try:
        below = config.output_dir.resolve().relative_to(config.image_root.resolve()).as_posix()
    except ValueError as err:
        raise SettingError(
            f"--output-dir {config.output_dir}: is not in --image-root {config.image_root}; paths of an inventory begin at one "
            "folder"
        ) from err
    return "" if below == "." else f"{below}/"


def _wanted(inventory: Inventory) -> Iterator[Wanted]:
    for record in inventory:
        for media in record.media:
            if is_url(media.path):
                yield Wanted(url=media.path, path=path_or_empty(media.path), id=record.event_id)


def _from(records: Iterator[CaptureEvent], config: InventoryDownloadConfig) -> Inventory:
    """Makes the new inventory; says what to do where nothing is left."""
    first = next(records, None)
    if first is None:
        raise SourceError(f"{config.path}: none of its pictures could be fetched; see {config.output_dir / FAILED}")

    def all_records() -> Iterator[CaptureEvent]:
        """Yields the first and the others."""
        yield first
        yield from records

    return Inventory.from_records(all_records())


@dataclass(slots=True)
class _Rewriting:
    """Turns URLs into the paths of files, and leaves out what is not there."""

    root: Path
    rejects: list[Reject]
    _folder: Path
    _prefix: str
    _failed: set[str]

    def __init__(self, config: InventoryDownloadConfig, prefix: str) -> None:
        self.root = config.image_root or config.output_dir
        self.rejects = []
        self._folder = config.output_dir
        self._prefix = prefix
        self._failed = failed_in(config.output_dir, "url")

    def text(self) -> str:
        """Returns how much is left out."""
        pictures = sum(one.unit == "picture" for one in self.rejects)
        records = sum(one.unit == "record" for one in self.rejects)
        return f"{pictures} pictures that are not there, {records} records that are left without one"

    def records(self, inventory: Inventory) -> Iterator[CaptureEvent]:
        """Yields the records with the pictures that are there."""
        for record in inventory:
            kept = [media for media in map(self._local, record.media) if media is not None]
            if len(kept) == len(record.media):
                yield replace(record, media=tuple(kept))
                continue
            there = {media.media_id for media in kept}
            gone = {media.media_id for media in record.media} - there - {None}
            seen = tuple(one for one in record.observations if one.media_id not in gone)
            for media in record.media:
                if self._local(media) is None:
                    self.rejects.append(Reject(record.event_id, media.path, "picture", "not_fetched", "its file is not there"))
            if kept and seen:
                yield replace(record, media=tuple(kept), observations=seen)
            else:
                what = "picture" if not kept else "observation"
                self.rejects.append(Reject(record.event_id, "", "record", f"no_{what}", f"no {what} of it is left"))

    def _local(self, media: Media) -> Media | None:
        """Returns the picture with the path of its file; None where it is not there."""
        if not is_url(media.path):
            return media
        path = path_or_empty(media.path)
        if not path or media.path in self._failed or not (self._folder / path).is_file():
            return None
        return replace(media, path=self._prefix + path)
