"""Randomness by name: one seed, and a stream of its own for every use, so that no use disturbs another."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """Returns the random generator of one use.

    Args:
        seed: the seed of the whole sample.
        names: what it is for, e.g. `"location", 3`; equal names give equal numbers, whoever asks and whenever.
    """
    digest = hashlib.sha256(repr((int(seed), *names)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))
