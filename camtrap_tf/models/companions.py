"""The JSON files beside a model, or given in their place, checked against what the model says of itself. No TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from camtrap_tf.errors import ModelError, SettingError, SourceError, counted, suggestion
from camtrap_tf.files import path_hint, read_json
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.labels import LabelMapping
from camtrap_tf.models.locating import (
    BUNDLE_FILE,
    MAPPING_FILE,
    MAPPING_NAMES,
    PREPROCESSING_FILE,
    PREPROCESSING_NAMES,
    RUN_FILE,
    ModelPlace,
    find_json,
    locate_model,
)

FORMAT_VERSION = 2
"""Of `bundle.json` and `run.json`. 2: heads have a type. Without one they are softmax heads."""


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
        ModelError: there is no model, its description cannot be read, or one of the two is neither given nor beside it.
        SettingError: a file that is given is not there, is no image processing, or does not fit the model.
        LabelError: the label mapping is not usable.
        SourceError: a file cannot be read.
    """
    place = locate_model(model, flag=flag)
    mapping_file = _given(class_mapping_json, "--class-mapping-json", MAPPING_NAMES)
    processing_file = _given(pre_processing_json, "--pre-processing-json", PREPROCESSING_NAMES)
    heads = heads_of(read_description(place))
    own = None
    if place.kind != "file":  # what is no model of ours is said to be none before its JSON files are missed
        mapping_file, _ = require_companions(place, mapping_file, processing_file, flag=flag)
    if place.kind in ("bundle", "run"):
        own_file = place.beside(PREPROCESSING_NAMES)
        own = Preprocessing.read(own_file) if own_file is not None else None
    if mapping_file is not None:
        _check_mapping(LabelMapping.read(mapping_file), mapping_file, heads)
    if processing_file is not None:
        _check_size(Preprocessing.read(processing_file), own, processing_file)
    return place


def require_companions(
    place: ModelPlace, mapping_file: Path | None, processing_file: Path | None, *, flag: str = "--model-path"
) -> tuple[Path, Path]:
    """Returns where label mapping and image processing of a model are: those given, else those beside it, by new or old names.

    Args:
        place: of the model.
        mapping_file: label mapping that was given.
        processing_file: image processing that was given.
        flag: how the model was given, for messages; those of a model to predict with have flags for the two files.

    Raises:
        ModelError: one of them is neither given nor there.
    """
    mapping_file = mapping_file or place.beside(MAPPING_NAMES)
    processing_file = processing_file or place.beside(PREPROCESSING_NAMES)
    if mapping_file is None or processing_file is None:
        found = {MAPPING_FILE: mapping_file, PREPROCESSING_FILE: processing_file}
        absent = " and no ".join(name for name, file in found.items() if file is None)
        also = "" if flag == "--model-to-load" else "; predict and export also take --class-mapping-json, --pre-processing-json"
        raise ModelError(
            f"{place.folder}: no {absent} beside {place.file.name}; copy it from the run folder or bundle that the model "
            f"comes from{also}"
        )
    return mapping_file, processing_file


def read_description(place: ModelPlace) -> dict[str, Any]:
    """Returns the content of `bundle.json` or `run.json` beside a model; empty for a bare model file.

    Raises:
        ModelError: it is not the description of a model, or that of a later version.
    """
    name = {"bundle": BUNDLE_FILE, "run": RUN_FILE}.get(place.kind)
    if name is None:
        return {}
    path = place.folder / name
    try:
        info = read_json(path, what="description of a model")
    except SourceError as err:
        raise ModelError(str(err)) from err
    if not isinstance(info, dict) or not isinstance(info.get("format_version"), int):
        raise ModelError(f"{path}: not the description of a bundle; train writes a new one")
    if info["format_version"] > FORMAT_VERSION:
        raise ModelError(f"{path}: format {info['format_version']} is newer than this version reads ({FORMAT_VERSION}); update")
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
