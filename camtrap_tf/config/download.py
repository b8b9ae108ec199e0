"""Settings of the downloads, one model per kind of list."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from camtrap_tf.config.base import Seed, StageConfig


class DownloadConfig(StageConfig):
    """What every download takes."""

    output_dir: Path = Field(description="folder for the files; unfinished ones wait in .partial/ inside it")
    retry: Path | None = Field(None, description="failed.csv of an earlier run: fetch only what it lists")
    dry_run: bool = Field(False, description="say how many files and bytes there are to fetch, write nothing")
    connections: int = Field(32, ge=1, le=256, description="files that are fetched at the same time")
    per_host: int = Field(16, ge=1, le=256, description="of these, from one server")
    attempts: int = Field(6, ge=1, le=20, description="tries per file, with growing pauses or as the server asks")
    timeout_s: float = Field(60.0, gt=0, le=3600, allow_inf_nan=False, description="give up a try after this long silence")
    max_wait_s: float = Field(
        600.0, ge=0, le=86_400, allow_inf_nan=False, description="longest pause a server may ask for (Retry-After)"
    )
    max_file_mb: float = Field(500.0, gt=0, allow_inf_nan=False, description="refuse larger files")
    max_failed_share: float = Field(0.01, ge=0, le=1, description="end with exit code 3 where a larger share failed")
    expect: Literal["pictures", "anything"] = Field(
        "pictures", description="'pictures': refuse files that do not begin like one, such as error pages"
    )
    existing: Literal["size", "digest", "overwrite"] = Field(
        "size",
        description="files that are there: compare their size, or also their digest where it is known, or fetch them anew",
    )
    contact: str = Field("", max_length=200, description="mail or web address that the user agent names to the server")
    anonymous: bool = Field(False, description="s3, gs, az: without credentials")
    profile: str | None = Field(None, description="s3: profile of the credentials file; default: the usual chain")
    endpoint_url: str | None = Field(
        None, description="s3: address of another service than Amazon's, e.g. https://minio.example.org"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.endpoint_url is not None and not self.endpoint_url.startswith(("http://", "https://")):
            raise ValueError(f"--endpoint-url {self.endpoint_url} has to begin with https:// (or http://)")
        return self


class UrlsDownloadConfig(DownloadConfig):
    """Fetch a list of URLs: a text file with one a line, or a CSV with a column url."""

    path: Path | None = Field(None, description="the list; CSV columns: url, and if known path, size, sha256, md5")
    base_url: str | None = Field(None, description="put before entries of the list that are no URLs")


class ObjectsDownloadConfig(DownloadConfig):
    """Fetch what lies below a prefix of an object store."""

    path: str = Field(description="s3://bucket/prefix, gs://bucket/prefix or az://container/prefix")
    include: tuple[str, ...] = Field((), description="only names that match one of these patterns, e.g. *.jpg")


class InventoryDownloadConfig(DownloadConfig):
    """Fetch the pictures of an inventory that are only a URL, and write an inventory with their files."""

    path: Path = Field(description="inventory (.json or .parquet), made with --keep-remote")
    export_path: Path = Field(description="inventory to write: .json or .parquet")
    image_root: Path | None = Field(
        None, description="folder that paths in the new inventory begin at; --output-dir is in it; default: --output-dir"
    )


class SubsetConfig(DownloadConfig):
    """Which pictures of a COCO Camera Traps file to fetch."""

    category: tuple[str, ...] = Field((), description="only pictures with one of these categories")
    absent_categories_ok: bool = Field(
        False, description="pass over those of --category that a file does not have, as long as it has one of them"
    )
    locations: tuple[str, ...] = Field((), description="only pictures of these locations")
    locations_file: Path | None = Field(None, description="only pictures of these locations: what `cct locations-with` wrote")
    at_locations_with: tuple[str, ...] = Field(
        (), description="everything at the locations that have one of these categories, e.g. rat"
    )
    location_from_path: int = Field(0, ge=0, le=20, description="take the first N parts of the path as the location; 0: do not")
    with_boxes: bool = Field(False, description="only pictures with a box")
    max_pictures: int | None = Field(None, ge=1, description="at most this many, a seeded sample")
    max_per_category: int | None = Field(None, ge=1, description="at most this many of each category, a seeded sample")
    max_per_location: int | None = Field(None, ge=1, description="at most this many of each location, a seeded sample")
    seed: Seed = Field(0, description="seed of the samples; equal seeds choose equally")


class CctDownloadConfig(SubsetConfig):
    """Fetch the pictures of a COCO Camera Traps file, or of some of its categories and locations."""

    path: Path = Field(description="COCO Camera Traps file (.json)")
    base_url: str | None = Field(
        None, description="where the pictures lie: https://…, s3://bucket/…, gs://…, az://…; not for keys that are URLs"
    )
    key_field: str = Field(
        "file_name", description="key of images that is joined to --base-url, e.g. serving_bucket_key in exports of Animl"
    )
    cct_output: Path | None = Field(None, description="COCO Camera Traps file to write, of the pictures that are there")


class LilaDownloadConfig(SubsetConfig):
    """Fetch data sets of LILA (lila.science), or parts of them."""

    output_dir: Path = Field(Path("lila"), description="folder: annotations/, and a folder of pictures per data set")
    dataset: tuple[str, ...] = Field((), description="names of data sets; none: list all there are")
    what: Literal["annotations", "pictures"] = Field(
        "pictures", description="stop after the annotations, or fetch pictures too"
    )
    boxes: bool = Field(False, description="use the data set's separate file with boxes instead")
    cloud: Literal["gcp", "aws", "azure"] = Field("gcp", description="which copy; all are read over plain https")
    index_url: str = Field(
        "https://lila.science/wp-content/uploads/2023/06/lila_camera_trap_datasets.csv", description="LILA's list of data sets"
    )
