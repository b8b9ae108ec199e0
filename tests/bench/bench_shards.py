"""Shard building: pictures per CPU-second against plain loops, speed of two workers, and memory by number of records.

Everything is a ratio of things measured in this run, the median of interleaved rounds. All is bound to two cores, which is
what default flags then use. Builders run in processes of their own, in a small and in a large run, of which the difference
counts: start-up cancels out. Loops run in two processes too, so that what cores and caches share slows both sides.
"""

from __future__ import annotations

import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image

SHARED = Path(os.environ.get("CAMTRAP_SHARED", Path(__file__).resolve().parents[3] / "shared"))
PICTURES = SHARED / "data" / "cct20_21images" / "images"
COPIES_SMALL, COPIES_LARGE = 8, 40
ROUNDS = 3
CORES = 2
LOOP = "--loop"
SIDE_PX, QUALITY = 500, 90

LEAST_OF_PLAIN = 2.0
LEAST_OF_REDUCED = 0.8
LEAST_OF_TWO_BUILDERS = 0.85
"""Two workers are to be 1.7 times one, where two builders at once get twice as much done as one."""
MEMORY_RECORDS = (400, 4000)
MOST_MEMORY_GROWTH = 1.10

BUILD = """
import sys
from pathlib import Path
from camtrap_tf.config.dataset import DatasetConfig
from camtrap_tf.dataset.writing import create_dataset
if __name__ == "__main__":
    inventory, root, output, workers = sys.argv[1:5]
    create_dataset(DatasetConfig(inventory=Path(inventory), image_root_path=Path(root), output_dir=Path(output),
                                 workers=int(workers) or None))
"""


