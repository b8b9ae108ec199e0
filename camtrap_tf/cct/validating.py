"""What is wrong with a document, entry by entry; nothing is changed."""

from __future__ import annotations

import collections
import datetime
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from camtrap_tf.cct.boxes_of_annotations import READERS, box_of, limits_of, overhang, picture_size, size_of
from camtrap_tf.cct.cleaning import Refusal, image_refusal, reference_refusal
from camtrap_tf.cct.times import latest_time, time_refusal
from camtrap_tf.cct.working import is_empty_name, reject_annotation, reject_image, summary
from camtrap_tf.config.cct import CctValidateConfig
from camtrap_tf.detections.boxes import SLACK, SLACK_PX, BoxError
from camtrap_tf.errors import TooManyRejectsError
from camtrap_tf.files import check_output_file, join_inside, require_folder, write_csv
from camtrap_tf.records import REJECT_COLUMNS, Reject
from camtrap_tf.rejects import reasons_text
from camtrap_tf.sources.cct_document import CctDocument, Entry, text_of

SHOWN = 3


@dataclass(frozen=True, slots=True)
class CctValidation:
    """What is wrong with a file.

    Attributes:
        path: the file.
        document: what it holds.
        problems: per problem the entry, a reason code and a sentence; an entry may have several.
        notes: what is no problem but good to know.
        report: table that was written.
        exit_code: 3 where there are more problems than allowed.
    """

    path: Path
    document: CctDocument
    problems: tuple[Reject, ...]
    notes: tuple[str, ...]
    report: Path | None
    exit_code: int

    def text(self) -> str:
        """Returns the summary for a person: per unit how many entries are fine, then examples of each problem."""
        lines = [f"{self.path}: {summary(self.document)}"]
        document = self.document
        for unit, entries in (
            ("categorie", document.categories),
            ("image", document.images),
            ("annotation", document.annotations),
        ):
            found = [one for one in self.problems if one.unit == unit.replace("ie", "y")]
            whole = len(entries) + sum(one.reason == "not_an_object" for one in found)
            bad = len({(one.id, one.item) for one in found})
            lines.append(f"{whole} {unit}s = {whole - bad} fine + {bad} with a problem{reasons_text(found)}")
        lines += [*document.notes, *self.notes]
        by_reason: dict[tuple[str, str], list[Reject]] = collections.defaultdict(list)
        for one in self.problems:
            by_reason[(one.unit, one.reason)].append(one)
        for (unit, reason), found in by_reason.items():
            lines.append(f"{reason} ({len(found)} × {unit}):")
            lines += [f"  {one.item or one.id or '?'}: {one.detail}" for one in found[:SHOWN]]
            lines += [f"  … and {len(found) - SHOWN} more"] * (len(found) > SHOWN)
        if self.report is not None:
            lines.append(f"{self.report}: all {len(self.problems)} problems")
        return "\n".join(lines)


def validate_file(config: CctValidateConfig) -> CctValidation:
    """Checks a file and writes the table of its problems where asked to.

    Raises:
        SettingError: `--image-root` is no folder, or the table cannot have that name.
        SourceError: the file cannot be read.
    """
    if config.image_root is not None:
        require_folder(config.image_root, "--image-root")
    if config.report is not None:
        check_output_file(config.report, "--report", suffixes=(".csv",), sources=(config.path,))
    document = CctDocument.read(config.path)
    problems = [*document.rejects, *problems_of(document)]
    if config.image_root is not None:
        problems += file_problems(document, config.image_root, sizes=config.check_sizes)
    if config.report is not None:
        write_csv(config.report, REJECT_COLUMNS, (one.row() for one in problems))
    entries = len(document.images) + len(document.annotations) + len(document.categories) + len(document.rejects)
    bad = len({(one.unit, one.id, one.item) for one in problems})
    code = TooManyRejectsError.exit_code if entries and bad / entries > config.max_problem_share else 0
    return CctValidation(config.path, document, tuple(problems), tuple(notes_on(document)), config.report, code)


def problems_of(document: CctDocument, *, now: datetime.datetime | None = None) -> Iterator[Reject]:
    """Yields every problem that the document itself shows.

    Args:
        document: what to check.
        now: times after the day after this are in the future; default: the clock's.
    """
    yield from _category_problems(document)
    latest = latest_time(now)
    ids: set[str] = set()
    files: set[str] = set()
    for number, image in enumerate(document.images, start=1):
        for refusal in (image_refusal(image, ids, files), _size_problem(image), time_refusal(image, latest)):
            if refusal is not None:
                found = reject_image(image, *refusal)
                yield found if found.item else Reject(found.id, f"images {number}", "image", *refusal)
        ids.add(text_of(image.get("id")) or "")
        files.add(text_of(image.get("file_name")) or "")
    yield from _annotation_problems(document)


