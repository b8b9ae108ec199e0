"""Boxes as what is to be classified: those of MegaDetector results or of a COCO Camera Traps file, one record each.

The boxes of a picture are cut out by whichever thread comes to the first of them; the others find their crops there, so that
a picture is decoded once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from PIL import Image

from camtrap_tf.config.crop import CropConfig
from camtrap_tf.config.delivery import PredictConfig
from camtrap_tf.curation.crop_cutting import placing
from camtrap_tf.curation.crop_plan import BOX, PICTURE, CropPlan, WantedCrop, WantedPicture, plan_crops
from camtrap_tf.detections.boxes import flag_advice
from camtrap_tf.errors import PictureError, SourceError
from camtrap_tf.files import join_inside, require_folder
from camtrap_tf.images.crop import CropGeometry, cut_box, whole_picture
from camtrap_tf.images.stored_form import StoredForm, encode_stored, open_picture
from camtrap_tf.logs import logger
from camtrap_tf.prediction.results import Capture
from camtrap_tf.records import Reject
from camtrap_tf.sources.picture_files import find_folder

LOG = logger(__name__)

FIELDS = ("file", "box", "category", "detection_conf", "x", "y", "width", "height", "unit", "detector")
"""Columns that say which box a row is of, as in the table of `camtrap crop`, and what found it."""


class BoxSource:
    """The boxes of a file as records; their ids are the names that `camtrap crop` gives to their crops.

    A picture without a box to classify is a record too, and so is a picture or box that cannot be used, with the reason.

    Attributes:
        meta_fields: columns of the table.
    """

    meta_fields = FIELDS

    def __init__(self, config: PredictConfig) -> None:
        assert config.detections is not None  # PredictConfig has seen to it
        assert config.image_dir is not None
        self._path, self._root = config.detections, config.image_dir
        self._wish = CropConfig(
            path=config.detections, output_dir=Path(), threshold=config.threshold, categories=config.detection_categories,
            boxes_from=config.boxes_from, boxes=config.boxes,
        )  # fmt: skip
        self._geometry = CropGeometry(config.crop_strategy or "square", config.crop_legacy_geometry)
        self._plan: CropPlan | None = None

    def check(self) -> None:
        """Reads the file.

        Raises:
            SettingError: no such folder, or no such category.
            SourceError: the file cannot be read, or names no picture.
        """
        require_folder(self._root, "--image-dir")
        plan = plan_crops(self._wish)
        if not plan.pictures_read:
            raise SourceError(f"--detections {self._path}: names no picture; nothing to predict")
        self._root = self._root / find_folder(self._root, [picture.file for picture in plan.pictures])
        passed = "".join(f" + {count} {why}" for why, count in plan.passed.most_common())
        boxes = sum(one.unit == BOX for one in plan.rejects)
        LOG.info("%s: %d boxes = %d to classify%s + %d rejected", self._path, plan.boxes_read, plan.crops, passed, boxes)
        self._plan = plan

    @property
    def plan(self) -> CropPlan:
        """What the file asks for, once it is read."""
        assert self._plan is not None, "check() reads the file"
        return self._plan

    def __len__(self) -> int:
        return sum(len(picture.crops) or 1 for picture in self.plan.pictures) + len(self._faults())

    def captures(self) -> Iterator[Capture]:
        """Yields the boxes in the order of the file, a record for each picture without any, and what is rejected last."""
        ids: dict[str, int] = {}
        for picture in self.plan.pictures:
            yield from self._of_picture(picture, ids)
        for fault in self._faults():
            advice = flag_advice(fault.reason, self._wish.boxes) if self.plan.source == "cct" and fault.unit == BOX else ""
            file = self.plan.file_of(fault) or fault.item
            yield _fault(replace(fault, detail=fault.detail + advice), file, ids, self._found_by())

    def _found_by(self) -> dict[str, str]:
        """Returns the column that names the detector; none where the file does not."""
        return {FIELDS[-1]: self.plan.detector} if self.plan.detector else {}

    def _of_picture(self, picture: WantedPicture, ids: dict[str, int]) -> Iterator[Capture]:
        path = str(join_inside(self._root, picture.file))
        if not picture.crops:
            empty = f"no box from confidence {self.plan.threshold:g} on"
            yield Capture(_own_id(picture.file, ids), (), meta_data={"file": picture.file, **self._found_by()}, empty=empty)
        shared = _SharedPicture(Path(path), picture, self._geometry)
        for place, one in enumerate(picture.crops):
            facts = {**_facts(picture, one), **self._found_by()}
            yield Capture(_own_id(one.name, ids), (path,), meta_data=facts, read=partial(shared.crop, place))

    def _faults(self) -> list[Reject]:
        """Returns rejected pictures, and rejected boxes of pictures that are not."""
        return [one for one in self.plan.rejects if one.unit == PICTURE or one.reason != "no_picture"]


def _own_id(name: str, ids: dict[str, int]) -> str:
    """Returns a name, with a number where it is there already."""
    ids[name] = ids.get(name, 0) + 1
    return name if ids[name] == 1 else f"{name} ({ids[name]})"


def _facts(picture: WantedPicture, one: WantedCrop) -> dict[str, str]:
    sure = "" if one.confidence is None else f"{one.confidence:g}"
    numbers = [f"{number:g}" for number in one.numbers]
    values = (picture.file, one.box_id, one.category, sure, *numbers, "relative" if one.relative else "px")
    return dict(zip(FIELDS[:-1], values, strict=True))


def _fault(fault: Reject, file: str, ids: dict[str, int], found_by: dict[str, str]) -> Capture:
    box = fault.unit == BOX
    name = f"{file}: {fault.item}" if box and fault.item != file else file
    meta = {"file": file, **({"box": fault.item} if box else {}), **found_by}
    return Capture(_own_id(name, ids), (file,), {file: (fault.reason, fault.detail)}, meta)


class _SharedPicture:
    """A picture whose boxes are asked for one by one, from several threads."""

    def __init__(self, path: Path, wanted: WantedPicture, geometry: CropGeometry) -> None:
        self._path = path
        self._wanted = wanted
        self._geometry = geometry
        self._lock = threading.Lock()
        self._crops: dict[int, bytes | PictureError] | None = None

    def crop(self, place: int, form: StoredForm) -> bytes:
        """Returns the crop of one box in stored form; each can be had once.

        Raises:
            PictureError: the picture or the box cannot be used.
        """
        with self._lock:
            if self._crops is None:
                self._crops = self._cut(form)
            crop = self._crops.pop(place)
        if isinstance(crop, PictureError):
            raise crop
        return crop

    def _cut(self, form: StoredForm) -> dict[int, bytes | PictureError]:
        places = range(len(self._wanted.crops))
        try:
            with open_picture(self._path) as file:
                data = file.read()
            picture = whole_picture(data, truncated=form.truncated, max_pixels=form.max_pixels)
            place_of = placing(self._wanted, data, picture)
        except PictureError as err:
            return dict.fromkeys(places, err)
        crops: dict[int, bytes | PictureError] = {}
        for place in places:
            try:
                box = place_of(self._wanted.crops[place])
                crops[place] = encode_stored(Image.fromarray(cut_box(picture, box, self._geometry)), form)
            except PictureError as err:
                crops[place] = err
        return crops
