"""A bundle that takes no training."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from camtrap_tf.config.training import ModelConfig
from camtrap_tf.images.stored_form import StoredForm
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.labels import LabelMapping
from camtrap_tf.models.bundle import Bundle
from camtrap_tf.models.classifier import build_classifier

MAPPING = LabelMapping({"species": {"zebra": 2, "blank": 0, "impala": 1, "Zebra": 2}, "count": {"1": 0, "2": 1}})


def write_bundle(folder: Path, *, mapping: LabelMapping = MAPPING, stacked: bool = False, seed: int = 1) -> Path:
    """Writes a small_cnn with random weights that answers clearly, not evenly; returns the folder."""
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
    for variable in model.trainable_variables:
        variable.assign(np.asarray(variable) * 1.5)
    Bundle(model, mapping, preprocessing).write(folder)
    return folder
