"""RandAugment, compared with Pillow where Pillow has the same change."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from camtrap_tf.input_pipeline.randaugment import CHANGES, apply_changes, equalized, randaugment
from camtrap_tf.input_pipeline.seeds import example_seeds
from tests.factories import make_jpeg


def pictures(count: int, height: int = 20, width: int = 28) -> np.ndarray:
    """Returns smooth pictures of whole numbers, `[count, height, width, 3]` float32."""
    rng = np.random.default_rng(count)
    coarse = rng.uniform(10, 240, (count, 5, 7, 3)).astype(np.float32)
    return np.round(tf.image.resize(coarse, (height, width)).numpy())


def changed(images: np.ndarray, names: list[str], *, sign: float = 1.0, strength: float = 0.5) -> np.ndarray:
    """Applies changes by name to all pictures."""
    changes = np.tile([[CHANGES.index(name) for name in names]], (len(images), 1)).astype(np.int32)
    made = apply_changes(tf.constant(images), tf.constant(changes), sign * tf.ones(changes.shape), strength=strength)
    return made.numpy()


def of_pillow(image: np.ndarray, name: str, sign: float, strength: float) -> np.ndarray:
    """Returns what Pillow makes of a picture."""
    picture = Image.fromarray(image.astype(np.uint8))
    factor = 1 + 0.9 * strength * sign
    made = {
        "brightness": lambda: ImageEnhance.Brightness(picture).enhance(factor),
        "contrast": lambda: ImageEnhance.Contrast(picture).enhance(factor),
        "colour": lambda: ImageEnhance.Color(picture).enhance(factor),
        "sharpness": lambda: ImageEnhance.Sharpness(picture).enhance(factor),
        "solarize": lambda: ImageOps.solarize(picture, threshold=round(255 * (1 - strength) + 0.49)),
        "posterize": lambda: ImageOps.posterize(picture, 8 - int(4 * strength)),
        "autocontrast": lambda: ImageOps.autocontrast(picture),
    }[name]()
    return np.asarray(made, np.float32)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("name", ["brightness", "contrast", "colour", "sharpness", "solarize", "posterize", "autocontrast"])
def test_changes_are_those_of_pillow(name: str, sign: float) -> None:
    """Each change of colours gives what Pillow's gives, up to its rounding to whole numbers."""
    images = pictures(2)
    made = changed(images, [name], sign=sign)
    for one, image in zip(made, images, strict=True):
        expected = of_pillow(image, name, sign, 0.5)
        assert np.abs(one - expected).max() <= 3.0  # Pillow rounds luma, the smoothed picture and the result
        assert np.abs(one - expected).mean() <= 1.0


def test_equalized_levels_are_spread_evenly() -> None:
    """After equalising, the sorted levels of each channel lie on a straight line from 0 to 255."""
    ramp = np.linspace(100, 140, 41).round()  # each level once
    image = np.tile(ramp[None, :, None], (3, 1, 3)).astype(np.float32)[None]
    made = equalized(tf.constant(image)).numpy()[0, 0, :, 0]
    np.testing.assert_allclose(made, np.linspace(0, 255, 41), atol=1.0)
    flat = np.full((1, 4, 4, 3), 77, np.float32)
    np.testing.assert_array_equal(equalized(tf.constant(flat)), flat)


def test_moving_and_turning() -> None:
    """A shift moves by its share of the side and leaves black; turning one way and back gives the middle back."""
    images = pictures(1, 20, 20)
    moved = changed(images, ["translate_x"], strength=0.5)  # 0.15 of 20 px
    np.testing.assert_array_equal(moved[0, :, :17], images[0, :, 3:])
    assert not moved[0, :, 17:].any()
    changes = tf.constant([[CHANGES.index("rotate")] * 2], tf.int32)
    back = apply_changes(tf.constant(images), changes, tf.constant([[1.0, -1.0]]), strength=1.0).numpy()
    np.testing.assert_array_equal(back[0, 6:14, 6:14], images[0, 6:14, 6:14])
    turned = apply_changes(tf.constant(images), changes[:, :1], tf.constant([[1.0]]), strength=1.0).numpy()
    assert np.abs(turned[0, 6:14, 6:14] - images[0, 6:14, 6:14]).mean() > 1


def test_no_strength_and_chance_by_record() -> None:
    """Equal seeds give equal pictures in any batch, compiled or not; others give others; values stay in range."""
    images = pictures(16)
    seeds = tf.constant(example_seeds(np.arange(16), seed=3, epoch=0))
    made = randaugment(tf.constant(images), seeds, strength=0.5).numpy()
    alone = randaugment(tf.constant(images[5:6]), seeds[5:6], strength=0.5).numpy()
    np.testing.assert_allclose(made[5:6], alone, atol=1e-3)
    compiled = tf.function(lambda x, s: randaugment(x, s, strength=0.5), jit_compile=True)
    assert np.mean(np.abs(compiled(tf.constant(images), seeds).numpy() - made) > 0.5) < 0.01
    assert sum(not np.array_equal(one, other) for one, other in zip(made, images, strict=True)) > 10
    assert made.min() >= 0
    assert made.max() <= 255


def test_stacked_frames_keep_their_channels_apart() -> None:
    """Where channels are frames, a change of saturation would mix them; it is left out."""
    images = np.zeros((200, 4, 4, 3), np.float32)
    images[..., 0] = 200.0
    seeds = tf.constant(example_seeds(np.arange(200), seed=3, epoch=0))
    made = randaugment(tf.constant(images), seeds, strength=1.0, colours=False).numpy()
    greyish = (made[..., 1] > 0) & (made[..., 1] < 255)
    mixed = randaugment(tf.constant(images), seeds, strength=1.0).numpy()
    assert greyish.mean() < ((mixed[..., 1] > 0) & (mixed[..., 1] < 255)).mean()


def test_jpegs_stay_pictures() -> None:
    """A real decoded picture survives every single change, finite and in range."""
    image = tf.cast(tf.io.decode_jpeg(make_jpeg(40, 30, seed=1), channels=3), tf.float32).numpy()[None]
    for name in CHANGES:
        made = changed(image, [name, "none"], strength=1.0)
        assert np.isfinite(made).all()
        assert made.min() >= 0
        assert made.max() <= 255
