"""Draws a whole sample into a folder: pictures by worker processes, then the same facts in four forms.

The pictures of some events of one location are one piece of work. A finished piece leaves its boxes in `.partial/`,
so a sample that was cut short goes on where it stopped and ends the same to the byte.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from camtrap_tf.config.sample import SampleConfig
from camtrap_tf.errors import CamtrapError, SettingError
from camtrap_tf.executors import available_cores, map_in_processes
from camtrap_tf.files import PARTIAL, locked_folder, read_json, sha256_file, writable_folder, write_bytes, write_json
from camtrap_tf.progress import track
from camtrap_tf.sample.camtrap_package import camtrap_dp_writer
from camtrap_tf.sample.formats import DrawnEvent, coco_writer, csv_writer, megadetector_writer
from camtrap_tf.sample.scenes import FRAMES, SceneEvent, broken_pictures, events_per_location, scene_events
from camtrap_tf.sample.seeds import generator
from camtrap_tf.sample.species import BLANK

SCHEMA_VERSION = 1
MANIFEST = "sample.json"
CSV, COCO, MEGADETECTOR = "sample.csv", "coco_camera_traps.json", "megadetector.json"
TABLES = (CSV, COCO, MEGADETECTOR, "datapackage.json", "deployments.csv", "media.csv", "observations.csv")
PLAN = "plan.json"
PIECE_EVENTS = 16


@dataclass(frozen=True, slots=True)
class Piece:
    """Some events of one location that are drawn together.

    Attributes:
        folder: of the sample.
        first, stop: events of the location, from `first` up to but not including `stop`.
    """

    folder: Path
    seed: int
    events: int
    location: int
    first: int
    stop: int

    @property
    def result(self) -> Path:
        """The file that says that the piece is finished, and holds its boxes."""
        return self.folder / PARTIAL / f"boxes_{self.location:02d}_{self.first:06d}.json"

    def scenes(self) -> Iterator[SceneEvent]:
        """Yields its events."""
        return scene_events(self.seed, self.events, location=self.location, first=self.first, stop=self.stop)


@dataclass(frozen=True, slots=True)
class Sample:
    """A finished sample.

    Attributes:
        folder: where it is.
        manifest: what `sample.json` says.
        kept: whether it was there already.
    """

    folder: Path
    manifest: dict[str, Any]
    kept: bool

    def text(self) -> str:
        """Returns what there is and where."""
        facts = self.manifest
        lines = [
            f"{self.folder}: {'kept' if self.kept else 'drawn'}: {facts['events']} events at {facts['locations']} locations, "
            f"{facts['pictures']} pictures, {facts['broken_pictures']} of them broken; {facts['blank_events']} events blank",
            f"  pictures             {self.folder / 'images'}",
            f"  table                {self.folder / CSV}",
            f"  COCO Camera Traps    {self.folder / COCO}",
            f"  MegaDetector         {self.folder / MEGADETECTOR}",
            f"  Camtrap DP           {self.folder / 'datapackage.json'}",
        ]
        return "\n".join(lines)


def draw_sample(config: SampleConfig) -> Sample:
    """Draws a sample, finishes one that was cut short, or keeps one that is there.

    Raises:
        SettingError: the folder cannot be written to, or holds something else.
        CamtrapError: pictures or tables of a finished sample were changed or removed.
    """
    folder = writable_folder(config.output_dir, "--output-dir")
    with locked_folder(folder):
        finished = _look_around(config, folder)
        if finished is not None:
            return Sample(folder, finished, kept=True)
        write_json(folder / PARTIAL / PLAN, _plan(config))
        _draw_pieces(config, folder)
        manifest = _write_tables(config, folder)
        write_json(folder / MANIFEST, manifest)
        shutil.rmtree(folder / PARTIAL)
    return Sample(folder, manifest, kept=False)


def _plan(config: SampleConfig) -> dict[str, Any]:
    """Returns what decides every byte of a sample."""
    return {"schema_version": SCHEMA_VERSION, "kind": "sample", "events": config.events, "seed": config.seed}


def _look_around(config: SampleConfig, folder: Path) -> dict[str, Any] | None:
    """Returns the manifest of a finished sample of the same plan; clears away another one if asked to.

    Raises:
        SettingError: another sample is there and `--overwrite` is not given, or files that are no sample.
        CamtrapError: a finished sample is not as it was written.
    """
    plan = _plan(config)
    known = folder / MANIFEST if (folder / MANIFEST).exists() else folder / PARTIAL / PLAN
    if not known.exists():
        strangers = [name for name in (*TABLES, "images", PARTIAL) if (folder / name).exists()]
        if strangers:
            raise SettingError(f"--output-dir {folder}: holds {strangers[0]}, which is not of a sample; choose another folder")
        return None
    found = read_json(known, what="sample manifest")
    same = isinstance(found, dict) and all(found.get(key) == value for key, value in plan.items())
    if not same and not config.overwrite:
        theirs = f"{found.get('events')} events, seed {found.get('seed')}" if isinstance(found, dict) else "another form"
        raise SettingError(f"--output-dir {folder}: holds another sample ({theirs}); choose another folder or give --overwrite")
    if same and known.name == MANIFEST and not config.overwrite:
        for name, digest in found["sha256"].items():
            if not (folder / name).exists() or sha256_file(folder / name) != digest:
                raise CamtrapError(
                    f"{folder / name}: was changed or removed since it was drawn; give --overwrite to draw again"
                )
        return dict(found)
    if not same or config.overwrite:
        _clear(folder)
    return None


def _clear(folder: Path) -> None:
    """Removes what a sample is made of, its manifest first."""
    for name in (MANIFEST, *TABLES):
        (folder / name).unlink(missing_ok=True)
    for name in ("images", PARTIAL):
        shutil.rmtree(folder / name, ignore_errors=True)


def _pieces(config: SampleConfig, folder: Path) -> Iterator[Piece]:
    for location, count in enumerate(events_per_location(config.seed, config.events)):
        for first in range(0, count, PIECE_EVENTS):
            yield Piece(folder, config.seed, config.events, location, first, min(first + PIECE_EVENTS, count))


def _draw_pieces(config: SampleConfig, folder: Path) -> None:
    pieces = [piece for piece in _pieces(config, folder) if not piece.result.exists()]
    workers = min(config.workers or available_cores(), len(pieces))
    total = FRAMES * sum(piece.stop - piece.first for piece in pieces)
    drawn = map_in_processes(draw_piece, pieces, workers=max(1, workers))
    pictures = (1 for count in drawn for _ in range(count))
    for _ in track(pictures, total=total, description="Drawing the sample", unit="pictures"):
        pass


def draw_piece(piece: Piece) -> int:
    """Draws the pictures of some events and keeps their boxes; returns how many pictures there are.

    A piece that is there already is kept.
    """
    from camtrap_tf.sample.rendering import render

    boxes = []
    for scene in piece.scenes():
        frames = [render(piece.seed, scene, frame) for frame in range(FRAMES)]
        for number, frame in enumerate(frames):
            data = broken(frame.jpeg(), scene.breakages[number], piece.seed, scene.file_name(number))
            write_picture(piece.folder / scene.file_name(number), data)
        boxes.append([frame.boxes for frame in frames])
    write_bytes(piece.result, json.dumps(boxes).encode())
    return FRAMES * (piece.stop - piece.first)


def write_picture(path: Path, data: bytes) -> None:
    """Writes a picture. Its piece vouches for it, so it needs no rename of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def broken(data: bytes, how: str | None, seed: int, name: str) -> bytes:
    """Returns the bytes of a picture, damaged as asked for: `truncated`, `empty` or `text`."""
    if how == "truncated":
        return data[: int(len(data) * generator(seed, "cut", name).uniform(0.2, 0.7))]
    if how == "empty":
        return b""
    if how == "text":
        return f"This is not a picture, although it is called {name.rsplit('/', 1)[1]}.\n".encode()
    return data


