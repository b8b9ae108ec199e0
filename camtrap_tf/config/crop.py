"""Settings of crops: which boxes are cut out of their pictures, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from camtrap_tf.config.base import LoggedConfig
from camtrap_tf.config.names import CropStrategy, TruncatedPolicy

BoxSource = Literal["auto", "cct", "megadetector"]


class CropConfig(LoggedConfig):
    """Cut boxes out of pictures: those of a COCO Camera Traps file, or of MegaDetector results."""

    path: Path = Field(description="COCO Camera Traps file or MegaDetector results (.json)")
    output_dir: Path = Field(description="folder for the crops, crops.csv, rejects.csv and crops.json (the settings)")
    image_root: Path = Field(Path(), description="folder that picture paths are relative to")
    boxes_from: BoxSource = Field("auto", description="what the file is: cct, megadetector, or auto: told from its content")

    crop_strategy: CropStrategy = Field(
        "square",
        description="square: a square window around the box with what is around the animal; pad: the box alone on a black "
        "square; tight: the box alone",
    )
    legacy_geometry: bool = Field(
        False,
        description="windows pixel for pixel as the classic programs cut them: squares at the right and lower edge are filled "
        "with black",
    )
    quality: int = Field(90, ge=1, le=100, description="JPEG quality of the crops")

    threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        description="leave out boxes that are less sure than this; default: what the MegaDetector file recommends, else 0.2; "
        "0 for COCO Camera Traps",
    )
    categories: tuple[str, ...] = Field(
        (), description="only boxes of these categories; default: animal where MegaDetector results have that, else all"
    )
    detector_name: str | None = Field(
        None, description="detector in the names of crops; default: as the MegaDetector results say, else unknown"
    )

    truncated: TruncatedPolicy = Field("reject", description="pictures cut off in the middle: reject, or recover what is there")
    max_pixels: int = Field(100_000_000, ge=1, description="larger pictures are rejected")
    max_rejected_share: float = Field(
        0.05, ge=0, le=1, description="end with exit code 3 above this share of rejected pictures, or of boxes; crops are kept"
    )
    check_crops_valid: bool = Field(False, description="decode crops that are there already, to see whether they are whole")
    workers: int | None = Field(None, ge=1, description="worker processes; default: one per core")
    overwrite: bool = Field(False, description="replace crops of other settings in the folder")
    dry_run: bool = Field(False, description="say what would be cut, write nothing")
