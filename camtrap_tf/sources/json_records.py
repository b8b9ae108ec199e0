"""Inventories as JSON: reads the file record by record, checks each, hands on records and rejects.

The form is camera-trap-classifier's, `{id: {"labels": [{type: class}], "images": [path], "meta_data": {field: text}}}`, with
one optional key `event` of ours. The older form in which each class is a list of one text is understood too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from camtrap_tf.errors import SourceError
from camtrap_tf.files import may_hold_halves, path_hint, printable, unreadable
from camtrap_tf.records import CaptureEvent, Reject
from camtrap_tf.sources.event_facts import media_with_facts, observations_with_facts

RECORD_KEYS = frozenset(("labels", "images", "meta_data", "event"))
_SPACE = re.compile(r"[ \t\n\r]*")


class JsonSource:
    """Reads an inventory from JSON.

    Attributes:
        read: entries seen so far.
        notes: sentences on what a reader of the log should know, complete once `records` is exhausted.
    """

    unit = "records"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.read = 0
        self.notes: list[str] = []

    def records(self) -> Iterator[CaptureEvent | Reject]:
        """Yields every record of the file, or why it is not one, in the order of the file.

        Raises:
            SourceError: the file cannot be read as JSON, or is not an object.
        """
        seen: set[str] = set()
        unknown: dict[str, int] = {}
        for record_id, value, suspect in self._entries():
            self.read += 1
            if record_id in seen:
                yield self._reject(record_id, "repeated_id", "an earlier entry has this id")
                continue
            seen.add(record_id)
            if suspect and not _is_unicode(record_id, value):
                yield self._reject(record_id, "not_unicode", "holds half of a surrogate pair, which is no character")
                continue
            if isinstance(value, dict):
                for key in value.keys() - RECORD_KEYS:
                    unknown[key] = unknown.get(key, 0) + 1
            yield parse_record(record_id, value, item=f"entry {self.read}")
        for key, count in unknown.items():
            self.notes.append(f"key {key!r} of {count} records is not one that inventories have; left out")

    def _reject(self, record_id: str, reason: str, detail: str) -> Reject:
        return Reject(printable(record_id), f"entry {self.read}", "record", reason, detail)

    def _entries(self) -> Iterator[tuple[str, Any, bool]]:
        text = self._text()
        suspect = may_hold_halves(text)
        try:
            for record_id, value in _members(text):
                yield record_id, value, suspect
        except json.JSONDecodeError as err:
            raise SourceError(f"{self.path}: not JSON: {err.msg} in line {err.lineno}, column {err.colno}") from err
        except (ValueError, RecursionError) as err:
            raise SourceError(f"{self.path}: cannot be read as JSON: {err}") from err

    def _text(self) -> str:
        try:
            return self.path.read_text(encoding="utf-8-sig")
        except FileNotFoundError as err:
            raise SourceError(f"{self.path}: no such inventory{path_hint(self.path)}") from err
        except UnicodeDecodeError as err:
            raise SourceError(f"{self.path}: not UTF-8 at byte {err.start}; save it as UTF-8") from err
        except (OSError, MemoryError) as err:
            raise SourceError(f"{self.path}: {unreadable(err, 'inventory (.json or .parquet)')}") from err


def _members(text: str) -> Iterator[tuple[str, Any]]:
    """Yields the members of the one JSON object in `text`, without building the whole of it in memory."""
    decode = json.JSONDecoder().raw_decode

    def skip(position: int) -> int:
        """Returns the position after white space."""
        return _SPACE.match(text, position).end()  # type: ignore[union-attr]  # the pattern matches the empty text too

    position = skip(0)
    if text[position : position + 1] != "{":
        raise json.JSONDecodeError("an inventory is an object of id: record; expected '{'", text, position)
    position = skip(position + 1)
    more = text[position : position + 1] != "}"
    while more:
        if text[position : position + 1] != '"':
            raise json.JSONDecodeError("expected a record id in double quotes", text, position)
        key, position = decode(text, position)
        position = skip(position)
        if text[position : position + 1] != ":":
            raise json.JSONDecodeError("expected ':'", text, position)
        value, position = decode(text, skip(position + 1))
        position = skip(position)
        yield key, value
        end = text[position : position + 1]
        if end not in (",", "}") or not end:
            raise json.JSONDecodeError("expected ',' or '}' (is the file cut off?)", text, position)
        more = end == ","
        position = skip(position + 1) if more else position
    if skip(position + 1) != len(text):
        raise json.JSONDecodeError("text after the end of the inventory", text, skip(position + 1))


def other_kind(rejects: Iterable[Reject]) -> str:
    """Ends a message about a file without a usable record: what it is instead, told from the keys that are no records."""
    keys = {one.id for one in rejects}
    for kind, marks, remedy in _OTHER_KINDS:
        if marks <= keys:
            return f"; it is {kind}: make an inventory of it first (`camtrap inventory {remedy}`)"
    return ""


_OTHER_KINDS = (
    ("MegaDetector results", {"images", "detection_categories"}, "megadetector"),
    ("a COCO Camera Traps file", {"images", "annotations"}, "coco"),
    ("a COCO Camera Traps file", {"images", "categories"}, "coco"),
    ("a Camtrap DP package", {"resources", "profile"}, "camtrap-dp"),
)
"""What a file is, the keys that tell it, and the command that reads it."""


def parse_record(record_id: str, value: Any, *, item: str) -> CaptureEvent | Reject:
    """Checks one entry of a JSON inventory.

    Args:
        record_id: its key.
        value: its parsed value.
        item: how a reject names it, e.g. `entry 12`.

    Returns:
        The record, or why it is none. Source: the checks of camera-trap-classifier's inventory import.
    """

    def reject(reason: str, detail: str) -> Reject:
        """Returns the reject of this record."""
        return Reject(record_id, item, "record", reason, detail)

    if not record_id:
        return reject("no_id", "the id is an empty text")
    if not isinstance(value, dict):
        return reject("not_an_object", f"the record is {_kind(value)}, not an object")
    images = value.get("images")
    if not isinstance(images, list) or not all(isinstance(path, str) for path in images):
        return reject("bad_images", "images is not a list of texts")
    if not any(images):
        return reject("no_picture", "images names no picture")
    try:
        labels = _labels(value.get("labels"))
        meta_data = _meta_data(value.get("meta_data", {}))
        facts = value.get("event")
        media, observations = media_with_facts(images, facts), observations_with_facts(labels, facts)
        return CaptureEvent(event_id=record_id, media=media, observations=observations, meta_data=meta_data)
    except ValueError as err:
        part = str(err).split(":")[0]
        reason = {"labels": "bad_labels", "meta_data": "bad_meta_data"}.get(part, "bad_event")
        return reject(reason, str(err))


def _labels(value: Any) -> list[dict[str, str]]:
    if not isinstance(value, list) or not value:
        raise ValueError("labels: is not a list with at least one observation")
    return [_texts(one, "labels", empty_allowed=False) for one in value]


def _meta_data(value: Any) -> dict[str, str]:
    return _texts(value, "meta_data", empty_allowed=True)


def _texts(value: Any, part: str, *, empty_allowed: bool) -> dict[str, str]:
    """Returns an object of texts; a list of one text counts as that text."""
    if not isinstance(value, dict):
        raise ValueError(f"{part}: {_kind(value)} where an object is expected")
    texts = {}
    for key, one in value.items():
        if isinstance(one, list) and len(one) == 1:
            one = one[0]
        if not isinstance(one, str):
            raise ValueError(f"{part}: {key!r} is {_kind(one)}, not a text; put it in quotes")
        if not key or not (one or empty_allowed):
            raise ValueError(f'{part}: {key!r} is empty; write "-1" where a label is missing')
        texts[key] = one
    return texts


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), f"the number {str(value)[:20]}")


def _is_unicode(record_id: str, value: Any) -> bool:
    try:
        f"{record_id}{json.dumps(value, ensure_ascii=False)}".encode()
    except UnicodeEncodeError:
        return False
    return True
