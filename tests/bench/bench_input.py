"""Input of training: CPU time per picture against decoding alone, and memory against the number of records.

Prints ratios; exits with 1 where a goal is missed. Pictures are real ones where the shared folder lies beside the checkout,
else drawn ones. CPU time is that of the process, all threads, and of those it started; what it takes to start is subtracted
by running one copy of the shard and four, and dividing the difference. Classic ways to do the same are shown beside.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a file, `tests` is not found otherwise
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SPEED_GOAL = 1.2
BYTES_PER_RECORD = 32
MEMORY_NOISE = 24 * 2**20
"""Peak memory of equal runs was seen to differ by this much: buffers of batches, allocator."""
RECORDS = 420
COPIES = 4
REPEATS = 7
CLASSIC_REPEATS = 2
SIDE = 224
BATCH = 32


def pictures() -> list[bytes]:
    """Returns JPEGs as `dataset create` stores them: 500 px smaller side, quality 90."""
    from camtrap_tf.images.stored_form import StoredForm, to_stored_form
    from tests.factories import make_jpeg
    from tests.shared_data import SHARED

    files = sorted((SHARED / "data/cct20_21images/images").rglob("*.jpg"))
    sources = [file.read_bytes() for file in files] or [make_jpeg(1024, 768, seed=seed) for seed in range(21)]
    return [to_stored_form(data, StoredForm()) for data in sources]


def write_shard(path: Path, jpegs: list[bytes], records: int) -> None:
    """Writes a shard of that many records, going round the pictures."""
    from camtrap_tf.dataset.framing import frame
    from camtrap_tf.dataset.schema import encode_example
    from tests.factories import make_event

    with path.open("wb") as file:
        for i in range(records):
            event = make_event(f"e{i}", labels={"species": "ab"[i % 2]})
            file.write(frame(encode_example(event, [(0, jpegs[i % len(jpegs)])], mapping(), label_types=["species"])))


def mapping() -> Any:
    """Returns the label mapping of the shards here."""
    from camtrap_tf.labels import LabelMapping

    return LabelMapping.from_classes({"species": ["a", "b"]})


def decode_only(paths: list[Path]) -> Iterable[object]:
    """Returns a data set that reads, parses and decodes whole pictures, and nothing else."""
    import tensorflow as tf

    def decode(record: tf.Tensor) -> tf.Tensor:
        """Returns the shape of the first picture."""
        _, lists = tf.io.parse_single_sequence_example(
            record, sequence_features={"images": tf.io.FixedLenSequenceFeature([], tf.string)}
        )
        return tf.shape(tf.io.decode_jpeg(lists["images"][0], channels=3, dct_method="INTEGER_ACCURATE"))

    options = tf.data.Options()
    options.threading.private_threadpool_size = 2
    options.threading.max_intra_op_parallelism = 1
    shards = tf.data.TFRecordDataset([str(path) for path in paths])
    return shards.map(decode, num_parallel_calls=2, deterministic=True).with_options(options)


def training_input(paths: list[Path], side: int = SIDE) -> Iterable[object]:
    """Returns the host part of the training input, default augmentation."""
    from camtrap_tf.input_pipeline.batches import training_batches
    from camtrap_tf.input_pipeline.preprocessing import Preprocessing
    from camtrap_tf.input_pipeline.shard_set import ShardSet

    preprocessing = Preprocessing(output_height=side, output_width=side)
    shards = ShardSet.open(paths, [])
    return training_batches(shards, preprocessing, mapping(), batch_size=BATCH, epoch=0, seed=1, threads=2)


def keras_directory(paths: list[Path], side: int = SIDE) -> Iterable[object]:
    """Returns the same from a folder of pictures, as Keras' guides do it: read, resize, zoom and crop by layers."""
    import keras

    folder = paths[0].parent / f"folder_{len(paths)}"
    jpegs = pictures()
    for number in range(RECORDS * len(paths)):
        file = folder / "ab"[number % 2] / f"{number:06}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(jpegs[number % len(jpegs)])
    larger = round(side / 0.9)
    shown = keras.utils.image_dataset_from_directory(folder, image_size=(larger, larger), batch_size=BATCH, verbose=False)
    layers = keras.Sequential([keras.layers.RandomZoom(0.1), keras.layers.RandomCrop(side, side)])
    return shown.map(lambda images, labels: (layers(images, training=True), labels), num_parallel_calls=2).prefetch(2)


