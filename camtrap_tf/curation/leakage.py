"""What of a splitting could make scores look better than they are: groups, events and pictures on two sides, as JSON."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from camtrap_tf.curation.dealing import BY_HASH, BY_META, SCORED, Splitting
from camtrap_tf.curation.duplicates import Pair
from camtrap_tf.curation.groups import leakage_warnings
from camtrap_tf.curation.split_groups import ClassRows, lone_class_groups, unique_pairs
from camtrap_tf.curation.split_tables import NotEvaluable, codes_of, event_codes, never_in_train
from camtrap_tf.errors import counted, shortened
from camtrap_tf.rejects import counts_text

LISTED = 10_000
"""Pairs, groups and events that are listed at most; the counts are of all."""

SHARE_OFF = 0.1
"""A split whose share of the records is off by more than this is told of."""

SCHEMA = 1


def leakage_report(splitting: Splitting, lacking: Sequence[NotEvaluable]) -> dict[str, Any]:
    """Returns all that `leakage.json` says.

    Args:
        splitting: records and splits.
        lacking: classes that an evaluation split lacks.
    """
    torn_groups = _torn(splitting, splitting.groups.of_record)
    places = _location_codes(splitting)
    torn_places = _torn(splitting, places)
    locations = splitting.inventory.meta(splitting.location) if splitting.location else []
    place_record = _first_record(places) if torn_places else {}
    torn_events = _torn(splitting, event_codes(splitting)) if splitting.event else {}
    events = splitting.inventory.meta(splitting.event) if splitting.event else []
    first_record = _first_record(event_codes(splitting)) if torn_events else {}
    joined = splitting.joined.members()
    names = splitting.groups.names
    return {
        "schema": SCHEMA,
        "method": splitting.method,
        "group_field": splitting.group_field,
        "location_field": splitting.location,
        "event_field": splitting.event,
        "splits": _split_facts(splitting),
        "score": _score_facts(splitting),
        "kept_splits": None
        if splitting.kept is None
        else dict(zip(("groups_kept", "groups_new"), splitting.kept, strict=True)),
        "groups": {
            "count": len(names),
            "records_without_the_field": splitting.groups.by_itself,
            "in_several_splits": len(torn_groups),
            "list": [{"group": names[group], "records": held} for group, held in _some(torn_groups)],
            "joined_by_duplicates": [[names[one] for one in members] for members in list(joined.values())[:LISTED]],
        },
        "locations": {
            "count": int(places.max(initial=-1) + 1),
            "records_without_the_field": int(np.sum(places < 0)),
            "in_several_splits": len(torn_places),
            "list": [{"location": locations[place_record[one]], "records": held} for one, held in _some(torn_places)],
        },
        "events": {
            "count": int(event_codes(splitting).max() + 1),
            "in_several_splits": len(torn_events),
            "list": [{"event": events[first_record[event]], "records": held} for event, held in _some(torn_events)],
        },
        "duplicates": _duplicate_facts(splitting),
        "never_seen_in_training": [
            {"class": name, "in_splits": list(inside)}
            for name, inside in never_in_train(splitting.rows.of_labels(splitting.labels), splitting.splits, splitting.train)
        ],
        "cannot_be_evaluated": [
            {
                "label": one.label,
                "class": one.name,
                "groups": one.places,
                "in_splits": list(one.splits),
                "lacking_in": list(one.lacking),
                "reason": reason(one, len(splitting.shares), unit_of(splitting)),
            }
            for one in lacking
        ],
    }


def unit_of(splitting: Splitting) -> str:
    """Returns what was dealt: a `group` or a `record`."""
    return "record" if splitting.method == BY_HASH else "group"


def reason(one: NotEvaluable, splits: int, unit: str = "group") -> str:
    """Returns why a split lacks a class, in words; `unit`: what was dealt."""
    if one.places == 1:
        return f"in one {unit} only"
    return f"in {one.places} {unit}s, fewer than there are splits" if one.places < splits else f"all its {unit}s are elsewhere"


def _location_codes(splitting: Splitting) -> npt.NDArray[np.int64]:
    """Returns a number for the location of each record, `[records]`; -1 where it has none."""
    if splitting.location is None:
        return np.full(len(splitting.splits), -1, np.int64)
    return codes_of(splitting.inventory.meta(splitting.location))


def _torn(splitting: Splitting, codes: npt.NDArray[np.int64]) -> dict[int, dict[str, int]]:
    """Returns group, location or event → split → records, for those that are in several splits; -1 is none of them."""
    names, known = list(splitting.shares), codes >= 0
    keys, counts = np.unique(codes[known] * len(names) + splitting.split_codes[known], return_counts=True)
    groups, splits = np.divmod(keys, len(names))
    torn: dict[int, dict[str, int]] = collections.defaultdict(dict)
    for place in np.flatnonzero(np.bincount(groups)[groups] > 1).tolist():
        torn[int(groups[place])][names[splits[place]]] = int(counts[place])
    return dict(torn)


def _some(torn: Mapping[int, dict[str, int]]) -> list[tuple[int, dict[str, int]]]:
    return list(torn.items())[:LISTED]


def _first_record(codes: npt.NDArray[np.int64]) -> dict[int, int]:
    values, first = np.unique(codes, return_index=True)
    return dict(zip(values.tolist(), first.tolist(), strict=True))


def _split_facts(splitting: Splitting) -> dict[str, dict[str, Any]]:
    records = np.bincount(splitting.split_codes, minlength=len(splitting.shares))
    pairs = unique_pairs(splitting.split_codes, splitting.groups.of_record)
    groups = np.bincount(pairs[0], minlength=len(splitting.shares))
    return {
        name: {
            "target": share,
            "share": round(float(records[place] / len(splitting.splits)), 6),
            "records": int(records[place]),
            "groups": int(groups[place]),
        }
        for place, (name, share) in enumerate(splitting.shares.items())
    }


def _score_facts(splitting: Splitting) -> dict[str, Any] | None:
    dealing = splitting.dealing
    if dealing is None:
        return None
    return {
        "formula": splitting.settings.split_score,
        "labels": list(splitting.labels),
        "score": _number(dealing.score),
        "best_draw": _number(dealing.draw_score),
        "draws": dealing.draws,
    }


def _number(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(value, 9)


def _duplicate_facts(splitting: Splitting) -> dict[str, Any]:
    found, settings = splitting.found, splitting.settings
    if found.hashes is None:
        return {"looked_for": settings.duplicates}
    return {
        "looked_for": settings.duplicates,
        "pictures": len(found.hashes.record),
        "hashes_there_already": found.hashes.reused,
        "files_wanted": found.hashes.wanted,
        "files_read": found.hashes.looked_at,
        "unusable": dict(sorted(found.hashes.unusable.items())),
        "pairs": len(found.pairs),
        "pairs_in_several_splits": sum(pair_is_torn(splitting, pair) for pair in found.pairs),
        "close_hashes_that_look_different": found.unlike,
        "close_hashes_not_compared": found.not_compared,
        "list": [_pair_facts(splitting, pair) for pair in _torn_first(splitting, found.pairs)[:LISTED]],
    }


def _torn_first(splitting: Splitting, pairs: Sequence[Pair]) -> list[Pair]:
    return sorted(pairs, key=lambda pair: not pair_is_torn(splitting, pair))


def pair_is_torn(splitting: Splitting, pair: Pair) -> bool:
    """Tells whether the two pictures are in two splits."""
    one, other = pair.records
    return splitting.splits[one] != splitting.splits[other]


def _pair_facts(splitting: Splitting, pair: Pair) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "kind": pair.kind,
        "pictures": list(pair.pictures),
        "groups": [splitting.groups.names[group] for group in pair.groups],
        "splits": [splitting.splits[record] for record in pair.records],
    }
    if pair.correlation is not None:
        facts |= {"bits": pair.bits, "correlation": round(pair.correlation, 4)}
    return facts


def warnings_of(splitting: Splitting, lacking: Sequence[NotEvaluable]) -> list[str]:
    """Returns what a user should know, a sentence each.

    Args:
        splitting: records and splits.
        lacking: classes that an evaluation split lacks.
    """
    settings = splitting.settings
    grouped = None if splitting.method == BY_META and settings.split_group == "auto" else splitting.group_field
    warnings = leakage_warnings(splitting.inventory, splitting.splits, group_field=grouped, split_field=settings.split_by_meta)
    if splitting.groups.by_itself and splitting.group_field == splitting.location:
        warnings.append(
            f"{splitting.groups.by_itself} of {len(splitting.splits)} records have no {splitting.group_field!r}; each is kept "
            "with its event, or by itself"
        )
    torn = sum(pair_is_torn(splitting, pair) for pair in splitting.found.pairs)
    if torn:
        pictures = "1 picture of one split is" if torn == 1 else f"{torn} pictures of one split are"
        warnings.append(f"leakage: {pictures} in another too (leakage.json lists them)")
    warnings += _unread_text(splitting)
    warnings += never_seen_text(splitting.rows.of_labels(splitting.labels), splitting.splits, splitting.train)
    warnings += _not_evaluable_text(lacking, len(splitting.shares), unit_of(splitting))
    return warnings + _share_text(splitting)


def _unread_text(splitting: Splitting) -> list[str]:
    """Returns a sentence where duplicates were looked for and no file could be read."""
    hashes = splitting.found.hashes
    if hashes is None or not hashes.nothing_read:
        return []
    return [
        f"leakage: no pictures were compared, as 0 of {hashes.wanted} files could be read{counts_text(hashes.unusable)}; "
        "copies of one picture may be in several splits; say where pictures are with --image-root-path"
    ]


def never_seen_text(rows: ClassRows, splits: Sequence[str], train: str) -> list[str]:
    """Returns a sentence on the classes that are in evaluation splits only, which no model can learn; as `never_in_train`."""
    by_splits: dict[tuple[str, ...], list[str]] = collections.defaultdict(list)
    for name, inside in never_in_train(rows, splits, train):
        by_splits[inside].append(name)
    return [
        f"never seen in training: {shortened(names)} (only in {' and '.join(inside)}, not in {train})"
        for inside, names in sorted(by_splits.items())
    ]


def _share_text(splitting: Splitting) -> list[str]:
    """Returns a sentence on the splits whose share of the records is far off, where none is empty, and how to mend it."""
    facts = _split_facts(splitting)
    if not all(fact["records"] for fact in facts.values()):
        return []
    off = shares_off({name: fact["share"] for name, fact in facts.items()}, splitting.shares)
    if not off:
        return []
    if splitting.method == BY_HASH:
        mend = "by chance, as records are dealt one by one; more records even it out"
    elif splitting.method == SCORED:
        mend = "too few groups, or too unequal ones; rare classes and kept splits come before the shares"
    else:
        mend = "--split-method scored comes nearer where the groups allow it"
    return [f"shares of the records are off: {', '.join(off)}; {mend}"]


def shares_off(reached: Mapping[str, float], due: Mapping[str, float] | Mapping[str, float | None]) -> list[str]:
    """Returns the splits, as text with both shares, whose share of the records is more than `SHARE_OFF` off.

    Args:
        reached: split → its share of the records, in [0, 1].
        due: split → the share that it is due, in [0, 1]; None where none was said.
    """
    return [
        f"{name} {100 * reached[name]:.1f} % (due {100 * share:g} %)"
        for name, share in due.items()
        if share is not None and abs(reached[name] - share) > SHARE_OFF
    ]


def empty_split_warnings(
    splits: Sequence[str], shares: Sequence[tuple[str, float]], splitting: Splitting | None = None
) -> list[str]:
    """Returns a sentence on the splits that should have records and have none, with why and what to do.

    Args:
        splits: the split of each record.
        shares: splits and what they are due.
        splitting: how they came about, if more than the hash of the records; the records may have become fewer since.
    """
    present = set(splits)
    empty = [name for name, share in shares if share > 0 and name not in present]
    if not empty:
        return []
    start = (
        f"split {' and '.join(map(repr, empty))} has no record"
        if len(empty) == 1
        else (f"splits {' and '.join(map(repr, empty))} have no record")
    )
    return [f"{start}: {_why_empty(empty, splitting)}"]


def _why_empty(empty: Sequence[str], splitting: Splitting | None) -> str:
    """Returns why splits are empty and what to do."""
    fewer = "take fewer splits (--split-names with --split-percent)"
    if splitting is None or splitting.method == BY_HASH:
        return f"there are too few records for so small a share, dealt one by one; take more, raise the share, or {fewer}"
    if set(empty) & set(splitting.splits):
        return f"balancing left no record there; give up --balanced-sampling-min, or {fewer}"
    groups = splitting.groups.joined(splitting.joined.joined)
    alone = int(lone_class_groups(splitting.rows.of_labels(splitting.labels), groups).sum())
    by = f" by {splitting.group_field!r}"
    holds = "holds" if alone == 1 else "hold"
    if not alone:
        return (
            f"the earlier splitting settles which {counted(len(groups.names), 'group')}{by} are where; add new ones, or {fewer}"
        )
    return (
        f"{alone} of {len(groups.names)} groups{by} {holds} a class that no other group has, and such classes go to "
        f"train; add groups with those classes, leave them out (--min-locs 2), or {fewer}"
    )


def _not_evaluable_text(lacking: Sequence[NotEvaluable], splits: int, unit: str) -> list[str]:
    by_reason: dict[str, list[str]] = collections.defaultdict(list)
    for one in lacking:
        why = reason(one, splits, unit)
        by_reason[why if one.places == 1 else f"{why}, none in {' and '.join(one.lacking)}"].append(one.name)
    return [f"cannot be evaluated: {shortened(names)} ({where})" for where, names in by_reason.items()]
