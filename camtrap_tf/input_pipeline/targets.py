"""From the observations of a record to what a head is to answer.

Of most label types the first observation counts: the target is a class index, -1 where it is missing or not in the label
mapping. Of the label types in `Blanks` all observations count: the target is one row of 0 and 1 over the classes, all 0
where nothing is there, and all -1 where an observation is missing or not in the mapping, since then nothing is known for sure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from camtrap_tf.labels import UNKNOWN, LabelMapping
from camtrap_tf.records import MISSING

Blanks = Mapping[str, tuple[str, ...]]
"""Label types of which all observations count → names of the classes that mean that nothing is there."""


def target_row(classes: Sequence[str], indices: Mapping[str, int], width: int, blanks: Sequence[str]) -> np.ndarray:
    """Returns `[C]` int32 of a record: 1 for the classes that are there, or all -1 where that is not known.

    Args:
        classes: of its observations.
        indices: class → index.
        width: number of classes.
        blanks: names that mean nothing is there.
    """
    if not classes or any(name not in indices and name not in blanks for name in classes):
        return np.full(width, UNKNOWN, np.int32)
    row = np.zeros(width, np.int32)
    row[[indices[name] for name in classes if name in indices]] = 1
    return row


def target_widths(mapping: LabelMapping, blanks: Blanks) -> dict[str, int]:
    """Returns label type → number of columns that its targets take."""
    return {label: len(mapping.names(label)) if label in blanks else 1 for label in mapping.label_types}


def target_lookup(
    mapping: LabelMapping, blanks: Blanks
) -> Callable[[Mapping[str, tf.Tensor], Mapping[str, tf.Tensor]], list[tf.Tensor]]:
    """Returns the function from texts of observations to targets.

    It takes label type → class names `[c, K]`, filled up, and label type → number of observations `[c]`, and returns
    int32 `[c, width]` per label type.
    """
    tables = {label: _table(mapping, label, blanks.get(label, ())) for label in mapping.label_types}

    def look_up(names: Mapping[str, tf.Tensor], counts: Mapping[str, tf.Tensor]) -> list[tf.Tensor]:
        """Returns the columns of each label type, from class names and numbers of observations."""
        return [
            _rows(tables[label], names[label], counts[label], len(mapping.names(label)))
            if label in blanks
            else tables[label].lookup(_first(names[label], counts[label]))[:, None]
            for label in tables
        ]

    return look_up


def _table(mapping: LabelMapping, label: str, blanks: Sequence[str]) -> tf.lookup.StaticHashTable:
    """Returns class name → index; blank ones have the number after the last."""
    names = {**dict.fromkeys(blanks, len(mapping.names(label))), **mapping.classes[label]}
    keys, values = tf.constant(list(names), tf.string), tf.constant(list(names.values()), tf.int32)
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), UNKNOWN)


def _first(names: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
    # a column more, so that there is a first observation even where no record of the chunk has one
    return tf.where(counts > 0, tf.pad(names, [[0, 0], [0, 1]], constant_values=MISSING)[:, 0], MISSING)


def _rows(table: tf.lookup.StaticHashTable, names: tf.Tensor, counts: tf.Tensor, width: int) -> tf.Tensor:
    padded = tf.pad(names, [[0, 0], [0, 1]])
    observed = tf.sequence_mask(counts, tf.shape(padded)[1])
    indices = table.lookup(padded)
    there = tf.where(observed[..., None], tf.one_hot(indices, width, dtype=tf.int32), 0)
    known = (counts > 0) & tf.reduce_all((indices >= 0) | ~observed, axis=1)
    return tf.where(known[:, None], tf.reduce_max(there, axis=1), UNKNOWN)
