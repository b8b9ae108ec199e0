"""A set of shards, indexed by record: where each one lies, so that any can be read without those before it.

Receives folders and split names; hands on records by number. Shards with a manifest (`dataset.json`) bring offsets and
counts along; older ones are gone through once. The index takes 12 bytes a record, whatever the pictures weigh.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Self, TypeVar

import numpy as np

from camtrap_tf.dataset.discovery import MANIFEST_NAME, find_shards
from camtrap_tf.dataset.framing import FOOTER_BYTES, masked_crc, read_records, scan_offsets
from camtrap_tf.dataset.manifest import DatasetManifest, ShardInfo
from camtrap_tf.dataset.schema import Example, decode_example, decode_meta, decode_observations
from camtrap_tf.errors import DatasetError, LabelError, suggestion
from camtrap_tf.files import digest_of, sha256_file
from camtrap_tf.images.stored_form import StoredForm
from camtrap_tf.labels import LabelMapping
from camtrap_tf.logs import logger
from camtrap_tf.records import MISSING

LOG = logger(__name__)
OPEN_FILES = 256
"""Shards that are kept open; those beyond are opened for each read."""

Counts = dict[str, dict[str, int]]
Fact = TypeVar("Fact")


@dataclass(frozen=True)
class _Shard:
    """One shard file and what is known about it.

    Attributes:
        path: the file.
        offsets: where payloads start, uint64 `[N]`.
        lengths: of the payloads in bytes, uint32 `[N]`.
        manifest: of its folder, where that has one.
        info: what the manifest says about it.
    """

    path: Path
    offsets: np.ndarray
    lengths: np.ndarray
    manifest: DatasetManifest | None
    info: ShardInfo | None


@dataclass(frozen=True)
class _Contents:
    """What going through a shard showed.

    Attributes:
        counts: label type → class of the first observation → records; missing under `"-1"`.
        frames: pictures per record, uint16 `[N]`.
        unreadable: records that are none.
    """

    counts: Counts
    frames: np.ndarray
    unreadable: int


@dataclass(frozen=True, eq=False)
class ShardSet:
    """Records in shards, by number from 0, in the order of the sorted shard files.

    Attributes:
        shards: the files, in order.
        stored_form: how pictures are kept. Where datasets were merged that differ in it: the first one's, with a warning;
            None where no shard has a manifest.
    """

    _shards: tuple[_Shard, ...]
    stored_form: StoredForm | None
    _ends: np.ndarray = field(repr=False)
    _files: dict[int, int] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _scanned: dict[int, _Contents] = field(default_factory=dict, repr=False)

    @classmethod
    def open(
        cls, paths: Sequence[Path], patterns: Sequence[str], *, substring: bool = False, flag: str = "--train-tfr-path"
    ) -> Self:
        """Finds and indexes shards.

        Args:
            paths: folders, searched with their sub-folders, or shard files.
            patterns: split names; all shards where there are none.
            substring: patterns are parts of file names instead.
            flag: the flag that the paths came from, for messages.

        Raises:
            SettingError: nothing matches.
            DatasetError: a shard is damaged, is not the one its manifest lists, or there is no record at all.
        """
        manifests: dict[Path, DatasetManifest | None] = {}
        shards = []
        for path in find_shards(paths, patterns, substring=substring, flag=flag):
            if path.parent not in manifests:
                has_one = (path.parent / MANIFEST_NAME).is_file()
                manifests[path.parent] = DatasetManifest.read(path.parent) if has_one else None
            shards.append(_indexed(path, manifests[path.parent]))
        if not sum(len(shard.offsets) for shard in shards):
            raise DatasetError(f"{flag} {' '.join(map(str, paths))}: the shards hold no record; build the dataset again")
        ends = np.cumsum([len(shard.offsets) for shard in shards])
        return cls(tuple(_slim(shards)), _common_form(shards), ends)

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def shards(self) -> tuple[Path, ...]:
        """The shard files, in order."""
        return tuple(shard.path for shard in self._shards)

    @property
    def shard_sizes(self) -> tuple[int, ...]:
        """Number of records of each shard."""
        return tuple(len(shard.offsets) for shard in self._shards)

    @cached_property
    def digest(self) -> str:
        """Digest of names and contents of the shards, wherever they lie."""
        return digest_of(
            [[shard.path.name, shard.info.sha256 if shard.info else sha256_file(shard.path)] for shard in self._shards]
        )

    def states(self) -> list[list[int]]:
        """Returns size in bytes and time of change in ns of each shard, in order, for `changed`."""
        return [[status.st_size, status.st_mtime_ns] for status in (path.stat() for path in self.shards)]

    def changed(self, before: Sequence[Sequence[int]]) -> Iterator[Path]:
        """Yields the shards that are not what their manifest says, of those whose size or time is not as before.

        Shards without a manifest are left out: `digest` looks at their contents.

        Args:
            before: what `states` said; empty: all shards are read.
        """
        known = list(before) if len(before) == len(self._shards) else [()] * len(self._shards)
        suspects = [
            shard for shard, old, new in zip(self._shards, known, self.states(), strict=True) if shard.info and list(old) != new
        ]
        if suspects:
            LOG.info("shards with another time than when this training began: %d; reading them to compare", len(suspects))
        for shard in suspects:
            assert shard.info is not None
            if sha256_file(shard.path) != shard.info.sha256:
                yield shard.path

    @cached_property
    def label_types(self) -> tuple[str, ...]:
        """Label types that any of the shards has, by name."""
        names: set[str] = set()
        for number, shard in enumerate(self._shards):
            names.update(shard.manifest.label_types if shard.info and shard.manifest else self._contents(number).counts)
        return tuple(sorted(names))

    @property
    def image_count(self) -> int:
        """Number of pictures in all records."""
        return sum(
            shard.info.images if shard.info else int(self._contents(number).frames.sum())
            for number, shard in enumerate(self._shards)
        )

    def require_labels(self, labels: Iterable[str]) -> None:
        """Makes sure that the shards have these label types.

        Raises:
            LabelError: they lack one; lists those that are there.
        """
        for label in labels:
            if label not in self.label_types:
                raise LabelError(
                    f"--labels {label}: the shards have no such label type{suggestion(label, self.label_types)} "
                    f"(there: {', '.join(self.label_types) or 'none'})"
                )

    def label_counts(self, labels: Iterable[str] | None = None) -> Counts:
        """Returns label type → class → records, by first observations; missing ones under `"-1"`.

        Counts come from manifests where whole splits are read; other shards are gone through, once.

        Args:
            labels: label types; all where not given.

        Raises:
            LabelError: the shards lack one.
        """
        wanted = self.label_types if labels is None else tuple(labels)
        self.require_labels(wanted)
        totals: Counts = {label: {} for label in wanted}
        for counts, records in self._parts():
            for label in wanted:
                for name, count in (counts.get(label) or {MISSING: records}).items():
                    totals[label][name] = totals[label].get(name, 0) + count
        return {label: dict(sorted(classes.items())) for label, classes in totals.items()}

    def unknown_classes(self, mapping: LabelMapping, blanks: Mapping[str, Sequence[str]] | None = None) -> Counts:
        """Returns the classes that a mapping does not know: label type → class → records. They train as missing ones.

        Args:
            mapping: the classes that are known.
            blanks: label type → classes that mean nothing is there, known too.

        Raises:
            LabelError: the shards lack a label type of the mapping, or no class of one is known to it.
        """
        unknown: Counts = {}
        for label, classes in self.label_counts(mapping.label_types).items():
            present = {name: count for name, count in classes.items() if name != MISSING}
            named = {*mapping.classes[label], *(blanks or {}).get(label, ())}
            strange = {name: count for name, count in present.items() if name not in named}
            if len(strange) == len(present):
                found = ", ".join(list(present)[:8]) or "no class at all"
                raise LabelError(
                    f"label {label!r}: the label mapping knows none of the classes in the shards ({found}); "
                    "give the mapping that belongs to them with --class-mapping-json"
                )
            if strange:
                unknown[label] = strange
        return unknown

    def frame_counts(self) -> np.ndarray:
        """Returns the number of pictures of each record, uint16 `[N]`; from manifests where each record has one."""
        parts = []
        for number, shard in enumerate(self._shards):
            single = shard.info is not None and shard.info.images == shard.info.records
            parts.append(np.ones(len(shard.offsets), np.uint16) if single else self._contents(number).frames)
        return np.concatenate(parts)

    def read(self, index: int) -> bytes:
        """Returns the bytes of a record.

        Raises:
            DatasetError: they do not match their checksum, or the shard cannot be read.
        """
        data = self.read_many([index])[0]
        if not data:
            number = int(np.searchsorted(self._ends, index, "right"))
            raise DatasetError(f"{self._shards[number].path}: record {index} is damaged; copy the shard again")
        return data

    def example(self, index: int) -> Example:
        """Returns a record in full: id, pictures, labels, meta data."""
        return decode_example(self.read(index))

    def observations(self, label: str) -> Iterator[tuple[str, ...]]:
        """Yields the classes of a label type of each record, by observation; of the pictures nothing is read.

        Raises:
            DatasetError: a shard cannot be read any more.
        """
        return self._facts(lambda record: decode_observations(record, label), (), "they count as missing")

    def meta_data(self) -> Iterator[Mapping[str, str]]:
        """Yields the meta data of each record; of the pictures nothing is read.

        Raises:
            DatasetError: a shard cannot be read any more.
        """
        return self._facts(decode_meta, {}, "they count as having no meta data")

    def _facts(self, decode: Callable[[memoryview], Fact], absent: Fact, told: str) -> Iterator[Fact]:
        """Yields what a function finds in each record, or something else where a record is none."""
        unreadable = 0
        for shard in self._shards:
            try:
                with shard.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                    for offset, length in zip(shard.offsets.tolist(), shard.lengths.tolist(), strict=True):
                        with memoryview(mapped)[offset : offset + length] as record:
                            try:
                                found = decode(record)
                            except DatasetError:
                                found, unreadable = absent, unreadable + 1
                        yield found
            except OSError as err:
                raise DatasetError(f"{shard.path}: cannot be read ({err.strerror}); are the shards still there?") from err
        if unreadable:
            LOG.warning("%d of %d records are unreadable; %s", unreadable, len(self), told)

    def read_many(self, indices: Sequence[int] | np.ndarray) -> list[bytes]:
        """Returns the bytes of records, in the order asked for; empty where they do not match their checksum.

        Any number of threads may call this at the same time.

        Raises:
            DatasetError: a shard cannot be read any more.
        """
        numbers = np.searchsorted(self._ends, indices, "right")
        return [self._read(int(number), int(index)) for number, index in zip(numbers, indices, strict=True)]

    def _read(self, number: int, index: int) -> bytes:
        shard = self._shards[number]
        position = index - (int(self._ends[number]) - len(shard.offsets))
        length = int(shard.lengths[position])
        file, keep = self._file(number)
        try:
            data = os.pread(file, length + FOOTER_BYTES, int(shard.offsets[position]))
        except OSError as err:
            raise DatasetError(f"{shard.path}: cannot be read ({err.strerror}); are the shards still there?") from err
        finally:
            if not keep:
                os.close(file)
        payload = data[:length]
        sound = len(data) == length + FOOTER_BYTES and struct.unpack("<I", data[length:])[0] == masked_crc(payload)
        return payload if sound else b""

    def _file(self, number: int) -> tuple[int, bool]:
        """Returns the file descriptor of a shard, and whether it stays open."""
        file = self._files.get(number)
        if file is not None:
            return file, True
        with self._lock:
            if number in self._files:
                return self._files[number], True
            path = self._shards[number].path
            try:
                file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as err:
                raise DatasetError(f"{path}: cannot be read ({err.strerror}); are the shards still there?") from err
            if len(self._files) >= OPEN_FILES:
                return file, False
            self._files[number] = file
            return file, True

    def __del__(self) -> None:
        for file in getattr(self, "_files", {}).values():
            os.close(file)

    def _parts(self) -> Iterable[tuple[Mapping[str, Mapping[str, int]], int]]:
        """Yields counts and number of records of the parts of the set: whole splits of manifests, else single shards."""
        by_split: dict[tuple[Path, str], list[int]] = {}
        for number, shard in enumerate(self._shards):
            if shard.info is None:
                yield self._contents(number).counts, len(shard.offsets)
            else:
                by_split.setdefault((shard.path.parent, shard.info.split), []).append(number)
        for (_, split), numbers in by_split.items():
            manifest = self._shards[numbers[0]].manifest
            assert manifest is not None  # a shard with info has one
            if len(numbers) == sum(info.split == split for info in manifest.shards):
                counts = manifest.splits[split]
                labels = {
                    name: {**counts.labels.get(name, {}), **_absent(counts.missing.get(name, 0))}
                    for name in manifest.label_types
                }
                yield labels, counts.records
            else:
                for number in numbers:
                    yield self._contents(number).counts, len(self._shards[number].offsets)

    def _contents(self, number: int) -> _Contents:
        """Goes through a shard, the first time it is asked about."""
        if number not in self._scanned:
            shard = self._shards[number]
            self._scanned[number] = contents = _scan(shard.path, len(shard.offsets))
            if contents.unreadable:
                LOG.warning("%s: %d of %d records are unreadable", shard.path, contents.unreadable, len(shard.offsets))
        return self._scanned[number]


def _absent(count: int) -> dict[str, int]:
    return {MISSING: count} if count else {}


def _indexed(path: Path, manifest: DatasetManifest | None) -> _Shard:
    info = manifest.shard(path.name) if manifest else None
    if info is None:
        if manifest is not None:
            LOG.warning("%s: not listed in %s beside it; read as a shard without one", path, MANIFEST_NAME)
        offsets, lengths = scan_offsets(path)
    else:
        size = path.stat().st_size
        if size != info.bytes:
            raise DatasetError(
                f"{path}: {size} bytes, {MANIFEST_NAME} beside it says {info.bytes}; copy it again, or build the dataset again"
            )
        offsets, lengths = info.payloads()
    return _Shard(path, offsets, lengths.astype(np.uint32), manifest, info)


def _slim(shards: Sequence[_Shard]) -> Iterator[_Shard]:
    """Yields shards whose manifests hold no offsets any more: the index has them."""
    slim: dict[int, DatasetManifest] = {}
    for shard in shards:
        if shard.manifest is None:
            yield shard
            continue
        if id(shard.manifest) not in slim:
            infos = tuple(replace(info, offsets=array("Q")) for info in shard.manifest.shards)
            slim[id(shard.manifest)] = replace(shard.manifest, shards=infos)
        info = None if shard.info is None else replace(shard.info, offsets=array("Q"))
        yield replace(shard, manifest=slim[id(shard.manifest)], info=info)


def _common_form(shards: Iterable[_Shard]) -> StoredForm | None:
    forms = list(dict.fromkeys(shard.manifest.stored_form for shard in shards if shard.info and shard.manifest))
    if len(forms) > 1:
        LOG.warning("pictures are stored in %d different forms; prediction will use the first: %s", len(forms), forms[0])
    return forms[0] if forms else None


def _scan(path: Path, records: int) -> _Contents:
    counts: Counts = {}
    frames = np.zeros(records, np.uint16)
    unreadable = 0
    for position, data in enumerate(read_records(path, verify=False)):
        try:
            example = decode_example(data)
        except DatasetError:
            unreadable += 1
            continue
        frames[position] = len(example.images)
        for label, values in example.labels.items():
            name = values[0] if values else MISSING
            classes = counts.setdefault(label, {})
            classes[name] = classes.get(name, 0) + 1
    for classes in counts.values():
        seen = sum(classes.values())
        if seen < records:
            classes[MISSING] = classes.get(MISSING, 0) + records - seen
    return _Contents(counts, frames, unreadable)
