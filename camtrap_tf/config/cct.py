"""Settings of the tools on COCO Camera Traps files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from camtrap_tf.config.base import BOXES_ARE, BoxNumbers, Seed, StageConfig

BoxRule = Literal["both", "either", "off"]
OutsideRule = Literal["clip", "reject"]
KeepOrReject = Literal["keep", "reject"]
Prefixed = Literal["ids", "locations", "files"]
CategoryOrder = Literal["file", "id", "name"]


class CctConfig(StageConfig):
    """What every tool on one COCO Camera Traps file takes."""

    path: Path = Field(description="COCO Camera Traps file (.json)")


class CctChangeConfig(CctConfig):
    """What every tool that writes another COCO Camera Traps file takes."""

    output: Path = Field(description="file to write; what is not in it is listed in <name>.rejects.csv beside it")
    dry_run: bool = Field(False, description="say what would be written, write nothing")


class CctValidateConfig(CctConfig):
    """Check a COCO Camera Traps file: ids, references, boxes, times, files."""

    image_root: Path | None = Field(None, description="folder of the pictures; given, their presence is checked")
    check_sizes: bool = Field(False, description="with --image-root: open every picture and compare its size")
    report: Path | None = Field(None, description="CSV of all problems to write")
    max_problem_share: float = Field(
        1.0, ge=0, le=1, description="end with exit code 3 where a larger share of the entries has a problem; 0: on any problem"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.check_sizes and self.image_root is None:
            raise ValueError("--check-sizes needs --image-root: the folder of the pictures")
        return self


class CctCleanConfig(CctChangeConfig):
    """Leave out annotations and images that cannot be trained on; normalise locations."""

    require_box: bool = Field(True, description="leave out annotations without a box")
    require_dimensions: bool = Field(True, description="leave out annotations of images without width and height")
    max_box_share: float = Field(0.95, gt=0, le=1, description="a box is too big from this share of the picture's side on …")
    too_big: BoxRule = Field("both", description="… in both sides, in either, or never")
    outside: OutsideRule = Field("clip", description="boxes that stick out of the picture: clip, or leave out")
    keep_empty: bool = Field(
        False, description="keep annotations of the empty category without a box, and images without annotation"
    )
    bad_times: KeepOrReject = Field("keep", description="images whose time is in the future, or is none: keep, or leave out")
    drop_locations: tuple[str, ...] = Field((), description="leave out images of these locations")
    boxes: BoxNumbers = Field("pixels", description=f"{BOXES_ARE}, which the result calls bbox_relative")
    location_from_path: int = Field(0, ge=0, le=20, description="take the first N parts of the path as the location; 0: do not")
    normalize_locations: bool = Field(False, description="write locations in lower case with _ for spaces")
    image_root: Path | None = Field(None, description="folder of the pictures, to read width and height that are not given")
    max_rejected_share: float = Field(
        1.0, ge=0, le=1, description="write nothing and stop (exit code 3) above this share of annotations left out"
    )


class CctCombineConfig(StageConfig):
    """Put several COCO Camera Traps files together; each image gets the name of its data set."""

    paths: tuple[Path, ...] = Field(min_length=1, description="COCO Camera Traps files, in the order their categories count")
    names: tuple[str, ...] = Field((), description="name of each data set; default: file names without _cct and _clean")
    output: Path = Field(description="file to write; what is not in it is listed in <name>.rejects.csv beside it")
    prefix: tuple[Prefixed | Literal["none"], ...] = Field(
        ("ids", "locations"),
        min_length=1,
        description="what gets the name of its data set in front: ids, locations, files, or none",
    )
    normalize_locations: bool = Field(False, description="write locations in lower case with _ for spaces")
    max_rejected_share: float = Field(
        1.0, ge=0, le=1, description="write nothing and stop (exit code 3) above this share of annotations left out"
    )
    dry_run: bool = Field(False, description="say what would be written, write nothing")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.names and len(self.names) != len(self.paths):
            raise ValueError(f"--names has {len(self.names)} entries and --paths {len(self.paths)}; give one name per file")
        if "none" in self.prefix and len(self.prefix) > 1:
            raise ValueError("--prefix none stands alone")
        return self


class CctCountsConfig(CctConfig):
    """Count annotations, images and locations of every category."""

    output: Path | None = Field(None, description="CSV to write")


class CctCategoryMapConfig(CctConfig):
    """Write a map of the categories to edit: which to keep, what to convert to what."""

    output: Path = Field(Path("category_map.json"), description="map to write")
    dry_run: bool = Field(False, description="say what would be written, write nothing")


class CctCategoriesConfig(CctChangeConfig):
    """Keep, convert, order and renumber categories."""

    category_map: Path | None = Field(None, description="edited map, as `camtrap cct category-map` writes it")
    like: Path | None = Field(None, description="COCO Camera Traps file whose ids to take, by name; new names come after them")
    order: CategoryOrder = Field("file", description="order of the categories: as in the file, by id, or by name")
    renumber: bool = Field(False, description="number categories 0, 1, 2 … in their order (empty first)")
    prune: bool = Field(False, description="leave out categories without annotation")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.like is not None and (self.renumber or self.order != "file"):
            raise ValueError("--like takes ids and order from that file; leave out --renumber and --order")
        return self


class CctSubsampleConfig(CctChangeConfig):
    """Keep a seeded sample where a category is over-represented at a location."""

    count: int = Field(ge=1, description="annotations to keep of each category at each location (or of all that is chosen)")
    categories: tuple[str, ...] = Field((), description="only these categories; default: all")
    locations: tuple[str, ...] = Field((), description="only these locations; default: all")
    datasets: tuple[str, ...] = Field((), description="only these data sets; default: all")
    together: bool = Field(False, description="--count is for everything chosen together, not for each category and location")
    seed: Seed = Field(0, description="seed of the sample; equal seeds choose equally")


class CctDropConfig(CctChangeConfig):
    """Leave out annotations, images, locations or categories by a list."""

    annotation_ids: tuple[str, ...] = Field((), description="ids of annotations to leave out")
    image_ids: tuple[str, ...] = Field((), description="ids of images to leave out")
    ids_file: Path | None = Field(None, description="file with one annotation id a line; # begins a comment")
    image_ids_file: Path | None = Field(None, description="file with one image id a line; # begins a comment")
    locations: tuple[str, ...] = Field((), description="leave out images of these locations")
    categories: tuple[str, ...] = Field((), description="leave out these categories and their annotations")

    @model_validator(mode="after")
    def _check(self) -> Self:
        ids = self.annotation_ids or self.ids_file or self.image_ids or self.image_ids_file
        if not (ids or self.locations or self.categories):
            raise ValueError(
                "say what to leave out: --annotation-ids, --ids-file, --image-ids, --image-ids-file, --locations, --categories"
            )
        return self


class CctSplitConfig(CctConfig):
    """Cut a COCO Camera Traps file into one per split, by the locations of splits.json."""

    splits: Path = Field(description="splits.json: split → list of [data set, location]")
    output_dir: Path = Field(description="folder for <split>_cct.json and rejects.csv")
    dataset: str | None = Field(None, description="data set of images that name none; default: the only one of splits.json")
    label_index: Path | None = Field(None, description="label_index.json: annotations of other labels are left out")
    min_locs: int = Field(0, ge=0, description="leave out labels that stand at fewer locations, in every split")
    prune: bool = Field(False, description="leave out categories that no split uses, from all files alike")
    dry_run: bool = Field(False, description="say what would be written, write nothing")


class CctLocationsConfig(CctConfig):
    """Find the locations that have a category, and what else stands there."""

    category: tuple[str, ...] = Field(min_length=1, description="categories to look for")
    contrast: bool = Field(False, description="also count every other category at those locations")
    location_from_path: int = Field(0, ge=0, le=20, description="take the first N parts of the path as the location; 0: do not")
    output: Path | None = Field(None, description="list of the locations to write, .csv or .json")
    cct_output: Path | None = Field(None, description="COCO Camera Traps file to write: everything at those locations")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.output is not None and self.output.suffix.lower() not in (".csv", ".json"):
            raise ValueError(f"--output {self.output}: its name has to end in .csv or .json")
        if self.output is not None and self.cct_output is not None and self.output.absolute() == self.cct_output.absolute():
            raise ValueError("--output and --cct-output are one file; give another name")
        return self


class CctToMegadetectorConfig(CctConfig):
    """Write the boxes of a COCO Camera Traps file as MegaDetector results."""

    output: Path | None = Field(None, description="file to write; default: <name>_md-format.json beside the input")
    detections_are: Literal["categories", "animals"] = Field(
        "categories",
        description="detection categories: those of the file, or 'animals', with the file's categories as classifications",
    )
    boxes: BoxNumbers = Field("pixels", description=BOXES_ARE)
    image_root: Path | None = Field(None, description="folder of the pictures, to read width and height that are not given")
    dry_run: bool = Field(False, description="say what would be written, write nothing")


class CctFromMegadetectorConfig(StageConfig):
    """Make a COCO Camera Traps file of MegaDetector results."""

    path: Path = Field(description="MegaDetector results (.json)")
    output: Path = Field(description="file to write; what is not in it is listed in <name>.rejects.csv beside it")
    threshold: float = Field(0.0, ge=0, le=1, description="leave out detections that are less sure than this")
    categories_are: Literal["detections", "classifications"] = Field(
        "detections", description="categories of the file: those of the detector, or of the classifier, where it ran"
    )
    image_root: Path | None = Field(None, description="folder of the pictures, to read width and height that are not given")
    location_from_path: int = Field(0, ge=0, le=20, description="take the first N parts of the path as the location; 0: do not")
    dry_run: bool = Field(False, description="say what would be written, write nothing")
