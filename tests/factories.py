"""Small things that tests are made of."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from camtrap_tf.records import CaptureEvent, Media, Observation


def make_event(
    event_id: str = "e1",
    *,
    pictures: Sequence[str] = ("a.jpg",),
    labels: Mapping[str, str] | Sequence[Mapping[str, str]] = {"species": "zebra"},
    **meta_data: str,
) -> CaptureEvent:
    """Returns a record; `labels` is one observation or a list of them, further keywords are meta data."""
    observations = [labels] if isinstance(labels, Mapping) else labels
    return CaptureEvent(
        event_id=event_id,
        media=tuple(Media(path=path) for path in pictures),
        observations=tuple(Observation(labels=dict(one)) for one in observations),
        meta_data=meta_data,
    )


def make_jpeg(width: int = 64, height: int = 48, *, seed: int = 0, colour: tuple[int, int, int] | None = None) -> bytes:
    """Returns JPEG bytes: one colour, or a smooth random pattern."""
    if colour is not None:
        pixels = np.full((height, width, 3), colour, np.uint8)
    else:
        coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
        pixels = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def write_pictures(folder: Path, names: Sequence[str], **options: int) -> None:
    """Writes a random JPEG under each name, sub-folders included."""
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_jpeg(seed=seed, **options))
