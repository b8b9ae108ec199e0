"""Which of a source's pictures can be used: paths, files, times. Receives picture tables, hands on those that stand."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from camtrap_tf.config.picture_sources import PictureSourceConfig
from camtrap_tf.detections.megadetector import VIDEO_SUFFIXES
from camtrap_tf.errors import counted
from camtrap_tf.files import join_inside, require_folder
from camtrap_tf.records import Reject
from camtrap_tf.sources.picture_files import file_problems, find_folder, is_example_path
from camtrap_tf.sources.picture_tables import (
    NO_PICTURE,
    PICTURES,
    VIDEO,
    Flags,
    PictureTables,
    Rows,
    Tally,
    picture_reject,
)
from camtrap_tf.sources.picture_times import exif_times, parse_times

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
FUTURE_S = 86_400.0
"""Clocks of other time zones may be this far ahead, in s."""

REMOTE = "remote, not fetched"
AS_VIDEO = "left out as video"
NOT_OBSERVED = "no_usable_observation"
"""Reason code of pictures all of whose observations were rejected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedPictures:
    """The pictures of a source that can be used, and their observations.

    Attributes:
        pictures: as in `PictureTables`, with `path` relative to the image root and `time` as ISO 8601 text.
        seen: observations of these pictures, and those of events as a whole.
        seconds: `[pictures]` when each was taken, in s since 1970; NaN where unknown.
        rejects: all that were rejected.
        remote: item, id and URL of pictures that are elsewhere.
        picture_tally: what became of the pictures.
        seen_tally: what became of the observations; those that are used are counted later.
        notes: sentences for the log.
    """

    pictures: pa.Table
    seen: pa.Table
    seconds: npt.NDArray[np.float64]
    rejects: tuple[Reject, ...]
    remote: tuple[tuple[str, str, str], ...]
    picture_tally: Tally
    seen_tally: Tally
    notes: tuple[str, ...]


class _Findings:
    """Which pictures are out, and why; the first reason counts."""

    def __init__(self, pictures: pa.Table) -> None:
        """Begins with every picture in."""
        self.pictures = pictures
        self.out = np.zeros(len(pictures), bool)
        self.rejects: list[Reject] = []

    def reject(self, row: int, reason: str, detail: str) -> None:
        """Takes a picture out unless it is."""
        if not self.out[row]:
            self.out[row] = True
            record_id, item, path = (self.pictures[name][row].as_py() for name in ("id", "item", "path"))
            self.rejects.append(picture_reject(record_id, item, reason, f"{path!r} {detail}"))


def check_pictures(tables: PictureTables, config: PictureSourceConfig) -> CheckedPictures:
    """Looks at paths, files and times of the pictures; takes those out that cannot be used, with their observations.

    Raises:
        SettingError: the image root is no folder, or the pictures lie in several folders of it.
    """
    if config.image_root is not None:
        require_folder(config.image_root, "--image-root")
    notes = list(tables.notes)
    pictures = tables.pictures
    found = _Findings(pictures)
    remote = _check_paths(found)
    if config.image_root is not None:
        pictures = _check_files(found, remote, config.image_root, notes)
    pictures, seconds = _times(found, pictures, remote, config.image_root, notes)
    for row in np.flatnonzero(tables.lost & ~_observed(tables) & ~remote):
        found.reject(int(row), NOT_OBSERVED, f"has no {tables.seen_unit} but rejected ones")
    gone = found.out | (remote & (not config.keep_remote))
    listed = [
        (pictures["item"][i].as_py(), pictures["id"][i].as_py(), pictures["path"][i].as_py())
        for i in _rows(remote & ~found.out)
    ]
    seen, seen_tally = _seen_of(tables, gone, remote & ~found.out & (not config.keep_remote))
    picture_tally = Tally(PICTURES, tables.pictures_read, int(np.sum(~gone)))
    rejects = (*tables.rejects, *found.rejects)
    picture_tally.rejected = sum(one.unit == "picture" for one in rejects)
    picture_tally.put(AS_VIDEO, sum(one.unit == VIDEO for one in rejects))
    if not config.keep_remote:
        picture_tally.put(REMOTE, int(np.sum(remote & ~found.out)))
    return CheckedPictures(
        pictures=pictures.filter(pa.array(~gone)), seen=seen, seconds=seconds[~gone], rejects=rejects, remote=tuple(listed),
        picture_tally=picture_tally, seen_tally=seen_tally, notes=tuple(notes),
    )  # fmt: skip


def _rows(flags: Flags) -> list[int]:
    """Returns the rows that are flagged."""
    return [int(row) for row in np.flatnonzero(flags)]


def _flags(values: pa.Array | pa.ChunkedArray) -> Flags:
    """Returns a column of truth values as an array; null counts as no."""
    return np.asarray(pc.fill_null(values, False), bool)


def _observed(tables: PictureTables) -> Flags:
    """Returns which pictures have an observation, `[pictures]`."""
    found = np.zeros(len(tables.pictures) + 1, bool)
    found[np.asarray(tables.seen["picture"], np.int64)] = True
    return found[:-1]


