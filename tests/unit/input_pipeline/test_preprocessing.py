"""The file `image_processing.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.config.training import TrainConfig
from camtrap_tf.errors import SettingError, SourceError
from camtrap_tf.images.stored_form import StoredForm
from camtrap_tf.input_pipeline.preprocessing import Preprocessing

LEGACY_KEYS = {
    "output_height", "output_width", "preserve_aspect_ratio", "crop_factor", "zoom_factor", "rotate_by_angle",
    "color_augmentation", "randomly_flip_horizontally", "image_choice_for_sets", "image_means", "image_stdevs", "is_training",
}  # fmt: skip


def legacy(**changes: Any) -> dict[str, Any]:
    """Returns the content of a file as camera-trap-classifier writes it."""
    value = {
        "output_height": 224, "output_width": 160, "preserve_aspect_ratio": False, "crop_factor": 0.1, "zoom_factor": 0.1,
        "rotate_by_angle": 5, "color_augmentation": None, "randomly_flip_horizontally": True,
        "image_choice_for_sets": "random", "image_means": [0.4, 0.41, 0.39], "image_stdevs": [0.2, 0.2, 0.21],
        "is_training": False,
    }  # fmt: skip
    return value | changes


def test_written_keys_are_those_of_the_format() -> None:
    """The file has camera-trap-classifier's keys, `normalisation` and `stored_form`, else only what is not as usual."""
    value = Preprocessing(output_height=10, output_width=20).as_json()
    assert set(value) == LEGACY_KEYS | {"normalisation", "stored_form"}
    value = Preprocessing(output_height=10, output_width=20, jitter=0.25, evaluation_interpolation="bicubic").as_json()
    assert set(value) == LEGACY_KEYS | {"normalisation", "stored_form", "jitter", "evaluation_interpolation"}
    assert value["is_training"] is False


def test_round_trip(tmp_path: Path) -> None:
    """What is written is read again, from the file or its folder."""
    made = Preprocessing(
        output_height=96, output_width=80, preserve_aspect_ratio=True, crop_factor=0.2, zoom_factor=0.0, rotate_by_angle=12.5,
        color_augmentation="full_fast", randomly_flip_horizontally=False, image_choice_for_sets="grayscale_stacking",
        image_means=(0.1, 0.2, 0.3), image_stdevs=(0.4, 0.5, 0.6), normalisation="backbone",
        stored_form=StoredForm(side_smallest_px=None, side_max_px=640, quality=80), resized_crop_area=0.08,
        resized_crop_ratio=1.5, vertical_flip_share=0.1, grayscale_share=0.2, jitter=0.25, evaluation_crop=0.875,
        evaluation_interpolation="bicubic",
    )  # fmt: skip
    made.write(tmp_path)
    assert Preprocessing.read(tmp_path) == made
    assert Preprocessing.read(tmp_path / "image_processing.json") == made


def test_reads_camera_trap_classifiers_file(tmp_path: Path) -> None:
    """A file without our two keys is read; no colour augmentation is `null` there."""
    path = tmp_path / "image_processing.json"
    path.write_text(json.dumps(legacy()))
    read = Preprocessing.read(path)
    assert (read.output_height, read.output_width, read.color_augmentation) == (224, 160, "none")
    assert read.image_means == (0.4, 0.41, 0.39)
    assert (read.normalisation, read.stored_form) == ("dataset", None)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"crop_facto": 1}, "did you mean 'crop_factor'"),
        ({"output_height": "224"}, "output_height is '224', not a number"),
        ({"output_height": 224.5}, "not a whole number"),
        ({"image_means": [0.1, 0.2]}, "image_means has 2 numbers"),
        ({"image_means": 0.1}, "not a list of three numbers"),
        ({"image_stdevs": [0.1, 0.2, 0]}, "above 0"),
        ({"color_augmentation": "litle"}, "did you mean 'little'"),
        ({"preserve_aspect_ratio": 1}, "not true or false"),
        ({"crop_factor": 0.7}, "between 0 and 0.5"),
        ({"rotate_by_angle": True}, "not a number"),
        ({"resized_crop_area": 0}, "between 0.001 and 1"),
        ({"resized_crop_area": "none"}, "not a number"),
        ({"evaluation_crop": 1.1}, "between 0.25 and 1"),
        ({"evaluation_interpolation": "cubic"}, "did you mean 'bicubic'"),
        ({"stored_form": {"side": 500}}, "stored_form"),
        ({"stored_form": {"quality": "high"}}, "quality 'high'"),
        ({"stored_form": 500}, "stored_form is 500"),
    ],
)
def test_refuses_what_it_does_not_understand(changes: dict[str, Any], said: str) -> None:
    """Unknown keys and wrong types are named, with what would be right."""
    with pytest.raises(SettingError, match=said):
        Preprocessing.from_json(legacy(**changes))


def test_absent_keys_are_named() -> None:
    """A file that lacks a key says which."""
    value = legacy()
    del value["zoom_factor"]
    with pytest.raises(SettingError, match="zoom_factor not there"):
        Preprocessing.from_json(value)


def test_absent_file_is_a_clear_error(tmp_path: Path) -> None:
    """A path that leads nowhere is one line."""
    with pytest.raises(SourceError, match="no such image processing file"):
        Preprocessing.read(tmp_path / "nothing.json")


def test_from_config_takes_the_backbones_size_unless_told() -> None:
    """Sides that the settings leave open are those of the backbone."""
    paths: dict[str, Any] = {key: ["x"] for key in ("train_tfr_path", "val_tfr_path", "labels")}
    config = TrainConfig(**paths, model="small_cnn", run_outputs_dir="r", model_save_dir="m", output_width=64, crop_factor=0.3)
    made = Preprocessing.from_config(config, input_size=50, normalisation="backbone", stored_form=None)
    assert (made.output_height, made.output_width, made.crop_factor, made.normalisation) == (50, 64, 0.3, "backbone")


def test_from_config_takes_every_setting_of_variation() -> None:
    """Each setting that has the same name in a training's settings arrives."""
    changed: dict[str, Any] = {
        "resized_crop_area": 0.3, "resized_crop_ratio": 2.0, "vertical_flip_share": 0.1, "grayscale_share": 0.2, "jitter": 0.4,
        "evaluation_crop": 0.9, "evaluation_interpolation": "bicubic", "crop_factor": 0.3, "zoom_factor": 0.2,
        "rotate_by_angle": 7.0, "color_augmentation": "little", "randomly_flip_horizontally": False,
        "preserve_aspect_ratio": True, "image_choice_for_sets": "first",
    }  # fmt: skip
    paths = {key: ["x"] for key in ("train_tfr_path", "val_tfr_path", "labels")}
    config = TrainConfig.model_validate(
        {**paths, "model": "small_cnn", "run_outputs_dir": "r", "model_save_dir": "m", **changed}
    )
    made = Preprocessing.from_config(config, input_size=50, normalisation="backbone", stored_form=None)
    assert {name: getattr(made, name) for name in changed} == changed


def test_stacked_frames_keep_their_colours() -> None:
    """Where channels are frames, colour augmentation is off, whatever was asked for."""
    made = Preprocessing(
        output_height=9, output_width=9, color_augmentation="little", image_choice_for_sets="grayscale_stacking"
    )
    assert made.colours == "none"
