"""Inventories put together. Ids have to mean the same record wherever they appear."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from camtrap_tf.errors import SourceError
from camtrap_tf.inventory.columns import rows_of, unite
from camtrap_tf.inventory.table import Inventory
from camtrap_tf.records import CaptureEvent


def merge(inventories: Sequence[Inventory], names: Sequence[str]) -> Inventory:
    """Returns the records of several inventories, in order. Label types that one lacks are missing in its records.

    Args:
        inventories: at least one.
        names: what messages call them.

    Raises:
        SourceError: two hold different records of one id.
    """
    table = unite([inventory.table for inventory in inventories])
    codes = np.asarray(table["id"].combine_chunks().dictionary_encode().indices)
    first = np.unique(codes, return_index=True)[1]
    again = np.setdiff1d(np.arange(len(codes)), first)
    if not len(again):
        return Inventory.from_table(table)
    ends = np.cumsum([len(inventory) for inventory in inventories])
    for start in range(0, len(again), 4096):
        rows = again[start : start + 4096]
        for row, earlier, one, other in zip(
            rows, first[codes[rows]], _records(table, rows), _records(table, first[codes[rows]]), strict=True
        ):
            if one != other:
                places = [names[int(np.searchsorted(ends, place, side="right"))] for place in (earlier, row)]
                raise SourceError(
                    f"record {one.event_id!r} is not the same in {places[0]} and {places[1]} ({_difference(other, one)}); "
                    "give one of them another id, or make them equal"
                )
    return Inventory.from_table(table.take(pa.array(np.sort(first))))


def _records(table: pa.Table, rows: np.ndarray) -> list[CaptureEvent]:
    return list(rows_of(table.take(pa.array(rows))))


def _difference(one: CaptureEvent, other: CaptureEvent) -> str:
    parts = {"pictures": "media", "observations": "observations", "meta data": "meta_data"}
    return "they differ in " + ", ".join(name for name, key in parts.items() if getattr(one, key) != getattr(other, key))
