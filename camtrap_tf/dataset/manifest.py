"""`dataset.json`: what a folder of shards holds, written last, so that a folder that has it is complete.

It names its parent (the inventory) by digest, counts records and classes split by split, and gives size, SHA-256 and
record offsets of every shard. No times, paths, worker counts or versions: equal inputs give equal bytes.
"""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from camtrap_tf.dataset.discovery import MANIFEST_NAME
from camtrap_tf.dataset.framing import FOOTER_BYTES, HEADER_BYTES
from camtrap_tf.errors import DatasetError
from camtrap_tf.files import atomic_file, json_line, read_json, sha256_file
from camtrap_tf.images.stored_form import StoredForm

SCHEMA_VERSION = 1
KIND = "dataset"
LABEL_MAPPING_NAME = "label_mapping.json"
REJECTS_NAME = "rejects.csv"


@dataclass(frozen=True, kw_only=True)
class ShardInfo:
    """One shard as the manifest knows it.

    Attributes:
        name: file name, beside the manifest.
        split: the split that its records belong to.
        records: how many records.
        images: how many pictures in them.
        bytes: size of the file.
        sha256: digest of the file, hexadecimal.
        offsets: where the payloads of the records start in the file, in bytes; typecode `Q`.
    """

    name: str
    split: str
    records: int
    images: int
    bytes: int
    sha256: str
    offsets: array[int]

    def payloads(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns offsets and lengths of the payloads, uint64 `[records]` each, as `framing.scan_offsets` does."""
        offsets = np.array(self.offsets, np.uint64)
        ends = np.append(offsets[1:] - np.uint64(HEADER_BYTES), np.uint64(self.bytes))[: len(offsets)]
        return offsets, ends - offsets - np.uint64(FOOTER_BYTES)

    def as_json(self) -> dict[str, Any]:
        """Returns a plain dictionary."""
        return {**vars(self), "offsets": list(self.offsets)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Returns the shard from what `as_json` gave."""
        return cls(**{**value, "offsets": array("Q", value["offsets"])})


@dataclass(kw_only=True)
class SplitCounts:
    """What a split holds; classes are those of first observations, the ones that are trained on.

    Attributes:
        records: records that were written.
        images: pictures in them.
        labels: label type → class → records.
        missing: label type → records that miss it; with the classes it adds up to `records`.
    """

    records: int = 0
    images: int = 0
    labels: dict[str, dict[str, int]] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)

    def add_record(self, classes: Mapping[str, str | None], *, images: int) -> None:
        """Counts one record: label type → class of its first observation, None where it is missing."""
        self.records += 1
        self.images += images
        for label, name in classes.items():
            mine = self.labels.setdefault(label, {})
            self.missing[label] = self.missing.get(label, 0) + (name is None)
            if name is not None:
                mine[name] = mine.get(name, 0) + 1

    def add(self, other: SplitCounts) -> None:
        """Adds the counts of another part of the split."""
        self.records += other.records
        self.images += other.images
        for label, classes in other.labels.items():
            mine = self.labels.setdefault(label, {})
            for name, count in classes.items():
                mine[name] = mine.get(name, 0) + count
        for label, count in other.missing.items():
            self.missing[label] = self.missing.get(label, 0) + count

    def as_json(self) -> dict[str, Any]:
        """Returns a plain dictionary with labels and classes in the order of their names."""
        return {
            "records": self.records,
            "images": self.images,
            "labels": {label: dict(sorted(self.labels[label].items())) for label in sorted(self.labels)},
            "missing": dict(sorted(self.missing.items())),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Returns the counts from what `as_json` gave."""
        return cls(
            records=value["records"],
            images=value["images"],
            labels={label: dict(classes) for label, classes in value["labels"].items()},
            missing=dict(value["missing"]),
        )


@dataclass(frozen=True, kw_only=True)
class Flow:
    """How many went in, came out and were rejected; in = out + rejected.

    Attributes:
        into: number that went in.
        out: number in the shards.
        rejected: reason → number.
    """

    into: int
    out: int
    rejected: Mapping[str, int]

    def __post_init__(self) -> None:
        if self.into != self.out + sum(self.rejected.values()):
            raise ValueError(f"{self.into} in, {self.out} out and {dict(self.rejected)} rejected do not add up")

    def as_json(self) -> dict[str, Any]:
        """Returns a plain dictionary."""
        return {"in": self.into, "out": self.out, "rejected": dict(sorted(self.rejected.items()))}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Returns the numbers from what `as_json` gave."""
        return cls(into=value["in"], out=value["out"], rejected=dict(value["rejected"]))

    def text(self, what: str) -> str:
        """Returns the numbers as a line, e.g. `records: 10 in = 9 out + 1 rejected (no_picture 1)`."""
        total = sum(self.rejected.values())
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(self.rejected.items()))
        return f"{what}: {self.into} in = {self.out} out + {total} rejected" + (f" ({reasons})" if reasons else "")


