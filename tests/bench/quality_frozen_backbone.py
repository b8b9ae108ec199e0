"""Is a head that we train as good as logistic regression on the same frozen features?

Real pictures, real ImageNet weights, 5-fold cross-validation grouped by sequence, three seeds, predictions pooled. The two
sides see the same pictures through the same input; ours is trained by `camtrap train --freeze-backbone` with augmentation
off. Passes
when our accuracy is not below logistic regression's by more than 0.02.
"""

from __future__ import annotations

import csv
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np

SHARED = Path(os.environ.get("CAMTRAP_SHARED", Path(__file__).resolve().parents[3] / "shared"))
WEIGHTS = SHARED / "weights/mobilenet_v2_1.0_224_no_top.h5"
FOLDS = 5
SEEDS = 3
EPOCHS = 10
ALLOWED_LOSS = 0.02

Row = tuple[str, str, str]
"""Picture path, class, group."""


def missouri() -> tuple[Path, list[Row]]:
    """Returns the Missouri pictures: a class per species, a group per sequence."""
    root = SHARED / "data/missouri_6species"
    with (root / "labels.csv").open(newline="") as file:
        return root, [(row["path"], row["species"], row["sequence"]) for row in csv.DictReader(file)]


def cats_dogs() -> tuple[Path, list[Row]]:
    """Returns the cats and dogs: every picture is its own group."""
    root = SHARED / "data/cats_dogs"
    paths = sorted(path.relative_to(root).as_posix() for path in root.glob("*/*") if path.suffix.lower() == ".jpg")
    return root, [(path, path.split("/")[0], path) for path in paths]


def folds_of(rows: list[Row], seed: int) -> list[str]:
    """Deals the groups to folds: fold names, one per row."""
    groups = sorted({group for _, _, group in rows})
    order = np.random.default_rng(seed).permutation(len(groups))
    fold = {groups[g]: f"fold{place % FOLDS}" for place, g in enumerate(order)}
    return [fold[group] for _, _, group in rows]


def write_shards(root: Path, rows: list[Row], folds: list[str], folder: Path) -> None:
    """Makes a data set whose splits are the folds."""
    from camtrap_tf.config.dataset import DatasetConfig
    from camtrap_tf.dataset.writing import create_dataset
    from camtrap_tf.inventory.table import Inventory
    from camtrap_tf.records import CaptureEvent, Media, Observation

    Inventory.from_records(
        CaptureEvent(
            event_id=path,
            media=(Media(path=path),),
            observations=(Observation(labels={"species": name}),),
            meta_data={"fold": fold, "sequence": group},
        )
        for (path, name, group), fold in zip(rows, folds, strict=True)
    ).write(folder / "inventory.json")
    create_dataset(
        DatasetConfig(
            inventory=folder / "inventory.json", output_dir=folder / "shards", image_root_path=root, split_by_meta="fold"
        )
    )


def train_head(folder: Path, fold: str, seed: int) -> Path:
    """Trains a head on all folds but one; returns the bundle.

    The best epoch is chosen on a part of the training pictures: the fold that is predicted is never looked at.
    """
    from camtrap_tf.config.training import TrainConfig
    from camtrap_tf.training.train import train

    others = tuple(f"fold{k}" for k in range(FOLDS) if f"fold{k}" != fold)
    shards = (folder / "shards",)
    train(
        TrainConfig(
            train_tfr_path=shards, val_tfr_path=shards, train_tfr_pattern=others, val_tfr_pattern=others[:1],
            labels=("species",),
            model="MobileNetV2", weights=str(WEIGHTS), freeze_backbone=True, batch_size=16, max_epochs=EPOCHS, seed=seed,
            recipe="legacy", color_augmentation="none",
            crop_factor=0, zoom_factor=0, rotate_by_angle=0, randomly_flip_horizontally=False, early_stopping_patience=0,
            reduce_lr_on_plateau_patience=0, tensorboard=False, n_gpus=0,
            run_outputs_dir=folder / f"run_{fold}", model_save_dir=folder / f"bundle_{fold}",
        )
    )  # fmt: skip
    return folder / f"bundle_{fold}"


def answers_and_features(
    bundle_path: Path, folder: Path, folds: Iterable[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns predicted class, true class, pooled backbone features `[N, D]`, and record number of some folds."""
    import keras

    from camtrap_tf.input_pipeline.batches import evaluation_batches
    from camtrap_tf.input_pipeline.shard_set import ShardSet
    from camtrap_tf.models.bundle import Bundle

    keras.backend.clear_session()
    bundle = Bundle.read(bundle_path)
    head = next(layer for layer in bundle.model.layers if layer.name.startswith("label__"))
    both = keras.Model(bundle.model.input, [head.input, head.output])
    shards = ShardSet.open((folder / "shards",), tuple(folds))
    predicted, true, features, records = [], [], [], []
    for batch in evaluation_batches(shards, bundle.preprocessing, bundle.mapping, batch_size=32):
        pooled, logits = both(batch["images"], training=False)
        features.append(np.asarray(pooled))
        predicted.append(np.asarray(logits).argmax(axis=1))
        true.append(np.asarray(batch["targets"]["species"]))
        records.append(np.asarray(batch["records"]))
    return tuple(map(np.concatenate, (predicted, true, features, records)))  # type: ignore[return-value]  # four arrays, which map does not say


def compare(name: str, root: Path, rows: list[Row]) -> bool:
    """Prints both accuracies on one data set; returns whether ours is good enough."""
    from sklearn.linear_model import LogisticRegression

    ours: list[bool] = []
    logistic: list[bool] = []
    for seed in range(SEEDS):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            write_shards(root, rows, folds_of(rows, seed), folder)
            for k in range(FOLDS):
                fold = f"fold{k}"
                bundle = train_head(folder, fold, seed)
                predicted, true, features, _ = answers_and_features(bundle, folder, (fold,))
                _, train_true, train_features, _ = answers_and_features(
                    bundle, folder, [f"fold{other}" for other in range(FOLDS) if other != k]
                )
                reference = LogisticRegression(max_iter=5000).fit(train_features, train_true).predict(features)
                ours += list(predicted == true)
                logistic += list(reference == true)
    difference = float(np.mean(ours) - np.mean(logistic))
    good = difference >= -ALLOWED_LOSS
    print(
        f"{name}: ours {np.mean(ours):.3f}, logistic regression {np.mean(logistic):.3f}, difference {difference:+.3f} "
        f"({len(ours)} pooled predictions; at least {-ALLOWED_LOSS:+.2f} wanted): {'ok' if good else 'FAILS'}",
        flush=True,
    )
    return good


def main() -> int:
    """Runs both data sets; returns 1 if one fails, 0 also where the pictures or weights are absent (saying so)."""
    if not WEIGHTS.exists():
        print(f"skipped: {WEIGHTS.name} and the pictures are not beside this checkout (set CAMTRAP_SHARED)")
        return 0
    from camtrap_tf.logs import start_logging

    start_logging(level=40)
    results = [compare(name, *load()) for name, load in (("missouri_6species", missouri), ("cats_dogs", cats_dogs))]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
