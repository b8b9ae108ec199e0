"""From encoded pictures to model input: one way, for training, evaluation, prediction and the exported graph.

A picture is decoded at 1/1, 1/2, 1/4 or 1/8 of its size, whichever is the smallest that still covers the model's
input: JPEG can be decoded at reduced scale directly, which is faster and smooths, so the one bilinear step that
follows never shrinks by two or more. A *window* of the picture is cut out and resized once; in evaluation the window
is the whole picture, or its middle, in training it is drawn. Everything here is graph code.
"""

from __future__ import annotations

import math

import tensorflow as tf

from camtrap_tf.images.stored_form import StoredForm
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.input_pipeline.seeds import RESIZED, WINDOW, uniform

DCT_METHOD = "INTEGER_ACCURATE"
"""The JPEG transform, said explicitly everywhere: equal bytes give equal pixels in training and service."""

_REDUCTIONS = (1, 2, 4, 8)
_TRIES = 10


def model_input(image: tf.Tensor, preprocessing: Preprocessing) -> tf.Tensor:
    """Resizes decoded pixels to the model's input.

    For JPEG bytes use `jpeg_input`, which is what training and evaluation do; the two differ by rounding where a
    picture is at least twice as large as the input (averaged here, decoded at reduced scale there).

    Args:
        image: `[h, w, C]` uint8, at its stored size.

    Returns:
        `[H, W, C]` float32 in 0…255.
    """
    return _resized_window(_reduced(image, preprocessing), None, preprocessing)


def jpeg_input(
    jpeg: tf.Tensor, preprocessing: Preprocessing, *, window: tf.Tensor | None = None, channels: int = 3
) -> tf.Tensor:
    """Decodes a JPEG in stored form and resizes a window of it to the model's input, black outside the picture.

    Args:
        jpeg: scalar string.
        window: `[4]` float32: top, left, height, width in parts of the picture, drawn for training; None: what evaluation
            sees.
        channels: 3, or 1 for brightness alone.

    Returns:
        `[H, W, channels]` float32 in 0…255.
    """
    image = _decode_reduced(jpeg, window, preprocessing, channels)
    return _resized_window(image, window, preprocessing)


def random_windows(seeds: tf.Tensor, preprocessing: Preprocessing) -> tf.Tensor:
    """Draws a window per seed: zoom by z in U(1-f, 1+f) about the centre, then a random crop of c in U(1-f, 1) of it.

    A zoom above 1 looks beyond the picture, where it is black. Source: camera-trap-classifier's image processing.

    Args:
        seeds: `[N, 2]` int32; equal seeds give equal windows.

    Returns:
        `[N, 4]` float32: top, left, height, width in parts of the picture.
    """
    zoom_factor, crop_factor = preprocessing.zoom_factor, preprocessing.crop_factor
    drawn = uniform(seeds, stream=WINDOW, count=4)
    zoom = 1.0 + zoom_factor * (2.0 * drawn[:, 0] - 1.0)
    crop = 1.0 - crop_factor * drawn[:, 1]
    room = zoom * (1.0 - crop)
    edge = 0.5 - zoom / 2.0
    side = zoom * crop
    return tf.stack([edge + drawn[:, 2] * room, edge + drawn[:, 3] * room, side, side], axis=1)


