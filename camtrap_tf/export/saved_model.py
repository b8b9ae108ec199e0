"""A bundle becomes a SavedModel: encoded pictures in, probabilities and class names out."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from camtrap_tf.errors import ModelError
from camtrap_tf.export.layout import (
    ASSETS,
    BUNDLE_JSON,
    EXPORT_JSON,
    FRAMES_PER_STACK,
    IMAGE_PROCESSING_JSON,
    LABEL_MAPPINGS_JSON,
    OutputNames,
    export_facts,
    output_names,
)
from camtrap_tf.files import sha256_file, write_json
from camtrap_tf.images.stored_form import StoredForm, to_stored_form
from camtrap_tf.input_pipeline.frames import pictures_to_inputs
from camtrap_tf.models.bundle import Bundle, logits_of, probabilities_of
from camtrap_tf.models.heads import probabilities_from
from camtrap_tf.prediction.aggregation import Combining

TOLERANCE = 1e-5
"""Probabilities of the export and of the bundle differ by this at most. Source: ARCHITECTURE.md, point 4."""


@contextmanager
def full_precision() -> Iterator[None]:
    """Turns TensorFloat-32 off: with it GPUs round products so coarsely that equal graphs differ by more than the tolerance."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def write_saved_model(bundle: Bundle, folder: Path) -> dict[str, OutputNames]:
    """Writes the graph and its assets.

    Returns:
        Label type → names of its outputs.
    """
    outputs = output_names(bundle.labels)
    # The Keras model stays outside: what is saved are its variables and the graphs that read them.
    module = tf.Module(name="camtrap_tf")
    module.model_variables = [variable.value for variable in bundle.model.variables]
    try:
        tf.saved_model.save(module, str(folder), signatures=_signatures(bundle, outputs))
    except (OSError, tf.errors.OpError) as err:
        raise ModelError(
            f"{folder}: the SavedModel cannot be written ({str(err).splitlines()[0]}); make room or choose another"
        ) from err
    assets = folder / ASSETS
    assets.mkdir()
    write_json(assets / LABEL_MAPPINGS_JSON, bundle.mapping.as_json())
    write_json(assets / IMAGE_PROCESSING_JSON, bundle.preprocessing.as_json())
    write_json(assets / BUNDLE_JSON, bundle.info)
    digest = bundle.info.get("model_sha256") or (sha256_file(bundle.place.file) if bundle.place else None)
    facts = export_facts(
        outputs=outputs,
        input_name=input_name(bundle),
        model_sha256=digest,
        aggregation_mode=bundle.aggregation_mode,
        blanks=bundle.blanks,
    )
    write_json(assets / EXPORT_JSON, facts)
    return outputs


