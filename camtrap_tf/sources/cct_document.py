"""A COCO Camera Traps file in memory, as it is: every key and the order of everything are kept from reading to writing.

Receives a path, hands on a `CctDocument`. Its entries stay plain dicts, because files of this form carry keys of their own;
`text_of` and `boxes` are the two ways to read what writers spell differently. Facts are checked in `cct_integrity`.
"""

from __future__ import annotations

import codecs
import gc
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain, compress
from pathlib import Path
from typing import Any

import orjson

from camtrap_tf.errors import SourceError
from camtrap_tf.files import may_hold_halves, path_hint, printable, unreadable, write_members
from camtrap_tf.records import Reject

Entry = dict[str, Any]
"""An image, an annotation or a category of the file."""

PARTS = ("images", "annotations", "categories")
MAX_BYTES = 4 * 2**30
"""Larger files are refused: parsed, they would need more memory than most machines have."""

MAX_DEPTH = 64
"""Deeper nesting is refused; COCO Camera Traps needs 4."""

NESTED = frozenset((list, dict))
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * 19
"""Whole numbers of fewer digits fit into 64 bits."""
_UNITS = {"images": "image", "annotations": "annotation", "categories": "category"}


@dataclass(frozen=True, kw_only=True)
class CctDocument:
    """A COCO Camera Traps document.

    Attributes:
        images: entries of `images`; ids and locations may be texts or numbers, see `text_of`.
        annotations: entries of `annotations`.
        categories: entries of `categories`; a class index of Animl is a place in this list.
        others: further members of the document, e.g. `info` and `licenses`.
        keys: all members of the document in their order.
        rejects: entries that are no objects, left out.
        notes: what reading had to change, as sentences.
    """

    images: list[Entry]
    annotations: list[Entry]
    categories: list[Entry]
    others: Entry = field(default_factory=dict)
    keys: tuple[str, ...] = ("info", "categories", "images", "annotations")
    rejects: tuple[Reject, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> CctDocument:
        """Reads a file.

        Raises:
            SourceError: it is absent, too large, not JSON (cut off, for example), or of another form.
        """
        path = Path(path)
        raw = _bytes(path)
        with without_collector():
            value = _plain_json(raw)
        notes: list[str] = []
        if value is None:
            value, notes = _any_json(raw, path)
        return cls.of(value, what=str(path), notes=notes)

    @classmethod
    def of(cls, value: Any, *, what: str = "document", notes: Sequence[str] = ()) -> CctDocument:
        """Makes a document of a parsed one.

        Args:
            value: the parsed JSON.
            what: names it in messages.
            notes: what happened to it already.

        Raises:
            SourceError: it is no COCO Camera Traps document.
        """
        _check_form(value, what)
        said = list(notes)
        rejects: list[Reject] = []
        parts: dict[str, list[Entry]] = {}
        for part in PARTS:
            entries = value.get(part)
            if entries is None:
                said.append(f"{what} has no {part}")
            kept = [entry for entry in entries or [] if isinstance(entry, dict)]
            parts[part] = kept
            if len(kept) != len(entries or []):
                rejects.extend(_no_objects(part, entries))
        others = {key: one for key, one in value.items() if key not in PARTS}
        return cls(**parts, others=others, keys=tuple(value), rejects=tuple(rejects), notes=tuple(said))

    def with_parts(
        self,
        *,
        images: list[Entry] | None = None,
        annotations: list[Entry] | None = None,
        categories: list[Entry] | None = None,
    ) -> CctDocument:
        """Returns the document with some of its lists replaced; what is not given stays."""
        return replace(
            self,
            images=self.images if images is None else images,
            annotations=self.annotations if annotations is None else annotations,
            categories=self.categories if categories is None else categories,
        )

    def members(self) -> Iterator[tuple[str, Any]]:
        """Yields the members of the document in their order; lists that it did not have come last."""
        for key in (*self.keys, *(part for part in PARTS if part not in self.keys)):
            if key in PARTS:
                yield key, getattr(self, key)
            elif key in self.others:
                yield key, self.others[key]

    def write(self, path: Path) -> None:
        """Writes the document as UTF-8 JSON with one entry a line, whole or not at all.

        Raises:
            SourceError: it holds what JSON cannot say, e.g. an infinite number.
        """
        write_members(Path(path), self.members(), PARTS)

    def category_names(self) -> dict[str, str]:
        """Returns id (as text) → name of the categories that have both and whose id stands for nothing else."""
        return {key: name for key, name in self.category_meanings().items() if name is not None}

    def category_meanings(self) -> dict[str, str | None]:
        """Returns id (as text) → name of the categories; None where an id stands for several names."""
        names: dict[str, str | None] = {}
        for category in self.categories:
            key, name = text_of(category.get("id")), text_of(category.get("name"))
            if key is not None and name is not None and names.setdefault(key, name) != name:
                names[key] = None
        return names

    def images_by_id(self) -> dict[str, Entry]:
        """Returns id (as text) → image; the first of equal ids counts."""
        found: dict[str, Entry] = {}
        for image in self.images:
            key = text_of(image.get("id"))
            if key is not None:
                found.setdefault(key, image)
        return found

    def repeated_annotations(self) -> list[Entry]:
        """Returns the annotations that have the id of an earlier one, whatever becomes of that; the first of them counts."""
        seen: set[str] = set()
        repeated = []
        for annotation in self.annotations:
            key = text_of(annotation.get("id"))
            if key in seen:
                repeated.append(annotation)
            elif key is not None:
                seen.add(key)
        return repeated

    def annotations_by_image(self) -> dict[str, list[Entry]]:
        """Returns image id (as text) → its annotations, in the order of the file."""
        found: dict[str, list[Entry]] = {}
        for annotation in self.annotations:
            key = text_of(annotation.get("image_id"))
            if key is not None:
                found.setdefault(key, []).append(annotation)
        return found


def text_of(value: Any) -> str | None:
    """Returns an id, name or location as text, so that `7`, `7.0` and `"7"` are one; None where there is none.

    Tables that went through pandas have ids as floats and missing ones as NaN.
    """
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, float):
        return (str(int(value)) if value.is_integer() else str(value)) if math.isfinite(value) else None
    return str(value) if isinstance(value, int) else None


