"""Price of our training loop: steps against a bare `train_step` loop on the same batches, checkpoints, going on at a step.

MobileNetV2, 224 px, batches of 16; medians of interleaved rounds, so that a busy machine slows all sides. Exits with 1
where a goal is missed. The bare loop is what one writes by hand: a compiled step of forward, backward and update.
A round is some bare steps, as many of ours, and as many of ours with a checkpoint after them. What the checkpoint takes is
then laid on the time of the fifty steps that lie between two. On a CPU, which others may use too, seconds of CPU time
decide, and those of the clock are shown; with a GPU it is the clock.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a file, `tests` is not found otherwise
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

LOOP_GOAL, LOOP_LIMIT = 1.05, 1.10
CHECKPOINT_LIMIT = 1.15
CHECKPOINT_STEPS = 50
SIDE, BATCH, CLASSES = 224, 16, 10


def batches(count: int) -> list[dict[str, Any]]:
    """Returns batches of noise as the input pipeline gives them."""
    import numpy as np
    import tensorflow as tf

    rng = np.random.default_rng(0)
    return [
        {
            "images": tf.constant(rng.uniform(0, 255, (BATCH, SIDE, SIDE, 3)), tf.float32),
            "seeds": tf.constant(rng.integers(0, 2**31 - 1, (BATCH, 2)), tf.int32),
            "targets": {"species": tf.constant(rng.integers(0, CLASSES, BATCH), tf.int32)},
            "records": tf.range(BATCH, dtype=tf.int64),
            "valid": tf.ones([BATCH], tf.bool),
            "several": tf.zeros([BATCH, 1], tf.bool),
        }
        for _ in range(count)
    ]


def label_mapping() -> Any:
    """Returns the label mapping of the model."""
    from camtrap_tf.labels import LabelMapping

    return LabelMapping.from_classes({"species": [str(number) for number in range(CLASSES)]})


def parts() -> tuple[Any, Any, Any]:
    """Returns a model, its optimiser and our stepper without augmentation."""
    import keras

    from camtrap_tf.config.training import ModelConfig
    from camtrap_tf.input_pipeline.preprocessing import Preprocessing
    from camtrap_tf.models.classifier import build_classifier
    from camtrap_tf.models.devices import choose_devices, gpu_count
    from camtrap_tf.training.devices import strategy_on
    from camtrap_tf.training.optimizers import make_optimizer
    from camtrap_tf.training.step import Stepper

    keras.utils.set_random_seed(0)
    mapping = label_mapping()
    preprocessing = Preprocessing(
        output_height=SIDE, output_width=SIDE, rotate_by_angle=0, randomly_flip_horizontally=False
    )  # fmt: skip
    strategy = strategy_on(choose_devices("auto" if gpu_count() < 2 else 1, there=gpu_count()))
    with strategy.scope():
        model = build_classifier(ModelConfig(model="MobileNetV2"), mapping, preprocessing)
        optimizer = make_optimizer("sgd", learning_rate=0.001)
        optimizer.build(model.trainable_variables)
    stepper = Stepper(model, optimizer, strategy=strategy, preprocessing=preprocessing, loss_weights={"species": 1.0})
    return model, optimizer, stepper


def bare_loop(model: Any, given: list[dict[str, Any]]) -> Callable[[int], None]:
    """Returns the loop to compare with: nothing but steps."""
    import keras
    import tensorflow as tf

    optimizer = keras.optimizers.SGD(0.001, momentum=0.9)
    optimizer.build(model.trainable_variables)

    @tf.function(autograph=False)
    def train_step(images: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Takes a training step; returns the loss."""
        with tf.GradientTape() as tape:
            logits = model(images, training=True)["species"]
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits))
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    def run(steps: int) -> None:
        """Takes so many steps."""
        loss = None
        for number in range(steps):
            batch = given[number % len(given)]
            loss = train_step(batch["images"], batch["targets"]["species"])
        float(loss)

    return run


def our_loop(folder: Path, given: list[dict[str, Any]]) -> Callable[..., None]:
    """Returns the steps of one epoch as training takes them, on given batches instead of shards."""
    from camtrap_tf.training import loop
    from camtrap_tf.training.checkpoints import CheckpointClock
    from camtrap_tf.training.state import VariablesState
    from camtrap_tf.training.times import Times

    model, optimizer, stepper = parts()

    def run(steps: int, *, checkpoint: bool = False) -> None:
        """Takes so many steps."""
        progress = loop.Progress(0)
        work = training(folder, _Shards(), model=model, optimizer=optimizer, stepper=stepper, steps=steps)
        work.providers |= {
            "model": VariablesState(lambda: model.variables, "model"),
            "optimizer": VariablesState(lambda: optimizer.variables, "optimiser"),
            "progress": progress,
        }

        def endless(*_: Any, **__: Any) -> Iterator[dict[str, Any]]:
            """Yields the given batches over and over."""
            return (given[number % len(given)] for number in range(steps))

        clock = CheckpointClock(every_steps=steps if checkpoint else 0, every_minutes=0)
        with (
            mock.patch.object(loop, "epoch_batches", endless),
            mock.patch.object(loop, "example_count", return_value=steps * BATCH),
            mock.patch.object(loop, "steps_per_epoch", return_value=(BATCH, steps, steps)),
        ):
            loop._train_epoch(work, progress, clock, Times())

    return run


