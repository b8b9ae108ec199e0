"""Rare and frequent classes: weights of examples and classes, and what of the data an epoch is made of.

Everything goes by the group of a record: the index of its class; for a sigmoid head that of the rarest class that is
there, or one more where nothing is; -1 where the label is missing. Records without a group keep the weight 1, or their
confidence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from camtrap_tf.config.heads import HeadConfig
from camtrap_tf.config.training import TrainConfig
from camtrap_tf.errors import LabelError
from camtrap_tf.input_pipeline.order import Sampling
from camtrap_tf.input_pipeline.shard_set import ShardSet
from camtrap_tf.input_pipeline.targets import target_row
from camtrap_tf.labels import UNKNOWN, LabelMapping
from camtrap_tf.logs import logger
from camtrap_tf.models.heads import HeadSpec
from camtrap_tf.models.losses import Objective
from camtrap_tf.training.inputs import Inputs

_LOG = logger(__name__)


def equal_weights(groups: np.ndarray, confidence: np.ndarray | None = None) -> np.ndarray:
    """Returns weights with which all groups have the same sum, and all weights together that of the confidences.

    `w = confidence · (n / groups) / (sum of the group's confidences)`, with n the sum of all.
    Source: `train_classifier.py` of MegaDetector's classification tools, `--label-weighted`.

    Args:
        groups: `[N]`; negative where there is none.
        confidence: `[N]`, e.g. of detections; 1 where not given.
    """
    trust = np.ones(len(groups)) if confidence is None else np.asarray(confidence, np.float64)
    return _shared_out(groups, trust, lambda totals: np.ones(len(totals)))


def root_weights(groups: np.ndarray) -> np.ndarray:
    """Returns weights with which the sum of a group goes by the square root of its size; their mean is 1.

    Source: D. Mahajan et al. (2018), Exploring the limits of weakly supervised pretraining, section 2.2.
    """
    return _shared_out(groups, np.ones(len(groups)), np.sqrt)


def _shared_out(groups: np.ndarray, trust: np.ndarray, share: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    weights = trust.copy()
    known = groups >= 0
    if known.any():
        names, numbered = np.unique(groups[known], return_inverse=True)
        totals = np.bincount(numbered, weights=trust[known], minlength=len(names))
        shares = share(totals)
        weights[known] = trust[known] * (totals.sum() * shares / shares.sum() / totals)[numbered]
    return weights


def inverse_log_weights(counts: Sequence[int] | np.ndarray) -> tuple[float, ...]:
    """Returns a weight per class, `1 / log2(1 + n)` scaled so that the mean over all records is 1.

    The scale keeps the learning rate's meaning; what classes weigh against each other is the formula's. A class without a
    record counts like one with a single record.

    Args:
        counts: `[C]` training records by class index.

    Source: `train.py --imbalanced` of the herbarium classifier of ai-taxonomist.
    """
    n = np.maximum(np.asarray(counts, np.float64), 0)
    weights = 1 / np.log2(1 + np.maximum(n, 1))
    return tuple((weights * (n.sum() / (weights * n).sum() if n.sum() else 1.0)).tolist())


def record_groups(shards: ShardSet, mapping: LabelMapping, label: str, spec: HeadSpec) -> np.ndarray:
    """Returns the group of each record, `[records]` int64; goes through the labels of all records, not their pictures."""
    indices = mapping.classes[label]
    if spec.kind != "sigmoid":
        firsts = (names[0] if names else "" for names in shards.observations(label))
        return np.fromiter((indices.get(name, UNKNOWN) for name in firsts), np.int64, len(shards))
    rows = target_rows(shards, mapping, label, spec)
    counts = np.maximum(rows, 0).sum(axis=0)
    rarest = np.where(rows > 0, counts, np.iinfo(np.int64).max).argmin(axis=1)
    groups = np.where((rows > 0).any(axis=1), rarest, rows.shape[1])
    return np.where((rows < 0).any(axis=1), UNKNOWN, groups)


def target_rows(shards: ShardSet, mapping: LabelMapping, label: str, spec: HeadSpec) -> np.ndarray:
    """Returns `[records, C]` int8: for each class of a sigmoid head whether it is there; all -1 where that is not known."""
    width = len(mapping.names(label))
    rows = np.empty((len(shards), width), np.int8)
    for number, names in enumerate(shards.observations(label)):
        rows[number] = target_row(names, mapping.classes[label], width, spec.blanks)
    return rows


def make_sampling(config: HeadConfig, label: str, groups: np.ndarray, confidences: np.ndarray | None = None) -> Sampling | None:
    """Returns which examples the settings ask an epoch to be made of; None: each once.

    Args:
        config: the settings.
        label: label type that `groups` are of.
        groups: `[records]` group of each record.
        confidences: `[records]` in [0, 1], where examples are drawn by them.

    Raises:
        LabelError: no record has a class to go by, or those of one class all have the confidence 0.
    """
    if not config.draws:
        return None
    if confidences is not None and not config.label_weighted:
        return Sampling("weighted", groups, confidences)
    if not (groups >= 0).any():
        raise LabelError(f"--sampling-label {label}: no training record has a known class of it; give another label")
    if config.max_per_class is not None:
        return Sampling("capped", groups, cap=config.max_per_class)
    if config.sampling == "balanced":
        return Sampling("balanced", groups)
    if not config.label_weighted:
        return Sampling("weighted", groups, root_weights(groups))
    known = groups >= 0
    if confidences is not None and not np.bincount(groups[known], confidences[known])[np.unique(groups[known])].all():
        raise LabelError(
            f"--weight-by-detection-conf: all records of one class of {label!r} have the confidence 0, so it cannot come as "
            "often as the others; leave the class out, or --label-weighted"
        )
    return Sampling("weighted", groups, equal_weights(groups, confidences))


def set_up_balance(config: TrainConfig, inputs: Inputs) -> tuple[Sampling | None, dict[str, Objective]]:
    """Returns which examples an epoch is made of, and label type → what is made small for its head.

    Raises:
        LabelError: no record has a class to sample by.
    """
    mapping, shards = inputs.mapping, inputs.shards["training"]
    assert mapping is not None  # without one there would have been a problem
    sampling = None
    if config.draws:
        label = config.sampling_label or config.labels[0]
        groups = record_groups(shards, mapping, label, inputs.specs[label])
        sampling = make_sampling(config, label, groups, inputs.confidences)
        sizes = np.bincount(groups[groups >= 0])
        if inputs.confidences is not None:
            shown = np.percentile(inputs.confidences, (0, 50, 100)).tolist()
            _LOG.info("drawing by detection confidence: least %.2f, median %.2f, highest %.2f", *shown)
        _LOG.info(
            "sampling by %s: classes of %d to %d records, %d records without a class",
            label, sizes[sizes > 0].min(), sizes.max(), (groups < 0).sum(),
        )  # fmt: skip
    objectives = {}
    for label in inputs.trained:
        weights = None
        if config.class_weights == "inverse_log":
            weights = inverse_log_weights(_class_counts(inputs, mapping, label))
            shown = ", ".join(f"{name} {weight:.3g}" for name, weight in zip(mapping.names(label), weights, strict=True))
            _LOG.info("weights of the classes of %s: %s", label, shown[:500])
        objectives[label] = Objective(
            kind=inputs.specs[label].kind, smoothing=config.label_smoothing, gamma=config.focal_gamma, class_weights=weights
        )
    return sampling, objectives


def _class_counts(inputs: Inputs, mapping: LabelMapping, label: str) -> np.ndarray:
    """Returns `[C]` training records of each class."""
    spec = inputs.specs[label]
    if spec.kind == "sigmoid":
        return (target_rows(inputs.shards["training"], mapping, label, spec) > 0).sum(axis=0)
    counts = np.zeros(len(mapping.names(label)), np.int64)
    for name, count in inputs.counts["training"][label].items():
        if name in mapping.classes[label]:
            counts[mapping.classes[label][name]] += count
    return counts
