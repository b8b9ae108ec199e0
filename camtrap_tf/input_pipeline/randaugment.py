"""RandAugment over whole batches: two changes per picture out of fourteen, all of one strength.

Source: Cubuk et al. 2020, RandAugment: Practical automated data augmentation with a reduced search space; ranges are
those of AutoAugment. Two things differ, so that a batch costs one gather instead of one per change and picture: of the
two changes drawn, those of the shape come first, and pixels are taken from the nearest one. Black where the picture does
not reach. Everything is gathers and arithmetic, so that XLA can compile it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf

from camtrap_tf.input_pipeline.seeds import RANDAUGMENT, uniform

CHANGES = (
    "none", "rotate", "shear_x", "shear_y", "translate_x", "translate_y",
    "brightness", "contrast", "colour", "sharpness", "solarize", "posterize", "autocontrast", "equalize",
)  # fmt: skip
ROUNDS = 2
MAX_DEGREES = 30.0
MAX_SHEAR = 0.3
MAX_SHIFT = 0.3
MAX_FACTOR = 0.9
MAX_BITS_LOST = 4.0
_LUMA = (0.299, 0.587, 0.114)
_LEVELS = 256


def randaugment(images: tf.Tensor, seeds: tf.Tensor, *, strength: float, colours: bool = True) -> tf.Tensor:
    """Changes each picture twice by chance.

    Args:
        images: `[B, H, W, 3]` float32 in 0…255.
        seeds: `[B, 2]` int32, one per picture.
        strength: of every change, in [0, 1].
        colours: whether channels are colours; if not, their mixture is left alone.

    Returns:
        `[B, H, W, 3]` float32 in 0…255.
    """
    drawn = uniform(seeds, stream=RANDAUGMENT, count=2 * ROUNDS)
    changes = tf.minimum(tf.cast(drawn[:, :ROUNDS] * len(CHANGES), tf.int32), len(CHANGES) - 1)
    if not colours:
        changes = tf.where(changes == CHANGES.index("colour"), 0, changes)
    signs = tf.where(drawn[:, ROUNDS:] < 0.5, -1.0, 1.0)
    return apply_changes(images, changes, signs, strength=strength)


def apply_changes(images: tf.Tensor, changes: tf.Tensor, signs: tf.Tensor, *, strength: float) -> tf.Tensor:
    """Applies changes to pictures: first those of the shape, then the others, each in order.

    Args:
        images: `[B, H, W, 3]` float32 in 0…255.
        changes: `[B, R]` int32, places in `CHANGES`.
        signs: `[B, R]` float32, -1 or 1: which way to turn, shear, move, and whether to take away or to add.
        strength: in [0, 1].
    """
    rounds = range(int(changes.shape[1]))
    images = _reshaped(images, [(changes[:, i], signs[:, i]) for i in rounds], strength)
    for i in rounds:
        images = tf.clip_by_value(_repainted(images, changes[:, i], signs[:, i], strength), 0.0, 255.0)
    return images


def _reshaped(images: tf.Tensor, drawn: Sequence[tuple[tf.Tensor, tf.Tensor]], strength: float) -> tf.Tensor:
    """Turns, shears and moves pictures; all changes of a picture in one gather."""
    shape = tf.shape(images)
    height, width = images.shape[1] or shape[1], images.shape[2] or shape[2]
    tall, wide = tf.cast(height, tf.float32), tf.cast(width, tf.float32)
    y = tf.cast(tf.range(height), tf.float32)[None, :, None] - (tall - 1.0) / 2.0
    x = tf.cast(tf.range(width), tf.float32)[None, None, :] - (wide - 1.0) / 2.0

    for change, sign in reversed(drawn):  # where an output pixel comes from: the last change is undone first

        def amount(name: str, most: float, change: tf.Tensor = change, sign: tf.Tensor = sign) -> tf.Tensor:
            """Returns by how much each picture is changed in this way, `[B, 1, 1]`."""
            return tf.where(change == CHANGES.index(name), most * strength * sign, 0.0)[:, None, None]

        angle = amount("rotate", math.radians(MAX_DEGREES))
        cos, sin = tf.cos(angle), tf.sin(angle)
        y, x = cos * y + sin * x, cos * x - sin * y
        y, x = y + amount("shear_y", MAX_SHEAR) * x, x + amount("shear_x", MAX_SHEAR) * y
        y, x = y + tall * amount("translate_y", MAX_SHIFT), x + wide * amount("translate_x", MAX_SHIFT)
    rows = tf.cast(tf.round(y + (tall - 1.0) / 2.0), tf.int32)
    columns = tf.cast(tf.round(x + (wide - 1.0) / 2.0), tf.int32)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    places = tf.where(inside, rows * width + columns, 0)
    flat = tf.reshape(images, tf.stack([shape[0], height * width, shape[3]]))
    gathered = tf.gather(flat, tf.reshape(places, [shape[0], -1]), batch_dims=1)
    return tf.reshape(tf.where(tf.reshape(inside, [shape[0], -1, 1]), gathered, 0.0), shape)


def _repainted(images: tf.Tensor, change: tf.Tensor, sign: tf.Tensor, strength: float) -> tf.Tensor:
    """Changes brightness, colours and outlines: one change per picture, none for those of the shape."""

    def chosen(name: str) -> tf.Tensor:
        """Returns which pictures are changed in this way, `[B, 1, 1, 1]`."""
        return (change == CHANGES.index(name))[:, None, None, None]

    luma = tf.reduce_sum(images * tf.constant(_LUMA), axis=-1, keepdims=True)
    low, high = tf.reduce_min(images, axis=[1, 2], keepdims=True), tf.reduce_max(images, axis=[1, 2], keepdims=True)
    # these four go away from a base or towards it; with brightness the base is black
    base = tf.where(chosen("brightness"), 0.0, images)
    base = tf.where(chosen("contrast"), tf.reduce_mean(luma, axis=[1, 2], keepdims=True), base)
    base = tf.where(chosen("colour"), luma, base)
    base = tf.where(chosen("sharpness"), _smoothed(images), base)
    made = base + (1.0 + MAX_FACTOR * strength * sign)[:, None, None, None] * (images - base)
    made = tf.where(chosen("solarize") & (images >= 255.0 * (1.0 - strength)), 255.0 - images, made)
    step = 2.0 ** math.floor(MAX_BITS_LOST * strength)
    made = tf.where(chosen("posterize"), step * tf.floor(images / step), made)
    made = tf.where(chosen("autocontrast") & (high > low), (images - low) * 255.0 / tf.where(high > low, high - low, 1.0), made)
    return tf.where(chosen("equalize"), equalized(images), made)


def _smoothed(images: tf.Tensor) -> tf.Tensor:
    """Returns pictures with each pixel mixed with its eight neighbours; the border stays. Source: Pillow's SMOOTH."""
    kernel = tf.constant([[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0]]) / 13.0
    kernels = tf.tile(kernel[:, :, None, None], [1, 1, 3, 1])
    inner = tf.nn.depthwise_conv2d(images, kernels, strides=[1, 1, 1, 1], padding="VALID")
    middle = tf.concat([images[:, 1:-1, :1], inner, images[:, 1:-1, -1:]], axis=2)
    return tf.concat([images[:, :1], middle, images[:, -1:]], axis=1)


