"""COCO Camera Traps ⇄ MegaDetector results."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from camtrap_tf.cct.boxes_of_annotations import box_of, size_inside, with_sizes
from camtrap_tf.cct.cleaning import IMAGE_LEFT_OUT, AnnotationJudge, Refusal, image_refusal, path_refusal
from camtrap_tf.cct.working import (
    EMPTY,
    REFUSED_LINE,
    CctChange,
    CctWritten,
    check_output,
    check_something_left,
    finish,
    is_empty_name,
    location_in_path,
    reject_annotation,
    reject_image,
)
from camtrap_tf.config.base import BoxNumbers
from camtrap_tf.config.cct import CctFromMegadetectorConfig, CctToMegadetectorConfig
from camtrap_tf.detections.boxes import BoxError, advice_texts, flag_advice, pixels_of
from camtrap_tf.detections.megadetector import ANIMAL, DetectedPicture, Detection, MegadetectorDocument, left_out_text
from camtrap_tf.errors import SourceError, counted
from camtrap_tf.files import require_folder, writable_folder
from camtrap_tf.records import BoundingBox, Reject
from camtrap_tf.rejects import reasons_text, rejects_line, rejects_path, write_rejects
from camtrap_tf.sources.cct_document import CctDocument, Entry, number_of, text_of

DETECTOR = "cct_to_md"
"""What stands as the detector of boxes that people drew."""

VERSION = "1.4"
"""The format that is written: the first in which a picture that could not be read has `failure`."""

CONFIDENCES = ("score", "conf", "confidence")
"""Keys that writers of boxes use for how sure they are."""


@dataclass(frozen=True, slots=True)
class MegadetectorWritten:
    """MegaDetector results made of a COCO Camera Traps file.

    Attributes:
        path: what was read.
        output: what was written.
        document: the results.
        rejects: images and annotations that are not in it.
        annotations: how many annotations were read.
        unboxed: how many of them have no box, and so are no detection.
        notes: sentences on what a flag would change.
        dry_run: nothing was written.
    """

    path: Path
    output: Path
    document: MegadetectorDocument
    rejects: tuple[Reject, ...]
    annotations: int
    unboxed: int
    dry_run: bool
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """That of the command without `--dry-run`, where no image would be left."""
        return SourceError.exit_code if self._refused else 0

    @property
    def _refused(self) -> bool:
        return self.dry_run and not self.document.images and any(one.unit == "image" for one in self.rejects)

    def text(self) -> str:
        """Returns the summary for a person."""
        images = len(self.document.images)
        found = sum(len(image["detections"] or ()) for image in self.document.images)
        gone = {unit: [one for one in self.rejects if one.unit == unit] for unit in ("image", "annotation")}
        start = "would write " if self.dry_run else ""
        lines = [
            f"{self.path}: {counted(images + len(gone['image']), 'image')} read = {images} kept + {len(gone['image'])} left out"
            + reasons_text(gone["image"]),
            f"{self.path}: {counted(self.annotations, 'annotation')} read = {counted(found, 'detection')} + "
            f"{self.unboxed} without a box + {len(gone['annotation'])} left out{reasons_text(gone['annotation'])}",
            *self.notes,
            f"{start}{self.output}: {counted(images, 'image')}, {counted(found, 'detection')}",
            *[REFUSED_LINE] * self._refused,
        ]
        return "\n".join(lines + [rejects_line(self.output, dry_run=self.dry_run)] * bool(self.rejects))


def to_megadetector_file(config: CctToMegadetectorConfig) -> MegadetectorWritten:
    """Writes the boxes of a file as MegaDetector results.

    Raises:
        SettingError: the result cannot be written there.
        SourceError: the file cannot be read, or no image of it can be used.
    """
    output = config.output or config.path.with_name(f"{config.path.stem}_md-format{config.path.suffix}")
    check_output(output, (config.path,))
    if config.image_root is not None:
        require_folder(config.image_root, "--image-root")
    document = CctDocument.read(config.path)
    if config.image_root is not None:
        document = document.with_parts(images=with_sizes(document.images, config.image_root))
    done = to_megadetector(document, animals=config.detections_are == "animals", boxes=config.boxes)
    done = replace(done, path=config.path, output=output, dry_run=config.dry_run)
    if not config.dry_run:
        check_something_left(len(done.document.images), done.rejects, source=str(config.path))
        writable_folder(output.parent, "--output")
        write_rejects(rejects_path(output), done.rejects)
        done.document.write(output)
    return done


def to_megadetector(document: CctDocument, *, animals: bool = False, boxes: BoxNumbers = "pixels") -> MegadetectorWritten:
    """Returns the boxes of a document as detections; images without one have an empty list.

    Args:
        document: images whose boxes are relative, or whose size is known.
        animals: every detection is an `animal` and the category its classification; else categories are those of the
            document, which programs that look for `animal` do not know.
        boxes: whether the numbers of `bbox` are px or in [0, 1].
    """
    names, by_image = document.category_names(), document.annotations_by_image()
    judge, whole_ids = AnnotationJudge.of(document), frozenset(document.images_by_id())
    images: list[Entry] = []
    rejects: list[Reject] = list(document.rejects)
    unboxed = 0
    ids: set[str] = set()
    files: set[str] = set()
    written: set[str] = set()
    for image in document.images:
        key, file = text_of(image.get("id")) or "", text_of(image.get("file_name")) or ""
        refusal = image_refusal(image, ids, files)
        ids.add(key)
        files.add(file)
        if refusal is not None:
            rejects.append(reject_image(image, *refusal))
            continue
        written.add(key)
        found, gone, bare = _detections(image, by_image.get(key, ()), judge, boxes, animals=animals)
        images.append(_megadetector_image(image, file, found))
        rejects += gone
        unboxed += bare
    for annotation in document.annotations:
        if (key := text_of(annotation.get("image_id")) or "") not in written:
            unknown = ("unknown_image", f"no image has the id {annotation.get('image_id')!r}")
            rejects.append(reject_annotation(annotation, *(IMAGE_LEFT_OUT if key in whole_ids else unknown)))
    categories = {"1": ANIMAL, "2": "person", "3": "vehicle"} if animals else names
    others: Entry = {"info": {"format_version": VERSION, "detector": DETECTOR}, "detection_categories": categories}
    if animals:
        others["classification_categories"] = names
    whole = MegadetectorDocument(images=images, others=others, keys=(*others, "images"))
    gone_objects = sum(one.unit == "annotation" for one in document.rejects)
    read = len(document.annotations) + gone_objects
    notes = tuple(advice_texts((one.reason for one in rejects if one.unit == "annotation"), boxes))
    return MegadetectorWritten(Path(), Path(), whole, tuple(rejects), read, unboxed, False, notes)


def _megadetector_image(image: Entry, file: str, detections: list[Entry]) -> Entry:
    entry: Entry = {"file": file}
    for key in ("id", "location", "dataset", "seq_id", "datetime", "width", "height"):
        if image.get(key) is not None:
            entry[key] = image[key]
    if image.get("corrupt") is True:
        return {**entry, "detections": None, "failure": "Failure image access", "is_ground_truth": True}
    most = max((one["conf"] for one in detections), default=0)
    return {**entry, "detections": detections, "max_detection_conf": most, "is_ground_truth": True}


def _box(annotation: Entry, image: Entry, judge: AnnotationJudge, boxes: BoxNumbers) -> BoundingBox | Refusal | None:
    """Returns the box of an annotation, None where it has none, or why it cannot be used."""
    refusal = judge.refusal(annotation)
    if refusal is not None:
        return refusal
    try:
        return box_of(annotation, image, relative=boxes == "relative")
    except BoxError as err:
        return err.reason, f"{err}{flag_advice(err.reason, boxes)}"


def _detections(
    image: Entry, annotations: Iterable[Entry], judge: AnnotationJudge, boxes: BoxNumbers, *, animals: bool
) -> tuple[list[Entry], list[Reject], int]:
    """Returns the detections of an image, annotations that cannot be one, and how many have no box."""
    found: list[Entry] = []
    rejects: list[Reject] = []
    unboxed = 0
    for annotation in annotations:
        box = _box(annotation, image, judge, boxes)
        if isinstance(box, tuple):
            rejects.append(reject_annotation(annotation, *box))
        elif box is None or image.get("corrupt") is True:
            unboxed += 1
        else:
            found.append(_detection(annotation, box, text_of(annotation.get("category_id")) or "", animals=animals))
    return found, rejects, unboxed


def _detection(annotation: Entry, box: BoundingBox, category: str, *, animals: bool) -> Entry:
    sure = next((number for key in CONFIDENCES if (number := number_of(annotation.get(key))) is not None), 1.0)
    sure = sure if 0 <= sure <= 1 else 1.0
    entry: Entry = {
        "category": "1" if animals else category,
        "conf": sure,
        "bbox": [box.x, box.y, box.width, box.height],
    }
    if (key := text_of(annotation.get("id"))) is not None:
        entry["annotation_id"] = key
    return {**entry, "classifications": [[category, sure]]} if animals else entry


def from_megadetector_file(config: CctFromMegadetectorConfig) -> CctWritten:
    """Writes MegaDetector results as a COCO Camera Traps file.

    Raises:
        SettingError: the result cannot be written there.
        SourceError: the results cannot be read, have no detection, or no image of them can be used.
    """
    check_output(config.output, (config.path,))
    if config.image_root is not None:
        require_folder(config.image_root, "--image-root")
    document = MegadetectorDocument.read(config.path)
    detections = [one.get("detections") for one in document.images if isinstance(one, dict)]
    if not any(detections):
        raise SourceError(f"{config.path}: no image has a detection; there is nothing to make annotations of")
    change = from_megadetector(document, config)
    kept, gone = len(change.document.annotations), sum(one.unit == "annotation" for one in change.rejects)
    read = {"image": len(document.images), "annotation": kept + gone}
    return finish(change, config.output, read=read, source=str(config.path), dry_run=config.dry_run)


def from_megadetector(document: MegadetectorDocument, config: CctFromMegadetectorConfig) -> CctChange:
    """Returns MegaDetector results as a document.

    Boxes are in px where the size of the picture is known, else relative (`bbox_relative`). Pictures that the detector could
    not look at, and videos, are left out. Category 0 is `empty`.
    """
    numbers = _category_numbers(document, config)
    images: list[Entry] = []
    annotations: list[Entry] = []
    rejects: list[Reject] = []
    ids: set[str] = set()
    taken: set[str] = set()
    used: list[Detection] = []
    files: set[str] = set()
    for picture in document.pictures():
        if isinstance(picture, Reject):
            rejects.append(replace(picture, unit="image"))
            continue
        refusal = _refusal(picture, files)
        if refusal is not None:
            rejects.append(Reject("", picture.file, "image", *refusal))
            rejects += [Reject("", _item(picture, one), "annotation", *IMAGE_LEFT_OUT) for one in picture.detections]
            rejects += [replace(one, unit="annotation") for one in picture.rejects]
            continue
        files.add(picture.file)
        image = _cct_image(picture, config, ids)
        images.append(image)
        used += picture.detections
        rejects += [replace(one, unit="annotation") for one in picture.rejects]
        for detection in picture.detections:
            if detection.confidence is not None and detection.confidence < config.threshold:
                detail = f"confidence {detection.confidence} is below {config.threshold}"
                rejects.append(Reject(image["id"], _item(picture, detection), "annotation", "below_threshold", detail))
            else:
                annotation = _cct_annotation(image, detection, numbers, config)
                annotations.append({"id": _annotation_id(picture, detection, image["id"], taken), **annotation})
    categories = [{"id": number, "name": name} for name, number in numbers.items()]
    info = {"description": f"made of MegaDetector results ({document.info.get('detector', 'unknown detector')})"}
    whole = CctDocument(images=images, annotations=annotations, categories=categories, others={"info": info})
    return CctChange(whole, tuple(rejects), (*document.notes, *left_out_text(used)))


def _refusal(picture: DetectedPicture, files: set[str]) -> Refusal | None:
    """Returns why a picture cannot be an image, or None; `files`: those of the images before it."""
    if picture.failure is not None:
        return "failure", picture.failure
    if picture.video:
        return "video", "is a video; its frames have to be pictures"
    return path_refusal(picture.file, files)


def _item(picture: DetectedPicture, detection: Detection) -> str:
    """Returns how rejects name a detection."""
    return f"{picture.item}, detection {detection.place + 1}"


def _category_numbers(document: MegadetectorDocument, config: CctFromMegadetectorConfig) -> dict[str, int]:
    """Returns name → id of the categories: `empty` 0, the classifier's where asked for, the detector's."""
    numbers = {EMPTY: 0}
    names = list(document.detection_categories.values())
    if config.categories_are == "classifications":
        names = [*document.classification_categories.values(), *names]
    for name in names:
        if not is_empty_name(name):
            numbers.setdefault(name, len(numbers))
    return numbers


def _cct_image(picture: DetectedPicture, config: CctFromMegadetectorConfig, ids: set[str]) -> Entry:
    entry = picture.entry
    key = text_of(entry.get("id")) or picture.file
    while key in ids:
        key += "_again"
    ids.add(key)
    image: Entry = {"id": key, "file_name": picture.file}
    for name in ("location", "dataset", "seq_id", "datetime", "width", "height"):
        if entry.get(name) is not None:
            image[name] = entry[name]
    if config.location_from_path and (location := location_in_path(picture.file, config.location_from_path)):
        image["location"] = location
    if "width" not in image and config.image_root is not None and (size := size_inside(config.image_root, picture.file)):
        image["width"], image["height"] = size
    return image


def _annotation_id(picture: DetectedPicture, detection: Detection, image_id: str, taken: set[str]) -> str:
    """Returns an id of its own: that of the annotation the detection was made of, else of picture and place."""
    key = text_of(picture.entry["detections"][detection.place].get("annotation_id"))
    if key is None or key in taken:
        # Ids become parts of the names of crops, where a slash would make a folder.
        key = f"{image_id}_{detection.place:02d}".replace("/", "-")
    while key in taken:
        key += "_again"
    taken.add(key)
    return key


def _cct_annotation(
    image: Entry, detection: Detection, numbers: dict[str, int], config: CctFromMegadetectorConfig
) -> dict[str, Any]:
    name, sure = detection.category, detection.confidence
    if config.categories_are == "classifications" and detection.classifications:
        name, sure = detection.classifications[0]
    number = 0 if is_empty_name(name) else numbers[name]
    width, height = number_of(image.get("width")), number_of(image.get("height"))
    box = detection.box
    annotation: Entry = {"image_id": image["id"], "category_id": number}
    if width and height:
        annotation["bbox"] = [round(value, 3) for value in pixels_of(box, width, height)]
    else:
        annotation["bbox_relative"] = [box.x, box.y, box.width, box.height]
    return annotation if sure is None else {**annotation, "confidence": sure}
