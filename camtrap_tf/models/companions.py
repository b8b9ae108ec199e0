"""The JSON files beside a model, or given in their place, checked against what the model says of itself. No TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from camtrap_tf.errors import ModelError, SettingError, counted, suggestion
from camtrap_tf.files import path_hint, read_json
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.labels import LabelMapping
from camtrap_tf.models.locating import (
    BUNDLE_FILE,
    MAPPING_NAMES,
    PREPROCESSING_NAMES,
    RUN_FILE,
    ModelPlace,
    find_json,
    locate_model,
)


def check_companions(
    model: Path, *, class_mapping_json: Path | None = None, pre_processing_json: Path | None = None, flag: str = "--model-path"
) -> ModelPlace:
    """Makes sure that a model is there and that its label mapping and image processing can be used with it.

    What a model does not say of itself is seen when it is loaded.

    Args:
        model: as for `Bundle.read`.
        class_mapping_json: label mapping to use instead of the one beside it.
        pre_processing_json: image processing to use instead of the one beside it.
        flag: how the model was given, for messages.

    Returns:
        Where the model is.

    Raises:
        ModelError: there is no model, or its description cannot be read.
        SettingError: a file that is given is not there, is no image processing, or does not fit the model.
        LabelError: the label mapping is not usable.
        SourceError: a file cannot be read.
    """
    place = locate_model(model, flag=flag)
    mapping_file = _given(class_mapping_json, "--class-mapping-json", MAPPING_NAMES)
    processing_file = _given(pre_processing_json, "--pre-processing-json", PREPROCESSING_NAMES)
    heads = heads_of(read_description(place))
    own = None
    if place.kind in ("bundle", "run"):
        mapping_file = mapping_file or _beside(place, MAPPING_NAMES)
        own_file = _beside(place, PREPROCESSING_NAMES)
        own = Preprocessing.read(own_file) if own_file is not None else None
    if mapping_file is not None:
        _check_mapping(LabelMapping.read(mapping_file), mapping_file, heads)
    if processing_file is not None:
        _check_size(Preprocessing.read(processing_file), own, processing_file)
    return place


def read_description(place: ModelPlace) -> dict[str, Any]:
    """Returns the content of `bundle.json` or `run.json` beside a model; empty for a bare model file.

    Raises:
        ModelError: it is not the description of a model.
        SourceError: it cannot be read.
    """
    name = {"bundle": BUNDLE_FILE, "run": RUN_FILE}.get(place.kind)
    if name is None or not (place.folder / name).is_file():
        return {}
    info = read_json(place.folder / name, what="description of a model")
    if not isinstance(info, dict):
        raise ModelError(f"{place.folder / name}: not the description of a model; train writes a new one")
    return info


def heads_of(info: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns label type → facts of its head from the description of a model; empty where it does not say."""
    heads = info.get("heads")
    return heads if isinstance(heads, dict) and all(isinstance(head, dict) for head in heads.values()) else {}


def _given(path: Path | None, flag: str, names: tuple[str, ...]) -> Path | None:
    """Returns the file that a flag means, None where it is not given; raises a SettingError where it is not there."""
    if path is None:
        return None
    file = find_json(path, names)
    if not file.exists():
        raise SettingError(f"{flag} {path}: no such file{path_hint(path)}; leave the flag out to use the bundle's")
    return file


def _beside(place: ModelPlace, names: tuple[str, ...]) -> Path | None:
    return next((place.folder / name for name in names if (place.folder / name).is_file()), None)


def _check_mapping(mapping: LabelMapping, file: Path, heads: Mapping[str, Mapping[str, Any]]) -> None:
    """Makes sure that a mapping has the labels and numbers of classes of a model; raises a SettingError."""
    for label, head in heads.items():
        if label not in mapping.label_types:
            raise SettingError(
                f"{file}: lacks label {label!r}, which the model answers; give the mapping it was trained with"
                f"{suggestion(label, mapping.label_types)}"
            )
        classes = head.get("classes")
        there = len(mapping.without(label, head.get("blank_classes") or ()).names(label))
        if isinstance(classes, list) and there != len(classes):
            raise SettingError(
                f"{file}: has {counted(there, 'class', 'es')} for label {label!r}, the model {len(classes)}; "
                "give the mapping it was trained with"
            )


def _check_size(given: Preprocessing, own: Preprocessing | None, file: Path) -> None:
    """Makes sure that an image processing makes pictures of the size that a model takes; raises a SettingError."""
    if own is None:
        return
    size, wanted = (given.output_width, given.output_height), (own.output_width, own.output_height)
    if size != wanted:
        raise SettingError(
            f"{file}: makes pictures of {size[0]} × {size[1]} px, the model takes {wanted[0]} × {wanted[1]}; "
            "give the image_processing.json it was trained with"
        )
