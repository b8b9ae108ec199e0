"""Small shards to read from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from camtrap_tf.dataset.framing import frame
from camtrap_tf.dataset.schema import encode_example
from camtrap_tf.labels import LabelMapping
from tests.factories import make_event, make_jpeg

MAPPING = LabelMapping.from_classes({"species": ["zebra", "lion", "empty"], "count": ["1", "2"]})

WriteShard = Callable[..., Path]
Labels = Mapping[str, str] | Sequence[Mapping[str, str]]
"""Of a record: one observation, or a list of them."""


@pytest.fixture
def write_shard(tmp_path: Path) -> WriteShard:
    """Writes a shard without a manifest: pictures of each record, and labels of each record."""

    def write(
        name: str = "train_001-of-001.tfrecord",
        *,
        pictures: Sequence[Sequence[bytes]] | int = 6,
        labels: Sequence[Labels] = ({"species": "zebra", "count": "1"}, {"species": "lion", "count": "2"}),
        label_types: Sequence[str] = ("species", "count"),
        folder: str = "tfr",
    ) -> Path:
        """Writes a shard; see the fixture."""
        if isinstance(pictures, int):
            pictures = [[make_jpeg(60 + 8 * i, 48, seed=i)] for i in range(pictures)]
        path = tmp_path / folder / name
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as file:
            for i, frames in enumerate(pictures):
                names = [f"{name}{i}_{k}.jpg" for k in range(max(1, len(frames)))]
                event = make_event(f"{name}#{i}", pictures=names, labels=labels[i % len(labels)])
                file.write(frame(encode_example(event, list(enumerate(frames)), MAPPING, label_types=label_types)))
        return path

    return write
