"""Wildlife Insights downloads as picture tables: `images*.csv` (a row per species in a picture) and `deployments.csv`.

Pictures are at addresses of the platform (`gs://…`): each is remote, unless a copy of it lies below the image root, by file
name or in a folder per deployment. Source: the columns of Wildlife Insights' public and private downloads.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from camtrap_tf.config.picture_sources import WildlifeInsightsInventoryConfig
from camtrap_tf.errors import SourceError
from camtrap_tf.records import Reject
from camtrap_tf.sources.counts import binned
from camtrap_tf.sources.picture_checks import URL
from camtrap_tf.sources.picture_files import absent_files
from camtrap_tf.sources.picture_records import PictureSource
from camtrap_tf.sources.picture_tables import Flags, PictureTables, Rows, picture_table, seen_table
from camtrap_tf.sources.table_columns import TableColumns, read_table

SPECIES = "species"
BLANK = "blank"
IMAGES, DEPLOYMENTS = "images", "deployments.csv"
NOT_CLASSIFIED = frozenset({"cv needed", "cv failed", "no cv result"})
"""What stands in the column `class` while nobody has named anything."""

_TRUE = ("1", "true", "yes")


class WildlifeInsightsSource(PictureSource):
    """Reads a Wildlife Insights download."""

    def __init__(self, config: WildlifeInsightsInventoryConfig) -> None:
        """Keeps what is given."""
        super().__init__(config)
        self.settings = config

    def tables(self) -> PictureTables:
        """Reads the download; see `PictureSource.tables`.

        Raises:
            SourceError: it cannot be read, or lacks a table or column.
        """
        files = _image_files(self.config.path)
        parts = [read_table(file, what="the table of images", unit="picture") for file in files]
        rows = _Rows.of(parts)
        deployments = files[0].with_name(DEPLOYMENTS)
        table = read_table(deployments, what="the table of deployments", unit="record") if deployments.exists() else None
        rejects = [reject for part in parts for reject in part.rejects]
        notes = [] if table is not None else [f"there is no {DEPLOYMENTS}; a deployment is taken for a location"]
        pictures, picture_of = _pictures(rows, table, self.config.image_root, rejects)
        advice = _advice(pictures, self.config.image_root)
        notes += [advice] if advice else []
        good = np.flatnonzero(picture_of >= 0)
        labels = {name: column.take(pa.array(good)) for name, column in _labels(rows, self.settings.species_name).items()}
        sequences = bool(pictures["event"].null_count < len(pictures))
        seen = seen_table(
            items=rows.items.take(pa.array(good)), picture=picture_of[good], labels=labels,
            per_event=np.full(len(good), sequences),
        )  # fmt: skip
        unnamed = sum(reject.unit == "picture" for reject in rejects)
        return PictureTables(
            pictures=pictures, seen=seen, per_event=sequences, main_label=SPECIES, lost=np.zeros(len(pictures), bool),
            rejects=rejects, pictures_read=len(pictures) + unnamed, seen_read=len(good), seen_unit="identifications",
            notes=notes, advice=advice,
        )  # fmt: skip


def _advice(pictures: pa.Table, root: Path | None) -> str:
    """Returns a sentence where an image root was named and not one picture is below it; else an empty text."""
    remote = pc.sum(pc.match_substring_regex(pictures["path"], "^" + URL.pattern)).as_py()
    if root is None or not len(pictures) or remote != len(pictures):
        return ""
    return f"not one of these pictures is below --image-root {root}, by file name or in a folder per deployment"


def _image_files(path: Path) -> list[Path]:
    """Returns the tables of images of a download (large ones are in several files).

    Raises:
        SourceError: there is none.
    """
    if not path.is_dir():
        return [path]
    files = sorted(one for one in path.iterdir() if one.name.startswith(IMAGES) and ".csv" in one.suffixes)
    if not files:
        raise SourceError(f"{path}: has no images.csv; name the folder of an unpacked Wildlife Insights download")
    return files


class _Rows:
    """The rows of all tables of images as one."""

    def __init__(self, items: pa.Array, columns: dict[str, pa.Array], path: Path) -> None:
        """Keeps what is given."""
        self.items = items
        self.columns = columns
        self.path = path

    @classmethod
    def of(cls, parts: list[TableColumns]) -> _Rows:
        """Puts tables together; a column that one lacks is null in its rows."""
        names = dict.fromkeys(name for part in parts for name in part.columns)
        columns = {
            name: pa.chunked_array([part.column(name) for part in parts], pa.string()).combine_chunks() for name in names
        }
        items = pa.array([item for part in parts for item in part.items], pa.string())
        for name in ("image_id", "deployment_id"):
            for part in parts:
                part.required(name)
        return cls(items, columns, parts[0].path)

    def column(self, name: str) -> pa.Array:
        """Returns a column; all null where it is not there."""
        return self.columns[name] if name in self.columns else pa.nulls(len(self.items), pa.string())


def _pictures(rows: _Rows, deployments: TableColumns | None, root: Path | None, rejects: list[Reject]) -> tuple[pa.Table, Rows]:
    """Returns the table of pictures, each once, and the picture of each row; -1 where it has none."""
    ids, deployment = rows.column("image_id"), rows.column("deployment_id")
    paths = _paths(rows, root)
    bad = np.asarray(pc.or_(pc.is_null(ids), pc.is_null(paths)))
    for row in np.flatnonzero(bad).tolist():
        reason, detail = (
            ("no_id", "has no image_id") if ids[row].as_py() is None else ("no_path", "has no location or filename")
        )
        rejects.append(Reject(ids[row].as_py() or "", rows.items[row].as_py(), "picture", reason, detail))
    codes = np.asarray(pc.fill_null(ids.dictionary_encode().indices, -1), np.int64)
    good = np.flatnonzero(~bad)
    _, firsts, inverse = np.unique(codes[good], return_index=True, return_inverse=True)
    order = np.argsort(firsts, kind="stable")
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    picture_of = np.full(len(ids), -1, np.int64)
    picture_of[good] = ranks[inverse]
    taken = pa.array(good[firsts[order]])
    place, camera, meta = _places(deployment.take(taken), deployments)
    table = picture_table(
        items=rows.items.take(taken), ids=ids.take(taken), paths=paths.take(taken),
        columns={
            "location": place, "camera": camera, "event": rows.column("sequence_id").take(taken),
            "time": rows.column("timestamp").take(taken), "licence": rows.column("license").take(taken),
        },
        meta={"deployment": deployment.take(taken), "project": rows.column("project_id").take(taken), **meta},
    )  # fmt: skip
    return table, picture_of


def _paths(rows: _Rows, root: Path | None) -> pa.Array:
    """Returns where the pictures are: those that are below the root there, the others where the platform has them."""
    names, addresses = rows.column("filename"), rows.column("location")
    if root is None:
        return pc.coalesce(addresses, names)
    deployments = rows.column("deployment_id")
    folders = {one.name for one in root.iterdir() if one.is_dir()} if root.is_dir() else set()
    in_folders = bool(folders & set(pc.unique(deployments).to_pylist()))
    copies = pc.binary_join_element_wise(deployments, names, "/") if in_folders else names
    absent = absent_files(root, pc.drop_null(pc.unique(copies)).to_pylist())
    elsewhere = pc.and_(
        pc.is_in(copies, pa.array(sorted(absent), pa.string())), pc.match_substring_regex(addresses, "^" + URL.pattern)
    )
    return pc.coalesce(pc.if_else(pc.fill_null(elsewhere, False), addresses, copies), addresses)


def _places(ids: pa.Array, deployments: TableColumns | None) -> tuple[pa.Array, pa.Array | None, dict[str, pa.Array]]:
    """Returns location, camera and further facts of each picture by its deployment."""
    if deployments is None:
        return ids, None, {}
    rows = pc.index_in(ids, value_set=deployments.required("deployment_id"))
    location = pc.coalesce(deployments.column("placename").take(rows), ids)
    meta = {name: deployments.column(name).take(rows) for name in ("latitude", "longitude")}
    return location, deployments.column("camera_id").take(rows), meta


def _labels(rows: _Rows, names: str) -> dict[str, pa.Array]:
    """Returns label type → class of each row; null where it is missing."""
    species = rows.column("common_name") if names == "common" else _scientific(rows)
    group = pc.utf8_lower(pc.fill_null(rows.column("class"), ""))
    unknown = pc.is_in(group, pa.array(sorted(NOT_CLASSIFIED)))
    species = pc.if_else(unknown, pa.scalar(None, pa.string()), species)
    blank = _is_true(rows.column("is_blank"))
    species = pc.if_else(pa.array(blank), BLANK, species)
    counts = pc.if_else(pa.array(blank), pa.scalar(None, pa.string()), binned(rows.column("number_of_objects")))
    labels = {SPECIES: species, "count": counts, "lifeStage": rows.column("age"), "sex": rows.column("sex")}
    labels["behavior"] = rows.column("behavior")
    return {name: column for name, column in labels.items() if name == SPECIES or column.null_count < len(column)}


def _scientific(rows: _Rows) -> pa.Array:
    """Returns genus and species, else the lowest rank that is named."""
    genus = rows.column("genus")
    both = pc.binary_join_element_wise(genus, rows.column("species"), " ")
    return pc.coalesce(
        both, genus, rows.column("family"), rows.column("order"), rows.column("class"), rows.column("common_name")
    )


def _is_true(column: pa.Array) -> Flags:
    """Returns which cells say yes."""
    return np.asarray(pc.fill_null(pc.is_in(pc.utf8_lower(column), pa.array(_TRUE)), False), bool)
