"""The learning rate that logs name is the one that the last step of the epoch was taken at."""

import csv
import math
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from camtrap_tf.training.curves import read_curves
from tests.unit.training.helpers import make_config, run

STEPS, BASE = 4, 0.02
LAST = (STEPS - 1, 2 * STEPS - 1)
"""Last steps of two epochs, counted from 0."""
COSINE: dict[str, Any] = {"optimizer": "adamw", "learning_rate_schedule": "cosine", "warmup_epochs": 1.5}
STEP: dict[str, Any] = {
    "optimizer": "rmsprop",
    "learning_rate_schedule": "step",
    "learning_rate_step_epochs": 0.5,
    "learning_rate_step_factor": 0.5,
}


def rates(run_folder: Path) -> list[float]:
    """Returns the column `lr` of `metrics.csv`, after a look that `training.log` has the same."""
    columns = []
    for name in ("metrics.csv", "training.log"):
        with (run_folder / name).open(newline="") as file:
            columns.append([float(row["lr"]) for row in csv.DictReader(file)])
    assert columns[0] == columns[1]
    return columns[0]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # six steps of warm-up, then half a cosine over the two that are left
        (COSINE, [4 / 6, 0.5 * (1 + math.cos(math.pi * (7 - 6) / 2))]),
        # halved every two steps
        (STEP, [0.5 ** (3 // 2), 0.5 ** (7 // 2)]),
        ({"optimizer": "sgd"}, [1 / (1 + 1e-4 * k) for k in LAST]),
        ({"optimizer": "adam"}, [1.0, 1.0]),
    ],
    ids=["cosine", "step", "legacy", "constant"],
)
def test_logged_rate_is_that_of_the_last_step(
    data: Path, tmp_path: Path, changes: dict[str, Any], expected: list[float]
) -> None:
    """Each schedule, worked out by hand at the last step of each epoch, is what tables, TensorBoard and curves show."""
    settings = {"n_batches_per_epoch_train": STEPS, "initial_learning_rate": BASE, "test_tfr_path": [], **changes}
    run(make_config(data, tmp_path, **settings))
    wanted = pytest.approx([BASE * share for share in expected], rel=1e-5)
    assert rates(tmp_path / "run") == wanted
    events = EventAccumulator(str(tmp_path / "run/tensorboard/train")).Reload().Tensors("learning_rate")
    assert [float(tf.make_ndarray(event.tensor_proto)) for event in events] == wanted
    curves = read_curves(tmp_path / "run")
    assert [list(curve.values.values()) for curve in curves if curve.is_rate] == [wanted]


def test_rate_goes_on_where_a_training_is_continued(data: Path, tmp_path: Path) -> None:
    """The steps of the training before count, in the rate and in its row; what is kept as the rate is still the base."""
    settings: dict[str, Any] = {"optimizer": "sgd", "n_batches_per_epoch_train": STEPS, "test_tfr_path": []}
    run(make_config(data, tmp_path, max_epochs=1, **settings))
    run(make_config(data, tmp_path, max_epochs=2, continue_training=True, model_to_load=tmp_path / "run", **settings))
    assert rates(tmp_path / "run") == pytest.approx([0.01 / (1 + 1e-4 * k) for k in LAST], rel=1e-5)
