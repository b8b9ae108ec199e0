"""Pictures in one folder per class: the folder's name is the class, under the label type `class`."""

from __future__ import annotations

import collections
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from camtrap_tf.config.names import PICTURE_SUFFIXES
from camtrap_tf.errors import SourceError
from camtrap_tf.files import path_hint, printable
from camtrap_tf.records import CaptureEvent, Media, Observation, Reject

LABEL = "class"


class FolderSource:
    """Reads a record per picture. Paths in the records begin with the path of the root as it was given.

    Attributes:
        read: files seen so far.
        notes: sentences for the log, complete once `records` is exhausted.
    """

    unit = "files"

    def __init__(self, path: Path, *, nested: bool = False) -> None:
        """Checks the root.

        Args:
            path: folder with a sub-folder per class.
            nested: look into folders below the class folders too.

        Raises:
            SourceError: it is no folder, or has no sub-folder.
        """
        if not path.is_dir():
            raise SourceError(f"{path}: no such folder{path_hint(path)}")
        self.path = path
        self.nested = nested
        self.read = 0
        self.notes: list[str] = []
        try:
            entries = sorted(path.iterdir())
        except OSError as err:
            raise SourceError(f"{path}: cannot be read: {err.strerror}") from err
        self._classes = [entry for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
        self._loose = [entry for entry in entries if not entry.is_dir()]
        if not self._classes:
            raise SourceError(f"{path}: has no sub-folders; pictures go in one folder per class")

    def records(self) -> Iterator[CaptureEvent | Reject]:
        """Yields a record per picture, class by class in the order of their names, and every other file."""
        for file in self._loose:
            self.read += 1
            yield _reject(file.name, "no_class", "lies beside the class folders, not in one")
        for folder in self._classes:
            name = folder.name
            pictures, count = [], self.read
            for relative in self._files(folder):
                self.read += 1
                reject = _problem(name, relative, nested=self.nested)
                if reject is None:
                    pictures.append(relative)
                else:
                    yield reject
            if not pictures:
                self.notes.append(f"folder {printable(name)!r} has no usable picture among {self.read - count} files")
            for record_id, relative in zip(unique_ids(name, pictures), pictures, strict=True):
                picture = Media(path=str(folder / relative))
                yield CaptureEvent(event_id=record_id, media=(picture,), observations=(Observation(labels={LABEL: name}),))

    def _files(self, folder: Path) -> Iterator[PurePosixPath]:
        """Yields the files below a folder, sorted, by their path from it. Links are followed, each folder once."""
        entered: set[str] = set()
        for place, below, names in os.walk(folder, followlinks=True):
            real = os.path.realpath(place)
            below[:] = [] if real in entered else sorted(below)
            for name in [] if real in entered else sorted(names):
                yield PurePosixPath(Path(place, name).relative_to(folder).as_posix())
            entered.add(real)


def _problem(class_name: str, relative: PurePosixPath, *, nested: bool) -> Reject | None:
    item = f"{class_name}/{relative}"
    if printable(item) != item:
        return _reject(item, "not_utf8", "its name is not UTF-8; rename it")
    if relative.name.startswith(".") or relative.suffix.lower() not in PICTURE_SUFFIXES:
        return _reject(item, "not_a_picture", f"its name does not end in one of {' '.join(PICTURE_SUFFIXES)}")
    if len(relative.parts) > 1 and not nested:
        return _reject(item, "nested", "lies in a folder below the class folder; --nested reads it too")
    return None


def _reject(item: str, reason: str, detail: str) -> Reject:
    return Reject("", printable(item), "picture", reason, detail)


def unique_ids(class_name: str, pictures: list[PurePosixPath]) -> list[str]:
    """Returns an id per picture: `<class>#<path without suffix>`, with the suffix where two would be the same.

    Args:
        class_name: name of the class folder.
        pictures: paths from it, all different.
    """
    names = [str(picture.with_suffix("")) for picture in pictures]
    while True:
        counts = collections.Counter(names)
        longer = [str(path) if counts[name] > 1 else name for name, path in zip(names, pictures, strict=True)]
        if longer == names:
            return [f"{class_name}#{name}" for name in names]
        names = longer
