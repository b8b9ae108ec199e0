"""Records to columns and back: the Arrow form of an inventory.

Columns: `id`, `images` (list), `label/<type>` (list, one entry per observation, "-1" where missing), `meta/<field>` (null
where absent) and `event` (JSON text of further facts, or null). Label types and fields are in the order of their names, so
that equal inventories have equal tables wherever they come from.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from camtrap_tf.errors import SourceError
from camtrap_tf.records import MISSING, CaptureEvent
from camtrap_tf.sources.event_facts import facts_text, media_with_facts, observations_with_facts

LABEL = "label/"
META = "meta/"
TEXT = pa.string()
TEXTS = pa.list_(pa.field("element", pa.string()))
CHUNK_ROWS = 16_384
"""Records that are held as Python objects at a time."""
POOL = pa.system_memory_pool()
"""Arrow's default pool is fragmented by many small arrays; this one gives memory back."""


def schema_of(label_types: Iterable[str], meta_fields: Iterable[str]) -> pa.Schema:
    """Returns the schema of a table with these label types and meta data fields, sorted by name."""
    return pa.schema(
        [("id", TEXT), ("images", TEXTS)]
        + [(LABEL + label, TEXTS) for label in sorted(label_types)]
        + [(META + field, TEXT) for field in sorted(meta_fields)]
        + [("event", TEXT)]
    )


def table_of(records: Iterable[CaptureEvent]) -> pa.Table:
    """Returns the table of records, read as a stream.

    Raises:
        SourceError: a text cannot be written as UTF-8.
    """
    chunks = []
    chunk = _Chunk()
    for record in records:
        chunk.add(record)
        if len(chunk.ids) == CHUNK_ROWS:
            chunks.append(chunk.table())
            chunk = _Chunk()
    chunks.append(chunk.table())
    return unite(chunks)


def unite(tables: Sequence[pa.Table]) -> pa.Table:
    """Returns the rows of several tables in one; label types that one of them lacks are missing in its rows."""
    names = {name for table in tables for name in table.column_names}
    schema = schema_of(
        [name[len(LABEL) :] for name in names if name.startswith(LABEL)],
        [name[len(META) :] for name in names if name.startswith(META)],
    )
    return pa.concat_tables([_complete(table, schema) for table in tables])


def _complete(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = []
    for field in schema:
        if field.name in table.column_names:
            columns.append(table[field.name].cast(field.type))
        elif field.name.startswith(LABEL):
            columns.append(_all_missing(observation_counts(table)))
        else:
            columns.append(pa.nulls(len(table), field.type))
    return pa.table(columns, schema=schema)


def _all_missing(counts: npt.NDArray[np.int64]) -> pa.Array:
    ends = np.concatenate([[0], np.cumsum(counts)])
    return _lists(ends, [MISSING] * int(ends[-1]))


def _lists(ends: Any, values: list[str]) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32(), memory_pool=POOL), _texts(values), type=TEXTS)


def _texts(values: Sequence[str | None]) -> pa.Array:
    return pa.array(values, TEXT, memory_pool=POOL)


def observation_counts(table: pa.Table) -> npt.NDArray[np.int64]:
    """Returns how many observations each record has, `[rows]`."""
    for name in table.column_names:
        if name.startswith(LABEL):
            return np.asarray(pc.list_value_length(table[name]), np.int64)
    if "observations" in table.column_names:
        return np.asarray(table["observations"], np.int64)
    return np.ones(len(table), np.int64)


class _Chunk:
    """Some records in columns of Python lists."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.images: list[str] = []
        self.image_ends = [0]
        self.observations = 0
        self.observation_ends = [0]
        self.labels: dict[str, list[str]] = {}
        self.meta: dict[str, list[str | None]] = {}
        self.events: list[str | None] = []

    def add(self, record: CaptureEvent) -> None:
        """Adds one row."""
        for observation in record.observations:
            for label in observation.labels:
                if label not in self.labels:
                    self.labels[label] = [MISSING] * self.observations
            for label, classes in self.labels.items():
                classes.append(observation.labels.get(label, MISSING))
            self.observations += 1
        for field in record.meta_data:
            if field not in self.meta:
                self.meta[field] = [None] * len(self.ids)
        for field, values in self.meta.items():
            values.append(record.meta_data.get(field))
        self.ids.append(record.event_id)
        self.images.extend([media.path for media in record.media])
        self.image_ends.append(len(self.images))
        self.observation_ends.append(self.observations)
        self.events.append(facts_text(record.media, record.observations))

    def table(self) -> pa.Table:
        """Returns the rows as a table, with a column `observations` that counts them for chunks without any label."""
        try:
            columns = {"id": _texts(self.ids), "images": _lists(self.image_ends, self.images)}
            for label, classes in self.labels.items():
                columns[LABEL + label] = _lists(self.observation_ends, classes)
            for field, values in self.meta.items():
                columns[META + field] = _texts(values)
            columns["event"] = _texts(self.events)
        except UnicodeEncodeError as err:
            raise SourceError(f"a record holds half of a surrogate pair, which is no character: {err.object[:80]!r}") from err
        columns["observations"] = pa.array(np.diff(self.observation_ends), pa.int64())
        return pa.table(columns)


def rows_of(table: pa.Table) -> Iterator[CaptureEvent]:
    """Yields the records of a table, in order; holds a few thousand at a time."""
    for record_id, images, observed, meta, event in _cells(table):
        facts = None if event is None else json.loads(event)
        yield CaptureEvent(
            event_id=record_id,
            media=media_with_facts(images, facts),
            observations=observations_with_facts(observed, facts),
            meta_data=meta,
        )


def json_lines(table: pa.Table) -> Iterator[str]:
    """Yields `"id": {"labels": …, "images": …}` for each record, one line each, without commas between them."""
    encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
    for record_id, images, observed, meta, event in _cells(table):
        entry = {"labels": observed, "images": images, **({"meta_data": meta} if meta else {})}
        facts = "" if event is None else f', "event": {event}'
        yield f"{encode(record_id)}: {encode(entry)[:-1]}{facts}}}"


def _cells(table: pa.Table) -> Iterator[tuple[str, list[str], list[dict[str, str]], dict[str, str], str | None]]:
    """Yields id, images, labels of each observation, meta data and event of each row."""
    names = table.column_names
    labels = [name[len(LABEL) :] for name in names if name.startswith(LABEL)]
    fields = [name[len(META) :] for name in names if name.startswith(META)]
    for batch in table.to_batches(max_chunksize=2048):
        ids, images, events = (batch.column(name).to_pylist() for name in ("id", "images", "event"))
        classes = zip(*(batch.column(LABEL + label).to_pylist() for label in labels), strict=True)
        values = [batch.column(META + field).to_pylist() for field in fields]
        metas = zip(*values, strict=True) if fields else itertools.repeat((), len(ids))
        for record_id, paths, by_label, meta, event in zip(ids, images, classes, metas, events, strict=True):
            observed = [dict(zip(labels, each, strict=True)) for each in zip(*by_label, strict=True)]
            known = {field: value for field, value in zip(fields, meta, strict=True) if value is not None}
            yield record_id, paths, observed, known, event
