"""What several tests of whole commands begin with."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.commands import camtrap
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


@pytest.fixture
def messages(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What was logged."""
    caplog.set_level(logging.INFO, "camtrap_tf")
    return caplog
