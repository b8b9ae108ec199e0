"""What of a splitting could make scores look better than they are: groups, events and pictures on two sides, as JSON."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from camtrap_tf.curation.dealing import BY_META, SCORED, SMALLEST_FIRST, Splitting
from camtrap_tf.curation.duplicates import Pair
from camtrap_tf.curation.groups import leakage_warnings
from camtrap_tf.curation.split_groups import unique_pairs
from camtrap_tf.curation.split_tables import NotEvaluable, event_codes

LISTED = 10_000
"""Pairs, groups and events that are listed at most; the counts are of all."""

NAMED = 8
SCHEMA = 1


def leakage_report(splitting: Splitting, lacking: Sequence[NotEvaluable]) -> dict[str, Any]:
    """Returns all that `leakage.json` says.

    Args:
        splitting: records and splits.
        lacking: classes that an evaluation split lacks.
    """
    torn_groups = _torn(splitting, splitting.groups.of_record)
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
        "events": {
            "count": int(event_codes(splitting).max() + 1),
            "in_several_splits": len(torn_events),
            "list": [{"event": events[first_record[event]], "records": held} for event, held in _some(torn_events)],
        },
        "duplicates": _duplicate_facts(splitting),
        "cannot_be_evaluated": [
            {
                "label": one.label,
                "class": one.name,
                "groups": one.places,
                "in_splits": list(one.splits),
                "lacking_in": list(one.lacking),
                "reason": reason(one, len(splitting.shares)),
            }
            for one in lacking
        ],
    }


def reason(one: NotEvaluable, splits: int) -> str:
    """Returns why a split lacks a class, in words."""
    if one.places == 1:
        return "in one group only"
    return f"in {one.places} groups, fewer than there are splits" if one.places < splits else "all its groups are elsewhere"


def _torn(splitting: Splitting, codes: npt.NDArray[np.int64]) -> dict[int, dict[str, int]]:
    """Returns group or event → split → records, for those that are in several splits."""
    names = list(splitting.shares)
    keys, counts = np.unique(codes * len(names) + splitting.split_codes, return_counts=True)
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
        warnings.append(f"leakage: {torn} pictures of one split are in another too (leakage.json lists them)")
    if splitting.method in (SCORED, SMALLEST_FIRST, BY_META):
        warnings += _not_evaluable_text(lacking, len(splitting.shares))
    return warnings


def empty_split_warnings(splits: Sequence[str], shares: Sequence[tuple[str, float]]) -> list[str]:
    """Returns a sentence for each split that should have records and has none."""
    present = set(splits)
    return [
        f"split {name!r} has no record; there are too few records or groups for its share"
        for name, share in shares
        if share > 0 and name not in present
    ]


def _not_evaluable_text(lacking: Sequence[NotEvaluable], splits: int) -> list[str]:
    by_reason: dict[str, list[str]] = collections.defaultdict(list)
    for one in lacking:
        where = reason(one, splits) if one.places == 1 else f"{reason(one, splits)}, none in {' and '.join(one.lacking)}"
        by_reason[where].append(one.name)
    texts = []
    for where, names in by_reason.items():
        shown = ", ".join(names[:NAMED]) + (f" … ({len(names)} in all)" if len(names) > NAMED else "")
        texts.append(f"cannot be evaluated: {shown} ({where})")
    return texts
