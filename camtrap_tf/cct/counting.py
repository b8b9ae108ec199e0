"""How often each category occurs, and where: tables of a document."""

from __future__ import annotations

import collections
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from camtrap_tf.cct.working import check_known, has_location, place_of, summary, with_location_from_path
from camtrap_tf.config.cct import CctCountsConfig, CctLocationsConfig
from camtrap_tf.errors import counted
from camtrap_tf.files import check_output_file, write_csv, write_json
from camtrap_tf.sources.cct_document import CctDocument, Entry, text_of
from camtrap_tf.sources.split_files import UNKNOWN_LOCATION

COUNT_COLUMNS = ("index", "id", "name", "annotations", "images", "locations")
LOCATION_COLUMNS = ("dataset", "location", "annotations", "images")
CONTRAST_COLUMNS = ("category_id", "category_name", "annotations", "locations")


@dataclass(frozen=True, slots=True)
class CategoryCount:
    """How often a category occurs.

    Attributes:
        index: its place among the categories, which is its class index for Animl's training.
        id: its id as text.
        name: its name.
        annotations: how many there are.
        images: on how many images.
        locations: at how many (data set, location) pairs; images without a location are at none.
    """

    index: int
    id: str
    name: str
    annotations: int
    images: int
    locations: int


@dataclass(frozen=True, slots=True)
class CctCounts:
    """The counts of a file, and where they were written."""

    path: Path
    document: CctDocument
    counts: tuple[CategoryCount, ...]
    output: Path | None

    def text(self) -> str:
        """Returns the table for a person."""
        rows = [(one.index, one.id, one.name, one.annotations, one.images, one.locations) for one in self.counts]
        lines = [f"{self.path}: {summary(self.document)}", *self.document.notes, *table_lines(COUNT_COLUMNS, rows)]
        lines += [str(self.output)] if self.output is not None else []
        return "\n".join(lines)


def count_file(config: CctCountsConfig) -> CctCounts:
    """Counts the categories of a file and writes the table where asked to.

    Raises:
        SettingError: the table cannot have that name.
        SourceError: the file cannot be read.
    """
    if config.output is not None:
        check_output_file(config.output, "--output", suffixes=(".csv",), sources=(config.path,))
    document = CctDocument.read(config.path)
    counts = category_counts(document)
    if config.output is not None:
        rows = [(one.index, one.id, one.name, one.annotations, one.images, one.locations) for one in counts]
        write_csv(config.output, COUNT_COLUMNS, rows)
    return CctCounts(config.path, document, counts, config.output)


def category_counts(document: CctDocument) -> tuple[CategoryCount, ...]:
    """Returns the counts of every category, in the order of the file; those that never occur have zeros."""
    images = document.images_by_id()
    annotations: collections.Counter[str] = collections.Counter()
    seen_images: dict[str, set[str]] = collections.defaultdict(set)
    places: dict[str, set[tuple[str, str]]] = collections.defaultdict(set)
    for annotation in document.annotations:
        key, image_id = text_of(annotation.get("category_id")) or "", text_of(annotation.get("image_id")) or ""
        annotations[key] += 1
        if image_id in images:
            seen_images[key].add(image_id)
            if has_location(images[image_id]):
                places[key].add(place_of(images[image_id]))
    counts = []
    for index, category in enumerate(document.categories):
        key, name = text_of(category.get("id")) or "", text_of(category.get("name")) or ""
        counts.append(CategoryCount(index, key, name, annotations[key], len(seen_images[key]), len(places[key])))
    return tuple(counts)


@dataclass(frozen=True, slots=True)
class Locations:
    """The locations that have a category, and what else stands there.

    Attributes:
        path: the file.
        categories: what was looked for.
        rows: data set, location, annotations and images of these categories; most annotations first.
        contrast: id, name, annotations and locations of every category at these locations; None: not asked for.
        written: files that were written.
    """

    path: Path
    categories: tuple[str, ...]
    rows: tuple[tuple[str, str, int, int], ...]
    contrast: tuple[tuple[str, str, int, int], ...] | None
    written: tuple[Path, ...]

    def text(self) -> str:
        """Returns the tables for a person."""
        total = sum(row[2] for row in self.rows)
        known = sum(row[1] != UNKNOWN_LOCATION for row in self.rows)
        what = f"{counted(total, 'annotation')} of {', '.join(self.categories)}"
        bare = sum(row[2] for row in self.rows if row[1] == UNKNOWN_LOCATION)
        lines = [f"{self.path}: {what} at {counted(known, 'location')}" + (f", {bare} of them at none" if bare else "")]
        lines += table_lines(LOCATION_COLUMNS, self.rows)
        if self.contrast is not None:
            lines += ["", "everything at these locations:", *table_lines(CONTRAST_COLUMNS, self.contrast)]
        return "\n".join([*lines, *map(str, self.written)])


