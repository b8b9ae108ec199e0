"""What the doctor looks for."""

from __future__ import annotations

import math

import numpy as np
import pytest

from camtrap_tf.labels import LabelMapping
from camtrap_tf.training.checkups import (
    Finding,
    Overfitted,
    contradictions,
    coverage,
    first_loss,
    labels_in_batches,
    overfit_findings,
    rate_findings,
    usable_rates,
    value_range,
)

MAPPING = LabelMapping({"species": {"cat": 0, "dog": 1, "hound": 1, "fox": 2}})
PICTURES = np.random.default_rng(0).uniform(0, 255, (4, 6, 6, 3)).astype(np.float32)


def levels(findings: list[Finding]) -> list[str]:
    """Returns the levels alone."""
    return [finding.level for finding in findings]


def counts(training: dict[str, int], validation: dict[str, int]) -> dict[str, dict[str, dict[str, int]]]:
    """Returns counts by split."""
    return {"training": {"species": training}, "validation": {"species": validation}}


def test_a_class_that_training_lacks() -> None:
    """A class measured but never trained on is a failure; names of one class count together."""
    found = coverage("species", MAPPING, counts({"cat": 10, "hound": 9}, {"dog": 2, "fox": 3}))
    assert levels(found) == ["fail", "note"]
    assert "validation has fox" in found[0].text
    assert coverage("species", MAPPING, counts({"cat": 10, "hound": 9, "fox": 8}, {"dog": 2}))[0].level == "ok"


def test_rare_missing_lopsided() -> None:
    """Few records, mostly missing labels and great imbalance are worth a note each."""
    found = coverage("species", MAPPING, counts({"cat": 600, "dog": 3, "fox": 30, "-1": 900}, {"cat": 1}))
    assert levels(found) == ["note"] * 3
    assert "dog (3)" in found[0].text
    assert "missing in 900 of 1533" in found[1].text
    assert "200 times" in found[2].text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: x / 255.0, "black"),
        (lambda x: x * 300.0, "0 to 255"),
        (lambda x: x * np.nan, "no numbers"),
        (lambda x: x * 0 + 7, "one colour"),
    ],
)
def test_values_of_pictures(change: object, said: str) -> None:
    """Pictures in other ranges than 0 … 255, without numbers or with nothing to see are failures."""
    images = change(PICTURES)  # type: ignore[operator]  # parametrize gives objects
    found = value_range(images, images / 128 - 1)
    assert found[0].level == "fail"
    assert said in found[0].text


def test_values_behind_the_scaling() -> None:
    """Scaled values far from 0 and 1 are a failure; usual ones are not."""
    assert levels(value_range(PICTURES, PICTURES / 128 - 1)) == ["ok"]
    assert levels(value_range(PICTURES, PICTURES)) == ["fail"]
    assert levels(value_range(PICTURES, PICTURES / 255 / 255)) == ["fail"]


def test_contradictions() -> None:
    """Equal pictures with different labels are named; missing labels contradict nothing."""
    images = np.concatenate([PICTURES, PICTURES[:2]])
    ids = list("abcdef")
    found = contradictions(images, {"species": np.array([0, 1, 1, 1, 2, 1])}, ids)
    assert levels(found) == ["fail"]
    assert "species: a, e" in found[0].text
    assert levels(contradictions(images, {"species": np.array([0, 1, 1, 1, -1, 1])}, ids)) == ["note"]
    assert contradictions(PICTURES, {"species": np.array([0, 1, 1, 1])}, ids) == []


def test_masks() -> None:
    """How much of each label a mask leaves is said, for rows of one class and of several."""
    found = labels_in_batches({"a": np.array([0, -1, 1, 1]), "b": np.array([[-1, -1]] * 4)}, ["b"])
    assert levels(found) == ["ok", "note"]
    assert "75% of 4" in found[0].text


def test_first_loss() -> None:
    """A loss far above that of guessing is worth a note, none at all is a failure."""
    assert first_loss("a", math.log(10), 10)[0].level == "ok"
    assert first_loss("a", 40.0, 10)[0].level == "note"
    assert first_loss("a", math.nan, 10)[0].level == "fail"


def test_range_test() -> None:
    """The rate from which on the loss grows is found, and a good one lies below it."""
    rates = np.geomspace(1e-6, 1, 40)
    losses = np.where(rates < 0.05, 2.0 - 1.5 * np.clip(np.log10(rates / 1e-4) / 2.7, 0, 1), 50.0)
    limit, good = usable_rates(rates, losses)
    assert limit is not None
    assert 0.04 < limit < 0.2
    assert 1e-4 < good < limit
    assert usable_rates(rates, np.linspace(2, 1, 40))[0] is None
    assert usable_rates(rates, np.full(40, math.nan))[0] == pytest.approx(1e-6)
    assert rate_findings(1.0, limit, good)[0].level == "fail"
    assert rate_findings(good, limit, good)[0].level == "ok"
    assert rate_findings(good / 1000, limit, good)[0].level == "note"


def outcome(before: float, after: float, accuracy: float, *, moved: bool = True) -> Overfitted:
    """Returns what came of one batch."""
    return Overfitted(0.01, 60, before, after, {"species": accuracy, "count": None}, moved)


def test_one_batch_by_heart() -> None:
    """Learnt is fine; if not, the reason depends on what happened, and on what another rate gave."""
    good, bad = outcome(2.0, 0.1, 1.0), outcome(2.0, 1.99, 0.3)
    assert levels(overfit_findings(good, None, frozen=False)) == ["ok"]
    for first, second, frozen, said in (
        (bad, good, False, "set --initial-learning-rate"),
        (bad, bad, False, "dataset preview"),
        (bad, bad, True, "backbone is frozen"),
        (outcome(2.0, 1.5, 0.3), bad, False, "slowly"),
        (outcome(2.0, math.nan, 0.3), bad, False, "left the numbers"),
        (outcome(2.0, 2.0, 0.3, moved=False), None, False, "not a single weight moved"),
    ):
        found = overfit_findings(first, second, frozen=frozen)
        assert levels(found) == ["fail"]
        assert said in found[0].text
