"""What holds for every test."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from camtrap_tf.logs import ROOT


@pytest.fixture(autouse=True)
def _package_logger_as_before() -> Iterator[None]:
    """Undoes what a command did to the package's logger, so that `caplog` sees each message of a test exactly once."""
    yield
    root = logging.getLogger(ROOT)
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    root.propagate = True
    root.setLevel(logging.NOTSET)
