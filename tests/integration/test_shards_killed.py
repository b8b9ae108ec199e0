"""Building shards, killed with SIGKILL at many moments, ends in the bytes of an uninterrupted run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from camtrap_tf.config.dataset import DatasetConfig
from camtrap_tf.dataset.writing import create_dataset
from camtrap_tf.inventory.table import Inventory
from tests.factories import make_event, write_pictures

BUILD = """
import sys
from pathlib import Path
from camtrap_tf.config.dataset import DatasetConfig
from camtrap_tf.dataset.writing import create_dataset
if __name__ == "__main__":
    folder, output, workers = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    print("start", flush=True)
    create_dataset(DatasetConfig(inventory=folder / "inventory.parquet", image_root_path=folder / "pictures",
                                 output_dir=output, workers=workers, max_records_per_file=12))
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records with pictures, some of them broken, and a dataset built from them without interruption."""
    folder = tmp_path_factory.mktemp("killed")
    events = [make_event(f"e{i:03d}", pictures=(f"{i}.jpg", f"{i}b.jpg"), location=f"L{i % 9}") for i in range(120)]
    write_pictures(folder / "pictures", [media.path for event in events for media in event.media], width=600, height=450)
    for broken in ("7.jpg", "50.jpg", "50b.jpg"):
        (folder / "pictures" / broken).write_bytes(b"broken")
    Inventory.from_records(events).write(folder / "inventory.parquet")
    (folder / "build.py").write_text(BUILD)
    create_dataset(
        DatasetConfig(
            inventory=folder / "inventory.parquet",
            image_root_path=folder / "pictures",
            output_dir=folder / "whole",
            workers=1,
            max_records_per_file=12,
        )
    )
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def start(data: Path, output: Path, workers: int) -> subprocess.Popen[str]:
    """Starts a build in a process of its own and waits until it begins."""
    process = subprocess.Popen(
        [sys.executable, str(data / "build.py"), str(data), str(output), str(workers)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "start\n"
    return process


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_at_many_moments(data: Path, tmp_path: Path, workers: int) -> None:
    """Killed whenever another file has appeared, again and again, then left alone: not a byte differs, no shard is redone."""
    output = tmp_path / "out"
    written: dict[str, int] = {}
    for wanted in (0, 1, 3, 6, 9):
        process = start(data, output, workers)
        deadline = time.monotonic() + 60
        while len(list(output.glob("*.tfrecord"))) < wanted and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        now = {path.name: path.stat().st_mtime_ns for path in output.glob("*.tfrecord")}
        assert {name: now.get(name) for name in written} == written
        written = now
    assert not (output / "dataset.json").exists()
    last = start(data, output, workers)
    assert last.wait(120) == 0
    assert contents(output) == contents(data / "whole")
    now = {path.name: path.stat().st_mtime_ns for path in output.glob("*.tfrecord")}
    assert {name: now[name] for name in written} == written


@pytest.mark.slow
def test_workers_end_when_their_parent_is_killed(data: Path, tmp_path: Path) -> None:
    """No worker process outlives a killed builder."""
    process = start(data, tmp_path / "out", 2)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "out").glob("*.tfrecord")) and time.monotonic() < deadline:
        time.sleep(0.01)
    workers = children(process.pid)
    assert workers
    process.send_signal(signal.SIGKILL)
    process.wait()
    while any(running(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in workers if running(pid)]


def running(pid: int) -> bool:
    """Whether a process exists and is not just waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
