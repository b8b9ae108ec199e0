"""Checkpoints on disk: whole, verified, the last three kept."""

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from camtrap_tf.errors import CamtrapError
from camtrap_tf.training.checkpoints import CheckpointClock, Checkpoints, Position, listed

STATE: dict[str, Any] = {
    "model": {"values": [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7, np.int64)]},
    "progress": {"best": None, "loss": 0.1, "history": {"1": [np.float64(0.25)]}},
}


def written(run: Path, *positions: Position) -> Checkpoints:
    """Returns the checkpoints of a run folder after writing some, each with its epoch in its state."""
    checkpoints = Checkpoints(run)
    for position in positions:
        checkpoints.write(position, {**STATE, "epoch": position.epoch}, {"best_epoch": position.epoch})
    return checkpoints


def spoil(file: Path) -> None:
    """Turns over a byte in the middle of a file."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_round_trip(tmp_path: Path) -> None:
    """Arrays come back with their types and bits, plain values as they were."""
    Checkpoints(tmp_path).write(Position(2, 5), STATE, {"cores": 2}, verify=True)
    found = Checkpoints(tmp_path).newest()
    assert found is not None
    assert (found.position, found.facts) == (Position(2, 5), {"cores": 2})
    assert found.state["progress"] == {"best": None, "loss": 0.1, "history": {"1": [0.25]}}
    for one, other in zip(found.state["model"]["values"], STATE["model"]["values"], strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


def test_the_last_three_are_kept(tmp_path: Path) -> None:
    """Older ones go, by position and not by name."""
    written(tmp_path, *(Position(*place) for place in ((0, 9), (0, 10), (0, 100), (1, 0), (1, 2))))
    assert listed(tmp_path) == [Position(1, 2), Position(1, 0), Position(0, 100)]
    assert len(list((tmp_path / "checkpoints").iterdir())) == 6


@pytest.mark.parametrize("damage", ["byte", "cut", "empty", "gone", "about"])
def test_damaged_newest(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is wrong with the newest, the one before is taken, with a warning; the damaged one no longer counts."""
    checkpoints = written(tmp_path, Position(1), Position(2))
    file = tmp_path / "checkpoints" / f"{Position(2).name}.npz"
    if damage == "byte":
        spoil(file)
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-100])
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "gone":
        file.unlink()
    else:
        file.with_suffix(".json").write_text("{")
    found = checkpoints.newest()
    assert found is not None
    assert found.state["epoch"] == 1
    assert "epoch_0002_step_000000.npz is damaged" in caplog.text
    assert listed(tmp_path) == [Position(1)]


def test_all_damaged(tmp_path: Path) -> None:
    """Where none is sound, the message says what can be done."""
    checkpoints = written(tmp_path, Position(1), Position(2))
    for file in (tmp_path / "checkpoints").glob("*.npz"):
        spoil(file)
    before = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    for _ in range(2):  # a batch system runs the same command again
        with pytest.raises(CamtrapError, match=r"none of the 2 checkpoints is sound; give --resume off"):
            checkpoints.newest()
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == before
    (tmp_path / "model_epoch_01_loss_1.00.keras").touch()
    with pytest.raises(CamtrapError, match=r"give --continue-training --model-to-load .*, or --resume off"):
        checkpoints.newest()
    assert Checkpoints(tmp_path / "other").newest() is None


def test_disk_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is one line that says which checkpoint stays; that one is sound, and nothing half written is left."""
    checkpoints = written(tmp_path, Position(1))

    def full(file: Any, **arrays: Any) -> None:
        """Writes a little, then fails like a full disk."""
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(np, "savez", full)
        with pytest.raises(CamtrapError, match="the disk is full; the checkpoint of the end of epoch 1 stays"):
            checkpoints.write(Position(1, 4), STATE, {})
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {
        f"{Position(1).name}.{end}" for end in ("npz", "json")
    }
    assert checkpoints.newest() is not None


def test_half_written_files_go(tmp_path: Path) -> None:
    """Arrays without their description, and unfinished files, are removed."""
    checkpoints = written(tmp_path, Position(1))
    (tmp_path / "checkpoints" / f"{Position(2).name}.npz").write_bytes(b"x")
    (tmp_path / "checkpoints" / ".a.npz.17.part").write_bytes(b"x")
    checkpoints.tidy()
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


def test_same_position_again(tmp_path: Path) -> None:
    """A checkpoint written again at the same position takes the place of the first."""
    checkpoints = written(tmp_path, Position(1, 3))
    checkpoints.write(Position(1, 3), {"epoch": "again"}, {})
    found = checkpoints.newest()
    assert found is not None
    assert found.state == {"epoch": "again"}


def test_same_state_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state that is kept already is not written again, which would leave a moment without it; a damaged one is."""
    checkpoints = written(tmp_path, Position(1))
    found = checkpoints.newest()
    assert found is not None
    monkeypatch.setattr(np, "savez", None)
    file = checkpoints.write(Position(1), found.state, found.facts)
    monkeypatch.undo()
    spoil(file)
    checkpoints.write(Position(1), found.state, found.facts)
    assert checkpoints.newest() is not None


def test_clock() -> None:
    """A checkpoint is due after so many steps, or so many minutes; with 0 never by that."""
    by_steps = CheckpointClock(every_steps=3, every_minutes=0)
    assert [by_steps.due() for _ in range(3)] == [False, False, True]
    by_steps.written()
    assert not by_steps.due()
    seconds = 100.0
    by_time = CheckpointClock(every_steps=0, every_minutes=0.5, now=lambda: seconds)
    assert not by_time.due()
    seconds = 130.0
    assert by_time.due()
    never = CheckpointClock(every_steps=0, every_minutes=0, now=lambda: seconds)
    seconds = 1e9
    assert not any(never.due() for _ in range(9))
