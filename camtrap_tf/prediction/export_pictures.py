"""What is known about a picture besides its prediction: path below the root, time, event, deployment, digest.

The facts come, in this order, from a Camtrap DP package, from an inventory, from the columns of the predicted table, and from
the EXIF of the file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from camtrap_tf.inventory.table import Inventory
from camtrap_tf.prediction.export_boxes import PredictedBox
from camtrap_tf.prediction.results import RecordPrediction
from camtrap_tf.sources.picture_times import exif_time, parse_time

Meta = Mapping[str, str]

TIME_FIELDS = ("timestamp", "datetime", "datetimeoriginal", "eventstart", "captured")
EVENT_FIELDS = ("eventid", "event", "sequenceid", "sequence", "seqid", "captureevent")
DEPLOYMENT_FIELDS = ("deploymentid", "deployment")
PLACE_FIELDS = ("locationid", "location", "locationname", "site", "station", "cameraid", "camera")
DIGEST_FIELD = "sha256"


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """One picture.

    Attributes:
        relative: path below the root, with `/`; absolute where it is not below it.
        time: ISO 8601, maybe without a zone; None where it is not known.
        event: id of its event; None where it is not known, or is the record's own.
        deployment: id or name of its deployment; None where nothing says it.
        places: names of its location or camera.
        media_id: its id in package or inventory.
        stored_path: its path or URL in the package.
        sha256: its digest, where it is known without reading it.
        row: cells of the package's media table.
        meta: columns of the predicted table and of the inventory.
    """

    relative: str
    time: str | None = None
    event: str | None = None
    deployment: str | None = None
    places: tuple[str, ...] = ()
    media_id: str | None = None
    stored_path: str | None = None
    sha256: str | None = None
    row: Meta = field(default_factory=dict)
    meta: Meta = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KnownPicture:
    """What an inventory says about a picture: time, event, id, and meta data (shared by the pictures of a record)."""

    time: str | None
    event: str | None
    media_id: str | None
    meta: Meta


@dataclass
class FactBook:
    """Looks up what is known about pictures.

    Attributes:
        root: folder that paths are relative to; None: they stay as they are.
        inventory: relative path → what an inventory says.
        media: relative path → row of a package's media table.
        events: media id → event id of the package.
        exif: read the time out of files where nothing else says it.
    """

    root: Path | None = None
    inventory: Mapping[str, KnownPicture] = field(default_factory=dict)
    media: Mapping[str, Meta] = field(default_factory=dict)
    events: Mapping[str, str] = field(default_factory=dict)
    exif: bool = True

    def facts(self, record: RecordPrediction, path: str, *, file: str | None = None) -> PictureFacts:
        """Returns what is known about a picture of a record.

        Args:
            record: what it belongs to.
            path: where it lies.
            file: its path below the root, where that is known.
        """
        relative = relative_path(path, self.root) if file is None else relative_path(file, None)
        known = self.inventory.get(relative)
        meta = {**(known.meta if known else {}), **{key: value for key, value in record.meta_data.items() if value}}
        plain = {_plain(key): value for key, value in meta.items()}
        row = self.media.get(relative) or {}
        media_id = row.get("mediaID") or (known.media_id if known else None)
        time = row.get("timestamp") or (known.time if known else None) or _first(plain, TIME_FIELDS)
        if parse_time(time or "") is None:
            time = exif_time(Path(path)) if self.exif else None
        return PictureFacts(
            relative=relative,
            time=time,
            event=self.events.get(row.get("mediaID", "")) or _first(plain, EVENT_FIELDS) or (known.event if known else None),
            deployment=row.get("deploymentID") or _first(plain, DEPLOYMENT_FIELDS),
            places=_every(plain, PLACE_FIELDS),
            media_id=media_id,
            stored_path=row.get("filePath"),
            sha256=plain.get(DIGEST_FIELD),
            row=row,
            meta=meta,
        )

    def place_of(self, box: PredictedBox) -> str:
        """Returns where the picture of a box lies: boxes that could not be used only have its path below the root."""
        return str(self.root / box.file) if self.root is not None and box.path == box.file else box.path


def relative_path(path: str, root: Path | None) -> str:
    """Returns `path` below `root` with `/`; as it is, tidied up, where it does not lie below it."""
    tidy = os.path.normpath(path)
    if root is not None:
        inside = os.path.relpath(tidy, root)
        if not inside.startswith(".."):
            tidy = inside
    return PurePath(tidy).as_posix()


def known_pictures(inventory: Inventory) -> dict[str, KnownPicture]:
    """Returns relative path → what an inventory says about the picture."""
    found: dict[str, KnownPicture] = {}
    for event in inventory:
        of_event = event.event_id if len(event.media) > 1 else None
        for media in event.media:
            path = relative_path(media.path.replace("\\", "/") if "/" not in media.path else media.path, None)
            found[path] = KnownPicture(media.timestamp, of_event, media.media_id, event.meta_data)
    return found


def place_in(meta: Meta) -> str:
    """Returns the location, or camera, that meta data name; empty where they name none."""
    return next(iter(_every({_plain(name): value for name, value in meta.items()}, PLACE_FIELDS)), "")


def _every(plain: Meta, names: tuple[str, ...]) -> tuple[str, ...]:
    """Returns what these fields say, in their order; those that say nothing are left out."""
    return tuple(plain[name] for name in names if plain.get(name))


def _first(plain: Meta, names: tuple[str, ...]) -> str | None:
    """Returns the first of these fields that says something."""
    return next((plain[name] for name in names if plain.get(name)), None)


def _plain(name: str) -> str:
    """Returns a field name in small letters, without `_`, `-` and spaces."""
    return name.replace("_", "").replace(" ", "").replace("-", "").lower()