def _signatures(bundle: Bundle, outputs: dict[str, OutputNames]) -> dict[str, Any]:
    """Returns the graphs by the name that clients call them by: decode, stored size, model input, network, class names."""
    preprocessing = bundle.preprocessing
    class_names = {label: list(bundle.mapping.names(label)) for label in bundle.labels}

    def named(probabilities: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Puts probabilities under the names of the outputs, classes beside them."""
        answers: dict[str, tf.Tensor] = {}
        for label, names in outputs.items():
            answers[names.scores] = probabilities[label]
            answers[names.classes] = tf.tile(tf.constant([class_names[label]]), [tf.shape(probabilities[label])[0], 1])
        return answers

    def from_pixels(images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Answers model inputs `[B, H, W, 3]`."""
        return named(probabilities_of(bundle.model, images))

    def from_encoded(encoded: tf.Tensor) -> dict[str, tf.Tensor]:
        """Answers picture files `[B]`."""
        return from_pixels(pictures_to_inputs(encoded, preprocessing))

    def from_frames(frames: tf.Tensor) -> dict[str, tf.Tensor]:
        """Answers the frames `[B, F]` of events."""
        return named(event_probabilities(bundle, frames))

    shape = [None, FRAMES_PER_STACK] if preprocessing.stacked else [None]
    encoded = tf.TensorSpec(shape, tf.string, name=input_name(bundle))
    pixels = tf.TensorSpec([None, *bundle.input_size, 3], tf.float32, name="images")
    signatures = {
        "serving_default": tf.function(from_encoded, autograph=False).get_concrete_function(encoded),
        "float": tf.function(from_pixels, autograph=False).get_concrete_function(pixels),
    }
    if not preprocessing.stacked:
        frames = tf.TensorSpec([None, None], tf.string, name="frames")
        signatures["event"] = tf.function(from_frames, autograph=False).get_concrete_function(frames)
    return signatures


def event_probabilities(bundle: Bundle, frames: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns the probabilities of events, from their frames one by one; graph code.

    Args:
        bundle: says how the answers to frames become one. Not one whose model sees frames stacked.
        frames: `[N, K]` strings, encoded pictures of N events; empty texts where an event has fewer than K.

    Returns:
        Label type → float32 `[N, C]`. An event without any frame is an error of the graph.
    """
    there = tf.strings.length(frames) > 0
    check = tf.debugging.assert_equal(
        tf.reduce_all(tf.reduce_any(there, axis=1)), True, "every event needs a frame that is not empty"
    )
    with tf.control_dependencies([check]):
        places = tf.where(there)
    images = pictures_to_inputs(tf.gather_nd(frames, places), bundle.preprocessing)
    of_logits = bundle.aggregation_mode == "mean_logits"
    answers = (logits_of if of_logits else probabilities_of)(bundle.model, images)
    means = {label: tf.math.segment_mean(values, places[:, 0]) for label, values in answers.items()}
    return {label: probabilities_from(mean, bundle.specs[label]) for label, mean in means.items()} if of_logits else means


def input_name(bundle: Bundle) -> str:
    """Returns the name of the input: `frames` of a stacked model, else `image`."""
    return "frames" if bundle.preprocessing.stacked else "image"


def check(folder: Path, bundle: Bundle, outputs: dict[str, OutputNames]) -> float:
    """Loads a SavedModel and compares its answers to drawn pictures with those of the bundle.

    Returns:
        The largest difference of a probability.

    Raises:
        ModelError: it is above the tolerance, or the class names differ.
    """
    encoded = tf.constant(_drawn_pictures(bundle))
    images = pictures_to_inputs(encoded, bundle.preprocessing)
    expected = bundle.probabilities(images.numpy())
    loaded = tf.saved_model.load(str(folder))
    signatures = loaded.signatures
    answers = {
        "serving_default": signatures["serving_default"](**{input_name(bundle): encoded}),
        "float": signatures["float"](images=images),
    }
    wanted = dict.fromkeys(answers, expected)
    if "event" in signatures:
        answers["event"] = signatures["event"](frames=encoded[None])
        wanted["event"] = _of_one_event(bundle, images.numpy())
    deviation = 0.0
    for signature, answer in answers.items():
        for label, names in outputs.items():
            difference = float(np.max(np.abs(answer[names.scores].numpy() - wanted[signature][label])))
            # Written so that NaN fails too.
            if not difference <= TOLERANCE:
                raise ModelError(
                    f"the SavedModel's signature {signature!r} differs from the bundle by {difference:.1e} for label {label!r} "
                    f"(allowed: {TOLERANCE:.0e}); nothing was written. Is the bundle's model in order?"
                )
            if [name.decode() for name in answer[names.classes].numpy()[0]] != list(bundle.mapping.names(label)):
                raise ModelError(
                    f"the SavedModel's class names of label {label!r} differ from the bundle's; nothing was written"
                )
            deviation = max(deviation, difference)
    return deviation


def _of_one_event(bundle: Bundle, images: np.ndarray) -> dict[str, np.ndarray]:
    """Returns label type → `[1, C]`, the bundle's answer to pictures `[K, H, W, 3]` that are frames of one event."""
    combining = Combining.of(bundle.aggregation_mode, bundle.specs)
    frames = bundle.logits(images) if combining.of_logits else bundle.probabilities(images)
    return {label: combining.combined(label, values)[None] for label, values in frames.items()}


def _drawn_pictures(bundle: Bundle) -> list[bytes] | list[list[bytes]]:
    """Returns pictures in stored form, wide and high, larger and smaller than the input; for stacked models events of them."""
    form = bundle.preprocessing.stored_form or StoredForm()
    pictures = [to_stored_form(_drawn(width, height), form) for width, height in ((800, 600), (90, 120))]
    if bundle.preprocessing.stacked:
        return [[*pictures, pictures[0]], [pictures[1], b"", b""]]
    return pictures


def _drawn(width: int, height: int) -> bytes:
    across, down = np.meshgrid(np.linspace(0, 6, width), np.linspace(0, 4, height))
    waves = np.stack([np.sin(across * down), np.cos(across + down), np.sin(across) * np.cos(down)], axis=-1)
    buffer = io.BytesIO()
    Image.fromarray(np.uint8(127.5 + 127 * waves)).save(buffer, "PNG")
    return buffer.getvalue()
