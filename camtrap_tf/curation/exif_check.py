"""The stage `exif check`: what the EXIF of the JPEGs in a folder says, as a table.

Only as much of a file is read as its meta data take. Every JPEG is a row of the table or of the rejects.
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from camtrap_tf.config.exif import ExifCheckConfig
from camtrap_tf.errors import PictureError, SettingError, TooManyRejectsError, counted
from camtrap_tf.executors import map_in_threads
from camtrap_tf.files import check_output_file, check_writable, printable, require_folder, write_csv
from camtrap_tf.images.jpeg_exif import CameraFacts, camera_facts
from camtrap_tf.images.stored_form import open_picture
from camtrap_tf.progress import track
from camtrap_tf.records import Reject
from camtrap_tf.rejects import reasons_text, rejects_line, rejects_path, write_rejects

COLUMNS = (
    "absolute_path", "date_time_original", "file_size", "file_too_big", "make", "model", "serial_number", "user_comment"
)  # fmt: skip
UNKNOWN = "unknown"
JPEG_SUFFIXES = (".jpg", ".jpeg")

MOST_BYTES = 1 << 28
"""No picture of a camera is larger; more of a file is never held in memory."""

_HEAD_BYTES = 1 << 17
"""Nearly every camera's meta data lie in this much of a file; where they do not, all of it is read."""

Row = tuple[str, ...]


@dataclass(kw_only=True)
class ExifChecked:
    """What a folder holds; `text` is printed.

    Attributes:
        config: the settings.
        pictures: JPEGs by their names.
        others: files of other kinds, which are passed over.
        listed: rows of the table.
        known: column → rows that say something there.
        too_big: rows of large files.
        cameras: make, model and serial number → pictures.
        rejects: pictures that cannot be read.
    """

    config: ExifCheckConfig
    pictures: int
    others: int
    listed: int = 0
    known: Counter[str] = field(default_factory=Counter)
    too_big: int = 0
    cameras: Counter[Row] = field(default_factory=Counter)
    rejects: list[Reject] = field(default_factory=list)

    def text(self) -> str:
        """Returns the summary for a person: in = out + rejected."""
        output = self.config.output
        passed = f"; {counted(self.others, 'file')} of other kinds passed over" if self.others else ""
        if self.config.dry_run:
            return (
                "Plan of exif check (nothing is read or written)\n"
                f"{self.config.path}: {counted(self.pictures, 'JPEG')} to look at{passed}\nwould write {output}"
            )
        lines = [
            f"{self.config.path}: {counted(self.pictures, 'JPEG')} in = {self.listed} listed + {len(self.rejects)} rejected"
            f"{reasons_text(self.rejects)}{passed}",
            "known: " + ", ".join(f"{column} of {self.known[column]}" for column in COLUMNS[1:] if column in self.known)
            if self.known
            else "known: nothing; these pictures have no EXIF of a camera",
            f"larger than {self.config.too_big_bytes:,} bytes: {self.too_big}",
        ]
        lines += [f"camera {' · '.join(camera)}: {counted(count, 'picture')}" for camera, count in self.cameras.most_common(10)]
        if len(self.cameras) > 10:
            lines.append(f"… and {counted(len(self.cameras) - 10, 'camera')} more")
        lines.append(f"{output}: {counted(self.listed, 'row')}")
        return "\n".join([*lines, rejects_line(output)] if self.rejects else lines)


def check_exif(config: ExifCheckConfig) -> ExifChecked:
    """Writes a table of what the EXIF of the JPEGs in a folder says.

    Raises:
        SettingError: the folder is not there or holds no JPEG, or the table cannot be written there.
        TooManyRejectsError: more pictures cannot be read than allowed; nothing is written.
    """
    check_output_file(config.output, "--output", suffixes=(".csv",))
    folder = require_folder(config.path, "--path")
    pictures, others = _pictures(folder)
    if not pictures:
        raise SettingError(f"--path {folder}: no file there or below ends in {' or '.join(JPEG_SUFFIXES)}; check the path")
    done = ExifChecked(config=config, pictures=len(pictures), others=others)
    if config.dry_run:
        return done
    check_writable(config.output.parent, "--output")
    write_csv(config.output, COLUMNS, _rows(pictures, done))
    write_rejects(rejects_path(config.output), done.rejects)
    return done


def _pictures(folder: Path) -> tuple[list[Path], int]:
    """Returns the JPEGs below a folder by their names, in order, and how many other files there are.

    Links are followed, each folder once; hidden files and folders are none of the user's pictures.
    """
    pictures, others, entered = [], 0, set()
    for place, below, names in os.walk(folder.absolute(), followlinks=True):
        real = os.path.realpath(place)
        below[:] = [] if real in entered else sorted(name for name in below if not name.startswith("."))
        for name in [] if real in entered else sorted(names):
            is_jpeg = name.lower().endswith(JPEG_SUFFIXES) and not name.startswith(".")
            others += not is_jpeg
            pictures += [Path(place, name)] if is_jpeg else []
        entered.add(real)
    return pictures, others


def _rows(pictures: Sequence[Path], done: ExifChecked) -> Iterator[Row]:
    """Yields a row per picture that can be read, counts what they say, and keeps the others as rejects.

    Raises:
        TooManyRejectsError: more cannot be read than allowed.
    """
    config = done.config
    results = map_in_threads(functools.partial(_row, config.too_big_bytes), pictures, workers=config.workers)
    for row in track(results, total=len(pictures), description="Reading EXIF", unit="pictures"):
        if isinstance(row, Reject):
            done.rejects.append(row)
            continue
        done.listed += 1
        said = dict(zip(COLUMNS, row, strict=True))
        done.known.update(column for column in ("date_time_original", *COLUMNS[4:]) if said[column] != UNKNOWN)
        done.too_big += said["file_too_big"] == "True"
        done.cameras[said["make"], said["model"], said["serial_number"]] += 1
        yield row
    if len(done.rejects) > config.max_rejected_share * len(pictures):
        raise TooManyRejectsError(
            f"--path {config.path}: {len(done.rejects)} of {len(pictures)} JPEGs cannot be read{reasons_text(done.rejects)}, "
            f"more than --max-rejected-share {config.max_rejected_share:g} allows; nothing is written"
        )


def _row(too_big_bytes: int, path: Path) -> Row | Reject:
    """Returns the row of a picture, or why there is none."""
    name = printable(str(path))
    if name != str(path):
        return Reject("", name, "picture", "not_utf8", "its name is not UTF-8; rename it")
    try:
        size, facts = _look(path)
    except PictureError as err:
        return Reject("", name, "picture", err.reason, err.detail)
    texts = (facts.make, facts.model, facts.serial_number, facts.user_comment)
    known = [printable(text) or UNKNOWN for text in (facts.date_time_original, *texts)]
    return (name, known[0], str(size), str(size > too_big_bytes), *known[1:])


def _look(path: Path) -> tuple[int, CameraFacts]:
    """Returns size in bytes and EXIF of a picture; raises as `open_picture` and `camera_facts`."""
    with open_picture(path) as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(_HEAD_BYTES)
        try:
            return size, camera_facts(head)
        except PictureError as err:
            if err.reason != "truncated" or len(head) == size or size > MOST_BYTES:
                raise
        return size, camera_facts(head + file.read())
