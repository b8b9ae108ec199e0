"""`image_processing.json`: how a picture in stored form becomes a model's input, in training, evaluation and service.

It is made when training starts, kept in the bundle, and compiled into the exported graph. The keys are those of
camera-trap-classifier, whose files are read too, and some of our own, which a file may lack.
"""

from __future__ import annotations

import typing
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

from camtrap_tf.config.names import ColorAugmentation, ImageChoice, Interpolation, Normalisation, TruncatedPolicy
from camtrap_tf.config.variation import VariationConfig
from camtrap_tf.errors import SettingError, suggestion
from camtrap_tf.files import read_json, write_json
from camtrap_tf.images.stored_form import StoredForm

FILE_NAME = "image_processing.json"
_VARIATION = (
    "resized_crop_area", "resized_crop_ratio", "vertical_flip_share", "grayscale_share", "jitter",
    "evaluation_crop", "evaluation_interpolation",
)  # fmt: skip
"""Settings of trainings that camera-trap-classifier does not know; written where they are not the default."""
_EXTRA = (*_VARIATION, "normalisation", "stored_form")
_RANGES = {
    "crop_factor": (0, 0.5), "zoom_factor": (0, 0.5), "rotate_by_angle": (0, 180), "resized_crop_area": (0.001, 1),
    "resized_crop_ratio": (1, 100), "vertical_flip_share": (0, 1), "grayscale_share": (0, 1), "jitter": (0, 1),
    "evaluation_crop": (0.25, 1),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """The way from stored form to model input, and what varies in training.

    Attributes:
        output_height: height of the model's input, in px.
        output_width: width of the model's input, in px.
        preserve_aspect_ratio: scale until the input is covered and keep the centre, instead of squeezing.
        crop_factor: random crops keep at least 1 minus this of each side, in [0, 0.5].
        zoom_factor: random zoom by up to this factor, in [0, 0.5].
        resized_crop_area: random crops keep at least this share of the area, in (0, 1], of a shape of their own, and take the
            place of crop and zoom; None: they do not.
        resized_crop_ratio: how far the shape of those is changed, as a factor of width to height, at least 1.
        rotate_by_angle: random rotation by up to this many degrees, in [0, 180].
        color_augmentation: how strongly colours vary.
        randomly_flip_horizontally: mirror half of the training pictures.
        vertical_flip_share: share of the training pictures that are mirrored top to bottom.
        grayscale_share: share of the training pictures that lose their colours.
        jitter: brightness, contrast and saturation vary by up to this factor, in random order; in [0, 1].
        evaluation_crop: share of each side that is kept, about the centre, where nothing is left to chance; in [0.25, 1].
        evaluation_interpolation: how pictures are resized there.
        image_choice_for_sets: which frame of a record is trained on; `grayscale_stacking`: three as one picture.
        image_means: mean of R, G, B over training pictures, in [0, 1].
        image_stdevs: standard deviation of R, G, B, in (0, 1].
        normalisation: `dataset`: by means and deviations above; `backbone`: as the backbone's weights expect.
        stored_form: how pictures are kept in the shards; None: not known (shards without a manifest).
    """

    output_height: int
    output_width: int
    preserve_aspect_ratio: bool = False
    crop_factor: float = 0.1
    zoom_factor: float = 0.1
    rotate_by_angle: float = 5.0
    color_augmentation: ColorAugmentation = "none"
    randomly_flip_horizontally: bool = True
    image_choice_for_sets: ImageChoice = "random"
    image_means: tuple[float, float, float] = (0.0, 0.0, 0.0)
    image_stdevs: tuple[float, float, float] = (1.0, 1.0, 1.0)
    resized_crop_area: float | None = None
    resized_crop_ratio: float = 4 / 3
    vertical_flip_share: float = 0.0
    grayscale_share: float = 0.0
    jitter: float = 0.0
    evaluation_crop: float = 1.0
    evaluation_interpolation: Interpolation = "bilinear"
    normalisation: Normalisation = "dataset"
    stored_form: StoredForm | None = None

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise SettingError(f"image processing: {name} is {value}; it lies between {low} and {high}")
        if min(self.output_height, self.output_width) < 1:
            raise SettingError("image processing: output_height and output_width are at least 1 px")
        for name in ("image_means", "image_stdevs"):
            if len(getattr(self, name)) != 3:
                raise SettingError(
                    f"image processing: {name} has {len(getattr(self, name))} numbers; give one each for R, G, B"
                )
        if min(self.image_stdevs) <= 0:
            raise SettingError(f"image processing: image_stdevs {list(self.image_stdevs)} have to be above 0")

    @property
    def stacked(self) -> bool:
        """Whether the frames of a record become the channels of one picture."""
        return self.image_choice_for_sets == "grayscale_stacking"

    @property
    def draws_windows(self) -> bool:
        """Whether training sees a part of each picture that is drawn; else what evaluation sees."""
        return bool(self.crop_factor or self.zoom_factor or self.resized_crop_area is not None)

    @property
    def colours(self) -> ColorAugmentation:
        """The colour augmentation in force: none where channels are frames."""
        return "none" if self.stacked else self.color_augmentation

    @classmethod
    def from_config(
        cls,
        config: VariationConfig,
        *,
        input_size: int,
        normalisation: Normalisation,
        stored_form: StoredForm | None,
        image_means: tuple[float, float, float] = (0.0, 0.0, 0.0),
        image_stdevs: tuple[float, float, float] = (1.0, 1.0, 1.0),
    ) -> Self:
        """Returns the preprocessing that the settings of a training ask for.

        Args:
            config: the settings.
            input_size: side of the backbone's usual input in px, for sides that the settings leave open.
            normalisation: which scaling the model begins with.
            stored_form: how the training pictures are kept, where known.
            image_means: of the training pictures, in [0, 1].
            image_stdevs: of the training pictures, in (0, 1].
        """
        return cls(
            output_height=config.output_height or input_size,
            output_width=config.output_width or input_size,
            preserve_aspect_ratio=config.preserve_aspect_ratio,
            crop_factor=config.crop_factor,
            zoom_factor=config.zoom_factor,
            rotate_by_angle=config.rotate_by_angle,
            color_augmentation=config.color_augmentation,
            randomly_flip_horizontally=config.randomly_flip_horizontally,
            image_choice_for_sets=config.image_choice_for_sets,
            image_means=image_means,
            image_stdevs=image_stdevs,
            normalisation=normalisation,
            stored_form=stored_form,
            **{name: getattr(config, name) for name in _VARIATION},
        )

    def with_statistics(self, means: tuple[float, float, float], stdevs: tuple[float, float, float]) -> Self:
        """Returns the same preprocessing with measured means and standard deviations."""
        return replace(self, image_means=means, image_stdevs=stdevs)

    def without_augmentation(self) -> Self:
        """Returns the same preprocessing with nothing left to chance but the choice of the frame."""
        return replace(
            self,
            crop_factor=0.0,
            zoom_factor=0.0,
            rotate_by_angle=0.0,
            color_augmentation="none",
            randomly_flip_horizontally=False,
            resized_crop_area=None,
            vertical_flip_share=0.0,
            grayscale_share=0.0,
            jitter=0.0,
        )

    def as_json(self) -> dict[str, Any]:
        """Returns plain values, as they are written."""
        value = {field.name: getattr(self, field.name) for field in fields(self)}
        value["image_means"], value["image_stdevs"] = list(self.image_means), list(self.image_stdevs)
        value["stored_form"] = None if self.stored_form is None else self.stored_form.as_json()
        usual = {field.name: field.default for field in fields(self) if field.name in _VARIATION}
        extras = {key: value[key] for key in _EXTRA if key not in usual or value[key] != usual[key]}
        return {**{key: one for key, one in value.items() if key not in _EXTRA}, "is_training": False, **extras}

    @classmethod
    def from_json(cls, value: Any, where: str = FILE_NAME) -> Self:
        """Checks parsed JSON, ours or camera-trap-classifier's.

        Args:
            value: parsed JSON.
            where: file name for messages.

        Raises:
            SettingError: an unknown or absent key, or a value of a wrong type.
        """
        if not isinstance(value, dict):
            raise SettingError(f"{where}: image processing is an object of settings; give the file that training wrote")
        known = [field.name for field in fields(cls)]
        for key in value:
            if key not in known and key != "is_training":
                raise SettingError(f"{where}: unknown key {key!r}{suggestion(key, known)}")
        absent = [key for key in known if key not in value and key not in _EXTRA]
        if absent:
            raise SettingError(f"{where}: {', '.join(absent)} not there; give the file that training wrote")
        settings = {key: _checked(key, one, where) for key, one in value.items() if key != "is_training"}
        return cls(**settings)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads `image_processing.json`, given by itself or by its folder.

        Raises:
            SourceError: it cannot be read.
            SettingError: it is not usable.
        """
        file = path / FILE_NAME if path.is_dir() else path
        return cls.from_json(read_json(file, what="image processing file"), str(file))

    def write(self, path: Path) -> None:
        """Writes the file, given by itself or by its folder."""
        write_json(path / FILE_NAME if path.is_dir() else path, self.as_json())


_CHOICES = {
    "color_augmentation": typing.get_args(ColorAugmentation),
    "image_choice_for_sets": typing.get_args(ImageChoice),
    "evaluation_interpolation": typing.get_args(Interpolation),
    "normalisation": typing.get_args(Normalisation),
}


def _checked(key: str, value: Any, where: str) -> Any:
    """Returns the value of a key as the dataclass holds it."""
    if key == "stored_form":
        return None if value is None else _stored_form(value, where)
    if key in _CHOICES:
        value = "none" if key == "color_augmentation" and value is None else value
        if value not in _CHOICES[key]:
            raise SettingError(f"{where}: {key} is {value!r}{suggestion(str(value), _CHOICES[key])}")
        return value
    if key in ("image_means", "image_stdevs"):
        if not isinstance(value, list) or not all(_is_number(one) for one in value):
            raise _wrong(where, key, value, "a list of three numbers")
        return tuple(float(one) for one in value)
    if key in ("preserve_aspect_ratio", "randomly_flip_horizontally"):
        if not isinstance(value, bool):
            raise _wrong(where, key, value, "true or false")
        return value
    if key == "resized_crop_area" and value is None:
        return None
    if not _is_number(value):
        raise _wrong(where, key, value, "a number")
    if key in ("output_height", "output_width"):
        if isinstance(value, float) and not value.is_integer():
            raise _wrong(where, key, value, "a whole number")
        return int(value)
    return float(value)


def _stored_form(value: Any, where: str) -> StoredForm:
    known = [field.name for field in fields(StoredForm)]
    if not isinstance(value, dict) or not set(value) <= set(known):
        raise _wrong(where, "stored_form", value, f"an object of {', '.join(known)}, or null")
    for key, one in value.items():
        sound = (
            one in typing.get_args(TruncatedPolicy) if key == "truncated" else _is_whole(one, may_lack=key.startswith("side"))
        )
        if not sound:
            raise SettingError(f"{where}: stored_form has {key} {one!r}; give the file that training wrote")
    return StoredForm.from_json(value)


def _is_whole(value: Any, *, may_lack: bool) -> bool:
    return (value is None and may_lack) or (isinstance(value, int) and not isinstance(value, bool) and value > 0)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _wrong(where: str, key: str, value: Any, wanted: str) -> SettingError:
    return SettingError(f"{where}: {key} is {value!r}, not {wanted}; give the file that training wrote")
