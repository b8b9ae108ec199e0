"""Counts of animals as classes: small ones by themselves, larger ones in two bins."""

from __future__ import annotations

import re

import pyarrow as pa

NOT_A_COUNT = "NA"
BINS = ("11-50", "51+")
_WHOLE = re.compile(r"\+?(\d{1,9})(\.0+)?")


def bin_count(text: str) -> str:
    """Returns the class of a count: `0` … `10` as they are, `11-50`, `51+`, else `NA`.

    Args:
        text: a whole number (`3`, also `3.0`), or one of the bins.

    Source: the binning of Snapshot Safari data in camera-trap-classifier.
    """
    text = text.strip()
    if text in BINS:
        return text
    whole = _WHOLE.fullmatch(text)
    if whole is None or not text.isascii():
        return NOT_A_COUNT
    count = int(whole[1])
    if count <= 10:
        return str(count)
    return BINS[0] if count <= 50 else BINS[1]


def binned(column: pa.Array) -> pa.Array:
    """Returns a column of counts as classes, see `bin_count`; nulls stay."""
    encoded = column.dictionary_encode()
    classes = [bin_count(text) for text in encoded.dictionary.to_pylist()]
    return pa.array(classes, pa.string()).take(encoded.indices)