def find_locations(config: CctLocationsConfig) -> Locations:
    """Finds the locations of a file that have a category, writes what was asked for.

    Raises:
        SettingError: no such category, or a file cannot have the name that is asked for.
        SourceError: the file cannot be read.
    """
    for flag, output in (("--output", config.output), ("--cct-output", config.cct_output)):
        if output is not None:
            forms = (".csv", ".json") if flag == "--output" else (".json",)
            check_output_file(output, flag, suffixes=forms, sources=(config.path,))
    document = CctDocument.read(config.path)
    if config.location_from_path:
        document = document.with_parts(images=with_location_from_path(document.images, config.location_from_path))
    rows = locations_with(document, config.category)
    there = at_places(document, {(dataset, location) for dataset, location, _, _ in rows})
    contrast = _contrast(there) if config.contrast else None
    written = []
    if config.output is not None:
        written += _write_locations(config.output, config.category, rows, contrast)
    if config.cct_output is not None:
        there.write(config.cct_output)
        written.append(config.cct_output)
    return Locations(config.path, config.category, rows, contrast, tuple(written))


def locations_with(document: CctDocument, categories: Iterable[str]) -> tuple[tuple[str, str, int, int], ...]:
    """Returns data set, location, annotations and images of these categories, most annotations first.

    Raises:
        SettingError: no such category; case does not matter.
    """
    names = {key: name.lower() for key, name in document.category_names().items()}
    wanted = {name.lower() for name in categories}
    check_known(sorted(wanted), names.values(), "--category", "category")
    images = document.images_by_id()
    annotations: collections.Counter[tuple[str, str]] = collections.Counter()
    pictures: dict[tuple[str, str], set[str]] = collections.defaultdict(set)
    for annotation in document.annotations:
        image_id = text_of(annotation.get("image_id")) or ""
        if names.get(text_of(annotation.get("category_id")) or "") in wanted and image_id in images:
            place = place_of(images[image_id])
            annotations[place] += 1
            pictures[place].add(image_id)
    ordered = sorted(annotations, key=lambda place: (-annotations[place], place))
    return tuple((*place, annotations[place], len(pictures[place])) for place in ordered)


def at_places(document: CctDocument, places: set[tuple[str, str]]) -> CctDocument:
    """Returns the images at these (data set, location) pairs with their annotations, and all categories."""
    images = [image for image in document.images if place_of(image) in places]
    ids = {text_of(image.get("id")) for image in images}
    annotations = [one for one in document.annotations if text_of(one.get("image_id")) in ids]
    return document.with_parts(images=images, annotations=annotations)


def _contrast(document: CctDocument) -> tuple[tuple[str, str, int, int], ...]:
    counts = [one for one in category_counts(document) if one.annotations]
    ordered = sorted(counts, key=lambda one: (-one.annotations, one.name))
    return tuple((one.id, one.name, one.annotations, one.locations) for one in ordered)


def _write_locations(
    output: Path,
    categories: tuple[str, ...],
    rows: tuple[tuple[str, str, int, int], ...],
    contrast: tuple[tuple[str, str, int, int], ...] | None,
) -> list[Path]:
    """Writes the list of locations, and the contrast table inside a .json or beside a .csv; returns the files."""
    if output.suffix.lower() == ".json":
        value: Entry = {
            "categories": list(categories),
            "locations": [dict(zip(LOCATION_COLUMNS, row, strict=True)) for row in rows],
        }
        if contrast is not None:
            value["contrast"] = [dict(zip(CONTRAST_COLUMNS, row, strict=True)) for row in contrast]
        write_json(output, value)
        return [output]
    write_csv(output, LOCATION_COLUMNS, rows)
    if contrast is None:
        return [output]
    beside = output.with_name(f"{output.stem}_contrast.csv")
    write_csv(beside, CONTRAST_COLUMNS, contrast)
    return [output, beside]


def table_lines(header: Iterable[str], rows: Iterable[Iterable[object]]) -> list[str]:
    """Returns a table as aligned lines: numbers to the right, texts to the left."""
    cells = [[str(cell) for cell in header], *([_cell(cell) for cell in row] for row in rows)]
    kinds = [isinstance(cell, (int, float)) for cell in next(iter(rows), ())] if isinstance(rows, (list, tuple)) else []
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = []
    for row in cells:
        right = [kinds[column] if kinds else False for column in range(len(row))]
        padded = [cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row, widths, right, strict=True)]
        lines.append("  " + "  ".join(padded).rstrip())
    return lines


def _cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
