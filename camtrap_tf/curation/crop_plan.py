"""Which crops are wanted of which pictures, from a COCO Camera Traps file or MegaDetector results.

Every picture and every box of the file is counted once: it is wanted, it is not asked for, or it is rejected with a reason.
"""

from __future__ import annotations

import mmap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from camtrap_tf.cct.boxes_of_annotations import RELATIVE, given_box, size_of
from camtrap_tf.cct.cleaning import AnnotationJudge, Refusal, image_refusal
from camtrap_tf.cct.megadetector import CONFIDENCES
from camtrap_tf.config.crop import CropConfig
from camtrap_tf.detections.boxes import BoxError, checked_box
from camtrap_tf.detections.crop_names import crop_name
from camtrap_tf.detections.megadetector import ANIMAL, DetectedPicture, MegadetectorDocument
from camtrap_tf.errors import SettingError, SourceError, suggestion
from camtrap_tf.files import path_hint, unreadable
from camtrap_tf.records import Reject
from camtrap_tf.sources.cct_document import CctDocument, Entry, number_of, text_of
from camtrap_tf.sources.megadetector import THRESHOLD, picture_problem

PICTURE, BOX = "picture", "box"
UNKNOWN_DETECTOR = "unknown"
URL_STARTS = ("http://", "https://", "s3://", "gs://", "az://")

Numbers = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedCrop:
    """A box that is to be cut out.

    Attributes:
        name: path of the crop below the folder of crops.
        box_id: how tables and rejects name the box: id of its annotation, or its place among those of its picture, from 0.
        category: name of its category.
        confidence: how sure the detector was; None where the file does not say.
        numbers: `x, y, width, height` as the file gives them.
        relative: whether these are in [0, 1] of the upright picture rather than px.
    """

    name: str
    box_id: str
    category: str
    confidence: float | None
    numbers: Numbers
    relative: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedPicture:
    """A picture with the boxes that are to be cut out of it.

    Attributes:
        file: path below the folder of pictures.
        picture_id: how rejects name it: the id of its image, or its file where the source has no ids.
        location: where its camera stood, as far as the file says.
        size_px: width and height that boxes in px are measured by; None: those of the picture itself.
        crops: none where no box of it is asked for.
    """

    file: str
    picture_id: str
    location: str
    size_px: tuple[float, float] | None
    crops: tuple[WantedCrop, ...]


@dataclass(kw_only=True)
class CropPlan:
    """All that a file asks for.

    Attributes:
        source: `cct` or `megadetector`.
        threshold: boxes that are less sure were left out.
        categories: boxes of others were left out; empty: all were taken.
        pictures: every usable picture of the file, with what is to be cut out of it.
        rejects: pictures and boxes that cannot be used; their `id` is that of the image, where the file has ids.
        files: id of a picture, also of one that cannot be used → its file.
        passed: why boxes are not asked for → how many.
        pictures_read: pictures of the file.
        boxes_read: annotations or detections of the file.
        undetected: files that the detector gave no detections for.
        notes: what reading the file had to say.
        detector: name of the detector, where the file says it.
    """

    source: str
    threshold: float
    categories: tuple[str, ...]
    pictures: list[WantedPicture] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    passed: Counter[str] = field(default_factory=Counter)
    pictures_read: int = 0
    boxes_read: int = 0
    undetected: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    detector: str | None = None

    def file_of(self, reject: Reject) -> str:
        """Returns the file of the picture that a reject is of; empty where it is a box of none."""
        return reject.item if reject.unit == PICTURE else self.files.get(reject.id, "")

    @property
    def to_cut(self) -> list[WantedPicture]:
        """The pictures with something to cut out."""
        return [picture for picture in self.pictures if picture.crops]

    @property
    def crops(self) -> int:
        """How many crops are asked for."""
        return sum(len(picture.crops) for picture in self.pictures)


def plan_crops(config: CropConfig) -> CropPlan:
    """Reads the file and says what is to be cut.

    Raises:
        SourceError: it cannot be read.
        SettingError: a category does not exist, or a setting does not go with such a file.
    """
    kind = config.boxes_from if config.boxes_from != "auto" else _kind(config.path)
    plan = _plan_of_detections(config) if kind == "megadetector" else _plan_of_annotations(config)
    return _without_repeated_names(plan)


def _kind(path: Path) -> str:
    """Returns whether a file holds annotations or detections: only the latter name `detection_categories`."""
    try:
        with path.open("rb") as file:
            if not path.stat().st_size:
                raise SourceError(f"{path}: the file is empty; it should hold boxes in JSON")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return "cct" if content.find(b'"detection_categories"') < 0 else "megadetector"
    except FileNotFoundError as err:
        raise SourceError(f"{path}: no such file{path_hint(path)}") from err
    except OSError as err:
        raise SourceError(f"{path}: {unreadable(err, 'COCO Camera Traps file or MegaDetector results (.json)')}") from err


