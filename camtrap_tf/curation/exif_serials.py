"""The stage `exif set`: serial numbers of cameras, from a table, in the EXIF of copies of pictures.

The pictures themselves are opened for reading only. A copy differs from its picture in the EXIF block alone, keeps its time of
change, and appears under its name whole. Copies that are there already with these very bytes are left alone, so that the same
command again goes on where it stopped.
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from camtrap_tf.config.exif import ExifSetConfig
from camtrap_tf.curation.exif_check import JPEG_SUFFIXES, MOST_BYTES, UNKNOWN
from camtrap_tf.errors import CamtrapError, PictureError, SettingError, counted
from camtrap_tf.executors import map_in_threads
from camtrap_tf.files import (
    PARTIAL,
    atomic_file,
    check_writable,
    join_inside,
    locked_folder,
    require_folder,
    writable_folder,
    write_csv,
)
from camtrap_tf.images.jpeg_exif import camera_facts, check_serial, with_serial_number
from camtrap_tf.images.stored_form import open_picture
from camtrap_tf.progress import track
from camtrap_tf.records import Reject
from camtrap_tf.rejects import reasons_text, write_rejects
from camtrap_tf.sources.csv_rows import CsvRows

TABLE_NAME, REJECTS_NAME = "exif.csv", "rejects.csv"
COLUMNS = ("file", "original", "serial_number", "was")
EXIT_TOO_MANY = 3

Status = Literal["written", "kept"]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A copy that is to be made.

    Attributes:
        row: line of the table.
        source: the picture.
        file: path of the copy below the output folder.
        serial: number to write.
    """

    row: int
    source: Path
    file: str
    serial: str


@dataclass(frozen=True, slots=True)
class _Made:
    """A copy that is there.

    Attributes:
        wanted: what was asked for.
        was: serial number of the picture; empty where it has none.
        status: whether it was written now, or was there.
    """

    wanted: _Wanted
    was: str
    status: Status


@dataclass(kw_only=True)
class SerialsSet:
    """What was done with a table; `text` is printed.

    Attributes:
        config: the settings.
        rows: rows of the table.
        unknown: rows without a serial number.
        wanted: copies to be made.
        made: how many were written, and how many were there.
        same: copies whose picture had this serial number already.
        rejects: rows that no copy was made of.
        root: folder that the copies keep their paths from.
    """

    config: ExifSetConfig
    rows: int = 0
    unknown: int = 0
    wanted: list[_Wanted] = field(default_factory=list)
    made: Counter[Status] = field(default_factory=Counter)
    same: int = 0
    rejects: list[Reject] = field(default_factory=list)
    root: Path = Path()

    @property
    def exit_code(self) -> int:
        """3 where more rows were rejected than `--max-rejected-share` allows."""
        return EXIT_TOO_MANY if len(self.rejects) > self.config.max_rejected_share * self.rows else 0

    def text(self) -> str:
        """Returns the summary for a person: in = out + rejected."""
        config, gone = self.config, f"{len(self.rejects)} rejected{reasons_text(self.rejects)}"
        passed = f"{self.unknown} without a serial number"
        numbers = counted(len({one.serial for one in self.wanted}), "serial number")
        if config.dry_run:
            return (
                "Plan of exif set (nothing is written, no picture is read)\n"
                f"{config.path}: {counted(self.rows, 'row')} in = {len(self.wanted)} to copy + {passed} + {gone}\n"
                f"would write {counted(len(self.wanted), 'picture')} of {numbers} below {config.output_dir}, with their paths "
                f"from {self.root}"
            )
        lines = [
            f"{config.path}: {counted(self.rows, 'row')} in = {self.made['written']} written + {self.made['kept']} kept + "
            f"{passed} + {gone}",
            f"copies:  {config.output_dir} (paths from {self.root}), listed in {TABLE_NAME}"
            + (f"; {self.same} of them had this serial number already" if self.same else ""),
        ]
        if self.rejects:
            lines.append(f"rejects: {config.output_dir / REJECTS_NAME}")
        if self.exit_code:
            lines.append(f"more rows are rejected than --max-rejected-share {config.max_rejected_share:g} allows (exit code 3)")
        return "\n".join(lines)


def set_serials(config: ExifSetConfig) -> SerialsSet:
    """Copies pictures with a serial number in their EXIF.

    Raises:
        SettingError: the table lacks a column, or the copies would lie where the pictures are.
        SourceError: the table cannot be read.
        RunLockedError: another process writes there.
        CamtrapError: the disk is full, or the folder cannot be written to.
    """
    if config.image_root is not None:
        require_folder(config.image_root, "--image-root")
    done = _planned(config)
    _check_apart(done)
    if config.dry_run:
        return done
    check_writable(config.output_dir, "--output-dir")
    partial = writable_folder(config.output_dir, "--output-dir") / PARTIAL
    try:
        with locked_folder(partial):
            write_csv(config.output_dir / TABLE_NAME, COLUMNS, _copied(done))
            write_rejects(config.output_dir / REJECTS_NAME, done.rejects)
            (partial / ".lock").unlink()
            partial.rmdir()
    except OSError as err:
        what = err.strerror or type(err).__name__
        raise CamtrapError(
            f"{config.output_dir}: cannot write ({what}); make room or mend it, then run the same command again"
        ) from err
    return done


