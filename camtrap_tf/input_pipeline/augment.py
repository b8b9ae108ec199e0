"""Chance variation of whole batches: mirrored, rotated, recoloured. Runs inside the train step, on its device.

Receives model inputs and one seed per example, hands on model inputs. Equal seeds give equal results, whatever the batch.
Everything is gathers and arithmetic over the batch, so that XLA can compile it. Zoom and crop are drawn on the host,
where pictures are cut and resized anyway (`frames.random_windows`).

Distributions are camera-trap-classifier's. One thing differs: pictures are rotated after they are resized, not before;
where the aspect ratio is not preserved, the angle is that of the squeezed picture.
"""

from __future__ import annotations

import math

import tensorflow as tf

from camtrap_tf.config.names import ColorAugmentation
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.input_pipeline.seeds import COLOUR, FLIP, ROTATION, uniform

BRIGHTNESS = 0.2
SATURATION = (0.8, 1.2)
HUE = 0.05
CONTRAST = (0.9, 1.3)
CHROMA = 0.05


def augment_batch(images: tf.Tensor, seeds: tf.Tensor, preprocessing: Preprocessing) -> tf.Tensor:
    """Mirrors, rotates and recolours each picture of a batch by chance, as the preprocessing says.

    Args:
        images: `[B, H, W, 3]` float32 in 0…255.
        seeds: `[B, 2]` int32, one per picture.

    Returns:
        `[B, H, W, 3]` float32 in 0…255.
    """
    turned = rotate_and_flip(
        images, seeds, max_degrees=preprocessing.rotate_by_angle, flip=preprocessing.randomly_flip_horizontally
    )
    if preprocessing.colours == "none":
        return turned
    return 255.0 * recolour(turned / 255.0, seeds, preprocessing.colours)


def rotate_and_flip(images: tf.Tensor, seeds: tf.Tensor, *, max_degrees: float, flip: bool) -> tf.Tensor:
    """Rotates by an angle from U(-max, max) about the centre, then mirrors left to right with a chance of a half.

    Nearest pixel, black where the picture does not reach. One gather does both.

    Args:
        images: `[B, H, W, C]` float32.
        seeds: `[B, 2]` int32.
        max_degrees: largest angle, in degrees.
        flip: whether to mirror at all.

    Returns:
        `[B, H, W, C]` float32.
    """
    if not max_degrees and not flip:
        return images
    if not max_degrees:
        mirrored = uniform(seeds, stream=FLIP, count=1)[:, :, None, None] < 0.5
        return tf.where(mirrored, tf.reverse(images, axis=[2]), images)
    shape = tf.shape(images)
    height, width = images.shape[1] or shape[1], images.shape[2] or shape[2]
    angles = math.radians(max_degrees) * (2.0 * uniform(seeds, stream=ROTATION, count=1)[:, 0] - 1.0)
    mirror = tf.zeros_like(angles, tf.bool)
    if flip:
        mirror = uniform(seeds, stream=FLIP, count=1)[:, 0] < 0.5
    rows, columns = _sources(angles, mirror, height, width)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    indices = tf.where(inside, rows * width + columns, 0)
    flat = tf.reshape(images, tf.stack([shape[0], height * width, shape[3]]))
    gathered = tf.gather(flat, tf.reshape(indices, [shape[0], -1]), batch_dims=1)
    black = tf.where(tf.reshape(inside, [shape[0], -1, 1]), gathered, 0.0)
    return tf.reshape(black, shape)


