"""Inventories as Parquet: the columns of `inventory.columns`, checked row by row on reading."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from camtrap_tf.errors import SourceError
from camtrap_tf.files import atomic_file, path_hint
from camtrap_tf.inventory.columns import LABEL, META, schema_of
from camtrap_tf.records import Reject
from camtrap_tf.sources.event_facts import facts_text, media_with_facts, observations_with_facts


def write_parquet(table: pa.Table, path: Path) -> None:
    """Writes the table of an inventory, whole or not at all."""
    with atomic_file(path) as file:
        pq.write_table(table, file, compression="zstd")


def read_parquet(path: Path, rejects: list[Reject]) -> pa.Table:
    """Reads the table of an inventory and leaves out rows that are no records.

    Args:
        path: the file.
        rejects: rows that are left out are added here.

    Raises:
        SourceError: it cannot be read as Parquet, or lacks a column.
    """
    try:
        table = pq.read_table(path)
    except FileNotFoundError as err:
        raise SourceError(f"{path}: no such inventory{path_hint(path)}") from err
    except (OSError, pa.ArrowException) as err:
        raise SourceError(f"{path}: cannot be read as Parquet: {err}") from err
    names = table.column_names
    labels = [name[len(LABEL) :] for name in names if name.startswith(LABEL) and name != LABEL]
    fields = [name[len(META) :] for name in names if name.startswith(META) and name != META]
    if len(set(names)) != len(names) or not {"id", "images"} <= set(names) or not labels:
        raise SourceError(f"{path}: not an inventory: it needs the columns id, images and label/<type>, each once")
    if "event" not in names:
        table = table.append_column("event", pa.nulls(len(table), pa.string()))
    schema = schema_of(labels, fields)
    for field in schema:
        if not _holds(table.schema.field(field.name).type, field.type):
            found = table.schema.field(field.name).type
            raise SourceError(f"{path}: not an inventory: column {field.name!r} is {found}, not {field.type}")
    try:
        table = table.select(schema.names).cast(schema)
    except pa.ArrowException as err:
        raise SourceError(f"{path}: not an inventory: {err}") from err
    return _usable(table, rejects)


def _holds(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Returns whether a column holds texts, or lists of texts, in whatever encoding; a column of nulls holds either."""
    if pa.types.is_null(found):
        return True
    if pa.types.is_list(wanted):
        is_list = pa.types.is_list(found) or pa.types.is_large_list(found)
        return is_list and _holds(found.value_type, wanted.value_type)
    if pa.types.is_dictionary(found):
        return _holds(found.value_type, wanted)
    return bool(pa.types.is_string(found) or pa.types.is_large_string(found) or pa.types.is_string_view(found))


def _usable(table: pa.Table, rejects: list[Reject]) -> pa.Table:
    """Returns the rows that are records; adds the others to `rejects`."""
    problems, table = _problems(table)
    bad = np.zeros(len(table), bool)
    for reason, detail, found in problems:
        for row in np.flatnonzero(found & ~bad):
            rejects.append(Reject(table["id"][int(row)].as_py() or "", f"row {row + 1}", "record", reason, detail))
        bad |= found
    return table.filter(pa.array(~bad)) if bad.any() else table


def _problems(table: pa.Table) -> tuple[list[tuple[str, str, npt.NDArray[np.bool_]]], pa.Table]:
    """Returns reason, detail and rows of what is wrong, and the table with `event` in our spelling."""
    ids = table["id"].combine_chunks()
    labels = [name for name in table.column_names if name.startswith(LABEL)]
    lengths = [_lengths(table[name]) for name in labels]
    uneven = np.any([one != lengths[0] for one in lengths], axis=0) | (lengths[0] < 1)
    empty = np.any([_has_gap(table[name]) for name in labels], axis=0)
    bad_events, table = _events(table, lengths[0])
    problems = [
        ("no_id", "the id is empty", _flags(pc.or_(pc.is_null(ids), pc.equal(pc.fill_null(ids, ""), "")))),
        ("repeated_id", "an earlier row has this id", _repeated(ids)),
        ("no_picture", "images names no picture", (_lengths(table["images"]) < 1) | _has_gap(table["images"])),
        ("bad_labels", "the label types differ in their number of observations, or have none", uneven),
        ("bad_labels", 'a class is empty; write "-1" where a label is missing', empty),
        ("bad_event", "event is not JSON that fits the pictures and observations", bad_events),
    ]
    return problems, table


def _flags(values: pa.Array) -> npt.NDArray[np.bool_]:
    return np.asarray(values.to_numpy(zero_copy_only=False), bool)


def _lengths(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    return np.asarray(pc.fill_null(pc.list_value_length(column), 0), np.int64)


def _has_gap(column: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Returns which rows have an empty or null text in their list."""
    flat = pc.list_flatten(column)
    gaps = _flags(pc.equal(pc.fill_null(flat, ""), "").combine_chunks())
    found = np.zeros(len(column), bool)
    found[np.repeat(np.arange(len(column)), _lengths(column))[gaps]] = True
    return found


def _events(table: pa.Table, observations: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.bool_], pa.Table]:
    """Returns which rows have an `event` that does not fit them, and the table with the others' in our spelling."""
    found = np.zeros(len(table), bool)
    texts: list[str | None] = table["event"].to_pylist()
    pictures = _lengths(table["images"])
    for row in np.flatnonzero(_flags(pc.is_valid(table["event"]).combine_chunks())).tolist():
        try:
            facts = json.loads(texts[row] or "")
            media = media_with_facts(["-"] * int(pictures[row]), facts)
            texts[row] = facts_text(media, observations_with_facts([{}] * int(observations[row]), facts))
        except (ValueError, RecursionError):
            found[row] = True
    place = table.column_names.index("event")
    return found, table.set_column(place, "event", pa.array(texts, pa.string()))


def _repeated(ids: pa.Array) -> npt.NDArray[np.bool_]:
    codes = np.asarray(pc.fill_null(ids, "").dictionary_encode().indices)
    first = np.zeros(len(codes), bool)
    first[np.unique(codes, return_index=True)[1]] = True
    return ~first
