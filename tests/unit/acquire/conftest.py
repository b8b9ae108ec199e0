"""A site that tests fill and break, served while the test runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from camtrap_tf.acquire import engine
from tests.servers import Site, serving


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """An empty site, on a local port; pauses between tries are short."""
    monkeypatch.setattr(engine, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(engine, "PAUSE_JITTER_S", 0.01)
    with serving(Site()) as one:
        yield one
