"""Rates over the steps, and which blocks are trained when."""

import math

import numpy as np
import pytest

from camtrap_tf.training.schedules import BLOCKS, RateShape, Thaw, base_rate, ramp


def shares(shape: RateShape, steps: int) -> np.ndarray:
    """Returns the shares of the first steps."""
    return np.array([float(shape(step)) for step in range(steps)])


def test_cosine_with_warm_up() -> None:
    """The rate rises in a line to the base rate, then falls like half a cosine to 0."""
    got = shares(RateShape(schedule="cosine", warmup_steps=4, total_steps=20), 21)
    expected = [(i + 1) / 4 for i in range(4)] + [0.5 * (1 + math.cos(math.pi * i / 16)) for i in range(17)]
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_steps_fall_at_their_epochs() -> None:
    """With schedule step the rate is multiplied after every so many steps."""
    got = shares(RateShape(schedule="step", every_steps=3, factor=0.1), 8)
    np.testing.assert_allclose(got, [1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01], rtol=1e-5)


def test_ramp_starts_late() -> None:
    """A ramp is 0 before its start and 1 after its steps."""
    assert [float(ramp(step, 2, start=3)) for step in range(6)] == [0, 0, 0, 0.5, 1, 1]


def test_rate_in_proportion_to_the_batch() -> None:
    """A rate for batches of 256 is a quarter of itself for batches of 64, where it is to be scaled."""
    assert base_rate(0.016, 64, scaled=True) == pytest.approx(0.004)
    assert base_rate(0.016, 64, scaled=False) == 0.016


def test_backbone_thaws_from_its_top() -> None:
    """Heads first, then block after block, each deeper one at a lower rate."""
    thaw = Thaw(head_epochs=2, unfreeze_epochs=4, backbone_rate=0.1, layer_decay=0.5)
    assert [thaw.open_blocks(epoch) for epoch in range(8)] == [0, 0, 1, 2, 3, 4, 4, 4]
    assert [thaw.share(block) for block in range(3)] == pytest.approx([0.1, 0.05, 0.025])


def test_without_unfreezing_all_blocks_are_trained_at_once() -> None:
    """By default everything is trained alike from the first epoch on."""
    assert Thaw().plain
    assert Thaw().open_blocks(0) == BLOCKS
    assert Thaw(head_epochs=3).open_blocks(2) == 0
    assert Thaw(head_epochs=3).open_blocks(3) == BLOCKS
