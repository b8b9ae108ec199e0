"""From an inventory to the split of each record, with all that is known about how far the splits can be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from camtrap_tf.config.splits import RECORD_BY_RECORD, SplitSettings
from camtrap_tf.curation.box_records import source_records
from camtrap_tf.curation.duplicates import (
    JoinedGroups,
    Pair,
    exact_pairs,
    join_groups,
    of_pictures,
    perceptual_pairs,
    refuse_too_large,
)
from camtrap_tf.curation.groups import choose_group_field
from camtrap_tf.curation.kept_splits import EarlierSplits, read_earlier
from camtrap_tf.curation.picture_hashes import PictureHashes, hash_pictures
from camtrap_tf.curation.scored_splits import FREE, Dealing, GroupTable, Target, too_few, train_split
from camtrap_tf.curation.split_groups import (
    ClassRows,
    Groups,
    class_rows,
    event_field,
    few_places,
    group_table,
    groups_of,
    location_field,
    lone_class_groups,
    records_showing,
    refuse_several_labels,
    second_field,
    spread_labels,
)
from camtrap_tf.curation.split_search import deal_by_score, deal_smallest_first
from camtrap_tf.curation.splitting import split_by_group, split_by_hash, split_by_values
from camtrap_tf.errors import SettingError
from camtrap_tf.inventory.table import Inventory

Ints = npt.NDArray[np.int64]

BY_META, BY_HASH, DEALT, SCORED, SMALLEST_FIRST = "split_by_meta", "hash", "dealt", "scored", "smallest_first"
TEST = "test"


@dataclass(frozen=True, slots=True)
class Means:
    """How pictures are looked at, and where random numbers come from.

    Attributes:
        seed: equal seeds split equally.
        workers: worker processes that hash pictures.
        max_pixels: larger pictures are not compared.
        read_files: whether picture files are read at all; hashes that the inventory has are used anyway.
        hash_all: whether every picture is hashed, to be kept, or only what may be in two groups.
    """

    seed: int = 0
    workers: int | None = None
    max_pixels: int = 100_000_000
    read_files: bool = True
    hash_all: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """Pictures that are in two groups.

    Attributes:
        pairs: the pairs, exact ones first.
        hashes: hashes of all pictures; None where they were not looked for.
        unlike: pairs with close hashes that do not look alike.
        not_compared: pairs with close hashes of which a picture could not be read.
        files_read: whether files were read where hashes were lacking; not so in a dry run.
    """

    pairs: tuple[Pair, ...] = ()
    hashes: PictureHashes | None = None
    unlike: int = 0
    not_compared: int = 0
    files_read: bool = True


@dataclass(frozen=True, slots=True)
class Splitting:
    """Records with their splits, and how these came about.

    Attributes:
        inventory: the records.
        splits: `[records]`, the split of each.
        shares: splits and what they were due, in order; of splits given by a meta data field, nothing.
        method: `scored`, `smallest_first`, `dealt`, `hash` or `split_by_meta`.
        group_field: meta data field whose groups are whole, if any.
        location: meta data field that says the location, if any.
        event: meta data field that says the event, if any.
        groups: the group of each record, before duplicates tied groups together.
        joined: groups tied together.
        found: pictures that are in two groups.
        rows: classes of the records.
        labels: label types whose classes were spread.
        settings: what was asked for.
        dealing: how the joined groups were dealt; None for the methods without a score.
        kept: number of groups that stayed where an earlier splitting had them, and of new ones; None where there was none.
        split_codes: `[records]`, number of the split of each record, in the order of `shares`.
    """

    inventory: Inventory
    splits: tuple[str, ...]
    shares: Mapping[str, float | None]
    method: str
    group_field: str | None
    location: str | None
    event: str | None
    groups: Groups
    joined: JoinedGroups
    found: Found
    rows: ClassRows
    labels: tuple[str, ...]
    settings: SplitSettings
    dealing: Dealing | None = None
    kept: tuple[int, int] | None = None
    split_codes: Ints = field(init=False)

    def __post_init__(self) -> None:
        number = {name: place for place, name in enumerate(self.shares)}
        codes = np.fromiter((number[name] for name in self.splits), np.int64, len(self.splits))
        object.__setattr__(self, "split_codes", codes)

    @property
    def train(self) -> str:
        """The split that is trained on."""
        return train_split(list(self.shares))


def split_inventory(inventory: Inventory, settings: SplitSettings, means: Means) -> Splitting:
    """Returns the split of each record.

    Args:
        inventory: the records.
        settings: what stays whole, which share goes where.
        means: seed, workers, whether pictures are read.

    Raises:
        SettingError: settings and data do not fit, e.g. too few groups, or duplicates tie too many together.
        SourceError: an earlier splitting cannot be read.
        LabelError: a label type does not exist.
    """
    given = settings.split_by_meta is not None
    splits = [name for name, _ in settings.split_shares]
    group_field = choose_group_field(inventory, settings.split_group, least=1 if given else len(splits))
    # What the settings have wrong is said before pictures are read, which may take hours.
    method, labels = _method(settings, group_field, event_field(inventory)), spread_labels(inventory, settings.split_label)
    groups = groups_of(inventory, group_field, then=second_field(inventory, settings.split_group, group_field))
    kept, settled, closed = _earlier(settings, groups, splits)
    found = _find_pairs(inventory, groups, settings, means)
    plan = Splitting(
        inventory=inventory,
        splits=(),
        shares=dict(settings.split_shares),
        method=method,
        group_field=group_field,
        location=location_field(inventory),
        event=event_field(inventory),
        groups=groups,
        joined=join_groups(len(groups.names), () if given else found.pairs, settled),
        found=found,
        rows=class_rows(inventory),
        labels=labels,
        settings=settings,
        kept=kept,
    )
    if given:
        return _given(plan)
    refuse_too_large(plan.joined, groups.names, groups.sizes, settings.max_group_share)
    return _deal(plan, settled, closed, means)


def _method(settings: SplitSettings, group_field: str | None, event: str | None) -> str:
    """Returns how groups are dealt: as asked for; by itself, by score wherever groups are places."""
    if settings.split_by_meta is not None:
        return BY_META
    if settings.split_method != "auto":
        if group_field is None:
            raise SettingError(
                f"--split-method {settings.split_method} deals groups, but the inventory has no usable location, sequence "
                "or event; name the field with --split-group"
            )
        return settings.split_method
    if settings.keep_splits or settings.match_test:
        return SCORED
    if group_field is None:
        return BY_HASH
    return DEALT if group_field == event else SCORED


def _earlier(
    settings: SplitSettings, groups: Groups, splits: Sequence[str]
) -> tuple[tuple[int, int] | None, Ints, tuple[int, ...]]:
    """Returns how many groups are kept and new, the split of each group that is settled, and splits that take no more."""
    settled = np.full(len(groups.names), FREE, np.int64)
    kept = None
    if settings.keep_splits is not None:
        settled = read_earlier(settings.keep_splits).settled(groups.names, splits)
        kept = (int((settled != FREE).sum()), int((settled == FREE).sum()))
    if settings.match_test is None:
        return kept, settled, ()
    test = test_split(splits)
    earlier = read_earlier(settings.match_test).split_of_group
    in_test = np.asarray([earlier.get(name) == test for name in groups.names], bool)
    if not in_test.any():
        raise SettingError(f"{settings.match_test}: none of the groups of its split {test!r} is in the inventory")
    moved = in_test & (settled != FREE) & (settled != splits.index(test))
    newly = ~in_test & (settled == splits.index(test))
    if (moved | newly).any():
        one = groups.names[int(np.flatnonzero(moved | newly)[0])]
        raise SettingError(
            f"--keep-splits {settings.keep_splits} and --match-test {settings.match_test} disagree, e.g. about group {one!r}"
        )
    settled = np.where(in_test, splits.index(test), settled)
    return kept, settled, (splits.index(test),)


def test_split(splits: Sequence[str]) -> str:
    """Returns the split that is the test: the one named so, else the last."""
    return TEST if TEST in splits else splits[-1]


def _find_pairs(inventory: Inventory, groups: Groups, settings: SplitSettings, means: Means) -> Found:
    """Looks for pictures that are in two groups."""
    if settings.duplicates == "off":
        return Found()
    perceptual = settings.duplicates == "perceptual"
    hashes = hash_pictures(
        inventory,
        root=settings.image_root_path,
        perceptual=perceptual,
        read_files=means.read_files,
        only_shared_sizes=None if means.hash_all else groups.of_record,
        max_pixels=means.max_pixels,
        workers=means.workers,
    )
    pairs = exact_pairs(hashes, groups.of_record)
    if not means.read_files:
        return Found(tuple(pairs), hashes, files_read=False)
    root, pixels, workers = settings.image_root_path, means.max_pixels, means.workers
    pairs = of_pictures(pairs, root=root, max_pixels=pixels, workers=workers)
    if not perceptual:
        return Found(tuple(pairs), hashes)
    alike = perceptual_pairs(hashes, groups.of_record, root=root, max_pixels=pixels, workers=workers)
    return Found((*pairs, *alike.pairs), hashes, alike.unlike, alike.not_compared)


def _given(plan: Splitting) -> Splitting:
    """Takes the splits from the meta data."""
    name = plan.settings.split_by_meta or ""
    splits = split_by_values(plan.inventory.ids, plan.inventory.meta(name), name)
    order = [one for one in plan.settings.split_names if one in splits]
    shares = dict.fromkeys((*order, *sorted(set(splits) - set(order))))
    return replace(plan, splits=tuple(splits), shares=shares)


def _deal(plan: Splitting, settled: Ints, closed: tuple[int, ...], means: Means) -> Splitting:
    """Deals the joined groups by the method chosen.

    Raises:
        SettingError: there are fewer groups than splits.
    """
    groups = plan.groups.joined(plan.joined.joined)
    splits = list(plan.shares)
    if plan.method == BY_HASH:
        first: dict[int, str] = {}
        for one, group in sorted(zip(plan.inventory.ids, groups.of_record.tolist(), strict=True)):
            first.setdefault(group, one)
        dealt = split_by_hash([first[group] for group in groups.of_record.tolist()], plan.settings.split_shares)
        return replace(plan, splits=tuple(dealt))
    rows = plan.rows.of_labels(plan.labels)
    alone = lone_class_groups(rows, groups)
    if len(groups.names) < len(splits) and not alone.all():
        raise too_few(len(groups.names), splits, f" by {plan.group_field!r}")
    if plan.method == DEALT:
        return replace(plan, splits=tuple(_dealt_in_order(plan, groups, alone)))
    table = group_table(rows, groups)
    dealing = _dealt_by_score(plan, table, _of_joined(settled, plan.joined), closed, means)
    splits_of_records = dealing.assignment[groups.of_record].tolist()
    return replace(plan, splits=tuple(splits[split] for split in splits_of_records), dealing=dealing)


def _of_joined(settled: Ints, joined: JoinedGroups) -> Ints:
    """Returns the split where a joined group has to stay, `[joined groups]`."""
    of_joined = np.full(int(joined.joined.max()) + 1, FREE, np.int64)
    np.maximum.at(of_joined, joined.joined, settled)
    return of_joined


def _dealt_in_order(plan: Splitting, groups: Groups, alone: npt.NDArray[np.bool_]) -> list[str]:
    """Deals groups in hash order, those with a class of their own (`alone`, `[groups]`) to train."""
    labels = plan.settings.split_label or plan.inventory.label_types
    classes = {label: plan.inventory.first_labels(label) for label in labels}
    names = [None if lone else name for lone, name in zip(groups.lone.tolist(), groups.names, strict=True)]
    of_record = [names[group] for group in groups.of_record.tolist()]
    settled = [plan.train if one else None for one in alone[groups.of_record].tolist()]
    return split_by_group(source_records(plan.inventory), of_record, classes, plan.settings.split_shares, settled)


def _dealt_by_score(plan: Splitting, table: GroupTable, settled: Ints, closed: tuple[int, ...], means: Means) -> Dealing:
    settings = plan.settings
    names, shares = zip(*settings.split_shares, strict=True)
    total = sum(shares)
    target = Target(names, tuple(share / total for share in shares))
    if plan.method == SMALLEST_FIRST:
        return deal_smallest_first(table, target, formula=settings.split_score, frozen=settled, closed=closed)
    return deal_by_score(
        table,
        target,
        formula=settings.split_score,
        draws=settings.split_draws,
        jitter=settings.split_jitter,
        seed=means.seed,
        frozen=settled,
        closed=closed,
    )


# ── records that are left out before splitting ───────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Records that are not split.

    Attributes:
        step: what left them out, e.g. `min locs`.
        stay: `[records]`, whether a record stays.
        reason: reason code for the rejects table.
        detail: one sentence for a person.
    """

    step: str
    stay: npt.NDArray[np.bool_]
    reason: str
    detail: str


