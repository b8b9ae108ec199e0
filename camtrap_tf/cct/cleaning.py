"""A document without what cannot be trained on: each rule leaves out what it finds under a reason of its own."""

from __future__ import annotations

import collections
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from camtrap_tf.cct.boxes_of_annotations import clipped, limits_of, named_by_unit, overhang, size_of, with_sizes
from camtrap_tf.cct.times import latest_time, time_refusal
from camtrap_tf.cct.working import (
    CctChange,
    CctWritten,
    check_known,
    is_empty_name,
    location_of,
    normal_location,
    reject_annotation,
    reject_image,
    run_change,
    with_location_from_path,
)
from camtrap_tf.config.cct import CctCleanConfig
from camtrap_tf.detections.boxes import SLACK, SLACK_PX, BoxError, advice_texts, checked_box, flag_advice
from camtrap_tf.errors import counted
from camtrap_tf.files import require_folder
from camtrap_tf.records import Reject
from camtrap_tf.sources.cct_document import CctDocument, Entry, text_of
from camtrap_tf.sources.split_files import UNKNOWN_LOCATION

Refusal = tuple[str, str]
"""Reason code and one sentence."""

IMAGE_LEFT_OUT: Refusal = ("image_left_out", "its image is left out")


def clean_file(config: CctCleanConfig) -> CctWritten:
    """Writes a clean file; raises as `run_change` does, and a SettingError where `--image-root` is no folder."""
    if config.image_root is not None:
        require_folder(config.image_root, "--image-root")
    return run_change(config, lambda document: clean(document, config), max_rejected_share=config.max_rejected_share)


def clean(document: CctDocument, config: CctCleanConfig) -> CctChange:
    """Returns the document without unusable images and annotations.

    Raises:
        SettingError: a location to leave out does not exist.
    """
    notes: list[str] = []
    images = list(document.images) if config.image_root is None else with_sizes(document.images, config.image_root)
    if config.location_from_path:
        images = with_location_from_path(images, config.location_from_path)
    check_known(config.drop_locations, map(location_of, images), "--drop-locations", "location")
    document, said = _with_plain_boxes(document, config)
    notes += said
    usable, rejects = _usable_images(images, config)
    if config.normalize_locations:
        usable, said = with_normal_locations(usable)
        notes += said
    kept, refused, cut = _usable_annotations(document, usable, config)
    if cut:
        notes.append(f"{counted(cut, 'box', 'es')} that stuck out of the picture, cut at its edge")
    advice = advice_texts((one.reason for one in refused), config.boxes)
    notes += advice
    left, bare = _annotated_images(document, usable, kept, keep_empty=config.keep_empty)
    categories, said = _own_categories(document)
    whole = document.with_parts(images=left, annotations=kept, categories=categories)
    return CctChange(whole, (*rejects, *refused, *bare), (*notes, *said), "; ".join(advice))


def _with_plain_boxes(document: CctDocument, config: CctCleanConfig) -> tuple[CctDocument, list[str]]:
    """Returns the document with boxes that are shares of the picture named so, where `--boxes` says it, and a note on it."""
    if config.boxes == "pixels":
        return document, []
    named = [named_by_unit(one) for one in document.annotations]
    count = sum(new is not old for new, old in zip(named, document.annotations, strict=True))
    note = f"{counted(count, 'box', 'es')} in bbox read as shares of the picture; the result calls them bbox_relative"
    return document.with_parts(annotations=named), [note] * bool(count)


def _own_categories(document: CctDocument) -> tuple[list[Entry], list[str]]:
    """Returns the categories with an id of their own, the first of those that are there twice, and notes on the others."""
    clashing = clashing_ids(document.category_meanings())
    seen: set[str] = set()
    kept: list[Entry] = []
    again: list[str] = []
    for category in document.categories:
        key = text_of(category.get("id"))
        if key is None or key not in seen | clashing:
            kept.append(category)
        elif key not in clashing:
            again.append(key)
        seen.add(key or "")
    notes = [clash_note(clashing)] if clashing else []
    if again:
        notes.append(f"category ids that are there again, kept once: {', '.join(sorted(set(again)))}")
    return kept, notes


def clashing_ids(meanings: Mapping[str, str | None]) -> set[str]:
    """Returns the category ids that stand for several names; `meanings` as of `reference_refusal`."""
    return {key for key, name in meanings.items() if name is None}


