"""Requests as older servers of crop classifiers take them: one picture in base 64 as JSON, with or without a box.

Receives the body of such a request, hands on classes with probabilities. The box is cut out as those servers did it: a square
window in the classic geometry.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from PIL import Image

from camtrap_tf.detections.boxes import PROBLEMS, BoxError, checked_box, is_number
from camtrap_tf.errors import PictureError, suggestion
from camtrap_tf.images.crop import CropGeometry, cut_box, in_pixels, size_of, whole_picture
from camtrap_tf.images.stored_form import StoredForm, encode_stored, to_stored_form
from camtrap_tf.records import BoundingBox
from camtrap_tf.serving.backends import Backend
from camtrap_tf.serving.identification import event_probabilities, rank
from camtrap_tf.serving.refusals import RefusedError

KEYS = ("image", "bbox")
DEFAULT_LABEL = "species"
GEOMETRY = CropGeometry("square", legacy=True)
FORM = "bbox is [ymin, xmin, ymax, xmax], shares of the picture in [0, 1]"


@dataclass(frozen=True, slots=True)
class BoxRequest:
    """What such a request asks about.

    Attributes:
        picture: as encoded.
        box: what of the upright picture; None: all of it.
    """

    picture: bytes
    box: BoundingBox | None = None

    @classmethod
    def parse(cls, body: bytes) -> BoxRequest:
        """Reads the JSON of a request.

        Raises:
            RefusedError: it is no such JSON, or a value of it cannot be used.
        """
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError as err:
            raise RefusedError(400, "broken_json", f'send {{"image": "<base 64>"}}; the request is no JSON: {err}') from err
        if not isinstance(value, dict):
            raise RefusedError(422, "bad_value", 'send a JSON object: {"image": "<base 64>", "bbox": [ymin, xmin, ymax, xmax]}')
        for key in value:
            if key not in KEYS:
                raise RefusedError(422, "unknown_field", f"unknown key {key[:80]!r}{suggestion(key[:80], KEYS)}")
        return cls(_picture(value.get("image")), _box(value.get("bbox")))


def label_of(asked: str | None, labels: Sequence[str]) -> str:
    """Returns the label that is answered: the one asked for, else species, else the first of the model.

    Raises:
        RefusedError: the model does not have the one asked for.
    """
    if not asked:
        return DEFAULT_LABEL if DEFAULT_LABEL in labels else labels[0]
    if asked not in labels:
        raise RefusedError(422, "unknown_label", f"the model has no label {asked[:80]!r}{suggestion(asked[:80], labels)}")
    return asked


def classify(backend: Backend, body: bytes, label: str, *, max_pixels: int) -> dict[str, float]:
    """Returns class → probability, most probable first.

    Args:
        backend: the model.
        body: of the request.
        label: label type that is answered.
        max_pixels: a larger picture is refused before it is decoded.

    Raises:
        RefusedError: the request, its picture or its box cannot be used.
    """
    request = BoxRequest.parse(body)
    card = backend.card
    form = dataclasses.replace(card.stored_form, max_pixels=max_pixels)
    try:
        stored = stored_part(request, form)
    except PictureError as err:
        raise RefusedError.of_picture(err, 0) from err
    values = event_probabilities(backend, [stored])[label]
    names = card.classes[label]
    ranked = rank(names, values, len(names) + 1, blank=card.blanks.get(label))
    return {score.name: score.score for score in ranked}


def stored_part(request: BoxRequest, form: StoredForm) -> bytes:
    """Returns what a request is about in stored form.

    Raises:
        PictureError: as `to_stored_form`; `box_empty`: nothing of the box lies in the picture.
    """
    if request.box is None:
        return to_stored_form(request.picture, form)
    picture = whole_picture(request.picture, truncated=form.truncated, max_pixels=form.max_pixels)
    box = request.box
    numbers = in_pixels((box.x, box.y, box.width, box.height), size_of(picture))
    return encode_stored(Image.fromarray(cut_box(picture, numbers, GEOMETRY)), form)


def _picture(text: Any) -> bytes:
    """Returns the bytes of a picture; raises a RefusedError where there are none."""
    if text is None:
        raise RefusedError(400, "no_image", "the request holds no picture; send it in base 64 under the key 'image'")
    if not isinstance(text, str):
        raise RefusedError(422, "bad_value", "image is no text; send the picture in base 64")
    try:
        # Line breaks are how some programs write base 64.
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as err:
        raise RefusedError(400, "broken_base64", f"image is not in base 64: {err}", image=0) from err


def _box(value: Any) -> BoundingBox | None:
    """Returns a box in our form; None where there is none.

    Raises:
        RefusedError: it is no box, or not in the picture.
    """
    if value is None:
        return None
    numbers = _parsed(value) if isinstance(value, str) else value
    try:
        if not (isinstance(numbers, list) and len(numbers) == 4 and all(map(is_number, numbers))):
            raise BoxError("box_not_numbers", value)
        top, left, bottom, right = numbers
        return checked_box([left, top, right - left, bottom - top], relative=True)
    except BoxError as err:
        said = str(value)[:80]
        raise RefusedError(422, err.reason, f"bbox {said} {PROBLEMS[err.reason]}; {FORM}") from err


def _parsed(text: str) -> Any:
    """Returns what the text of a list says; None where it is none."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
