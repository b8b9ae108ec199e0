"""Pictures worked out a second way, to compare with."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from camtrap_tf.input_pipeline.frames import DCT_METHOD, jpeg_input, random_windows, resized_crop_window
from camtrap_tf.input_pipeline.preprocessing import Preprocessing


def decoded(jpeg: tf.Tensor | bytes) -> np.ndarray:
    """Returns a JPEG at its full size, `[h, w, 3]` uint8."""
    return tf.io.decode_jpeg(jpeg, channels=3, dct_method=DCT_METHOD).numpy()


def random_input(jpeg: tf.Tensor | bytes, seed: tf.Tensor, preprocessing: Preprocessing) -> np.ndarray:
    """Returns the window of a JPEG that a seed draws, else what evaluation sees, `[H, W, 3]` float32 in 0…255."""
    window = None
    if preprocessing.resized_crop_area is not None:
        window = resized_crop_window(jpeg, seed, preprocessing)
    elif preprocessing.draws_windows:
        window = random_windows(seed[None], preprocessing)[0]
    return jpeg_input(jpeg, preprocessing, window=window).numpy()
