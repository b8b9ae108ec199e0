"""Which records take part: single observations, classes to remove, classes to keep. Exact comparison, in any observation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from camtrap_tf.errors import LabelError, suggestion
from camtrap_tf.inventory.table import Inventory
from camtrap_tf.records import MISSING

Pair = tuple[str, str]
"""A label type and one of its classes."""


def single_observation(inventory: Inventory) -> npt.NDArray[np.bool_]:
    """Returns which records have one observation, or several that all say the same (boxes of one species), `[records]`."""
    counts = inventory.observation_counts()
    single = np.ones(len(inventory), bool)
    records = np.repeat(np.arange(len(inventory)), counts)
    firsts = np.repeat(np.cumsum(counts) - counts, counts)
    for label in inventory.label_types:
        codes = pc.list_flatten(inventory.label_column(label)).combine_chunks().dictionary_encode().indices
        numbers = np.asarray(codes, np.int64)
        single[records[numbers != numbers[firsts]]] = False
    return single


def any_of(inventory: Inventory, pairs: Sequence[Pair]) -> npt.NDArray[np.bool_]:
    """Returns which records match at least one pair in at least one observation, `[records]`."""
    found = np.zeros(len(inventory), bool)
    for label, name in pairs:
        found |= inventory.matches(label, name)
    return found


def check_pairs(inventory: Inventory, pairs: Sequence[Pair], flag: str) -> None:
    """Makes sure that label types and classes to filter by exist, so that a slip of the pen does not filter nothing.

    Raises:
        LabelError: one does not.
    """
    counts = inventory.label_counts()
    for label, name in pairs:
        if label not in counts:
            raise LabelError(f"--{flag}-label-name: no label type {label!r} in the inventory{suggestion(label, counts)}")
        if name != MISSING and name not in counts[label]:
            raise LabelError(f"--{flag}-label-value: label {label!r} has no class {name!r}{suggestion(name, counts[label])}")
