"""Settings of the drawn sample."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from camtrap_tf.config.base import Seed, StageConfig


class SampleConfig(StageConfig):
    """Draw camera-trap scenes with known labels, for trying things out."""

    output_dir: Path = Field(description="folder to write; a finished sample in it is kept")
    events: int = Field(600, ge=12, le=1_000_000, description="how many capture events (3 pictures each)")
    seed: Seed = Field(7, description="equal seeds draw equal pictures")
    workers: int | None = Field(None, ge=1, description="worker processes; default: one per core")
    overwrite: bool = Field(False, description="draw again over another sample")
