"""The summary of a training."""

from pathlib import Path

from camtrap_tf.training.results import TrainResult, leftovers


def test_leftovers_of_earlier_attempts(tmp_path: Path) -> None:
    """The summary ends with what nothing reads any more, with its size; what is in use is not counted."""
    for name, size in {
        "previous_1/model.keras": 1_500_000, "previous_2/tensorboard/x": 400_000, "checkpoints/e1.npz.damaged": 100_000,
        "checkpoints/e2.npz": 7_000_000, "model_best.keras": 5_000_000,
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes(size))
    line = leftovers(tmp_path)
    assert "checkpoints/e1.npz.damaged, previous_1, previous_2 (2.0 MB)" in line
    assert "can be removed" in line
    assert TrainResult("done", tmp_path, tmp_path, 1, {}, line).text().endswith(line)


def test_nothing_left_over(tmp_path: Path) -> None:
    """Of a run folder that holds one attempt nothing is said."""
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "e1.npz").write_bytes(b"x")
    assert leftovers(tmp_path) == ""
    assert TrainResult("done", tmp_path, tmp_path, 1, {}, "").text().endswith(f"run folder: {tmp_path}")
