"""Which categories there are: a map to edit, what it makes of a document, and ids and order that stay the same everywhere."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from camtrap_tf.cct.cleaning import category_refusal, clash_note, clashing_ids
from camtrap_tf.cct.counting import category_counts
from camtrap_tf.cct.working import (
    CctChange,
    CctWritten,
    check_output,
    is_empty_name,
    reject_annotation,
    run_change,
    without_images_left_bare,
)
from camtrap_tf.config.cct import CctCategoriesConfig, CctCategoryMapConfig
from camtrap_tf.errors import SettingError, SourceError, counted, suggestion
from camtrap_tf.files import read_json, write_json
from camtrap_tf.records import Reject
from camtrap_tf.sources.cct_document import CctDocument, Entry, text_of

MAP_KEYS = frozenset(("id", "name", "keep", "convert_to"))


@dataclass(frozen=True, slots=True)
class CategoryMapWritten:
    """The map that was written.

    Attributes:
        output: the map.
        entries: its entries.
        dry_run: nothing was written.
    """

    output: Path
    entries: list[Entry]
    dry_run: bool

    def text(self) -> str:
        """Returns the summary for a person."""
        kept = sum(bool(entry["keep"]) for entry in self.entries)
        start = "would write " if self.dry_run else ""
        return (
            f"{start}{self.output}: {len(self.entries)} categories, {kept} of them occur and are kept; edit keep and "
            "convert_to, then give it to `camtrap cct categories --category-map`"
        )


def write_category_map(config: CctCategoryMapConfig) -> CategoryMapWritten:
    """Writes the map of a file's categories.

    Raises:
        SourceError: the file cannot be read.
        SettingError: the map cannot be written there.
    """
    check_output(config.output, (config.path,))
    entries = category_map(CctDocument.read(config.path))
    if not config.dry_run:
        write_json(config.output, {"categories": entries})
    return CategoryMapWritten(config.output, entries, config.dry_run)


def category_map(document: CctDocument) -> list[Entry]:
    """Returns one entry per category: `id`, `name`, `keep` (whether it occurs), `convert_to` (nothing)."""
    counts = category_counts(document)
    return [
        {"id": category.get("id"), "name": category.get("name"), "keep": one.annotations > 0, "convert_to": None}
        for category, one in zip(document.categories, counts, strict=True)
    ]


def read_category_map(path: Path, document: CctDocument) -> list[Entry]:
    """Reads an edited map and makes sure that it fits the document.

    Raises:
        SourceError: it cannot be read, or an entry is not what it should be.
        SettingError: it is of another document, or converts into a category that is left out or converted itself.
    """
    value = read_json(path, what="category map")
    entries = value.get("categories") if isinstance(value, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise SourceError(f'{path}: not a category map; that is {{"categories": [{{"id", "name", "keep", "convert_to"}}, …]}}')
    for number, entry in enumerate(entries, start=1):
        _check_entry(entry, f"{path}, entry {number}")
    theirs = [(text_of(entry["id"]), text_of(entry["name"])) for entry in entries]
    ours = [(text_of(one.get("id")), text_of(one.get("name"))) for one in document.categories]
    clashing = sorted(key for key, name in document.category_meanings().items() if name is None)
    if clashing:
        raise SettingError(f"{path}: category id {clashing[0]} of the file stands for several names; mend the file first")
    if sorted(theirs, key=repr) != sorted(ours, key=repr):
        odd = sorted({str(name) for _, name in set(theirs) ^ set(ours)}) or ["one is there twice"]
        raise SettingError(
            f"{path}: its {len(theirs)} categories are not the {len(ours)} of the file ({', '.join(odd[:5])}); "
            "edit keep and convert_to only, and make a new map where the file has changed"
        )
    _check_targets(entries, str(path))
    return entries


def _check_entry(entry: Mapping[str, Any], where: str) -> None:
    missing, unknown = sorted({"id", "name", "keep"} - entry.keys()), sorted(entry.keys() - MAP_KEYS)
    if missing or unknown:
        said = f"has no {missing[0]!r}" if missing else f"has {unknown[0]!r}{suggestion(unknown[0], sorted(MAP_KEYS))}"
        raise SourceError(f"{where}: {said}")
    if not isinstance(entry["keep"], bool):
        raise SourceError(f"{where}: keep is {entry['keep']!r}; write true or false without quotes")
    if not isinstance(entry.get("convert_to"), str | None):
        raise SourceError(f"{where}: convert_to is {entry['convert_to']!r}; write a category's name, or null")


def _check_targets(entries: Sequence[Mapping[str, Any]], where: str) -> None:
    """Raises a SettingError where a category is converted into one that will not be there."""
    by_name = {text_of(entry["name"]): entry for entry in entries}
    for entry in entries:
        target = by_name.get(entry.get("convert_to") or "")
        if target is None or target is entry:
            continue
        if target.get("convert_to"):
            raise SettingError(
                f"{where}: {entry['name']!r} is converted to {target['name']!r}, which is itself converted to "
                f"{target['convert_to']!r}; name that one"
            )
        if entry["keep"] and not target["keep"]:
            raise SettingError(
                f"{where}: {entry['name']!r} is converted to {target['name']!r}, which is not kept; set its keep to true"
            )


def change_categories(config: CctCategoriesConfig) -> CctWritten:
    """Writes a file with other categories.

    Raises:
        SettingError: the map does not fit, or the file cannot be written there.
        SourceError: a file cannot be read.
    """
    return run_change(config, lambda document: with_categories(document, config))


def with_categories(document: CctDocument, config: CctCategoriesConfig) -> CctChange:
    """Returns the document with its categories mapped, pruned, ordered and renumbered, in this order of steps."""
    change = CctChange(document)
    if config.category_map is not None:
        change = apply_category_map(document, read_category_map(config.category_map, document))
    done = change.document
    if config.like is not None or config.renumber:
        plain = without_clashes(done)  # a map has refused them already
        change = CctChange(plain.document, (*change.rejects, *plain.rejects), (*change.notes, *plain.notes))
        done = change.document
    if config.prune:
        done = pruned(done)
    if config.like is not None:
        done = renumbered(done, like=CctDocument.read(config.like).categories)
    elif config.order != "file" or config.renumber:
        done = ordered(done, by=config.order, renumber=config.renumber)
    listing = ", ".join(f"{text_of(one.get('id'))} {text_of(one.get('name'))}" for one in done.categories)
    return CctChange(done, change.rejects, (*change.notes, f"categories: {listing}"))


def apply_category_map(document: CctDocument, entries: Sequence[Mapping[str, Any]]) -> CctChange:
    """Returns the document with annotations converted, or left out where their category is not kept.

    Names to convert to that do not exist become new categories; their ids are above all others, so that they clash with
    none. Categories that are kept and not converted stay, in their order.
    """
    rule = {text_of(entry["id"]): entry for entry in entries}
    categories = [one for one in document.categories if _stays(rule[text_of(one.get("id"))])]
    ids = {text_of(one.get("name")): one.get("id") for one in categories}
    free = 1 + max((int(key) for key in map(text_of, rule) if key is not None and key.isdecimal()), default=-1)
    for entry in entries:
        target = entry.get("convert_to")
        if entry["keep"] and target and target not in ids:
            ids[target] = free
            categories.append({"id": free, "name": target})
            free += 1
    converted: collections.Counter[str] = collections.Counter()
    kept: list[Entry] = []
    rejects: list[Reject] = []
    for annotation in document.annotations:
        found = rule.get(text_of(annotation.get("category_id")))
        if found is None:
            rejects.append(reject_annotation(annotation, "unknown_category", f"category {annotation.get('category_id')!r}"))
        elif not found["keep"]:
            rejects.append(reject_annotation(annotation, "dont_keep", f"{found['name']!r} is not kept"))
        elif _stays(found):
            kept.append(annotation)
        else:
            converted[f"{found['name']}:{found['convert_to']}"] += 1
            kept.append({**annotation, "category_id": ids[found["convert_to"]]})
    change = without_images_left_bare(document.with_parts(categories=categories), kept)
    notes = tuple(f"converted {pair}: {counted(count, 'annotation')}" for pair, count in sorted(converted.items()))
    return CctChange(change.document, (*rejects, *change.rejects), notes)


def _stays(entry: Mapping[str, Any]) -> bool:
    return bool(entry["keep"]) and entry.get("convert_to") in (None, "", entry["name"])


def pruned(document: CctDocument) -> CctDocument:
    """Returns the document without the categories that no annotation has."""
    used = {text_of(annotation.get("category_id")) for annotation in document.annotations}
    return document.with_parts(categories=[one for one in document.categories if text_of(one.get("id")) in used])


def ordered(document: CctDocument, *, by: str, renumber: bool) -> CctDocument:
    """Returns the document with its categories in an order that depends on nothing else; the empty one always comes first.

    Args:
        document: what to order.
        by: `file` (as it is), `id` or `name`.
        renumber: give them the ids 0, 1, 2 …; without an empty category 0 stays free.
    """
    categories = sorted(document.categories, key=lambda one: (not is_empty_name(text_of(one.get("name"))), _order(one, by)))
    if not renumber:
        return document.with_parts(categories=categories)
    first = 0 if categories and is_empty_name(text_of(categories[0].get("name"))) else 1
    new_ids: dict[str | None, Any] = {}
    for number, one in enumerate(categories, start=first):
        new_ids.setdefault(text_of(one.get("id")), number)
    return _with_ids(document, [{**one, "id": number} for number, one in enumerate(categories, start=first)], new_ids)


def _order(category: Entry, by: str) -> tuple[Any, ...]:
    if by == "name":
        return (text_of(category.get("name")) or "",)
    key = text_of(category.get("id")) or ""
    return () if by == "file" else (not key.isdecimal(), int(key) if key.isdecimal() else 0, key)


def renumbered(document: CctDocument, *, like: Iterable[Entry]) -> CctDocument:
    """Returns the document with the categories of another one: equal names get equal ids, new names ids above all of those.

    The categories of the other one come first and all of them, so that places in the list (class indices) agree too.
    """
    base = [dict(one) for one in like]
    ids: dict[str, Any] = {}
    for one in base:
        ids.setdefault((text_of(one.get("name")) or "").strip().lower(), one.get("id"))
    free = 1 + max((int(key) for one in base if (key := text_of(one.get("id"))) and key.isdecimal()), default=-1)
    new_ids: dict[str | None, Any] = {}
    for one in document.categories:
        name = (text_of(one.get("name")) or "").strip().lower()
        if name not in ids:
            ids[name] = free
            base.append({**one, "id": free})
            free += 1
        new_ids.setdefault(text_of(one.get("id")), ids[name])
    return _with_ids(document, base, new_ids)


def without_clashes(document: CctDocument) -> CctChange:
    """Returns the document without what is of ids that stand for several names: nobody can tell which they mean."""
    meanings = document.category_meanings()
    clashing = clashing_ids(meanings)
    if not clashing:
        return CctChange(document)
    kept: list[Entry] = []
    rejects: list[Reject] = []
    for annotation in document.annotations:
        refusal = category_refusal(annotation, meanings)
        if refusal is not None and text_of(annotation.get("category_id")) in clashing:
            rejects.append(reject_annotation(annotation, *refusal))
        else:
            kept.append(annotation)
    categories = [one for one in document.categories if text_of(one.get("id")) not in clashing]
    change = without_images_left_bare(document.with_parts(categories=categories), kept)
    return CctChange(change.document, (*rejects, *change.rejects), (clash_note(clashing),))


def _with_ids(document: CctDocument, categories: list[Entry], new_ids: Mapping[str | None, Any]) -> CctDocument:
    """Returns the document with these categories and its annotations pointing to them; unknown ids stay as they are."""
    annotations = [
        {**one, "category_id": new_ids[key]} if (key := text_of(one.get("category_id"))) in new_ids else one
        for one in document.annotations
    ]
    return document.with_parts(categories=categories, annotations=annotations)
