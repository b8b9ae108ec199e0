"""What an export looks like on disk: `<folder of versions>/<number>/` with a SavedModel and, in `assets.extra/`, what it means.

No TensorFlow in here: folders, names of outputs, and the table that says which output answers which label.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from camtrap_tf.config.names import MeanOfFrames
from camtrap_tf.errors import CamtrapError, ModelError
from camtrap_tf.files import path_hint, read_json
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.labels import LabelMapping

ASSETS = "assets.extra"
EXPORT_JSON = "export.json"
LABEL_MAPPINGS_JSON = "label_mappings.json"
IMAGE_PROCESSING_JSON = "image_processing.json"
BUNDLE_JSON = "bundle.json"

FORMAT_VERSION = 1
KIND = "saved_model"
FRAMES_PER_STACK = 3
"""Frames that a model with grayscale stacking looks at together."""


@dataclass(frozen=True, slots=True)
class OutputNames:
    """How the two outputs of a label are called in the signature.

    Attributes:
        scores: `[N, C]` float32, probabilities.
        classes: `[N, C]` string, names of the classes.
    """

    scores: str
    classes: str


def output_names(labels: Iterable[str]) -> dict[str, OutputNames]:
    """Returns the names of the outputs per label type: `<label>` and `<label>_classes` wherever these can be used.

    Changed are: characters that do not print (to `_`), empty names, the suffix `_bytes` (TensorFlow Serving encodes
    such outputs in base 64, `Source:` its REST API guide), and names that another label took before.
    """
    taken: set[str] = set()
    names: dict[str, OutputNames] = {}
    for label in labels:
        base = "".join(c if c.isprintable() else "_" for c in label).strip() or "label"
        base = re.sub(r"_bytes$", "_bytes_", base)
        name, number = base, 1
        while {name, f"{name}_classes"} & taken:
            number += 1
            name = f"{base}_{number}"
        taken |= {name, f"{name}_classes"}
        names[label] = OutputNames(scores=name, classes=f"{name}_classes")
    return names


def versions(folder: Path) -> list[int]:
    """Returns the version numbers below a folder of versions, in ascending order; empty if it does not exist."""
    if not folder.is_dir():
        return []
    return sorted(int(child.name) for child in folder.iterdir() if re.fullmatch(r"[1-9][0-9]*", child.name) and child.is_dir())


def find_version(path: Path) -> Path:
    """Returns the version folder that a path means: itself, or the highest version below it.

    Raises:
        ModelError: there is none.
    """
    if (path / "saved_model.pb").is_file():
        return path
    if not path.is_dir():
        hint = path_hint(path)
        export = f"; make an export first: camtrap export --model <bundle> --output-dir {path}"
        raise ModelError(f"{path}: no such folder{hint if 'did you mean' in hint else export}")
    complete = [number for number in versions(path) if (path / str(number) / "saved_model.pb").is_file()]
    if not complete:
        looks = (
            "a bundle, not an export of it"
            if (path / BUNDLE_JSON).is_file()
            else "neither a SavedModel nor a folder of versions"
        )
        raise ModelError(
            f"{path}: this is {looks}; make an export first: camtrap export --model <bundle> --output-dir <folder>"
        )
    return path / str(complete[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """An export as its `assets.extra/` describes it.

    Attributes:
        folder: of the version.
        name: of the folder of versions; the model name for TensorFlow Serving.
        version: name of the version folder.
        outputs: label type → names of its outputs.
        classes: label type → class names in index order; label types in the order of the model's heads.
        preprocessing: what pictures are brought to before the model sees them. A stacked model takes three frames
            of an event together (input `frames`), others single pictures (`image`).
        model_sha256: digest of the model file it was made from; None if it is not known.
        aggregation_mode: how the answers to the frames of an event become one, in the signature `event` too.
        blanks: label types with a sigmoid head → name for nothing being there.
    """

    folder: Path
    name: str
    version: str
    outputs: Mapping[str, OutputNames]
    classes: Mapping[str, tuple[str, ...]]
    preprocessing: Preprocessing
    model_sha256: str | None
    aggregation_mode: MeanOfFrames = "mean"
    blanks: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Export:
        """Reads what a version folder says about itself.

        Raises:
            ModelError: it was not made by `camtrap export`, or by another version of it.
        """
        assets = folder / ASSETS
        if not (assets / EXPORT_JSON).is_file():
            raise ModelError(
                f"{folder}: a SavedModel without {ASSETS}/{EXPORT_JSON}; only exports of `camtrap export` can be served"
            )
        try:
            facts = read_json(assets / EXPORT_JSON, what="export description")
            if facts.get("kind") != KIND or facts.get("format_version") != FORMAT_VERSION:
                raise ModelError(
                    f"{folder}: format {facts.get('format_version')!r} of a {facts.get('kind')!r}; this version reads format "
                    f"{FORMAT_VERSION} of a {KIND!r}: export the bundle again"
                )
            return cls._from_facts(folder, facts)
        except ModelError:
            raise
        except (CamtrapError, KeyError, TypeError, ValueError, AttributeError) as err:
            raise ModelError(f"{folder}: its {ASSETS} are damaged ({err}); export the bundle again") from err

    @classmethod
    def _from_facts(cls, folder: Path, facts: Mapping[str, Any]) -> Export:
        assets = folder / ASSETS
        mapping = LabelMapping.read(assets / LABEL_MAPPINGS_JSON)
        outputs = {label: OutputNames(**names) for label, names in facts["outputs"].items()}
        where = folder.resolve()
        return cls(
            folder=folder,
            name=where.parent.name or "model",
            version=where.name,
            outputs=outputs,
            classes={label: mapping.names(label) for label in outputs},
            preprocessing=Preprocessing.read(assets / IMAGE_PROCESSING_JSON),
            model_sha256=facts["model_sha256"],
            aggregation_mode=_mode(facts.get("aggregation_mode", "mean")),
            blanks={label: str(name) for label, name in facts.get("blanks", {}).items()},
        )


def _mode(name: Any) -> MeanOfFrames:
    if name not in get_args(MeanOfFrames):
        raise ValueError(f"aggregation_mode {name!r} is not known")
    mode: MeanOfFrames = name
    return mode


def export_facts(
    *,
    outputs: Mapping[str, OutputNames],
    input_name: str,
    model_sha256: str | None,
    aggregation_mode: MeanOfFrames = "mean",
    blanks: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Returns the content of `export.json`."""
    return {
        "format_version": FORMAT_VERSION,
        "kind": KIND,
        "input": input_name,
        "outputs": {label: {"scores": names.scores, "classes": names.classes} for label, names in outputs.items()},
        "model_sha256": model_sha256,
        "aggregation_mode": aggregation_mode,
        "blanks": dict(blanks or {}),
    }
