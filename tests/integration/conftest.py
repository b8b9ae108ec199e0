"""What several tests of whole trainings begin with."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.unit.training.helpers import write_dataset


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of lions and zebras."""
    return write_dataset(tmp_path_factory.mktemp("data") / "tfr")


@pytest.fixture
def messages(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What was logged."""
    caplog.set_level(logging.INFO, "camtrap_tf")
    return caplog
