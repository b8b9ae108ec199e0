"""Settings of how a training starts, stops and goes on; none of them changes what comes of it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from camtrap_tf.config.base import StageConfig

KeptEpochs = Literal["best_last", "all"]


class RunningConfig(StageConfig):
    """How a training goes on after it was stopped, and what is kept."""

    resume: Literal["auto", "off"] = Field(
        "auto",
        description="auto: the same command again goes on with the run folder's training; off: it begins anew, what was "
        "there is kept aside",
    )
    checkpoint_every_steps: int = Field(0, ge=0, description="write a checkpoint after this many steps; 0: not by steps")
    checkpoint_every_minutes: float = Field(
        10, ge=0, description="write a checkpoint after this many minutes; 0: not by time. Epochs always end with one"
    )
    keep_epochs: KeptEpochs = Field("best_last", description="model files of epochs to keep: the best and the last, or all")
    exit_zero_on_signal: bool = Field(False, description="exit code 0 instead of 130 or 75 when stopped by a signal")
