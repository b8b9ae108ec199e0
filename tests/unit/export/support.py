"""A bundle that takes no training."""

from __future__ import annotations

import io
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from camtrap_tf.config.training import ModelConfig
from camtrap_tf.images.stored_form import StoredForm
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.labels import LabelMapping
from camtrap_tf.models.bundle import Bundle
from camtrap_tf.models.classifier import build_classifier
from camtrap_tf.models.heads import head_names
from tests.factories import make_jpeg

MAPPING = LabelMapping({"species": {"zebra": 2, "blank": 0, "impala": 1, "Zebra": 2}, "count": {"1": 0, "2": 1}})


def write_bundle(folder: Path, *, mapping: LabelMapping = MAPPING, stacked: bool = False, seed: int = 1) -> Path:
    """Writes a small_cnn with random weights; returns the folder.

    The heads are scaled so that logits vary by about one over pictures and classes: answers are neither even nor
    certain, and a difference in the pixels shows in them.
    """
    keras.utils.set_random_seed(seed)
    preprocessing = Preprocessing(
        output_height=40,
        output_width=48,
        image_means=(0.4, 0.5, 0.6),
        image_stdevs=(0.2, 0.25, 0.3),
        image_choice_for_sets="grayscale_stacking" if stacked else "random",
        stored_form=StoredForm(side_smallest_px=100),
    )
    model = build_classifier(ModelConfig(model="small_cnn"), mapping, preprocessing)
    drawn = [np.asarray(Image.open(io.BytesIO(make_jpeg(48, 40, seed=seed)))) for seed in range(32)]
    logits = model.predict(np.stack(drawn).astype(np.float32), verbose=0)
    for label, layer in head_names(tuple(mapping.label_types)).items():
        kernel, bias = model.get_layer(layer).weights
        centred = logits[label] - logits[label].mean(axis=0)
        bias.assign(-logits[label].mean(axis=0) / centred.std())
        kernel.assign(np.asarray(kernel) / centred.std())
    Bundle(model, mapping, preprocessing).write(folder)
    return folder
