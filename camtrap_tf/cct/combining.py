"""Several documents in one: ids and locations that cannot clash, categories by name, in an order that files alone decide."""

from __future__ import annotations

import collections
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from camtrap_tf.cct.cleaning import reference_refusal, with_normal_locations
from camtrap_tf.cct.working import (
    EMPTY,
    CctChange,
    CctWritten,
    check_output,
    check_share,
    finish,
    has_location,
    is_empty_name,
    location_of,
    reject_annotation,
    reject_image,
    sizes,
)
from camtrap_tf.config.cct import CctCombineConfig
from camtrap_tf.errors import SettingError
from camtrap_tf.records import Reject
from camtrap_tf.sources.cct_document import CctDocument, Entry, text_of


def combine_files(config: CctCombineConfig) -> CctWritten:
    """Writes several files as one.

    Raises:
        SettingError: names are not usable, or ids or file names clash.
        SourceError: a file cannot be read.
        TooManyRejectsError: more annotations are left out than allowed.
    """
    check_output(config.output, config.paths)
    names = config.names or tuple(dataset_name(path) for path in config.paths)
    _check_names(names)
    documents = [CctDocument.read(path) for path in config.paths]
    prefix = frozenset(config.prefix) - {"none"}
    change = combine(documents, names, prefix=prefix, normalize=config.normalize_locations)
    rejects = [reject for document in documents for reject in document.rejects]
    change = CctChange(change.document, (*rejects, *change.rejects), change.notes)
    source = " + ".join(str(path) for path in config.paths)
    if not config.dry_run:
        check_share(change.rejects, sizes(documents)["annotation"], config.max_rejected_share, "annotation", source)
    return finish(change, config.output, read=sizes(documents), source=source, dry_run=config.dry_run)


def dataset_name(path: Path) -> str:
    """Returns the name of the data set in a file name such as `animl_clean_cct.json`."""
    return re.sub(r"(_clean|_cct|_md|-clean|-cct)+$", "", path.stem) or path.stem


def _check_names(names: Sequence[str]) -> None:
    """Raises a SettingError where a name cannot stand for a data set, or stands for two."""
    for name, count in collections.Counter(names).items():
        if count > 1:
            raise SettingError(f"{count} files would be the data set {name!r}; give each its own with --names")
        if not name or "/" in name or "\\" in name:
            raise SettingError(f"--names {name!r}: a data set is named without slashes")


def combine(
    documents: Sequence[CctDocument], names: Sequence[str], *, prefix: frozenset[str] | set[str], normalize: bool = False
) -> CctChange:
    """Returns one document of several.

    Images get the key `dataset`. Images that have one already keep it, so that combined files can be combined again.
    Categories are joined by name; the empty one becomes 0, the others keep the id that the first file gives them, unless it
    is taken: then they get the lowest that no file uses.

    Args:
        documents: what to combine.
        names: name of the data set of each.
        prefix: what gets the name in front: `ids` of images, annotations and sequences, `locations`, `files`.
        normalize: write locations in lower case with `_` for spaces.

    Raises:
        SettingError: two images have one id or one file.
    """
    categories, ids, notes = joined_categories(documents)
    images: list[Entry] = []
    annotations: list[Entry] = []
    rejects: list[Reject] = []
    for document, name, new_ids in zip(documents, names, ids, strict=True):
        mine = document.images
        if normalize:
            mine, said = with_normal_locations(mine)
            notes += said
        kept, gone = _prefixed_images(mine, name, prefix)
        images += kept
        rejects += gone
        kept, gone = _prefixed_annotations(document, new_ids, f"{name}_" if "ids" in prefix else "")
        annotations += kept
        rejects += gone
    _check_clashes(images, annotations, prefix)
    images.sort(key=lambda image: (text_of(image.get("dataset")) or "", text_of(image.get("file_name")) or ""))
    info = {"description": f"{', '.join(names)}, combined", "original_info": _original_info(documents, names)}
    whole = CctDocument(images=images, annotations=annotations, categories=categories, others={"info": info})
    return CctChange(whole, tuple(rejects), tuple(notes))


def _original_info(documents: Sequence[CctDocument], names: Sequence[str]) -> dict[str, Any]:
    return {name: document.others.get("info") for document, name in zip(documents, names, strict=True)}