def _check_paths(found: _Findings) -> Flags:
    """Rejects paths that cannot be pictures of ours; returns which pictures are only a URL."""
    paths = found.pictures["path"]
    remote = _flags(pc.match_substring_regex(paths, "^" + URL.pattern))
    suspect = _flags(pc.match_substring_regex(paths, r"(?i)(^|/)\.\.(/|$)|\\|\x00|^/?path/(to|from)/"))
    suspect |= _flags(pc.match_substring_regex(paths, r"(?i)\.(" + "|".join(one[1:] for one in sorted(VIDEO_SUFFIXES)) + ")$"))
    for row in _rows(suspect):
        problem = _path_problem(paths[row].as_py(), remote=bool(remote[row]))
        if problem:
            found.reject(row, *problem)
    codes = np.asarray(paths.combine_chunks().dictionary_encode().indices, np.int64)
    firsts = np.unique(codes, return_index=True)[1]
    for row in _rows(firsts[codes] != np.arange(len(codes))):
        earlier = found.pictures["item"][int(firsts[codes[row]])].as_py()
        found.reject(row, "repeated_file", f"is the file of {earlier} too")
    return remote


def _path_problem(path: str, *, remote: bool) -> tuple[str, str] | None:
    """Returns reason and detail where a path cannot be a picture of ours."""
    if PurePosixPath(path.partition("?")[0]).suffix.lower() in VIDEO_SUFFIXES:
        return VIDEO, "is a video; take its frames out as pictures first"
    if remote:
        return None
    if is_example_path(path):
        return "placeholder_path", "is a path that stands for others in documentation, no picture"
    try:
        join_inside(Path(), path)
    except ValueError as err:
        said = str(err).removeprefix("path ").removeprefix(f"{path!r} ")  # rejects begin with the path
        return "outside_root", said.replace("leads out of .", "leads out of its folder")
    return None


def _check_files(found: _Findings, remote: Flags, root: Path, notes: list[str]) -> pa.Table:
    """Rejects pictures whose files are not there; returns the pictures with paths from the root."""
    looked_for = np.flatnonzero(~remote & ~found.out)
    paths = found.pictures["path"].take(pa.array(looked_for)).to_pylist()
    prefix = find_folder(root, paths)
    if prefix:
        notes.append(f"the pictures lie in {root / prefix}; paths in the inventory begin at {root}, the --image-root")
    problems = file_problems(root / prefix, paths)
    if problems:
        for row, path in zip(looked_for.tolist(), paths, strict=True):
            if path in problems:
                found.reject(row, *problems[path])
    if not prefix:
        return found.pictures
    moved = pc.if_else(
        pa.array(~remote),
        pc.binary_join_element_wise(prefix, pc.utf8_ltrim(found.pictures["path"], "/"), ""),
        found.pictures["path"],
    )
    return found.pictures.set_column(found.pictures.column_names.index("path"), "path", moved)


def _times(
    found: _Findings, pictures: pa.Table, remote: Flags, root: Path | None, notes: list[str]
) -> tuple[pa.Table, npt.NDArray[np.float64]]:
    """Returns the pictures with times as ISO 8601 texts, and these in s; rejects pictures of the future."""
    given = pictures["time"].combine_chunks()
    iso, seconds = parse_times(given)
    unread = int(np.sum(_flags(pc.is_valid(given)) & _flags(pc.is_null(iso))))
    if unread:
        notes.append(f"{unread} times could not be read as such; those pictures have none")
    if root is not None:
        lacking = np.flatnonzero(_flags(pc.is_null(iso)) & ~remote & ~found.out)
        taken = exif_times([join_inside(root, path) for path in pictures["path"].take(pa.array(lacking)).to_pylist()])
        if any(taken):
            texts: list[str | None] = iso.to_pylist()
            for row, text in zip(lacking.tolist(), taken, strict=True):
                texts[row] = text
            iso, seconds = parse_times(pa.array(texts, pa.string()))
            read = sum(one is not None for one in taken)
            notes.append(f"{counted(read, 'time')} read from EXIF, where the source gave none")
    latest = time.time() + FUTURE_S
    for row in _rows(seconds > latest):
        found.reject(row, "future_time", f"was taken in the future: {iso[row].as_py()}; mend the camera's clock")
    return pictures.set_column(pictures.column_names.index("time"), "time", iso), seconds


def _seen_of(tables: PictureTables, gone: Flags, remote: Flags) -> tuple[pa.Table, Tally]:
    """Returns the observations of pictures that stand, pointing to their new rows, and a tally."""
    tally = Tally(tables.seen_unit, tables.seen_read, rejected=sum(one.unit == "observation" for one in tables.rejects))
    places: Rows = np.cumsum(~gone) - 1
    rows = np.asarray(tables.seen["picture"], np.int64)
    whole = rows == NO_PICTURE
    stays = whole | ~gone[rows] if len(gone) else whole
    far = ~whole & remote[rows] if len(gone) else whole & False
    tally.put("of remote pictures", int(np.sum(far)))
    tally.put("of rejected pictures", int(np.sum(~stays & ~far)) + tables.seen_of_rejected)
    seen = tables.seen.filter(pa.array(stays))
    kept = rows[stays]
    moved = np.where(kept == NO_PICTURE, NO_PICTURE, places[kept] if len(places) else kept)
    return seen.set_column(seen.column_names.index("picture"), "picture", pa.array(moved, pa.int64())), tally


def too_many(tallies: Iterable[Tally], share: float) -> Tally | None:
    """Returns the first tally of which more than `share` of the entries were rejected; None where none is."""
    return next((tally for tally in tallies if tally.read and tally.rejected > share * tally.read), None)