def pillow_picture(data: bytes) -> np.ndarray:
    """Returns a picture zoomed, cropped and resized by Pillow, `[224, 224, 3]` float32."""
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    part = random.uniform(0.9, 1.1) * random.uniform(0.9, 1.0)
    width, height = (min(size, round(size * part)) for size in picture.size)
    left, top = random.randint(0, picture.width - width), random.randint(0, picture.height - height)
    window = (left, top, left + width, top + height)
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=window), np.float32)


class PillowPool:
    """Goes through the pictures of shards in a pool of two processes with Pillow, batch by batch."""

    def __init__(self, paths: list[Path]) -> None:
        self._pictures = pictures()
        self._records = RECORDS * len(paths)

    def __iter__(self) -> Iterator[np.ndarray]:
        context = multiprocessing.get_context("spawn")  # threads of TensorFlow do not survive a fork
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            for start in range(0, self._records, BATCH):
                numbers = range(start, min(start + BATCH, self._records))
                data = [self._pictures[number % len(self._pictures)] for number in numbers]
                yield np.stack(list(pool.map(pillow_picture, data, chunksize=BATCH // 4)))


def cpu_seconds(work: Iterable[object]) -> float:
    """Returns the CPU time, user and system, that going through something takes, in this process and those it starts."""
    before = _cpu_seconds_so_far()
    for _ in work:
        pass
    return _cpu_seconds_so_far() - before


def _cpu_seconds_so_far() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


WAYS: dict[str, Callable[[list[Path]], Iterable[object]]] = {"decode only": decode_only, "training input": training_input}
CLASSIC: dict[str, Callable[[list[Path]], Iterable[object]]] = {
    "image_dataset_from_directory + layers": keras_directory,
    "Pillow in a pool of processes": PillowPool,
}


def speed(folder: Path) -> float:
    """Returns the CPU time per picture of the training input over that of decoding alone; prints all ways."""
    write_shard(folder / "train_000.tfrecord", pictures(), RECORDS)
    for copy in range(1, COPIES):
        os.link(folder / "train_000.tfrecord", folder / f"train_{copy:03}.tfrecord")
    every = sorted(folder.glob("*.tfrecord"))
    ways = WAYS | CLASSIC
    short = {name: way(every[:1]) for name, way in ways.items()}
    long = {name: way(every) for name, way in ways.items()}
    for work in short.values():  # threads, kernels and file cache warm up
        cpu_seconds(work)
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(REPEATS):
        for name in ways if number < CLASSIC_REPEATS else WAYS:
            spent[name].append((cpu_seconds(long[name]) - cpu_seconds(short[name])) / RECORDS / (COPIES - 1))
    ratios = {
        name: statistics.median(one / alone for one, alone in zip(times, spent["decode only"], strict=False))
        for name, times in spent.items()
    }
    for name, times in spent.items():
        print(f"{name:38} {1e3 * statistics.median(times):6.2f} CPU ms a picture, {ratios[name]:5.2f} × decode only")
    return ratios["training input"]


def peak_memory(path: Path) -> int:
    """Returns the peak resident memory, in bytes, of a fresh process that goes through one epoch of a shard."""
    command = [sys.executable, __file__, "--epoch-of", str(path)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def memory(folder: Path, records: int = 3000) -> float:
    """Returns how many bytes more ten times the records take, per record that is more, beyond noise; prints peaks."""
    from tests.factories import make_jpeg

    jpegs = [make_jpeg(32, 32, seed=seed) for seed in range(8)]
    peaks = []
    for count in (records, 10 * records):
        path = folder / f"many_{count}.tfrecord"
        write_shard(path, jpegs, count)
        peaks.append(peak_memory(path))
        print(f"{count:6} records: peak {peaks[-1] / 2**20:.0f} MiB, shard {path.stat().st_size / 2**20:.1f} MiB")
    return max(0.0, peaks[1] - peaks[0] - MEMORY_NOISE) / (9 * records)


def main() -> int:
    """Runs both measurements; returns the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--epoch-of", type=Path, help="go through one epoch of a shard and print the peak memory")
    options = parser.parse_args()
    if options.epoch_of:
        cpu_seconds(training_input([options.epoch_of], side=32))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
        return 0
    with tempfile.TemporaryDirectory() as name:
        ratio = speed(Path(name))
        print(f"training input / decode only, CPU time per picture: {ratio:.2f} × (goal ≤ {SPEED_GOAL})")
    with tempfile.TemporaryDirectory() as name:
        growth = memory(Path(name))
        print(f"memory growth beyond noise: {growth:.0f} bytes a record (goal ≤ {BYTES_PER_RECORD})")
    return 0 if ratio <= SPEED_GOAL and growth <= BYTES_PER_RECORD else 1


if __name__ == "__main__":
    sys.exit(main())