def _category_problems(document: CctDocument) -> Iterator[Reject]:
    ids: set[str] = set()
    names: set[str] = set()
    for number, category in enumerate(document.categories, start=1):
        key, name = text_of(category.get("id")), text_of(category.get("name"))
        item = f"categories {number}"
        if key is None:
            yield Reject("", item, "category", "no_id", "has no id")
        elif key in ids:
            yield Reject(
                key, item, "category", "repeated_id", f"an earlier category has the id {key}; {name!r} clashes with it"
            )
        if name is None:
            yield Reject(key or "", item, "category", "no_name", "has no name")
        elif name.strip().lower() in names:
            yield Reject(key or "", item, "category", "repeated_name", f"an earlier category is called {name!r}")
        ids.add(key or "")
        names.add((name or "").strip().lower())


def _annotation_problems(document: CctDocument) -> Iterator[Reject]:
    images, meanings = document.images_by_id(), document.category_meanings()
    seen: set[str] = set()
    for number, annotation in enumerate(document.annotations, start=1):
        image = images.get(text_of(annotation.get("image_id")) or "")
        refusal = reference_refusal(annotation, image is not None, meanings, seen)
        for one in (refusal, None if image is None else _box_problem(annotation, image)):
            if one is not None:
                found = reject_annotation(annotation, *one)
                yield found if found.item else Reject(found.id, f"annotations {number}", "annotation", *one)
        if (key := text_of(annotation.get("id"))) is not None:
            seen.add(key)


def _box_problem(annotation: Entry, image: Entry) -> Refusal | None:
    try:
        box_of(annotation, image)
        limits = limits_of(annotation, image)
    except BoxError as err:
        return err.reason, str(err)
    key, values, size = limits or ("", [], None)
    if size is None:
        return None
    over = overhang(values, size)
    if over <= (SLACK if key == "bbox_relative" else SLACK_PX):
        return None
    return "bbox_sticks_out", f"box {values} sticks out of {size[0]:g} x {size[1]:g} by {over:g}"


def _size_problem(image: Entry) -> Refusal | None:
    width, height = image.get("width"), image.get("height")
    if (width is None and height is None) or size_of(image) is not None:
        return None
    return "bad_dimensions", f"width {str(width)[:40]!r} and height {str(height)[:40]!r} are no size"


def file_problems(document: CctDocument, image_root: Path, *, sizes: bool) -> Iterator[Reject]:
    """Yields the images whose file is absent or, where `sizes`, unreadable or of another size than the document says."""

    def look(image: Entry) -> Refusal | None:
        """Returns what is wrong with the file of an image."""
        try:
            path = join_inside(image_root, text_of(image.get("file_name")) or "")
        except ValueError:
            return None
        if not _is_file(path):
            return "missing_file", f"{path} does not exist"
        if not sizes:
            return None
        found, said = picture_size(path), size_of(image)
        if found is None:
            return "unreadable", f"{path} is no picture that can be read"
        if said is not None and said != found:
            return "other_size", f"is {found[0]} x {found[1]} px, the file says {said[0]:g} x {said[1]:g}"
        return None

    named = [image for image in document.images if text_of(image.get("file_name"))]
    with ThreadPoolExecutor(READERS) as pool:
        for image, refusal in zip(named, pool.map(look, named), strict=True):
            if refusal is not None:
                yield reject_image(image, *refusal)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        # A name that no file system takes, for example one that is too long.
        return False


def notes_on(document: CctDocument) -> Iterator[str]:
    """Yields what is no mistake but decides what the file can be used for."""
    images = document.images
    for key, meaning in (("location", "splits cannot keep their place whole"), ("seq_id", "events are made by time gaps")):
        without = sum(text_of(image.get(key)) is None for image in images)
        if without:
            yield f"{without} of {len(images)} images have no {key}: {meaning}"
    annotated = {text_of(one.get("image_id")) for one in document.annotations}
    bare = sum(text_of(image.get("id")) not in annotated for image in images)
    if bare:
        yield f"{bare} of {len(images)} images have no annotation"
    for category in document.categories:
        if is_empty_name(text_of(category.get("name"))) and text_of(category.get("id")) != "0":
            yield f"category {category.get('name')!r} has the id {category.get('id')}; by convention empty is 0"
    boxes = sum(bool(one.get("bbox") or one.get("bbox_relative")) for one in document.annotations)
    yield f"{boxes} of {len(document.annotations)} annotations have a box"
