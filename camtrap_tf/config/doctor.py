"""Settings of the doctor: those of the training that it looks at, and a few of its own."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from camtrap_tf.config.training import TrainConfig


class DoctorConfig(TrainConfig):
    """Look at a training before it runs, and say in plain words why it would not learn.

    Looks at labels, masks, values of pictures and the learning rate, and lets the model learn one batch by heart. Takes the
    settings of `camtrap train`, so that the same file serves both; nothing is written.
    """

    run_outputs_dir: Path = Field(Path("run"), description="as in the training; nothing is written there")
    model_save_dir: Path = Field(Path("bundle"), description="as in the training; nothing is written there")
    doctor_steps: int = Field(60, ge=10, description="steps in which one batch is to be learnt by heart")
    doctor_examples: int = Field(16, ge=2, description="examples in that batch")
