"""Settings of classification data sets: crops with their labels, split by location."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from camtrap_tf.config.base import Seed, StageConfig
from camtrap_tf.config.inventory import InventoryConfig
from camtrap_tf.config.splits import SplitScore

Mode = Literal["csv", "cct", "splits"]
DealMethod = Literal["random", "smallest_first"]


class ClassificationConfig(StageConfig):
    """Make a classification data set of crops: table, label index, splits, COCO Camera Traps files."""

    output_dir: Path = Field(description="folder for classification_ds.csv, label_index.json, splits.json and the rest")
    mode: tuple[Mode, ...] = Field(
        (),
        description="what to make: csv (table and label index), cct (needs --cct), splits; default: all that the input allows; "
        "splits alone takes the table that lies there",
    )
    cct: Path | None = Field(None, description="COCO Camera Traps file whose annotations were cropped")
    queried_images: Path | None = Field(None, description="queried_images.json whose pictures were cropped")
    crops_dir: Path | None = Field(None, description="folder of crops; crops that are not there are left out")
    check_crops_valid: bool = Field(False, description="leave out crops that cannot be read, too")
    detections_dir: Path | None = Field(
        None, description="with --queried-images: folder v<version>/<data set>.json of MegaDetector results"
    )
    detector_version: str | None = Field(None, description="version of the detector, e.g. 5b")
    threshold: float = Field(0.8, ge=0, le=1, description="detections that are less sure are left out; drawn boxes never are")
    dataset: str = Field("combined", min_length=1, description="data set of images that name none")
    label_spec: Path | None = Field(None, description="label specification (.csv or .json): which class becomes which label")
    taxonomy: Path | None = Field(None, description="CSV dataset_name,query,<levels>: what is in the taxa of --label-spec")
    max_rejected_share: float = Field(
        1.0, ge=0, le=1, description="write nothing and stop (exit code 3) above this share of boxes without a usable crop"
    )
    min_locs: int = Field(1, ge=1, description="leave out labels that stand at fewer locations, everywhere")
    prune_categories: bool = Field(False, description="leave out categories without crops from the COCO Camera Traps files")

    val_frac: float | None = Field(None, gt=0, lt=1, description="share of val, for splits")
    test_frac: float | None = Field(None, ge=0, lt=1, description="share of test, for splits; or --match-test")
    match_test: tuple[Path, ...] = Field(
        (), description="classification_ds.csv and splits.json of an earlier data set, whose test split is taken over"
    )
    method: DealMethod = Field(
        "random", description="best of many random draws and a search, or class by class, smallest first"
    )
    split_score: SplitScore = Field("animl", description="score of a splitting: 'ms' without, 'animl' with the mix of classes")
    split_draws: int = Field(10_000, ge=1, le=10_000_000, description="random draws")
    split_jitter: float = Field(0.03, ge=0, le=0.5, description="how far a draw's share of locations may be off")
    seed: Seed = Field(0, description="equal seeds choose and split equally")
    dry_run: bool = Field(False, description="say what would be written, write nothing")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.cct is not None and self.queried_images is not None:
            raise ValueError("--cct and --queried-images: give one of them")
        makes_rows = "csv" in self.modes or "cct" in self.modes
        if makes_rows and self.cct is None and self.queried_images is None:
            raise ValueError(
                "give --cct or --queried-images: what was cropped (or --mode splits for the table that lies there)"
            )
        if "cct" in self.modes and self.cct is None:
            raise ValueError("--mode cct needs --cct: the COCO Camera Traps file whose annotations were cropped")
        if self.queried_images is not None and self.crops_dir is None:
            raise ValueError("--queried-images needs --crops-dir: only crops that are there are listed")
        if self.check_crops_valid and self.crops_dir is None:
            raise ValueError("--check-crops-valid needs --crops-dir")
        if self.detector_version is not None and self.detections_dir is None:
            raise ValueError("--detector-version does nothing without --detections-dir; add it")
        if self.taxonomy is not None and self.label_spec is None:
            raise ValueError("--taxonomy does nothing without --label-spec; add it")
        self._check_splits()
        return self

    def _check_splits(self) -> None:
        """Makes sure that the shares of the splits go together; raises ValueError."""
        if "splits" not in self.modes:
            return
        if self.val_frac is None:
            raise ValueError("splits need --val-frac: the share of val, e.g. 0.2")
        if (self.test_frac is None) == (not self.match_test):
            raise ValueError("splits need either --test-frac (the share of test, 0 for none) or --match-test")
        if self.match_test and len(self.match_test) != 2:
            raise ValueError("--match-test takes two files: classification_ds.csv and splits.json of the earlier data set")
        if self.val_frac + (self.test_frac or 0) >= 1:
            raise ValueError(f"--val-frac {self.val_frac} and --test-frac {self.test_frac} leave nothing for train")

    @property
    def modes(self) -> tuple[Mode, ...]:
        """What to make: as asked for, else all that the input allows."""
        if self.mode:
            return self.mode
        return ("csv", "cct", "splits") if self.cct is not None else ("csv", "splits")


class ClassificationInspectConfig(StageConfig):
    """Show what the splits of a classification data set hold, and what is too little."""

    path: Path = Field(description="folder of the data set, or its classification_ds.csv")
    splits: Path | None = Field(None, description="splits.json; default: beside the table")
    compare: Path | None = Field(None, description="another splits.json: locations that it has in other splits are listed")
    crops_dir: Path | None = Field(None, description="folder of crops, for examples on the page (needs --output-dir)")
    examples: int = Field(5, ge=0, le=100, description="crops to show per label")
    output_dir: Path | None = Field(None, description="folder for inspection.html and the tables as CSV")
    seed: Seed = Field(0, description="seed of the examples")


class QueriedImagesConfig(StageConfig):
    """Make queried_images.json of a COCO Camera Traps file or of MegaDetector results."""

    path: Path = Field(description="COCO Camera Traps file or MegaDetector results (.json); which of them it says itself")
    dataset: str | None = Field(None, description="name of the data set, for pictures that name none; needed where some do not")
    output: Path | None = Field(None, description="file to write; default: <name>_queried_images.json beside the input")
    keep_several: bool = Field(False, description="keep pictures with several boxes; else only those with exactly one")
    image_root: Path | None = Field(None, description="folder of the pictures, to read width and height that are not given")
    dry_run: bool = Field(False, description="say what would be written, write nothing")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.dataset is not None and (not self.dataset or "/" in self.dataset):
            raise ValueError(f"--dataset {self.dataset!r}: a data set is named without slashes")
        return self


class LabelSpecConfig(StageConfig):
    """Turn a label specification from CSV into JSON or back, checking it."""

    path: Path = Field(description="label specification (.csv or .json)")
    output: Path = Field(description="file to write, .json or .csv")
    dry_run: bool = Field(False, description="say what would be written, write nothing")

    @model_validator(mode="after")
    def _check(self) -> Self:
        for flag, path in (("--path", self.path), ("--output", self.output)):
            if path.suffix.lower() not in (".csv", ".json"):
                raise ValueError(f"{flag} {path}: its name has to end in .csv or .json")
        return self


class ClassificationCsvInventoryConfig(InventoryConfig):
    """Read the table of a classification data set: a record per crop."""

    splits: Path | None = Field(None, description="splits.json; each record then says its split (meta data split_name)")
    label: str = Field("species", min_length=1, description="label type of the labels")


class QueriedImagesInventoryConfig(InventoryConfig):
    """Read a queried_images.json: a record per picture."""

    label: str = Field("species", min_length=1, description="label type of the labels")
