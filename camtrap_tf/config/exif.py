"""Settings of what is done with the EXIF of pictures: looking at it, and a serial number put into copies."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from camtrap_tf.config.base import StageConfig


class ExifCheckConfig(StageConfig):
    """List what the EXIF of the JPEGs in a folder says: time, camera, serial number, comment; and their sizes."""

    path: Path = Field(description="folder; folders below it are looked into, too")
    output: Path = Field(description="table to write (.csv), a row per picture; what cannot be read is in <name>.rejects.csv")
    too_big_bytes: int = Field(4_000_000, ge=1, description="larger files are marked file_too_big")
    max_rejected_share: float = Field(
        1.0, ge=0, le=1, description="write nothing and stop (exit code 3) above this share of pictures that cannot be read"
    )
    workers: int = Field(8, ge=1, le=64, description="files that are read at the same time")
    dry_run: bool = Field(False, description="say what would be looked at, write nothing")


class ExifSetConfig(StageConfig):
    """Write serial numbers of cameras, from a table, into copies of pictures; the pictures themselves stay as they are."""

    path: Path = Field(description="CSV table with a picture and its serial number per row, such as `exif check` writes")
    output_dir: Path = Field(description="folder for the copies, exif.csv and rejects.csv")
    path_column: str = Field("absolute_path", description="column with the paths of pictures")
    serial_column: str = Field("serial_number", description="column with serial numbers; empty or 'unknown': no copy is made")
    image_root: Path | None = Field(
        None,
        description="folder that relative paths are from, and whose sub-folders copies keep; default: that all are in",
    )
    max_rejected_share: float = Field(
        0.05, ge=0, le=1, description="end with exit code 3 above this share of rejected rows; copies are kept"
    )
    workers: int = Field(8, ge=1, le=64, description="files that are read and written at the same time")
    overwrite: bool = Field(False, description="replace other files of the same names in the folder")
    dry_run: bool = Field(False, description="say what would be written, write nothing")