def drawn_events(config: SampleConfig, folder: Path) -> Iterator[DrawnEvent]:
    """Yields the events of a sample whose pieces are all finished, with their boxes."""
    for piece in _pieces(config, folder):
        boxes = read_json(piece.result, what="finished piece of a sample")
        for scene, frames in zip(piece.scenes(), boxes, strict=True):
            yield DrawnEvent(scene, tuple(tuple(tuple(box) if box else None for box in frame) for frame in frames))


def _write_tables(config: SampleConfig, folder: Path) -> dict[str, Any]:
    """Writes the facts in their four forms and returns the manifest."""
    blank = 0
    with ExitStack() as stack:
        writers = [
            stack.enter_context(csv_writer(folder / CSV, config.seed)),
            stack.enter_context(coco_writer(folder / COCO, config.seed, folder / PARTIAL / "annotations.part")),
            stack.enter_context(megadetector_writer(folder / MEGADETECTOR, config.seed)),
            stack.enter_context(camtrap_dp_writer(folder, config.seed)),
        ]
        for event in drawn_events(config, folder):
            blank += event.scene.species == BLANK
            for write in writers:
                write(event)
    return {
        **_plan(config),
        "pictures": FRAMES * config.events,
        "broken_pictures": len(broken_pictures(config.seed, config.events)),
        "blank_events": blank,
        "locations": sum(count > 0 for count in events_per_location(config.seed, config.events)),
        "sha256": {name: sha256_file(folder / name) for name in TABLES},
    }
