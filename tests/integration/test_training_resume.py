"""Trainings that are killed, told to stop, or find a damaged checkpoint end as those that ran through.

Each scenario is a script in a process of its own, which trains in forked children: what kills a child leaves the script alive.
"""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from camtrap_tf.models.bundle import Bundle
from tests.forking import ForkedScripts

PRELUDE = """
import os, random, signal, sys, traceback
from pathlib import Path
from camtrap_tf.training import train as training_run
from camtrap_tf.training.step import Stepper
from tests.unit.training.helpers import make_config

data, out = Path(sys.argv[1]), Path(sys.argv[2])
SETTINGS = dict(
    max_epochs=3, batch_size=3, n_batches_per_epoch_train=5, checkpoint_every_steps=2, dropout=0.3,
    optimizer="adamw", weight_decay=0.01, ema_decay=0.9, learning_rate_schedule="cosine", warmup_epochs=0.5,
    head_epochs=1, backbone_rate=0.3, reduce_lr_on_plateau_patience=1, early_stopping_patience=0,
    color_augmentation="full_randomized", mixup=0.3, sampling="balanced",
)

def at_event(number, act):
    # counts steps, predictions, files flushed and files renamed; acts at the given one, before it or after it
    count = 0
    def counted(function, after):
        def wrapper(*args, **kwargs):
            nonlocal count
            count += 1
            due = count == number
            if due and not after:
                act()
            result = function(*args, **kwargs)
            if due and after:
                act()
            return result
        return wrapper
    Stepper.train = counted(Stepper.train, True)
    Stepper.predict = counted(Stepper.predict, True)
    os.fsync = counted(os.fsync, False)
    os.replace = counted(os.replace, number % 2 == 0)

def attempt(folder, number=0, act=None, **changes):
    # trains in a child; returns its exit code, negative for a signal
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        if number:
            at_event(number, act)
        result = training_run.train(make_config(data, out / folder, **{**SETTINGS, **changes}))
        print(result.text(), flush=True)
        os._exit(getattr(result, "exit_code", 0))
    except BaseException as err:
        print(type(err).__name__, err, flush=True)
        traceback.print_exc()
        os._exit(1)
"""
WHOLE = """
assert attempt("whole") == 0
"""
KILLED = """
def kill():
    os.kill(os.getpid(), signal.SIGKILL)

draw = random.Random(int(sys.argv[3]))
moments = [draw.randrange(1, 40) for _ in range(5)]
print("killed at events", moments, flush=True)
assert [attempt("killed", moment, kill) for moment in moments] == [-signal.SIGKILL] * 5
assert attempt("killed") == 0
assert attempt("killed") == 0
"""
SIGNALLED = """
def told(number):
    return lambda: os.kill(os.getpid(), number)

assert attempt("told", 3, told(signal.SIGTERM)) == 75  # while things are made ready
assert attempt("told", 11, told(signal.SIGINT)) == 130
assert attempt("told", 14, told(signal.SIGTERM)) == 75
assert attempt("told", 13, told(signal.SIGUSR1), exit_zero_on_signal=True) == 0
assert attempt("told") == 0
"""
DAMAGED = """
from camtrap_tf.training.checkpoints import listed
def kill():
    os.kill(os.getpid(), signal.SIGKILL)

assert attempt("damaged", 40, kill) == -signal.SIGKILL
run = out / "damaged" / "run"
newest = run / "checkpoints" / (listed(run)[0].name + ".npz")
content = bytearray(newest.read_bytes())
content[len(content) // 2] ^= 255
newest.write_bytes(content)
print("damaged", newest.name, flush=True)
assert attempt("damaged") == 0
assert newest.with_name(newest.name + ".damaged").exists()
"""


@pytest.fixture(scope="module")
def whole(forked: ForkedScripts, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that ran through."""
    out = tmp_path_factory.mktemp("whole")
    forked.run(PRELUDE + WHOLE, data, out)
    return out / "whole"


def require_equal(one: Path, other: Path) -> None:
    """Compares two trainings: tables without times, tensors of bundles and optimisers, scores.

    Raises:
        AssertionError: they differ.
    """
    for name in ("metrics.csv", "training.log"):
        assert (one / "run" / name).read_bytes() == (other / "run" / name).read_bytes()
    bundles = [Bundle.read(folder / "save") for folder in (one, other)]
    for left, right in zip(*(bundle.model.get_weights() for bundle in bundles), strict=True):
        np.testing.assert_array_equal(left, right)
    assert bundles[0].info["metrics"] == bundles[1].info["metrics"]
    assert (one / "save" / "model.state.npz").read_bytes() == (other / "save" / "model.state.npz").read_bytes()
    last = [sorted((folder / "run" / "checkpoints").glob("*.json"))[-1].read_text() for folder in (one, other)]
    assert json.loads(last[0])["digest"] == json.loads(last[1])["digest"]


@pytest.mark.slow
def test_killed_five_times(forked: ForkedScripts, data: Path, whole: Path, tmp_path: Path) -> None:
    """Killed with -9 at five random moments and run again, a training ends as one that ran through, bit for bit."""
    said = forked.run(PRELUDE + KILLED, data, tmp_path, 7)
    require_equal(whole, tmp_path / "killed")
    assert "finished already" in said
    with (tmp_path / "killed" / "run" / "metrics.csv").open(newline="") as file:
        assert [(row["epoch"], row["step"]) for row in csv.DictReader(file)] == [("1", "5"), ("2", "10"), ("3", "15")]
    assert not list((tmp_path / "killed" / "run").rglob("*.part*"))


@pytest.mark.slow
def test_told_to_stop(forked: ForkedScripts, data: Path, whole: Path, tmp_path: Path) -> None:
    """SIGINT ends with 130, SIGTERM and SIGUSR1 with 75 or, where asked for, 0; each goes on from where it was."""
    said = forked.run(PRELUDE + SIGNALLED, data, tmp_path)
    require_equal(whole, tmp_path / "told")
    assert "stopped by SIGTERM: nothing is lost" in said
    assert "stopped by SIGINT: the checkpoint of epoch" in said


@pytest.mark.slow
def test_damaged_checkpoint(forked: ForkedScripts, data: Path, whole: Path, tmp_path: Path) -> None:
    """With a damaged newest checkpoint, training goes on from the one before, with a warning, to the same end."""
    said = forked.run(PRELUDE + DAMAGED, data, tmp_path)
    require_equal(whole, tmp_path / "damaged")
    assert "is damaged (" in said
