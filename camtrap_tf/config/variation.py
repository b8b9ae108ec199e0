"""Settings of how pictures become training inputs: size, and what is left to chance."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from camtrap_tf.config.base import Seed, StageConfig
from camtrap_tf.config.names import ColorAugmentation, ImageChoice, Interpolation


class VariationConfig(StageConfig):
    """The size of the model's input, and how training pictures vary."""

    output_width: int | None = Field(None, ge=16, description="width of the model's input in px; default: the backbone's")
    output_height: int | None = Field(None, ge=16, description="height of the model's input in px; default: the backbone's")
    preserve_aspect_ratio: bool = Field(False, description="resize the smaller side and crop the centre, instead of squeezing")
    color_augmentation: ColorAugmentation = Field("none", description="how strongly colours vary in training")
    crop_factor: float = Field(0.1, ge=0, le=0.5, description="random crops keep at least 1 minus this of each side")
    zoom_factor: float = Field(0.1, ge=0, le=0.5, description="random zoom by up to this factor, in or out")
    resized_crop_area: float | None = Field(
        None, gt=0, le=1, description="random crops keep at least this share of the area, squeezed; in place of crop and zoom"
    )
    resized_crop_ratio: float = Field(4 / 3, ge=1, description="how far --resized-crop-area changes width to height, at most")
    rotate_by_angle: float = Field(5, ge=0, le=180, description="random rotation by up to this many degrees")
    randomly_flip_horizontally: bool = Field(True, description="mirror half of the training pictures")
    vertical_flip_share: float = Field(0, ge=0, le=1, description="share of the training pictures to mirror top to bottom")
    grayscale_share: float = Field(0, ge=0, le=1, description="share of the training pictures that lose their colours")
    jitter: float = Field(
        0, ge=0, le=1, description="brightness, contrast and saturation vary by up to this factor, in random order"
    )
    evaluation_crop: float = Field(
        1, ge=0.25, le=1, description="share of each side that is kept, about the centre, wherever nothing is left to chance"
    )
    evaluation_interpolation: Interpolation = Field(
        "bilinear", description="how pictures are resized wherever nothing is left to chance"
    )
    image_choice_for_sets: ImageChoice = Field("random", description="which frame of an event is trained on")
    randaugment: float = Field(0.0, ge=0, le=1, description="strength of two more random changes per picture, up to 1; 0: off")
    mixup: float = Field(0.0, ge=0, description="alpha of MixUp, which blends two pictures and their labels; 0: off")
    cutmix: float = Field(0.0, ge=0, description="alpha of CutMix, which pastes a part of another picture in; 0: off")
    random_erasing: float = Field(0.0, ge=0, le=1, description="chance that a rectangle of a picture is painted over; 0: off")


class PreviewConfig(VariationConfig):
    """Draw contact sheets of shards, with --augmented beside what training makes of each picture; to be looked at."""

    path: tuple[Path, ...] = Field(min_length=1, description="folders with shards, searched through")
    pattern: tuple[str, ...] = Field(("train",), description="splits to look at")
    pattern_is_substring: bool = Field(False, description="patterns are parts of file names instead of split names")
    output_dir: Path = Field(description="folder for preview_1.png, preview_2.png …")
    labels: tuple[str, ...] = Field((), description="label types to write below; default: all")
    augmented: bool = Field(False, description="beside each picture, what training would see in one epoch")
    training: Path | None = Field(
        None, description="run folder or YAML file of a training; its size and variation count where no flag is given"
    )
    examples: int = Field(
        64, ge=1, description="how many examples; with --augmented and fewer records, those of the following epochs too"
    )
    epoch: int = Field(0, ge=0, description="epoch to begin with, counted from 0")
    seed: Seed = Field(123, description="seed of choice and variation, as in training")
