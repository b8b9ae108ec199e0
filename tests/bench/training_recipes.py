"""Is `--recipe finetune`, as it is, at least as good as what people would do instead?

Real pictures with ImageNet weights, and the drawn sample. Cross-validation grouped by sequence or location, predictions
pooled over folds and seeds. Ours is compared with (a) logistic regression on frozen features, (b) a fine-tuning of
twenty lines of Keras, (c) `--recipe legacy` with the same weights. The difference comes with an interval from a
bootstrap over groups; we say "better" only where it excludes 0. Exits with 1 where ours is below (a) or (b) by more
than 0.02, or on cats and dogs by more than one picture of the 60. Takes hours on a CPU: `--folds`, `--seeds`,
`--side` and `--data` make it smaller.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a file, `tests` is not found otherwise
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np

from tests.bench.quality_frozen_backbone import FOLDS, SEEDS, WEIGHTS, Row, cats_dogs, folds_of, missouri, write_shards

ALLOWED_LOSS = 0.02
ALLOWED_PICTURES = 1.0 / 60
DRAWS = 2000
WAYS = ("finetune", "logistic regression", "short Keras", "legacy")
REFERENCES = WAYS[1:3]


def drawn_sample(folder: Path, events: int) -> tuple[Path, list[Row]]:
    """Returns drawn pictures, one of each event: a class per species, a group per location."""
    from camtrap_tf.config.sample import SampleConfig
    from camtrap_tf.sample.drawing import draw_sample

    draw_sample(SampleConfig(output_dir=folder, events=events))
    with (folder / "sample.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["species"]]
    return folder, [(row["image_1"], row["species"], row["location"]) for row in rows]


def train_recipe(folder: Path, train_folds: tuple[str, ...], recipe: str, seed: int, side: int) -> Path:
    """Trains with the defaults of a recipe; returns the bundle. Validation is on the training folds: no others are known."""
    from camtrap_tf.config.training import TrainConfig
    from camtrap_tf.training.train import train

    shards, out = (folder / "shards",), folder / f"{recipe}_{'_'.join(train_folds)}"
    train(
        TrainConfig(
            train_tfr_path=shards, val_tfr_path=shards, train_tfr_pattern=train_folds, val_tfr_pattern=train_folds,
            labels=("species",), model="MobileNetV2", weights=str(WEIGHTS), recipe=recipe, seed=seed, output_width=side,
            output_height=side, tensorboard=False, run_outputs_dir=out / "run", model_save_dir=out / "bundle",
        )
    )  # fmt: skip
    return out / "bundle"


def pictures(folder: Path, folds: tuple[str, ...], side: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Returns pictures `[N, side, side, 3]` in 0 … 255, class indices and ids of some folds, as evaluation sees them."""
    from camtrap_tf.input_pipeline.batches import evaluation_batches
    from camtrap_tf.input_pipeline.preprocessing import Preprocessing
    from camtrap_tf.input_pipeline.shard_set import ShardSet
    from camtrap_tf.labels import LabelMapping

    shards = ShardSet.open((folder / "shards",), folds)
    mapping = LabelMapping.read(folder / "shards" / "label_mapping.json")
    preprocessing = Preprocessing(output_height=side, output_width=side)
    images, classes, ids = [], [], []
    for batch in evaluation_batches(shards, preprocessing, mapping.select(["species"]), batch_size=32):
        images.append(batch["images"].numpy())
        classes.append(batch["targets"]["species"].numpy())
        ids += [shards.example(int(record)).id for record in batch["records"].numpy()]
    return np.concatenate(images), np.concatenate(classes), ids


def logistic_regression(train: tuple[Any, ...], test: np.ndarray, classes: int) -> np.ndarray:
    """Returns predicted classes of a logistic regression on pooled features of the frozen backbone."""
    import keras
    from sklearn.linear_model import LogisticRegression

    shape = train[0].shape[1:]
    backbone = keras.applications.MobileNetV2(include_top=False, weights=str(WEIGHTS), input_shape=shape, pooling="avg")
    features = [backbone.predict(part / 127.5 - 1, batch_size=32, verbose=0) for part in (train[0], test)]
    return LogisticRegression(max_iter=5000).fit(features[0], train[1]).predict(features[1])


