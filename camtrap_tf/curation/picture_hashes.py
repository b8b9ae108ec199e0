"""Hashes of the pictures of an inventory: taken from its columns where they are there, made by worker processes otherwise.

They are kept as the meta data fields `sha256` and `phash`, one text per record: a hash per picture, in order, with spaces
between them and `-` where there is none.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from camtrap_tf.curation.split_groups import unique_pairs
from camtrap_tf.executors import available_cores, map_in_processes
from camtrap_tf.images.hashes import Fingerprint, PictureFiles, file_size, fingerprints, grey_copies
from camtrap_tf.inventory.columns import META
from camtrap_tf.inventory.table import Inventory
from camtrap_tf.progress import track

SHA256_FIELD, PHASH_FIELD = "sha256", "phash"
NO_HASH = "-"
HEX_DIGITS = {SHA256_FIELD: 64, PHASH_FIELD: 16}

PER_TASK = 32
"""Pictures that a worker process gets at a time."""

WORTH_PROCESSES = 200
"""From this many pictures on worker processes pay; starting them takes about a second."""


@dataclass(frozen=True, slots=True)
class PictureHashes:
    """The pictures of an inventory and their hashes, in the order of the inventory.

    Attributes:
        record: `[pictures]`, row of the record that each picture belongs to.
        paths: `[pictures]`, as the inventory gives them.
        rank: `[pictures]`, ascending by record id, so that the order of records does not show.
        sha256: `[pictures]`, hexadecimal; empty where there is none.
        phash: `[pictures]`, hexadecimal; empty where there is none.
        looked_at: files that were read now; the hashes of the others were there, or were not needed.
        reused: pictures whose hashes were there.
        unusable: reason → pictures that could not be read, e.g. `missing_file`.
        wanted: files whose hashes were lacking.
        failed: those of them that could not be read.
    """

    record: npt.NDArray[np.int64]
    paths: pa.Array
    rank: npt.NDArray[np.int64]
    sha256: npt.NDArray[np.bytes_]
    phash: npt.NDArray[np.bytes_]
    looked_at: int
    reused: int
    unusable: dict[str, int]
    wanted: int = 0
    failed: int = 0

    @property
    def nothing_read(self) -> bool:
        """Whether there is no picture to compare: no file could be read, and no hash was there."""
        return 0 < self.failed == self.wanted and not self.reused

    def field(self, hashes: npt.NDArray[np.bytes_], records: int) -> list[str | None]:
        """Returns the text of each record for one of the two columns; None where none of its pictures could be read."""
        texts = [one.decode() or NO_HASH for one in hashes.tolist()]
        readable = np.bincount(self.record[self.sha256 != b""], minlength=records) > 0
        ends = np.searchsorted(self.record, np.arange(records + 1)).tolist()
        bounds = zip(readable.tolist(), itertools.pairwise(ends), strict=True)
        return [" ".join(texts[start:end]) if some else None for some, (start, end) in bounds]


def hash_pictures(
    inventory: Inventory,
    *,
    root: Path | None,
    perceptual: bool,
    read_files: bool = True,
    only_shared_sizes: npt.NDArray[np.int64] | None = None,
    max_pixels: int = 100_000_000,
    workers: int | None = None,
) -> PictureHashes:
    """Returns the hashes of all pictures; those that the inventory has already are not made again.

    A path is read once, however many records name it. A picture that cannot be read has no hash and is counted.

    Args:
        inventory: the records.
        root: folder that picture paths are relative to.
        perceptual: whether perceptual hashes are wanted too.
        read_files: whether pictures without hashes are read at all.
        only_shared_sizes: `[records]`, group of each record; files whose size occurs in one group only are not read, as
            they cannot be the same as one in another group. None: every file is read.
        max_pixels: larger pictures get no perceptual hash.
        workers: worker processes.
    """
    images = inventory.table["images"].combine_chunks()
    paths = images.flatten()
    record = np.repeat(np.arange(len(inventory)), np.asarray(pc.list_value_length(images), np.int64))
    sha256 = _known(inventory, SHA256_FIELD, record)
    phash = _known(inventory, PHASH_FIELD, record)
    todo = (sha256 == b"") if not perceptual else (sha256 == b"") | ((phash == b"") & ~_tried(inventory, record))
    reused = int((~todo).sum())
    unusable: collections.Counter[str] = collections.Counter()
    looked_at = lacking = failed = 0
    if read_files and todo.any():
        codes = paths.dictionary_encode()
        names, code = codes.dictionary.to_pylist(), np.asarray(codes.indices, np.int64)
        wanted = np.unique(code[todo])
        lacking = len(wanted)
        found: dict[int, Fingerprint] = {}
        if only_shared_sizes is not None and not perceptual:
            shared, absent = _sharing_size(names, code, only_shared_sizes[record], root)
            found = dict.fromkeys(wanted[absent[wanted]].tolist(), Fingerprint(reason="missing_file"))
            wanted = wanted[shared[wanted]]
        chosen = [names[one] for one in wanted.tolist()]
        made = _made(chosen, root, perceptual=perceptual, max_pixels=max_pixels, workers=workers)
        found |= dict(zip(wanted.tolist(), made, strict=True))
        looked_at = sum(one.sha256 is not None for one in found.values())
        failed = len(found) - looked_at
        for place in np.flatnonzero(todo & np.isin(code, list(found))).tolist():
            fingerprint = found[int(code[place])]
            sha256[place] = (fingerprint.sha256 or "").encode()
            phash[place] = (fingerprint.phash or "").encode()
            if fingerprint.reason:
                unusable[fingerprint.reason] += 1
    rank = np.argsort(np.asarray(pc.sort_indices(inventory.table["id"]), np.int64))[record]
    return PictureHashes(record, paths, rank, sha256, phash, looked_at, reused, dict(unusable), lacking, failed)


def _known(inventory: Inventory, field: str, record: npt.NDArray[np.int64]) -> npt.NDArray[np.bytes_]:
    """Returns the hashes that an inventory holds, `[pictures]`; empty where it has none that fits its pictures."""
    digits = HEX_DIGITS[field]
    known = np.zeros(len(record), f"S{digits}")
    if field not in inventory.meta_fields:
        return known
    starts = np.searchsorted(record, np.arange(len(inventory) + 1)).tolist()
    for row, text in enumerate(inventory.table[META + field].to_pylist()):
        parts = (text or "").lower().split()
        if len(parts) == starts[row + 1] - starts[row] and all(_is_hash(part, digits) for part in parts):
            known[starts[row] : starts[row + 1]] = [b"" if part == NO_HASH else part.encode() for part in parts]
    return known


def _is_hash(text: str, digits: int) -> bool:
    return text == NO_HASH or (len(text) == digits and not set(text) - set("0123456789abcdef"))


def _tried(inventory: Inventory, record: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Returns for which pictures a perceptual hash was asked before, `[pictures]`: pictures that show nothing have none."""
    if PHASH_FIELD not in inventory.meta_fields:
        return np.zeros(len(record), bool)
    tried = np.asarray(pc.is_valid(inventory.table[META + PHASH_FIELD]), bool)
    return np.asarray(tried[record], bool)


