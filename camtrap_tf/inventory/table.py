"""The inventory: which pictures there are and what was seen on them, as one table. Read from and written to JSON or Parquet."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from camtrap_tf.errors import LabelError, SettingError, SourceError, suggestion
from camtrap_tf.files import atomic_file
from camtrap_tf.inventory.columns import LABEL, META, json_lines, observation_counts, rows_of, table_of
from camtrap_tf.inventory.parquet import read_parquet, write_parquet
from camtrap_tf.records import MISSING, CaptureEvent, Reject
from camtrap_tf.rejects import reasons_text
from camtrap_tf.sources.json_records import JsonSource, other_kind

SUFFIXES = (".json", ".parquet")


class Inventory:
    """Records in columns; never changed once made. Iteration yields the records one by one.

    Attributes:
        table: `id`, `images`, `label/<type>`, `meta/<field>`, `event`; see `inventory.columns`.
        rejects: entries of the file it was read from that are no records.
    """

    def __init__(self, table: pa.Table, rejects: Sequence[Reject] = ()) -> None:
        self.table = table
        self.rejects = tuple(rejects)
        self.label_types = tuple(name[len(LABEL) :] for name in table.column_names if name.startswith(LABEL))
        self.meta_fields = tuple(name[len(META) :] for name in table.column_names if name.startswith(META))

    @classmethod
    def read(cls, path: Path) -> Inventory:
        """Reads an inventory; its suffix says the form.

        Raises:
            SettingError: the suffix is neither `.json` nor `.parquet`.
            SourceError: it cannot be read, or has no usable record.
        """
        path = Path(path)
        check_suffix(path, "inventory")
        rejects: list[Reject] = []
        if path.suffix.lower() == ".parquet":
            table = read_parquet(path, rejects)
        else:
            table = table_of(_without_rejects(JsonSource(path).records(), rejects))
        if not len(table):
            said = f"the inventory has no usable record; {len(rejects)} rejected{reasons_text(rejects)}{other_kind(rejects)}"
            raise SourceError(f"{path}: {said}")
        return cls(table, rejects)

    @classmethod
    def from_records(cls, records: Iterable[CaptureEvent]) -> Inventory:
        """Makes an inventory of records, read as a stream.

        Raises:
            SourceError: there is none, two have one id, or none has a label.
        """
        return cls.from_table(table_of(records))

    @classmethod
    def from_table(cls, table: pa.Table) -> Inventory:
        """Makes an inventory of a table, checking what a single row cannot show.

        Raises:
            SourceError: it is empty, an id is there twice, or it has no label type.
        """
        inventory = cls(table)
        if not len(inventory):
            raise SourceError("an inventory needs at least one record")
        twice = repeated_ids(table)
        if twice:
            raise SourceError(f"{len(twice)} ids are there more than once, e.g. {twice[0]!r}; every record needs its own id")
        if not inventory.label_types:
            raise SourceError("no record has a label; an inventory needs at least one label type")
        return inventory

    def write(self, path: Path, *, plain: bool = False) -> None:
        """Writes the inventory, whole or not at all; its suffix says the form.

        Args:
            path: `.json` or `.parquet`.
            plain: leave out the key `event`, which camera-trap-classifier does not know.

        Raises:
            SettingError: another suffix.
        """
        path = Path(path)
        check_suffix(path, "inventory")
        table = self._plain() if plain else self.table
        if path.suffix.lower() == ".parquet":
            write_parquet(table, path)
            return
        with atomic_file(path, "w", newline="\n") as file:
            separator = "{\n"
            for line in json_lines(table):
                file.write(separator + line)
                separator = ",\n"
            file.write("\n}\n")

    def _plain(self) -> pa.Table:
        nothing = pa.nulls(len(self), pa.string())
        return self.table.set_column(self.table.column_names.index("event"), "event", nothing)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __iter__(self) -> Iterator[CaptureEvent]:
        return rows_of(self.table)

    @property
    def ids(self) -> list[str]:
        """The record ids, in order."""
        return list(self.table["id"].to_pylist())

    def label_column(self, label: str) -> pa.ChunkedArray:
        """Returns the lists of classes of a label type, one entry per observation.

        Raises:
            LabelError: no such label type.
        """
        if label not in self.label_types:
            raise LabelError(f"no label type {label!r} in the inventory{suggestion(label, self.label_types)}")
        return self.table[LABEL + label]

    def first_labels(self, label: str) -> list[str | None]:
        """Returns the class of the first observation of each record; None where it is missing.

        Raises:
            LabelError: no such label type.
        """
        first = pc.list_element(self.label_column(label), 0)
        return list(pc.if_else(pc.equal(first, MISSING), None, first).to_pylist())

    def matches(self, label: str, name: str) -> npt.NDArray[np.bool_]:
        """Returns which records have this class in any observation, `[records]`; exact comparison.

        Raises:
            LabelError: no such label type.
        """
        column = self.label_column(label)
        hits = pc.equal(pc.list_flatten(column), name).to_numpy(zero_copy_only=False)
        rows = np.repeat(np.arange(len(self)), observation_counts(self.table))
        found = np.zeros(len(self), bool)
        found[rows[hits]] = True
        return found

    def meta(self, field: str) -> list[str | None]:
        """Returns a meta data field of each record; None where it is absent.

        Raises:
            SettingError: no record has it.
        """
        if field not in self.meta_fields:
            raise SettingError(f"no meta data field {field!r} in the inventory{suggestion(field, self.meta_fields)}")
        return list(self.table[META + field].to_pylist())

    def observation_counts(self) -> npt.NDArray[np.int64]:
        """Returns how many observations each record has, `[records]`."""
        return observation_counts(self.table)

    def picture_count(self) -> int:
        """Returns how many pictures the records have together."""
        return int(pc.sum(pc.list_value_length(self.table["images"])).as_py() or 0)

    def label_counts(self) -> dict[str, dict[str, int]]:
        """Returns label type → class → number of observations, classes by name; missing ones are left out."""
        counts = {}
        for label in self.label_types:
            found = pc.value_counts(pc.list_flatten(self.table[LABEL + label])).to_pylist()
            counts[label] = {one["values"]: one["counts"] for one in sorted(found, key=lambda one: str(one["values"]))}
            counts[label].pop(MISSING, None)
        return counts

    def take(self, rows: Sequence[int] | npt.NDArray[np.integer]) -> Inventory:
        """Returns the inventory of some rows, in the order given; all label types and fields are kept."""
        return Inventory(self.table.take(pa.array(np.asarray(rows, np.int64))))

    def digest(self) -> str:
        """Returns a SHA-256 digest of the records in their order, the same for JSON and Parquet."""
        whole = hashlib.sha256()
        for name in self.table.column_names:
            whole.update(f"{name}\n{_column_digest(self.table[name])}\n".encode())
        return whole.hexdigest()


def check_suffix(path: Path, what: str) -> None:
    """Makes sure that a file name says the form of an inventory.

    Raises:
        SettingError: it ends neither in `.json` nor in `.parquet`.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise SettingError(f"{what} {path}: its name has to end in .json or .parquet")