def training(folder: Path, shards: Any, *, model: Any = None, optimizer: Any = None, stepper: Any = None, steps: int) -> Any:
    """Returns what our loop works with."""
    from camtrap_tf.config.training import TrainConfig
    from camtrap_tf.input_pipeline.preprocessing import Preprocessing
    from camtrap_tf.training import loop
    from camtrap_tf.training.checkpoints import Checkpoints
    from camtrap_tf.training.run_folder import RunFolder

    folder.mkdir(parents=True, exist_ok=True)
    config = TrainConfig(
        train_tfr_path=[folder], val_tfr_path=[folder], labels=["species"], model="MobileNetV2", batch_size=BATCH,
        run_outputs_dir=folder, model_save_dir=folder, tensorboard=False, n_batches_per_epoch_train=steps, n_cpus=2,
    )  # fmt: skip
    preprocessing = Preprocessing(output_height=SIDE, output_width=SIDE)
    return loop.Training(
        config, model, optimizer, stepper, preprocessing, label_mapping(), shards, shards, RunFolder(folder), {},
        Checkpoints(folder),
    )  # fmt: skip


class _Shards:
    """Stands for shards, whose batches are given."""

    shards = ()

    def __len__(self) -> int:
        return BATCH


Round = list[tuple[float, float]]
"""Seconds of CPU and of the clock, by side."""


def rounds_of(sides: Sequence[Callable[[], None]], rounds: int) -> list[Round]:
    """Returns what each side took, by round; all are warmed up first, and take turns in beginning."""
    found = []
    for number in range(rounds + 1):
        spent = [(0.0, 0.0)] * len(sides)
        for place in range(len(sides)):
            chosen = (number + place) % len(sides)
            cpu, clock = time.process_time(), time.perf_counter()
            with contextlib.redirect_stderr(io.StringIO()):  # lines of progress
                sides[chosen]()
            spent[chosen] = (time.process_time() - cpu, time.perf_counter() - clock)
        if number:
            found.append(spent)
            print(f"  round {number}: " + ", ".join(f"{cpu:.2f} s ({clock:.2f} s)" for cpu, clock in spent), flush=True)
    return found


def ratios(found: list[Round], measure: int, between: float) -> tuple[float, float]:
    """Returns our loop over the bare one, without and with checkpoints; medians over rounds.

    Args:
        found: rounds of three sides.
        measure: 0: by CPU time, 1: by the clock.
        between: steps between two checkpoints, as a multiple of the steps of a side.
    """
    rounds = [[side[measure] for side in one] for one in found]
    plain = statistics.median(own / bare for bare, own, _ in rounds)
    return plain, statistics.median((between * own + saved - own) / (between * bare) for bare, own, saved in rounds)


def reads_on_resume(folder: Path, *, records: int = 20 * BATCH, start: int = 13) -> tuple[int, int]:
    """Returns how many records are read to take the steps of an epoch from `start` on, and how many those steps have."""
    from camtrap_tf.input_pipeline.shard_set import ShardSet
    from camtrap_tf.training.loop import epoch_batches
    from tests.bench.bench_input import write_shard
    from tests.factories import make_jpeg

    folder.mkdir(parents=True, exist_ok=True)
    write_shard(folder / "train_000.tfrecord", [make_jpeg(32, 32)], records)
    shards = ShardSet.open([folder], [])
    work = training(folder, shards, steps=records // BATCH)
    asked: list[int] = []
    read_many = ShardSet.read_many

    def counted(self: ShardSet, indices: Any) -> list[bytes]:
        asked.extend(indices)
        return read_many(self, indices)

    with mock.patch.object(ShardSet, "read_many", counted):
        seen = sum(int(batch["records"].shape[0]) for batch in epoch_batches(work, 0, start=start))
    return len(asked), seen


def main() -> int:
    """Runs the comparisons; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=10, help="steps on each side of a round")
    options = parser.parse_args()
    from camtrap_tf.models.devices import gpu_count

    given, steps = batches(4), options.steps
    with tempfile.TemporaryDirectory() as name:
        read, seen = reads_on_resume(Path(name) / "shards")
        print(f"going on at step 13 of 20: {read} records read for {seen} examples (goal: as many)", flush=True)
        bare, ours = bare_loop(parts()[0], given), our_loop(Path(name) / "run", given)
        sides = (lambda: bare(steps), lambda: ours(steps), lambda: ours(steps, checkpoint=True))
        found = rounds_of(sides, options.rounds)
    by_cpu, by_clock = (ratios(found, measure, CHECKPOINT_STEPS / steps) for measure in (0, 1))
    for name, values in (("CPU time", by_cpu), ("clock", by_clock)):
        print(f"our loop / bare loop by {name}: {values[0]:.3f} ×, with checkpoints {values[1]:.3f} ×")
    plain, saving = by_clock if gpu_count() else by_cpu
    print(
        f"aim {LOOP_GOAL}; fails above {LOOP_LIMIT}, with a checkpoint every {CHECKPOINT_STEPS} steps above {CHECKPOINT_LIMIT}"
    )
    return 0 if read == seen and plain <= LOOP_LIMIT and saving <= CHECKPOINT_LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