def _sharing_size(
    names: Sequence[str], code: npt.NDArray[np.int64], groups: npt.NDArray[np.int64], root: Path | None
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Returns whether a file's size occurs in several groups, and whether it is absent, each `[files]`.

    Args:
        names: the files.
        code: `[pictures]`, number of the file of each picture.
        groups: `[pictures]`, group of each picture.
        root: folder that the names are relative to.
    """
    sizes = np.fromiter((file_size(root, name) for name in names), np.int64, len(names))
    found, groups_of = np.unique(unique_pairs(sizes[code] + 1, groups)[0] - 1, return_counts=True)
    return np.isin(sizes, found[(groups_of > 1) & (found >= 0)]), sizes < 0


def _tasks(paths: Sequence[str], root: Path | None, *, perceptual: bool, max_pixels: int) -> Iterator[PictureFiles]:
    for start in range(0, len(paths), PER_TASK):
        yield PictureFiles(root, tuple(paths[start : start + PER_TASK]), perceptual, max_pixels)


def _workers(paths: int, workers: int | None) -> int:
    return 1 if paths < WORTH_PROCESSES else (workers or available_cores())


def _made(
    paths: Sequence[str], root: Path | None, *, perceptual: bool, max_pixels: int, workers: int | None
) -> list[Fingerprint]:
    tasks = _tasks(paths, root, perceptual=perceptual, max_pixels=max_pixels)
    with closing(map_in_processes(fingerprints, tasks, workers=_workers(len(paths), workers))) as results:
        found: Iterable[Fingerprint] = itertools.chain.from_iterable(results)
        return list(track(found, total=len(paths), description="Hashing pictures", unit="pictures"))


def small_copies(
    paths: Sequence[str], *, root: Path | None, max_pixels: int, workers: int | None
) -> list[npt.NDArray[np.uint8] | None]:
    """Returns the grey copy of each picture, `[32, 32]`; None where it cannot be read.

    Args:
        paths: pictures, as the inventory gives them.
        root: folder that they are relative to.
        max_pixels: larger ones are not decoded.
        workers: worker processes.
    """
    tasks = _tasks(paths, root, perceptual=True, max_pixels=max_pixels)
    with closing(map_in_processes(grey_copies, tasks, workers=_workers(len(paths), workers))) as results:
        copies = itertools.chain.from_iterable(results)
        return list(track(copies, total=len(paths), description="Comparing pictures", unit="pictures"))
