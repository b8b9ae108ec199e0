"""Contact sheets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from camtrap_tf.config.variation import PreviewConfig
from camtrap_tf.errors import LabelError, SettingError
from camtrap_tf.input_pipeline.batches import training_batches
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.input_pipeline.preview import Cell, draw_sheet, font, preview
from camtrap_tf.input_pipeline.shard_set import ShardSet
from camtrap_tf.labels import LabelMapping
from tests.factories import make_jpeg
from tests.unit.input_pipeline.conftest import WriteShard

FLAGS: dict[str, Any] = {"randomly_flip_horizontally": False, "rotate_by_angle": 0.0, "zoom_factor": 0.4}


def make(folder: Path, out: Path, **settings: object) -> PreviewConfig:
    """Returns settings of a small preview."""
    small = {"output_width": 32, "output_height": 24}
    return PreviewConfig.model_validate({"path": (folder,), "output_dir": out, **small, **settings})


def pixels(path: Path) -> np.ndarray:
    """Returns a sheet."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def holds(sheet: np.ndarray, picture: np.ndarray) -> bool:
    """Tells whether a picture, enlarged by a whole number, is somewhere on a sheet, up to rounding of its values."""
    scale = -(-140 // picture.shape[1])
    wanted = picture.repeat(scale, axis=0).repeat(scale, axis=1).astype(int)
    height, width = wanted.shape[:2]
    corners = np.argwhere((np.abs(sheet[: 1 - height, : 1 - width].astype(int) - wanted[0, 0]) <= 1).all(axis=-1))
    return any(np.abs(sheet[y : y + height, x : x + width].astype(int) - wanted).max() <= 1 for y, x in corners)


def test_sheet_shows_what_training_sees(write_shard: WriteShard, tmp_path: Path) -> None:
    """Beside each original stands exactly the picture that the first epoch would be given."""
    folder = write_shard(pictures=3).parent
    result = preview(make(folder, tmp_path / "out", augmented=True, examples=3, **FLAGS))
    assert result.examples == 3
    sheet = pixels(result.files[0])
    way = Preprocessing(output_height=24, output_width=32, **FLAGS)
    shards = ShardSet.open((folder,), ("train",))
    for wanted in (way, way.without_augmentation()):
        batch = next(iter(training_batches(shards, wanted, LabelMapping({}), batch_size=3, epoch=0, seed=123)))
        for image in batch["images"].numpy():
            assert holds(sheet, np.round(image).astype(np.uint8))


def test_sheets_of_sixteen(write_shard: WriteShard, tmp_path: Path) -> None:
    """Twenty examples fill one sheet and begin another; without --augmented there are originals alone."""
    folder = write_shard(pictures=21).parent
    result = preview(make(folder, tmp_path / "out", examples=20))
    assert [file.name for file in result.files] == ["preview_1.png", "preview_2.png"]
    both = preview(make(folder, tmp_path / "both", examples=20, augmented=True, mixup=0.4, random_erasing=0.5))
    assert pixels(both.files[0]).shape[1] > 1.8 * pixels(result.files[0]).shape[1]
    assert result.text().startswith("20 examples on 2 sheets")


def test_few_records_are_drawn_again_as_later_epochs_vary_them(write_shard: WriteShard, tmp_path: Path) -> None:
    """Three records fill eight places: as in epoch 0, as in epoch 1, and two as in epoch 2; originals alone are there once."""
    folder = write_shard(pictures=3).parent
    result = preview(make(folder, tmp_path / "out", augmented=True, examples=8, **FLAGS))
    assert result.text().startswith("8 examples of 3 epochs on 1 sheet")
    sheet, way = pixels(result.files[0]), Preprocessing(output_height=24, output_width=32, **FLAGS)
    shards = ShardSet.open((folder,), ("train",))
    batches = [
        next(iter(training_batches(shards, way, LabelMapping({}), batch_size=3, epoch=epoch, seed=123))) for epoch in range(3)
    ]
    pictures = [image for batch in batches for image in batch["images"].numpy()]
    assert len({image.tobytes() for image in pictures}) == 9
    assert [holds(sheet, np.round(image).astype(np.uint8)) for image in pictures] == [True] * 8 + [False]
    assert preview(make(folder, tmp_path / "originals", examples=8)).examples == 3


def test_settings_of_a_training(write_shard: WriteShard, tmp_path: Path) -> None:
    """Size and variation come from a run folder; a flag wins over it."""
    folder = write_shard(pictures=1).parent
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text("model: small_cnn\noutput_width: 100\noutput_height: 60\nbatch_size: 5\n")
    config = PreviewConfig(path=(folder,), output_dir=tmp_path / "a", training=run)
    wider = PreviewConfig(path=(folder,), output_dir=tmp_path / "b", training=run / "config.yaml", output_width=300)
    assert pixels(preview(config).files[0]).shape[1] == 2 * 16 + 2 * 100
    assert pixels(preview(wider).files[0]).shape[1] == 2 * 16 + 300


def test_damaged_pictures_are_counted(write_shard: WriteShard, tmp_path: Path) -> None:
    """A picture that cannot be decoded has its place, and is counted."""
    folder = write_shard(pictures=[[make_jpeg(40, 30)], [make_jpeg(40, 30)[:200]]]).parent
    assert preview(make(folder, tmp_path / "out")).unreadable == 1


def test_mistakes(write_shard: WriteShard, tmp_path: Path) -> None:
    """An unknown label type and a training that is none are said before anything is drawn."""
    folder = write_shard(pictures=1).parent
    with pytest.raises(LabelError, match="did you mean 'species'"):
        preview(make(folder, tmp_path / "out", labels=("specie",)))
    with pytest.raises(SettingError, match="--training"):
        preview(make(folder, tmp_path / "out", training=tmp_path / "absent"))
    (tmp_path / "bad.yaml").write_text("crop_factor: 7\n")
    with pytest.raises(SettingError, match="crop_factor"):
        preview(make(folder, tmp_path / "out", training=tmp_path / "bad.yaml"))


def test_long_captions_stay_inside() -> None:
    """Long class names and ids are cut, so that no letter leaves its cell."""
    cell = Cell((np.zeros((140, 140, 3), np.uint8),), (("species: " + "Tragelaphus strepsiceros " * 6,),), "x" * 200)
    sheet = np.asarray(draw_sheet([cell], ("original",)))
    assert (sheet[:, -8:] == sheet[0, 0]).all()
    assert font().getlength("Ž") > 0
