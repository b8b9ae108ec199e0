"""Chance variation of whole batches: mirrored, rotated, recoloured. Runs inside the train step, on its device.

Receives model inputs and one seed per example, hands on model inputs. Equal seeds give equal results, whatever the batch.
Everything is gathers and arithmetic over the batch, so that XLA can compile it. Colours are worked on as three planes:
operations along an axis of three are several times slower. Zoom and crop are drawn on the host,
where pictures are cut and resized anyway (`frames.random_windows`).

Distributions are camera-trap-classifier's; those of `jitter` are torchvision's. One thing differs: pictures are rotated
after they are resized, not before; where the aspect ratio is not preserved, the angle is that of the squeezed picture.
"""

from __future__ import annotations

import itertools
import math

import tensorflow as tf

from camtrap_tf.config.names import ColorAugmentation
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.input_pipeline.seeds import COLOUR, FLIP, JITTER, ROTATION, uniform

WHITE = 255.0
BRIGHTNESS = 0.2
SATURATION = (0.8, 1.2)
HUE = 0.05
CONTRAST = (0.9, 1.3)
CHROMA = 0.05
"""Brightness and chroma are parts of the range from black to white, hue of the full circle; the others are factors."""


def augment_batch(images: tf.Tensor, seeds: tf.Tensor, preprocessing: Preprocessing) -> tf.Tensor:
    """Mirrors, rotates and recolours each picture of a batch by chance, as the preprocessing says.

    Args:
        images: `[B, H, W, 3]` float32 in 0…255.
        seeds: `[B, 2]` int32, one per picture.

    Returns:
        `[B, H, W, 3]` float32 in 0…255.
    """
    images = rotate_and_flip(
        images, seeds, max_degrees=preprocessing.rotate_by_angle, flip=preprocessing.randomly_flip_horizontally,
        vertical=preprocessing.vertical_flip_share,
    )  # fmt: skip
    if preprocessing.colours != "none":
        images = recolour(images, seeds, preprocessing.colours)
    if preprocessing.stacked or not (preprocessing.jitter or preprocessing.grayscale_share):
        return images  # channels of stacks are frames
    return jitter(images, seeds, most=preprocessing.jitter, gray=preprocessing.grayscale_share)


def rotate_and_flip(images: tf.Tensor, seeds: tf.Tensor, *, max_degrees: float, flip: bool, vertical: float = 0.0) -> tf.Tensor:
    """Rotates by an angle from U(-max, max) about the centre, then mirrors left to right with a chance of a half.

    Nearest pixel, black where the picture does not reach. One gather does all.

    Args:
        images: `[B, H, W, C]` float32.
        seeds: `[B, 2]` int32.
        max_degrees: largest angle, in degrees.
        flip: whether to mirror left to right at all.
        vertical: chance of being mirrored top to bottom as well.

    Returns:
        `[B, H, W, C]` float32.
    """
    drawn = uniform(seeds, stream=FLIP, count=2)
    mirror, over = drawn[:, 0] < (0.5 if flip else 0.0), drawn[:, 1] < vertical
    if not max_degrees:
        for axis, wanted, chosen in ((2, flip, mirror), (1, vertical, over)):
            images = tf.where(chosen[:, None, None, None], tf.reverse(images, axis=[axis]), images) if wanted else images
        return images
    shape = tf.shape(images)
    height, width = images.shape[1] or shape[1], images.shape[2] or shape[2]
    angles = math.radians(max_degrees) * (2.0 * uniform(seeds, stream=ROTATION, count=1)[:, 0] - 1.0)
    rows, columns = _sources(angles, mirror, over, height, width)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    indices = tf.where(inside, rows * width + columns, 0)
    flat = tf.reshape(images, tf.stack([shape[0], height * width, shape[3]]))
    return tf.gather(flat, indices, batch_dims=1) * tf.cast(inside, images.dtype)[..., None]


