"""From an inventory to the records of a data set: filter, split, map, balance, in this order."""

from __future__ import annotations

import collections
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from camtrap_tf.config.dataset import DatasetConfig
from camtrap_tf.curation.balancing import balanced_rows
from camtrap_tf.curation.groups import AUTO, NONE, choose_group_field, leakage_warnings, refuse_torn_groups
from camtrap_tf.curation.selection import any_of, check_pairs, single_observation
from camtrap_tf.curation.splitting import split_by_group, split_by_hash, split_by_values
from camtrap_tf.errors import LabelError, SettingError, suggestion
from camtrap_tf.inventory.table import Inventory
from camtrap_tf.labels import LabelMapping

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
    """

    inventory: Inventory
    splits: tuple[str, ...]
    mapping: LabelMapping
    steps: tuple[Step, ...]
    group_field: str | None
    warnings: tuple[str, ...]


def curate(inventory: Inventory, config: DatasetConfig) -> Curated:
    """Chooses the records of a data set and their splits.

    Raises:
        SettingError: a meta data field does not exist, or nothing is left after a step.
        LabelError: a label type or class to filter or balance by does not exist.
    """
    steps: list[Step] = []
    selected = _filter(inventory, config, steps)
    splits, group_field = _split(selected, config)
    mapping = LabelMapping.from_classes(selected.label_counts())
    warnings = leakage_warnings(selected, splits, group_field=group_field, split_field=config.split_by_meta)
    if config.balanced_sampling_min:
        selected, splits = _balance(selected, splits, config, steps)
    warnings += _empty_splits(splits, config) + _absent_classes(selected, splits, mapping)
    return Curated(selected, tuple(splits), mapping, tuple(steps), group_field, tuple(warnings))


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
    return inventory


def _step(name: str, inventory: Inventory, stay: npt.NDArray[np.bool_], steps: list[Step]) -> Inventory:
    rows = np.flatnonzero(stay)
    steps.append(Step(name, len(inventory), len(rows)))
    if not len(rows):
        hint = " (--keep-multi-observation keeps the others)" if name == "single observation" else ""
        raise SettingError(f"no record is left after the step {name!r}, which dropped all {len(inventory)}{hint}")
    return inventory if len(rows) == len(inventory) else inventory.take(rows)


def _split(inventory: Inventory, config: DatasetConfig) -> tuple[list[str], str | None]:
    """Returns the split of each record, and the field whose groups were kept whole."""
    ids = inventory.ids
    if config.split_by_meta is not None:
        splits = split_by_values(ids, inventory.meta(config.split_by_meta), config.split_by_meta)
        if config.split_group not in (AUTO, NONE):
            refuse_torn_groups(inventory, splits, group=config.split_group, meta=config.split_by_meta)
            return splits, config.split_group
        return splits, None
    shares = list(zip(config.split_names, config.split_percent, strict=True))
    field = choose_group_field(inventory, config.split_group, least=sum(share > 0 for _, share in shares))
    if field is None:
        return split_by_hash(ids, shares), None
    labels = {label: inventory.first_labels(label) for label in inventory.label_types}
    return split_by_group(ids, inventory.meta(field), labels, shares), field


def _balance(inventory: Inventory, splits: list[str], config: DatasetConfig, steps: list[Step]) -> tuple[Inventory, list[str]]:
    label = config.balanced_sampling_label or ""
    rows = balanced_rows(inventory.ids, splits, inventory.first_labels(label), seed=config.seed)
    stay = np.zeros(len(inventory), bool)
    stay[rows] = True
    balanced = _step(f"balance {label}", inventory, stay, steps)
    return balanced, [splits[row] for row in rows]


def _empty_splits(splits: list[str], config: DatasetConfig) -> list[str]:
    if config.split_by_meta is not None:
        return []
    counts = collections.Counter(splits)
    empty = [
        name for name, share in zip(config.split_names, config.split_percent, strict=True) if share > 0 and not counts[name]
    ]
    return [f"split {name!r} has no record; there are too few records or groups for its share" for name in empty]


def _absent_classes(inventory: Inventory, splits: list[str], mapping: LabelMapping) -> list[str]:
    """Returns one line that names the first classes that a split with records has none of; none where all are everywhere."""
    said = []
    for split in sorted(set(splits)):
        counts = inventory.take(np.flatnonzero(np.array(splits) == split)).label_counts()
        for label in mapping.label_types:
            absent = [name for name in mapping.names(label) if not counts.get(label, {}).get(name)]
            if absent:
                more = f" and {len(absent) - _ABSENT_NAMED} more" if len(absent) > _ABSENT_NAMED else ""
                said.append(f"{split} has no {label} {', '.join(absent[:_ABSENT_NAMED])}{more}")
    return [f"classes without a record in a split: {'; '.join(said)}"] if said else []
