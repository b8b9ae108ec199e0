"""Backbones by name: from scaled pictures to one feature vector each.

Names and input sizes stand in `config/names.py`. `hub:<preset>` asks keras-hub, which brings weights along.
"""

from __future__ import annotations

import io
import os
import re
import socket
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import keras

from camtrap_tf.config.names import BACKBONES, HUB_PREFIX
from camtrap_tf.errors import ModelError, SettingError, suggestion
from camtrap_tf.files import path_hint
from camtrap_tf.logs import logger
from camtrap_tf.models.choice import check_backbone, require_side
from camtrap_tf.models.own_networks import RESNET_BLOCKS, preactivation_resnet, small_cnn
from camtrap_tf.models.scaling import Scaling, expected_scaling
from camtrap_tf.models.weights import fit, load_backbone_weights, weighted_layers, weights_of

BACKBONE_LAYER = "backbone"
DOWNLOAD_TIMEOUT_S = 60.0
_PRESET_FILES = ("config.json", "image_converter.json", "model.weights.h5")
"""What keras-hub writes for a backbone and its image converter; of the largest ones the weights are in several files."""
_LOG = logger(__name__)


def backbone_scaling(name: str) -> Scaling:
    """Returns the input scaling that the backbone's published weights expect."""
    return _hub_scaling(name) if name.startswith(HUB_PREFIX) else expected_scaling(name)


def build_backbone(name: str, *, height: int, width: int, weights: str = "none") -> keras.Model:
    """Returns the network from scaled pictures `[B, height, width, 3]` to features `[B, F]`.

    Args:
        name: one of `config.names.BACKBONES`, or `hub:<preset>`.
        height: of the input in px.
        width: of the input in px.
        weights: `none`, `imagenet`, or the path of a weights file.

    Raises:
        SettingError: unknown name, or an input too small for it.
        ModelError: weights out of reach or of another network.
    """
    check_backbone(name, weights)
    try:
        backbone = _build(name, height=height, width=width, imagenet=weights == "imagenet")
    except ValueError as err:
        raise SettingError(f"--model {name}: cannot be built for {width} × {height} px: {str(err).splitlines()[0]}") from err
    if weights not in ("none", "imagenet"):
        load_backbone_weights(backbone, Path(weights), name=name)
        _LOG.info("%s starts from %s", name, weights)
    backbone.name = BACKBONE_LAYER
    return backbone


def _build(name: str, *, height: int, width: int, imagenet: bool) -> keras.Model:
    require_side(name, height=height, width=width)
    if name.startswith(HUB_PREFIX):
        return _hub_backbone(name, height=height, width=width)
    if name == "small_cnn":
        return small_cnn(height=height, width=width)
    if name in RESNET_BLOCKS:
        return preactivation_resnet(name, height=height, width=width)
    if not imagenet:
        return _application(name, height=height, width=width, weights=None)
    side = BACKBONES[name]
    trained = _imagenet(name, side=side)
    if (height, width) == (side, side):
        return trained
    backbone = _application(name, height=height, width=width, weights=None)
    misfits = fit(weighted_layers(backbone), weights_of(trained))[1]
    if misfits:
        raise ModelError(f"--weights imagenet: {name} at {width} × {height} px: {misfits[0].layer}: {misfits[0].reason}")
    return backbone


def _application(name: str, *, height: int, width: int, weights: str | None) -> keras.Model:
    """Builds a keras.applications network with average pooling and without scaling inside."""
    function = getattr(keras.applications, name)
    options: dict[str, Any] = {}
    if name.startswith(("EfficientNetV2", "MobileNetV3", "ConvNeXt")):
        options["include_preprocessing"] = False
    network = function(include_top=False, weights=weights, input_shape=(height, width, 3), pooling="avg", **options)
    if name.startswith("EfficientNetB"):
        network = keras.Model(network.get_layer("stem_conv_pad").input, network.output, name=name)
    return network


def _imagenet(name: str, *, side: int) -> keras.Model:
    try:
        with _patient_download() as messages:
            return _application(name, height=side, width=side, weights="imagenet")
    except Exception as err:  # Keras passes on whatever the network and the file system raise
        address = re.search(r"https?://\S+/([^/\s]+\.h5)", f"{err} {messages}")
        folder = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"
        what = f"place {address[1]} (from {address[0]}) in {folder}" if address else f"place its .h5 file in {folder}"
        raise ModelError(
            f"--weights imagenet: weights of {name} are out of reach; {what}, or give --weights PATH or none"
        ) from err