def short_keras(train: tuple[Any, ...], test: np.ndarray, classes: int) -> np.ndarray:
    """Returns predicted classes of the fine-tuning that Keras' own guide shows: heads, then everything at 1e-5."""
    import keras

    shape = train[0].shape[1:]
    backbone = keras.applications.MobileNetV2(include_top=False, weights=str(WEIGHTS), input_shape=shape)
    backbone.trainable = False
    inputs = keras.Input(shape)
    x = keras.layers.RandomRotation(0.1)(keras.layers.RandomFlip("horizontal")(inputs))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(x)
    x = keras.layers.GlobalAveragePooling2D()(backbone(x, training=False))
    model = keras.Model(inputs, keras.layers.Dense(classes)(keras.layers.Dropout(0.2)(x)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss)
    model.fit(train[0], train[1], batch_size=32, epochs=20, verbose=0)
    backbone.trainable = True
    model.compile(keras.optimizers.Adam(1e-5), loss)
    model.fit(train[0], train[1], batch_size=32, epochs=10, verbose=0)
    return np.asarray(model.predict(test, verbose=0)).argmax(axis=1)


def fold_answers(folder: Path, fold: int, seed: int, side: int, ways: tuple[str, ...]) -> dict[str, list[tuple[str, bool]]]:
    """Returns way → id and whether it was right, of every picture of one fold."""
    import keras

    from camtrap_tf.models.bundle import Bundle

    others = tuple(f"fold{k}" for k in range(FOLDS) if k != fold)
    train, test = pictures(folder, others, side), pictures(folder, (f"fold{fold}",), side)
    classes = int(max(train[1].max(), test[1].max())) + 1
    answers = {}
    for way in ways:
        keras.utils.set_random_seed(seed)
        if way in ("finetune", "legacy"):
            bundle = Bundle.read(train_recipe(folder, others, way, seed, side))
            predicted = bundle.probabilities(test[0])["species"].argmax(axis=1)
        else:
            predicted = (logistic_regression if way == WAYS[1] else short_keras)(train, test[0], classes)
        answers[way] = list(zip(test[2], (predicted == test[1]).tolist(), strict=True))
        keras.backend.clear_session()
    return answers


def difference(ours: list[tuple[str, bool]], theirs: list[tuple[str, bool]], group_of: dict[str, str]) -> np.ndarray:
    """Returns the difference of accuracies, and the 2.5th and 97.5th percentile of a bootstrap over groups."""
    per_group: dict[str, list[int]] = {}
    for (name, right), (other, wrong) in zip(ours, theirs, strict=True):
        assert name == other
        per_group.setdefault(group_of[name], []).append(int(right) - int(wrong))
    sums = np.array([sum(values) for values in per_group.values()])
    counts = np.array([len(values) for values in per_group.values()])
    drawn = np.random.default_rng(0).integers(0, len(sums), (DRAWS, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    return np.array([sums.sum() / counts.sum(), *np.percentile(means, [2.5, 97.5])])


def compare(name: str, root: Path, rows: list[Row], options: argparse.Namespace) -> bool:
    """Prints accuracies and differences on one data set; returns whether ours is good enough."""
    pooled: dict[str, list[tuple[str, bool]]] = {way: [] for way in options.ways}
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as scratch:
            write_shards(root, rows, folds_of(rows, seed), Path(scratch))
            for fold in range(options.folds):
                for way, answers in fold_answers(Path(scratch), fold, seed, options.side, options.ways).items():
                    pooled[way] += answers
                shown = ", ".join(f"{way} {np.mean([right for _, right in pooled[way]]):.3f}" for way in options.ways)
                print(f"  {name}, seed {seed}, up to fold {fold}: {shown}", flush=True)
    group_of = {path: group for path, _, group in rows}
    allowed = ALLOWED_PICTURES if name == "cats_dogs" else ALLOWED_LOSS
    good = True
    for way in options.ways[1:]:
        middle, low, high = difference(pooled["finetune"], pooled[way], group_of)
        verdict = "better" if low > 0 else "worse" if high < 0 else "no difference shown"
        fails = way in REFERENCES and middle < -allowed - 1e-9
        good &= not fails
        said = f"finetune - {way}: {middle:+.3f} [{low:+.3f}, {high:+.3f}] {verdict}"
        print(f"{name}: {said}{'; FAILS' if fails else ''}", flush=True)
    return good


def main() -> int:
    """Runs the data sets; returns 1 if one fails, 0 also where pictures or weights are absent (saying so)."""
    parser = argparse.ArgumentParser(description="fine-tuning recipe against what people would do instead")
    parser.add_argument("--folds", type=int, default=FOLDS, help="folds to test on; the others are trained on")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--side", type=int, default=224, help="input in px")
    parser.add_argument("--events", type=int, default=300, help="events of the drawn sample")
    parser.add_argument("--data", nargs="+", default=["missouri_6species", "cats_dogs", "sample"])
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    options = parser.parse_args()
    options.ways = ("finetune", *(way for way in WAYS[1:] if way in options.ways))
    if not WEIGHTS.exists():
        print(f"skipped: {WEIGHTS.name} and the pictures are not beside this checkout (set CAMTRAP_SHARED)")
        return 0
    from camtrap_tf.logs import start_logging

    start_logging(level=40)
    good = []
    with tempfile.TemporaryDirectory() as scratch:
        load = {
            "missouri_6species": missouri,
            "cats_dogs": cats_dogs,
            "sample": lambda: drawn_sample(Path(scratch) / "sample", options.events),
        }
        for name in options.data:
            root, rows = load[name]()
            good.append(compare(name, root, rows, options))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
