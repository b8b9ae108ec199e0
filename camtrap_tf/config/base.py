"""What all settings share: unknown keys are refused, values are fixed once made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

BoxNumbers = Literal["pixels", "relative"]
"""What the numbers of `bbox` are in COCO Camera Traps files."""

BOXES_ARE = "numbers of 'bbox': px, or shares of the picture"


class StageConfig(BaseModel):
    """Settings of a stage: frozen, no unknown keys."""

    # Validators are built when a model is first used: `camtrap --help` reads about all of them and uses none.
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, defer_build=True)


class LoggedConfig(StageConfig):
    """Settings of a stage that keeps log files."""

    log_outdir: Path | None = Field(None, description="folder for run_info.log and run_debug.log; default: the output folder")


def _as_typed(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


Program = Annotated[str, BeforeValidator(_as_typed)]
OptionalProgram = Annotated[str | None, BeforeValidator(_as_typed)]
"""Programs as a shell takes them: a path would lose the `./` that tells a file of this folder from a name on the PATH."""


def _fold(seed: int) -> int:
    return int(seed) % 2**32


Seed = Annotated[int, BeforeValidator(_fold)]
"""A seed; folded into 32 bits, which is what NumPy and Keras take."""
