"""CSV exports of Timelapse as picture tables: a row per picture, several where it was duplicated for several species.

`RelativePath` and `File` say where a picture is, `DateTime` (or `Date` and `Time`) when it was taken; what else there is
depends on the template. Source: Timelapse Image Analyser, https://timelapse.ucalgary.ca.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from camtrap_tf.config.names import MISSING_TOKENS
from camtrap_tf.config.picture_sources import TimelapseInventoryConfig
from camtrap_tf.errors import SettingError, suggestion
from camtrap_tf.records import Reject
from camtrap_tf.sources.counts import binned
from camtrap_tf.sources.picture_records import PictureSource
from camtrap_tf.sources.picture_tables import PictureTables, Rows, folders_of, join_known, picture_table, seen_table
from camtrap_tf.sources.table_columns import TableColumns, read_table

OWN_COLUMNS = frozenset(
    (
        "RootFolder",
        "Folder",
        "File",
        "RelativePath",
        "DateTime",
        "Date",
        "Time",
        "UtcOffset",
        "DeleteFlag",
        "ImageQuality",
        "Id",
    )
)
"""Columns that every template has; the others are the user's."""

LABEL_NAMES = ("species", "count", "sex", "age", "lifeStage", "behaviour", "behavior", "activity")
"""Columns that are taken for labels where none are named, as other sources call them; case does not matter."""

_STANDARD = {name.lower(): name for name in LABEL_NAMES}


class TimelapseSource(PictureSource):
    """Reads a CSV export of Timelapse."""

    def __init__(self, config: TimelapseInventoryConfig) -> None:
        """Keeps the settings; the table is read when records are asked for."""
        super().__init__(config)
        self.settings = config

    def tables(self) -> PictureTables:
        """Reads the table; see `PictureSource.tables`.

        Raises:
            SourceError: it cannot be read, or is no export of Timelapse.
            SettingError: a column does not exist, or no label column is known.
        """
        table = read_table(self.config.path, what="the export of Timelapse", unit="picture")
        labels = _label_columns(table, self.settings)
        rejects = list(table.rejects)
        pictures, picture_of = _pictures(table, self.settings, rejects)
        good = np.flatnonzero(picture_of >= 0)
        types = list(labels) if self.settings.keep_label_names else label_types_for(labels)
        columns = {
            kind: _classes(table, name, self.settings).take(pa.array(good)) for kind, name in zip(types, labels, strict=True)
        }
        renamed = [f"{name} is {kind}" for kind, name in zip(types, labels, strict=True) if kind != name]
        said = f"label types as from other sources: {', '.join(renamed)} (--keep-label-names keeps the columns' spelling)"
        seen = seen_table(
            items=pa.array(table.items, pa.string()).take(pa.array(good)), picture=picture_of[good], labels=columns
        )
        return PictureTables(
            pictures=pictures, seen=seen, per_event=False, main_label=types[0], lost=np.zeros(len(pictures), bool),
            rejects=rejects, pictures_read=len(pictures) + len(rejects), seen_read=len(good), seen_unit="rows",
            notes=[said] if renamed else [],
        )  # fmt: skip


def _label_columns(table: TableColumns, config: TimelapseInventoryConfig) -> list[str]:
    """Returns the label columns.

    Raises:
        SettingError: one does not exist, or none is known.
    """
    own = [name for name in table.columns if name not in OWN_COLUMNS]
    for flag, names in (
        ("--label-fields", config.label_fields),
        ("--count-fields", config.count_fields),
        ("--meta-data-fields", config.meta_data_fields),
    ):
        for name in names:
            if name not in table:
                raise SettingError(f"{flag}: {table.path} has no column {name!r}{suggestion(name, own)}")
    found = list(config.label_fields) or [name for name in own if name.strip().lower() in _STANDARD]
    for name in config.count_fields:
        if name not in found:
            raise SettingError(f"--count-fields: {name!r} is not among the label fields{suggestion(name, found)}")
    if not found:
        raise SettingError(
            f"{table.path}: no column is called species or the like; name some with --label-fields{suggestion('', own)}"
        )
    return found


def label_types_for(columns: Sequence[str]) -> list[str]:
    """Returns the label type of each column: the standard spelling where its name is a standard one, unless that is taken."""
    types: list[str] = []
    for name in columns:
        standard = _STANDARD.get(name.strip().lower(), name)
        types.append(name if standard != name and standard in (*columns, *types) else standard)
    return types


def _pictures(table: TableColumns, config: TimelapseInventoryConfig, rejects: list[Reject]) -> tuple[pa.Table, Rows]:
    """Returns the table of pictures, each once, and the picture of each row; -1 where it has none."""
    files, folders = table.required("File"), table.column("RelativePath")
    paths = join_known([folders, files], "/")
    paths = pc.replace_substring(paths, "\\", "/")
    deleted = np.asarray(pc.fill_null(pc.equal(pc.utf8_lower(table.column("DeleteFlag")), "true"), False), bool)
    nameless = np.asarray(pc.is_null(files))
    for row in np.flatnonzero(deleted | nameless).tolist():
        reason, detail = ("no_path", "has no File") if nameless[row] else ("marked_for_deletion", "its DeleteFlag is true")
        item = f"{table.path.name} line {table.lines[row].as_py()}"
        rejects.append(Reject("" if nameless[row] else paths[row].as_py(), item, "picture", reason, detail))
    good = np.flatnonzero(~(deleted | nameless))
    codes = np.asarray(paths.take(pa.array(good)).dictionary_encode().indices, np.int64)
    firsts = np.unique(codes, return_index=True)[1]
    picture_of = np.full(len(table), -1, np.int64)
    picture_of[good] = codes
    taken = pa.array(good[firsts])
    chosen = paths.take(taken)
    location = [folders_of(path, config.location_from_path) for path in chosen.to_pylist()]
    pictures = picture_table(
        items=pa.array(table.items, pa.string()).take(taken), ids=chosen, paths=chosen,
        columns={"location": pa.array(location, pa.string()), "time": _times(table).take(taken)},
        meta={name: table.column(name).take(taken) for name in config.meta_data_fields},
    )  # fmt: skip
    return pictures, picture_of


def _times(table: TableColumns) -> pa.Array:
    """Returns when pictures were taken: `DateTime`, or `Date` and `Time` in older exports."""
    if "DateTime" in table:
        return table.column("DateTime")
    return pc.binary_join_element_wise(table.column("Date"), table.column("Time"), " ")


def _classes(table: TableColumns, name: str, config: TimelapseInventoryConfig) -> pa.Array:
    """Returns the classes of a label column; null where it is missing."""
    column = table.column(name)
    missing = pc.is_in(column, pa.array(MISSING_TOKENS, pa.string()))
    column = pc.if_else(missing, pa.scalar(None, pa.string()), column)
    is_count = name in config.count_fields or (not config.count_fields and name.strip().lower() == "count")
    return binned(column) if is_count else column