def joined_categories(documents: Iterable[CctDocument]) -> tuple[list[Entry], list[dict[str, int]], list[str]]:
    """Returns the categories of all documents by name, per document old id (text) → new id, and notes.

    The empty category comes first, as 0; then names in the order of the files. Case and spaces around a name do not count.
    """
    documents = list(documents)
    used = {number for document in documents for one in document.categories if (number := _number(one)) is not None}
    chosen: dict[str, Entry] = {}
    taken = {0}
    notes: list[str] = []
    renames: list[dict[str, int]] = []
    for document in documents:
        mine: dict[str, int] = {}
        meanings = document.category_meanings()
        for category in document.categories:
            key, name = text_of(category.get("id")), text_of(category.get("name"))
            if key is None or name is None:
                notes.append(f"category {str(category)[:60]} has no id or no name; left out")
                continue
            if meanings[key] is None:
                notes.append(f"category id {key} stands for several names; {name!r} and its annotations are left out")
                continue
            plain = EMPTY if is_empty_name(name) else name.strip().lower()
            if plain not in chosen:
                new_id = 0 if plain == EMPTY else _free_id(_number(category), taken, used)
                taken.add(new_id)
                chosen[plain] = {**category, "id": new_id, "name": EMPTY if plain == EMPTY else name.strip()}
            elif chosen[plain]["name"] != name and plain != EMPTY:
                notes.append(f"categories {chosen[plain]['name']!r} and {name!r} are one now: {chosen[plain]['name']!r}")
            mine[key] = chosen[plain]["id"]
        renames.append(mine)
    ordered = sorted(chosen, key=lambda plain: plain != EMPTY)
    return [chosen[plain] for plain in ordered], renames, notes


def _number(category: Entry) -> int | None:
    key = text_of(category.get("id"))
    return int(key) if key is not None and key.isdecimal() and len(key) < 16 else None


def _free_id(wish: int | None, taken: set[int], used: set[int]) -> int:
    if wish is not None and wish not in taken:
        return wish
    number = 1
    while number in taken or number in used:
        number += 1
    return number


def _prefixed_images(images: Iterable[Entry], name: str, prefix: Iterable[str]) -> tuple[list[Entry], list[Reject]]:
    """Returns the images of one data set with its name in them, and those without an id or a file as rejects."""
    wanted = set(prefix)
    kept, rejects = [], []
    for image in images:
        key, file_name = text_of(image.get("id")), text_of(image.get("file_name"))
        if key is None or file_name is None:
            rejects.append(reject_image(image, "no_id" if key is None else "no_path", "cannot be told from others"))
            continue
        own = text_of(image.get("dataset")) or name
        new = {**image, "dataset": own}
        if "ids" in wanted:
            new["id"] = f"{name}_{key}"
            if (sequence := text_of(image.get("seq_id"))) is not None:
                new["seq_id"] = f"{name}_{sequence}"
        if "locations" in wanted and has_location(image):
            new["location"] = f"{name}_{location_of(image)}"
        if "files" in wanted:
            new["file_name"] = f"{name}/{file_name}"
        kept.append(new)
    return kept, rejects


def _prefixed_annotations(document: CctDocument, new_ids: Mapping[str, int], start: str) -> tuple[list[Entry], list[Reject]]:
    """Returns the annotations of one data set pointing to the new ids, and those that point nowhere as rejects."""
    meanings = document.category_meanings()
    known = {key for image in document.images if (key := text_of(image.get("id"))) and text_of(image.get("file_name"))}
    kept, rejects = [], []
    for place, annotation in enumerate(document.annotations):
        image_id, category = text_of(annotation.get("image_id")), text_of(annotation.get("category_id"))
        # Ids that are there several times are told where data sets clash.
        refusal = reference_refusal(annotation, image_id in known, meanings, set())
        if refusal is not None:
            rejects.append(reject_annotation(annotation, *refusal))
        else:
            new = {**annotation, "category_id": new_ids[category or ""]}
            if start:
                key = text_of(annotation.get("id")) or f"{image_id}_{place}"
                new |= {"id": start + key, "image_id": f"{start}{image_id}"}
            kept.append(new)
    return kept, rejects


def _check_clashes(images: Iterable[Entry], annotations: Iterable[Entry], prefix: Iterable[str]) -> None:
    """Raises a SettingError where two images have one id or file, or two annotations one id."""
    entries = {
        "image id": ([text_of(one.get("id")) for one in images], "ids"),
        "file_name": ([text_of(one.get("file_name")) for one in images], "files"),
        "annotation id": ([text_of(one.get("id")) for one in annotations], "ids"),
    }
    for what, (values, remedy) in entries.items():
        twice = sorted(str(value) for value, count in collections.Counter(values).items() if count > 1 and value is not None)
        if twice:
            also = " ".join(sorted({*prefix, remedy}))
            advice = "clean the files first (`camtrap cct clean`)" if remedy in set(prefix) else f"add --prefix {also}"
            more = f" (and {len(twice) - 1} more such)" if len(twice) > 1 else ""
            raise SettingError(f"several entries have the {what} {twice[0]!r}{more}; {advice}")
