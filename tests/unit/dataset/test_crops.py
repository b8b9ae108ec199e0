"""Data sets of crops: a record per box, cut out while shards are built."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from camtrap_tf.config.dataset import DatasetConfig
from camtrap_tf.dataset.workplace import Workplace
from camtrap_tf.dataset.writing import create_dataset
from camtrap_tf.errors import DatasetError
from camtrap_tf.inventory.table import Inventory
from camtrap_tf.records import BoundingBox, CaptureEvent, Media, Observation
from tests.factories import write_pictures
from tests.unit.dataset.test_writing import build, contents, examples, rejects

BOXES = (BoundingBox(0.1, 0.1, 0.2, 0.4), BoundingBox(0.5, 0.5, 0.4, 0.2), BoundingBox(0.9, 0.2, 0.1, 0.5))


def make_config(tmp_path: Path, count: int = 12, **changes: Any) -> DatasetConfig:
    """Settings for pictures of 100 x 60 px with three boxes each."""
    events = [
        CaptureEvent(
            event_id=f"e{i:02d}",
            media=(Media(path=f"{i:02d}.jpg"),),
            observations=tuple(
                Observation(labels={"species": ("fox", "rat")[k % 2]}, box=box, confidence=0.5 + k / 10)
                for k, box in enumerate(BOXES)
            ),
            meta_data={"location": f"L{i % 6}"},
        )
        for i in range(count)
    ]
    write_pictures(tmp_path / "pictures", [event.media[0].path for event in events], width=100, height=60)
    Inventory.from_records(events).write(tmp_path / "inventory.parquet")
    values: dict[str, Any] = {
        "inventory": tmp_path / "inventory.parquet", "output_dir": tmp_path / "out", "image_root_path": tmp_path / "pictures",
        "split_percent": (0.6, 0.2, 0.2), "workers": 1, "crop": "square", "image_save_quality": 95,
    }  # fmt: skip
    return DatasetConfig(**{**values, **changes})


def test_records_are_the_crops_of_their_boxes(tmp_path: Path) -> None:
    """Each record has the pixels of its window, its own class, and the confidence that trainings weigh by."""
    result = build(make_config(tmp_path))
    found = {example.id: example for example in examples(tmp_path / "out")}
    assert len(found) == 36
    whole = np.asarray(Image.open(tmp_path / "pictures" / "00.jpg").convert("RGB"), int)
    windows = {0: (8, 6, 24, 24), 1: (50, 16, 40, 40), 2: (70, 12, 30, 30)}  # by hand: x, y, side, side
    for place, (x, y, width, height) in windows.items():
        example = found[f"e00#{place}"]
        pixels = np.asarray(Image.open(io.BytesIO(example.images[0])), int)
        assert np.abs(pixels - whole[y : y + height, x : x + width]).mean() < 4
        assert example.labels == {"species": (("fox", "rat")[place % 2],)}
        assert example.meta_data == {"location": "L0", "crop_of": "e00", "detection_conf": f"{0.5 + place / 10:g}"}
        assert example.image_paths == ("00.jpg",)
    assert result.manifest.crop == {"crop_strategy": "square", "geometry": "camtrap", "threshold": 0.0}
    assert "a record per box, square" in result.text()
    assert [(step["records_before"], step["records_after"]) for step in result.manifest.selection][:2] == [(12, 12), (12, 36)]


def test_sides_are_limited_after_cutting(tmp_path: Path) -> None:
    """The limit on sides is one on crops: a small box of a larger picture keeps all its pixels."""
    build(make_config(tmp_path, crop="tight", image_save_side_smallest=16))
    sizes = {one.id[-2:]: Image.open(io.BytesIO(one.images[0])).size for one in examples(tmp_path / "out")}
    assert sizes == {"#0": (16, 19), "#1": (40, 12), "#2": (10, 30)}  # only 20 x 24 px is shrunk


def test_a_picture_is_decoded_once_for_its_boxes(tmp_path: Path, decoded: list[int]) -> None:
    """Boxes of one picture come one after the other."""
    build(make_config(tmp_path))
    # Chunks of 16 records may cut the boxes of a picture in two.
    assert 12 <= len(decoded) <= 12 + 36 // 16 + 3


def test_a_missing_picture_costs_its_own_boxes(tmp_path: Path) -> None:
    """Its boxes are rejected, the others are there, the counts add up."""
    config = make_config(tmp_path, max_rejected_share=0.2)
    (tmp_path / "pictures" / "05.jpg").unlink()
    result = build(config)
    assert len(examples(tmp_path / "out")) == 33
    assert {(row["id"], row["reason"]) for row in rejects(tmp_path / "out") if row["unit"] == "picture"} == {
        (f"e05#{place}", "missing_file") for place in range(3)
    }
    assert (result.manifest.records.into, result.manifest.records.out) == (36, 33)


def test_neither_workers_nor_stops_change_a_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards are equal for any number of workers, and when a build is stopped and taken up again."""
    whole = make_config(tmp_path, max_records_per_file=5)
    build(whole)
    expected = contents(tmp_path / "out")
    build(whole.model_copy(update={"workers": 2, "output_dir": tmp_path / "two"}))
    assert contents(tmp_path / "two") == expected
    finish, done = Workplace.finish_shard, []

    def stopped(self: Workplace, finished: Any) -> None:
        """Lets two shards be finished, then stops the build."""
        if len(done) == 2:
            raise KeyboardInterrupt
        finish(self, finished)
        done.append(finished.info.name)

    torn = whole.model_copy(update={"output_dir": tmp_path / "torn"})
    with monkeypatch.context() as patch:
        patch.setattr(Workplace, "finish_shard", stopped)
        with pytest.raises(KeyboardInterrupt):
            create_dataset(torn)
    assert len(done) == 2
    build(torn)
    assert contents(tmp_path / "torn") == expected


@pytest.mark.parametrize("change", [{"crop": "pad"}, {"crop_legacy_geometry": True}, {"crop_threshold": 0.55}, {"crop": None}])
def test_other_crops_are_another_plan(tmp_path: Path, change: dict[str, Any]) -> None:
    """Shards of other crops are never taken up or kept for these."""
    build(make_config(tmp_path))
    with pytest.raises(DatasetError, match="another plan"):
        build(make_config(tmp_path, keep_multi_observation=change == {"crop": None}, **change))


def test_the_plan_names_crops_and_settings_without_them_are_refused(tmp_path: Path) -> None:
    """A dry run says how boxes are cut; geometry and threshold alone mean nothing."""
    assert "a record per box, tight" in create_dataset(make_config(tmp_path, crop="tight", dry_run=True)).text()
    with pytest.raises(ValidationError, match="go with --crop"):
        make_config(tmp_path, crop=None, crop_threshold=0.2)
