"""Settings of data set building: which records, which split, which stored form."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from camtrap_tf.config.base import Seed, StageConfig
from camtrap_tf.config.names import CropStrategy, TruncatedPolicy
from camtrap_tf.config.splits import SplitSettings

DEFAULT_SIDE_SMALLEST_PX = 500


class DatasetConfig(SplitSettings):
    """Turn an inventory into sharded TFRecords, split into train, val and test."""

    output_dir: Path = Field(description="folder for the shards, dataset.json and label_mapping.json")

    balanced_sampling_min: bool = Field(False, description="undersample every class to the rarest one, split by split")
    balanced_sampling_label: str | None = Field(None, description="label type to balance")
    remove_label_name: tuple[str, ...] = Field((), description="with --remove-label-value: drop records where this label …")
    remove_label_value: tuple[str, ...] = Field((), description="… has this class, pair by pair, exactly")
    keep_label_name: tuple[str, ...] = Field((), description="with --keep-label-value: keep only records where this label …")
    keep_label_value: tuple[str, ...] = Field((), description="… has this class (one pair is enough)")
    keep_multi_observation: bool = Field(False, description="keep records with several observations")

    crop: CropStrategy | None = Field(
        None,
        description="a record per box of the inventory instead of per record, the box cut out while shards are built: square, "
        "pad or tight, as camtrap crop does",
    )
    crop_legacy_geometry: bool = Field(
        False, description="with --crop: windows pixel for pixel as the classic programs cut them"
    )
    crop_threshold: float = Field(0.0, ge=0, le=1, description="with --crop: leave out boxes that are less sure than this")

    image_save_side_smallest: int | None = Field(
        None, ge=16, le=8192, description="shrink so that the smaller side is at most this, in px (default 500); never enlarges"
    )
    image_save_side_max: int | None = Field(
        None, ge=16, le=8192, description="shrink so that the larger side is at most this, in px"
    )
    image_save_quality: int = Field(90, ge=1, le=100, description="JPEG quality in the shards")
    truncated: TruncatedPolicy = Field("reject", description="pictures cut off in the middle: reject, or recover what is there")
    max_pixels: int = Field(100_000_000, ge=1, description="larger pictures are rejected")
    max_rejected_share: float = Field(0.05, ge=0, le=1, description="stop (exit code 3) above this share of rejected pictures")

    max_records_per_file: int = Field(5000, ge=1, description="records per shard at most")
    workers: int | None = Field(None, ge=1, description="worker processes; default: one per core")
    overwrite: bool = Field(False, description="replace shards of another plan")
    seed: Seed = Field(123, description="seed of sampling and of the order inside shards")
    dry_run: bool = Field(False, description="print the plan and stop")

    @property
    def side_smallest_px(self) -> int | None:
        """The limit on the smaller side that is in force: 500 px where neither limit is given."""
        if self.image_save_side_smallest is None and self.image_save_side_max is None:
            return DEFAULT_SIDE_SMALLEST_PX
        return self.image_save_side_smallest

    @model_validator(mode="after")
    def _check(self) -> Self:
        for what in ("remove", "keep"):
            names, values = getattr(self, f"{what}_label_name"), getattr(self, f"{what}_label_value")
            if len(names) != len(values):
                raise ValueError(
                    f"--{what}-label-name has {len(names)} entries and --{what}-label-value {len(values)}; they go in pairs"
                )
        if self.balanced_sampling_min and not self.balanced_sampling_label:
            raise ValueError("--balanced-sampling-min needs --balanced-sampling-label: the label type to balance")
        if self.crop is None and (self.crop_legacy_geometry or self.crop_threshold):
            raise ValueError("--crop-legacy-geometry and --crop-threshold go with --crop: square, pad or tight")
        if self.balanced_sampling_label and not self.balanced_sampling_min:
            raise ValueError("--balanced-sampling-label does nothing without --balanced-sampling-min; add it")
        return self


class DatasetInspectConfig(StageConfig):
    """Show what shards hold: records, pictures, classes; works on old shards without a manifest too."""

    path: Path = Field(description="folder with shards, or one shard")
    pattern: tuple[str, ...] = Field((), description="only shards of these splits")
    records: int = Field(0, ge=0, description="print this many records too")
    verify: bool = Field(False, description="check every checksum and digest, and decode every picture")


class LabelsMergeConfig(StageConfig):
    """Make one label mapping that covers several."""

    mappings: tuple[Path, ...] = Field(min_length=2, description="label mappings to merge")
    output: Path = Field(description="label mapping to write")
    dry_run: bool = Field(False, description="say what would be written, write nothing")
