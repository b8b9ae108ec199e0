"""Where the pictures to predict come from: a folder that is searched through, or a table with one or more rows per record."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from camtrap_tf.config.delivery import PredictConfig
from camtrap_tf.config.names import PICTURE_SUFFIXES
from camtrap_tf.curation.cropping import own_files
from camtrap_tf.errors import SettingError, SourceError, suggestion
from camtrap_tf.files import join_inside, path_hint, require_folder
from camtrap_tf.logs import logger
from camtrap_tf.prediction.box_source import BoxSource
from camtrap_tf.prediction.class_columns import CLASS_COLUMNS
from camtrap_tf.prediction.results import Capture
from camtrap_tf.rejects import rejects_path

NO_PICTURE_NAME = ("not_a_picture", f"its name does not end in one of {' '.join(PICTURE_SUFFIXES)}")
"""Why a file is passed over."""
LOG = logger(__name__)


@dataclass
class PictureFolder:
    """The files of a folder and everything below it, one record each; its id is its path.

    A file whose name does not end as a picture's is passed over: it is a record without pictures, unless `pictures_only`.
    Tables and logs that `camtrap crop` leaves beside crops are not looked at.

    Folders are searched in the order of their names while the pictures are used, so a large tree costs no memory.

    Attributes:
        folder: where to look.
        pictures_only: whether files that are passed over are no records, but only counted.
        own: files that are being written there, and are not looked at.
        skipped: file name ending → how many files were passed over; filled while `captures` runs.
        unreadable: folders that could not be looked into; filled likewise.
    """

    folder: Path
    pictures_only: bool = False
    own: tuple[Path, ...] = ()
    meta_fields: tuple[str, ...] = ()
    skipped: Counter[str] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Makes sure that there is a picture.

        Raises:
            SettingError: no such folder, or no picture in it.
        """
        require_folder(self.folder, "--image-dir")
        if not any(capture.paths for capture in self.captures()):
            raise SettingError(
                f"--image-dir {self.folder}: no file there or below ends in {' '.join(PICTURE_SUFFIXES)}; check the path"
            )

    def __len__(self) -> int:
        return sum(1 for _ in self.captures())

    def captures(self) -> Iterator[Capture]:
        """Yields one record per file, whether it can be read or not."""
        self.skipped.clear()
        self.unreadable.clear()
        for path in self._files():
            suffix = Path(path).suffix.lower()
            if suffix in PICTURE_SUFFIXES:
                yield Capture(path, (path,))
                continue
            self.skipped[suffix or Path(path).name] += 1
            if not self.pictures_only:
                yield Capture(path, (), passed_over=NO_PICTURE_NAME)

    def _is_own(self, path: str) -> bool:
        """Returns whether a file is being written by us, under its name or a hidden one."""
        folder, name = os.path.split(path)
        named = [own for own in self.own if name == own.name or (name.startswith(f".{own.name}.") and name.endswith(".part"))]
        return any(own.parent.resolve() == Path(folder).resolve() for own in named)

    def _files(self) -> Iterator[str]:
        """Yields the paths of all files, in the order of names."""

        def unreadable(error: OSError) -> None:
            """Remembers a folder that cannot be looked into."""
            self.unreadable.append(f"{error.filename}: {error.strerror}")

        seen: set[tuple[int, int]] = set()
        for folder, below, names in os.walk(self.folder, onerror=unreadable, followlinks=True):
            about = os.stat(folder)  # noqa: PTH116 - os.walk speaks in texts
            if (about.st_dev, about.st_ino) in seen:  # a link back to a folder that has been searched
                below.clear()
                continue
            seen.add((about.st_dev, about.st_ino))
            below.sort()
            for name in sorted(set(names) - own_files(Path(folder), names)):
                path = os.path.normpath(os.path.join(folder, name))  # noqa: PTH118 - must stay as the user spelt it
                if not self._is_own(path):
                    yield path


