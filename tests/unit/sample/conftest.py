"""A small sample that the tests of this room share."""

from __future__ import annotations

from pathlib import Path

import pytest

from camtrap_tf.config.sample import SampleConfig
from camtrap_tf.sample.drawing import draw_sample

EVENTS = 48
SEED = 5


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of a sample of 48 events."""
    folder = tmp_path_factory.mktemp("sample")
    draw_sample(SampleConfig(output_dir=folder, events=EVENTS, seed=SEED, workers=1))
    return folder
