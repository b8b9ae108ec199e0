"""Chance variation of batches."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from camtrap_tf.input_pipeline.augment import JITTER_ORDERS, ORDERS, augment_batch, jitter, recolour, rotate_and_flip
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.input_pipeline.seeds import COLOUR, FLIP, JITTER, ROTATION, example_seeds, uniform

HEIGHT, WIDTH = 12, 16


def pictures(count: int) -> np.ndarray:
    """Returns random pictures, `[count, 12, 16, 3]` float32 in 0…255."""
    return np.random.default_rng(count).uniform(0, 255, (count, HEIGHT, WIDTH, 3)).astype(np.float32)


def seeds(count: int) -> tf.Tensor:
    """Returns that many seeds."""
    return tf.constant(example_seeds(np.arange(count), seed=7, epoch=1))


def make(**settings: Any) -> Preprocessing:
    """Returns a preprocessing that varies nothing but what is said."""
    plain = {"rotate_by_angle": 0.0, "randomly_flip_horizontally": False, "color_augmentation": "none"}
    return Preprocessing(output_height=HEIGHT, output_width=WIDTH, **(plain | settings))


FULL = make(rotate_by_angle=30.0, randomly_flip_horizontally=True, color_augmentation="full_randomized")
JITTERED = make(rotate_by_angle=90.0, vertical_flip_share=0.5, grayscale_share=0.3, jitter=0.25)


def test_nothing_asked_for_changes_nothing() -> None:
    """With all off, pictures pass through untouched."""
    images = pictures(3)
    np.testing.assert_array_equal(augment_batch(tf.constant(images), seeds(3), make()), images)


def test_half_of_the_pictures_are_mirrored() -> None:
    """Each picture is either itself or its mirror image; about half are."""
    images = pictures(1).repeat(2000, axis=0)
    made = augment_batch(tf.constant(images), seeds(2000), make(randomly_flip_horizontally=True)).numpy()
    same = (made == images).all(axis=(1, 2, 3))
    mirrored = (made == images[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (same ^ mirrored).all()
    assert 0.46 < mirrored.mean() < 0.54


def test_a_share_of_the_pictures_is_mirrored_top_to_bottom() -> None:
    """With and without rotation before it, about as many as asked for, whatever happens left to right."""
    images = pictures(1).repeat(2000, axis=0)
    made = augment_batch(tf.constant(images), seeds(2000), make(vertical_flip_share=0.2)).numpy()
    same, over = (made == images).all(axis=(1, 2, 3)), (made == images[:, ::-1]).all(axis=(1, 2, 3))
    assert (same ^ over).all()
    assert 0.17 < over.mean() < 0.23
    images = tf.constant(pictures(8))
    turned = rotate_and_flip(images, seeds(8), max_degrees=40, flip=True).numpy()
    both = rotate_and_flip(images, seeds(8), max_degrees=40, flip=True, vertical=1.0).numpy()
    # top to bottom after the rotation; a source position within rounding of half a pixel may go to either side
    assert (both == turned[:, ::-1]).mean() > 0.98
    expected = np.where(
        (uniform(seeds(8), stream=FLIP, count=1).numpy() < 0.5)[..., None, None], images[:, ::-1, ::-1], images[:, ::-1]
    )
    np.testing.assert_array_equal(rotate_and_flip(images, seeds(8), max_degrees=0, flip=True, vertical=1.0), expected)


def test_jitter_blends_in_the_order_that_was_drawn() -> None:
    """Brightness, contrast and saturation are the blends of torchvision's ColorJitter, one after the other."""
    images, drawn = pictures(60), uniform(seeds(60), stream=JITTER, count=5).numpy().astype(float)
    made = jitter(tf.constant(images), seeds(60), most=0.25, gray=0.3).numpy()
    seen = set()
    for picture, image, numbers in zip(made, images.astype(float), drawn, strict=True):
        luma = np.array([0.299, 0.587, 0.114])
        if numbers[4] < 0.3:
            image = np.repeat((image @ luma)[..., None], 3, axis=2)
        order = JITTER_ORDERS[int(numbers[3] * 6)]
        seen.add(order)
        for kind in order:
            gray = (image @ luma)[..., None]
            other = (np.zeros_like(gray), gray.mean(), gray)[kind]
            factor = 0.75 + 0.5 * numbers[kind]
            image = np.clip(factor * image + (1 - factor) * other, 0, 255)
        np.testing.assert_allclose(picture, image, atol=1e-2)
    assert len(seen) == 6


