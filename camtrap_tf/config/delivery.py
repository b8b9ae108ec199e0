"""Settings of what happens to a trained bundle: predict, evaluate, export, serve."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from camtrap_tf.config.base import BOXES_ARE, BoxNumbers, LoggedConfig, StageConfig
from camtrap_tf.config.crop import BoxSource
from camtrap_tf.config.names import Aggregation, CropStrategy
from camtrap_tf.config.predictions_out import ExportFormsConfig


class PicturesConfig(LoggedConfig):
    """Which pictures are classified, with which bundle, and where the table goes."""

    model_path: Path = Field(description="bundle folder (or a model file with its two JSON files)")
    results_file: Path = Field(description="table to write")
    export_file_type: Literal["csv", "json", "class-columns"] | None = Field(
        None,
        description="form of the table; default: by its suffix, else csv; class-columns: CSV with path and a column per class, "
        "as MegaDetector's run_classifier writes it",
    )
    image_dir: Path | None = Field(None, description="folder of pictures, searched through")
    csv_path: Path | None = Field(None, description="CSV of records, instead of --image-dir")
    csv_images_root_path: Path | None = Field(None, description="folder that picture paths of the CSV are relative to")
    csv_id_col: str | None = Field(None, description="column with the id of the record")
    csv_images_cols: tuple[str, ...] = Field((), description="columns with picture paths")
    detections: Path | None = Field(
        None,
        description="MegaDetector results (or a COCO Camera Traps file): every box of the pictures below --image-dir is "
        "classified, instead of whole pictures",
    )
    boxes_from: BoxSource = Field(
        "auto", description="with --detections: what the file is: cct, megadetector, or auto: told from its content"
    )
    boxes: BoxNumbers = Field(
        "pixels",
        description=f"with a COCO Camera Traps file as --detections: {BOXES_ARE}; MegaDetector results are always relative",
    )
    threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        description="with --detections: boxes less sure than this are left out; default: what the file "
        "recommends, else 0.2; 0 for COCO Camera Traps",
    )
    detection_categories: tuple[str, ...] = Field(
        (), description="with --detections: only boxes of these categories; default: animal where that is one, else all"
    )
    crop_strategy: CropStrategy | None = Field(
        None, description="with --detections: square (default), pad or tight; as the training crops were cut"
    )
    crop_legacy_geometry: bool = Field(
        False, description="with --detections: windows pixel for pixel as the classic programs cut them"
    )
    class_mapping_json: Path | None = Field(None, description="label mapping; default: the bundle's")
    pre_processing_json: Path | None = Field(None, description="image processing; default: the bundle's")
    batch_size: int = Field(128, gt=0, description="pictures at once")
    aggregation_mode: Aggregation | None = Field(
        None, description="how the answers to an event's frames become one; default: as the bundle says"
    )
    max_rejected_share: float = Field(
        0.05,
        ge=0,
        le=1,
        description="end with exit code 3 above this share of records, or of pictures, that cannot be used; answers are kept",
    )
    legacy_format: bool = Field(False, description="write camera-trap-classifier's CSV or JSON exactly")
    n_cpus: int | None = Field(None, ge=1, description="threads that read and decode; default: one per core")
    n_gpus: Literal["auto"] | int = Field("auto", description="how many GPUs; 0: the CPU")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.image_dir is None) == (self.csv_path is None):
            raise ValueError("give one of --image-dir and --csv-path")
        if self.csv_path is not None and (not self.csv_id_col or not self.csv_images_cols):
            raise ValueError("--csv-path needs --csv-id-col and --csv-images-cols")
        if self.detections is not None and self.image_dir is None:
            raise ValueError("--detections goes with --image-dir: the folder that its picture paths are relative to")
        if self.export_file_type == "class-columns" and self.image_dir is None:
            raise ValueError("--export-file-type class-columns has a row per picture or box: it goes with --image-dir")
        if self.export_file_type == "class-columns" and self.legacy_format:
            raise ValueError("--export-file-type class-columns and --legacy-format are two forms; leave one out")
        of_boxes = {
            "--boxes-from": self.boxes_from != "auto",
            "--boxes": self.boxes != "pixels",
            "--threshold": self.threshold is not None,
            "--detection-categories": bool(self.detection_categories),
            "--crop-strategy": self.crop_strategy is not None,
            "--crop-legacy-geometry": self.crop_legacy_geometry,
        }
        for flag, wanted in of_boxes.items():
            if wanted and self.detections is None:
                raise ValueError(f"{flag} goes with --detections: the boxes to classify")
        of_csv = {
            "--csv-id-col": self.csv_id_col,
            "--csv-images-cols": self.csv_images_cols,
            "--csv-images-root-path": self.csv_images_root_path not in (None, Path()),
        }
        for flag, given in of_csv.items():
            if self.image_dir is not None and given:
                raise ValueError(f"{flag} goes with --csv-path, not with --image-dir; leave it out")
        return self


class PredictConfig(ExportFormsConfig, PicturesConfig):
    """Classify the pictures of a folder or a CSV with a bundle."""

    dry_run: bool = Field(False, description="say what would be read, written and refused; write nothing, load no model")


class EvaluateConfig(LoggedConfig):
    """Measure a bundle on labelled shards; writes report.json and report.html."""

    model_path: Path = Field(description="bundle folder")
    tfr_path: tuple[Path, ...] = Field(min_length=1, description="folders with labelled shards")
    tfr_pattern: tuple[str, ...] = Field(("test",), description="splits to measure on")
    pattern_is_substring: bool = Field(False, description="patterns are parts of file names instead of split names")
    output_dir: Path = Field(description="folder for report.json and report.html")
    batch_size: int = Field(128, gt=0, description="pictures at once")
    aggregation_mode: Aggregation | None = Field(
        None, description="how the answers to an event's frames become one; default: as the bundle says"
    )
    dry_run: bool = Field(False, description="say what would be read, written and refused; write nothing, load no model")


class ExportConfig(LoggedConfig):
    """Make a SavedModel for TensorFlow Serving from a bundle."""

    model: Path = Field(description="bundle folder")
    output_dir: Path = Field(description="folder of versions: the model goes to <output-dir>/<number>/")
    version: int | None = Field(None, ge=1, description="version number; default: one above the highest there is")
    class_mapping_json: Path | None = Field(None, description="label mapping; default: the bundle's")
    pre_processing_json: Path | None = Field(None, description="image processing; default: the bundle's")
    dry_run: bool = Field(False, description="say what would be read, written and refused; write nothing, load no model")


class ServeConfig(StageConfig):
    """Answer over HTTP from an exported SavedModel."""

    log_outdir: Path | None = Field(None, description="folder for run_info.log and run_debug.log; default: no log files")
    saved_model: Path = Field(description="export folder: <number>/ or the folder of versions (the highest is served)")
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8080, ge=0, le=65535, description="port to listen on; 0: a free one")
    api_keys: Path | None = Field(None, description="text file, a key a line: who may identify; default: everybody")
    vernacular_names: Path | None = Field(
        None, description="CSV with the columns class, lang and name: what clients that send lang=… get as vernacularName"
    )
    max_upload_mb: int = Field(50, ge=1, description="larger requests are refused")
    max_images: int = Field(20, ge=1, description="pictures per request at most")
    max_pixels: int = Field(100_000_000, ge=1, description="larger pictures are refused")


class DemoConfig(StageConfig):
    """Walk the drawn sample through every stage: sample, inventory, shards, model, report, predictions, export, service."""

    output_dir: Path = Field(Path("demo"), description="folder for everything that is made")
    events: int = Field(1000, ge=60, description="how many capture events to draw")
    max_epochs: int = Field(10, ge=1, description="epochs to train for")
    seed: int = Field(7, description="seed of sample and training")
