"""Fewer annotations: a seeded sample where a category dominates a location, and lists of what to leave out."""

from __future__ import annotations

import collections
import hashlib
from pathlib import Path

from camtrap_tf.cct.working import (
    CctChange,
    CctWritten,
    check_known,
    dataset_of,
    location_of,
    reject_annotation,
    reject_image,
    run_change,
    without_images_left_bare,
)
from camtrap_tf.config.cct import CctDropConfig, CctSubsampleConfig
from camtrap_tf.errors import SourceError
from camtrap_tf.files import unreadable
from camtrap_tf.records import Reject
from camtrap_tf.sources.cct_document import CctDocument, Entry, text_of


def subsample_file(config: CctSubsampleConfig) -> CctWritten:
    """Writes a file in which no category has more than so many annotations at a location; raises as `run_change` does."""
    return run_change(config, lambda document: subsample(document, config))


def subsample(document: CctDocument, config: CctSubsampleConfig) -> CctChange:
    """Returns the document with a sample of the annotations chosen; the others stay.

    Which annotations stay depends on the seed and their ids alone, so adding others changes little.

    Raises:
        SettingError: a category, location or data set does not exist.
    """
    names, images = document.category_names(), document.images_by_id()
    check_known(config.categories, names.values(), "--categories", "category")
    check_known(config.locations, map(location_of, document.images), "--locations", "location")
    check_known(config.datasets, map(dataset_of, document.images), "--datasets", "data set")
    groups: dict[tuple[str, ...], list[int]] = collections.defaultdict(list)
    for place, annotation in enumerate(document.annotations):
        image = images.get(text_of(annotation.get("image_id")) or "")
        name = names.get(text_of(annotation.get("category_id")) or "")
        if image is None or name is None:
            continue
        facts = (name, dataset_of(image), location_of(image))
        if _chosen(facts, (config.categories, config.datasets, config.locations)):
            groups[() if config.together else facts].append(place)
    gone: dict[int, str] = {}
    for key, places in groups.items():
        ranked = sorted(places, key=lambda place: (_rank(document.annotations[place], config.seed), place))
        where = f"{key[0]!r} at {key[2]!r}" if key else "what was chosen"
        gone |= dict.fromkeys(ranked[config.count :], f"one of {len(places)} of {where}; {config.count} are kept")
    kept = [annotation for place, annotation in enumerate(document.annotations) if place not in gone]
    rejects = [reject_annotation(document.annotations[place], "not_in_sample", gone[place]) for place in sorted(gone)]
    change = without_images_left_bare(document, kept)
    return CctChange(change.document, (*rejects, *change.rejects))


def _chosen(facts: tuple[str, str, str], wishes: tuple[tuple[str, ...], ...]) -> bool:
    return all(not wish or fact in wish for fact, wish in zip(facts, wishes, strict=True))


def _rank(annotation: Entry, seed: int) -> bytes:
    key = f"{seed}:{text_of(annotation.get('image_id'))}:{text_of(annotation.get('id'))}"
    return hashlib.sha256(key.encode()).digest()


def drop_from_file(config: CctDropConfig) -> CctWritten:
    """Writes a file without what is listed; raises as `run_change` does, and a SourceError for a list that cannot be read."""
    listed = _ids_in(config.ids_file, "--ids-file") if config.ids_file is not None else ()
    if config.image_ids_file is not None:
        images = _ids_in(config.image_ids_file, "--image-ids-file")
        config = config.model_copy(update={"image_ids": (*config.image_ids, *images)})
    return run_change(config, lambda document: drop(document, config, listed))


def drop(document: CctDocument, config: CctDropConfig, listed: tuple[str, ...] = ()) -> CctChange:
    """Returns the document without the annotations, images, locations and categories named.

    Args:
        document: what to take from.
        config: what to leave out.
        listed: further ids of annotations.

    Raises:
        SettingError: a category or location does not exist.
    """
    names = document.category_names()
    check_known(config.categories, names.values(), "--categories", "category")
    check_known(config.locations, map(location_of, document.images), "--locations", "location")
    rejects: list[Reject] = []
    images, gone = [], set()
    image_ids = frozenset(config.image_ids)
    for image in document.images:
        reason = _image_reason(image, config, image_ids)
        if reason is None:
            images.append(image)
        else:
            gone.add(text_of(image.get("id")))
            rejects.append(reject_image(image, *reason))
    ids = {*config.annotation_ids, *listed}
    kept = []
    for annotation in document.annotations:
        name = names.get(text_of(annotation.get("category_id")) or "")
        if text_of(annotation.get("image_id")) in gone:
            rejects.append(reject_annotation(annotation, "image_dropped", "its image is left out"))
        elif text_of(annotation.get("id")) in ids:
            rejects.append(reject_annotation(annotation, "listed", "its id is on the list"))
        elif name in config.categories:
            rejects.append(reject_annotation(annotation, "category_dropped", f"is {name!r}"))
        else:
            kept.append(annotation)
    categories = [one for one in document.categories if names.get(text_of(one.get("id")) or "") not in config.categories]
    known = {text_of(annotation.get("id")) for annotation in document.annotations}
    notes = [f"{len(ids - known)} of {len(ids)} listed ids are no annotation of this file"] if ids - known else []
    strange = image_ids - {text_of(image.get("id")) for image in document.images}
    if strange:
        notes.append(f"{len(strange)} of {len(image_ids)} listed ids are no image of this file")
    change = without_images_left_bare(document.with_parts(images=images, categories=categories), kept)
    return CctChange(change.document, (*rejects, *change.rejects), tuple(notes))


def _image_reason(image: Entry, config: CctDropConfig, ids: frozenset[str]) -> tuple[str, str] | None:
    if text_of(image.get("id")) in ids:
        return "listed", "its id is on the list"
    if location_of(image) in config.locations:
        return "location_dropped", f"stands at {location_of(image)!r}"
    return None


def _ids_in(path: Path, flag: str) -> tuple[str, ...]:
    """Returns the ids of a file, one a line."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as err:
        raise SourceError(f"{flag} {path}: {unreadable(err, 'list of ids')}") from err
    except UnicodeDecodeError as err:
        raise SourceError(f"{flag} {path}: cannot be read: {err}") from err
    return tuple(text for line in lines if (text := line.partition("#")[0].strip()))
