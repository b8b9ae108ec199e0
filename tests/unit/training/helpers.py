"""Tiny labelled shards, and settings of a training that takes a second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from camtrap_tf.config.training import TrainConfig
from camtrap_tf.dataset.framing import frame
from camtrap_tf.dataset.schema import encode_example
from camtrap_tf.labels import LabelMapping
from camtrap_tf.training.results import TrainResult
from camtrap_tf.training.train import train
from tests.factories import make_event, make_jpeg

COLOURS = {"lion": (200, 160, 60), "zebra": (40, 60, 160), "frog": (30, 180, 50)}
MAPPING = LabelMapping.from_classes({"species": ["zebra", "lion"], "is/there": ["no", "yes"]})
COUNTS = {"train": 12, "val": 6, "test": 6}


def labels_of(number: int, classes: Sequence[str]) -> dict[str, str]:
    """Returns the labels of a record: classes in turn, `is/there` missing in every third."""
    species = classes[number % len(classes)]
    return {"species": species, "is/there": "-1" if number % 3 == 2 else ("yes" if species == "lion" else "no")}


def write_dataset(
    folder: Path,
    *,
    mapping: LabelMapping = MAPPING,
    classes: Sequence[str] = ("lion", "zebra"),
    counts: Mapping[str, int] = COUNTS,
) -> Path:
    """Writes a shard per split, each class a colour, with one or two frames a record, and the label mapping."""
    folder.mkdir(parents=True)
    for split, count in counts.items():
        with (folder / f"{split}_001-of-001.tfrecord").open("wb") as file:
            for number in range(count):
                labels = labels_of(number, classes)
                frames = 1 + number % 2
                pictures = [make_jpeg(40, 32, colour=COLOURS[labels["species"]]) for _ in range(frames)]
                event = make_event(f"{split}{number}", pictures=["a.jpg", "b.jpg"][:frames], labels=labels)
                example = encode_example(event, list(enumerate(pictures)), mapping, label_types=("species", "is/there"))
                file.write(frame(example))
    mapping.write(folder / "label_mapping.json")
    return folder


def make_config(data: Path, out: Path, **changes: Any) -> TrainConfig:
    """Returns settings for these shards: the small network, two epochs, CPU."""
    settings: dict[str, Any] = {
        "train_tfr_path": [data],
        "val_tfr_path": [data],
        "test_tfr_path": [data],
        "labels": ["species", "is/there"],
        "model": "small_cnn",
        "output_width": 24,
        "output_height": 24,
        "batch_size": 5,
        "max_epochs": 2,
        "n_gpus": 0,
        "n_cpus": 2,
        "optimizer": "adam",
        "run_outputs_dir": out / "run",
        "model_save_dir": out / "save",
    }
    return TrainConfig(**{**settings, **changes})


def run(config: TrainConfig) -> TrainResult:
    """Trains, and returns the result."""
    result = train(config)
    assert isinstance(result, TrainResult)
    return result
