"""Settings of the inventory builders, one model per source."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from camtrap_tf.config.base import LoggedConfig, StageConfig
from camtrap_tf.config.names import MISSING_TOKENS, RowsAre


class InventoryConfig(LoggedConfig):
    """What every inventory builder takes."""

    path: Path = Field(description="what to read")
    export_path: Path = Field(description="inventory to write: .json, or .parquet for large ones")
    discard_missing: bool = Field(False, description="drop records in which any observation misses any label")
    plain: bool = Field(False, description="write only labels, images and meta_data (camera-trap-classifier's keys)")
    dry_run: bool = Field(False, description="read everything, say the counts and what would be written, write nothing")


class CsvInventoryConfig(InventoryConfig):
    """Read a CSV table with a header."""

    capture_id_field: str = Field(description="column with the id of the capture event")
    image_fields: tuple[str, ...] = Field(min_length=1, description="columns with picture paths, in time order")
    label_fields: tuple[str, ...] = Field(min_length=1, description="columns with labels")
    meta_data_fields: tuple[str, ...] = Field((), description="columns to keep as meta data, e.g. location")
    rows_are: RowsAre = Field(
        "observations",
        description="what rows of one id add: 'observations' to pictures that agree, or 'images' of one observation",
    )
    missing_tokens: tuple[str, ...] = Field(MISSING_TOKENS, description="label cells that mean: missing")
    count_fields: tuple[str, ...] = Field((), description="label columns to bin as counts: 0 … 10, 11-50, 51+")


class FolderInventoryConfig(InventoryConfig):
    """Read a folder that has one sub-folder per class; the label type is called class."""

    nested: bool = Field(False, description="look for pictures in sub-folders of the class folders too")


class JsonInventoryConfig(InventoryConfig):
    """Check an existing inventory and write it again."""


class PantheraInventoryConfig(InventoryConfig):
    """Read a Panthera CSV: species and binned counts."""

    capture_id_field: str = Field("image", description="column with the id of the capture event")
    image_fields: tuple[str, ...] = Field(("dir",), min_length=1, description="columns with picture paths")
    label_fields: tuple[str, ...] = Field(("species", "count"), min_length=1, description="columns with labels")
    meta_data_fields: tuple[str, ...] = Field((), description="columns to keep as meta data")


class InventoryMergeConfig(StageConfig):
    """Put several inventories together."""

    inventories: tuple[Path, ...] = Field(min_length=2, description="inventories to merge")
    export_path: Path = Field(description="inventory to write: .json or .parquet")
    plain: bool = Field(False, description="write only labels, images and meta_data (camera-trap-classifier's keys)")
    dry_run: bool = Field(False, description="read everything, say the counts and what would be written, write nothing")


class InventoryInspectConfig(StageConfig):
    """Show what an inventory holds: records, pictures, classes per label type."""

    inventory: Path = Field(description="inventory to look at (.json or .parquet)")
