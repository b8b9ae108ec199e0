"""Tables and model files of a run folder."""

import errno
import shutil
from pathlib import Path

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from camtrap_tf.errors import CamtrapError, ModelError
from camtrap_tf.training.run_folder import RunFolder
from camtrap_tf.training.state import TrainingState, read_state, write_state
from tests.reading import rows_of


def epochs(file: Path) -> list[str]:
    """Returns the epochs in a table."""
    return [row["epoch"] for row in rows_of(file)]


def model_file(folder: Path, epoch: int) -> Path:
    """Writes what stands for a model file of an epoch, with its state."""
    file = folder / f"model_epoch_{epoch:02d}_loss_1.00.keras"
    file.write_text(str(epoch))
    write_state(file, TrainingState("sgd", [], {"epoch": epoch}))
    return file


def test_rows_and_their_cutting(tmp_path: Path) -> None:
    """Each epoch is a row; a row written again replaces itself and later ones; cut rows leave all tables."""
    folder = RunFolder(tmp_path)
    for epoch in (1, 2, 3, 2):
        folder.log_epoch({"epoch": epoch, "loss": 0.1 * epoch, "val_loss": None}, step=4 * epoch)
        folder.log_times({"epoch": epoch, "train_s": 1.5})
    assert (tmp_path / "metrics.csv").read_text() == "epoch,step,loss,val_loss\n1,4,0.1,\n2,8,0.2,\n"
    assert (tmp_path / "training.log").read_text() == "epoch,loss,val_loss\n1,0.1,\n2,0.2,\n"
    folder.cut_rows(1)
    assert [epochs(tmp_path / name) for name in ("metrics.csv", "training.log", "timing.csv")] == [["1"]] * 3


def test_going_on(tmp_path: Path) -> None:
    """What lies after the checkpoint goes, and the best model is that of its best epoch again."""
    for epoch in (1, 2, 3):
        model_file(tmp_path, epoch)
    RunFolder(tmp_path).mark_best(3)
    (tmp_path / "finished.json").write_text("{}")
    RunFolder(tmp_path).go_on(epoch=2, best_epoch=1)
    assert sorted(path.name[:14] for path in tmp_path.glob("model_epoch_*.keras")) == ["model_epoch_01", "model_epoch_02"]
    assert (tmp_path / "model_best.keras").read_text() == "1"
    state = read_state(tmp_path / "model_best.keras")
    assert state is not None
    assert state.facts["epoch"] == 1
    assert not (tmp_path / "finished.json").exists()
    with pytest.raises(ModelError, match="the model of epoch 7"):
        RunFolder(tmp_path).mark_best(7)


def test_pruning(tmp_path: Path) -> None:
    """Model files of other epochs go with their state; the best model stays."""
    for epoch in (1, 2, 3):
        model_file(tmp_path, epoch)
    folder = RunFolder(tmp_path)
    folder.mark_best(2)
    folder.prune(keep={3})
    assert {path.name for path in tmp_path.iterdir()} == {
        "model_epoch_03_loss_1.00.keras", "model_epoch_03_loss_1.00.state.npz", "model_best.keras", "model_best.state.npz",
    }  # fmt: skip


def test_aside(tmp_path: Path) -> None:
    """A new attempt finds an empty folder; what was there is in previous_1, checkpoints too."""
    model_file(tmp_path, 1)
    (tmp_path / "checkpoints").mkdir()
    folder = RunFolder(tmp_path)
    folder.log_epoch({"epoch": 1, "loss": 1.0}, step=4)
    folder.clear_way(epoch=0, keep_best=False)
    assert [path.name for path in tmp_path.iterdir()] == ["previous_1"]
    assert {"checkpoints", "metrics.csv", "training.log"} < {path.name for path in (tmp_path / "previous_1").iterdir()}


