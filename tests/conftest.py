"""What holds for every test, and what tests of several folders begin with."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from camtrap_tf.logs import ROOT
from tests.servers import Site, serving


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


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes pauses between the tries of a download short."""
    monkeypatch.setattr("camtrap_tf.acquire.engine.FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr("camtrap_tf.acquire.engine.PAUSE_JITTER_S", 0.01)


@pytest.fixture
def site(short_pauses: None) -> Iterator[Site]:
    """An empty site on a local port, which tests fill and break; pauses between tries are short."""
    with serving(Site()) as one:
        yield one


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collects the size in bytes of each picture that is decoded so that crops are cut out of it, once per decode."""
    from camtrap_tf.images import crop

    sizes: list[int] = []
    real = crop.decode_pixels

    def counted(data: bytes, **options: Any) -> Any:
        """Counts and decodes."""
        sizes.append(len(data))
        return real(data, **options)

    monkeypatch.setattr(crop, "decode_pixels", counted)
    return sizes