@dataclass
class PictureTable:
    """The records of a CSV table with a header.

    Rows with one id are one record: their pictures are put together in the order of the rows, a picture that is
    named again counts once. Further columns are meta data; of rows that disagree the first non-empty value holds.

    Attributes:
        path: the table.
        id_column: column with the id.
        image_columns: columns with picture paths.
        root: folder that picture paths are relative to.
    """

    path: Path
    id_column: str
    image_columns: tuple[str, ...]
    root: Path | None = None
    meta_fields: tuple[str, ...] = ()
    disagreements: int = 0
    _records: dict[str, tuple[dict[str, None], list[str]]] = field(default_factory=dict)

    def check(self) -> None:
        """Reads the table.

        Raises:
            SourceError: it cannot be read, or has no row.
            SettingError: a column or the root folder does not exist.
        """
        if self.root is not None:
            require_folder(self.root, "--csv-images-root-path")
        try:
            with self.path.open(newline="", encoding="utf-8-sig") as file:
                self._read(csv.reader(file, strict=True))
        except FileNotFoundError as err:
            raise SourceError(f"--csv-path {self.path}: no such file{path_hint(self.path)}") from err
        except (OSError, UnicodeDecodeError, csv.Error) as err:
            raise SourceError(f"--csv-path {self.path}: cannot be read as CSV in UTF-8: {err}") from err
        if not self._records:
            raise SourceError(f"--csv-path {self.path}: the table has a header and no row; nothing to predict")
        if self.disagreements:
            LOG.warning("%s: %d meta data cells differ from an earlier row of the same id; the first holds",
                        self.path, self.disagreements)  # fmt: skip

    def __len__(self) -> int:
        return len(self._records)

    def captures(self) -> Iterator[Capture]:
        """Yields the records in the order in which their ids first occur."""
        root = None if self.root == Path() else self.root  # "" as a root means none: absolute paths stay what they are
        for record_id, (stored, meta) in self._records.items():
            paths: dict[str, None] = {}
            problems: dict[str, tuple[str, str]] = {}
            for name in stored:
                try:
                    paths[str(join_inside(root, name))] = None
                except ValueError as err:
                    paths[name] = None
                    problems[name] = ("outside_root", str(err))
            yield Capture(record_id, tuple(paths), problems, dict(zip(self.meta_fields, meta, strict=True)))

    def _read(self, rows: Iterator[list[str]]) -> None:
        header = next(rows, [])
        self._check_header(header)
        id_at = header.index(self.id_column)
        images_at = [header.index(name) for name in self.image_columns]
        meta_at = [i for i in range(len(header)) if i != id_at and i not in images_at]
        self.meta_fields = tuple(header[i] for i in meta_at)
        self._records.clear()
        for line, row in enumerate(rows, start=2):
            if not row:
                continue
            if len(row) != len(header):
                raise SourceError(
                    f"--csv-path {self.path}: row {line} has {len(row)} cells, the header {len(header)}; mend the table"
                )
            record_id = row[id_at] or f"(no {self.id_column} in row {line})"
            self._add(record_id, [row[i] for i in images_at], [row[i] for i in meta_at])

    def _add(self, record_id: str, images: list[str], meta: list[str]) -> None:
        pictures, known = self._records.setdefault(record_id, ({}, list(meta)))
        pictures.update(dict.fromkeys(name for name in images if name.strip()))
        for i, value in enumerate(meta):
            if not known[i]:
                known[i] = value
            elif value not in ("", known[i]):
                self.disagreements += 1

    def _check_header(self, header: list[str]) -> None:
        for flag, names in (("--csv-id-col", (self.id_column,)), ("--csv-images-cols", self.image_columns)):
            for name in names:
                if name not in header:
                    raise SettingError(f"{flag} {name}: {self.path} has no such column{suggestion(name, header)}")
        twice = [name for name, count in Counter(header).items() if count > 1]
        if twice:
            raise SourceError(f"--csv-path {self.path}: the header names {twice[0]!r} twice; give every column its own name")


def open_source(config: PredictConfig) -> PictureFolder | PictureTable | BoxSource:
    """Returns the checked source that the settings name.

    Raises:
        SettingError: a folder, column or picture that is asked for is not there.
        SourceError: the table cannot be read.
    """
    source: PictureFolder | PictureTable | BoxSource
    if config.detections is not None:
        source = BoxSource(config)
    elif config.image_dir is not None:
        own = (config.results_file, rejects_path(config.results_file))
        pictures_only = config.legacy_format or config.export_file_type == CLASS_COLUMNS
        source = PictureFolder(config.image_dir, pictures_only=pictures_only, own=own)
    else:
        assert config.csv_path is not None  # PredictConfig has seen to it
        assert config.csv_id_col is not None
        source = PictureTable(config.csv_path, config.csv_id_col, config.csv_images_cols, config.csv_images_root_path)
    source.check()
    return source
