"""Panthera's CSV export: one row per species on a picture, counts in bins. A CSV table with fixed habits."""

from __future__ import annotations

from pathlib import Path

from camtrap_tf.config.inventory import PantheraInventoryConfig
from camtrap_tf.sources.csv_rows import CsvRows
from camtrap_tf.sources.csv_table import CsvColumns, CsvSource

COUNT = "count"
SPECIES = "species"


def panthera_source(config: PantheraInventoryConfig, path: Path) -> CsvSource:
    """Returns the reader of a Panthera table.

    Counts are binned; the column `count` may be absent. Of rows with one id, a species and a picture are each listed
    once. An empty cell is missing, `NA` a class of its own.

    Raises:
        SourceError: the file cannot be read as CSV.
        SettingError: a column does not exist.
    """
    header = CsvRows(path).header
    labels = [label for label in config.label_fields if label != COUNT or COUNT in header]
    columns = CsvColumns(
        id=config.capture_id_field,
        images=config.image_fields,
        labels=labels,
        meta=config.meta_data_fields,
        counts=[label for label in labels if label == COUNT],
        listed_by=SPECIES if SPECIES in labels else labels[0],
    )
    return CsvSource(path, columns)