class _Messages(io.StringIO):
    """Passes text on to stderr and keeps it."""

    def write(self, text: str) -> int:
        sys.stderr.write(text)
        return super().write(text)

    def __str__(self) -> str:
        return self.getvalue()


@contextmanager
def _patient_download() -> Iterator[_Messages]:
    """Lets a silent server end a download, and moves Keras' messages about it from stdout to stderr."""
    messages = _Messages()
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_S)
    try:
        with redirect_stdout(messages):
            yield messages
    finally:
        socket.setdefaulttimeout(before)


def _hub_backbone(name: str, *, height: int, width: int) -> keras.Model:
    """Returns a keras-hub backbone with pooling: class token where there is one, else the average over places."""
    network = _from_hub(name, "Backbone", image_shape=(height, width, 3))
    images = keras.Input((height, width, 3), name="pictures")
    x = network(images)
    if isinstance(x, dict):
        raise ModelError(f"--model {name}: gives several outputs, not one feature map; choose an image backbone")
    if len(x.shape) == 4:
        x = keras.layers.GlobalAveragePooling2D(name="average")(x)
    elif len(x.shape) == 3:
        x = x[:, 0] if getattr(network, "use_class_token", hasattr(network, "num_heads")) else keras.ops.mean(x, axis=1)
    return keras.Model(images, x, name="hub")


def _hub_scaling(name: str) -> Scaling:
    converter = _from_hub(name, "ImageConverter")
    scale, offset = (_triple(value, default) for value, default in ((converter.scale, 1.0), (converter.offset, 0.0)))
    return Scaling(
        tuple(-o / (s * 255.0) + 0.0 for s, o in zip(scale, offset, strict=True)), tuple(1.0 / (s * 255.0) for s in scale)
    )


def hub_side_px(name: str) -> int:
    """Returns the side of the input that a keras-hub preset was made for."""
    size = _from_hub(name, "ImageConverter").image_size
    return int(size[0]) if size else 224


def _triple(value: Any, default: float) -> tuple[float, ...]:
    numbers = [default] if value is None else [float(number) for number in keras.ops.convert_to_numpy(value).reshape(-1)]
    return tuple(numbers * 3 if len(numbers) == 1 else numbers)


def _from_hub(name: str, part: str, **options: Any) -> Any:
    """Asks keras-hub for a part of a preset.

    Raises:
        ModelError: keras-hub is not installed, or the preset is unknown, cannot be read or is out of reach.
    """
    preset = name.removeprefix(HUB_PREFIX)
    try:
        import keras_hub
    except ImportError as err:
        raise ModelError(f"--model {name}: keras-hub is not installed; pip install keras-hub") from err
    base = keras_hub.models.Backbone if part == "Backbone" else keras_hub.layers.ImageConverter
    images = keras_hub.layers.ImageConverter.presets
    local = Path(preset).exists()
    if not local and "://" not in preset and preset not in {*images, *base.presets}:
        hint = path_hint(Path(preset)) if "/" in preset else suggestion(preset, images)
        raise ModelError(f"--model {name}: no such preset of keras-hub, and no such folder{hint}")
    try:
        with _patient_download():
            return base.from_preset(preset, **options)
    except Exception as err:  # keras-hub passes on whatever its downloaders raise
        said = (str(err).strip().splitlines() or [repr(err)])[0].partition(" (Caused by ")[0]
        told = textwrap.shorten(said, 160, placeholder=" …")
        if local:
            absent = [file for file in _PRESET_FILES if not (Path(preset) / file).exists()]
            told = f"it lacks {', '.join(absent)}, which save_to_preset writes" if absent else told
            raise ModelError(f"--model {name}: the preset in that folder cannot be read: {told}") from err
        raise ModelError(
            f"--model {name}: preset out of reach ({told}); "
            "download it on another machine and give its folder as hub:<folder>, or begin without: --model ResNet18 "
            "--weights none"
        ) from err
