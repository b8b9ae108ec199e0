"""What `camtrap train doctor` looks for: plain functions from counts, pictures and losses to findings in plain words."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from camtrap_tf.labels import LabelMapping
from camtrap_tf.records import MISSING

FEW_RECORDS = 5
MOSTLY_MISSING = 0.5
LOPSIDED = 50
LEARNT_ACCURACY = 0.9
LEARNT_LOSS = 0.5
"""Share of the loss at the start below which a batch counts as learnt by heart."""
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: `ok`; `note`, worth knowing; `fail`, the model would not learn, or not what it should.
        text: what was found, and for `fail` what to do.
    """

    level: Literal["ok", "note", "fail"]
    text: str


def coverage(label: str, mapping: LabelMapping, counts: Mapping[str, Mapping[str, Mapping[str, int]]]) -> list[Finding]:
    """Looks at how the classes of a label type are spread over the splits.

    Args:
        label: label type.
        mapping: its classes.
        counts: `training`, `validation`, `test` → label type → class → records, missing ones under `"-1"`.
    """
    there = {split: _by_index(of_split.get(label, {}), mapping, label) for split, of_split in counts.items()}
    names, trained = mapping.names(label), there["training"]
    findings = []
    unseen = [name for name, count in zip(names, trained, strict=True) if not count]
    for split, found in there.items():
        strange = [name for name, count in zip(names, found, strict=True) if count and name in unseen]
        if strange:
            findings.append(
                Finding("fail", f"{label}: {split} has {_listed(strange)}, training has none; such records can never be right")
            )
    if unseen:
        findings.append(Finding("note", f"{label}: no training record of {_listed(unseen)}"))
    few = [f"{name} ({count})" for name, count in zip(names, trained, strict=True) if 0 < count < FEW_RECORDS]
    if few:
        findings.append(Finding("note", f"{label}: very few training records of {_listed(few)}"))
    known, missing = int(trained.sum()), counts["training"].get(label, {}).get(MISSING, 0)
    if known and missing > MOSTLY_MISSING * (known + missing):
        findings.append(Finding("note", f"{label}: missing in {missing} of {known + missing} training records"))
    seen = trained[trained > 0]
    if len(seen) > 1 and seen.max() > LOPSIDED * seen.min():
        most, least = names[int(trained.argmax())], names[int(np.where(trained > 0, trained, np.inf).argmin())]
        findings.append(
            Finding(
                "note",
                f"{label}: {most} is {seen.max() / seen.min():.0f} times as frequent as {least}; --sampling square_root or "
                "--class-weights inverse_log would help the rare ones",
            )
        )
    return findings or [Finding("ok", f"{label}: {len(seen)} classes, {known} training records, all classes in training")]


def _by_index(counts: Mapping[str, int], mapping: LabelMapping, label: str) -> np.ndarray:
    totals = np.zeros(len(mapping.names(label)), np.int64)
    for name, count in counts.items():
        index = mapping.index(label, name)
        if 0 <= index < len(totals):
            totals[index] += count
    return totals


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def value_range(images: np.ndarray, scaled: np.ndarray) -> list[Finding]:
    """Looks at the values of pictures as they enter the model, and behind its scaling.

    Args:
        images: `[B, H, W, 3]`, to be in 0 … 255.
        scaled: the same, scaled.
    """
    low, high = float(images.min()), float(images.max())
    if not np.isfinite(images).all():
        return [Finding("fail", "pictures hold values that are no numbers; the shards are damaged, build them again")]
    if low < 0 or high > 255:
        return [Finding("fail", f"pictures have values from {low:.3g} to {high:.3g}; they have to lie in 0 to 255")]
    if high <= 2.0:
        return [Finding("fail", f"the brightest pixel is {high:.3g} of 255: pictures are black; look at the shards")]
    flat = float((images.std(axis=(1, 2, 3)) < 1.0).mean())
    if flat > 0.5:
        return [Finding("fail", f"{flat:.0%} of the pictures are of one colour, with nothing to see; look at the shards")]
    findings = []
    if flat > 0.05:
        findings.append(Finding("note", f"{flat:.0%} of the pictures are of one colour"))
    mean, deviation = float(scaled.mean()), float(scaled.std())
    if abs(mean) > 3 or not 0.1 < deviation < 10:
        findings.append(
            Finding(
                "fail",
                f"behind the model's scaling, values have mean {mean:.2g} and deviation {deviation:.2g} instead of about 0 and "
                "1; check --normalisation, or image_means and image_stdevs of the model to load",
            )
        )
    good = f"pictures lie in {low:.0f} to {high:.0f}; scaled, they have mean {mean:.2f} and deviation {deviation:.2f}"
    return findings or [Finding("ok", good)]


def contradictions(images: np.ndarray, targets: Mapping[str, np.ndarray], ids: Sequence[str]) -> list[Finding]:
    """Looks for equal pictures with different labels.

    Args:
        images: `[B, H, W, 3]`.
        targets: label type → `[B]` or `[B, C]`, -1 where missing.
        ids: of the records.
    """
    rows: dict[str, list[int]] = {}
    for i, image in enumerate(images):
        rows.setdefault(hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest(), []).append(i)
    found = []
    for label, values in targets.items():
        for group in rows.values():
            known = [i for i in group if (values[i] >= 0).all()]
            if len({values[i].tobytes() for i in known}) > 1:
                found.append(f"{label}: {_listed([ids[i] for i in known])}")
    if found:
        text = "the same picture has different labels (" + "; ".join(found[:_SHOWN]) + "); correct the labels"
        return [Finding("fail", text)]
    same = sum(len(group) - 1 for group in rows.values())
    return [Finding("note", f"{same} of {len(images)} pictures occur more than once")] if same else []