def _chosen(config: CropConfig, known: Sequence[str]) -> tuple[str, ...]:
    for name in config.categories:
        if name not in known:
            raise SettingError(f"{config.path}: no category {name!r}{suggestion(name, sorted(set(known)))}")
    return config.categories


# ── MegaDetector ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _plan_of_detections(config: CropConfig) -> CropPlan:
    document = MegadetectorDocument.read(config.path)
    known = tuple(document.detection_categories.values())
    chosen = _chosen(config, known) or ((ANIMAL,) if ANIMAL in known else ())
    threshold = config.threshold
    if threshold is None:
        typical = document.typical_threshold()
        threshold = THRESHOLD if typical is None else typical
    plan = CropPlan(source="megadetector", threshold=threshold, categories=chosen, notes=[*document.notes])
    plan.detector = str(document.info["detector"]) if document.info.get("detector") else None
    detector = _detector(config, document)
    files: set[str] = set()
    for picture in document.pictures():
        plan.pictures_read += 1
        if isinstance(picture, Reject):
            plan.rejects.append(picture)
            continue
        plan.boxes_read += len(picture.detections) + len(picture.rejects)
        problem = picture_problem(picture) or _path_problem(picture.file)
        if problem is None and picture.file in files:
            problem = "repeated_file", "an earlier entry is of the same file"
        if problem is not None:
            if picture.failure is not None:
                plan.undetected.append(picture.file)
            _reject_whole(plan, picture.file, picture.file, problem, [str(one.place) for one in picture.detections])
            plan.rejects += _boxes_of(picture)
            continue
        files.add(picture.file)
        plan.rejects += _boxes_of(picture)
        _add(plan, picture.file, picture.file, picture.entry, None, _wanted_detections(plan, picture, detector))
    return plan


def _boxes_of(picture: DetectedPicture) -> list[Reject]:
    return [replace(one, unit=BOX) for one in picture.rejects]


def _detector(config: CropConfig, document: MegadetectorDocument) -> str:
    """Returns what stands for the detector in names of crops.

    Raises:
        SettingError: the file names another one than the settings.
    """
    said = document.info.get("detector")
    said = said if isinstance(said, str) and said else None
    if config.detector_name and said and config.detector_name != said:
        raise SettingError(
            f"--detector-name {config.detector_name}: {config.path} was made by {said!r}; leave the flag out, or name that one"
        )
    return config.detector_name or said or UNKNOWN_DETECTOR


def _wanted_detections(plan: CropPlan, picture: DetectedPicture, detector: str) -> list[WantedCrop]:
    drawn = picture.entry.get("is_ground_truth") is True
    return [
        WantedCrop(
            name=crop_name(picture.file, place=one.place, detector=None if drawn else detector),
            box_id=str(one.place),
            category=one.category,
            confidence=one.confidence,
            numbers=(one.box.x, one.box.y, one.box.width, one.box.height),
            relative=True,
        )
        for one in picture.detections
        if _asked_for(plan, one.category, one.confidence)
    ]


def _asked_for(plan: CropPlan, category: str, confidence: float | None) -> bool:
    """Tells whether a box is to be cut; counts it with those that are not otherwise."""
    if plan.categories and category not in plan.categories:
        plan.passed["of another category"] += 1
    elif confidence is not None and confidence < plan.threshold:
        plan.passed[f"below {plan.threshold:g}"] += 1
    else:
        return True
    return False


# ── COCO Camera Traps ────────────────────────────────────────────────────────────────────────────────────────────────


def _plan_of_annotations(config: CropConfig) -> CropPlan:
    if config.detector_name is not None:
        raise SettingError("--detector-name: crops of COCO Camera Traps are named by their annotations; leave it out")
    document = CctDocument.read(config.path)
    judge = AnnotationJudge.of(document)
    plan = CropPlan(
        source="cct",
        threshold=config.threshold or 0.0,
        categories=_chosen(config, [name for name in judge.meanings.values() if name is not None]),
        notes=[*document.notes],
    )
    plan.pictures_read = len(document.images) + sum(one.unit == "image" for one in document.rejects)
    plan.boxes_read = len(document.annotations) + sum(one.unit == "annotation" for one in document.rejects)
    for one in document.rejects:
        if one.unit in ("image", "annotation"):
            plan.rejects.append(replace(one, unit=PICTURE if one.unit == "image" else BOX))
    by_image = document.annotations_by_image()
    seen: set[str] = set()
    for image in document.images:
        key = text_of(image.get("id"))
        problem = _image_problem(image, seen)
        # The annotations of an id are those of its first image.
        annotations = by_image.pop(key, []) if key is not None else []
        file = text_of(image.get("file_name")) or key or ""
        if key is not None:
            seen.add(key)
        if problem is not None:
            _reject_whole(plan, key or "", file, problem, [text_of(one.get("id")) or "" for one in annotations])
            continue
        crops = _wanted_annotations(plan, image, file, annotations, judge, relative=config.boxes == "relative")
        _add(plan, key or "", file, image, size_of(image), crops)
    left = [one for annotations in by_image.values() for one in annotations]
    left += [one for one in document.annotations if text_of(one.get("image_id")) is None]
    for lost in left:
        detail = f"no image has the id {lost.get('image_id')!r}"
        image_id = text_of(lost.get("image_id")) or ""
        plan.rejects.append(Reject(image_id, text_of(lost.get("id")) or "", BOX, "unknown_image", detail))
    return plan


