"""One document per split, by the (data set, location) pairs of `splits.json`; categories are the same in all of them."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from camtrap_tf.cct.categories import pruned
from camtrap_tf.cct.working import (
    dataset_of,
    location_of,
    place_of,
    reject_annotation,
    reject_image,
    summary,
)
from camtrap_tf.config.cct import CctSplitConfig
from camtrap_tf.errors import SettingError, counted, shortened
from camtrap_tf.files import check_output_file, check_writable, writable_folder
from camtrap_tf.records import Reject
from camtrap_tf.rejects import reasons_text, write_rejects
from camtrap_tf.sources.cct_document import CctDocument, Entry, text_of
from camtrap_tf.sources.split_files import COMBINED, UNKNOWN_LOCATION, Place, places_to_splits, read_label_index, read_splits

REJECTS = "rejects.csv"
OLDER_UNKNOWN = "unknown"
"""What Animl's documents call the location of images without one, where its tables say `unknown_location`."""


@dataclass(frozen=True, slots=True)
class SplitDocuments:
    """A document per split, and what is in none.

    Attributes:
        documents: split → document.
        rejects: images and annotations that are in none.
        unplaced: (data set, location) pairs that no split names.
    """

    documents: dict[str, CctDocument]
    rejects: tuple[Reject, ...]
    unplaced: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class CctSplitWritten:
    """The files that were written.

    Attributes:
        config: what was asked for.
        whole: the document that was cut.
        parts: its parts.
    """

    config: CctSplitConfig
    whole: CctDocument
    parts: SplitDocuments

    def text(self) -> str:
        """Returns the summary for a person: per unit, in = the parts + what is left out."""
        documents, rejects = self.parts.documents, self.parts.rejects
        lines = []
        for unit in ("image", "annotation"):
            gone = [reject for reject in rejects if reject.unit == unit]
            sizes = {name: len(getattr(document, f"{unit}s")) for name, document in documents.items()}
            parts = " + ".join(f"{size} {name}" for name, size in sizes.items())
            total = counted(sum(sizes.values()) + len(gone), unit)
            lines.append(f"{self.config.path}: {total} = {parts} + {len(gone)} left out{reasons_text(gone)}")
        lines += self.whole.notes
        if self.parts.unplaced:
            lines.append(_unplaced_text(self.parts.unplaced))
        start = "would write " if self.config.dry_run else ""
        for name, document in documents.items():
            lines.append(f"{start}{split_path(self.config.output_dir, name)}: {summary(document)}")
        if rejects:
            said = "would say what is in none of them, and why" if self.config.dry_run else "what is in none of them, and why"
            lines.append(f"{self.config.output_dir / REJECTS}: {said}")
        return "\n".join(lines)


def _unplaced_text(unplaced: Sequence[Place]) -> str:
    count = len(unplaced)
    start = "1 location is in no split" if count == 1 else f"{count} locations are in no split"
    return f"warning: {start}: {shortened(list(map(_place_text, unplaced)))}"


def _place_text(place: Place) -> str:
    return "/".join(filter(None, place))


def split_file(config: CctSplitConfig) -> CctSplitWritten:
    """Cuts a file into one per split.

    Raises:
        SettingError: the splits do not fit the file, e.g. name none of its locations, or it cannot be written there.
        SourceError: a file cannot be read.
    """
    check_writable(config.output_dir, "--output-dir")
    splits = read_splits(config.splits)
    sources = [path for path in (config.path, config.splits, config.label_index) if path is not None]
    for name in splits:
        check_output_file(split_path(config.output_dir, name), "--output-dir", suffixes=(".json",), sources=sources)
    labels = read_label_index(config.label_index) if config.label_index is not None else None
    document = CctDocument.read(config.path)
    parts = split_document(
        document, splits, dataset=config.dataset, labels=labels, min_locs=config.min_locs, prune=config.prune
    )
    parts = SplitDocuments(parts.documents, (*document.rejects, *parts.rejects), parts.unplaced)
    if not config.dry_run:
        writable_folder(config.output_dir, "--output-dir")
        write_rejects(config.output_dir / REJECTS, parts.rejects)
        for name, part in parts.documents.items():
            part.write(split_path(config.output_dir, name))
    return CctSplitWritten(config, document, parts)


def split_path(folder: Path, split: str) -> Path:
    """Returns where the document of a split lies, e.g. `train_cct.json`."""
    return folder / f"{split}_cct.json"


def split_document(
    document: CctDocument,
    splits: Mapping[str, Sequence[Place]],
    *,
    dataset: str | None = None,
    labels: Iterable[str] | None = None,
    min_locs: int = 0,
    prune: bool = False,
) -> SplitDocuments:
    """Returns one document per split; info and categories are those of the whole.

    Args:
        document: what to cut.
        splits: split → (data set, location) pairs.
        dataset: data set of images that name none; default: the only one of the splits.
        labels: category names to keep; None: all.
        min_locs: leave out labels that stand at fewer (data set, location) pairs of the whole document.
        prune: leave out categories that no annotation kept has, from every part alike.

    Raises:
        SettingError: a location is in two splits, the splits cannot tell data sets apart that the document has, or they
            name none of its locations.
    """
    split_of = places_to_splits(splits)
    kept_names = _labels_to_keep(document, labels, min_locs)
    whole, rejects = _with_labels(document, kept_names)
    if prune:
        whole = pruned(whole)
    find = _finder(split_of, document.images, dataset)
    _refuse_strange_splits(split_of, document.images, find)
    images: dict[str, list[Entry]] = {name: [] for name in splits}
    where: dict[str | None, str] = {}
    unplaced: dict[Place, None] = {}
    for image in whole.images:
        split = find(image)
        if split is None:
            unplaced.setdefault(place_of(image))
            rejects.append(reject_image(image, "no_split", f"no split has the location {location_of(image)!r}"))
        else:
            images[split].append(image)
            where[text_of(image.get("id"))] = split
    annotations: dict[str, list[Entry]] = {name: [] for name in splits}
    for annotation in whole.annotations:
        split = where.get(text_of(annotation.get("image_id")))
        if split is None:
            rejects.append(reject_annotation(annotation, "no_split", "its image is in no split"))
        else:
            annotations[split].append(annotation)
    documents = {name: whole.with_parts(images=images[name], annotations=annotations[name]) for name in splits}
    return SplitDocuments(documents, tuple(rejects), tuple(unplaced))


