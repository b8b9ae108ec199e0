"""What the crop of a box is called; one place, so that cropping, tables and joins agree.

Three kinds of names are in use, and a fourth that differs in the detector's name alone:

| name | made for |
| --- | --- |
| `<picture>___crop_<annotation id>.jpg` | boxes of a COCO Camera Traps file |
| `<picture>___crop<NN>.jpg` | boxes that people drew, by their place in the list |
| `<picture>___crop<NN>_<detector>.jpg` | boxes that a detector found |
| `<picture>___crop<NN>_mdv<version>.jpg` | the same, as some of the older programs call them |

`<picture>` is the path of the picture with its ending, `NN` the place of the box among all of its picture, from 00; more than
a hundred take three digits.
"""

from __future__ import annotations

import re

SEPARATOR = "___crop"
SUFFIX = ".jpg"

_UNFIT = re.compile(r'[\x00-\x1f/\\:*?"<>|]')


def crop_name(picture: str, *, annotation_id: str | None = None, place: int | None = None, detector: str | None = None) -> str:
    """Returns the path of a crop, relative to the folder of crops.

    Args:
        picture: path of the picture, relative to the folder of pictures.
        annotation_id: id of the annotation, for boxes of a COCO Camera Traps file.
        place: place of the box among all of its picture, from 0, for detections.
        detector: name of the detector, with `place`, for boxes that nobody has looked at.

    Raises:
        ValueError: neither or both of annotation and place are given, or a detector without a place.
    """
    if (annotation_id is None) == (place is None) or (detector is not None and place is None):
        raise ValueError("a crop is named by its annotation, or by its place and maybe its detector")
    if annotation_id is not None:
        return f"{picture}{SEPARATOR}_{_fit(annotation_id)}{SUFFIX}"
    return f"{picture}{SEPARATOR}{place:02d}" + (f"_{_fit(detector)}" if detector else "") + SUFFIX


def accepted_names(
    picture: str, *, annotation_id: str | None = None, place: int | None = None, detector: str | None = None
) -> tuple[str, ...]:
    """Returns every path under which a crop may lie, ours first; arguments as of `crop_name`.

    Names by place are accepted with the detector as it calls itself, with its version alone, and without.
    """
    names = []
    if annotation_id is not None:
        names += [crop_name(picture, annotation_id=annotation_id), f"{picture}{SEPARATOR}_{annotation_id}{SUFFIX}"]
    if place is not None:
        if detector:
            version = detector_version(detector)
            names += [crop_name(picture, place=place, detector=detector)]
            names += [crop_name(picture, place=place, detector=f"mdv{version}")] if version else []
        names.append(crop_name(picture, place=place))
    return tuple(dict.fromkeys(names))


def detector_version(detector: str) -> str | None:
    """Returns the version in a detector's name (`md_v5b.0.0.pt` → `5b`, `v4.1` → `4.1`), or None."""
    match = re.search(r"v\.?(\d+[a-z](?![a-z])|\d+(?:\.\d+)*[a-z]?)", detector.lower())
    return match[1].rstrip(".") if match else None


def _fit(text: str) -> str:
    """Returns a text without what cannot be in a file name; each such character becomes `-`."""
    return _UNFIT.sub("-", text)