def _planned(config: ExifSetConfig) -> SerialsSet:
    """Reads the table: which pictures are to be copied where, with which number."""
    done = SerialsSet(config=config)
    table = CsvRows(config.path)
    path_at, serial_at = table.index(config.path_column, "--path-column"), table.index(config.serial_column, "--serial-column")
    sources: dict[Path, tuple[int, str]] = {}
    folders: set[Path] = set()
    for row in table.rows():
        done.rows += 1
        if isinstance(row, Reject):
            done.rejects.append(row)
            continue
        line, cells = row
        stored, serial = cells[path_at].strip(), cells[serial_at].strip()
        found = _source(config, stored)
        if isinstance(found, Path) and found.is_file():
            folders.add(found.parent)
        if serial.lower() in ("", UNKNOWN):
            done.unknown += 1
            continue
        problem = found if isinstance(found, tuple) else _problem(found, serial, sources)
        if problem is not None:
            done.rejects.append(Reject("", f"line {line}", "picture", *problem))
        elif isinstance(found, Path):
            sources[found] = (line, serial)
    done.root = _root(config, folders)
    for source, (line, serial) in sources.items():
        done.wanted.append(_Wanted(line, source, source.relative_to(done.root).as_posix(), serial))
    return done


def _source(config: ExifSetConfig, stored: str) -> Path | tuple[str, str]:
    """Returns where the picture of a row would lie, as an absolute path without `..`, or why it cannot be told."""
    root = config.image_root
    if not stored:
        return "no_path", f"has no {config.path_column}"
    try:
        path = _plain(Path(stored) if Path(stored).is_absolute() else join_inside(root, stored))
    except ValueError as err:
        return "outside_root", str(err)
    if root is not None and not path.is_relative_to(_plain(root)):
        return "outside_root", f"{stored} does not lie in --image-root {root}"
    return path


def _problem(path: Path, serial: str, sources: Mapping[Path, tuple[int, str]]) -> tuple[str, str] | None:
    """Returns why no copy is made of a picture, as reason and detail; None where one is."""
    if path in sources:
        line, other = sources[path]
        return "repeated_file", f"{path} is in line {line}, too, which says {'the same' if other == serial else repr(other)}"
    if path.suffix.lower() not in JPEG_SUFFIXES:
        return "not_a_jpeg", f"{path} is no JPEG by its name; only these are written"
    try:
        check_serial(serial)
    except PictureError as err:
        return err.reason, err.detail
    return None if path.is_file() else ("missing_file", f"{path} is not there")


def _plain(path: Path) -> Path:
    """Returns a path from the root folder, without `..`; links in it stay links, as the table has them."""
    return Path(os.path.normpath(path.absolute()))


def _root(config: ExifSetConfig, folders: Collection[Path]) -> Path:
    """Returns the folder that copies keep their paths from: of all pictures there, so that more numbers do not move it."""
    if config.image_root is not None:
        return _plain(config.image_root)
    return Path(os.path.commonpath(folders)) if folders else Path()


def _check_apart(done: SerialsSet) -> None:
    """Makes sure that copies lie apart from the pictures, and that nothing takes the place of a file that is read.

    Raises:
        SettingError: something would.
    """
    output = done.config.output_dir
    originals = {one.source.resolve() for one in done.wanted}
    inside = next((one for one in originals if one.is_relative_to(output.resolve())), None)
    if inside is not None:
        raise SettingError(
            f"--output-dir {output}: {inside} lies in it, which stays as it is; name a folder without any of the pictures"
        )
    for name in (*(one.file for one in done.wanted), TABLE_NAME, REJECTS_NAME):
        target = output / name
        # A folder in the output may be a link to where the pictures are.
        if target.parent.resolve() / target.name in originals | {done.config.path.resolve()}:
            raise SettingError(f"--output-dir {output}: {name} in it is a file that is read; name another folder")


def _copied(done: SerialsSet) -> Iterator[Sequence[object]]:
    """Makes the copies, yields a row per copy that is there, and keeps what cannot be copied as rejects."""
    config = done.config
    copy = functools.partial(_copy, config.output_dir, overwrite=config.overwrite)
    results = map_in_threads(copy, done.wanted, workers=config.workers)
    for one in track(results, total=len(done.wanted), description="Copying", unit="pictures"):
        if isinstance(one, Reject):
            done.rejects.append(one)
            continue
        done.made[one.status] += 1
        done.same += one.was == one.wanted.serial
        yield one.wanted.file, one.wanted.source, one.wanted.serial, one.was or UNKNOWN


def _copy(output: Path, wanted: _Wanted, *, overwrite: bool) -> _Made | Reject:
    """Makes one copy, or says why there is none.

    Raises:
        OSError: it cannot be written.
    """
    item = f"line {wanted.row}"
    try:
        with open_picture(wanted.source) as file:
            about = os.fstat(file.fileno())
            if about.st_size > MOST_BYTES:
                raise PictureError("too_large", f"has more than {MOST_BYTES:,} bytes")
            data = file.read()
        was = camera_facts(data).serial_number
        changed = data if was == wanted.serial else with_serial_number(data, wanted.serial)
    except PictureError as err:
        return Reject("", item, "picture", err.reason, f"{wanted.source}: {err.detail}")
    target = output / wanted.file
    if target.is_symlink() or target.exists():
        if target.is_file() and target.stat().st_size == len(changed) and target.read_bytes() == changed:
            return _Made(wanted, was, "kept")
        if not overwrite or target.is_dir():
            return Reject("", item, "picture", "other_file", f"{target} is there with other bytes; --overwrite replaces it")
    with atomic_file(target) as file:
        file.write(changed)
        file.flush()
        os.utime(file.fileno(), ns=(about.st_atime_ns, about.st_mtime_ns))
    return _Made(wanted, was, "written")