def resized_crop_window(jpeg: tf.Tensor, seed: tf.Tensor, preprocessing: Preprocessing) -> tf.Tensor:
    """Draws a window of a random share of a picture's area, and of a shape of its own.

    The share is from U(`resized_crop_area`, 1), the logarithm of width to height uniform between those of 1/r and r, r being
    `resized_crop_ratio`. The first of ten draws counts that lies in the picture; failing all, the largest part about the
    centre with a shape between 1/r and r. Source: torchvision's RandomResizedCrop.

    Args:
        jpeg: scalar string.
        seed: `[2]` int32; equal seeds give equal windows.

    Returns:
        `[4]` float32: top, left, height, width in parts of the picture.
    """
    size = tf.cast(tf.io.extract_jpeg_shape(jpeg)[:2], tf.float32)
    shape, widest = size[1] / size[0], preprocessing.resized_crop_ratio
    drawn = uniform(seed[None], stream=RESIZED, count=2 * _TRIES + 2)[0]
    least = preprocessing.resized_crop_area
    area = least + (1.0 - least) * drawn[:_TRIES]
    ratio = tf.exp(math.log(widest) * (2.0 * drawn[_TRIES : 2 * _TRIES] - 1.0))
    extents = tf.stack([tf.sqrt(area * shape / ratio), tf.sqrt(area * ratio / shape)], axis=1)
    fits = tf.reduce_all(extents <= 1.0, axis=1)
    nearest = tf.clip_by_value(shape, 1.0 / widest, widest)
    largest = tf.stack([tf.minimum(shape / nearest, 1.0), tf.minimum(nearest / shape, 1.0)])
    found = tf.reduce_any(fits)
    extent = tf.where(found, extents[tf.argmax(tf.cast(fits, tf.int32))], largest)
    place = tf.where(found, drawn[2 * _TRIES :], 0.5)
    return tf.concat([place * (1.0 - extent), extent], axis=0)


def stacked_input(
    jpegs: tf.Tensor, preprocessing: Preprocessing, *, window: tf.Tensor | None = None, stored: bool = True
) -> tf.Tensor:
    """Makes one picture of up to three frames, each a channel, in time order (`grayscale_stacking`).

    The first three frames become R, G and B; with one or two the last one is repeated.

    Args:
        jpegs: `[K]` strings, K at least 1; empty texts at the end stand for no frame.
        window: as in `jpeg_input`, the same for all frames.
        stored: the frames are JPEG in stored form; otherwise any format and size.

    Returns:
        `[H, W, 3]` float32 in 0…255.
    """
    frames = tf.maximum(tf.reduce_sum(tf.cast(tf.strings.length(jpegs) > 0, tf.int32)), 1)
    planes = []
    for channel in range(3):
        jpeg = jpegs[tf.minimum(channel, frames - 1)]
        planes.append(
            jpeg_input(jpeg, preprocessing, window=window, channels=1)
            if stored
            else _picture_to_input(jpeg, preprocessing, channels=1)
        )
    return tf.concat(planes, axis=2)


def pictures_to_inputs(encoded: tf.Tensor, preprocessing: Preprocessing) -> tf.Tensor:
    """Brings encoded pictures of any format and size to model input, also inside a SavedModel.

    JPEG in stored form gives exactly what training and evaluation see. Anything larger is shrunk to stored form first;
    a graph cannot do everything that `to_stored_form` does (orientation, second JPEG coding), so bring camera files to
    stored form before where you can.

    Args:
        encoded: `[N]` strings, or `[N, K]` frames of N records for stacked models (empty texts: no frame).

    Returns:
        `[N, H, W, 3]` float32 in 0…255.
    """
    shape = [preprocessing.output_height, preprocessing.output_width, 3]
    signature = tf.TensorSpec(shape, tf.float32)
    if not preprocessing.stacked:
        return tf.map_fn(lambda one: _picture_to_input(one, preprocessing, channels=3), encoded, fn_output_signature=signature)
    rows = encoded[:, None] if encoded.shape.rank == 1 else encoded
    return tf.map_fn(lambda row: stacked_input(row, preprocessing, stored=False), rows, fn_output_signature=signature)


