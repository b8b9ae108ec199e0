"""A small bundle with untrained weights and shards of drawn pictures, for tests of what uses them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from camtrap_tf.config.training import ModelConfig
from camtrap_tf.dataset.framing import frame
from camtrap_tf.dataset.schema import encode_example
from camtrap_tf.images.stored_form import StoredForm, read_stored
from camtrap_tf.input_pipeline.frames import jpeg_input
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.labels import LabelMapping
from camtrap_tf.models.bundle import Bundle
from camtrap_tf.models.classifier import build_classifier, head_layers
from camtrap_tf.records import CaptureEvent
from tests.factories import make_jpeg

FORM = StoredForm(side_smallest_px=60)
MAPPING = LabelMapping({"species": {"blank": 0, "lion": 1, "zebra": 2}, "count": {"1": 0, "2": 1, "11-50": 2, "51+": 3}})


def untrained_bundle(*, stacked: bool = False, form: StoredForm = FORM, seed: int = 3) -> Bundle:
    """Returns a bundle of the small network for `MAPPING`, 50 × 50 px, whose answers differ from picture to picture."""
    keras.utils.set_random_seed(seed)
    preprocessing = Preprocessing(
        output_height=50,
        output_width=50,
        image_means=(0.45, 0.5, 0.55),
        image_stdevs=(0.1, 0.12, 0.15),
        image_choice_for_sets="grayscale_stacking" if stacked else "random",
        stored_form=form,
    )
    model = build_classifier(ModelConfig(model="small_cnn"), MAPPING, preprocessing)
    _spread_answers(model, preprocessing)
    info = {"heads": {label: {} for label in MAPPING.label_types}}
    return Bundle(model, MAPPING, preprocessing, info)


def _spread_answers(model: keras.Model, preprocessing: Preprocessing) -> None:
    """Scales the heads so that logits of drawn pictures have mean 0 and deviation 2: no class wins everywhere."""
    inputs = np.stack([jpeg_input(make_jpeg(60, 60, seed=i), preprocessing) for i in range(32)])
    for label, layer in head_layers(model).items():
        logits = model(inputs)[label].numpy()
        scale = logits.std(axis=0) / 2
        kernel, bias = layer.get_weights()
        layer.set_weights([kernel / scale, (bias - logits.mean(axis=0)) / scale])


def write_shard(folder: Path, events: Sequence[CaptureEvent], *, image_root: Path, form: StoredForm = FORM) -> None:
    """Writes one shard of the split test without a manifest, with the pictures of the events in stored form."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "test_001-of-001.tfrecord").open("wb") as file:
        for event in events:
            pictures = [(i, read_stored(image_root / media.path, form)) for i, media in enumerate(event.media)]
            labels = sorted({label for one in event.observations for label in one.labels})
            file.write(frame(encode_example(event, pictures, MAPPING, label_types=labels)))
