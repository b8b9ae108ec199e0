"""ImageNet weights of keras.applications: which file it is, where Keras keeps it, and whether it can be had.

No TensorFlow in here. Keras itself would say that a file is out of reach only after minutes of trying.
"""

from __future__ import annotations

import os
import threading
import urllib.request
from pathlib import Path

REACH_TIMEOUT_S = 5.0
"""How long a server may take to say that it has a file."""
_HOST = "https://storage.googleapis.com/"
_COMMON = "_weights_tf_dim_ordering_tf_kernels_notop"
_FILES = {
    "ResNet50V2": f"tensorflow/keras-applications/resnet/resnet50v2{_COMMON}",
    "ResNet101V2": f"tensorflow/keras-applications/resnet/resnet101v2{_COMMON}",
    "ResNet152V2": f"tensorflow/keras-applications/resnet/resnet152v2{_COMMON}",
    "InceptionResNetV2": f"tensorflow/keras-applications/inception_resnet_v2/inception_resnet_v2{_COMMON}",
    "InceptionV3": f"tensorflow/keras-applications/inception_v3/inception_v3{_COMMON}",
    "Xception": f"tensorflow/keras-applications/xception/xception{_COMMON}",
    "MobileNet": "tensorflow/keras-applications/mobilenet/mobilenet_1_0_224_tf_no_top",
    "MobileNetV2": (
        "tensorflow/keras-applications/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top"
    ),
    "MobileNetV3Small": "tensorflow/keras-applications/mobilenet_v3/weights_mobilenet_v3_small_224_1.0_float_no_top_v2",
    "MobileNetV3Large": "tensorflow/keras-applications/mobilenet_v3/weights_mobilenet_v3_large_224_1.0_float_no_top_v2",
    "DenseNet121": f"tensorflow/keras-applications/densenet/densenet121{_COMMON}",
    "DenseNet169": f"tensorflow/keras-applications/densenet/densenet169{_COMMON}",
    "DenseNet201": f"tensorflow/keras-applications/densenet/densenet201{_COMMON}",
    **{f"EfficientNetB{n}": f"keras-applications/efficientnetb{n}_notop" for n in range(8)},
    **{
        f"EfficientNetV2{size}": f"tensorflow/keras-applications/efficientnet_v2/efficientnetv2-{size.lower()}_notop"
        for size in ("B0", "B1", "B2", "B3", "S", "M", "L")
    },
    "NASNetMobile": "tensorflow/keras-applications/nasnet/NASNet-mobile-no-top",
    "NASNetLarge": "tensorflow/keras-applications/nasnet/NASNet-large-no-top",
    **{
        f"ConvNeXt{size}": f"tensorflow/keras-applications/convnext/convnext_{size.lower()}_notop"
        for size in ("Tiny", "Small", "Base", "Large", "XLarge")
    },
}
"""Backbone → path on the host, without its ending. Source: keras.applications of Keras 3.12."""
_KEPT_AS = {"NASNetMobile": "nasnet_mobile_no_top.h5", "NASNetLarge": "nasnet_large_no_top.h5"}
"""Names in the cache that differ from those on the host."""


def address_of(name: str) -> str:
    """Returns where the weights of a backbone of keras.applications are downloaded from."""
    return f"{_HOST}{_FILES[name]}.h5"


def file_of(name: str) -> str:
    """Returns the name of the file that Keras keeps the weights in."""
    return _KEPT_AS.get(name, address_of(name).rpartition("/")[2])


def folder() -> Path:
    """Returns the folder that Keras looks into for weights."""
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"


def within_reach(name: str, *, timeout_s: float = REACH_TIMEOUT_S) -> bool:
    """Returns whether the weights of a backbone are on disk, or a server says in time that it has them."""
    if (folder() / file_of(name)).is_file():
        return True
    answers: list[bool] = []
    # A thread: looking up the host's name knows no timeout.
    asking = threading.Thread(target=lambda: answers.append(_there(address_of(name), timeout_s)), daemon=True)
    asking.start()
    asking.join(timeout_s)
    return bool(answers and answers[0])


def _there(address: str, timeout_s: float) -> bool:
    """Asks for a file without fetching it, through the proxy where one is set."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=timeout_s):
            return True
    except (OSError, ValueError):
        return False
