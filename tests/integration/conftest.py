"""What several tests of whole commands begin with."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import camtrap
from tests.forking import ForkedScripts
from tests.unit.training.helpers import write_dataset


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of lions and zebras."""
    return write_dataset(tmp_path_factory.mktemp("data") / "tfr")


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small sample of drawn scenes with boxes, for reading only."""
    folder = tmp_path_factory.mktemp("sample") / "s"
    assert camtrap("sample", "--output-dir", folder, "--events", 30, "--workers", 1) == 0
    return folder


@pytest.fixture(scope="session")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkedScripts]:
    """Runs scripts in processes of their own."""
    scripts = ForkedScripts(tmp_path_factory.mktemp("forked"))
    yield scripts
    scripts.close()


@pytest.fixture
def messages(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What was logged."""
    caplog.set_level(logging.INFO, "camtrap_tf")
    return caplog
