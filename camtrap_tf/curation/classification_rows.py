"""The crops of a classification data set: of annotations, or of queried pictures; only those that are on disk are listed."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from camtrap_tf.cct.boxes_of_annotations import given_box
from camtrap_tf.cct.cleaning import image_refusal, reference_refusal
from camtrap_tf.cct.working import dataset_of, location_of
from camtrap_tf.detections.crop_names import accepted_names
from camtrap_tf.detections.megadetector import ANIMAL, DetectedPicture, MegadetectorDocument
from camtrap_tf.errors import SettingError, SourceError, suggestion
from camtrap_tf.files import join_inside, path_hint
from camtrap_tf.records import Reject
from camtrap_tf.sources.cct_document import CctDocument, Entry, text_of
from camtrap_tf.sources.classification_csv import CropRow
from camtrap_tf.sources.queried_images import QueriedImage, read_queried_images

CHECKERS = 16
UNIT = "crop"


@dataclass(frozen=True, slots=True)
class Crop:
    """A crop, and the entries it was cut along.

    Attributes:
        row: what the table says of it.
        annotation: its annotation, where it is of a COCO Camera Traps file.
        image: the image of that annotation.
    """

    row: CropRow
    annotation: Entry | None = None
    image: Entry | None = None


@dataclass(frozen=True, slots=True)
class Crops:
    """The folder of crops.

    Attributes:
        folder: where they are; None: nobody looks.
        check_valid: whether they have to be readable.
    """

    folder: Path | None
    check_valid: bool = False

    def find(self, names: tuple[str, ...]) -> str | None:
        """Returns the first of several names that is there; the first of all where nobody looks, None where none is there."""
        if self.folder is None:
            return names[0]
        return next((name for name in names if self._is_there(self.folder, name)), None)

    def is_readable(self, name: str) -> bool:
        """Returns whether a crop can be decoded; true where nobody looks."""
        if self.folder is None or not self.check_valid:
            return True
        try:
            with Image.open(join_inside(self.folder, name)) as picture:
                picture.load()
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            return False
        return True

    @staticmethod
    def _is_there(folder: Path, name: str) -> bool:
        try:
            return join_inside(folder, name).is_file()
        except (ValueError, OSError):
            return False


def crops_of_cct(document: CctDocument, crops: Crops, *, dataset: str) -> Iterator[Crop | Reject]:
    """Yields the crop of every annotation with a box, or why there is none.

    Args:
        document: the document whose annotations were cropped.
        crops: the folder of crops.
        dataset: data set of images that name none.
    """
    ids: set[str] = set()
    files: set[str] = set()
    usable: dict[str, Entry] = {}
    for image in document.images:
        refusal = image_refusal(image, ids, files)
        key, name = text_of(image.get("id")) or "", text_of(image.get("file_name")) or ""
        if refusal is None:
            usable[key] = image
        ids.add(key)
        files.add(name)
    meanings, names = document.category_meanings(), document.category_names()
    seen: set[str] = set()
    for annotation in document.annotations:
        own = text_of(annotation.get("id"))
        of = usable.get(text_of(annotation.get("image_id")) or "")
        refusal = reference_refusal(annotation, of is not None, meanings, seen)
        if own is not None:
            seen.add(own)
        if refusal is None and own is None:
            refusal = ("no_id", "has no id, which its crop is named by")
        if refusal is None and given_box(annotation) is None:
            refusal = ("no_bbox", "has no box")
        if refusal is not None or of is None or own is None:
            yield Reject(text_of(annotation.get("image_id")) or "", own or "", UNIT, *(refusal or ("unknown_image", "")))
            continue
        path = crops.find(accepted_names(text_of(of["file_name"]) or "", annotation_id=own))
        if path is None:
            yield Reject(text_of(of["id"]) or "", own, UNIT, "missing_crop", f"{of['file_name']} has no crop of {own}")
            continue
        name = names[text_of(annotation.get("category_id")) or ""]
        row = CropRow(
            path=path,
            dataset=dataset_of(of, dataset),
            location=location_of(of),
            dataset_class=name,
            confidence=1.0,
            labels=(name,),
        )
        yield Crop(row, annotation, of)


def crops_of_queried(
    path: Path, crops: Crops, detections: Callable[[QueriedImage], DetectedPicture | None], *, threshold: float
) -> Iterator[Crop | Reject]:
    """Yields the crops of queried pictures, or why a picture or box has none.

    Args:
        path: `queried_images.json`.
        crops: the folder of crops.
        detections: gives what a detector found in a picture that has no drawn boxes, or None.
        threshold: detections below it have no crop; those without a confidence always have.

    Raises:
        SourceError: the file cannot be read.
    """
    for image in read_queried_images(path):
        if isinstance(image, Reject):
            yield Reject(image.id, image.item, UNIT, image.reason, image.detail)
        elif image.boxes is not None:
            if not image.boxes:
                yield Reject(image.key, image.key, UNIT, "no_detection", "has no box")
            for place in range(len(image.boxes)):
                yield _crop(image, crops, place, 1.0, None)
        else:
            yield from _detected_crops(image, crops, detections(image), threshold)


def _detected_crops(
    image: QueriedImage, crops: Crops, picture: DetectedPicture | None, threshold: float
) -> Iterator[Crop | Reject]:
    if picture is None or picture.failure is not None:
        detail = "has no drawn box, and no detections" if picture is None else str(picture.failure)
        yield Reject(image.key, image.key, UNIT, "missing_detections", detail)
        return
    sure = [
        one for one in picture.detections
        if one.category == ANIMAL and (one.confidence is None or one.confidence >= threshold)
    ]  # fmt: skip
    if not sure:
        yield Reject(image.key, image.key, UNIT, "no_confident_detection", f"no animal of confidence {threshold} or more")
    detector = text_of(picture.entry.get("detector"))
    for one in sure:
        yield _crop(image, crops, one.place, 1.0 if one.confidence is None else one.confidence, detector)


def _crop(image: QueriedImage, crops: Crops, place: int, confidence: float, detector: str | None) -> Crop | Reject:
    path = crops.find(accepted_names(image.key, place=place, detector=detector))
    if path is None:
        return Reject(image.key, f"box {place}", UNIT, "missing_crop", f"{image.key} has no crop of its box {place}")
    row = CropRow(
        path=path,
        dataset=image.dataset,
        location=image.location,
        dataset_class=image.dataset_class,
        confidence=confidence,
        labels=image.labels,
    )
    return Crop(row)


class DetectionFolder:
    """MegaDetector results by data set, `v<version>/<data set>.json`, each read when it is first asked for."""

    def __init__(self, folder: Path | None, version: str | None) -> None:
        """Takes the folder.

        Args:
            folder: the folder; None: there are no detections.
            version: of the detector; None: the only one there.

        Raises:
            SettingError: there is no such version, or several and none is named.
        """
        self.folder = None if folder is None else _version_folder(folder, version)
        self._by_dataset: dict[str, dict[str, DetectedPicture]] = {}

    def of(self, image: QueriedImage) -> DetectedPicture | None:
        """Returns what was found in a picture, or None where nobody looked; its entry names the detector."""
        if self.folder is None:
            return None
        if image.dataset not in self._by_dataset:
            self._by_dataset[image.dataset] = self._read(self.folder / f"{image.dataset}.json")
        return self._by_dataset[image.dataset].get(image.file)

    @staticmethod
    def _read(path: Path) -> dict[str, DetectedPicture]:
        if not path.is_file():
            return {}
        document = MegadetectorDocument.read(path)
        found = {}
        for picture in document.pictures():
            if isinstance(picture, DetectedPicture):
                picture.entry.setdefault("detector", document.info.get("detector"))
                found[picture.file] = picture
        return found


def _version_folder(folder: Path, version: str | None) -> Path:
    if not folder.is_dir():
        raise SettingError(
            f"--detections-dir {folder}: no such folder{path_hint(folder)}; it holds v<version>/<data set>.json of a detector, "
            "and is not needed where every picture has drawn boxes"
        )
    versions = sorted(one.name.removeprefix("v") for one in folder.iterdir() if one.is_dir() and one.name.startswith("v"))
    if version is None and len(versions) == 1:
        return folder / f"v{versions[0]}"
    if version is None and not versions:
        return folder
    if version is None:
        raise SettingError(f"--detections-dir {folder}: has several versions ({', '.join(versions)}); give --detector-version")
    if version.removeprefix("v") not in versions:
        raise SettingError(f"--detector-version {version}: no such folder in {folder}{suggestion(version, versions)}")
    return folder / f"v{version.removeprefix('v')}"


def unreadable(found: list[Crop], crops: Crops) -> tuple[list[Crop], list[Reject]]:
    """Returns the crops that can be decoded, and the others as rejects; looks only where that was asked for."""
    if not crops.check_valid:
        return found, []
    with ThreadPoolExecutor(CHECKERS) as pool:
        fine = list(pool.map(lambda crop: crops.is_readable(crop.row.path), found))
    rejects = [
        Reject(crop.row.path, crop.row.path, UNIT, "unreadable_crop", "cannot be decoded")
        for crop, good in zip(found, fine, strict=True)
        if not good
    ]
    return [crop for crop, good in zip(found, fine, strict=True) if good], rejects


def without_rare(found: list[Crop], min_locs: int) -> tuple[list[Crop], list[Reject]]:
    """Returns the crops whose labels all stand at enough (data set, location) pairs, and the others as rejects."""
    places: dict[str, set[tuple[str, str]]] = collections.defaultdict(set)
    for crop in found:
        for label in crop.row.labels:
            places[label].add(crop.row.place)
    rare = {label: len(there) for label, there in places.items() if len(there) < min_locs}
    kept: list[Crop] = []
    rejects: list[Reject] = []
    for crop in found:
        few = next((label for label in crop.row.labels if label in rare), None)
        if few is None:
            kept.append(crop)
        else:
            detail = f"{few!r} stands at {rare[few]} locations, fewer than {min_locs}"
            rejects.append(Reject(crop.row.path, crop.row.path, UNIT, "too_few_locations", detail))
    return kept, rejects


def one_crop_per_path(found: list[Crop]) -> tuple[list[Crop], list[Reject]]:
    """Returns the crops without those whose file an earlier one is."""
    seen: set[str] = set()
    kept, rejects = [], []
    for crop in found:
        if crop.row.path in seen:
            rejects.append(Reject(crop.row.path, crop.row.path, UNIT, "repeated_crop", "an earlier crop is this file"))
        else:
            seen.add(crop.row.path)
            kept.append(crop)
    return kept, rejects


def nothing_left(source: Path, rejects: list[Reject], reasons: str) -> SourceError:
    """Returns the error that says that no crop is usable."""
    return SourceError(f"{source}: no crop is left of {len(rejects)}{reasons}; check --crops-dir, --threshold and --min-locs")
