"""Settings of how a training is watched: services that take its numbers, extreme examples, curves."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from camtrap_tf.config.base import StageConfig

LogService = Literal["mlflow", "comet", "wandb"]


class WatchConfig(StageConfig):
    """What is told about a training while it runs, and to whom."""

    log_to: tuple[LogService, ...] = Field(
        (), description="services that are sent settings and scores too; without a key or server they write into the run folder"
    )
    log_project: str = Field("camtrap", description="project (experiment) at these services")
    log_extreme_examples: int = Field(
        0, ge=0, description="validation pictures of each class that the best model is surest and most mistaken about, as PNG"
    )


class PlotConfig(StageConfig):
    """Draw the curves of a training: losses, accuracies, learning rate."""

    run: Path = Field(description="run folder, metrics.csv, training.log (ours, camera-trap-classifier's), ai-taxonomist's log")
    output: Path | None = Field(None, description=".png or .svg to write; default: curves.png beside what is read")
    labels: tuple[str, ...] = Field((), description="only these label types")
    max_loss: float | None = Field(None, gt=0, description="upper end of the axis of losses")
