"""Strong augmentation: CPU time of each kind as a share of MobileNetV2's train step, beside the Keras layers of that name.

224 px, batch 16, medians of interleaved runs in one process. RandAugment may cost no more than Keras' layer; MixUp,
CutMix and random erasing together no more than 5 % of the step. Exits with 1 where a goal is missed.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

BATCH = 16
SIDE = 224
REPEATS = 7
GOAL = 0.05


def train_step(targets: Any) -> Callable[[Any], Any]:
    """Returns a plain train step of MobileNetV2."""
    import keras
    import tensorflow as tf

    model = keras.applications.MobileNetV2(weights=None, classes=10)
    optimizer = keras.optimizers.SGD(0.01)
    optimizer.build(model.trainable_variables)

    def step(images: Any) -> Any:
        with tf.GradientTape() as tape:
            losses = keras.losses.sparse_categorical_crossentropy(targets, model(images, training=True))
            loss = tf.reduce_mean(losses)
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    return tf.function(step, autograph=False)


def ways(targets: Any) -> dict[str, Callable[[Any], Any]]:
    """Returns what is measured by name."""
    import keras
    import numpy as np
    import tensorflow as tf

    from camtrap_tf.input_pipeline.seeds import example_seeds
    from camtrap_tf.input_pipeline.strong_augment import StrongAugmentation, mix_batch, strengthen_batch

    seeds = tf.constant(example_seeds(np.arange(BATCH), seed=0, epoch=0))

    def ours(**settings: float) -> Callable[[Any], Any]:
        strong = StrongAugmentation(**settings)

        def vary(images: Any) -> Any:
            images = strengthen_batch(images, seeds, strong)
            return mix_batch(images, seeds, strong)[0] if strong.mixes else images

        return tf.function(vary, autograph=False)

    rand, mix = keras.layers.RandAugment(num_ops=2, factor=0.5), keras.layers.MixUp()
    labels = tf.one_hot(targets, 10)
    return {
        "step": train_step(targets),
        "randaugment": ours(randaugment=0.5),
        "mixup": ours(mixup=0.4),
        "cutmix": ours(cutmix=1.0),
        "random_erasing": ours(random_erasing=0.5),
        "keras RandAugment": tf.function(lambda images: rand(images, training=True), autograph=False),
        "keras MixUp": tf.function(lambda images: mix({"images": images, "labels": labels}, training=True), autograph=False),
    }


def main() -> int:
    """Measures and prints; returns the exit code."""
    import numpy as np
    import tensorflow as tf

    images = tf.constant(np.random.default_rng(0).uniform(0, 255, (BATCH, SIDE, SIDE, 3)), tf.float32)
    measured = ways(tf.constant(np.arange(BATCH) % 10))
    times: dict[str, list[float]] = {name: [] for name in measured}
    for run in range(REPEATS + 1):
        for name, function in measured.items():
            began = time.process_time()
            function(images)
            if run:
                times[name].append(time.process_time() - began)
    step = statistics.median(times["step"])
    shares = {name: statistics.median(values) / step for name, values in times.items()}
    for name, share in shares.items():
        print(f"{name:20} {share:6.1%} of the step")
    cheap = sum(shares[name] for name in ("mixup", "cutmix", "random_erasing"))
    missed = [
        text
        for text, bad in (
            (f"mixup, cutmix and random_erasing together {cheap:.1%} (goal {GOAL:.0%})", cheap > GOAL),
            ("randaugment costs more than Keras' layer", shares["randaugment"] > shares["keras RandAugment"]),
        )
        if bad
    ]
    print(f"missed: {'; '.join(missed)}" if missed else "goals met")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
