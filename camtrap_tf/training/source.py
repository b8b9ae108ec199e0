"""The trained model that a training starts from: its weights by name, its classes, and the state of its optimiser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from camtrap_tf.config.names import MeanOfFrames
from camtrap_tf.errors import ModelError
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.labels import LabelMapping
from camtrap_tf.logs import logger
from camtrap_tf.models.bundle import Bundle, legacy_backbone, legacy_labels, read_companions
from camtrap_tf.models.classifier import head_layers
from camtrap_tf.models.heads import SOFTMAX, HeadSpec, spec_of
from camtrap_tf.models.layer_graph import LayerGraph
from camtrap_tf.models.locating import locate_model
from camtrap_tf.models.old_files import LEGACY_HEAD_PREFIX, NamedWeights, read_old_file
from camtrap_tf.models.weights import weights_of
from camtrap_tf.training.state import TrainingState, read_state

_LOG = logger(__name__)


@dataclass(frozen=True, slots=True)
class HeadWeights:
    """Weights of a head, and what it is.

    Attributes:
        arrays: kernel `[F, C]` and bias `[C]`; of an ordinal head what its layer keeps.
        spec: what the head is.
    """

    arrays: tuple[np.ndarray, ...]
    spec: HeadSpec = SOFTMAX

    @property
    def kernel(self) -> np.ndarray:
        """From features to scores."""
        return self.arrays[0]

    @property
    def bias(self) -> np.ndarray:
        """Of each class."""
        return self.arrays[1]


@dataclass(frozen=True, slots=True)
class SourceModel:
    """A trained model, taken apart.

    Attributes:
        file: where it was read from.
        weights: of all layers, by stable layer name.
        heads: label type → weights of its head.
        mapping: classes of the heads.
        preprocessing: that it was trained with.
        backbone: its name, where known.
        epoch: epochs that it was trained for, where known.
        state: of the optimiser and the counters, where it was kept.
        digest: sha256 of the model file, where a bundle says it.
        aggregation_mode: how the answers to the frames of an event become one.
        graph: how an old file's layers are joined; empty where unknown.
    """

    file: Path
    weights: NamedWeights
    heads: Mapping[str, HeadWeights]
    mapping: LabelMapping
    preprocessing: Preprocessing
    backbone: str | None
    epoch: int | None
    state: TrainingState | None
    digest: str | None = None
    aggregation_mode: MeanOfFrames = "mean"
    graph: LayerGraph = field(default_factory=dict)


def read_source(path: Path, *, with_state: bool = False) -> SourceModel:
    """Reads a bundle, run folder (its highest epoch), `.keras` file, or an HDF5 file of camera-trap-classifier.

    Args:
        path: what `--model-to-load` says.
        with_state: whether the state of the optimiser is wanted.

    Raises:
        ModelError: no such model, or it cannot be read.
    """
    place = locate_model(path, flag="--model-to-load", prefer_best=False)
    if place.note:
        _LOG.info("%s", place.note)
    if place.kind == "legacy":
        old = read_old_file(place.file)
        weights = old.weights
        mapping, preprocessing = read_companions(place, flag="--model-to-load")
        heads = {}
        for label in legacy_labels(weights):
            arrays = weights[LEGACY_HEAD_PREFIX + label]
            if label not in mapping.label_types or len(arrays) != 2 or len(mapping.names(label)) != arrays[1].shape[0]:
                raise ModelError(
                    f"{place.file}: its head for label {label!r} does not fit the label mapping beside it; "
                    "put the mapping it was trained with there"
                )
            heads[label] = HeadWeights(tuple(arrays))
        backbone = legacy_backbone(weights)
        return SourceModel(
            place.file, weights, heads, mapping.select(heads), preprocessing, backbone, place.epoch, None, graph=old.graph
        )
    bundle = Bundle.read(place.file, flag="--model-to-load")
    state = read_state(place.file) if with_state else None
    heads = {
        label: HeadWeights(tuple(layer.get_weights()), spec_of(layer)) for label, layer in head_layers(bundle.model).items()
    }
    return SourceModel(
        place.file,
        weights_of(bundle.model),
        heads,
        bundle.mapping,
        bundle.preprocessing,
        (bundle.info.get("backbone") or {}).get("name"),
        bundle.info.get("epoch") or (state.facts.get("epoch") if state else None),
        state,
        bundle.info.get("model_sha256"),
        bundle.aggregation_mode,
    )
