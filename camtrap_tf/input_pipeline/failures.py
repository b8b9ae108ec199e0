"""Errors of ours that were raised inside a function of tf.data come out as themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from camtrap_tf import errors
from camtrap_tf.errors import CamtrapError, DatasetError

_OURS = re.compile(r"\b(\w+Error): ([^\n]+)\nTraceback")
_NOT_AN_EXAMPLE = ("Could not parse example", "Invalid protocol message")


@contextmanager
def plain_failures() -> Iterator[None]:
    """Wraps work that reads batches: TensorFlow hands over an error of ours as text, with a traceback in it.

    Raises:
        CamtrapError: the error that was raised while reading, with its own message.
        DatasetError: what a shard holds is not an example.
    """
    try:
        yield
    except tf.errors.OpError as err:
        found = _OURS.search(err.message)
        kind = getattr(errors, found[1], None) if found else None
        if found and isinstance(kind, type) and issubclass(kind, CamtrapError):
            raise kind(found[2]) from err
        if any(text in err.message for text in _NOT_AN_EXAMPLE):
            raise DatasetError(
                "a record of the shards is not one of ours; `camtrap dataset inspect --verify` says which shard is damaged"
            ) from err
        raise
