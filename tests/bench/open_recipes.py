"""Is `--recipe finetune`, as it is, at least as good as what people would do instead?

Real pictures with ImageNet weights, and the drawn sample. Cross-validation grouped by sequence or location, predictions
pooled over folds and seeds. Ours is compared with (a) logistic regression on frozen features, (b) a fine-tuning of
twenty lines of Keras, (c) `--recipe legacy` with the same weights. The difference comes with an interval from a
bootstrap over groups; we say "better" only where it excludes 0. Exits with 1 where ours is below (a) or (b) by more
than 0.02, or on cats and dogs by more than one picture of the 60.

Takes hours on a CPU. With `--results FILE` each fold is a line in that file as soon as it is done, and is not computed
again as long as pictures and settings are the same; so a run that was killed goes on, and `--report` says how it stands.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import inspect
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a file, `tests` is not found otherwise
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np

from tests.bench.quality_frozen_backbone import FOLDS, SEEDS, WEIGHTS, Row, cats_dogs, folds_of, missouri, write_shards

ALLOWED_LOSS = 0.02
ALLOWED_PICTURES = 1.0 / 60
DRAWS = 2000
SOURCES = ("training", "models", "input_pipeline")
"""Parts of the package that decide what weights come out."""
Answers = dict[str, bool]
"""Picture → whether it was named rightly."""
Key = tuple[int, int]
"""Seed and fold."""


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """Pictures as evaluation sees them.

    Attributes:
        name: of the data set.
        root: folder of the pictures.
        rows: path, class and group of each.
        images: float32 `[N, side, side, 3]` in 0 … 255.
        ids: paths, in the order of `images`.
        scratch: folder for shards and runs.
    """

    name: str
    root: Path
    rows: list[Row]
    images: np.ndarray
    ids: list[str]
    scratch: Path

    @classmethod
    def read(cls, name: str, scratch: Path, *, side: int, events: int) -> DataSet:
        """Reads a data set by name; the sample is drawn."""
        load: dict[str, Callable[[], tuple[Path, list[Row]]]] = {
            "missouri_6species": missouri,
            "cats_dogs": cats_dogs,
            "sample": lambda: drawn_sample(scratch / "sample", events),
        }
        root, rows = load[name]()
        write_shards(root, rows, ["all"] * len(rows), scratch / name)
        images, ids = pictures(scratch / name / "shards", side)
        return cls(name=name, root=root, rows=rows, images=images, ids=ids, scratch=scratch / name)

    @cached_property
    def digest(self) -> str:
        """Changes with every pixel, class or group."""
        known = hashlib.sha256(np.ascontiguousarray(self.images).tobytes())
        known.update(json.dumps([self.rows, self.ids]).encode())
        return known.hexdigest()[:16]

    @cached_property
    def labels(self) -> np.ndarray:
        """Class names `[N]`."""
        class_of = {path: name for path, name, _ in self.rows}
        return np.array([class_of[name] for name in self.ids])

    @cached_property
    def features(self) -> np.ndarray:
        """Pooled features `[N, 1280]` of the frozen backbone."""
        import keras

        shape = self.images.shape[1:]
        backbone = keras.applications.MobileNetV2(include_top=False, weights=str(WEIGHTS), input_shape=shape, pooling="avg")
        return np.asarray(backbone.predict(self.images / 127.5 - 1, batch_size=32, verbose=0))

    def shards(self, seed: int) -> Path:
        """Returns a folder of shards with a split per fold, as this seed deals them."""
        folder = self.scratch / f"seed{seed}"
        if not folder.exists():
            write_shards(self.root, self.rows, folds_of(self.rows, seed), folder)
        return folder / "shards"


@dataclass(frozen=True)
class Fold:
    """One fold to test on; the others are trained on."""

    data: DataSet
    seed: int
    number: int

    @cached_property
    def tested(self) -> np.ndarray:
        """Which pictures are tested on, bool `[N]`."""
        fold_of = dict(zip((path for path, _, _ in self.data.rows), folds_of(self.data.rows, self.seed), strict=True))
        return np.array([fold_of[name] == f"fold{self.number}" for name in self.data.ids])

    @property
    def training(self) -> tuple[np.ndarray, np.ndarray]:
        """Pictures and class names to train on."""
        return self.data.images[~self.tested], self.data.labels[~self.tested]


def drawn_sample(folder: Path, events: int) -> tuple[Path, list[Row]]:
    """Returns drawn pictures, one of each event: a class per species, a group per location."""
    from camtrap_tf.config.sample import SampleConfig
    from camtrap_tf.sample.drawing import draw_sample

    draw_sample(SampleConfig(output_dir=folder, events=events))
    with (folder / "sample.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["species"]]
    return folder, [(row["image_1"], row["species"], row["location"]) for row in rows]


def pictures(folder: Path, side: int) -> tuple[np.ndarray, list[str]]:
    """Returns pictures `[N, side, side, 3]` in 0 … 255 and their ids, as evaluation sees them."""
    from camtrap_tf.input_pipeline.batches import evaluation_batches
    from camtrap_tf.input_pipeline.preprocessing import Preprocessing
    from camtrap_tf.input_pipeline.shard_set import ShardSet
    from camtrap_tf.labels import LabelMapping

    shards = ShardSet.open((folder,), ("all",))
    mapping = LabelMapping.read(folder / "label_mapping.json").select(["species"])
    preprocessing = Preprocessing(output_height=side, output_width=side)
    batches = list(evaluation_batches(shards, preprocessing, mapping, batch_size=32))
    ids = [shards.example(int(record)).id for batch in batches for record in batch["records"].numpy()]
    return np.concatenate([batch["images"].numpy() for batch in batches]), ids


def with_recipe(recipe: str, fold: Fold, epochs: int | None) -> np.ndarray:
    """Returns names that a training with the defaults of a recipe gives; at most so many epochs, if any are given.

    The best epoch is chosen on a part of the training pictures: the fold that is tested on is never looked at.
    """
    from camtrap_tf.config.training import TrainConfig
    from camtrap_tf.models.bundle import Bundle
    from camtrap_tf.training.train import train

    others = tuple(f"fold{number}" for number in range(FOLDS) if number != fold.number)
    shards, side = (fold.data.shards(fold.seed),), fold.data.images.shape[1]
    with tempfile.TemporaryDirectory() as scratch:
        train(
            TrainConfig(
                train_tfr_path=shards, val_tfr_path=shards, train_tfr_pattern=others, val_tfr_pattern=others[:1],
                labels=("species",), model="MobileNetV2", weights=str(WEIGHTS), recipe=recipe, seed=fold.seed,
                output_width=side, output_height=side, tensorboard=False, run_outputs_dir=Path(scratch) / "run",
                model_save_dir=Path(scratch) / "bundle", **({"max_epochs": epochs} if epochs else {}),
            )
        )  # fmt: skip
        bundle = Bundle.read(Path(scratch) / "bundle")
    answers = bundle.probabilities(fold.data.images[fold.tested])["species"].argmax(axis=1)
    return np.array(bundle.mapping.names("species"))[answers]


def logistic_regression(fold: Fold) -> np.ndarray:
    """Returns names that a logistic regression gives, on pooled features of the frozen backbone."""
    from sklearn.linear_model import LogisticRegression

    features, labels = fold.data.features, fold.data.labels
    model = LogisticRegression(max_iter=5000).fit(features[~fold.tested], labels[~fold.tested])
    return np.asarray(model.predict(features[fold.tested]))


def short_keras(fold: Fold) -> np.ndarray:
    """Returns names that the fine-tuning of Keras' own guide gives: heads first, then everything at 1e-5."""
    import keras

    images, labels = fold.training
    names, classes = np.unique(labels, return_inverse=True)
    shape = images.shape[1:]
    backbone = keras.applications.MobileNetV2(include_top=False, weights=str(WEIGHTS), input_shape=shape)
    backbone.trainable = False
    inputs = keras.Input(shape)
    x = keras.layers.RandomRotation(0.1)(keras.layers.RandomFlip("horizontal")(inputs))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(x)
    x = keras.layers.GlobalAveragePooling2D()(backbone(x, training=False))
    model = keras.Model(inputs, keras.layers.Dense(len(names))(keras.layers.Dropout(0.2)(x)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss)
    model.fit(images, classes, batch_size=32, epochs=20, verbose=0)
    backbone.trainable = True
    model.compile(keras.optimizers.Adam(1e-5), loss)
    model.fit(images, classes, batch_size=32, epochs=10, verbose=0)
    return names[np.asarray(model.predict(fold.data.images[fold.tested], verbose=0)).argmax(axis=1)]


@dataclass(frozen=True)
class Way:
    """One way to name pictures.

    Attributes:
        answer: names the pictures of a fold.
        settings: digest of what it does; results of other settings do not count.
        fails_below: whether ours may not be worse.
    """

    answer: Callable[[Fold], np.ndarray]
    settings: str
    fails_below: bool


def ways(epochs: int | None) -> dict[str, Way]:
    """Returns all ways by name; ours first. `epochs` is the most that `legacy` trains for."""
    from camtrap_tf.training.recipes import recipe_settings

    def recipe(name: str, most: int | None = None) -> Way:
        """Returns the way of a recipe."""
        settings = _digest(json.dumps([recipe_settings(name), most], sort_keys=True))
        return Way(lambda fold: with_recipe(name, fold, most), settings, fails_below=False)

    def reference(function: Callable[[Fold], np.ndarray]) -> Way:
        """Returns the way of a function in here."""
        return Way(function, _digest(inspect.getsource(function)), fails_below=True)

    return {
        "finetune": recipe("finetune"),
        "logistic regression": reference(logistic_regression),
        "short Keras": reference(short_keras),
        "legacy": recipe("legacy", epochs),
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def source_digest() -> str:
    """Returns a digest of the sources that decide what weights come out of a training."""
    import camtrap_tf

    package = Path(camtrap_tf.__file__).parent
    files = sorted(path for part in SOURCES for path in (package / part).rglob("*.py"))
    return _digest("".join(path.read_text(encoding="utf-8") for path in files))


@dataclass
class Results:
    """Answers per fold, in a file of JSON lines if there is one.

    Attributes:
        path: of the file; None keeps everything in memory.
        lines: what was found or added.
    """

    path: Path | None
    lines: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path | None) -> Results:
        """Reads what is there; a line that a killed run left unfinished is passed over."""
        results = cls(path)
        for line in path.read_text(encoding="utf-8").splitlines() if path and path.exists() else []:
            try:
                results.lines.append(json.loads(line))
            except json.JSONDecodeError:
                print(f"{path}: a line that is not whole is passed over", flush=True)
        return results

    def of(self, data: DataSet, way: str, settings: str) -> dict[Key, dict[str, Any]]:
        """Returns seed and fold → its line, the newest if there are several."""
        wanted = {"data": data.name, "pictures": data.digest, "way": way, "settings": settings}
        found = [line for line in self.lines if all(line[key] == value for key, value in wanted.items())]
        return {(line["seed"], line["fold"]): line for line in found}

    def add(self, fold: Fold, way: str, settings: str, answers: Answers, seconds: float) -> None:
        """Adds a fold, in one write."""
        line = {
            "data": fold.data.name, "pictures": fold.data.digest, "way": way, "settings": settings,
            "source": source_digest(), "seed": fold.seed, "fold": fold.number, "seconds": round(seconds, 1),
            "answers": answers,
        }  # fmt: skip
        self.lines.append(line)
        if self.path is not None:
            whole = not self.path.exists() or self.path.read_bytes()[-1:] in (b"", b"\n")
            with self.path.open("a", encoding="utf-8") as file:
                file.write(("" if whole else "\n") + json.dumps(line) + "\n")


def run(data: DataSet, way: str, how: Way, results: Results, options: argparse.Namespace) -> None:
    """Runs one way over all folds that are not there yet."""
    import keras

    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for number in range(options.folds):
            if (seed, number) in results.of(data, way, how.settings):
                continue
            fold, started = Fold(data, seed, number), time.perf_counter()
            keras.utils.set_random_seed(seed)
            right = how.answer(fold) == data.labels[fold.tested]
            keras.backend.clear_session()
            seconds = time.perf_counter() - started
            answers = dict(zip(np.array(data.ids)[fold.tested].tolist(), right.tolist(), strict=True))
            results.add(fold, way, how.settings, answers, seconds)
            print(f"  {data.name}, {way}, seed {seed}, fold {number}: {right.mean():.3f} ({seconds:.0f} s)", flush=True)


def difference(ours: list[Answers], theirs: list[Answers], group_of: Mapping[str, str]) -> np.ndarray:
    """Returns the difference of accuracies, and the 2.5th and 97.5th percentile of a bootstrap over groups.

    Args:
        ours: answers of each fold.
        theirs: the same of another way.
        group_of: picture → group.
    """
    per_group: dict[str, list[int]] = {}
    for one, other in zip(ours, theirs, strict=True):
        for name in one:
            per_group.setdefault(group_of[name], []).append(int(one[name]) - int(other[name]))
    sums = np.array([sum(values) for values in per_group.values()])
    counts = np.array([len(values) for values in per_group.values()])
    drawn = np.random.default_rng(0).integers(0, len(sums), (DRAWS, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    return np.array([sums.sum() / counts.sum(), *np.percentile(means, [2.5, 97.5])])


def verdict(data: DataSet, results: Results, known: Mapping[str, Way], options: argparse.Namespace) -> bool:
    """Prints accuracies and differences on one data set; returns whether ours is good enough."""
    wanted = {
        (seed, number)
        for seed in range(options.first_seed, options.first_seed + options.seeds)
        for number in range(options.folds)
    }
    lines = {way: results.of(data, way, known[way].settings) for way in options.ways}
    lines = {way: {key: line for key, line in found.items() if key in wanted} for way, found in lines.items()}
    source = source_digest()
    for way, found in lines.items():
        right = [value for line in found.values() for value in line["answers"].values()]
        if right:
            old = sum(line["source"] != source for line in found.values() if not known[way].fails_below)
            aged = f"; {old} of these folds trained by another state of the sources" if old else ""
            print(f"{data.name}: {way} {np.mean(right):.4f} ({len(found)} of {len(wanted)} folds{aged})", flush=True)
    group_of = {path: group for path, _, group in data.rows}
    allowed = ALLOWED_PICTURES if data.name == "cats_dogs" else ALLOWED_LOSS
    good = True
    for way in options.ways[1:]:
        both = sorted(lines["finetune"].keys() & lines[way].keys())
        if not both:
            continue
        pairs = [[lines[one][key]["answers"] for key in both] for one in ("finetune", way)]
        middle, low, high = difference(*pairs, group_of)
        said = "better" if low > 0 else "worse" if high < 0 else "no difference shown"
        fails = known[way].fails_below and middle < -allowed - 1e-9
        good &= not fails
        over = "" if len(both) == len(wanted) else f" over {len(both)} folds"
        told = f"finetune - {way}{over}: {middle:+.4f} [{low:+.4f}, {high:+.4f}] {said}"
        print(f"{data.name}: {told}{'; FAILS' if fails else ''}", flush=True)
    return good


def options_of() -> argparse.Namespace:
    """Returns the options that were given."""
    known = ("finetune", "logistic regression", "short Keras", "legacy")
    parser = argparse.ArgumentParser(description="fine-tuning recipe against what people would do instead")
    parser.add_argument("--folds", type=int, default=FOLDS, help="folds to test on; the others are trained on")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--side", type=int, default=224, help="input in px")
    parser.add_argument("--events", type=int, default=200, help="events of the drawn sample")
    parser.add_argument("--data", nargs="+", default=["missouri_6species", "cats_dogs", "sample"])
    parser.add_argument("--ways", nargs="+", default=list(known), choices=known, help="ways to run; all that are there count")
    parser.add_argument("--legacy-epochs", type=int, help="the most epochs of --recipe legacy; default: its own 70")
    parser.add_argument("--results", type=Path, help="file of JSON lines to add each fold to, and to go on from")
    parser.add_argument("--report", action="store_true", help="run nothing; say what the results so far show")
    parser.add_argument("--threads", type=int, help="of an operation; default: one per core")
    options = parser.parse_args()
    options.run, options.ways = () if options.report else options.ways, known
    return options


def main() -> int:
    """Runs the data sets; returns 1 if one fails, 0 also where pictures or weights are absent (saying so)."""
    options = options_of()
    if not WEIGHTS.exists():
        print(f"skipped: {WEIGHTS.name} and the pictures are not beside this checkout (set CAMTRAP_SHARED)")
        return 0
    import tensorflow as tf

    from camtrap_tf.logs import start_logging

    start_logging(level=40)
    if options.threads:
        tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    results, known, good = Results.open(options.results), ways(options.legacy_epochs), []
    for name in options.data:
        with tempfile.TemporaryDirectory() as scratch:
            data = DataSet.read(name, Path(scratch), side=options.side, events=options.events)
            for way in options.run:
                run(data, way, known[way], results, options)
            good.append(verdict(data, results, known, options))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
