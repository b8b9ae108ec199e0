"""Price of our training loop: steps against a bare `train_step` loop on the same batches, checkpoints, augmentation.

MobileNetV2, 224 px, batches of 16; medians of interleaved pairs, so that a busy machine slows both sides. Exits with 1
where a goal is missed. The bare loop is what one writes by hand: a compiled step of forward, backward and update.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a file, `tests` is not found otherwise
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

LOOP_GOAL, LOOP_LIMIT = 1.05, 1.10
CHECKPOINT_LIMIT = 1.15
AUGMENTATION_LIMIT = 0.05
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


def our_loop(folder: Path, given: list[dict[str, Any]], *, checkpoint_steps: int = 0) -> Callable[[int], None]:
    """Returns the steps of one epoch as training takes them, on given batches instead of shards."""
    from camtrap_tf.config.training import TrainConfig
    from camtrap_tf.training import loop
    from camtrap_tf.training.checkpoints import CheckpointClock, Checkpoints
    from camtrap_tf.training.run_folder import RunFolder
    from camtrap_tf.training.state import VariablesState

    model, optimizer, stepper = parts()
    folder.mkdir(parents=True, exist_ok=True)
    config = TrainConfig(
        train_tfr_path=[folder], val_tfr_path=[folder], labels=["species"], model="MobileNetV2", batch_size=BATCH,
        run_outputs_dir=folder, model_save_dir=folder, tensorboard=False, n_batches_per_epoch_train=1,
    )  # fmt: skip

    def run(steps: int) -> None:
        """Takes so many steps."""
        progress = loop.Progress(0)
        whole = config.model_copy(update={"n_batches_per_epoch_train": steps})
        work = loop.Training(  # what comes of the shards is given instead
            whole,
            model,
            optimizer,
            stepper,
            None,
            label_mapping(),
            _Shards(),
            _Shards(),
            RunFolder(folder),
            {},
            Checkpoints(folder),
        )
        work.providers |= {
            "model": VariablesState(lambda: model.variables, "model"),
            "optimizer": VariablesState(lambda: optimizer.variables, "optimiser"),
            "progress": progress,
        }

        def endless(*_: Any, **__: Any) -> Iterator[dict[str, Any]]:
            """Yields the given batches over and over."""
            return (given[number % len(given)] for number in range(steps))

        clock = CheckpointClock(every_steps=checkpoint_steps, every_minutes=0)
        with (
            mock.patch.object(loop, "epoch_batches", endless),
            mock.patch.object(loop, "example_count", return_value=steps * BATCH),
            mock.patch.object(loop, "steps_per_epoch", return_value=(BATCH, steps, steps)),
        ):
            loop._train_epoch(work, progress, clock, loop.Times())

    return run


class _Shards:
    """Stands for shards, whose batches are given."""

    shards = ()

    def __len__(self) -> int:
        return BATCH


def augmentation_share(rounds: int, steps: int) -> float:
    """Returns the time of flip, rotation and colour on the device as a share of a train step's."""
    import tensorflow as tf

    from camtrap_tf.input_pipeline.augment import augment_batch
    from camtrap_tf.input_pipeline.preprocessing import Preprocessing

    given = batches(2)
    preprocessing = Preprocessing(
        output_height=SIDE, output_width=SIDE, color_augmentation="full_randomized", rotate_by_angle=5
    )
    compiled = tf.function(
        lambda images, seeds: tf.reduce_sum(augment_batch(images, seeds, preprocessing)), autograph=False, jit_compile=True
    )
    stepper = parts()[2]

    def augment(count: int) -> None:
        """Augments so many batches."""
        for number in range(count):
            float(compiled(given[number % 2]["images"], given[number % 2]["seeds"]))

    def step(count: int) -> None:
        """Takes so many steps."""
        for number in range(count):
            float(stepper.train(given[number % 2]))

    return ratio(augment, step, rounds=rounds, steps=steps)


def ratio(ours: Callable[[int], None], theirs: Callable[[int], None], *, rounds: int, steps: int) -> float:
    """Returns the median over interleaved pairs of one time over the other; both are warmed up first."""
    for run in (ours, theirs):
        run(2)
    found = []
    for number in range(rounds):
        seconds: dict[Callable[[int], None], float] = {}
        for run in (ours, theirs) if number % 2 else (theirs, ours):
            started = time.perf_counter()
            run(steps)
            seconds[run] = time.perf_counter() - started
        found.append(seconds[ours] / seconds[theirs])
        print(f"  pair {number + 1}: {found[-1]:.3f}", flush=True)
    return statistics.median(found)


def main() -> int:
    """Runs the three comparisons; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="interleaved pairs")
    parser.add_argument("--steps", type=int, default=CHECKPOINT_STEPS, help="steps on each side of a pair")
    options = parser.parse_args()
    given = batches(4)
    results = []
    with tempfile.TemporaryDirectory() as name:
        bare = bare_loop(parts()[0], given)
        for what, every, limit in (("loop", 0, LOOP_LIMIT), ("loop with checkpoints", options.steps, CHECKPOINT_LIMIT)):
            run = our_loop(Path(name) / str(every), given, checkpoint_steps=every)
            found = ratio(run, bare, rounds=options.rounds, steps=options.steps)
            print(f"{what} / bare loop: {found:.3f} × (aim {LOOP_GOAL}, fails above {limit})", flush=True)
            results.append(found <= limit)
    share = augmentation_share(options.rounds, max(2, options.steps // 5))
    print(f"augmentation on the device / train step: {share:.1%} (fails above {AUGMENTATION_LIMIT:.0%})")
    results.append(share <= AUGMENTATION_LIMIT)
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