def labels_in_batches(targets: Mapping[str, np.ndarray], specs_sigmoid: Sequence[str]) -> list[Finding]:
    """Looks at what a mask leaves of the labels of some batches.

    Args:
        targets: label type → `[B]` or `[B, C]`, -1 where missing.
        specs_sigmoid: label types of sigmoid heads.
    """
    findings = []
    for label, values in targets.items():
        known = values >= 0 if label not in specs_sigmoid else (values >= 0).all(axis=1)
        if not known.any():
            findings.append(
                Finding("note", f"{label}: missing in all of {len(known)} records looked at; masked there, nothing is learnt")
            )
        else:
            findings.append(
                Finding("ok", f"{label}: labelled in {known.mean():.0%} of {len(known)} records, masked in the rest")
            )
    return findings


def first_loss(label: str, loss: float, classes: int) -> list[Finding]:
    """Looks at the loss of a head before any step; guessing gives `ln(classes)`."""
    guessing = math.log(max(2, classes))
    if not math.isfinite(loss):
        return [Finding("fail", f"{label}: the loss is not a number before any step; check weights and --normalisation")]
    if loss > 3 * guessing + 2:
        return [
            Finding("note", f"{label}: the loss starts at {loss:.2f}, guessing would give {guessing:.2f}; features are large")
        ]
    return [Finding("ok", f"{label}: the loss starts at {loss:.2f}; guessing would give {guessing:.2f}")]


def usable_rates(rates: np.ndarray, losses: np.ndarray) -> tuple[float | None, float]:
    """Returns the learning rate from which on the loss grows instead of falling, and a good one well below it.

    Args:
        rates: `[N]` rising.
        losses: `[N]` after a step at each; may end in what is no number.

    Returns:
        None for the first where the loss never grew.
    """
    smooth = np.empty(len(losses))
    value = losses[0]
    for i, loss in enumerate(losses):
        value = 0.7 * value + 0.3 * loss
        smooth[i] = value
    limit = len(losses)
    least = math.inf
    for i, loss in enumerate(smooth):
        if not math.isfinite(loss) or loss > 1.5 * least + 0.5:
            limit = i
            break
        least = min(least, loss)
    if limit == 0:
        return float(rates[0]), float(rates[0]) / 10
    best = int(np.argmin(smooth[:limit]))
    return (float(rates[limit]) if limit < len(rates) else None), float(rates[best]) / 3


def rate_findings(rate: float, limit: float | None, good: float) -> list[Finding]:
    """Compares the learning rate of the settings with what the range test found."""
    if limit is not None and rate >= limit:
        return [
            Finding(
                "fail",
                f"--initial-learning-rate {rate:.3g} is too high: the loss grew from {limit:.2g} on; try {good:.1g}",
            )
        ]
    if rate < good / 300:
        return [Finding("note", f"--initial-learning-rate {rate:.3g} is low: the loss fell fastest near {good:.1g}")]
    grew = "never" if limit is None else f"from {limit:.2g} on"
    return [Finding("ok", f"learning rate {rate:.3g}: in the range test the loss grew {grew}; {good:.1g} would be safe too")]


@dataclass(frozen=True, slots=True)
class Overfitted:
    """What came of learning one batch by heart.

    Attributes:
        rate: learning rate.
        steps: taken.
        before: loss of the first step, without the penalty on weights.
        after: that of the last ones.
        accuracy: label type → share of labelled examples right at the end, in training mode; None where none has a label.
        moved: whether any weight moved.
    """

    rate: float
    steps: int
    before: float
    after: float
    accuracy: Mapping[str, float | None]
    moved: bool

    @property
    def learnt(self) -> bool:
        """Whether the batch is known by heart, as good as."""
        shares = [share for share in self.accuracy.values() if share is not None]
        right = bool(shares) and min(shares) >= LEARNT_ACCURACY
        return math.isfinite(self.after) and (right or self.after < LEARNT_LOSS * self.before)


def overfit_findings(first: Overfitted, second: Overfitted | None, *, frozen: bool) -> list[Finding]:
    """Says whether the model can learn at all, and if not, why.

    Args:
        first: at the rate of the settings.
        second: at the rate that the range test found, where the first one failed.
        frozen: whether the backbone is.
    """
    if not first.moved:
        return [
            Finding("fail", "not a single weight moved in a step: everything is frozen, or no head has a label to learn from")
        ]
    shown = ", ".join(f"{label} {share:.0%}" for label, share in first.accuracy.items() if share is not None)
    told = f"one batch, {first.steps} steps at {first.rate:.3g}: loss {first.before:.2f} → {first.after:.2f}, right: {shown}"
    if first.learnt:
        return [Finding("ok", f"{told}; the model can learn")]
    if second is not None and second.learnt:
        return [
            Finding(
                "fail",
                f"{told}: not learnt; at {second.rate:.1g} it is (loss {second.after:.2f}); "
                "set --initial-learning-rate to that",
            )
        ]
    if not math.isfinite(first.after):
        return [Finding("fail", f"{told}: the loss left the numbers; lower --initial-learning-rate")]
    if frozen:
        why = "the backbone is frozen and its features do not tell these pictures apart; train all layers, or give weights"
    elif first.after > 0.95 * first.before:
        why = "the loss does not fall at any rate tried; look at labels and pictures with `camtrap dataset preview`"
    else:
        why = "it falls, but slowly; raise --initial-learning-rate, or look again with more --doctor-steps"
    return [Finding("fail", f"{told}: not learnt; {why}")]
