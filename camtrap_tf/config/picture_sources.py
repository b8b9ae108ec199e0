"""Settings of the inventory builders that read the standards of the camera-trap world, one model per source."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from camtrap_tf.config.base import BOXES_ARE, BoxNumbers
from camtrap_tf.config.inventory import InventoryConfig

RecordsAre = Literal["auto", "images", "events"]


class PictureSourceConfig(InventoryConfig):
    """What these builders share."""

    image_root: Path | None = Field(
        None, description="folder that picture paths are relative to; with it files are looked for, and times read from them"
    )
    records: RecordsAre = Field(
        "auto", description="a record per picture ('images') or per event ('events'); 'auto': as the labels are given"
    )
    event_gap_s: float = Field(
        60.0,
        gt=0,
        allow_inf_nan=False,
        description="pictures of one camera further apart, in s, are of two events where no event is named",
    )
    keep_remote: bool = Field(False, description="keep pictures that are only a URL, with the URL as path")
    max_rejected_share: float = Field(0.5, ge=0, le=1, description="stop (exit code 3) above this share of rejected pictures")


class CocoInventoryConfig(PictureSourceConfig):
    """Read a COCO Camera Traps or plain COCO file."""

    label_name: str = Field("species", min_length=1, description="label type that the categories are classes of")
    label_fields: tuple[str, ...] = Field(
        (), description="keys of annotations that are labels too; default: count, sex, age, behaviour … where they are there"
    )
    boxes: BoxNumbers = Field("pixels", description=BOXES_ARE)
    location_from_path: int = Field(
        0, ge=0, le=16, description="where a picture has no location: it is this many first folders of its path"
    )


class MegadetectorInventoryConfig(PictureSourceConfig):
    """Read MegaDetector results: what was detected, and classes where a classifier ran."""

    threshold: float | None = Field(
        None, ge=0, le=1, description="least confidence of a detection; default: what the file recommends, else 0.2"
    )
    classification_threshold: float | None = Field(
        None, ge=0, le=1, description="least confidence of a class; default: what the file recommends, else 0.5"
    )
    location_from_path: int = Field(
        0, ge=0, le=16, description="where a picture has no location: it is this many first folders of its path"
    )


class CamtrapDpInventoryConfig(PictureSourceConfig):
    """Read a Camtrap DP package (datapackage.json with deployments, media and observations)."""


class WildlifeInsightsInventoryConfig(PictureSourceConfig):
    """Read a Wildlife Insights download: the folder with images.csv and deployments.csv, or images.csv."""

    species_name: Literal["scientific", "common"] = Field("scientific", description="names that classes of species have")


class TimelapseInventoryConfig(PictureSourceConfig):
    """Read a CSV export of Timelapse."""

    label_fields: tuple[str, ...] = Field(
        (), description="columns with labels; default: Species, Count, Sex, Age, Behaviour … where they are there"
    )
    keep_label_names: bool = Field(
        False, description="label types are spelt as their columns; default: species, count … as from every other source"
    )
    count_fields: tuple[str, ...] = Field((), description="label columns to bin as counts; default: those called Count")
    meta_data_fields: tuple[str, ...] = Field((), description="columns to keep as meta data")
    location_from_path: int = Field(1, ge=0, le=16, description="the location is this many first folders of RelativePath")