def test_setup_goes_along(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is kept aside has settings and mappings of the attempt that made it, and all its models; files are counted."""
    caplog.set_level("INFO", "camtrap_tf")
    names = ("config.yaml", "run.json", "label_mappings.json", "image_processing.json", "shards.json")
    for name in names:
        (tmp_path / name).write_text("first")
    for epoch in (1, 2, 3):
        model_file(tmp_path, epoch)
    (tmp_path / "checkpoints").mkdir()
    for name in ("a.json", "a.npz"):
        (tmp_path / "checkpoints" / name).touch()
    folder = RunFolder(tmp_path)
    folder.mark_best(1)
    folder.clear_way(epoch=2, keep_best=True)
    for name in names:
        (tmp_path / name).write_text("second")
    aside = tmp_path / "previous_1"
    assert all((aside / name).read_text() == "first" for name in names)
    models = {f"model_epoch_0{epoch}_loss_1.00.keras" for epoch in (1, 2, 3)} | {"model_best.keras"}
    assert {path.name for path in aside.glob("*.keras")} == models
    assert {path.name for path in tmp_path.glob("*.keras")} == models - {"model_epoch_03_loss_1.00.keras"}
    # moved: model and state of epoch 3, two of checkpoints; copied: five files of the set-up, models and states of 1, 2, best
    assert "4 files moved to previous_1 and 11 copied" in caplog.text


def test_disk_full_while_the_best_model_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the file that could not be written, and nothing half is left."""
    model_file(tmp_path, 1)

    def full(_: Path, target: Path) -> None:
        """Fails like a full disk."""
        Path(target).write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(CamtrapError, match=r"model_best\.state\.npz: cannot be written \(No space left on device\).*make room"):
        RunFolder(tmp_path).mark_best(1)
    assert len(list(tmp_path.iterdir())) == 2


def seen(folder: Path) -> list[tuple[int, float]]:
    """Returns what TensorBoard shows of the training loss: epochs and values, as often as they are there.

    By epoch: files of one second are read by the number in their names, of which 10 comes before 9.
    """
    accumulator = EventAccumulator(str(folder / "tensorboard" / "train"), purge_orphaned_data=False)
    accumulator.Reload()
    return sorted((one.step, round(float(tf.make_ndarray(one.tensor_proto)), 3)) for one in accumulator.Tensors("loss"))


def log(folder: Path, epochs: range, value: float) -> None:
    """Writes events of some epochs, as one process does."""
    run = RunFolder(folder)
    for epoch in epochs:
        run.tensorboard(epoch, {"train": {"loss": value, "none": None}, "val": {"loss": 2 * value}})
    run.close()


def test_events_after_the_checkpoint_go(tmp_path: Path) -> None:
    """Epochs that are trained again are there once, with their new values, also for a reader that purges nothing."""
    log(tmp_path, range(1, 6), 1.0)
    RunFolder(tmp_path).go_on(epoch=3, best_epoch=0)
    log(tmp_path, range(4, 7), 0.5)
    assert seen(tmp_path) == [(1, 1.0), (2, 1.0), (3, 1.0), (4, 0.5), (5, 0.5), (6, 0.5)]
    RunFolder(tmp_path).go_on(epoch=0, best_epoch=0)
    assert not list((tmp_path / "tensorboard").rglob("*tfevents*"))


def test_events_cut_off_in_the_middle(tmp_path: Path) -> None:
    """A half written event of a killed process goes; those before it stay."""
    log(tmp_path, range(1, 4), 1.0)
    (file,) = (tmp_path / "tensorboard" / "train").iterdir()
    file.write_bytes(file.read_bytes()[:-7])
    RunFolder(tmp_path).go_on(epoch=3, best_epoch=0)
    log(tmp_path, range(3, 4), 0.5)
    assert seen(tmp_path) == [(1, 1.0), (2, 1.0), (3, 0.5)]


def test_events_of_a_finished_part_are_left_alone(tmp_path: Path) -> None:
    """Where nothing lies after the checkpoint, files stay as they are."""
    log(tmp_path, range(1, 3), 1.0)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*tfevents*")}
    RunFolder(tmp_path).go_on(epoch=2, best_epoch=0)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*tfevents*")} == before


def test_continuing_keeps_earlier_events_aside(tmp_path: Path) -> None:
    """A new attempt from epoch 1 keeps the events up to there, and all earlier ones aside."""
    log(tmp_path, range(1, 4), 1.0)
    for epoch in (1, 2, 3):
        model_file(tmp_path, epoch)
    RunFolder(tmp_path).clear_way(epoch=1, keep_best=True)
    assert seen(tmp_path) == [(1, 1.0)]
    assert [step for step, _ in seen(tmp_path / "previous_1")] == [1, 2, 3]
