"""Settings of training, prediction and evaluation straight from COCO Camera Traps files or a classification table."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from camtrap_tf.config.base import LoggedConfig, Seed, StageConfig
from camtrap_tf.config.dataset import DEFAULT_SIDE_SMALLEST_PX
from camtrap_tf.config.training import TrainingConfig

FilesKind = Literal["cct", "table"]


class SplitFilesConfig(StageConfig):
    """Which files say what is in each split, and where its pictures are."""

    train_cct: Path | None = Field(
        None,
        description="COCO Camera Traps file of the training split, or, without --val-cct, of everything: split by location "
        "then; classes by their order in it",
    )
    val_cct: Path | None = Field(None, description="COCO Camera Traps file of the validation split")
    test_cct: Path | None = Field(None, description="COCO Camera Traps file of the test split, for the best model at the end")
    classification_csv: Path | None = Field(
        None, description="instead of these: table of crops (classification_ds.csv); classes by --label-index"
    )
    splits: Path | None = Field(None, description="splits.json of the table; default: beside it")
    label_index: Path | None = Field(
        None, description="label_index.json of the table; default: beside it, else classes in the order of their names"
    )
    split_percent: tuple[float, ...] = Field(
        (0.9, 0.05, 0.05),
        min_length=3,
        max_length=3,
        description="with --train-cct alone: share of train, val and test; equal --seed, equal splits",
    )
    crops_dir: Path | None = Field(None, description="folder that picture paths in these files are relative to")
    num_classes: int | None = Field(None, ge=1, description="how many classes these files should have; others are an error")

    @model_validator(mode="after")
    def _check_files(self) -> Self:
        documents = {"--train-cct": self.train_cct, "--val-cct": self.val_cct, "--test-cct": self.test_cct}
        given = [flag for flag, path in documents.items() if path is not None]
        if self.classification_csv is not None:
            if given:
                raise ValueError(f"{given[0]} and --classification-csv exclude each other; give one")
        elif self.train_cct is None:
            raise ValueError("give --train-cct, alone or with --val-cct, or --classification-csv")
        elif self.val_cct is None and self.test_cct is not None:
            raise ValueError("--test-cct goes with --val-cct; --train-cct alone is split into train, val and test")
        if "split_percent" in self.model_fields_set and not self.splits_itself:
            raise ValueError("--split-percent is for --train-cct alone; the other files say themselves what is in each split")
        if not math.isclose(sum(self.split_percent), 1.0, abs_tol=1e-6) or min(self.split_percent) < 0:
            raise ValueError(f"--split-percent {' '.join(map(str, self.split_percent))} does not add up to 1")
        if not self.split_percent[0] or not self.split_percent[1]:
            raise ValueError("--split-percent: train and val both need a share; only that of test may be 0")
        for flag, path in (("--splits", self.splits), ("--label-index", self.label_index)):
            if path is not None and self.classification_csv is None:
                raise ValueError(f"{flag} goes with --classification-csv; COCO Camera Traps files say that themselves")
        if self.crops_dir is None:
            raise ValueError("--crops-dir is missing: the folder that picture paths in these files are relative to")
        return self

    @property
    def splits_itself(self) -> bool:
        """Whether there is one COCO Camera Traps file, to be split by location."""
        return self.train_cct is not None and self.val_cct is None


class TrainFilesConfig(TrainingConfig, SplitFilesConfig):
    """Train straight from COCO Camera Traps files (one per split, or one to be split), or a table of crops."""

    labels: tuple[str, ...] = Field(
        ("species",), min_length=1, max_length=1, description="name of the label type that these files' classes are of"
    )
    image_save_side_smallest: int = Field(
        DEFAULT_SIDE_SMALLEST_PX,
        ge=16,
        le=8192,
        description="pictures are kept in run/cache with a smaller side of at most this, in px; the model's input if larger",
    )
    image_save_quality: int = Field(90, ge=1, le=100, description="JPEG quality in run/cache")
    max_rejected_share: float = Field(0.05, ge=0, le=1, description="stop (exit code 3) above this share of rejected pictures")
    workers: int | None = Field(None, ge=1, description="worker processes that fill run/cache; default: one per core")


class PredictSplitConfig(LoggedConfig):
    """Classify whole splits of the files that a run was trained from, and measure: results JSON, tables, metrics."""

    run: Path = Field(description="run folder of `camtrap train` with such files")
    split: tuple[str, ...] = Field(("test",), min_length=1, description="splits to classify: train, val, test")
    checkpoint: str = Field(
        "best", min_length=1, description="epoch (200, 200.pt, ckpt_200.pt), best, last, or path of a bundle or model file"
    )
    output_dir: Path | None = Field(None, description="folder for the results; default: predictions/ beside the run folder")
    cct: Path | None = Field(None, description="COCO Camera Traps file to classify as the one --split; default: as in training")
    classification_csv: Path | None = Field(
        None, description="table of crops to classify --split of, with splits.json beside it; default: as in training"
    )
    crops_dir: Path | None = Field(None, description="folder of its pictures; default: as in training")
    target_mapping: Path | None = Field(
        None, description="JSON, target → labels: measure on other, coarser classes; what is in none becomes `other`"
    )
    target_index: Path | None = Field(None, description="label_index.json with the order of these targets; default: by name")
    batch_size: int = Field(128, gt=0, description="pictures at once")
    n_cpus: int | None = Field(None, ge=1, description="threads that read and decode; default: one per core")
    n_gpus: Literal["auto"] | int = Field("auto", description="how many GPUs; 0: the CPU")
    dry_run: bool = Field(False, description="say what would be read, written and refused; write nothing, load no model")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self.split)) < len(self.split):
            raise ValueError("--split names a split twice")
        for name in self.split:
            if not name or name.startswith(".") or any(letter in name for letter in "/\\\0\n\r"):
                raise ValueError(f"--split {name!r} cannot begin the name of a file")
        if self.cct is not None and len(self.split) > 1:
            raise ValueError("--cct is one split; give one --split with it")
        if self.cct is not None and self.classification_csv is not None:
            raise ValueError("--cct and --classification-csv exclude each other; give one")
        if self.target_index is not None and self.target_mapping is None:
            raise ValueError("--target-index does nothing without --target-mapping; add it")
        return self


class EvaluateResultsConfig(LoggedConfig):
    """Show what a results file gets right and wrong, as a page, tables and sheets of pictures."""

    results: Path = Field(description="<split>_results.json, as `camtrap predict --split` or Animl's predict.py writes it")
    cct: Path = Field(description="COCO Camera Traps file of that split: names of the classes, locations, original pictures")
    crops_dir: Path | None = Field(
        None, description="folder of the pictures; default: paths are used as the results file has them"
    )
    output_dir: Path = Field(
        description="folder for report.html, report.json, results.csv, classes.csv, confusion.csv, locations.csv and sheets/"
    )
    top: int = Field(24, ge=0, le=100, description="pictures on a sheet; 0: no sheets")
    confusions: int = Field(10, ge=0, le=200, description="sheets of mistakes: the most frequent pairs of classes")
    classes: tuple[str, ...] = Field((), description="only sheets of these classes; default: all")
    locations: tuple[str, ...] = Field((), description="only pictures of these locations")
    path_contains: str | None = Field(None, min_length=1, description="only pictures with this in their path")
    samples: int = Field(0, ge=0, le=500, description="pictures on a sheet of a seeded sample of each class; 0: none")
    seed: Seed = Field(0, description="seed of the samples; equal seeds choose equally")
    dry_run: bool = Field(False, description="say what would be read, written and refused; write nothing")
