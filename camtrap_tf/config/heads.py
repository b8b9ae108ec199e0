"""Settings of the heads and of data in which some classes are far more frequent than others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from camtrap_tf.config.base import StageConfig
from camtrap_tf.config.names import ClassWeights, HeadType, MeanOfFrames, Sampling
from camtrap_tf.errors import suggestion


def _pairs(value: Any) -> Any:
    """Lets YAML say `head_types: {species: sigmoid}` too."""
    return tuple(f"{label}={kind}" for label, kind in value.items()) if isinstance(value, Mapping) else value


class HeadConfig(StageConfig):
    """What the heads answer, and how rare classes are treated."""

    head_types: Annotated[tuple[str, ...], BeforeValidator(_pairs)] = Field(
        (),
        description="kind of head where it is not softmax, e.g. species=sigmoid count=ordinal; softmax: one class, "
        "sigmoid: any number of classes, ordinal: count bins in their order",
    )
    blank_classes: tuple[str, ...] = Field(
        ("blank", "empty"),
        min_length=1,
        description="classes that mean nothing is there; in sigmoid heads they are no class of their own",
    )
    aggregation_mode: MeanOfFrames | None = Field(
        None,
        description="how the answers to an event's frames become one, in the bundle too: mean of probabilities or mean_logits; "
        "default: that of the model that is continued, else mean",
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of each target that is spread over all classes")
    focal_gamma: float = Field(0.0, ge=0, description="focal loss: how little well recognised examples count; 0: as all others")

    class_weights: ClassWeights = Field(
        "none", description="weight of a class in the loss; inverse_log: 1 / log2(1 + its training records), mean 1"
    )
    label_weighted: bool = Field(
        False, description="draw training examples with replacement so that all classes come equally often"
    )
    weight_by_detection_conf: bool = Field(
        False,
        description="draw training examples with replacement by how sure the detector was of them; with --label-weighted "
        "within each class",
    )
    detection_conf_field: str = Field("detection_conf", min_length=1, description="meta data field with that confidence")
    detection_conf_calibration: Path | None = Field(
        None, description=".npz with the arrays x and y: the share of right detections y at confidence x, to draw by"
    )
    sampling: Sampling = Field(
        "all",
        description="examples of an epoch; all: each once, square_root: drawn, classes by the root of their number, "
        "balanced: drawn, all classes in every batch",
    )
    max_per_class: int | None = Field(
        None, ge=1, description="at most so many records of a class in an epoch, each time others"
    )
    sampling_label: str | None = Field(None, description="label whose classes sampling goes by; default: the first of --labels")

    def head_type(self, label: str) -> HeadType:
        """Returns the kind of head of a label type."""
        return self.given_head_types().get(label, "softmax")

    def given_head_types(self) -> dict[str, HeadType]:
        """Returns label type → kind of head, as far as given."""
        return {label: kind for label, _, kind in (pair.rpartition("=") for pair in self.head_types)}  # type: ignore[misc]  # the pairs were checked when the settings were made

    @property
    def draws(self) -> bool:
        """Whether an epoch is something else than every training example once."""
        return self.label_weighted or self.weight_by_detection_conf or self.sampling != "all" or self.max_per_class is not None

    @model_validator(mode="after")
    def _check_heads(self) -> Self:
        labels: tuple[str, ...] = getattr(self, "labels", ())
        for pair in self.head_types:
            label, sign, kind = pair.rpartition("=")
            if not sign or not label:
                raise ValueError(f"--head-types {pair}: is not label=type, e.g. species=sigmoid")
            if kind not in get_args(HeadType):
                raise ValueError(f"--head-types {pair}: no such type{suggestion(kind, get_args(HeadType))}")
            if label not in labels:
                raise ValueError(f"--head-types {pair}: {label!r} is not in --labels{suggestion(label, labels)}")
        if len({pair.rpartition("=")[0] for pair in self.head_types}) < len(self.head_types):
            raise ValueError("--head-types names a label type twice")
        if self.sampling_label is not None and self.sampling_label not in labels:
            raise ValueError(
                f"--sampling-label {self.sampling_label}: not in --labels{suggestion(self.sampling_label, labels)}"
            )
        chosen = [
            flag
            for flag, on in (
                ("--label-weighted", self.label_weighted),
                ("--weight-by-detection-conf", self.weight_by_detection_conf and not self.label_weighted),
                ("--sampling", self.sampling != "all"),
                ("--max-per-class", self.max_per_class is not None),
            )
            if on
        ]
        if len(chosen) > 1:
            raise ValueError(f"{' and '.join(chosen)} exclude each other; give one")
        if not self.weight_by_detection_conf:
            for key in ("detection_conf_field", "detection_conf_calibration"):
                if getattr(self, key) != type(self).model_fields[key].default:
                    raise ValueError(f"--{key.replace('_', '-')} goes with --weight-by-detection-conf")
        if self.sampling_label is not None and chosen in ([], ["--weight-by-detection-conf"]):
            raise ValueError("--sampling-label goes with --label-weighted, --sampling or --max-per-class")
        return self
