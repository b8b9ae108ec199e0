"""Augmentation on batches: CPU time of each kind as a share of MobileNetV2's train step, beside Keras layers.

224 px, batch 16, medians of interleaved runs in one process. Mirror, rotation and colour together may cost no more than 5 %
of the step, neither as training on a CPU runs them nor compiled by XLA; nor may MixUp, CutMix and random erasing together.
RandAugment may cost no more than Keras' layer. Exits with 1 where a goal is missed.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

if TYPE_CHECKING:
    from camtrap_tf.config.names import ColorAugmentation

BATCH = 16
SIDE = 224
REPEATS = 11
GOAL = 0.05
COLOURS: tuple[ColorAugmentation, ...] = ("none", "little", "full_fast", "full_randomized")


def train_step(targets: Any) -> Callable[[Any], Any]:
    """Returns a plain train step of MobileNetV2."""
    import keras
    import tensorflow as tf

    model = keras.applications.MobileNetV2(weights=None, classes=10)
    optimizer = keras.optimizers.SGD(0.01)
    optimizer.build(model.trainable_variables)

    def step(images: Any) -> Any:
        """Takes a training step; returns the loss."""
        with tf.GradientTape() as tape:
            losses = keras.losses.sparse_categorical_crossentropy(targets, model(images, training=True))
            loss = tf.reduce_mean(losses)
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    return tf.function(step, autograph=False)


def legacy_ways(seeds: Any) -> dict[str, Callable[[Any], Any]]:
    """Returns mirror and rotation with each colour variation, op by op and compiled."""
    import tensorflow as tf

    from camtrap_tf.input_pipeline.augment import augment_batch
    from camtrap_tf.input_pipeline.preprocessing import Preprocessing

    found = {}
    for colours in COLOURS:
        preprocessing = Preprocessing(output_height=SIDE, output_width=SIDE, rotate_by_angle=5, color_augmentation=colours)

        def vary(images: Any, preprocessing: Preprocessing = preprocessing) -> Any:
            """Varies a batch."""
            return augment_batch(images, seeds, preprocessing)

        found[f"colours {colours}"] = tf.function(vary, autograph=False)
        found[f"colours {colours}, compiled"] = tf.function(vary, autograph=False, jit_compile=True)
    return found


def strong_ways(seeds: Any) -> dict[str, Callable[[Any], Any]]:
    """Returns the kinds that are off by default."""
    import tensorflow as tf

    from camtrap_tf.input_pipeline.strong_augment import StrongAugmentation, mix_batch, strengthen_batch

    def ours(**settings: float) -> Callable[[Any], Any]:
        """Returns the augmentation with these settings."""
        strong = StrongAugmentation(**settings)

        def vary(images: Any) -> Any:
            """Varies a batch."""
            images = strengthen_batch(images, seeds, strong)
            return mix_batch(images, seeds, strong)[0] if strong.mixes else images

        return tf.function(vary, autograph=False)

    return {
        "randaugment": ours(randaugment=0.5),
        "mixup": ours(mixup=0.4),
        "cutmix": ours(cutmix=1.0),
        "random_erasing": ours(random_erasing=0.5),
    }


def keras_ways(targets: Any) -> dict[str, Callable[[Any], Any]]:
    """Returns what Keras has of the same."""
    import keras
    import tensorflow as tf

    turn = keras.Sequential([keras.layers.RandomFlip("horizontal"), keras.layers.RandomRotation(5 / 360, fill_mode="constant")])
    colours = keras.Sequential(
        [
            keras.layers.RandomBrightness(0.2),
            keras.layers.RandomContrast((0.9, 1.3), value_range=(0, 255)),
            keras.layers.RandomSaturation((0.45, 0.55)),
            keras.layers.RandomHue(0.05),
        ]
    )
    rand, mix = keras.layers.RandAugment(num_ops=2, factor=0.5), keras.layers.MixUp()
    labels = tf.one_hot(targets, 10)
    return {
        "Keras RandomFlip, RandomRotation": tf.function(lambda images: turn(images, training=True), autograph=False),
        "Keras colours": tf.function(lambda images: colours(images, training=True), autograph=False),
        "Keras RandAugment": tf.function(lambda images: rand(images, training=True), autograph=False),
        "Keras MixUp": tf.function(lambda images: mix({"images": images, "labels": labels}, training=True), autograph=False),
    }


def main() -> int:
    """Measures and prints; returns the exit code."""
    import numpy as np
    import tensorflow as tf

    from camtrap_tf.input_pipeline.seeds import example_seeds

    images = tf.constant(np.random.default_rng(0).uniform(0, 255, (BATCH, SIDE, SIDE, 3)), tf.float32)
    seeds, targets = tf.constant(example_seeds(np.arange(BATCH), seed=0, epoch=0)), tf.constant(np.arange(BATCH) % 10)
    measured = {"step": train_step(targets), **legacy_ways(seeds), **strong_ways(seeds), **keras_ways(targets)}
    times: dict[str, list[float]] = {name: [] for name in measured}
    for run in range(REPEATS + 1):
        for name, function in measured.items():
            began = time.process_time()
            tf.nest.map_structure(np.asarray, function(images))
            if run:
                times[name].append(time.process_time() - began)
    step = statistics.median(times["step"])
    shares = {name: statistics.median(values) / step for name, values in times.items()}
    for name, share in shares.items():
        print(f"{name:33} {share:6.1%} of the step")
    missed = [
        f"{name} {share:.1%} (goal {GOAL:.0%})" for name, share in shares.items() if name.startswith("colours") and share > GOAL
    ]
    cheap = sum(shares[name] for name in ("mixup", "cutmix", "random_erasing"))
    if cheap > GOAL:
        missed.append(f"mixup, cutmix and random_erasing together {cheap:.1%} (goal {GOAL:.0%})")
    if shares["randaugment"] > shares["Keras RandAugment"]:
        missed.append("randaugment costs more than Keras' layer")
    print(f"missed: {'; '.join(missed)}" if missed else "goals met")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