def test_a_share_of_the_pictures_loses_its_colours() -> None:
    """About as many as asked for have three equal channels; the others are as they were."""
    images = pictures(1).repeat(2000, axis=0)
    made = augment_batch(tf.constant(images), seeds(2000), make(grayscale_share=0.1)).numpy()
    same, gray = (made == images).all(axis=(1, 2, 3)), np.ptp(made, axis=3).max(axis=(1, 2)) < 1e-3
    assert (same ^ gray).all()
    assert 0.08 < gray.mean() < 0.12


def test_rotation_takes_the_nearest_pixel() -> None:
    """Each pixel comes from where turning it back about the centre leads; black outside; mirrored on top of it."""
    images = pictures(6)
    made = rotate_and_flip(tf.constant(images), seeds(6), max_degrees=40, flip=True).numpy()
    angles = math.radians(40) * (2 * uniform(seeds(6), stream=ROTATION, count=1).numpy()[:, 0].astype(float) - 1)
    mirrored = uniform(seeds(6), stream=FLIP, count=1).numpy()[:, 0] < 0.5
    assert 0 < mirrored.sum() < 6
    for image, result, angle, mirror in zip(images, made, angles, mirrored, strict=True):
        expected = np.zeros_like(image)
        for i in range(HEIGHT):
            for j in range(WIDTH):
                point = complex(j - (WIDTH - 1) / 2, i - (HEIGHT - 1) / 2) * complex(math.cos(angle), math.sin(angle))
                row, column = round(point.imag + (HEIGHT - 1) / 2), round(point.real + (WIDTH - 1) / 2)
                if 0 <= row < HEIGHT and 0 <= column < WIDTH:
                    expected[i, j] = image[row, column]
        expected = expected[:, ::-1] if mirror else expected
        np.testing.assert_array_equal(result, expected)


def test_angles_are_even_between_both_ends() -> None:
    """Angles fill -a to a evenly: seen at a dot to the right of the centre, whose height tells the angle."""
    size = 41
    image = np.zeros((1, size, size, 1), np.float32)
    image[0, 20, 38] = 1
    made = rotate_and_flip(tf.constant(image.repeat(3000, axis=0)), seeds(3000), max_degrees=60, flip=False).numpy()
    seen = made[..., 0].reshape(3000, -1).max(axis=1) > 0
    rows, columns = np.divmod(made[seen][..., 0].reshape(seen.sum(), -1).argmax(axis=1), size)
    angles = np.degrees(np.arctan2(rows - 20, columns - 20))
    assert seen.mean() > 0.8
    assert -62 < angles.min() < -55
    assert 55 < angles.max() < 62
    assert abs(angles.mean()) < 2.5
    assert abs(angles.std() - 60 / math.sqrt(3)) < 2


def brightness(image: np.ndarray, value: float) -> np.ndarray:
    """Adds to all channels."""
    return image + value


def contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Scales the distance from each channel's mean."""
    return (image - image.mean(axis=(0, 1))) * factor + image.mean(axis=(0, 1))