def _image_problem(image: Entry, seen: set[str]) -> Refusal | None:
    """Returns why an image cannot be used, or None; several images may be of one file."""
    refusal = image_refusal(image, seen, set())
    if refusal is None and image.get("corrupt") is True:
        return "corrupt", "the file says that the picture is corrupt"
    return refusal or _path_problem(text_of(image.get("file_name")) or "")


def _path_problem(file: str) -> Refusal | None:
    if file.lower().startswith(URL_STARTS):
        return "remote", "is an address, not fetched; `camtrap download` fetches pictures"
    if ".." in file.replace("\\", "/").split("/") or "\0" in file:
        return "outside_root", "the path leads out of the folder of pictures"
    return None


def _annotation_problem(
    one: Entry, found: tuple[str, list[object]], size: tuple[float, float] | None, judge: AnnotationJudge
) -> Refusal | None:
    """Returns why an annotation with this box cannot be used, or None."""
    if text_of(one.get("id")) is None:
        return "no_id", "the annotation has no id, which names its crop"
    if (refusal := judge.refusal(one)) is not None:
        return refusal
    try:
        checked_box(found[1], size_px=size, relative=found[0] == RELATIVE)
    except BoxError as err:
        if err.reason != "box_without_size":  # judged by the picture itself
            return err.reason, str(err)
    return None


def _wanted_annotations(
    plan: CropPlan, image: Entry, file: str, annotations: Sequence[Entry], judge: AnnotationJudge, *, relative: bool
) -> list[WantedCrop]:
    wanted = []
    for one in annotations:
        key, category = text_of(one.get("id")), judge.category(one)
        found = given_box(one, relative=relative)
        if found is None:
            plan.passed["without a box"] += 1
            continue
        confidence = _confidence(one)
        problem = _annotation_problem(one, found, size_of(image), judge)
        if problem is not None:
            plan.rejects.append(Reject(text_of(image.get("id")) or "", key or "", BOX, *problem))
        elif key is not None and category is not None and _asked_for(plan, category, confidence):
            x, y, width, height = map(float, found[1])
            wanted.append(
                WantedCrop(
                    name=crop_name(file, annotation_id=key), box_id=key, category=category, confidence=confidence,
                    numbers=(x, y, width, height), relative=found[0] == RELATIVE,
                )
            )  # fmt: skip
    return wanted


def _confidence(annotation: Entry) -> float | None:
    sure = next((number for key in CONFIDENCES if (number := number_of(annotation.get(key))) is not None), None)
    return sure if sure is not None and 0 <= sure <= 1 else None


# ── both ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _add(plan: CropPlan, key: str, file: str, entry: Entry, size: tuple[float, float] | None, crops: list[WantedCrop]) -> None:
    """Puts a picture in, with what is to be cut out of it."""
    plan.files[key] = file
    location = text_of(entry.get("location")) or ""
    plan.pictures.append(WantedPicture(file=file, picture_id=key, location=location, size_px=size, crops=tuple(crops)))


def _reject_whole(plan: CropPlan, key: str, file: str, problem: Refusal, boxes: Sequence[str]) -> None:
    """Rejects a picture and its boxes with it."""
    plan.files.setdefault(key, file)
    plan.rejects.append(Reject(key, file, PICTURE, *problem))
    plan.rejects += [Reject(key, box, BOX, "no_picture", problem[0]) for box in boxes]


def _without_repeated_names(plan: CropPlan) -> CropPlan:
    """Rejects boxes whose crop would have the name of an earlier one."""
    names: set[str] = set()
    pictures = []
    for picture in plan.pictures:
        own = []
        for one in picture.crops:
            if one.name in names:
                detail = "an earlier box has the same id, and its crop the same name"
                plan.rejects.append(Reject(picture.picture_id, one.box_id, BOX, "repeated_id", detail))
            else:
                names.add(one.name)
                own.append(one)
        pictures.append(picture if len(own) == len(picture.crops) else replace(picture, crops=tuple(own)))
    plan.pictures = pictures
    return plan
