"""Settings of crops: which boxes are cut out of their pictures, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from camtrap_tf.config.base import BOXES_ARE, BoxNumbers, LoggedConfig, OptionalProgram, Program
from camtrap_tf.config.names import CropStrategy, TruncatedPolicy

BoxSource = Literal["auto", "cct", "megadetector"]


class CropConfig(LoggedConfig):
    """Cut boxes out of pictures: those of a COCO Camera Traps file, or of MegaDetector results."""

    path: Path = Field(description="COCO Camera Traps file or MegaDetector results (.json)")
    output_dir: Path = Field(description="folder for the crops, crops.csv, rejects.csv and crops.json (the settings)")
    image_root: Path = Field(Path(), description="folder that picture paths are relative to")
    boxes_from: BoxSource = Field("auto", description="what the file is: cct, megadetector, or auto: told from its content")
    boxes: BoxNumbers = Field("pixels", description=f"{BOXES_ARE}; MegaDetector results are always relative")

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


class DetectConfig(LoggedConfig):
    """Run a MegaDetector that is installed beside this program over the pictures of an inventory."""

    inventory: Path = Field(description="inventory (.json or .parquet)")
    image_root_path: Path | None = Field(None, description="folder that picture paths are relative to")
    output: Path = Field(description="MegaDetector results to write (.json)")
    megadetector_python: Program = Field(
        "python", min_length=1, description="Python of the environment in which the package megadetector is installed"
    )
    megadetector_command: OptionalProgram = Field(
        None,
        description="program to run instead of that Python (./name: a file of this folder); it takes the arguments of "
        "run_detector_batch",
    )
    model: str = Field("MDV5A", min_length=1, description="detector: a file, or a name that the package knows")
    threshold: float = Field(0.005, ge=0, le=1, description="detections less sure than this are not even written down")
    checkpoint_every: int = Field(1000, ge=1, description="pictures after which the detector notes how far it is")
    timeout_hours: float | None = Field(None, gt=0, description="stop the detector after this time; default: never")
    max_rejected_share: float = Field(
        0.05, ge=0, le=1, description="end with exit code 3 above this share of pictures without an answer; results are kept"
    )
    overwrite: bool = Field(False, description="replace results of other pictures or settings")
    dry_run: bool = Field(False, description="say what would be run, run nothing")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.output.suffix.lower() != ".json":
            raise ValueError(f"--output {self.output}: its name has to end in .json")
        return self
