"""What a name says of a backbone before TensorFlow is loaded: whether there is one, its weights, sizes of its input."""

from __future__ import annotations

from pathlib import Path

from camtrap_tf.config.names import BACKBONES, HUB_PREFIX, KERAS_BACKBONES, OWN_BACKBONES
from camtrap_tf.errors import ModelError, SettingError, suggestion
from camtrap_tf.models import imagenet

_BGR = {"VGG16": "vgg_16_imagenet", "VGG19": "vgg_19_imagenet"}
"""Networks of keras.applications that are left out → preset of keras-hub with the same network."""
_SMALLEST_PX = {"InceptionResNetV2": 75, "InceptionV3": 75, "Xception": 71}


def check_backbone(name: str, weights: str = "none") -> None:
    """Makes sure that a backbone and its weights can be asked for, before any long work.

    Raises:
        SettingError: unknown name, or weights that this backbone does not have.
        ModelError: the weights file is absent.
    """
    if not name.startswith(HUB_PREFIX) and name not in BACKBONES:
        raise SettingError(f"--model {name}: {_no_backbone(name)}")
    if weights == "imagenet" and name in OWN_BACKBONES:
        twin = f"--model {name}V2, which has them" if f"{name}V2" in BACKBONES else "--weights none, or a file"
        raise SettingError(f"--weights imagenet: there are none for {name}; give {twin}")
    if weights not in ("none", "imagenet"):
        require_weights_file(Path(weights))


def _no_backbone(name: str) -> str:
    """Returns why a name is no backbone, and what to give instead."""
    if name in _BGR:
        return (
            "its ImageNet weights take pictures in the order blue, green, red, which an image processing cannot say; "
            f"give --model {HUB_PREFIX}{_BGR[name]}, which takes red, green, blue"
        )
    # Names of presets look like vit_base_patch16_224_imagenet; which there are, keras-hub would say with TensorFlow alone.
    preset = f" (a preset of keras-hub is given as {HUB_PREFIX}{name})" if name.islower() and "_" in name else ""
    return f"no such backbone{suggestion(name, [*BACKBONES, HUB_PREFIX + '<preset>'])}{preset}"


def require_within_reach(name: str, weights: str) -> None:
    """Makes sure that ImageNet weights are on disk or can be downloaded, where they are asked for.

    Raises:
        ModelError: they are out of reach; names the file to place and where.
    """
    if weights != "imagenet" or name not in KERAS_BACKBONES or imagenet.within_reach(name):
        return
    file, folder = imagenet.file_of(name), imagenet.folder()
    raise ModelError(
        f"--weights imagenet: weights of {name} are out of reach; place {file} (from {imagenet.address_of(name)}) in {folder}, "
        "or give --weights PATH or none"
    )


def has_weights(name: str, weights: str) -> bool:
    """Returns whether the backbone starts from trained weights; a keras-hub preset always does."""
    return weights != "none" or name.startswith(HUB_PREFIX)


def default_side_px(name: str) -> int:
    """Returns the side of the input that the backbone was made for."""
    if name.startswith(HUB_PREFIX):
        from camtrap_tf.models.backbones import hub_side_px  # asks keras-hub, which brings TensorFlow along

        return hub_side_px(name)
    return BACKBONES[name]


def require_side(name: str, *, height: int, width: int) -> None:
    """Makes sure that an input in px is large enough for a backbone.

    Raises:
        SettingError: it is not.
    """
    smallest = _SMALLEST_PX.get(name, 32 if name in KERAS_BACKBONES else 22 if name == "small_cnn" else 16)
    if min(height, width) < smallest:
        raise SettingError(f"--model {name}: an input of {width} × {height} px is too small; it takes {smallest} px and more")


def require_weights_file(path: Path) -> Path:
    """Returns `path` if it is a file whose ending says that it holds weights.

    Raises:
        ModelError: it is not.
    """
    if not path.is_file():
        hint = suggestion(str(path), ("imagenet", "none"))
        hint = hint if "did you mean" in hint else "; give none, imagenet or the path of a .h5 or .keras file"
        raise ModelError(f"--weights {path}: no such file{hint}")
    if path.suffix not in (".h5", ".hdf5", ".keras"):
        raise ModelError(
            f"--weights {path}: ends with {path.suffix or 'nothing'!r}; weights files end with .h5, .hdf5 or .keras"
        )
    return path
