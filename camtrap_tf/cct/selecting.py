"""Which pictures of a document to fetch: by category, by location, by what else stands there, and seeded samples of them."""

from __future__ import annotations

import collections
import csv
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from camtrap_tf.cct.counting import locations_with
from camtrap_tf.cct.working import check_known, location_of, place_of, with_location_from_path
from camtrap_tf.config.download import SubsetConfig
from camtrap_tf.errors import SourceError
from camtrap_tf.sources.cct_document import CctDocument, Entry, text_of


@dataclass(frozen=True, slots=True)
class Subset:
    """Some pictures of a document.

    Attributes:
        document: these images, their annotations and all categories.
        read: how many images there were.
        left_out: wish → images that do not fulfil it, each counted once.
        locations: locations that were searched for by `--at-locations-with`.
        absent: categories that were asked for and do not exist.
    """

    document: CctDocument
    read: int
    left_out: dict[str, int]
    locations: int
    absent: tuple[str, ...] = ()

    def text(self) -> str:
        """Returns `100 images = 7 chosen + 93 left out (93 by category)`."""
        gone = ", ".join(f"{count} by {wish}" for wish, count in self.left_out.items() if count)
        found = f"; {self.locations} locations searched for" if self.locations else ""
        absent = f"; without the categories {', '.join(self.absent)}, which it does not have" if self.absent else ""
        out = sum(self.left_out.values())
        chosen = f"{self.read} images = {len(self.document.images)} chosen + {out} left out{f' ({gone})' if gone else ''}"
        return f"{chosen}{found}{absent}"


def choose_images(document: CctDocument, config: SubsetConfig) -> Subset:
    """Returns the images that fulfil every wish, in their order.

    Samples depend on the seed and the ids alone: a larger one holds the smaller one.

    Raises:
        SettingError: a category or location does not exist.
        SourceError: the list of locations cannot be read.
    """
    read = len(document.images)
    if config.location_from_path:
        document = document.with_parts(images=with_location_from_path(document.images, config.location_from_path))
    found = _categories_of_images(document)
    left_out: dict[str, int] = {}
    images: list[Entry] = document.images

    def keep(wish: str, kept: Iterable[Entry]) -> None:
        """Goes on with the images that fulfil a wish."""
        nonlocal images
        before, images = len(images), list(kept)
        left_out[wish] = before - len(images)

    absent: tuple[str, ...] = ()
    if config.category:
        wanted, absent = _wanted_categories(document, config)
        keep("category", (one for one in images if wanted & found.get(text_of(one.get("id")) or "", frozenset())))
    if config.locations or config.locations_file:
        wished = set(config.locations) | (read_locations(config.locations_file) if config.locations_file else set())
        check_known(sorted(config.locations), {location_of(one) for one in document.images}, "--locations", "location")
        keep("location", (one for one in images if location_of(one) in wished))
    places: set[tuple[str, str]] = set()
    if config.at_locations_with:
        places = {(dataset, location) for dataset, location, _, _ in locations_with(document, config.at_locations_with)}
        keep("what else is at the location", (one for one in images if place_of(one) in places))
    if config.with_boxes:
        boxed = {text_of(one.get("image_id")) for one in document.annotations if one.get("bbox") or one.get("bbox_relative")}
        keep("box", (one for one in images if text_of(one.get("id")) in boxed))
    if config.max_pictures or config.max_per_category or config.max_per_location:
        keep("sample", _sample(images, found, config))
    return Subset(with_images(document, images), read, left_out, len(places), absent)


def _wanted_categories(document: CctDocument, config: SubsetConfig) -> tuple[set[str], tuple[str, ...]]:
    """Returns the names of `--category` that there are, in lower case, and those that there are not.

    Raises:
        SettingError: one is not there, or, where that is allowed, none is.
    """
    wanted = sorted({name.lower() for name in config.category})
    known = {name.lower() for name in document.category_names().values()}
    there = [name for name in wanted if name in known]
    if not (config.absent_categories_ok and there):
        check_known(wanted, known, "--category", "category")
    return set(there), tuple(name for name in wanted if name not in known)


def with_images(document: CctDocument, images: list[Entry]) -> CctDocument:
    """Returns the document of some of its images: their annotations, and all categories."""
    ids = {text_of(one.get("id")) for one in images}
    annotations = [one for one in document.annotations if text_of(one.get("image_id")) in ids]
    return document.with_parts(images=images, annotations=annotations)


def _categories_of_images(document: CctDocument) -> dict[str, frozenset[str]]:
    """Returns image id → names of its categories in lower case."""
    names = {key: frozenset((name.lower(),)) for key, name in document.category_names().items()}
    found: dict[str, frozenset[str]] = {}
    nothing: frozenset[str] = frozenset()
    for one in document.annotations:
        image = text_of(one.get("image_id")) or ""
        name = names.get(text_of(one.get("category_id")) or "", nothing)
        found[image] = found[image] | name if image in found else name
    return found


def _sample(images: list[Entry], found: dict[str, frozenset[str]], config: SubsetConfig) -> list[Entry]:
    """Returns a sample within the limits, in the order of the images."""
    of_category: collections.Counter[str] = collections.Counter()
    of_location: collections.Counter[tuple[str, str]] = collections.Counter()
    kept: list[int] = []
    for row in sorted(range(len(images)), key=lambda row: _rank(images[row], config.seed)):
        image = images[row]
        names = found.get(text_of(image.get("id")) or "") or frozenset(("",))
        if config.max_pictures is not None and len(kept) == config.max_pictures:
            break
        if config.max_per_category is not None and all(of_category[name] >= config.max_per_category for name in names):
            continue
        if config.max_per_location is not None and of_location[place_of(image)] >= config.max_per_location:
            continue
        kept.append(row)
        of_location[place_of(image)] += 1
        of_category.update(names)
    return [images[row] for row in sorted(kept)]


def _rank(image: Entry, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}:{text_of(image.get('id'))}".encode("utf-8", "replace"), digest_size=16).digest()


def read_locations(path: Path) -> set[str]:
    """Returns the locations of a list that `camtrap cct locations-with` wrote, .json or .csv.

    Raises:
        SourceError: it cannot be read, or is another file.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".json":
            return {str(one["location"]) for one in json.loads(text)["locations"]}
        return {row["location"] for row in csv.DictReader(text.splitlines())}
    except (OSError, ValueError, KeyError, TypeError, csv.Error, RecursionError) as err:
        raise SourceError(
            f"--locations-file {path}: cannot be read as a list of locations ({type(err).__name__}: {err}); "
            "`camtrap cct locations-with … --output` writes one"
        ) from err