def split_by_image(document: CctDocument, split_of: Mapping[str, str], splits: Iterable[str]) -> dict[str, CctDocument]:
    """Returns one document per split, with the images that are in it and their annotations.

    Args:
        document: what to cut; info and categories are in every part.
        split_of: id of an image, as text → its split; other images are in no part.
        splits: the splits, those without an image too.
    """
    images: dict[str, list[Entry]] = {name: [] for name in splits}
    annotations: dict[str, list[Entry]] = {name: [] for name in images}
    for parts, entries, key in ((images, document.images, "id"), (annotations, document.annotations, "image_id")):
        for entry in entries:
            split = split_of.get(text_of(entry.get(key)) or "")
            if split is not None:
                parts[split].append(entry)
    return {name: document.with_parts(images=images[name], annotations=annotations[name]) for name in images}


def _labels_to_keep(document: CctDocument, labels: Iterable[str] | None, min_locs: int) -> set[str] | None:
    """Returns the names of the categories to keep; None: all."""
    if labels is None and min_locs < 2:
        return None
    places: dict[str, set[Place]] = collections.defaultdict(set)
    images, names = document.images_by_id(), document.category_names()
    for annotation in document.annotations:
        image = images.get(text_of(annotation.get("image_id")) or "")
        name = names.get(text_of(annotation.get("category_id")) or "")
        if image is not None and name is not None:
            places[name].add(place_of(image))
    wanted = set(names.values()) if labels is None else set(labels)
    return {name for name in wanted if len(places[name]) >= min_locs}


def _with_labels(document: CctDocument, names: set[str] | None) -> tuple[CctDocument, list[Reject]]:
    """Returns the document with annotations of these names and the images that have one; all, where `names` is None."""
    if names is None:
        return document, []
    by_id = document.category_names()
    kept, rejects = [], []
    for annotation in document.annotations:
        name = by_id.get(text_of(annotation.get("category_id")) or "")
        if name in names:
            kept.append(annotation)
        else:
            rejects.append(reject_annotation(annotation, "label_left_out", f"label {name!r} is left out"))
    has = {text_of(annotation.get("image_id")) for annotation in kept}
    images = [image for image in document.images if text_of(image.get("id")) in has]
    gone = [image for image in document.images if text_of(image.get("id")) not in has]
    rejects += [reject_image(image, "no_label", "has no annotation of a label that is kept") for image in gone]
    return document.with_parts(images=images, annotations=kept), rejects


def _finder(split_of: Mapping[Place, str], images: Sequence[Entry], dataset: str | None) -> Callable[[Entry], str | None]:
    """Returns a function that gives the split of an image, or None.

    Splits whose every data set is `combined`, as Animl's are, go by the location alone.

    Raises:
        SettingError: then one location name may not stand in two data sets of the document.
    """
    known = sorted({place[0] for place in split_of})
    anywhere = known == [COMBINED]
    default = dataset if dataset is not None else known[0] if len(known) == 1 else ""
    if anywhere:
        _refuse_shared_names(images)

    def find(image: Entry) -> str | None:
        """Returns the split of an image by its data set and location."""
        name = COMBINED if anywhere else dataset_of(image, default)
        location = location_of(image)
        found = split_of.get((name, location))
        if found is None and location == UNKNOWN_LOCATION:
            return split_of.get((name, OLDER_UNKNOWN))
        return found

    return find


def _refuse_strange_splits(split_of: Mapping[Place, str], images: Sequence[Entry], find: Callable[[Entry], str | None]) -> None:
    """Raises a SettingError where the splits place no image, as those of another data set do."""
    if not images or any(find(image) is not None for image in images):
        return
    mine = list(dict.fromkeys(map(place_of, images)))
    theirs = f"theirs are e.g. {_place_text(next(iter(split_of)))!r}" if split_of else "they name none at all"
    raise SettingError(
        f"the splits name no location of the file, which has {len(mine)}, e.g. {_place_text(mine[0])!r}; {theirs}. Take the "
        "splits.json of this data set; where images name no data set, --dataset says it"
    )


def _refuse_shared_names(images: Iterable[Entry]) -> None:
    """Raises a SettingError where a location name stands in two data sets."""
    datasets: dict[str, set[str]] = collections.defaultdict(set)
    for image in images:
        datasets[location_of(image)].add(dataset_of(image))
    shared = sorted(location for location, names in datasets.items() if len(names) > 1)
    if shared:
        raise SettingError(
            f"the splits name no data sets, but {len(shared)} locations stand in several of them, e.g. {shared[0]!r}; "
            "make the splits again with the data sets' names"
        )
