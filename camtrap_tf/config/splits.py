"""Settings of splitting: what stays whole, which share goes where, what of an earlier splitting is kept."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from camtrap_tf.config.base import LoggedConfig, Seed

SplitScore = Literal["animl", "ms"]
SplitMethod = Literal["auto", "scored", "smallest_first", "dealt"]
Duplicates = Literal["exact", "perceptual", "off"]

RECORD_BY_RECORD = "none"
"""The group field that means: no groups."""


class SplitSettings(LoggedConfig):
    """What all commands share that split an inventory."""

    inventory: Path = Field(description="inventory (.json or .parquet)")
    image_root_path: Path | None = Field(None, description="folder that picture paths are relative to")

    split_names: tuple[str, ...] = Field(("train", "val", "test"), min_length=1, description="names of the splits")
    split_percent: tuple[float, ...] = Field((0.9, 0.05, 0.05), min_length=1, description="share of each split; together 1")
    split_by_meta: str | None = Field(None, description="meta data field whose value is the split")
    split_group: str = Field(
        "auto",
        description="meta data field whose groups stay in one split; 'auto': location, else sequence or event, "
        "where known; 'none': every record by itself",
    )
    split_method: SplitMethod = Field(
        "auto",
        description="how groups are dealt: 'scored' (best of many random draws, then a search), 'smallest_first' (class by "
        "class), 'dealt' (one by one in hash order); 'auto': scored for locations, else dealt",
    )
    split_label: tuple[str, ...] = Field(
        (), description="label types whose classes are spread over the splits; default: species, class … if there, else all"
    )
    split_score: SplitScore = Field("animl", description="score of a splitting: 'ms' without, 'animl' with the mix of classes")
    split_draws: int = Field(10_000, ge=1, le=10_000_000, description="random draws that the scored method begins with")
    split_jitter: float = Field(0.03, ge=0, le=0.5, description="how far a draw's share of groups may be off")
    duplicates: Duplicates = Field(
        "exact",
        description="groups that share a picture stay together: 'exact' (same bytes), 'perceptual' (nearly the same "
        "picture too), 'off'",
    )
    max_group_share: float = Field(
        0.2, gt=0, le=1, description="stop where duplicates join groups to more than this share of the records"
    )
    keep_splits: Path | None = Field(
        None, description="splits.json or splits.csv of an earlier splitting; its groups stay where they are"
    )
    match_test: Path | None = Field(
        None, description="splits.json or splits.csv of an earlier splitting; its test split is taken as it is"
    )
    min_locs: int = Field(1, ge=1, description="leave out classes of --split-label that are in fewer groups than this")

    @model_validator(mode="after")
    def _check_splits(self) -> Self:
        if self.split_by_meta is None:
            self._check_shares()
        for flag, needless in (
            ("--keep-splits", self.keep_splits is not None),
            ("--match-test", self.match_test is not None),
            ("--min-locs", self.min_locs > 1),
            (f"--split-method {self.split_method}", self.split_method != "auto"),
            ("--duplicates perceptual", self.duplicates == "perceptual"),
        ):
            if needless and self.split_group == RECORD_BY_RECORD and self.split_by_meta is None:
                raise ValueError(f"{flag} is about groups, which --split-group none gives up; leave one of them out")
        if self.split_by_meta is not None and (self.keep_splits or self.match_test or self.split_method != "auto"):
            raise ValueError("--split-by-meta says the splits; leave out --split-method, --keep-splits and --match-test")
        if self.split_method == "dealt" and (self.keep_splits or self.match_test):
            raise ValueError(
                "--split-method dealt cannot keep earlier splits; take scored or smallest_first, or leave out "
                "--keep-splits and --match-test"
            )
        return self

    def _check_shares(self) -> None:
        """Makes sure that splits and shares go together; raises ValueError."""
        if len(self.split_names) != len(self.split_percent):
            raise ValueError(
                f"--split-names has {len(self.split_names)} entries and --split-percent {len(self.split_percent)}; "
                "give one share per split"
            )
        for name in self.split_names:
            if not name or name.startswith(".") or any(character in name for character in "/\\\0\n\r"):
                raise ValueError(f"--split-names: {name!r} cannot begin the name of a shard")
        if len(set(self.split_names)) != len(self.split_names):
            raise ValueError("--split-names has a name twice")
        if min(self.split_percent) < 0 or not math.isclose(sum(self.split_percent), 1.0, abs_tol=1e-6):
            raise ValueError(f"--split-percent {' '.join(map(str, self.split_percent))} does not add up to 1")

    @property
    def split_shares(self) -> tuple[tuple[str, float], ...]:
        """The splits with their shares, those of 0 left out."""
        pairs = zip(self.split_names, self.split_percent, strict=True)
        return tuple((name, share) for name, share in pairs if share > 0)


class SplitConfig(SplitSettings):
    """Split an inventory so that no place, event or picture is on two sides, and show what each split holds."""

    output_dir: Path = Field(
        description="folder for the inventory with its splits, splits.csv, splits.json, leakage.json and the table of classes"
    )
    split_field: str = Field("split", min_length=1, description="meta data field of the new inventory that says the split")
    max_pixels: int = Field(100_000_000, ge=1, description="larger pictures are not compared (--duplicates perceptual)")
    workers: int | None = Field(None, ge=1, description="worker processes; default: one per core")
    seed: Seed = Field(123, description="equal seeds split equally")
    dry_run: bool = Field(False, description="say what would be split, without reading pictures or writing, and stop")
