"""The table of an inventory made straight from grouped pictures, column by column, without a Python object per record.

The result equals `columns.table_of` of the same records.
"""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from camtrap_tf.inventory.columns import LABEL, META, TEXT, TEXTS, schema_of
from camtrap_tf.records import MISSING
from camtrap_tf.sources.event_facts import MEDIA_KEYS
from camtrap_tf.sources.picture_records import GroupedPictures
from camtrap_tf.sources.picture_tables import BOX, CONFIDENCE, join_known

Ends = npt.NDArray[np.int64]

SLICE_ROWS = 32_768
"""Records whose texts are made at a time: a column of Arrow holds 2 GiB of text at most, and small ones stay in the cache."""

PLAIN = r'^[^"\\\x00-\x1f\x7f]*$'
"""Texts that stand in JSON as they are."""

SHORTEST_DIGITS = 1e-4
"""Below this, and above zero, Arrow writes numbers in [0, 1] without an exponent where Python writes one."""


def table_of_grouped(grouped: GroupedPictures) -> pa.Table:
    """Returns the table of an inventory; at least one record."""
    count = len(grouped.ids)
    of_pictures, of_seen = _ends(grouped.pictures["record"], count), _ends(grouped.seen["record"], count)
    parts = []
    for start in range(0, max(count, 1), SLICE_ROWS):
        stop = min(start + SLICE_ROWS, count)
        parts.append(_part_table(grouped, slice(start, stop), of_pictures[start : stop + 1], of_seen[start : stop + 1]))
    return pa.concat_tables(parts)


def _part_table(grouped: GroupedPictures, rows: slice, of_pictures: Ends, of_seen: Ends) -> pa.Table:
    """Returns the table of some records; `of_pictures` and `of_seen` say where their rows begin and end."""
    count = rows.stop - rows.start
    pictures = grouped.pictures.slice(int(of_pictures[0]), int(of_pictures[-1] - of_pictures[0]))
    seen = grouped.seen.slice(int(of_seen[0]), int(of_seen[-1] - of_seen[0]))
    picture_ends, seen_ends = (pa.array((ends - ends[0]).astype(np.int32)) for ends in (of_pictures, of_seen))
    columns: dict[str, pa.Array] = {
        "id": grouped.ids.slice(rows.start, count),
        "images": _lists(picture_ends, pictures["path"]),
        "event": _facts(pictures, seen, picture_ends, seen_ends),
    }
    for label in grouped.label_types:
        classes = pc.fill_null(seen[LABEL + label], MISSING)
        columns[LABEL + label] = _lists(seen_ends, pc.if_else(pc.equal(classes, ""), MISSING, classes))
    for name, column in grouped.meta.items():
        columns[META + name] = column.slice(rows.start, count)
    schema = schema_of(grouped.label_types, grouped.meta)
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _ends(records: pa.ChunkedArray, count: int) -> Ends:
    """Returns where the rows of each record begin and end, `[count + 1]`."""
    return np.searchsorted(np.asarray(records), np.arange(count + 1)).astype(np.int64)


def _flat(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Returns a column in one piece."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _lists(ends: pa.Array, values: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Returns values as lists, one per record."""
    return pa.ListArray.from_arrays(ends, _flat(values), type=TEXTS)


def _facts(pictures: pa.Table, seen: pa.Table, picture_ends: pa.Array, seen_ends: pa.Array) -> pa.Array:
    """Returns the column `event`: the JSON text that `event_facts.facts_text` writes."""
    named = {"media_id": pictures["id"], "timestamp": pictures["time"], "licence": pictures["licence"]}
    media = _object([_text_member(key, named[key]) for key in MEDIA_KEYS])
    found = _object([_text_member("media_id", seen["media_id"]), _box_member(seen), *_confidence_members(seen)])
    parts = [_part("media", media, picture_ends), _part("observations", found, seen_ends)]
    text = join_known(parts, ", ")
    return pc.binary_join_element_wise("{", text, "}", "")


def _part(key: str, objects: pa.Array, ends: pa.Array) -> pa.Array:
    """Returns `"key": [{…}, …]` per record; null where every object of it is empty."""
    joined = pc.binary_join(pa.ListArray.from_arrays(ends, objects), ", ")
    filled = np.concatenate([[0], np.cumsum(np.asarray(pc.not_equal(objects, "{}"), np.int64))])
    places = np.asarray(ends)
    some = filled[places[1:]] > filled[places[:-1]]
    return pc.if_else(pa.array(some), pc.binary_join_element_wise(f'"{key}": [', joined, "]", ""), pa.scalar(None, TEXT))


def _object(members: list[pa.Array]) -> pa.Array:
    """Returns `{…}` of the members that are known, row by row; `{}` where none is."""
    some = [member for member in members if member.null_count < len(member)] or members[:1]
    return pc.binary_join_element_wise("{", pc.fill_null(join_known(some, ", "), ""), "}", "")


def _text_member(key: str, column: pa.ChunkedArray) -> pa.Array:
    """Returns `"key": "text"`; null where there is no text."""
    texts = _flat(column)
    if pc.all(pc.match_substring_regex(texts, PLAIN)).as_py() is not False:
        return pc.binary_join_element_wise(f'"{key}": "', texts, '"', "")
    encoded = [None if text is None else json.dumps(text, ensure_ascii=False) for text in texts.to_pylist()]
    return pc.binary_join_element_wise(f'"{key}": ', pa.array(encoded, TEXT), "")


def _box_member(seen: pa.Table) -> pa.Array:
    """Returns `"box": [x, y, width, height]`; null where there is no box."""
    numbers = [_number_texts(np.asarray(seen[name], np.float64)) for name in BOX]
    commas = [", "] * (len(numbers) - 1)
    pieces = [piece for pair in zip(numbers, [*commas, "]"], strict=True) for piece in pair]
    return pc.binary_join_element_wise('"box": [', *pieces, "")


def _confidence_members(seen: pa.Table) -> list[pa.Array]:
    """Returns `"confidence": number`, null where there is none; nothing where there is none at all."""
    numbers = np.asarray(seen[CONFIDENCE], np.float64)
    return [] if np.isnan(numbers).all() else [pc.binary_join_element_wise('"confidence": ', _number_texts(numbers), "")]


def _number_texts(numbers: npt.NDArray[np.float64]) -> pa.Array:
    """Returns numbers in [0, 1] as Python's `repr` writes them; NaN becomes null."""
    missing = np.isnan(numbers)
    texts = pa.array(numbers, mask=missing).cast(TEXT)
    for whole, text in ((0.0, "0.0"), (1.0, "1.0")):
        hits = numbers == whole
        if hits.any():
            texts = pc.if_else(pa.array(hits), text, texts)
    rows = np.flatnonzero(~missing & (numbers != 0) & (np.abs(numbers) < SHORTEST_DIGITS))
    if len(rows):
        mask = np.zeros(len(numbers), bool)
        mask[rows] = True
        texts = pc.replace_with_mask(texts, pa.array(mask), pa.array([repr(float(numbers[row])) for row in rows], TEXT))
    return texts