def repeated_ids(table: pa.Table) -> list[str]:
    """Returns the ids that more than one row has, sorted."""
    counts = pc.value_counts(table["id"])
    return sorted(counts.filter(pc.greater(counts.field("counts"), 1)).field("values").to_pylist())


def _without_rejects(entries: Iterable[CaptureEvent | Reject], rejects: list[Reject]) -> Iterator[CaptureEvent]:
    for entry in entries:
        if isinstance(entry, Reject):
            rejects.append(entry)
        else:
            yield entry


def _column_digest(column: pa.ChunkedArray) -> str:
    """Digests a column of texts or lists of texts: lengths of lists, lengths of texts, bytes; chunk borders do not show."""
    lists, lengths, data = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()
    for chunk in column.chunks:
        texts = chunk
        if pa.types.is_list(chunk.type):
            lists.update(np.asarray(pc.list_value_length(chunk), "<i4").tobytes())
            texts = chunk.flatten()
        lengths.update(np.asarray(pc.fill_null(pc.binary_length(texts), -1), "<i4").tobytes())
        filled = pc.fill_null(texts, "")
        _, offsets, values = filled.buffers()
        if len(filled) and values is not None:
            ends = np.frombuffer(offsets, np.int32)[filled.offset : filled.offset + len(filled) + 1]
            data.update(memoryview(values)[ends[0] : ends[-1]])
    return f"{lists.hexdigest()} {lengths.hexdigest()} {data.hexdigest()}"
