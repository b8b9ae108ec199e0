"""From an inventory to the records of a data set: filter, split, map, balance, in this order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from camtrap_tf.config.dataset import DatasetConfig
from camtrap_tf.curation.balancing import balanced_rows
from camtrap_tf.curation.box_records import record_per_box, source_records
from camtrap_tf.curation.dealing import (
    BY_META,
    Means,
    Splitting,
    asked_for,
    leave_out_new_in_test,
    leave_out_rare,
    split_inventory,
)
from camtrap_tf.curation.groups import AUTO, NONE, leakage_warnings, refuse_torn_groups
from camtrap_tf.curation.leakage import empty_split_warnings, never_seen_text, warnings_of
from camtrap_tf.curation.scored_splits import train_split
from camtrap_tf.curation.selection import any_of, check_pairs, single_observation
from camtrap_tf.curation.split_groups import class_rows, spread_labels
from camtrap_tf.curation.split_tables import not_evaluable
from camtrap_tf.curation.splitting import split_by_hash, split_by_values
from camtrap_tf.errors import LabelError, SettingError, shortened, suggestion
from camtrap_tf.inventory.table import Inventory
from camtrap_tf.labels import LabelMapping
from camtrap_tf.logs import logger

_log = logger(__name__)

_ABSENT_NAMED = 3
"""Classes that a warning names for each split and label type."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of the selection left."""

    name: str
    records_before: int
    records_after: int


@dataclass(frozen=True, slots=True)
class Curated:
    """The records of a data set, and how they came about.

    Attributes:
        inventory: the records that are left, in the order of the inventory they come from.
        splits: the split of each.
        mapping: classes of the records after the filters and before balancing.
        steps: the steps in the order in which they were done.
        group_field: meta data field whose groups were kept whole, if any.
        warnings: what a user should know, e.g. that a location is in two splits.
        splitting: how the splits came about, before balancing; None where groups did not matter.
        told: warnings that were logged on the way, before hours of work; they need not be said again at its end.
    """

    inventory: Inventory
    splits: tuple[str, ...]
    mapping: LabelMapping
    steps: tuple[Step, ...]
    group_field: str | None
    warnings: tuple[str, ...]
    splitting: Splitting | None = None
    told: frozenset[str] = frozenset()


def curate(inventory: Inventory, config: DatasetConfig, *, read_files: bool = True) -> Curated:
    """Chooses the records of a data set and their splits.

    Args:
        inventory: the records to choose from.
        config: filters, splits, balancing.
        read_files: whether pictures are read, to find those that are in two groups; without, only hashes that the
            inventory has are compared.

    Raises:
        SettingError: a meta data field does not exist, or nothing is left after a step.
        LabelError: a label type or class to filter or balance by does not exist.
    """
    steps: list[Step] = []
    left_out: list[str] = []
    if config.crop is not None:
        boxes = record_per_box(inventory, threshold=config.crop_threshold)
        steps.append(Step("records with boxes", len(inventory), boxes.with_boxes))
        steps.append(Step("a record per box", boxes.with_boxes, len(boxes.inventory)))
        inventory, left_out = boxes.inventory, boxes.left_out_text()
    selected = _filter(inventory, config, steps)
    splitting, told = None, list[str]()
    if asked_for(config):
        splitting = split_inventory(selected, config, Means(config.seed, config.workers, config.max_pixels, read_files))
        splits, group_field = list(splitting.splits), _group_field(splitting, config)
        warnings = warnings_of(splitting, not_evaluable(splitting))
    else:
        splits, group_field = _split_records(selected, config), None
        warnings = leakage_warnings(selected, splits, group_field=None, split_field=config.split_by_meta)
        if config.split_by_meta is None:
            rows = class_rows(selected).of_labels(spread_labels(selected, config.split_label))
            warnings += never_seen_text(rows, splits, train_split(config.split_names))
    mapping = LabelMapping.from_classes(selected.label_counts())
    if config.balanced_sampling_min:
        selected, splits = _balance(selected, splits, config, steps)
    if config.split_by_meta is None:
        told = empty_split_warnings(splits, config.split_shares, splitting)
        for warning in told if read_files else ():
            _log.warning("warning: %s", warning)
        warnings += told
    warnings += [*_absent_classes(selected, splits, mapping), *left_out]
    said = frozenset(told) if read_files else frozenset()
    return Curated(selected, tuple(splits), mapping, tuple(steps), group_field, tuple(warnings), splitting, said)