def clash_note(clashing: Iterable[str]) -> str:
    """Returns a sentence on category ids that stand for several names, whose categories are left out."""
    return f"category ids that stand for several names, left out: {', '.join(sorted(clashing))}"


def _usable_images(images: Iterable[Entry], config: CctCleanConfig) -> tuple[list[Entry], list[Reject]]:
    """Returns the images that have an id and a file of their own and are not to be left out, and why the others go."""
    latest = latest_time()
    ids: set[str] = set()
    files: set[str] = set()
    usable, rejects = [], []
    for image in images:
        refusal = image_refusal(image, ids, files)
        if refusal is None and location_of(image) in config.drop_locations:
            refusal = ("location_dropped", f"stands at {location_of(image)!r}")
        if refusal is None and config.bad_times == "reject":
            refusal = time_refusal(image, latest)
        if refusal is None:
            usable.append(image)
        else:
            rejects.append(reject_image(image, *refusal))
        ids.add(text_of(image.get("id")) or "")
        files.add(text_of(image.get("file_name")) or "")
    return usable, rejects


def image_refusal(image: Entry, ids: set[str], files: set[str]) -> Refusal | None:
    """Returns why an image cannot be used, or None.

    Args:
        image: the entry.
        ids: ids of the images before it.
        files: file names of the images before it.
    """
    key, name = text_of(image.get("id")), text_of(image.get("file_name"))
    if key is None:
        return "no_id", "has no id"
    if key in ids:
        return "repeated_id", f"an earlier image has the id {key!r}"
    if name is None:
        return "no_path", "has no file_name"
    return path_refusal(name, files)


def path_refusal(name: str, files: Collection[str]) -> Refusal | None:
    """Returns why a path cannot be that of an image, or None; `files`: those of the images before it."""
    if name in files:
        return "repeated_file", f"an earlier image is the file {name!r}"
    path = PurePosixPath(name.replace("\\", "/"))
    if ".." in path.parts or "\0" in name:
        return "outside_root", f"{name!r} leads out of the folder of pictures"
    return None


def _usable_annotations(
    document: CctDocument, images: Iterable[Entry], config: CctCleanConfig
) -> tuple[list[Entry], list[Reject], int]:
    """Returns the usable annotations, why the others are not, and how many boxes were cut at the edge."""
    by_id = {text_of(image.get("id")): image for image in images}
    known = {text_of(image.get("id")) for image in document.images}
    meanings, names = document.category_meanings(), document.category_names()
    seen: set[str] = set()
    kept: list[Entry] = []
    rejects: list[Reject] = []
    cut = 0
    for annotation in document.annotations:
        key, image_id = text_of(annotation.get("id")), text_of(annotation.get("image_id"))
        image = by_id.get(image_id)
        result: Entry | Refusal | None = reference_refusal(annotation, image_id in known, meanings, seen)
        if result is None and image is None:
            result = IMAGE_LEFT_OUT
        if result is None and image is not None:
            result = _judged(annotation, image, names, config)
        if isinstance(result, dict):
            cut += result is not annotation
            kept.append(result)
        elif result is not None:
            rejects.append(reject_annotation(annotation, *result))
        if key is not None:
            seen.add(key)
    return kept, rejects, cut


def reference_refusal(
    annotation: Entry, known_image: bool, meanings: Mapping[str, str | None], seen: set[str]
) -> Refusal | None:
    """Returns why an annotation points nowhere or has the id of an earlier one, or None.

    Args:
        annotation: the entry.
        known_image: whether its image is in the file.
        meanings: categories of the file by id; None where an id stands for several names.
        seen: ids of the annotations before it.
    """
    key = text_of(annotation.get("id"))
    if not known_image:
        return "unknown_image", f"no image has the id {annotation.get('image_id')!r}"
    if (refusal := category_refusal(annotation, meanings)) is not None:
        return refusal
    return repeated_refusal(key) if key is not None and key in seen else None


def repeated_refusal(key: str | None) -> Refusal:
    """Returns why an annotation with the id of an earlier one cannot be used."""
    return "repeated_id", f"an earlier annotation has the id {key!r}"


def category_refusal(annotation: Entry, meanings: Mapping[str, str | None]) -> Refusal | None:
    """Returns why the category of an annotation is none, or None; `meanings` as of `reference_refusal`."""
    category = text_of(annotation.get("category_id"))
    if category is None or category not in meanings:
        return "unknown_category", f"no category has the id {annotation.get('category_id')!r}"
    return ("category_clash", f"several categories have the id {category}") if meanings[category] is None else None