def _sources(angles: tf.Tensor, mirror: tf.Tensor, over: tf.Tensor, height: int, width: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the row and column that each output pixel comes from, int32 `[B, H, W]` each, some outside the picture."""
    centre_y, centre_x = (tf.cast(height, tf.float32) - 1.0) / 2.0, (tf.cast(width, tf.float32) - 1.0) / 2.0
    y = tf.cast(tf.range(height), tf.float32)[None, :, None] - centre_y
    x = tf.cast(tf.range(width), tf.float32)[None, None, :] - centre_x
    x, y = tf.where(mirror[:, None, None], -x, x), tf.where(over[:, None, None], -y, y)
    cos, sin = tf.cos(angles)[:, None, None], tf.sin(angles)[:, None, None]
    rows = tf.round(cos * y + sin * x + centre_y)
    columns = tf.round(cos * x - sin * y + centre_x)
    return tf.cast(rows, tf.int32), tf.cast(columns, tf.int32)


def recolour(images: tf.Tensor, seeds: tf.Tensor, colours: ColorAugmentation) -> tf.Tensor:
    """Varies the colours of each picture by chance.

    `little`: brightness and saturation in either order. `full_fast`: brightness and a shift of both chroma channels.
    `full_randomized`: brightness, saturation, hue and contrast in one of the four orders of `ORDERS`.

    Args:
        images: `[B, H, W, 3]` float32 in 0…255.
        seeds: `[B, 2]` int32.
        colours: which of the above.

    Returns:
        `[B, H, W, 3]` float32, cut to 0…255.
    """
    drawn = uniform(seeds, stream=COLOUR, count=5)[:, :, None, None]
    brightness = WHITE * _between(drawn[:, 1], -BRIGHTNESS, BRIGHTNESS)
    planes = tf.unstack(images, axis=-1)
    if colours == "full_fast":
        blue, red = (WHITE * _between(drawn[:, number], -CHROMA, CHROMA) for number in (2, 3))
        shifts = _chroma_shift(blue, red)
        planes = [plane + (brightness + shift) for plane, shift in zip(planes, shifts, strict=True)]
    elif colours == "little":
        first = drawn[:, 0] < 0.5
        planes = [plane + tf.where(first, brightness, 0.0) for plane in planes]
        planes = adjust_saturation(planes, _between(drawn[:, 2], *SATURATION))
        planes = [plane + tf.where(first, 0.0, brightness) for plane in planes]
    elif colours == "full_randomized":
        planes = _in_orders(
            planes,
            tf.cast(drawn[:, 0] * len(ORDERS), tf.int32),
            brightness=brightness,
            saturation=_between(drawn[:, 2], *SATURATION),
            hue=_between(drawn[:, 3], -HUE, HUE),
            contrast=_between(drawn[:, 4], *CONTRAST),
        )
    return tf.stack([tf.clip_by_value(plane, 0.0, WHITE) for plane in planes], axis=-1)


def jitter(images: tf.Tensor, seeds: tf.Tensor, *, most: float, gray: float) -> tf.Tensor:
    """Takes the colours out of some pictures, then varies brightness, contrast and saturation in random order.

    Each is a blend of the picture with black, with its mean grey, with itself in grey, by a factor from U(1 - most, 1 + most).
    Source: torchvision's ColorJitter and RandomGrayscale; grey is ITU-R BT.601's luma.

    Args:
        images: `[B, H, W, 3]` float32 in 0…255.
        seeds: `[B, 2]` int32.
        most: strongest change, in [0, 1].
        gray: chance of losing the colours.

    Returns:
        `[B, H, W, 3]` float32 in 0…255.
    """
    drawn = uniform(seeds, stream=JITTER, count=5)[:, :, None, None]
    planes = tf.unstack(images, axis=-1)
    luma = _luma(planes)
    planes = [tf.where(drawn[:, 4] < gray, luma, plane) for plane in planes]
    order = tf.cast(drawn[:, 3] * len(JITTER_ORDERS), tf.int32)
    for place in range(3 if most else 0):
        kind = tf.gather(tf.constant(JITTER_ORDERS)[:, place], order)
        factor = tf.where(kind == 0, drawn[:, 0], tf.where(kind == 1, drawn[:, 1], drawn[:, 2]))
        factor = _between(factor, 1.0 - most, 1.0 + most)
        luma = _luma(planes)
        mean = tf.reduce_mean(luma, axis=[1, 2], keepdims=True)
        blended = tf.where(kind == 0, 0.0, tf.where(kind == 1, mean, luma))
        planes = [tf.clip_by_value(blended + factor * (plane - blended), 0.0, WHITE) for plane in planes]
    return tf.stack(planes, axis=-1)


JITTER_ORDERS = tuple(itertools.permutations(range(3)))
"""The orders of brightness (0), contrast (1) and saturation (2) in `jitter`."""


def _luma(planes: Planes) -> tf.Tensor:
    """Returns the brightness of pixels. Source: ITU-R BT.601."""
    red, green, blue = planes
    return 0.299 * red + 0.587 * green + 0.114 * blue


ORDERS = ("BSHC", "SBCH", "CHBS", "HSCB")
"""The orders of `full_randomized`: brightness, saturation, hue, contrast by first letter."""

Planes = list[tf.Tensor]
"""Red, green and blue, `[B, H, W]` float32 each; numbers that go with them are `[B, 1, 1]`, one per picture."""


def _between(drawn: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """Returns numbers from U[low, high) for numbers from U[0, 1)."""
    return low + (high - low) * drawn


def _in_orders(
    planes: Planes, order: tf.Tensor, *, brightness: tf.Tensor, saturation: tf.Tensor, hue: tf.Tensor, contrast: tf.Tensor
) -> Planes:
    """Applies four changes in the order that each picture drew, in one pass for all.

    Brightness commutes with hue and contrast, saturation with hue. So each of the four orders equals what it leaves of
    saturation · contrast · brightness · hue and saturation · contrast · brightness once idle steps are left out. The hue,
    which costs most, is turned once.
    """

    def only(orders: tuple[int, ...], value: tf.Tensor, idle: float) -> tf.Tensor:
        """Returns `value` where the order that was drawn is one of these, else `idle`, which changes nothing."""
        active = tf.reduce_any([order == one for one in orders], axis=0)
        return tf.where(active, value, idle)

    planes = adjust_saturation(planes, only((1,), saturation, 1.0))
    planes = adjust_contrast(planes, only((1, 2), contrast, 1.0), only((0, 2), brightness, 0.0))
    planes = adjust_hue_and_saturation(planes, hue, only((0, 2, 3), saturation, 1.0))
    return adjust_contrast(planes, only((0, 3), contrast, 1.0), only((1, 3), brightness, 0.0))


def adjust_saturation(planes: Planes, factor: tf.Tensor) -> Planes:
    """Scales the saturation (of HSV) of pictures, up to full saturation; hue and value stay."""
    value, chroma = _value_and_chroma(planes)
    most = tf.where(chroma > 0.0, tf.maximum(value, chroma) / tf.where(chroma > 0.0, chroma, 1.0), 1.0)
    factor = tf.minimum(factor, most)
    return [value - (value - plane) * factor for plane in planes]


def adjust_hue_and_saturation(planes: Planes, turn: tf.Tensor, factor: tf.Tensor) -> Planes:
    """Turns the hue and scales the saturation (of HSV) of pictures; value stays.

    Args:
        planes: of the pictures.
        turn: parts of the full circle, in [-1/6, 1/6].
        factor: factor of the saturation, which goes up to full saturation.
    """
    red, green, blue = planes
    value, chroma = _value_and_chroma(planes)
    scale = 1.0 / tf.where(chroma > 0.0, chroma, 1.0)
    # not `value == red`: compilers may compute either anew and round it differently; at a near tie both branches agree
    sextant = tf.where(
        red >= tf.maximum(green, blue),
        (green - blue) * scale,
        tf.where(green >= blue, 2.0 + (blue - red) * scale, 4.0 + (red - green) * scale),
    )
    sextant = sextant + 6.0 * turn
    chroma = tf.minimum(chroma * factor, tf.maximum(value, chroma))
    turned = []
    for offset in (5.0, 3.0, 1.0):
        # in [-1, 11]; below 0 the weight is 0 as it is at the other end of the circle, so that one comparison is enough
        place = sextant + offset
        place = tf.where(place >= 6.0, place - 6.0, place)
        turned.append(value - chroma * tf.clip_by_value(tf.minimum(place, 4.0 - place), 0.0, 1.0))
    return turned


def _value_and_chroma(planes: Planes) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the largest channel of each pixel, and how far the smallest lies below it."""
    red, green, blue = planes
    value = tf.maximum(tf.maximum(red, green), blue)
    return value, value - tf.minimum(tf.minimum(red, green), blue)


def adjust_contrast(planes: Planes, factor: tf.Tensor, brightness: tf.Tensor) -> Planes:
    """Scales the distance of each channel from its mean over the picture, and adds to it."""
    means = [tf.reduce_mean(plane, axis=[1, 2], keepdims=True) for plane in planes]
    return [plane * factor + (mean * (1.0 - factor) + brightness) for plane, mean in zip(planes, means, strict=True)]


def _chroma_shift(blue: tf.Tensor, red: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns what shifts of Cb and Cr add to R, G, B. Source: ITU-R BT.601, full range, as in JPEG."""
    return 1.402 * red, -0.344136 * blue - 0.714136 * red, 1.772 * blue