def leave_out_rare(inventory: Inventory, settings: SplitSettings) -> LeftOut | None:
    """Returns which records show a class that is in fewer groups than `--min-locs`; None where it was not asked for.

    Raises:
        SettingError: it is not clear which label type is meant.
        LabelError: a label type does not exist.
    """
    if settings.min_locs <= 1:
        return None
    label = refuse_several_labels(spread_labels(inventory, settings.split_label), "--min-locs")
    group_field = choose_group_field(inventory, settings.split_group, least=1)
    groups = groups_of(inventory, group_field, then=second_field(inventory, settings.split_group, group_field))
    rows = class_rows(inventory).of_labels((label,))
    rare = few_places(rows, groups, settings.min_locs)
    names = ", ".join(rows.classes[number][1] for number in rare)
    detail = f"{label} of fewer than {settings.min_locs} groups: {names}"
    return LeftOut(f"min locs {settings.min_locs}", ~records_showing(rows, rare, len(inventory)), "too_few_locations", detail)


def leave_out_new_in_test(inventory: Inventory, settings: SplitSettings) -> LeftOut | None:
    """Returns which records are new in groups of an earlier test split, which is to be taken as it is.

    Only an earlier `splits.csv` says which records these are; with a `splits.json` all records of the groups are test.
    """
    if settings.match_test is None:
        return None
    earlier: EarlierSplits = read_earlier(settings.match_test)
    if earlier.split_of_record is None:
        return None
    test = test_split([name for name, _ in settings.split_shares])
    group_field = choose_group_field(inventory, settings.split_group, least=1)
    groups = groups_of(inventory, group_field, then=second_field(inventory, settings.split_group, group_field))
    in_test = np.asarray([earlier.split_of_group.get(name) == test for name in groups.names], bool)[groups.of_record]
    known = np.asarray([earlier.split_of_record.get(one) == test for one in inventory.ids], bool)
    detail = f"new in a group of the test split of {settings.match_test}"
    return LeftOut("match test", ~in_test | known, "not_in_matched_test", detail)


def asked_for(settings: SplitSettings) -> bool:
    """Tells whether groups matter at all; without them nothing is looked at, as in camera-trap-classifier."""
    return settings.split_group != RECORD_BY_RECORD