def equalized(images: tf.Tensor) -> tf.Tensor:
    """Returns pictures in whose channels all levels are about equally frequent.

    Args:
        images: `[B, H, W, C]` float32 in 0…255.
    """
    shape = tf.shape(images)
    planes = tf.reshape(tf.transpose(tf.round(images), [0, 3, 1, 2]), [shape[0] * shape[3], -1])
    levels = tf.cast(tf.clip_by_value(planes, 0.0, _LEVELS - 1.0), tf.int32)
    count = tf.shape(levels)[0]
    bins = tf.reshape(levels + _LEVELS * tf.range(count)[:, None], [-1])
    counts = tf.math.unsorted_segment_sum(tf.ones_like(bins), bins, count * _LEVELS)
    upto = tf.cumsum(tf.reshape(counts, [count, _LEVELS]), axis=1)
    total = upto[:, -1:]
    least = tf.reduce_min(tf.where(upto > 0, upto, total), axis=1, keepdims=True)
    spread = tf.cast(total - least, tf.float32)
    table = tf.round(255.0 * tf.cast(upto - least, tf.float32) / tf.maximum(spread, 1.0))
    table = tf.where(spread > 0.0, table, tf.range(_LEVELS, dtype=tf.float32))
    made = tf.gather(tf.maximum(table, 0.0), levels, batch_dims=1)
    return tf.transpose(tf.reshape(made, tf.stack([shape[0], shape[3], shape[1], shape[2]])), [0, 2, 3, 1])
