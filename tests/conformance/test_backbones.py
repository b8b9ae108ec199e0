"""What every backbone holds to. A new one joins by its entry in `config/names.py`."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest

from camtrap_tf.config.names import BACKBONES, KERAS_BACKBONES
from camtrap_tf.config.training import ModelConfig
from camtrap_tf.errors import ModelError, SettingError
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.labels import LabelMapping
from camtrap_tf.models.backbones import (
    backbone_scaling,
    build_backbone,
)
from camtrap_tf.models.choice import check_backbone, default_side_px, has_weights
from camtrap_tf.models.classifier import build_classifier, head_layers
from camtrap_tf.models.scaling import scaling_layer
from camtrap_tf.models.weights import fit, weighted_layers, weights_of

CHEAP = ["small_cnn", "ResNet18", "MobileNetV2", "EfficientNetB0"]
SCALED_INSIDE = {
    "MobileNetV3Small": 1, "EfficientNetV2B0": 1, "EfficientNetV2S": 1, "ConvNeXtTiny": 1,
}  # fmt: skip
LARGE = {
    "ResNet101", "ResNet152", "ResNet101V2", "ResNet152V2", "DenseNet169", "DenseNet201",
    "ConvNeXtSmall", "ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtXLarge", "NASNetLarge",
    *(f"EfficientNetB{size}" for size in (1, 2, 4, 5, 6, 7)),
    *(f"EfficientNetV2{size}" for size in ("B1", "B2", "B3", "M", "L")),
}  # fmt: skip
NAMES = [pytest.param(name, marks=pytest.mark.large) if name in LARGE else name for name in BACKBONES]
LABELS = LabelMapping({"species": {"cat": 0, "dog": 1}, "a/b": {"x": 0, "y": 1, "z": 2}})


@pytest.mark.parametrize("name", NAMES)
def test_gives_one_feature_vector_a_picture(name: str) -> None:
    """At an input that is neither its own nor square, it gives `[B, F]` finite numbers."""
    backbone = build_backbone(name, height=96, width=80)
    features = backbone(np.random.default_rng(0).normal(size=(1, 96, 80, 3)).astype("f"))
    assert features.shape == (1, backbone.output_shape[-1])
    assert np.isfinite(features).all()
    assert backbone.name == "backbone"


@pytest.mark.parametrize("name", CHEAP)
def test_classifier_answers_by_label_type(name: str) -> None:
    """A classifier takes pictures in 0 … 255 and answers with logits per label type; its features are the backbone's."""
    processing = Preprocessing(output_height=48, output_width=64)
    model = build_classifier(ModelConfig(model=name), LABELS, processing)
    pictures = np.random.default_rng(0).uniform(0, 255, (2, 48, 64, 3)).astype("f")
    assert {label: value.shape for label, value in model(pictures).items()} == {"species": (2, 2), "a/b": (2, 3)}
    features = keras.Model(model.input, next(iter(head_layers(model).values())).input)
    assert features(pictures).shape == (2, model.get_layer("backbone").output_shape[-1])


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SCALED_INSIDE))
def test_scaling_equals_that_of_keras_applications(name: str) -> None:
    """Our scaling and a network without any give what keras.applications gives with scaling inside, but for rounding."""
    keras.utils.set_random_seed(1)
    theirs = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(64, 64, 3), pooling="avg")
    ours = build_backbone(name, height=64, width=64)
    assert not fit(weighted_layers(ours), weights_of(theirs))[1]
    pictures = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("f")
    scaling, expected = backbone_scaling(name), np.asarray(theirs(pictures))
    given = ours(scaling_layer(scaling.means, scaling.stdevs)(pictures))
    np.testing.assert_allclose(given, expected, atol=1e-3 * np.abs(expected).mean())


def test_scaling_of_efficientnet() -> None:
    """EfficientNet's stem gets what its ImageNet weights make of a picture: standardised, once more by sqrt(deviation)."""
    theirs = keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=(64, 64, 3), pooling="avg")
    means, stdevs = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    normalisation = theirs.layers[2]
    normalisation.set_weights([np.array(means, "f"), np.array(stdevs, "f"), np.int64(0)])
    normalisation.finalize_state()
    pictures = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("f")
    inside = keras.Model(theirs.input, theirs.get_layer("stem_conv_pad").input)(pictures) / np.sqrt(np.array(stdevs, "f"))
    scaling = backbone_scaling("EfficientNetB0")
    np.testing.assert_allclose(scaling_layer(scaling.means, scaling.stdevs)(pictures), inside, atol=1e-5)