def number_of(value: Any) -> float | None:
    """Returns a finite number that an entry holds, or None; texts and truth values are no numbers."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _bytes(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise SourceError(f"{path}: {size / 2**30:.1f} GiB; files over {MAX_BYTES / 2**30:.0f} GiB are not read; split it")
        return path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except FileNotFoundError as err:
        raise SourceError(f"{path}: no such COCO Camera Traps file{path_hint(path)}") from err
    except (OSError, MemoryError) as err:
        raise SourceError(f"{path}: {unreadable(err, 'COCO Camera Traps file (.json)')}") from err


def _plain_json(raw: bytes) -> Any:
    """Returns what a quick parser reads; None where the file has anything that only Python's own reads without loss.

    Those are whole numbers over 64 bits, which the quick one rounds, and all that it refuses: NaN, half surrogate pairs,
    numbers out of range, deep nesting, mistakes.
    """
    if _LONG_NUMBER in raw.translate(_DIGITS):
        return None
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None


def _any_json(raw: bytes, path: Path) -> tuple[Any, list[str]]:
    """Returns the parsed file and what to say of it; raises a SourceError that says where it is not JSON."""
    constants: list[str] = []
    try:
        text = raw.decode("utf-8")
        with without_collector():
            # What `append` returns, None, is what stands in the document for NaN.
            value = json.loads(text, parse_constant=constants.append)
    except UnicodeDecodeError as err:
        raise SourceError(f"{path}: not UTF-8 at byte {err.start}; save it as UTF-8") from err
    except json.JSONDecodeError as err:
        cut = "; the file seems to be cut off" if err.pos >= len(text.rstrip()) - 1 else ""
        raise SourceError(f"{path}: not JSON: {err.msg} in line {err.lineno}, column {err.colno}{cut}") from err
    except (ValueError, RecursionError) as err:
        raise SourceError(f"{path}: cannot be read as JSON: {err}") from err
    notes = [f"{len(constants)} × NaN or Infinity, which JSON does not have, read as null"] if constants else []
    return (printable(value) if may_hold_halves(text) else value), notes


@contextmanager
def without_collector() -> Iterator[None]:
    """Keeps Python from looking for cycles while there are millions of objects without any: looking costs a third."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _check_form(value: Any, what: str) -> None:
    """Raises a SourceError that says what a value is instead of a COCO Camera Traps document."""
    if not isinstance(value, dict):
        raise SourceError(f"{what}: not a COCO Camera Traps file; that is an object with images, annotations and categories")
    if "detection_categories" in value:
        raise SourceError(
            f"{what}: holds MegaDetector results; read them with `camtrap inventory megadetector`, or turn them into "
            "COCO Camera Traps with `camtrap cct from-md`"
        )
    if "images" not in value or not ({"annotations", "categories"} & value.keys()):
        missing = ", ".join(part for part in PARTS if part not in value)
        raise SourceError(f"{what}: not a COCO Camera Traps file; it has no {missing}")
    for part in PARTS:
        if not isinstance(value.get(part), list | None):
            raise SourceError(f"{what}: {part!r} is not a list; this is not a COCO Camera Traps file")
    for member in value.values():
        _check_depth(member, what)


def _check_depth(value: Any, what: str) -> None:
    """Raises a SourceError where lists and objects are nested deeper than `MAX_DEPTH`."""
    objects: list[Entry] = [value] if isinstance(value, dict) else []
    lists: list[list[Any]] = [value] if isinstance(value, list) else []
    for _ in range(MAX_DEPTH - 1):
        # Millions of values pass here; all that touches each of them is compiled code.
        if NESTED.isdisjoint(map(type, _values_in(objects, lists))):
            return
        kinds = map(type, _values_in(objects, lists))
        nested = list(compress(_values_in(objects, lists), map(NESTED.__contains__, kinds)))
        objects, lists = [one for one in nested if type(one) is dict], [one for one in nested if type(one) is list]
    raise SourceError(f"{what}: nested deeper than {MAX_DEPTH} levels; this is not a COCO Camera Traps file")


def _values_in(objects: list[Entry], lists: list[list[Any]]) -> Iterator[Any]:
    return chain(chain.from_iterable(map(dict.values, objects)), chain.from_iterable(lists))


def _no_objects(part: str, entries: list[Any]) -> Iterator[Reject]:
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict):
            shown = str(entry)[:40]
            yield Reject("", f"{part} {number}", _UNITS[part], "not_an_object", f"{shown!r} where an object is expected")