def _picture_to_input(encoded: tf.Tensor, preprocessing: Preprocessing, *, channels: int) -> tf.Tensor:
    form = preprocessing.stored_form or StoredForm()

    def jpeg() -> tf.Tensor:
        """Decodes a JPEG, at once to the model's input where it is in stored form already."""
        size = tf.io.extract_jpeg_shape(encoded)[:2]
        return tf.cond(
            tf.reduce_all(stored_size(size, form) == size),
            lambda: jpeg_input(encoded, preprocessing, channels=channels),
            lambda: shrunk(tf.io.decode_jpeg(encoded, channels=channels, dct_method=DCT_METHOD)),
        )

    def other() -> tf.Tensor:
        """Decodes any other file."""
        image = tf.io.decode_image(encoded, channels=channels, expand_animations=False)
        return shrunk(tf.ensure_shape(image, [None, None, channels]))

    def shrunk(image: tf.Tensor) -> tf.Tensor:
        """Brings a picture to stored form and to the model's input."""
        return model_input(shrink_to_stored(image, form), preprocessing)

    return tf.cond(tf.io.is_jpeg(encoded), jpeg, other)


def stored_size(size: tf.Tensor, form: StoredForm) -> tf.Tensor:
    """Returns height and width in stored form.

    Args:
        size: `[2]` int32, height and width.

    Returns:
        `[2]` int32.
    """
    sides = tf.cast(size, tf.float64)
    scale = tf.constant(1.0, tf.float64)
    if form.side_smallest_px is not None:
        scale = tf.minimum(scale, form.side_smallest_px / tf.reduce_min(sides))
    if form.side_max_px is not None:
        scale = tf.minimum(scale, form.side_max_px / tf.reduce_max(sides))
    return tf.maximum(tf.cast(tf.round(sides * scale), tf.int32), 1)


def shrink_to_stored(image: tf.Tensor, form: StoredForm) -> tf.Tensor:
    """Shrinks decoded pixels to stored size, smoothed, where they are larger.

    Args:
        image: `[h, w, C]` uint8.

    Returns:
        `[h', w', C]` uint8.
    """
    size = tf.shape(image)[:2]
    target = stored_size(size, form)

    def smaller() -> tf.Tensor:
        """Returns the picture at the target size."""
        resized = tf.image.resize(image, target, method="bilinear", antialias=True)
        return tf.saturate_cast(tf.round(resized), tf.uint8)

    return tf.cond(tf.reduce_all(target == size), lambda: image, smaller)


