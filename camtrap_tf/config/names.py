"""Plain tables of names: backbones with their input sizes, choices. Nothing heavy is imported here."""

from __future__ import annotations

from typing import Literal

KERAS_BACKBONES: dict[str, int] = {
    "ResNet50V2": 224,
    "ResNet101V2": 224,
    "ResNet152V2": 224,
    "InceptionResNetV2": 299,
    "InceptionV3": 299,
    "Xception": 299,
    "MobileNet": 224,
    "MobileNetV2": 224,
    "MobileNetV3Small": 224,
    "MobileNetV3Large": 224,
    "DenseNet121": 224,
    "DenseNet169": 224,
    "DenseNet201": 224,
    "EfficientNetB0": 224,
    "EfficientNetB1": 240,
    "EfficientNetB2": 260,
    "EfficientNetB3": 300,
    "EfficientNetB4": 380,
    "EfficientNetB5": 456,
    "EfficientNetB6": 528,
    "EfficientNetB7": 600,
    "EfficientNetV2B0": 224,
    "EfficientNetV2B1": 240,
    "EfficientNetV2B2": 260,
    "EfficientNetV2B3": 300,
    "EfficientNetV2S": 384,
    "EfficientNetV2M": 480,
    "EfficientNetV2L": 480,
    "NASNetMobile": 224,
    "NASNetLarge": 331,
    "ConvNeXtTiny": 224,
    "ConvNeXtSmall": 224,
    "ConvNeXtBase": 224,
    "ConvNeXtLarge": 224,
    "ConvNeXtXLarge": 224,
}
"""Backbones of keras.applications, with the side in pixels that their ImageNet weights were made for."""

OWN_BACKBONES: dict[str, int] = {
    "ResNet18": 224,
    "ResNet34": 224,
    "ResNet50": 224,
    "ResNet101": 224,
    "ResNet152": 224,
    "small_cnn": 50,
}
"""Backbones built here, in camera-trap-classifier's layout; they have no ImageNet weights.

Its bottleneck ResNets stride in the first convolution of a block and shortcut before normalisation; those of
keras.applications (ResNet50V2 …) do neither, so their weights do not fit each other.
"""

BACKBONES: dict[str, int] = {**OWN_BACKBONES, **KERAS_BACKBONES}

HUB_PREFIX = "hub:"
"""A model name `hub:<preset>` asks keras-hub for the backbone of that preset, e.g. `hub:vit_base_patch16_224_imagenet`."""

ColorAugmentation = Literal["none", "little", "full_fast", "full_randomized"]
Interpolation = Literal["bilinear", "bicubic"]
ImageChoice = Literal["random", "first", "all", "grayscale_stacking"]
MeanOfFrames = Literal["mean", "mean_logits"]
Aggregation = Literal["mean", "mean_logits", "max", "min"]
TransferType = Literal["last_layer", "all_layers"]
Optimizer = Literal["sgd", "rmsprop", "adam", "adamw"]
Normalisation = Literal["dataset", "backbone"]
HeadType = Literal["softmax", "sigmoid", "ordinal"]
Sampling = Literal["all", "square_root", "balanced"]
ClassWeights = Literal["none", "inverse_log"]
CropStrategy = Literal["square", "pad", "tight"]
TruncatedPolicy = Literal["reject", "recover"]
RowsAre = Literal["observations", "images"]

MISSING_TOKENS = ("", "-1")
"""Cells of a CSV that mean a missing label unless told otherwise."""

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".mpo")
"""File name endings, in lower case, that folders are searched for."""
