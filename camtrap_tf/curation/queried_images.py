"""Makes `queried_images.json` of a COCO Camera Traps file, or of MegaDetector results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from camtrap_tf.cct.boxes_of_annotations import box_of, with_sizes
from camtrap_tf.cct.cleaning import AnnotationJudge
from camtrap_tf.cct.working import (
    check_output,
    dataset_of,
    location_of,
    reject_annotation,
    reject_image,
)
from camtrap_tf.config.classification import QueriedImagesConfig
from camtrap_tf.detections.boxes import BoxError
from camtrap_tf.detections.megadetector import ANIMAL, DetectedPicture, MegadetectorDocument
from camtrap_tf.errors import SettingError
from camtrap_tf.files import read_json, require_folder, writable_folder
from camtrap_tf.records import BoundingBox, Reject
from camtrap_tf.rejects import reasons_text, rejects_line, rejects_path, write_rejects
from camtrap_tf.sources.cct_document import CctDocument, Entry, text_of
from camtrap_tf.sources.queried_images import QueriedImage, write_queried_images
from camtrap_tf.sources.split_files import UNKNOWN_LOCATION

Found = tuple[str, BoundingBox]
"""Class and box of one thing in a picture."""


@dataclass(frozen=True, slots=True)
class QueriedImagesWritten:
    """The pictures that were written, and those that were not.

    Attributes:
        path: what was read.
        output: what was written.
        images: pictures by their keys.
        rejects: pictures (unit `image`) and boxes that are not in it.
        dry_run: nothing was written.
    """

    path: Path
    output: Path
    images: dict[str, QueriedImage]
    rejects: tuple[Reject, ...]
    dry_run: bool

    def text(self) -> str:
        """Returns the summary for a person."""
        gone = [one for one in self.rejects if one.unit == "image"]
        boxes = [one for one in self.rejects if one.unit != "image"]
        labels = sorted({label for image in self.images.values() for label in image.labels})
        kept, whole = len(self.images), len(self.images) + len(gone)
        lines = [f"{self.path}: {whole} images read = {kept} kept + {len(gone)} left out{reasons_text(gone)}"]
        lines += [f"{len(boxes)} boxes or annotations left out{reasons_text(boxes)}"] * bool(boxes)
        start = "would write " if self.dry_run else ""
        lines.append(f"{start}{self.output}: {len(self.images)} pictures, labels: {', '.join(labels)}")
        return "\n".join(lines + [rejects_line(self.output, dry_run=self.dry_run)] * bool(self.rejects))


def make_queried_images(config: QueriedImagesConfig) -> QueriedImagesWritten:
    """Writes `queried_images.json` of either kind of file.

    Raises:
        SettingError: a picture names no data set and `--dataset` does not either, or the file cannot be written there.
        SourceError: the input cannot be read.
    """
    output = config.output or config.path.with_name(f"{config.path.stem}_queried_images{config.path.suffix}")
    check_output(output, (config.path,))
    if config.image_root is not None:
        require_folder(config.image_root, "--image-root")
    value = read_json(config.path, what="COCO Camera Traps file or MegaDetector results")
    if isinstance(value, dict) and "detection_categories" in value:
        images, rejects = of_megadetector(MegadetectorDocument.of(value, what=str(config.path)), config)
    else:
        images, rejects = of_cct(CctDocument.read(config.path), config)
    if not config.dry_run:
        writable_folder(output.parent, "--output")
        write_rejects(rejects_path(output), rejects)
        write_queried_images(output, images)
    return QueriedImagesWritten(config.path, output, images, tuple(rejects), config.dry_run)


def of_cct(document: CctDocument, config: QueriedImagesConfig) -> tuple[dict[str, QueriedImage], list[Reject]]:
    """Returns the pictures of a document by `<data set>/<file>`, and what is left out."""
    if config.image_root is not None:
        document = document.with_parts(images=with_sizes(document.images, config.image_root))
    judge, by_image = AnnotationJudge.of(document), document.annotations_by_image()
    queried: dict[str, QueriedImage] = {}
    rejects: list[Reject] = list(document.rejects)
    for image in document.images:
        file, key = text_of(image.get("file_name")), text_of(image.get("id")) or ""
        found: list[Found] = []
        for annotation in by_image.get(key, ()):
            _take(found, rejects, annotation, image, judge)
        _add(queried, rejects, (image, file or "", location_of(image)), found, config)
    return queried, rejects


def _take(found: list[Found], rejects: list[Reject], annotation: Entry, image: Entry, judge: AnnotationJudge) -> None:
    """Adds class and box of an annotation to those found, or why it has none to the rejects."""
    name, refusal = judge.category(annotation), judge.refusal(annotation)
    box = None
    if refusal is None:
        try:
            box = box_of(annotation, image)
        except BoxError as err:
            refusal = err.reason, str(err)
        else:
            refusal = None if box is not None else ("no_bbox", "has no box")
    if refusal is not None:
        rejects.append(reject_annotation(annotation, *refusal))
    elif box is not None and name is not None:
        found.append((name, box))


def of_megadetector(
    document: MegadetectorDocument, config: QueriedImagesConfig
) -> tuple[dict[str, QueriedImage], list[Reject]]:
    """Returns the pictures of MegaDetector results by `<data set>/<file>`, and what is left out.

    The class is the detection category, or the best classification of an `animal`.
    """
    queried: dict[str, QueriedImage] = {}
    rejects: list[Reject] = []
    for picture in document.pictures():
        if isinstance(picture, Reject):
            rejects.append(Reject(picture.id, picture.item, "image", picture.reason, picture.detail))
            continue
        if picture.failure is not None:
            rejects.append(Reject("", picture.file, "image", "failure", picture.failure))
            continue
        rejects += picture.rejects
        location = text_of(picture.entry.get("location")) or UNKNOWN_LOCATION
        _add(queried, rejects, (picture.entry, picture.file, location), _found(picture), config)
    return queried, rejects


def _found(picture: DetectedPicture) -> list[Found]:
    return [
        (one.classifications[0][0] if one.category == ANIMAL and one.classifications else one.category, one.box)
        for one in picture.detections
    ]


def _add(
    queried: dict[str, QueriedImage],
    rejects: list[Reject],
    picture: tuple[dict[str, Any], str, str],
    found: list[Found],
    config: QueriedImagesConfig,
) -> None:
    """Adds a picture (entry, file, location) to those queried, or why it is none to the rejects.

    Raises:
        SettingError: its data set is not known, or is no name.
    """
    entry, file, location = picture
    dataset = dataset_of(entry, config.dataset or "")
    if not dataset or "/" in dataset:
        raise SettingError(
            f"{config.path}: {file!r} names no data set; give --dataset"
            if not dataset
            else f"data set {dataset!r} holds a slash"
        )
    key = f"{dataset}/{file}"
    problem = None
    if not file:
        problem = ("no_path", "has no file name")
    elif ".." in file.replace("\\", "/").split("/"):
        problem = ("outside_root", f"{file!r} leads out of the folder of pictures")
    elif key in queried:
        problem = ("repeated_file", f"an earlier picture is {key!r}")
    elif not found:
        problem = ("no_detection", "has no box")
    elif len(found) > 1 and not config.keep_several:
        problem = ("several_detections", f"has {len(found)} boxes; --keep-several keeps it")
    if problem is not None:
        rejects.append(reject_image({"id": entry.get("id"), "file_name": file}, *problem))
        return
    labels = tuple(dict.fromkeys(name for name, _ in found))
    boxes = tuple((ANIMAL, box) for _, box in found)
    queried[key] = QueriedImage(
        key=key, dataset=dataset, location=location, dataset_class=labels[0], labels=labels, boxes=boxes
    )
