"""The bundle: a folder with everything that is needed to use a model.

`model.keras`, `label_mappings.json`, `image_processing.json`, and `bundle.json`, which is written last: with it
the bundle is complete.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import keras
import numpy as np
import tensorflow as tf

from camtrap_tf.config.names import MeanOfFrames
from camtrap_tf.config.training import ModelConfig
from camtrap_tf.errors import ModelError
from camtrap_tf.files import PARTIAL, sha256_file, write_json
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.labels import LabelMapping
from camtrap_tf.logs import logger
from camtrap_tf.models.classifier import build_classifier, head_specs, output_classes
from camtrap_tf.models.companions import FORMAT_VERSION, read_description, require_companions
from camtrap_tf.models.heads import HEAD_PREFIX, SOFTMAX, HeadSpec, blanks_of, head_names, probabilities_from
from camtrap_tf.models.locating import (
    BUNDLE_FILE,
    MAPPING_FILE,
    MAPPING_NAMES,
    MODEL_FILE,
    PREPROCESSING_FILE,
    PREPROCESSING_NAMES,
    ModelPlace,
    locate_json,
    locate_model,
)
from camtrap_tf.models.old_files import LEGACY_HEAD_PREFIX, NamedWeights, read_old_file
from camtrap_tf.models.scaling import NORMALISATION_LAYER, scaling_layer
from camtrap_tf.models.weights import fit, load_keras_file, unlike, weighted_layers

_CONVOLUTIONS = {
    3: "small_cnn",
    20: "ResNet18",
    36: "ResNet34",
    40: "Xception",
    53: "ResNet50",
    104: "ResNet101",
    155: "ResNet152",
    244: "InceptionResNetV2",
}
"""How many convolutions the backbones of camera-trap-classifier have, which tells them apart."""
_LOG = logger(__name__)


@dataclass
class Bundle:
    """A trained model with its classes, its preprocessing and what is known about it.

    Attributes:
        model: `images` float32 `[B, H, W, 3]` in 0 … 255 → label type → logits `[B, C]`.
        mapping: classes of the label types that the model answers; on writing it may hold more.
        preprocessing: how pictures become model input.
        info: content of `bundle.json`; empty for a bare model file.
        place: where it was read from.
    """

    model: keras.Model
    mapping: LabelMapping
    preprocessing: Preprocessing
    info: dict[str, Any] = field(default_factory=dict)
    place: ModelPlace | None = None

    @classmethod
    def read(
        cls,
        path: Path,
        *,
        class_mapping_json: Path | None = None,
        pre_processing_json: Path | None = None,
        flag: str = "--model-path",
    ) -> Bundle:
        """Reads a bundle folder, a run folder (its best model, else its highest epoch), or a model file with its JSON files.

        Old file names that are not there mean the bundle in their folder; what was chosen is logged.

        Args:
            path: folder or file.
            class_mapping_json: label mapping to use instead of the bundle's.
            pre_processing_json: image processing to use instead of the bundle's.
            flag: how the path was given, for messages.

        Raises:
            ModelError: no model there, unreadable, incomplete, with code inside, or its parts do not fit each other.
            LabelError: the label mapping is not usable.
            SourceError: one of the JSON files cannot be read.
        """
        place = locate_model(path, flag=flag)
        if place.note:
            _LOG.info("%s", place.note)
        info = _info(place)
        # the file comes first: what is no model of ours would not be one with JSON files beside it either
        loaded = None if place.kind == "legacy" else _own_model(place.file, flag)
        mapping, preprocessing = read_companions(
            place, class_mapping_json=class_mapping_json, pre_processing_json=pre_processing_json, flag=flag
        )
        if loaded is None:
            model, mapping = _legacy_model(place.file, mapping, preprocessing)
        else:
            model, mapping = loaded, _modelled(mapping, loaded)
        _check(model, mapping, preprocessing, place.file)
        _warn_of_other_scaling(model, preprocessing, place.file)
        return cls(model, mapping, preprocessing, info, place)

    @property
    def labels(self) -> tuple[str, ...]:
        """The label types that the model answers, in the order of training where it is known."""
        known = tuple(label for label in self.info.get("heads", {}) if label in self.model.output)
        return known or tuple(label for label in self.mapping.label_types if label in self.model.output)

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the model's input in px."""
        return self.preprocessing.output_height, self.preprocessing.output_width

    def classes(self, label: str) -> tuple[str, ...]:
        """Returns the class names of a label type by index."""
        return self.mapping.names(label)

    @cached_property
    def specs(self) -> dict[str, HeadSpec]:
        """Label type → what its head is."""
        return head_specs(self.model)

    @property
    def aggregation_mode(self) -> MeanOfFrames:
        """How the answers to the frames of an event become one.

        Raises:
            ModelError: `bundle.json` says something that this version does not know.
        """
        mode: MeanOfFrames = self.info.get("aggregation_mode") or "mean"
        if mode not in get_args(MeanOfFrames):
            raise ModelError(f"the bundle's aggregation_mode {mode!r} is none of {', '.join(get_args(MeanOfFrames))}; update")
        return mode

    @cached_property
    def blanks(self) -> dict[str, str]:
        """Label types with a sigmoid head → what to say where none of its classes is there."""
        return {label: names[0] for label, names in blanks_of(self.specs).items()}

    @cached_property
    def graph(self) -> Any:
        """The compiled function from pictures `[B, H, W, 3]` to label type → probabilities `[B, C]`."""
        return self._compiled(probabilities_of)

    @cached_property
    def logit_graph(self) -> Any:
        """The compiled function from pictures `[B, H, W, 3]` to label type → logits `[B, C]`."""
        return self._compiled(logits_of)

    def _compiled(self, answers: Callable[[keras.Model, tf.Tensor], dict[str, tf.Tensor]]) -> Any:
        return tf.function(
            lambda images: answers(self.model, images),
            input_signature=[tf.TensorSpec([None, *self.model.input.shape[1:]], tf.float32)],
            autograph=False,
        )

    def logits(self, images: Any) -> dict[str, np.ndarray]:
        """Returns label type → logits, float32 `[B, C]`, of pictures float32 `[B, H, W, 3]` in 0 … 255."""
        return {label: values.numpy() for label, values in self.logit_graph(tf.convert_to_tensor(images, tf.float32)).items()}

    def probabilities(self, images: Any) -> dict[str, np.ndarray]:
        """Returns the probabilities of every head.

        Args:
            images: float32 `[B, H, W, 3]` in 0 … 255.

        Returns:
            Label type → float32 `[B, C]`; rows sum to 1, but for sigmoid heads, whose classes do not exclude each other.
        """
        return {label: values.numpy() for label, values in self.graph(tf.convert_to_tensor(images, tf.float32)).items()}

    def write(self, folder: Path, *, beside: Mapping[str, Path] | None = None) -> None:
        """Writes the bundle; each file appears whole, `bundle.json` last.

        Other files in the folder are left alone. A reader that comes in between finds the digest of the model wrong
        and says so.

        Args:
            folder: of the bundle; created if needed.
            beside: name → file to copy into the bundle, e.g. the state of the optimiser.
        """
        scratch = folder / PARTIAL
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        try:
            self.model.save(scratch / MODEL_FILE)
            self.mapping.write(scratch / MAPPING_FILE)
            self.preprocessing.write(scratch / PREPROCESSING_FILE)
            self.info = {
                **self.info,
                "format_version": FORMAT_VERSION,
                "kind": "bundle",
                "heads": describe_heads(self.mapping, self.labels, self.specs),
                "model_sha256": sha256_file(scratch / MODEL_FILE),
            }
            write_json(scratch / BUNDLE_FILE, self.info)
            for name, source in (beside or {}).items():
                shutil.copyfile(source, scratch / name)
            for name in (*(beside or {}), MODEL_FILE, MAPPING_FILE, PREPROCESSING_FILE, BUNDLE_FILE):
                os.replace(scratch / name, folder / name)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def probabilities_of(model: keras.Model, images: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns label type → probabilities `[B, C]` of a classifier in inference mode."""
    specs = head_specs(model)
    return {label: probabilities_from(logits, specs[label]) for label, logits in model(images, training=False).items()}


def logits_of(model: keras.Model, images: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns label type → logits `[B, C]` of a classifier in inference mode, float32."""
    return {label: tf.cast(logits, tf.float32) for label, logits in model(images, training=False).items()}


def describe_heads(
    mapping: LabelMapping, labels: tuple[str, ...], specs: Mapping[str, HeadSpec] | None = None
) -> dict[str, dict[str, Any]]:
    """Returns what `bundle.json` says of the heads.

    Returns:
        Label type → `layer`, its name; `type`; `activation`, from logits to probabilities; `classes` by index. Ordinal heads
        also `order`, class indices from the lowest bin to the highest; sigmoid heads `blank_classes`.
    """
    names = head_names(labels)
    heads = {}
    for label in labels:
        spec = (specs or {}).get(label, SOFTMAX)
        activation = "sigmoid" if spec.kind == "sigmoid" else "softmax"
        facts = {"layer": names[label], "type": spec.kind, "activation": activation, "classes": list(mapping.names(label))}
        more = {"sigmoid": {"blank_classes": list(spec.blanks)}, "ordinal": {"order": list(spec.order)}}.get(spec.kind, {})
        heads[label] = {**facts, **more}
    return heads


def read_companions(
    place: ModelPlace,
    *,
    class_mapping_json: Path | None = None,
    pre_processing_json: Path | None = None,
    flag: str = "--model-path",
) -> tuple[LabelMapping, Preprocessing]:
    """Reads label mapping and image processing: the files given, else those beside the model, under new or old names.

    Args:
        place: of the model.
        class_mapping_json: label mapping to use instead of the one beside it.
        pre_processing_json: image processing to use instead of the one beside it.
        flag: how the path was given, for messages; those of a model to predict with have flags for the two files.

    Raises:
        ModelError: neither given nor there.
        LabelError: the label mapping is not usable.
        SourceError: one of them cannot be read.
    """
    mapping_file = None if class_mapping_json is None else locate_json(class_mapping_json, MAPPING_NAMES)
    processing_file = None if pre_processing_json is None else locate_json(pre_processing_json, PREPROCESSING_NAMES)
    mapping_file, processing_file = require_companions(place, mapping_file, processing_file, flag=flag)
    return LabelMapping.read(mapping_file), Preprocessing.read(processing_file)


def _info(place: ModelPlace) -> dict[str, Any]:
    """Returns the facts that stand beside a model, checked."""
    info = read_description(place)
    if place.kind == "run" and place.epoch is not None:
        info["epoch"] = place.epoch
    if place.kind == "bundle" and info.get("model_sha256") != sha256_file(place.file):
        raise ModelError(f"{place.file}: is not the file that {BUNDLE_FILE} describes (changed, or cut off while written)")
    return info


def _own_model(file: Path, flag: str) -> keras.Model:
    """Reads a model of ours.

    Raises:
        ModelError: the file cannot be read, holds code, or holds a model of others.
    """
    model = load_keras_file(file)
    output = getattr(model, "output", None)
    heads = {id(layer.output) for layer in model.layers if layer.name.startswith(HEAD_PREFIX)}
    if isinstance(output, Mapping) and all(id(one) in heads for one in output.values()):
        return model
    instead = ""
    if flag == "--model-to-load":
        instead = (
            f"; a new model takes the weights of its backbone with --weights {file}, where all layers are those of --model"
        )
    raise ModelError(f"{file}: not a model of camtrap train: it has no head for a label type{instead}")


def _modelled(mapping: LabelMapping, model: keras.Model) -> LabelMapping:
    """Returns the part of a mapping that the model answers."""
    selected = mapping.select(label for label in mapping.label_types if label in model.output)
    for label, spec in head_specs(model).items():
        if spec.blanks and label in selected.label_types:
            selected = selected.without(label, spec.blanks)
    return selected


def _check(model: keras.Model, mapping: LabelMapping, preprocessing: Preprocessing, file: Path) -> None:
    absent = sorted(set(model.output) - set(mapping.label_types))
    if absent:
        raise ModelError(
            f"{file}: answers label {absent[0]!r}, which the label mapping lacks; give the mapping it was trained with"
        )
    for label, count in output_classes(model, mapping.label_types).items():
        if count != len(mapping.names(label)):
            raise ModelError(
                f"{file}: has {count} classes for label {label!r}, the label mapping {len(mapping.names(label))}; "
                "give the mapping it was trained with"
            )
    size = tuple(model.input.shape[1:3])
    wanted = (preprocessing.output_height, preprocessing.output_width)
    if size != wanted:
        raise ModelError(
            f"{file}: takes pictures of {size[1]} × {size[0]} px, image processing makes {wanted[1]} × {wanted[0]}; "
            "give the image_processing.json it was trained with"
        )


def _warn_of_other_scaling(model: keras.Model, preprocessing: Preprocessing, file: Path) -> None:
    inside = {layer.name: layer for layer in model.layers}.get(NORMALISATION_LAYER)
    told = scaling_layer(preprocessing.image_means, preprocessing.image_stdevs)
    if inside is not None and not np.allclose([inside.scale, inside.offset], [told.scale, told.offset], rtol=1e-3, atol=1e-4):
        _LOG.warning("%s: its own means and deviations are used; those of image processing are other numbers", file)


def _legacy_model(file: Path, mapping: LabelMapping, preprocessing: Preprocessing) -> tuple[keras.Model, LabelMapping]:
    """Builds the network that an old file was made with, and fills it by layer name."""
    old = read_old_file(file)
    labels = legacy_labels(old.weights)
    if not labels:
        raise ModelError(
            f"{file}: has no layer {LEGACY_HEAD_PREFIX}<label type>; only camera-trap-classifier's files can be read"
        )
    mapping = mapping.select(labels)
    backbone = legacy_backbone(old.weights)
    if backbone is None:
        raise ModelError(
            f"{file}: its network is not one of {', '.join(sorted(_CONVOLUTIONS.values()))}; "
            "give it to camtrap train as --weights with the right --model"
        )
    model = build_classifier(ModelConfig(model=backbone), mapping, preprocessing)
    heads = head_names(labels)
    source = {heads[label]: old.weights[LEGACY_HEAD_PREFIX + label] for label in labels} | dict(old.weights)
    misfits = fit(weighted_layers(model), source, other=unlike(model, old.graph))[1]
    if misfits:
        raise ModelError(
            f"{file}: looks like {backbone}, but {len(misfits)} layers do not fit ({misfits[0].layer}: {misfits[0].reason}); "
            "label mapping and image processing have to be those it was trained with"
        )
    _LOG.info("%s: weights of %s taken by layer name%s", file, backbone, "" if old.graph else " (it describes no network)")
    return model, mapping


def legacy_labels(weights: NamedWeights) -> list[str]:
    """Returns the label types that an old file has heads for."""
    return [name.removeprefix(LEGACY_HEAD_PREFIX) for name in weights if name.startswith(LEGACY_HEAD_PREFIX)]


def legacy_backbone(weights: NamedWeights) -> str | None:
    """Returns the backbone of camera-trap-classifier that an old file was made with, told by its convolutions; else None."""
    return _CONVOLUTIONS.get(sum(any(array.ndim == 4 for array in arrays) for arrays in weights.values()))