def _filter(inventory: Inventory, config: DatasetConfig, steps: list[Step]) -> Inventory:
    remove = list(zip(config.remove_label_name, config.remove_label_value, strict=True))
    keep = list(zip(config.keep_label_name, config.keep_label_value, strict=True))
    check_pairs(inventory, remove, "remove")
    check_pairs(inventory, keep, "keep")
    if config.balanced_sampling_min and config.balanced_sampling_label not in inventory.label_types:
        label = config.balanced_sampling_label or ""
        known = suggestion(label, inventory.label_types)
        raise LabelError(f"--balanced-sampling-label: no label type {label!r} in the inventory{known}")
    if not config.keep_multi_observation:
        inventory = _step("single observation", inventory, single_observation(inventory), steps)
    if remove:
        inventory = _step("remove classes", inventory, ~any_of(inventory, remove), steps)
    if keep:
        inventory = _step("keep classes", inventory, any_of(inventory, keep), steps)
    for leave_out in (leave_out_rare, leave_out_new_in_test):
        left_out = leave_out(inventory, config)
        if left_out is not None:
            inventory = _step(left_out.step, inventory, left_out.stay, steps)
    return inventory


def _step(name: str, inventory: Inventory, stay: npt.NDArray[np.bool_], steps: list[Step]) -> Inventory:
    rows = np.flatnonzero(stay)
    steps.append(Step(name, len(inventory), len(rows)))
    if not len(rows):
        hint = " (--keep-multi-observation keeps the others)" if name == "single observation" else ""
        raise SettingError(f"no record is left after the step {name!r}, which dropped all {len(inventory)}{hint}")
    return inventory if len(rows) == len(inventory) else inventory.take(rows)


def _group_field(splitting: Splitting, config: DatasetConfig) -> str | None:
    """Returns the field whose groups were kept whole; makes sure of it where the splits were given.

    Raises:
        SettingError: the splits given tear groups that were to be kept whole.
    """
    if splitting.method != BY_META:
        return splitting.group_field
    if config.split_group in (AUTO, NONE):
        return None
    refuse_torn_groups(splitting.inventory, splitting.splits, group=config.split_group, meta=config.split_by_meta or "")
    return config.split_group


def _split_records(inventory: Inventory, config: DatasetConfig) -> list[str]:
    """Returns the split of each record where groups do not matter: as its meta data say, else by the hash of its id."""
    if config.split_by_meta is not None:
        return split_by_values(inventory.ids, inventory.meta(config.split_by_meta), config.split_by_meta)
    return split_by_hash(source_records(inventory), list(zip(config.split_names, config.split_percent, strict=True)))


def _balance(inventory: Inventory, splits: list[str], config: DatasetConfig, steps: list[Step]) -> tuple[Inventory, list[str]]:
    label = config.balanced_sampling_label or ""
    rows = balanced_rows(inventory.ids, splits, inventory.first_labels(label), seed=config.seed)
    stay = np.zeros(len(inventory), bool)
    stay[rows] = True
    balanced = _step(f"balance {label}", inventory, stay, steps)
    return balanced, [splits[row] for row in rows]


def _absent_classes(inventory: Inventory, splits: list[str], mapping: LabelMapping) -> list[str]:
    """Returns one line that names the first classes that a split with records has none of; none where all are everywhere."""
    said = []
    for split in sorted(set(splits)):
        counts = inventory.take(np.flatnonzero(np.array(splits) == split)).label_counts()
        for label in mapping.label_types:
            absent = [name for name in mapping.names(label) if not counts.get(label, {}).get(name)]
            if absent:
                said.append(f"{split} has no {label} {shortened(absent, most=_ABSENT_NAMED)}")
    return [f"classes without a record in a split: {shortened(said, between='; ')}"] if said else []
