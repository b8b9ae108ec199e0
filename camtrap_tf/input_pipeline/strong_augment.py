"""Strong variation of whole batches: RandAugment, random erasing, MixUp, CutMix. Runs inside the train step, on its device.

Receives model inputs and one seed per example, as `augment` does, and hands on model inputs. The two that mix pictures
also hand on which picture was mixed in and how much of the own one is left, so that losses can be shared out alike.

Keras has layers of these names; they draw from a generator with a state, for a batch at once. Here all chance comes
from the seed of the example, so that a step depends on nothing but its batch.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import tensorflow as tf

from camtrap_tf.config.variation import VariationConfig
from camtrap_tf.input_pipeline.randaugment import randaugment
from camtrap_tf.input_pipeline.seeds import ERASING, MIXING, uniform

ERASED_AREA = (0.02, 0.33)
ERASED_ASPECT = 0.3
"""Least ratio of the sides of an erased rectangle. Source: Zhong et al. 2020, Random Erasing Data Augmentation."""
_QUANTILES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class StrongAugmentation:
    """What is varied, and how strongly; 0 is off.

    Attributes:
        randaugment: strength of the changes in [0, 1].
        random_erasing: chance that a rectangle of a picture is painted over, in [0, 1].
        mixup: alpha of Beta(alpha, alpha), the share of the own picture in a mixture.
        cutmix: alpha of the same, for the area of the own picture that is left.
    """

    randaugment: float = 0.0
    random_erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    @classmethod
    def from_config(cls, config: VariationConfig) -> Self:
        """Returns what the settings of a training ask for."""
        return cls(
            randaugment=config.randaugment, random_erasing=config.random_erasing, mixup=config.mixup, cutmix=config.cutmix
        )

    @property
    def mixes(self) -> bool:
        """Whether pictures are mixed."""
        return bool(self.mixup or self.cutmix)


@dataclass(frozen=True, slots=True)
class Mixture:
    """What pictures of a batch were mixed with.

    Attributes:
        partner: `[B]` int32, row of the picture mixed in.
        share: `[B]` float32 in [0.5, 1], how much of the own picture is left; the partner has the rest.
    """

    partner: tf.Tensor
    share: tf.Tensor


def strengthen_batch(images: tf.Tensor, seeds: tf.Tensor, strong: StrongAugmentation, *, stacked: bool = False) -> tf.Tensor:
    """Changes each picture of a batch by itself: RandAugment, then random erasing.

    Args:
        images: `[B, H, W, 3]` float32 in 0…255.
        seeds: `[B, 2]` int32, one per picture.
        strong: what to do.
        stacked: channels are frames; their colours are left alone.

    Returns:
        `[B, H, W, 3]` float32 in 0…255.
    """
    if strong.randaugment:
        images = randaugment(images, seeds, strength=strong.randaugment, colours=not stacked)
    if strong.random_erasing:
        images = erase(images, seeds, chance=strong.random_erasing)
    return images


def erase(images: tf.Tensor, seeds: tf.Tensor, *, chance: float) -> tf.Tensor:
    """Paints a rectangle of some pictures in one colour drawn by chance.

    Its area is 2 to 33 % of the picture, its sides are as 0.3 to 1 at most; it lies inside as a whole where it fits.

    Args:
        images: `[B, H, W, 3]` float32 in 0…255.
        seeds: `[B, 2]` int32.
        chance: of a rectangle, in [0, 1].
    """
    drawn = uniform(seeds, stream=ERASING, count=8)
    area = ERASED_AREA[0] + (ERASED_AREA[1] - ERASED_AREA[0]) * drawn[:, 1]
    aspect = tf.exp(math.log(ERASED_ASPECT) * (1.0 - 2.0 * drawn[:, 2]))
    tall, wide = tf.minimum(tf.sqrt(area * aspect), 1.0), tf.minimum(tf.sqrt(area / aspect), 1.0)
    top, left = drawn[:, 3] * (1.0 - tall), drawn[:, 4] * (1.0 - wide)
    inside = _rectangle(images, top, left, top + tall, left + wide) & (drawn[:, 0] < chance)[:, None, None]
    return tf.where(inside[..., None], 255.0 * drawn[:, None, None, 5:8], images)


def mix_batch(images: tf.Tensor, seeds: tf.Tensor, strong: StrongAugmentation) -> tuple[tf.Tensor, Mixture]:
    """Mixes each picture with another of its batch: all over (MixUp), or a rectangle of it (CutMix).

    The own picture always has the larger part, so that what is drawn into a batch stays in it. Where both are on, each
    picture gets one of them, by chance. Sources: Zhang et al. 2018, mixup; Yun et al. 2019, CutMix.

    Args:
        images: `[B, H, W, 3]` float32 in 0…255.
        seeds: `[B, 2]` int32, one per picture.
        strong: which of both, at least one.

    Returns:
        `[B, H, W, 3]` float32 in 0…255, and what was mixed with what.
    """
    drawn = uniform(seeds, stream=MIXING, count=5)
    count = tf.shape(images)[0]
    partner = tf.minimum(tf.cast(drawn[:, 0] * tf.cast(count, tf.float32), tf.int32), count - 1)
    cut = drawn[:, 1] < (0.5 if strong.mixup and strong.cutmix else float(bool(strong.cutmix)))
    blend, left = _larger_share(drawn[:, 2], strong.mixup), _larger_share(drawn[:, 2], strong.cutmix)
    half = tf.sqrt(1.0 - left) / 2.0
    y, x = drawn[:, 3], drawn[:, 4]
    taken = tf.cast(_rectangle(images, y - half, x - half, y + half, x + half), tf.float32)
    own = tf.where(cut[:, None, None], 1.0 - taken, blend[:, None, None])
    mixed = images * own[..., None] + tf.gather(images, partner) * (1.0 - own[..., None])
    return mixed, Mixture(partner, tf.reduce_mean(own, axis=[1, 2]))


def _rectangle(images: tf.Tensor, top: tf.Tensor, left: tf.Tensor, bottom: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """Returns which pixels lie in the rectangle of each picture, `[B, H, W]` bool; sides `[B]` in parts of the picture."""
    shape = tf.shape(images)
    y = (tf.cast(tf.range(shape[1]), tf.float32) + 0.5) / tf.cast(shape[1], tf.float32)
    x = (tf.cast(tf.range(shape[2]), tf.float32) + 0.5) / tf.cast(shape[2], tf.float32)
    rows = (y >= top[:, None]) & (y < bottom[:, None])
    columns = (x >= left[:, None]) & (x < right[:, None])
    return rows[:, :, None] & columns[:, None, :]


def _larger_share(drawn: tf.Tensor, alpha: float) -> tf.Tensor:
    """Turns numbers from U[0, 1) into the larger of x and 1 - x, x from Beta(alpha, alpha); ones where alpha is 0."""
    if not alpha:
        return tf.ones_like(drawn)
    drawn = 0.5 + 0.5 * drawn  # the distribution is the same seen from either end
    table = tf.constant(beta_quantiles(alpha))
    place = drawn * _QUANTILES
    low = tf.minimum(tf.cast(place, tf.int32), _QUANTILES - 1)
    return tf.gather(table, low) + (place - tf.cast(low, tf.float32)) * (tf.gather(table, low + 1) - tf.gather(table, low))


@functools.cache
def beta_quantiles(alpha: float) -> np.ndarray:
    """Returns the quantiles of Beta(alpha, alpha) at 0, 1/1024, … 1, float32, by halving intervals."""
    wanted = np.arange(_QUANTILES // 2 + 1) / _QUANTILES
    low, high = np.zeros_like(wanted), np.full_like(wanted, 0.5)
    with tf.init_scope():
        shape = tf.fill([len(wanted)], tf.constant(alpha, tf.float64))
        for _ in range(60):
            middle = (low + high) / 2
            below = tf.math.betainc(shape, shape, tf.constant(middle)).numpy() < wanted
            low, high = np.where(below, middle, low), np.where(below, high, middle)
    half = (low + high) / 2
    half[-1] = 0.5  # the distribution is the same seen from 1
    return np.concatenate([half, 1.0 - half[-2::-1]]).astype(np.float32)
