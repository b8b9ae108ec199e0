"""What the tests of the standards' sources share."""

from __future__ import annotations

from camtrap_tf.inventory.columns import table_of
from camtrap_tf.inventory.picture_columns import table_of_grouped
from camtrap_tf.inventory.table import Inventory
from camtrap_tf.records import CaptureEvent, Reject
from camtrap_tf.sources.picture_records import PictureSource


def read(source: PictureSource) -> tuple[list[CaptureEvent], list[Reject]]:
    """Returns records and rejects; checks that the columns say the same as the records, and that the counts add up."""
    entries = list(source.records())
    records = [one for one in entries if isinstance(one, CaptureEvent)]
    rejects = [one for one in entries if isinstance(one, Reject)]
    if records:
        columns, rows = table_of_grouped(source.grouped), table_of(records)
        assert Inventory(columns).digest() == Inventory(rows).digest()
        assert columns.schema.equals(rows.schema)
    for tally in (source.grouped.checked.picture_tally, source.grouped.checked.seen_tally):
        assert tally.read == tally.used + tally.rejected + sum(tally.elsewhere.values())
    return records, rejects
