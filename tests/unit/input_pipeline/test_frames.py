"""From encoded pictures to model input."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from camtrap_tf.images.stored_form import StoredForm
from camtrap_tf.input_pipeline.frames import (
    jpeg_input,
    model_input,
    pictures_to_inputs,
    random_windows,
    resized_crop_window,
    shrink_to_stored,
    stacked_input,
    stored_size,
)
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.input_pipeline.seeds import example_seeds
from tests.factories import make_jpeg
from tests.unit.input_pipeline.decoding import decoded, random_input


def make(height: int = 32, width: int = 40, **settings: Any) -> Preprocessing:
    """Returns a preprocessing for a small input."""
    return Preprocessing(output_height=height, output_width=width, **settings)


def encoded(pixels: np.ndarray, suffix: str, **options: object) -> bytes:
    """Returns pixels as a picture file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, suffix, **options)
    return buffer.getvalue()


def pixels_of(jpeg: bytes) -> np.ndarray:
    """Returns the pixels that Pillow decodes."""
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))


def bilinear(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Returns a picture resized with pixel centres at halves and edges repeated, pixel by pixel."""
    out = np.empty((height, width, image.shape[2]))
    for i in range(height):
        for j in range(width):
            y = np.clip((i + 0.5) * image.shape[0] / height - 0.5, 0, image.shape[0] - 1)
            x = np.clip((j + 0.5) * image.shape[1] / width - 0.5, 0, image.shape[1] - 1)
            top, left = int(y), int(x)
            bottom, right = min(top + 1, image.shape[0] - 1), min(left + 1, image.shape[1] - 1)
            fy, fx = y - top, x - left
            upper = image[top, left] * (1 - fx) + image[top, right] * fx
            lower = image[bottom, left] * (1 - fx) + image[bottom, right] * fx
            out[i, j] = upper * (1 - fy) + lower * fy
    return out


@pytest.mark.parametrize("size", [(50, 41), (79, 63), (20, 24)])
def test_resizing_is_bilinear(size: tuple[int, int]) -> None:
    """A picture less than twice as large as the input is resized as the formula says."""
    jpeg = make_jpeg(*size, seed=3)
    ours = jpeg_input(tf.constant(jpeg), make()).numpy()
    full = decoded(jpeg)
    np.testing.assert_allclose(ours, bilinear(full.astype(float), 32, 40), atol=1e-3)


@pytest.mark.parametrize(("size", "times"), [((84, 66), 2), ((161, 133), 4), ((500, 375), 8)])
def test_larger_pictures_are_averaged_first(size: tuple[int, int], times: int) -> None:
    """Decoding at reduced scale is close to averaging squares of the full picture, and to the way of decoded pixels."""
    jpeg = make_jpeg(*size, seed=4)
    full = pixels_of(jpeg).astype(float)
    missing = [(-full.shape[0]) % times, (-full.shape[1]) % times]
    padded = np.pad(full, [(0, missing[0]), (0, missing[1]), (0, 0)], "edge")
    squares = padded.reshape(padded.shape[0] // times, times, padded.shape[1] // times, times, 3).mean(axis=(1, 3))
    expected = bilinear(squares, 32, 40)
    ours = jpeg_input(tf.constant(jpeg), make()).numpy()
    decoded = model_input(tf.constant(full.astype(np.uint8)), make()).numpy()
    assert np.abs(ours - expected).mean() < 1.5
    assert np.abs(decoded - expected).max() < 2.5


def test_training_without_augmentation_equals_evaluation() -> None:
    """With nothing left to chance, the training path gives the bits of the evaluation path."""
    for preserve in (False, True):
        plain = make(preserve_aspect_ratio=preserve).without_augmentation()
        for size in ((50, 41), (300, 200), (33, 500), (20, 20)):
            jpeg = tf.constant(make_jpeg(*size))
            np.testing.assert_array_equal(random_input(jpeg, tf.constant([1, 2]), plain), jpeg_input(jpeg, plain))


def test_grey_jpeg_becomes_three_channels() -> None:
    """A one-channel JPEG (infrared nights) is decoded like any other."""
    grey = encoded(np.linspace(0, 255, 48 * 64).astype(np.uint8).reshape(48, 64), "JPEG")
    made = random_input(grey, tf.constant([1, 2]), make())
    assert made.shape == (32, 40, 3)
    np.testing.assert_array_equal(made[..., 0], made[..., 2])


def test_windows_follow_their_distribution() -> None:
    """Zoom is even in 1 ± f about the centre, the crop keeps at least 1 - f of it and lies anywhere inside."""
    seeds = tf.constant(example_seeds(np.arange(20_000), seed=1, epoch=0))
    window = random_windows(seeds, make(zoom_factor=0.3, crop_factor=0.0)).numpy()
    np.testing.assert_allclose(window[:, 0] + window[:, 2] / 2, 0.5, atol=1e-6)
    shares, _ = np.histogram(window[:, 3], 10, (0.7, 1.3))
    assert np.abs(shares / 2000 - 1).max() < 0.1
    window = random_windows(seeds, make(zoom_factor=0.0, crop_factor=0.2)).numpy()
    shares, _ = np.histogram(window[:, 2], 10, (0.8, 1.0))
    assert np.abs(shares / 2000 - 1).max() < 0.1
    assert window[:, :2].min() >= 0
    assert (window[:, :2] + window[:, 2:]).max() <= 1 + 1e-6
    place = window[:, :2] / (1 - window[:, 2:])
    assert np.abs(np.corrcoef(place.T)[0, 1]) < 0.03
    assert np.abs(place.mean(axis=0) - 0.5).max() < 0.02


def torchvision_crop(random: np.random.Generator, width: int, height: int, least: float, widest: float) -> tuple[float, ...]:
    """Returns top, left, height and width in parts of a picture as torchvision's RandomResizedCrop draws them, unrounded."""
    for _ in range(10):
        area = random.uniform(least, 1) * width * height
        ratio = np.exp(random.uniform(-np.log(widest), np.log(widest)))
        wide, high = np.sqrt(area * ratio), np.sqrt(area / ratio)
        if wide <= width and high <= height:
            return random.uniform(0, 1 - high / height), random.uniform(0, 1 - wide / width), high / height, wide / width
    if width / height < 1 / widest:
        wide, high = width, width * widest
    elif width / height > widest:
        wide, high = height * widest, height
    else:
        wide, high = width, height
    return (1 - high / height) / 2, (1 - wide / width) / 2, high / height, wide / width


@pytest.mark.parametrize(("width", "height", "least"), [(40, 30, 0.08), (30, 41, 0.3), (200, 20, 0.5)])
def test_crops_of_a_shape_of_their_own_are_drawn_as_torchvision_does(width: int, height: int, least: float) -> None:
    """Place and size have the distribution of RandomResizedCrop, also where no draw fits (200 x 20)."""
    jpeg, prep = tf.constant(make_jpeg(width, height)), make(resized_crop_area=least, resized_crop_ratio=4 / 3)
    drawn = tf.constant(example_seeds(np.arange(3000), seed=3, epoch=0))
    made = tf.map_fn(lambda seed: resized_crop_window(jpeg, seed, prep), drawn, fn_output_signature=tf.float32).numpy()
    random = np.random.default_rng(1)
    theirs = np.array([torchvision_crop(random, width, height, least, 4 / 3) for _ in range(3000)])
    assert made[:, :2].min() >= -1e-6
    assert (made[:, :2] + made[:, 2:]).max() <= 1 + 1e-6
    for column in range(4):
        quantiles = np.quantile(made[:, column], np.linspace(0.05, 0.95, 10))
        np.testing.assert_allclose(quantiles, np.quantile(theirs[:, column], np.linspace(0.05, 0.95, 10)), atol=0.03)


def test_a_small_crop_of_a_large_picture_is_not_blurred() -> None:
    """The picture is decoded as large as the crop needs: one of the input's size shows the very pixels."""
    jpeg = tf.constant(make_jpeg(320, 256, seed=8))
    prep = make(32, 40, resized_crop_area=0.01, preserve_aspect_ratio=True)
    made = jpeg_input(jpeg, prep, window=tf.constant([0.25, 0.5, 32 / 256, 40 / 320])).numpy()
    np.testing.assert_array_equal(made, decoded(jpeg)[64:96, 160:200])


def test_crops_are_squeezed_even_where_evaluation_preserves_the_shape() -> None:
    """All of a drawn crop is seen."""
    jpeg = tf.constant(make_jpeg(40, 32, seed=5))
    prep = make(20, 20, resized_crop_area=0.2, preserve_aspect_ratio=True)
    made = jpeg_input(jpeg, prep, window=tf.constant([0.25, 0.0, 0.5, 1.0])).numpy()
    np.testing.assert_allclose(made, bilinear(decoded(jpeg)[8:24].astype(float), 20, 20), atol=1e-3)


@pytest.mark.parametrize(("width", "height"), [(44, 66), (70, 44), (44, 44)])
def test_evaluation_may_look_at_the_middle_alone(width: int, height: int) -> None:
    """With a crop of 10 in 11 a picture of 11 tenths of the input's size gives its central pixels as they are."""
    jpeg = tf.constant(make_jpeg(width, height, seed=9))
    prep = make(40, 40, evaluation_crop=10 / 11, preserve_aspect_ratio=True)
    top, left = (height - 40) // 2, (width - 40) // 2
    expected = decoded(jpeg)[top : top + 40, left : left + 40]
    np.testing.assert_array_equal(jpeg_input(jpeg, prep), expected)
    np.testing.assert_array_equal(model_input(decoded(jpeg), prep), expected)
    np.testing.assert_array_equal(pictures_to_inputs(jpeg[None], prep)[0], expected)
    unvaried = make(40, 40, evaluation_crop=10 / 11, preserve_aspect_ratio=True, crop_factor=0.0, zoom_factor=0.0)
    np.testing.assert_array_equal(random_input(jpeg, tf.constant([1, 2]), unvaried), expected)


def test_evaluation_may_resize_by_cubic_splines() -> None:
    """Enlarged as Pillow's bicubic filter does; what training draws stays bilinear."""
    pixels = np.random.default_rng(4).integers(60, 190, (16, 20, 3)).astype(np.uint8)
    jpeg = tf.constant(encoded(pixels, "JPEG", quality=95, subsampling=0))
    full = decoded(jpeg)
    prep = make(40, 50, evaluation_interpolation="bicubic")
    expected = np.asarray(Image.fromarray(full).resize((50, 40), Image.Resampling.BICUBIC)).astype(float)
    assert np.abs(jpeg_input(jpeg, prep).numpy() - expected).max() <= 1.0  # Pillow rounds twice
    drawn = jpeg_input(jpeg, prep, window=tf.constant([0.0, 0.0, 1.0, 1.0])).numpy()
    np.testing.assert_allclose(drawn, bilinear(full.astype(float), 40, 50), atol=1e-3)


def test_cubic_splines_do_not_leave_the_range() -> None:
    """Where they overshoot at an edge between black and white, the result is cut to 0 … 255."""
    pixels = np.zeros((16, 20, 3), np.uint8)
    pixels[:, 10:] = 255
    jpeg = tf.constant(encoded(pixels, "JPEG", quality=95))
    made = jpeg_input(jpeg, make(40, 50, evaluation_interpolation="bicubic")).numpy()
    assert (made.min(), made.max()) == (0, 255)


def test_zooming_out_shows_black_around_the_picture() -> None:
    """A window larger than the picture is black where there is none, and the picture keeps its place."""
    white = tf.constant(encoded(np.full((40, 50, 3), 255, np.uint8), "JPEG"))
    made = jpeg_input(white, make(40, 50), window=tf.constant([-0.25, -0.5, 1.5, 2.0])).numpy()
    expected = np.zeros((40, 50, 3))
    expected[7:33, 12:38] = 255  # rows (0.25 … 1.25) / 1.5 × 40 = 6.7 … 33.3, columns (0.5 … 1.5) / 2 × 50 = 12.5 … 37.5
    np.testing.assert_array_equal(made, expected)


def test_a_window_is_cut_out_and_enlarged() -> None:
    """The pixels of a window are those of the picture there."""
    jpeg = tf.constant(make_jpeg(40, 32, seed=5))
    whole = decoded(jpeg).astype(float)
    made = jpeg_input(jpeg, make(32, 40), window=tf.constant([0.25, 0.5, 0.5, 0.5])).numpy()
    np.testing.assert_allclose(made, bilinear(whole[8:24, 20:40], 32, 40), atol=1e-3)


@pytest.mark.parametrize(
    ("target", "size"), [((30, 30), (61, 33)), ((30, 60), (61, 50)), ((60, 30), (70, 61)), ((40, 40), (24, 36))]
)
def test_preserving_the_aspect_ratio_keeps_the_centre(target: tuple[int, int], size: tuple[int, int]) -> None:
    """The centre with the input's aspect ratio is resized, also for inputs that are not square."""
    jpeg = tf.constant(make_jpeg(*size, seed=6))
    full = decoded(jpeg).astype(float)
    times = min(full.shape[0] / target[0], full.shape[1] / target[1])
    height, width = round(target[0] * times), round(target[1] * times)
    top, left = round((full.shape[0] - height) / 2), round((full.shape[1] - width) / 2)
    expected = bilinear(full[top : top + height, left : left + width], *target)
    made = jpeg_input(jpeg, make(*target, preserve_aspect_ratio=True)).numpy()
    assert np.abs(made - expected).mean() < 1.0


def test_stored_size_is_the_one_of_the_shards() -> None:
    """The graph shrinks to the size that data set building gives."""
    random = np.random.default_rng(0)
    for form in (StoredForm(), StoredForm(None, 300), StoredForm(200, 333), StoredForm(None, None)):
        for width, height in random.integers(1, 3000, (60, 2)).tolist():
            assert tuple(stored_size(tf.constant([height, width]), form).numpy()[::-1]) == form.size(width, height)


def test_shrinking_smooths() -> None:
    """Pictures over the stored size are shrunk as Pillow's bilinear filter does, to a rounding step."""
    full = pixels_of(make_jpeg(300, 200, seed=7))
    ours = shrink_to_stored(tf.constant(full), StoredForm(60)).numpy()
    pillow = np.asarray(Image.fromarray(full).resize((90, 60), Image.Resampling.BILINEAR))
    assert np.abs(ours.astype(int) - pillow).max() <= 1


def test_jpeg_in_stored_form_gives_what_evaluation_sees() -> None:
    """Bytes as shards hold them become bit for bit the same input in a graph for any pictures."""
    prep = make(stored_form=StoredForm(100))
    jpegs = [make_jpeg(150, 100), make_jpeg(77, 64), make_jpeg(100, 130)]
    made = tf.function(lambda batch: pictures_to_inputs(batch, prep))(tf.constant(jpegs)).numpy()
    for ours, jpeg in zip(made, jpegs, strict=True):
        np.testing.assert_array_equal(ours, jpeg_input(tf.constant(jpeg), prep))


def test_any_format_and_size_in_one_batch(tmp_path: Path) -> None:
    """PNG (RGB, RGBA, grey, 16 bit), BMP, GIF with several frames and a large JPEG pass through a saved graph together."""
    prep = make(stored_form=StoredForm(100))
    pixels = pixels_of(make_jpeg(80, 64, seed=1))
    alpha = np.dstack([pixels, np.full(pixels.shape[:2], 200, np.uint8)])
    grey = pixels[..., 0]
    animated = io.BytesIO()
    Image.fromarray(grey).save(animated, "GIF", save_all=True, append_images=[Image.fromarray(255 - grey)])
    files = [
        encoded(pixels, "PNG"),
        encoded(alpha, "PNG"),
        encoded(grey, "PNG"),
        encoded(grey.astype(np.uint16) * 257, "PNG"),
        encoded(pixels, "BMP"),
        animated.getvalue(),
        make_jpeg(400, 300, seed=1),
    ]
    module = tf.Module()
    module.serve = tf.function(
        lambda image: pictures_to_inputs(image, prep), input_signature=[tf.TensorSpec([None], tf.string)]
    )
    tf.saved_model.save(module, str(tmp_path / "saved"))
    made = tf.saved_model.load(str(tmp_path / "saved")).serve(tf.constant(files)).numpy()
    colour = model_input(tf.constant(pixels), prep).numpy()
    plain = model_input(tf.constant(np.dstack([grey] * 3)), prep).numpy()
    for index, expected in enumerate([colour, colour, plain, plain, colour, plain]):
        assert np.abs(made[index] - expected).max() <= 1.0, index
    small = Image.fromarray(pixels_of(files[-1])).resize((133, 100), Image.Resampling.BILINEAR)
    assert np.abs(made[-1] - model_input(tf.constant(np.asarray(small)), prep)).max() <= 2.0


@pytest.mark.parametrize(("count", "order"), [(1, [0, 0, 0]), (2, [0, 1, 1]), (3, [0, 1, 2]), (5, [0, 1, 2])])
def test_stacked_frames_become_channels(count: int, order: list[int]) -> None:
    """The first three frames are R, G, B in time order; the last of fewer is repeated."""
    prep = make(image_choice_for_sets="grayscale_stacking")
    jpegs = [encoded(np.full((48, 64), 40 + 50 * k, np.uint8), "JPEG") for k in range(count)]
    filled = [*jpegs, *[b""] * (5 - count)]
    made = stacked_input(tf.constant(filled), prep).numpy()
    np.testing.assert_allclose(made[5, 5], [40 + 50 * k for k in order], atol=1)
    served = pictures_to_inputs(tf.constant([filled[:3]]), prep).numpy()
    np.testing.assert_array_equal(served[0], made)