def in_hsv(change: Callable[[float, float, float], tuple[float, float, float]]) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function that changes hue, saturation and value of every pixel."""

    def apply(image: np.ndarray) -> np.ndarray:
        """Changes an image pixel by pixel."""
        flat = [colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*pixel))) for pixel in image.reshape(-1, 3).tolist()]
        return np.array(flat).reshape(image.shape)

    return apply


def saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """Scales the saturation of HSV, to 1 at most."""
    return in_hsv(lambda h, s, v: (h, min(1.0, s * factor), v))(image)


def hue(image: np.ndarray, turn: float) -> np.ndarray:
    """Adds to the hue of HSV, in full circles."""
    return in_hsv(lambda h, s, v: ((h + turn) % 1.0, s, v))(image)


def mild(count: int) -> np.ndarray:
    """Returns pictures whose values stay in [0, 1] whatever is done to them, so that HSV is defined throughout."""
    return np.random.default_rng(1).uniform(0.4, 0.6, (count, HEIGHT, WIDTH, 3)).astype(np.float32)


def numbers(count: int) -> np.ndarray:
    """Returns what is drawn for colours: order, brightness, saturation, hue, contrast."""
    drawn = uniform(seeds(count), stream=COLOUR, count=5).numpy().astype(float)
    low, high = np.array([0, -0.2, 0.8, -0.05, 0.9]), np.array([1, 0.2, 1.2, 0.05, 1.3])
    return low + (high - low) * drawn


def test_full_randomized_equals_the_four_steps_in_the_drawn_order() -> None:
    """Brightness, saturation, hue and contrast one after the other, in the order drawn, give the same colours."""
    images = mild(16)
    made = recolour(tf.constant(255 * images), seeds(16), "full_randomized").numpy() / 255
    seen = set()
    for image, result, (drawn, *values) in zip(images, made, numbers(16), strict=True):
        order = ORDERS[int(drawn * 4)]
        seen.add(order)
        steps = dict(zip("BSHC", zip((brightness, saturation, hue, contrast), values, strict=True), strict=True))
        expected = image.astype(float)
        for letter in order:
            function, value = steps[letter]
            expected = function(expected, value)
        np.testing.assert_allclose(result, expected, atol=2e-5)
    assert seen == set(ORDERS)


def test_little_equals_two_steps_in_either_order() -> None:
    """Brightness and saturation, in both orders."""
    images = mild(12)
    made = recolour(tf.constant(255 * images), seeds(12), "little").numpy() / 255
    orders = set()
    for image, result, (drawn, light, factor, *_) in zip(images, made, numbers(12), strict=True):
        orders.add(drawn < 0.5)
        expected = brightness(image, light) if drawn < 0.5 else saturation(image, factor)
        expected = saturation(expected, factor) if drawn < 0.5 else brightness(expected, light)
        np.testing.assert_allclose(result, expected, atol=2e-5)
    assert len(orders) == 2


def test_full_fast_shifts_brightness_and_chroma() -> None:
    """In Y'CbCr, luma moves by brightness and both chroma channels by their own offset, the same for all pixels."""
    images = mild(8)
    made = recolour(tf.constant(255 * images), seeds(8), "full_fast").numpy().astype(float) / 255
    to_ycc = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
    moved = (made - images) @ to_ycc.T
    drawn = uniform(seeds(8), stream=COLOUR, count=4).numpy()
    expected = np.stack([0.4 * drawn[:, 1] - 0.2, 0.1 * drawn[:, 2] - 0.05, 0.1 * drawn[:, 3] - 0.05], axis=1)
    np.testing.assert_allclose(moved, np.broadcast_to(expected[:, None, None], moved.shape), atol=1e-5)


@pytest.mark.parametrize("colours", ["little", "full_fast", "full_randomized"])
def test_colours_stay_in_range(colours: str) -> None:
    """Black, white and everything between stay within 0…255, and something changes."""
    images = np.concatenate([pictures(6), np.zeros((2, HEIGHT, WIDTH, 3), np.float32), np.full((2, HEIGHT, WIDTH, 3), 255.0)])
    images = images.astype(np.float32)
    made = augment_batch(tf.constant(images), seeds(10), make(color_augmentation=colours)).numpy()
    assert made.min() >= 0
    assert made.max() <= 255
    assert np.isfinite(made).all()
    assert np.abs(made - images).mean() > 1


def test_result_depends_on_the_seed_alone() -> None:
    """A picture comes out the same in any batch and at any place in it."""
    images = pictures(5)
    together = augment_batch(tf.constant(images), seeds(5), FULL).numpy()
    alone = augment_batch(tf.constant(images[3:4]), seeds(5)[3:4], FULL).numpy()
    np.testing.assert_allclose(alone[0], together[3], atol=1e-3)


@pytest.mark.parametrize("way", [FULL, JITTERED])
def test_xla_compiles_it(way: Preprocessing) -> None:
    """Compiled, and with an unknown batch size, it gives the same pictures."""
    images = tf.constant(pictures(40))
    shape = tf.TensorSpec([None, HEIGHT, WIDTH, 3], tf.float32)
    compiled = tf.function(
        lambda x, s: augment_batch(x, s, way), jit_compile=True, input_signature=[shape, tf.TensorSpec([None, 2], tf.int32)]
    )
    made, expected = compiled(images, seeds(40)).numpy(), augment_batch(images, seeds(40), way).numpy()
    # a source position within rounding of half a pixel may go to either side
    assert (np.abs(made - expected) < 0.01).mean(axis=(1, 2, 3)).min() > 0.98


def test_frames_as_channels_keep_their_values() -> None:
    """With `grayscale_stacking` colours are left alone even where asked for."""
    stacked = make(
        color_augmentation="full_randomized", jitter=0.5, grayscale_share=0.5, image_choice_for_sets="grayscale_stacking"
    )
    images = pictures(2)
    np.testing.assert_array_equal(augment_batch(tf.constant(images), seeds(2), stacked), images)