@dataclass(frozen=True, kw_only=True)
class DatasetManifest:
    """What a finished dataset holds.

    Attributes:
        inventory: digest of the inventory it was made from.
        plan: digest of inventory, settings that shape the output, and splits; equal plans give equal shards.
        label_mapping: SHA-256 of `label_mapping.json`.
        stored_form: how pictures are kept.
        label_types: label types in the shards.
        group_field: meta data field whose groups stay in one split; None: records were dealt one by one.
        selection: curation steps, each `{"name", "records_before", "records_after"}`.
        warnings: what the user was warned of.
        records: records that went in, came out and were rejected.
        pictures: the same of pictures.
        splits: split → what it holds.
        shards: the shards, in the order of splits and numbers.
        crop: how boxes were cut out of their pictures; None: records are of whole pictures.
    """

    inventory: str
    plan: str
    label_mapping: str
    stored_form: StoredForm
    label_types: tuple[str, ...]
    group_field: str | None
    selection: tuple[Mapping[str, Any], ...]
    warnings: tuple[str, ...]
    records: Flow
    pictures: Flow
    splits: Mapping[str, SplitCounts]
    shards: tuple[ShardInfo, ...]
    crop: Mapping[str, Any] | None = None

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads the manifest of a folder.

        Raises:
            SourceError: the folder has none, or it is not JSON.
            DatasetError: it is of another kind or a newer version, or incomplete.
        """
        path = folder / MANIFEST_NAME
        value = read_json(path, what="dataset manifest", object_hook=_with_packed_offsets)
        if not isinstance(value, dict) or value.get("kind") != KIND:
            raise DatasetError(f"{path}: not a dataset manifest; give a folder that `dataset create` wrote")
        if value.get("schema_version") != SCHEMA_VERSION:
            raise DatasetError(
                f"{path}: manifest version {value.get('schema_version')!r}, this program reads {SCHEMA_VERSION}; "
                "use the version that wrote it, or build the dataset again"
            )
        try:
            return cls._from_json(value)
        except (KeyError, TypeError, ValueError, AttributeError) as err:
            raise DatasetError(f"{path}: manifest is damaged ({err!r}); build the dataset again") from err

    @classmethod
    def _from_json(cls, value: dict[str, Any]) -> Self:
        return cls(
            inventory=value["inventory"],
            plan=value["plan"],
            label_mapping=value["label_mapping"],
            stored_form=StoredForm.from_json(value["stored_form"]),
            label_types=tuple(value["label_types"]),
            group_field=value["group_field"],
            selection=tuple(value["selection"]),
            warnings=tuple(value["warnings"]),
            records=Flow.from_json(value["records"]),
            pictures=Flow.from_json(value["pictures"]),
            splits={name: SplitCounts.from_json(counts) for name, counts in value["splits"].items()},
            shards=tuple(ShardInfo.from_json(shard) for shard in value["shards"]),
            crop=value.get("crop"),
        )

    def as_json(self, *, shards: Sequence[ShardInfo] | None = None) -> dict[str, Any]:
        """Returns plain values, as they are written; on request with other shards than all."""
        return {
            "kind": KIND,
            "schema_version": SCHEMA_VERSION,
            "inventory": self.inventory,
            "plan": self.plan,
            "label_mapping": self.label_mapping,
            "stored_form": self.stored_form.as_json(),
            **({} if self.crop is None else {"crop": dict(self.crop)}),
            "label_types": list(self.label_types),
            "group_field": self.group_field,
            "selection": [dict(step) for step in self.selection],
            "warnings": list(self.warnings),
            "records": self.records.as_json(),
            "pictures": self.pictures.as_json(),
            "splits": {name: counts.as_json() for name, counts in self.splits.items()},
            "shards": [shard.as_json() for shard in (self.shards if shards is None else shards)],
        }

    def write(self, folder: Path) -> None:
        """Writes the manifest into the folder of the shards; to be done last."""
        head = {key: value for key, value in self.as_json(shards=()).items() if key != "shards"}
        with atomic_file(folder / MANIFEST_NAME, "w") as file:
            # One line a shard, one shard at a time: the offsets of a large dataset are never all in text.
            file.write(json_line(head)[:-1] + ', "shards": [')
            for number, shard in enumerate(self.shards):
                file.write(("," if number else "") + "\n" + json_line(shard.as_json()))
            file.write("\n]}\n")

    def shard(self, name: str) -> ShardInfo | None:
        """Returns the shard of that file name, if the manifest lists it."""
        return next((shard for shard in self.shards if shard.name == name), None)

    def require_shards(self, folder: Path) -> None:
        """Makes sure that every shard lies in the folder with the size that it was written with.

        Raises:
            DatasetError: names the first one that does not.
        """
        for shard in self.shards:
            path = folder / shard.name
            if not path.is_file():
                raise DatasetError(
                    f"{path}: the manifest lists this shard but it is not there; copy it, or build the dataset again"
                )
            size = path.stat().st_size
            if size != shard.bytes:
                raise DatasetError(
                    f"{path}: {size} bytes, the manifest says {shard.bytes}; copy it again, or build the dataset again"
                )

    def verify(self, folder: Path) -> None:
        """Makes sure that shards and label mapping are the very ones that were written.

        Raises:
            DatasetError: names the first file that is not.
        """
        self.require_shards(folder)
        digests = {shard.name: shard.sha256 for shard in self.shards} | {LABEL_MAPPING_NAME: self.label_mapping}
        for name, digest in digests.items():
            path = folder / name
            if not path.is_file() or sha256_file(path) != digest:
                raise DatasetError(f"{path}: not the file that was written here; copy it again, or build anew with --overwrite")


def _with_packed_offsets(value: dict[str, Any]) -> dict[str, Any]:
    """Packs the offsets of one shard as soon as they are read, so that those of all never stand side by side unpacked."""
    if isinstance(value.get("offsets"), list):
        with contextlib.suppress(TypeError, OverflowError):  # damaged ones are reported with the rest of the manifest
            value["offsets"] = array("Q", value["offsets"])
    return value
