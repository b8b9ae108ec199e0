"""Small COCO Camera Traps documents for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from camtrap_tf.sources.cct_document import CctDocument

CATEGORIES = {0: "empty", 3: "fox", 7: "rat"}


def make_image(key: str, location: str | None = "a", **more: Any) -> dict[str, Any]:
    """Returns an image of 100 x 60 px."""
    image = {"id": key, "file_name": f"{key}.jpg", "width": 100, "height": 60, "location": location, **more}
    return {name: value for name, value in image.items() if value is not None}


def make_annotation(
    key: str, image: str, category: int = 3, bbox: Sequence[Any] | None = (10, 10, 20, 20), **more: Any
) -> dict[str, Any]:
    """Returns an annotation, by default a fox in a box."""
    annotation: dict[str, Any] = {"id": key, "image_id": image, "category_id": category, **more}
    return annotation if bbox is None else {**annotation, "bbox": list(bbox)}


def make_document(
    images: Sequence[dict[str, Any]],
    annotations: Sequence[dict[str, Any]],
    categories: Mapping[int, str] = CATEGORIES,
    **others: Any,
) -> CctDocument:
    """Returns a document."""
    listed = [{"id": key, "name": name} for key, name in categories.items()]
    return CctDocument(images=list(images), annotations=list(annotations), categories=listed, others=others)


def ids(entries: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Returns the ids of entries."""
    return [entry["id"] for entry in entries]


def reasons(rejects: Sequence[Any]) -> list[tuple[str, str]]:
    """Returns item and reason of rejects."""
    return [(reject.item, reject.reason) for reject in rejects]