@dataclass(frozen=True, slots=True)
class AnnotationJudge:
    """What decides whether annotations of a document can be used, wherever their images are looked after already.

    Attributes:
        meanings: categories of the file by id; None where an id stands for several names.
        repeated: annotations with the id of an earlier one, by `id()`.
    """

    meanings: Mapping[str, str | None]
    repeated: frozenset[int]

    @classmethod
    def of(cls, document: CctDocument) -> AnnotationJudge:
        """Makes it for a document, whose annotations have to live as long."""
        return cls(document.category_meanings(), frozenset(map(id, document.repeated_annotations())))

    def refusal(self, annotation: Entry) -> Refusal | None:
        """Returns why the category or the id of an annotation cannot be used, or None."""
        refusal = category_refusal(annotation, self.meanings)
        if refusal is None and id(annotation) in self.repeated:
            return repeated_refusal(text_of(annotation.get("id")))
        return refusal

    def category(self, annotation: Entry) -> str | None:
        """Returns the name of the category of an annotation; None where `refusal` says why there is none."""
        return self.meanings.get(text_of(annotation.get("category_id")) or "")


def _judged(annotation: Entry, image: Entry, names: Mapping[str, str], config: CctCleanConfig) -> Entry | Refusal:
    """Returns the annotation, with its box cut at the edge where it stuck out, or why it is left out."""
    try:
        box = limits_of(annotation, image)
        if box is None:
            empty = is_empty_name(names.get(text_of(annotation.get("category_id")) or ""))
            fine = not config.require_box or (config.keep_empty and empty)
            return annotation if fine else ("no_bbox", "has no box")
        key, values, size = box
        if config.require_dimensions and size_of(image) is None:
            return "no_dimensions", "its image has no width and height"
        if size is None:
            return annotation
        checked_box(values, size_px=size, relative=key == "bbox_relative")
    except BoxError as err:
        return err.reason, f"{err}{flag_advice(err.reason, config.boxes)}"
    if _too_big(values, size, config):
        return "bbox_too_big", f"box {values} takes {config.max_box_share:.0%} or more of {size[0]:g} x {size[1]:g}"
    if overhang(values, size) <= (SLACK if key == "bbox_relative" else SLACK_PX):
        return annotation
    if config.outside == "reject":
        return "bbox_sticks_out", f"box {values} sticks out of {size[0]:g} x {size[1]:g}"
    return {**annotation, key: clipped(values, size)}


def _too_big(values: list[float], size: tuple[float, float], config: CctCleanConfig) -> bool:
    """Tells whether a box reaches the largest share in both sides, or in either, as the rule says.

    Source: Animl's cleaning leaves out boxes of 95 % and more in both sides; its first version did so in either.
    """
    wide = values[2] >= config.max_box_share * size[0]
    high = values[3] >= config.max_box_share * size[1]
    return {"both": wide and high, "either": wide or high, "off": False}[config.too_big]


def _annotated_images(
    document: CctDocument, images: Iterable[Entry], kept: Iterable[Entry], *, keep_empty: bool
) -> tuple[list[Entry], list[Reject]]:
    """Returns the images that still have an annotation, and why the others go."""
    has = {text_of(annotation.get("image_id")) for annotation in kept}
    had = {text_of(annotation.get("image_id")) for annotation in document.annotations}
    left, rejects = [], []
    for image in images:
        key = text_of(image.get("id"))
        if key in has or (keep_empty and key not in had):
            left.append(image)
        elif key in had:
            rejects.append(reject_image(image, "no_annotation_left", "every annotation of it was left out"))
        else:
            rejects.append(reject_image(image, "no_annotation", "nobody annotated it"))
    return left, rejects


def with_normal_locations(images: Iterable[Entry]) -> tuple[list[Entry], list[str]]:
    """Returns the images with their locations in lower case and with `_` for spaces, and notes on names that became one."""
    spellings: dict[str, set[str]] = collections.defaultdict(set)
    changed = []
    for image in images:
        location = location_of(image)
        if location == UNKNOWN_LOCATION:
            changed.append(image)
            continue
        spellings[normal_location(location)].add(location)
        changed.append({**image, "location": normal_location(location)})
    joined = {name: sorted(found) for name, found in spellings.items() if len(found) > 1}
    return changed, [f"locations {', '.join(map(repr, found))} became one: {name!r}" for name, found in sorted(joined.items())]
