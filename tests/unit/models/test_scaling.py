"""Input scaling, against keras.applications' own preprocessing."""

import keras
import numpy as np
import pytest

from camtrap_tf.config.names import KERAS_BACKBONES
from camtrap_tf.models.scaling import expected_scaling, scaling_layer

MODULES = {
    "ResNet": "resnet_v2",
    "InceptionResNetV2": "inception_resnet_v2",
    "InceptionV3": "inception_v3",
    "Xception": "xception",
    "MobileNetV2": "mobilenet_v2",
    "MobileNet": "mobilenet",
    "DenseNet": "densenet",
    "NASNet": "nasnet",
}
SCALED_INSIDE = ("EfficientNet", "MobileNetV3", "ConvNeXt")


@pytest.mark.parametrize("name", [name for name in KERAS_BACKBONES if not name.startswith(SCALED_INSIDE)])
def test_equals_preprocess_input(name: str) -> None:
    """Our layer gives what the module's preprocess_input gives."""
    module = next(module for prefix, module in MODULES.items() if name.startswith(prefix))
    pictures = np.random.default_rng(0).uniform(0, 255, (2, 4, 4, 3)).astype(np.float32)
    scaling = expected_scaling(name)
    expected = getattr(keras.applications, module).preprocess_input(pictures.copy())
    np.testing.assert_allclose(scaling_layer(scaling.means, scaling.stdevs)(pictures), expected, atol=2e-6)


def test_layer_standardises() -> None:
    """Pictures become (x / 255 - mean) / deviation per channel."""
    pictures = np.random.default_rng(1).uniform(0, 255, (1, 3, 3, 3)).astype(np.float32)
    means, stdevs = (0.1, 0.5, 0.9), (0.3, 0.2, 0.1)
    np.testing.assert_allclose(
        scaling_layer(means, stdevs)(pictures), (pictures / 255 - np.array(means)) / np.array(stdevs), atol=1e-5
    )
