"""Runs a model of camtrap_tf inside AddaxAI: the file `inference.py` of a plug-in folder, which needs nothing of camtrap_tf.

AddaxAI makes one `ModelInference`, asks it to load the model, then gives it pictures with boxes. What the model is stands in
`camtrap.json` beside this file. Source: AddaxAI's template of custom classification models.
"""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

FACTS = "camtrap.json"


class ModelInference:
    """The model behind AddaxAI's interface."""

    def __init__(self, model_dir: Path, model_path: Path) -> None:
        """Reads what the model is.

        Args:
            model_dir: the plug-in folder.
            model_path: `saved_model.pb` in it.
        """
        self.model_dir = Path(model_dir)
        self.model_path = Path(model_path)
        self.model: Any = None
        self._answer: Any = None
        self.facts = json.loads((self.model_dir / FACTS).read_text(encoding="utf-8"))

    def check_gpu(self) -> bool:
        """Returns whether TensorFlow sees a GPU."""
        import tensorflow as tf

        return bool(tf.config.list_physical_devices("GPU"))

    def load_model(self) -> None:
        """Loads the SavedModel."""
        import tensorflow as tf

        self.model = tf.saved_model.load(str(self.model_path.parent))
        self._answer = self.model.signatures["serving_default"]

    def get_crop(self, image: Image.Image, bbox: tuple[float, float, float, float]) -> Image.Image | None:
        """Returns what the model is to see of a picture, as its training crops were cut; None for an empty box.

        Args:
            image: the whole picture.
            bbox: x, y, width, height in [0, 1].
        """
        width, height = image.size
        x, y, box_width, box_height = (float(n) * side for n, side in zip(bbox, (width, height) * 2, strict=True))
        (left, right), (top, bottom) = _rounded(x, box_width, width), _rounded(y, box_height, height)
        if right <= left or bottom <= top:
            return None
        strategy = self.facts["crop_strategy"]
        if strategy == "tight":
            return image.convert("RGB").crop((left, top, right, bottom))
        side = max(right - left, bottom - top)
        if strategy == "square":
            left, right = _shifted(left, right, min(side, width), width)
            top, bottom = _shifted(top, bottom, min(side, height), height)
        crop = image.convert("RGB").crop((left, top, right, bottom))
        if crop.size == (side, side):
            return crop
        canvas = Image.new("RGB", (side, side))
        canvas.paste(crop, ((side - crop.width) // 2, (side - crop.height) // 2))
        return canvas

    def get_tensor(self, crop: Image.Image) -> np.ndarray:
        """Returns a crop as the graph takes it: the bytes of a picture file, an object array without dimensions."""
        buffer = io.BytesIO()
        crop.convert("RGB").save(buffer, "PNG", compress_level=1)
        return np.array(buffer.getvalue(), dtype=object)

    def classify_batch(self, batch: np.ndarray) -> list[list[list[Any]]]:
        """Returns `[[class, probability], …]` of all classes for each crop `[B]` of `get_tensor`."""
        import tensorflow as tf

        answers = self._answer(**{self.facts["input"]: tf.constant(list(batch), tf.string)})
        scores = answers[self.facts["scores"]].numpy()
        return [[[name, float(score)] for name, score in zip(self.facts["classes"], row, strict=True)] for row in scores]

    def get_classification(self, crop: Image.Image) -> list[list[Any]]:
        """Returns `[[class, probability], …]` of all classes for one crop."""
        return self.classify_batch(np.stack([self.get_tensor(crop)]))[0]

    def get_class_names(self) -> dict[str, str]:
        """Returns number, counted from 1, → class."""
        return {str(number): name for number, name in enumerate(self.facts["classes"], start=1)}


def _rounded(start: float, length: float, whole: int) -> tuple[int, int]:
    """Returns both ends to the nearest pixel, halves up, inside 0 … whole; what is thinner than a pixel takes that one."""
    first, last = math.floor(start + 0.5), math.floor(start + length + 0.5)
    if first == last and length > 0:
        first, last = math.floor(start), math.floor(start) + 1
    return max(0, first), min(whole, last)


def _shifted(start: int, end: int, length: int, whole: int) -> tuple[int, int]:
    """Returns a stretch of `length` around the middle of start … end, moved to lie in 0 … whole."""
    first = start - (length - (end - start)) // 2
    first = min(max(0, first), whole - length)
    return first, first + length
