"""Groups whose records resemble each other, so that they should not be in two splits: places, and bursts of pictures."""

from __future__ import annotations

import collections
import re
from collections.abc import Sequence

from camtrap_tf.errors import SettingError, counted
from camtrap_tf.inventory.table import Inventory

LOCATION_FIELDS = ("location", "site", "station", "deployment", "camera")
"""Meta data fields that say where a camera stood, best first. Case, `_`, `-`, spaces, and `id` or `name` at the end do not
matter: `locationID` and `Site_Name` are found too."""

EVENT_FIELDS = ("sequence", "seq", "event", "captureevent", "capture", "burst")
"""Meta data fields that say which burst of pictures a record belongs to, best first; spelt as freely."""

AUTO, NONE = "auto", "none"


def find_field(fields: Sequence[str], known: Sequence[str]) -> str | None:
    """Returns the first of the known names that is among the meta data fields, as it is spelt there."""
    by_plain_name: dict[str, str] = {}
    for field in sorted(fields):
        plain = re.sub(r"[\s_-]", "", field.lower()).removesuffix("id").removesuffix("name")
        by_plain_name.setdefault(plain, field)
    return next((by_plain_name[name] for name in known if name in by_plain_name), None)


def choose_group_field(inventory: Inventory, wish: str, *, least: int) -> str | None:
    """Returns the meta data field whose groups stay whole, or None where every record is by itself.

    Args:
        inventory: the records to split.
        wish: `auto`, `none` or a field. `auto` takes the location as long as there is one for every split, else the
            sequence or event where any record has one.
        least: how many splits there are to fill.

    Raises:
        SettingError: there is no such field; or `auto` finds fewer locations than splits, and no event.
    """
    if wish == NONE:
        return None
    if wish != AUTO:
        inventory.meta(wish)
        return wish
    location, event = (find_field(inventory.meta_fields, known) for known in (LOCATION_FIELDS, EVENT_FIELDS))
    places, events = (len(set(inventory.meta(field)) - {None, ""}) if field else 0 for field in (location, event))
    if places >= least:
        return location
    if places and not events:
        raise SettingError(
            f"{counted(places, 'group')} by {location!r} cannot fill {least} splits, and there are no sequences or events to "
            "keep whole instead; give fewer --split-names with their --split-percent, or --split-group none, which deals "
            "record by record and makes scores look better than they are"
        )
    return event if events else None


def straddling(groups: Sequence[str | None], splits: Sequence[str]) -> tuple[int, int]:
    """Returns how many groups have records in more than one split, and how many groups there are."""
    seen: dict[str, set[str]] = collections.defaultdict(set)
    for group, split in zip(groups, splits, strict=True):
        if group:
            seen[group].add(split)
    return sum(len(found) > 1 for found in seen.values()), len(seen)


def leakage_warnings(
    inventory: Inventory, splits: Sequence[str], *, group_field: str | None, split_field: str | None = None
) -> list[str]:
    """Returns a sentence for each kind of group that is in several splits; scores on such splits flatter the model.

    Args:
        inventory: the records.
        splits: the split of each.
        group_field: meta data field whose groups were kept whole, if any.
        split_field: meta data field that says the split, if one does.
    """
    location, event = (find_field(inventory.meta_fields, known) for known in (LOCATION_FIELDS, EVENT_FIELDS))
    known_fields = [field for field in (location, event) if field is not None]
    if not known_fields and group_field is None:
        return [
            "leakage: the inventory knows neither location nor sequence, so pictures of one place or burst may be in several "
            "splits; keep such a column with --meta-data-fields when the inventory is made"
        ]
    advice = f"mend {split_field!r}, or without --split-by-meta" if split_field else "the setting"
    warnings = []
    for field in known_fields:
        values = inventory.meta(field)
        if field == event and location is not None:
            # Events are often counted from 1 at each location.
            values = [one and f"{place or ''}\0{one}" for place, one in zip(inventory.meta(location), values, strict=True)]
        torn, count = straddling(values, splits)
        if torn:
            keeps = f"{advice} --split-group {field} keeps them together"
            if split_field is None and count < len(set(splits)):
                keeps = "they are fewer than the splits; only more of them, or fewer --split-names, can keep them together"
            warnings.append(
                f"leakage: {torn} of {count} groups by {field!r} have records in more than one split, which makes "
                f"scores look better than they are; {keeps}"
            )
    return warnings


def refuse_torn_groups(inventory: Inventory, splits: Sequence[str], *, group: str, meta: str) -> None:
    """Makes sure that splits given by a meta data field leave the groups whole that were asked for.

    Raises:
        SettingError: they do not.
    """
    torn, count = straddling(inventory.meta(group), splits)
    if torn:
        raise SettingError(
            f"--split-by-meta {meta} puts {torn} of {count} groups by {group!r} into more than one split; "
            f"mend the field, or give up --split-group {group}"
        )