def _reduction(size: tf.Tensor, window: tf.Tensor | None, preprocessing: Preprocessing) -> tf.Tensor:
    """Returns the index into `_REDUCTIONS` of the strongest one that leaves what is shown at least as large as the input.

    Crops of camera-trap-classifier's kind do not count: they keep most of each side.
    """
    if window is None and preprocessing.evaluation_crop < 1:
        size = _whole(tf.cast(size, tf.float32) * preprocessing.evaluation_crop)
    elif window is not None and preprocessing.resized_crop_area is not None:
        size = _whole(tf.cast(size, tf.float32) * window[2:])
    times = tf.reduce_min(size // tf.constant([preprocessing.output_height, preprocessing.output_width]))
    return tf.reduce_sum(tf.cast(times >= tf.constant(_REDUCTIONS[1:]), tf.int32))


def _decode_reduced(jpeg: tf.Tensor, window: tf.Tensor | None, preprocessing: Preprocessing, channels: int) -> tf.Tensor:
    """Returns `[h/r, w/r, channels]` uint8, r being the reduction."""
    branches = [
        lambda ratio=ratio: tf.io.decode_jpeg(jpeg, channels=channels, ratio=ratio, dct_method=DCT_METHOD)
        for ratio in _REDUCTIONS
    ]
    return tf.switch_case(_reduction(tf.io.extract_jpeg_shape(jpeg)[:2], window, preprocessing), branches)


def _reduced(image: tf.Tensor, preprocessing: Preprocessing) -> tf.Tensor:
    """Returns pixels averaged over squares, as decoding at reduced scale would: `[ceil(h/r), ceil(w/r), C]` uint8."""
    size = tf.shape(image)[:2]

    def averaged(ratio: int) -> tf.Tensor:
        """Returns means of `ratio` × `ratio` pixels, edges mirrored."""
        missing = -size % ratio
        padding = [[0, missing[0]], [0, missing[1]], [0, 0]]
        padded = tf.cast(tf.pad(image, padding, "SYMMETRIC"), tf.float32)
        return tf.saturate_cast(tf.round(tf.nn.avg_pool2d(padded[None], ratio, ratio, "VALID")[0]), tf.uint8)

    branches = [lambda: image, *(lambda ratio=ratio: averaged(ratio) for ratio in _REDUCTIONS[1:])]
    return tf.switch_case(_reduction(size, None, preprocessing), branches)


def _resized_window(image: tf.Tensor, window: tf.Tensor | None, preprocessing: Preprocessing) -> tf.Tensor:
    """Cuts a window out of a picture and resizes it, once: the one sampling step of all paths.

    Args:
        image: `[h, w, C]` uint8.
        window: `[4]` float32: top, left, height, width in parts of the picture, overlapping it; None: what evaluation sees.

    Returns:
        `[H, W, C]` float32 in 0…255; black where the window lies outside the picture.
    """
    target = tf.constant([preprocessing.output_height, preprocessing.output_width])
    size = tf.shape(image)[:2]
    drawn = window is not None
    shown = window if drawn else tf.constant(_middle(preprocessing.evaluation_crop))
    start, extent = shown[:2], shown[2:]
    if preprocessing.preserve_aspect_ratio and not (drawn and preprocessing.resized_crop_area is not None):
        start, extent = _covering_part(start, extent, tf.cast(size, tf.float32), tf.cast(target, tf.float32))
    inside_start, inside_end = tf.maximum(start, 0.0), tf.minimum(start + extent, 1.0)
    pixels = tf.cast(size, tf.float32)
    count = tf.clip_by_value(_whole((inside_end - inside_start) * pixels), 1, size)
    first = tf.minimum(_whole(inside_start * pixels), size - count)
    out_first = tf.minimum(_whole((inside_start - start) / extent * tf.cast(target, tf.float32)), target - 1)
    out_end = _whole((inside_end - start) / extent * tf.cast(target, tf.float32))
    out_count = tf.clip_by_value(out_end - out_first, 1, target - out_first)
    part = tf.slice(image, tf.concat([first, [0]], 0), tf.concat([count, [-1]], 0))
    if not drawn and preprocessing.evaluation_interpolation == "bicubic":
        cubic = tf.raw_ops.ResizeBicubic(images=part[None], size=out_count, half_pixel_centers=True)[0]
        resized = tf.clip_by_value(cubic, 0.0, 255.0)  # it overshoots at edges
    else:
        resized = tf.raw_ops.ResizeBilinear(images=part[None], size=out_count, half_pixel_centers=True)[0]
    placed = tf.cond(tf.reduce_all(out_count == target), lambda: resized, lambda: _placed(resized, out_first, target))
    channels = image.shape[-1]
    return tf.ensure_shape(placed, [preprocessing.output_height, preprocessing.output_width, channels])


def _middle(share: float) -> tuple[float, float, float, float]:
    """Returns the window about the centre that keeps a share of each side."""
    return ((1.0 - share) / 2.0, (1.0 - share) / 2.0, share, share)


def _covering_part(start: tf.Tensor, extent: tf.Tensor, size: tf.Tensor, target: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the centre of a window, in parts of the picture, that has the target's aspect ratio."""
    pixels = extent * size
    kept = target * tf.reduce_min(pixels / target) / size
    return start + (extent - kept) / 2.0, kept


def _whole(value: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.round(value), tf.int32)


def _placed(image: tf.Tensor, first: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    after = target - first - tf.shape(image)[:2]
    return tf.pad(image, [[first[0], after[0]], [first[1], after[1]], [0, 0]])