def test_every_name_has_a_builder() -> None:
    """Every name of keras.applications in the table exists there, and has a default size."""
    assert all(hasattr(keras.applications, name) for name in KERAS_BACKBONES)
    assert all(default_side_px(name) >= 22 for name in BACKBONES)


def test_unknown_name_and_weights() -> None:
    """An unknown name gives the nearest, absent weights are named before anything is built."""
    with pytest.raises(SettingError, match="did you mean 'MobileNetV2'"):
        check_backbone("mobilenet_v2")
    with pytest.raises(SettingError, match="given as hub:resnet_18_imagenet"):
        check_backbone("resnet_18_imagenet")
    with pytest.raises(SettingError, match="there are none for ResNet18"):
        check_backbone("ResNet18", "imagenet")
    with pytest.raises(SettingError, match="there are none for ResNet50; give --model ResNet50V2, which has them"):
        check_backbone("ResNet50", "imagenet")
    with pytest.raises(ModelError, match="no such file"):
        check_backbone("ResNet18", "absent.h5")
    with pytest.raises(SettingError, match="too small"):
        build_backbone("Xception", height=40, width=80)


def test_imagenet_out_of_reach(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """Where ImageNet weights cannot be fetched, the message names the file to place and the folder."""

    def offline(*_: object, **__: object) -> None:
        """Fails like a download without a network."""
        raise OSError("no route")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", offline)
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(tmp_path))
    with pytest.raises(ModelError, match=rf"place mobilenet_v2\S+\.h5 \(from https://\S+\) in {tmp_path}/models"):
        build_backbone("MobileNetV2", height=96, width=96, weights="imagenet")


def test_hub_preset_from_a_folder(tmp_path: object) -> None:
    """A keras-hub preset in a folder gives its features, its weights and its scaling."""
    import keras_hub

    preset = f"{tmp_path}/tiny"
    given = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64], input_conv_kernel_sizes=[3], stackwise_num_filters=[64, 64], stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2], block_type="basic_block", image_shape=(None, None, 3),
    )  # fmt: skip
    given.save_to_preset(preset)
    keras_hub.layers.ImageConverter(image_size=(64, 64), scale=1 / 127.5, offset=-1.0).save_to_preset(preset)
    assert has_weights(f"hub:{preset}", "none")
    pictures = np.random.default_rng(0).uniform(-1, 1, (2, 48, 64, 3)).astype("f")
    ours = build_backbone(f"hub:{preset}", height=48, width=64)
    np.testing.assert_allclose(ours(pictures), np.mean(given(pictures), axis=(1, 2)), atol=1e-5)
    assert default_side_px(f"hub:{preset}") == 64
    np.testing.assert_allclose([*backbone_scaling(f"hub:{preset}").means, *backbone_scaling(f"hub:{preset}").stdevs], [0.5] * 6)


def test_hub_preset_that_does_not_exist() -> None:
    """A preset that does not exist is one line with the nearest name, of presets or of folders."""
    with pytest.raises(ModelError, match=r"no such preset.*did you mean 'vit_base_patch16_224_imagenet'\?$"):
        build_backbone("hub:vit_base_patch16_224_imagent", height=64, width=64)
    with pytest.raises(ModelError, match=r"no such folder; there is no folder /nowhere$"):
        default_side_px("hub:/nowhere/preset")


def test_hub_folder_that_lacks_a_file(tmp_path: Path) -> None:
    """A folder that is no whole preset cannot be read, and what it lacks is named; nothing is said to be out of reach."""
    for file in ("config.json", "image_converter.json", "model.weights.h5"):
        lacks = rf"cannot be read: it lacks .*{re.escape(file)}"
        with pytest.raises(ModelError, match=lacks):
            default_side_px(f"hub:{tmp_path}")
        with pytest.raises(ModelError, match=lacks):
            build_backbone(f"hub:{tmp_path}", height=64, width=64)
        (tmp_path / file).write_text("{")
    with pytest.raises(ModelError, match="cannot be read: Expecting property name"):
        default_side_px(f"hub:{tmp_path}")


def test_presets_are_there_for_what_is_left_out() -> None:
    """Networks that are left out lead to a preset that keras-hub has."""
    import keras_hub

    for name in ("VGG16", "VGG19"):
        assert hasattr(keras.applications, name)
        with pytest.raises(SettingError, match="blue, green, red") as caught:
            check_backbone(name)
        preset = re.search(r"--model hub:(\S+),", str(caught.value))
        assert preset is not None
        assert preset[1] in keras_hub.layers.ImageConverter.presets