def _sources(angles: tf.Tensor, mirror: tf.Tensor, height: int, width: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the row and column that each output pixel comes from, int32 `[B, H, W]` each, some outside the picture."""
    centre_y, centre_x = (tf.cast(height, tf.float32) - 1.0) / 2.0, (tf.cast(width, tf.float32) - 1.0) / 2.0
    y = tf.cast(tf.range(height), tf.float32)[None, :, None] - centre_y
    x = tf.cast(tf.range(width), tf.float32)[None, None, :] - centre_x
    x = tf.where(mirror[:, None, None], -x, x)
    cos, sin = tf.cos(angles)[:, None, None], tf.sin(angles)[:, None, None]
    rows = tf.round(cos * y + sin * x + centre_y)
    columns = tf.round(cos * x - sin * y + centre_x)
    return tf.cast(rows, tf.int32), tf.cast(columns, tf.int32)


def recolour(images: tf.Tensor, seeds: tf.Tensor, colours: ColorAugmentation) -> tf.Tensor:
    """Varies the colours of each picture by chance.

    `little`: brightness and saturation in either order. `full_fast`: brightness and a shift of both chroma channels.
    `full_randomized`: brightness, saturation, hue and contrast in one of the four orders of `ORDERS`.

    Args:
        images: `[B, H, W, 3]` float32 in [0, 1].
        seeds: `[B, 2]` int32.
        colours: which of the above.

    Returns:
        `[B, H, W, 3]` float32, cut to [0, 1].
    """
    drawn = uniform(seeds, stream=COLOUR, count=5)
    brightness = _between(drawn[:, 1], -BRIGHTNESS, BRIGHTNESS)
    if colours == "full_fast":
        chroma = _between(drawn[:, 2:4], -CHROMA, CHROMA)
        images = images + brightness + _chroma_shift(chroma[..., 0], chroma[..., 1])
    elif colours == "little":
        images = _in_order(images, drawn[:, 0] < 0.5, brightness, _between(drawn[:, 2], *SATURATION))
    elif colours == "full_randomized":
        order = tf.cast(drawn[:, 0] * len(ORDERS), tf.int32)
        images = _in_orders(
            images,
            order,
            brightness=brightness,
            saturation=_between(drawn[:, 2], *SATURATION),
            hue=_between(drawn[:, 3], -HUE, HUE),
            contrast=_between(drawn[:, 4], *CONTRAST),
        )
    return tf.clip_by_value(images, 0.0, 1.0)


ORDERS = ("BSHC", "SBCH", "CHBS", "HSCB")
"""The orders of `full_randomized`: brightness, saturation, hue, contrast by first letter."""


def _between(drawn: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """Returns numbers from U[low, high), shaped to be spread over pixels: `[B, 1, 1, …]`."""
    value = low + (high - low) * drawn
    return value[:, None, None, None] if drawn.shape.rank == 1 else value[:, None, None, None, :]


def _in_order(images: tf.Tensor, brightness_first: tf.Tensor, brightness: tf.Tensor, saturation: tf.Tensor) -> tf.Tensor:
    first = brightness_first[:, None, None, None]
    images = images + tf.where(first, brightness, 0.0)
    return adjust_saturation(images, saturation) + tf.where(first, 0.0, brightness)


def _in_orders(
    images: tf.Tensor, order: tf.Tensor, *, brightness: tf.Tensor, saturation: tf.Tensor, hue: tf.Tensor, contrast: tf.Tensor
) -> tf.Tensor:
    """Applies four changes in the order that each picture drew, in one pass for all.

    Brightness commutes with hue and contrast, saturation with hue. So each of the four orders equals what it leaves of
    brightness · saturation · hue · contrast · saturation · hue · brightness once idle steps are left out.
    """

    def only(steps: tuple[int, ...], value: tf.Tensor, idle: float) -> tf.Tensor:
        active = tf.reduce_any(order[:, None] == tf.constant(steps), axis=1)
        return tf.where(active[:, None, None, None], value, idle)

    images = images + only((0, 2), brightness, 0.0)
    images = adjust_hue_and_saturation(images, only((0, 3), hue, 0.0), only((0, 1, 3), saturation, 1.0))
    images = adjust_contrast(images, contrast)
    images = adjust_hue_and_saturation(images, only((1, 2), hue, 0.0), only((2,), saturation, 1.0))
    return images + only((1, 3), brightness, 0.0)


def adjust_saturation(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Scales the saturation (of HSV) of `[B, H, W, 3]` pictures, up to full saturation; hue and value stay."""
    value = tf.reduce_max(images, axis=-1, keepdims=True)
    chroma = value - tf.reduce_min(images, axis=-1, keepdims=True)
    return value - (value - images) * _possible(factor, value, chroma)


def adjust_hue_and_saturation(images: tf.Tensor, turn: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Turns the hue and scales the saturation (of HSV) of pictures; value stays.

    Args:
        images: `[B, H, W, 3]` float32.
        turn: `[B, 1, 1, 1]` parts of the full circle, in [-1/6, 1/6].
        factor: `[B, 1, 1, 1]` factor of the saturation, which goes up to full saturation.
    """
    red, green, blue = tf.unstack(images, axis=-1)
    value = tf.maximum(tf.maximum(red, green), blue)
    chroma = value - tf.minimum(tf.minimum(red, green), blue)
    scale = 1.0 / tf.where(chroma > 0.0, chroma, 1.0)
    # not `value == red`: compilers may compute either anew and round it differently; at a near tie both branches agree
    sextant = tf.where(
        red >= tf.maximum(green, blue),
        (green - blue) * scale,
        tf.where(green >= blue, 2.0 + (blue - red) * scale, 4.0 + (red - green) * scale),
    )
    sextant = sextant + 6.0 * turn[..., 0]
    chroma = chroma * _possible(factor[..., 0], value, chroma)
    planes = []
    for offset in (5.0, 3.0, 1.0):
        # in [-1, 11]; below 0 the weight is 0 as it is at the other end of the circle, so that one comparison is enough
        place = sextant + offset
        place = tf.where(place >= 6.0, place - 6.0, place)
        planes.append(value - chroma * tf.clip_by_value(tf.minimum(place, 4.0 - place), 0.0, 1.0))
    return tf.stack(planes, axis=-1)


def _possible(factor: tf.Tensor, value: tf.Tensor, chroma: tf.Tensor) -> tf.Tensor:
    """Returns the factor of the saturation, cut where it would lead beyond full saturation."""
    most = tf.where(chroma > 0.0, tf.maximum(value, chroma) / tf.where(chroma > 0.0, chroma, 1.0), 1.0)
    return tf.minimum(factor, most)


def adjust_contrast(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Scales the distance of each channel of `[B, H, W, 3]` pictures from its mean over the picture."""
    mean = tf.reduce_mean(images, axis=[1, 2], keepdims=True)
    return mean + (images - mean) * factor


def _chroma_shift(blue: tf.Tensor, red: tf.Tensor) -> tf.Tensor:
    """Returns what shifts of Cb and Cr add to R, G, B. Source: ITU-R BT.601, full range, as in JPEG."""
    return tf.concat([1.402 * red, -0.344136 * blue - 0.714136 * red, 1.772 * blue], axis=-1)
