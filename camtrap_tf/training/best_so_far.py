"""Whether the best model of a training that is gone on with is the best of the new one too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from camtrap_tf.errors import ModelError
from camtrap_tf.files import sha256_file
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.models.locating import BEST_FILE
from camtrap_tf.training.inputs import Inputs
from camtrap_tf.training.run_folder import RunFolder
from camtrap_tf.training.source import SourceModel
from camtrap_tf.training.state import state_path

_COMPARED = {
    "validation": "other validation data",
    "labels": "other labels are trained",
    "weights": "other loss weights of the labels",
    "monitor": "another --monitor",
    "aggregation": "another --aggregation-mode",
}
"""Facts of a training that its epochs can only be compared under → what to say where they differ."""
_PICTURES = ("output_height", "output_width", "image_means", "image_stdevs", "normalisation", "image_choice_for_sets")


def why_best_begins_anew(
    folder: RunFolder, inputs: Inputs, facts: Mapping[str, Any], preprocessing: Preprocessing, *, behind: int
) -> str | None:
    """Says why the best model of the training that is gone on with cannot be that of the new one.

    Where it can, it is there as `model_best.keras` afterwards.

    Args:
        folder: run folder of the new training.
        inputs: with the model that is gone on with.
        facts: of the new training, see `Training.facts`.
        preprocessing: of the new training.
        behind: epochs that lie behind.

    Returns:
        The reason; None: it can.
    """
    source = inputs.source
    if source is None or not of_this_folder(folder.path, source.file):
        return "the model to go on from is not of this run folder"
    if source.state is None:
        return f"{source.file} has no state beside it that names the best epoch"
    before = source.state.facts
    for name, said in _COMPARED.items():
        if before.get(name) != facts[name]:
            return said
    changed = _changed_heads(source, inputs) or _changed_pictures(source, preprocessing)
    if changed:
        return changed
    epoch = int((before.get("best") or {}).get("epoch", 0))
    if not 0 < epoch <= behind:
        return f"the best epoch so far is {epoch}, and {behind} lie behind" if epoch else "no epoch was the best yet"
    try:
        folder.require_best(epoch)
    except ModelError:
        return f"the model of epoch {epoch}, the best so far, is gone"
    return None


def of_this_folder(folder: Path, model_file: Path) -> bool:
    """Returns whether a model was made by the training in a run folder: it lies there, or is the bundle made of its best."""
    if model_file.parent.resolve() == folder.resolve():
        return True
    states = [state_path(model_file), state_path(folder / BEST_FILE)]
    return all(path.is_file() for path in states) and sha256_file(states[0]) == sha256_file(states[1])


def _changed_heads(source: SourceModel, inputs: Inputs) -> str | None:
    assert inputs.mapping is not None  # without one there would have been a problem
    if set(source.heads) != set(inputs.mapping.label_types):
        return "other labels"
    for label in inputs.mapping.label_types:
        if source.mapping.names(label) != inputs.mapping.names(label):
            return f"other classes of {label!r}, or in another order"
        if source.heads[label].spec != inputs.specs[label]:
            return f"another head of {label!r}"
    return None


def _changed_pictures(source: SourceModel, preprocessing: Preprocessing) -> str | None:
    same = all(getattr(source.preprocessing, name) == getattr(preprocessing, name) for name in _PICTURES)
    return None if same else "pictures are brought to the model in another way (size, scaling or frames)"