def plain(path: Path) -> bytes:
    """Open, RGB, bilinear, save: what one writes first."""
    picture = Image.open(path).convert("RGB")
    scale = SIDE_PX / min(picture.size)
    picture = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def reduced(data: bytes) -> bytes:
    """Decode at half size, shrink, encode, in memory: the least there is to do."""
    height, width = simplejpeg.decode_jpeg_header(data)[:2]
    pixels = simplejpeg.decode_jpeg(data, "RGB", min_height=-(-height // 2), min_width=-(-width // 2), min_factor=1)
    scale = SIDE_PX / min(width, height)
    small = Image.fromarray(pixels).resize((round(width * scale), round(height * scale)), Image.Resampling.BILINEAR)
    return bytes(simplejpeg.encode_jpeg(np.asarray(small), QUALITY, "RGB", "420"))


def loop(name: str) -> int:
    """Prints the CPU seconds per picture of a loop in this process, reading files left out."""
    sources = sorted(PICTURES.glob("*.jpg"))
    function, items, passes = LOOPS[name](sources)
    for item in items[:2]:
        function(item)
    started = time.process_time()
    for _ in range(passes):
        for item in items:
            function(item)
    print((time.process_time() - started) / passes / len(items))
    return 0


LOOPS: dict[str, Callable[[list[Path]], tuple[Callable[[Any], bytes], list[Any], int]]] = {
    "plain": lambda sources: (plain, sources, 3),
    "reduced": lambda sources: (reduced, [source.read_bytes() for source in sources], 9),
}


def cpu_of_loop(name: str) -> float:
    """Returns the CPU seconds per picture of a loop that runs in a process on each core."""
    command = [sys.executable, __file__, LOOP, name]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(CORES)]
    return statistics.mean(float(child.communicate()[0]) for child in running)


def write_inventory(folder: Path, sources: list[Path], copies: int) -> Path:
    """Links every picture `copies` times and returns an inventory of them."""
    records = {}
    for copy in range(copies):
        for source in sources:
            link = folder / "pictures" / f"{copy:05d}_{source.name}"
            link.parent.mkdir(exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(source)
            records[link.stem] = {"labels": [{"species": "any"}], "images": [link.name], "meta_data": {}}
    path = folder / f"inventory_{copies}.json"
    path.write_text(json.dumps(records))
    return path


def start_build(inventory: Path, folder: Path, output: str, *, workers: int) -> subprocess.Popen[bytes]:
    """Starts building a dataset in a process of its own; `workers` 0 leaves their number to the default."""
    script = folder / "build.py"
    script.write_text(BUILD)
    return subprocess.Popen(
        [sys.executable, str(script), str(inventory), str(folder / "pictures"), output, str(workers)],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )


def build(inventory: Path, folder: Path, *, workers: int, builders: int = 1) -> tuple[float, float, float]:
    """Builds a dataset, or the same several times at once; returns CPU seconds, wall seconds and largest peak in MB.

    Raises:
        RuntimeError: the build failed.
    """
    with tempfile.TemporaryDirectory(dir=folder) as output:
        began = time.monotonic()
        children = [start_build(inventory, folder, f"{output}/{n}", workers=workers) for n in range(builders)]
        usages = []
        for child in children:
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            usages.append(usage)
        if any(child.returncode for child in children):
            raise RuntimeError(f"building ended with {[child.returncode for child in children]}")
        cpu = sum(usage.ru_utime + usage.ru_stime for usage in usages)
        return cpu, time.monotonic() - began, max(usage.ru_maxrss for usage in usages) / 1024


def judge(what: str, value: float, limit: float, *, at_most: bool = False) -> bool:
    """Prints a line and returns whether the goal is met."""
    passed = value <= limit if at_most else value >= limit
    print(f"{'PASS' if passed else 'FAIL'} {what}: {value:.2f} ({'at most' if at_most else 'at least'} {limit})", flush=True)
    return passed


def per_picture(folder: Path, inventories: list[Path], pictures: int, **how: int) -> tuple[float, float]:
    """Returns CPU and wall seconds per picture of building, start-up taken away."""
    small, large = (build(inventory, folder, **how) for inventory in inventories)
    count = pictures * how.get("builders", 1)
    return (large[0] - small[0]) / count, (large[1] - small[1]) / count


def bench_speed(folder: Path) -> bool:
    """Compares building at default flags with the loops, and its two workers with two builders of one worker each.

    Two builders at once, which know nothing of each other, are what two workers can reach at best. On cores that others
    use too that may be little more than one gets, so one builder alone is shown but does not decide.
    """
    sources = sorted(PICTURES.glob("*.jpg"))
    inventories = [write_inventory(folder, sources, copies) for copies in (COPIES_SMALL, COPIES_LARGE)]
    pictures = len(sources) * (COPIES_LARGE - COPIES_SMALL)
    rounds: dict[str, list[float]] = {"plain": [], "reduced": [], "builders": [], "alone": []}
    for number in range(ROUNDS):
        before = {name: cpu_of_loop(name) for name in LOOPS}
        cpu, wall = per_picture(folder, inventories, pictures, workers=0)
        # caches that others use too make either side dearer at times: loops are measured on both sides of the builder
        loops = {name: statistics.mean((value, cpu_of_loop(name))) for name, value in before.items()}
        both = per_picture(folder, inventories, pictures, workers=1, builders=CORES)[1]
        alone = per_picture(folder, inventories, pictures, workers=1)[1]
        shown = ", ".join(f"{name} {1000 * value:.1f}" for name, value in {**loops, "built": cpu}.items())
        print(f"  round {number + 1}: CPU ms a picture: {shown}; 2 workers / 1: {alone / wall:.2f} ×", flush=True)
        for name, value in (("plain", loops["plain"] / cpu), ("reduced", loops["reduced"] / cpu)):
            rounds[name].append(value)
        rounds["builders"].append(both / wall)
        rounds["alone"].append(alone / wall)
    medians = {name: statistics.median(values) for name, values in rounds.items()}
    passed = judge("pictures per CPU-second, of a plain Pillow loop", medians["plain"], LEAST_OF_PLAIN)
    passed &= judge("… of a loop of reduced decode, shrink, encode", medians["reduced"], LEAST_OF_REDUCED)
    what = f"speed of 2 workers, of 2 builders with a worker each (of 1 worker: {medians['alone']:.2f})"
    return passed & judge(what, medians["builders"], LEAST_OF_TWO_BUILDERS)


def bench_memory(folder: Path) -> bool:
    """Compares the peak memory of few and many records of tiny pictures."""
    tiny = [folder / f"tiny_{number:05d}.jpg" for number in range(MEMORY_RECORDS[1])]
    for path in tiny:  # no two alike: copies of one picture would be one group, which is refused
        Image.new("RGB", (32, 24), (90, 120, 60)).save(path, comment=path.name)
    few, many = (build(write_inventory(folder, tiny[:count], 1), folder, workers=1)[2] for count in MEMORY_RECORDS)
    what = f"peak memory of {MEMORY_RECORDS[1]} records, of {MEMORY_RECORDS[0]} ({few:.0f} MB)"
    return judge(what, many / few, MOST_MEMORY_GROWTH, at_most=True)


def main() -> int:
    """Runs both; returns 1 where a goal is missed."""
    if len(os.sched_getaffinity(0)) < CORES:
        print(f"SKIP: {CORES} cores are needed")
        return 0
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    passed = True
    with tempfile.TemporaryDirectory() as folder:
        passed &= bench_memory(Path(folder))
    if not PICTURES.is_dir():
        print(f"SKIP speed: {PICTURES} is not there (set CAMTRAP_SHARED)")
        return int(not passed)
    with tempfile.TemporaryDirectory() as folder:
        passed &= bench_speed(Path(folder))
    return int(not passed)


if __name__ == "__main__":
    sys.exit(loop(sys.argv[2]) if LOOP in sys.argv else main())
