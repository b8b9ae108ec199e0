"""Random erasing, MixUp, CutMix."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from camtrap_tf.input_pipeline.seeds import example_seeds
from camtrap_tf.input_pipeline.strong_augment import (
    StrongAugmentation,
    beta_quantiles,
    erase,
    mix_batch,
    strengthen_batch,
)


def seeds(count: int) -> tf.Tensor:
    """Returns that many seeds."""
    return tf.constant(example_seeds(np.arange(count), seed=11, epoch=2))


def plain(count: int, side: int = 16) -> np.ndarray:
    """Returns pictures of one colour each: the number of the row."""
    return np.broadcast_to(np.arange(count, dtype=np.float32)[:, None, None, None], (count, side, side, 3)).copy()


def test_off_is_off() -> None:
    """Without anything asked for, pictures pass through untouched."""
    images = plain(3)
    np.testing.assert_array_equal(strengthen_batch(tf.constant(images), seeds(3), StrongAugmentation()), images)
    assert not StrongAugmentation().mixes


def test_erased_rectangles() -> None:
    """About the asked share of pictures has one rectangle of one colour, of 2 to 33 % of the area."""
    images = np.full((400, 40, 40, 3), -1.0, np.float32)
    made = erase(tf.constant(images), seeds(400), chance=0.5).numpy()
    painted = (made != -1).all(axis=-1)
    assert 0.4 < painted.any(axis=(1, 2)).mean() < 0.6
    for one, where in zip(made, painted, strict=True):
        if where.any():
            rows, columns = np.flatnonzero(where.any(axis=1)), np.flatnonzero(where.any(axis=0))
            assert where.sum() == len(rows) * len(columns)
            assert 0.01 < where.mean() < 0.37
            assert len(np.unique(one[where], axis=0)) == 1


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_quantiles_of_beta(alpha: float) -> None:
    """The table agrees with the empirical quantiles of NumPy's generator."""
    drawn = np.random.default_rng(0).beta(alpha, alpha, 200_000)
    places = np.array([0.1, 0.25, 0.5, 0.75, 0.9])
    np.testing.assert_allclose(
        beta_quantiles(alpha)[(places * 1024).round().astype(int)], np.quantile(drawn, places), atol=0.01
    )


@pytest.mark.parametrize("strong", [StrongAugmentation(mixup=0.8), StrongAugmentation(cutmix=1.0)])
def test_share_is_what_is_left_of_the_own_picture(strong: StrongAugmentation) -> None:
    """The mean of a mixture of two plain pictures is the mean of both by the share that is reported."""
    images = plain(30)
    made, mixture = mix_batch(tf.constant(images), seeds(30), strong)
    share, partner = mixture.share.numpy(), mixture.partner.numpy()
    expected = share * np.arange(30) + (1 - share) * partner
    np.testing.assert_allclose(made.numpy().mean(axis=(1, 2, 3)), expected, rtol=1e-4, atol=1e-4)
    assert len(np.unique(partner)) > 10
    assert 0.49 < share.min() < 0.65
    assert 0.85 < share.max() <= 1


def test_cutmix_pastes_and_mixup_blends() -> None:
    """CutMix has pixels of two pictures, MixUp one value all over; with both on, both occur."""
    images = plain(60)
    made, _ = mix_batch(tf.constant(images), seeds(60), StrongAugmentation(cutmix=1.0))
    assert max(len(np.unique(one)) for one in made.numpy()) == 2
    assert np.isin(made.numpy(), np.arange(60)).all()
    both, _ = mix_batch(tf.constant(images), seeds(60), StrongAugmentation(cutmix=1.0, mixup=1.0))
    whole = np.isin(both.numpy(), np.arange(60)).all(axis=(1, 2, 3))
    assert 0.25 < whole.mean() < 0.8


def test_mixing_compiles_and_repeats() -> None:
    """The same batch gives the same mixture, with and without XLA."""
    strong = StrongAugmentation(mixup=0.4, cutmix=1.0, random_erasing=0.5, randaugment=0.3)
    images = tf.constant(np.random.default_rng(0).uniform(0, 255, (6, 12, 12, 3)), tf.float32)

    def vary(x: tf.Tensor, s: tf.Tensor) -> tf.Tensor:
        """Returns the pictures, changed and mixed."""
        return mix_batch(strengthen_batch(x, s, strong), s, strong)[0]

    once = vary(images, seeds(6)).numpy()
    np.testing.assert_array_equal(once, vary(images, seeds(6)).numpy())
    compiled = tf.function(vary, jit_compile=True)(images, seeds(6)).numpy()
    assert np.mean(np.abs(compiled - once) > 0.5) < 0.02
