"""Random textures that tile: cloud-like noise for ground, sky and fur, and the grain of a sensor."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from camtrap_tf.sample.seeds import generator

TILE_PX = 256


@lru_cache(maxsize=8)
def clouds(seed: int, roughness: float = 1.0) -> NDArray[np.float64]:
    """Returns `[256, 256]` noise with mean 0 and deviation 1 that tiles in both directions.

    Args:
        seed: of the sample.
        roughness: exponent of the fall of its spectrum; 0 is grain, 2 is soft clouds.
    """
    dice = generator(seed, "clouds", str(roughness))
    frequency = np.hypot(np.fft.fftfreq(TILE_PX)[:, None], np.fft.fftfreq(TILE_PX)[None, :])
    frequency[0, 0] = 1.0
    spectrum = np.fft.fft2(dice.normal(size=(TILE_PX, TILE_PX))) / frequency**roughness
    spectrum[0, 0] = 0.0
    tile = np.real(np.fft.ifft2(spectrum))
    return np.asarray(tile / tile.std())


def sampled(tile: NDArray[np.float64], u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns values of a tile at positions in pixels, wrapped around."""
    return np.asarray(tile[np.floor(v).astype(int) % TILE_PX, np.floor(u).astype(int) % TILE_PX])


@lru_cache(maxsize=2)
def grain(seed: int, height: int, width: int) -> NDArray[np.int16]:
    """Returns `[height + 64, width + 64]` sensor noise with deviation 16; frames cut their own window out of it."""
    dice = generator(seed, "grain")
    fine = dice.normal(0, 13, (height + 64, width + 64))
    soft = dice.normal(0, 13, (height + 66, width + 66))
    soft = (soft[:-2, :-2] + soft[1:-1, 1:-1] + soft[2:, 2:]) / 1.7
    return np.asarray(np.rint(0.75 * fine + 0.65 * soft), np.int16)
