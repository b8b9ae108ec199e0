"""The facts that travel between stages: small frozen values that check themselves once, when made.

The words are those of Camtrap DP. A record of an inventory is one `CaptureEvent`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

MISSING = "-1"
"""The text that stands for a missing label in inventories and shards (camera-trap-classifier's)."""

REJECT_COLUMNS = ("id", "item", "unit", "reason", "detail")


@dataclass(frozen=True, slots=True)
class BoundingBox:
    """A box in a picture, in [0, 1] of its width and height, from the top left corner."""

    x: float
    y: float
    width: float
    height: float

    def __post_init__(self) -> None:
        values = (self.x, self.y, self.width, self.height)
        if not all(0.0 <= value <= 1.0 for value in values) or self.width <= 0 or self.height <= 0:
            raise ValueError(f"box {values} is empty or not inside [0, 1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """One picture of an event.

    Attributes:
        path: as the source gives it, relative to an image root that is named when pictures are read.
        media_id: its name in the source, where it has one.
        timestamp: ISO 8601 text, where known.
        licence: licence text or URL of the picture, where known.
    """

    path: str
    media_id: str | None = None
    timestamp: str | None = None
    licence: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.path, str) or not self.path:
            raise ValueError("a picture needs a path")


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What was seen: one class per label type.

    Attributes:
        labels: label type → class; a missing label is absent or `"-1"`.
        media_id: the picture it was seen in, where the source says so.
        box: where in that picture, where known.
        confidence: how sure the detector that drew the box was, in [0, 1]; None where nobody says.
    """

    labels: Mapping[str, str]
    media_id: str | None = None
    box: BoundingBox | None = None
    confidence: float | None = None

    def __post_init__(self) -> None:
        for label, value in self.labels.items():
            if not isinstance(label, str) or not isinstance(value, str) or not label or not value:
                raise ValueError(f"label {label!r}: {value!r} is not a pair of texts")
        if self.confidence is not None and not 0.0 <= self.confidence <= 1.0:
            raise ValueError(f"confidence {self.confidence!r} is not in [0, 1]")
        object.__setattr__(self, "labels", MappingProxyType(dict(self.labels)))

    def __reduce__(self) -> tuple[Any, ...]:
        return (_observation, (dict(self.labels), self.media_id, self.box, self.confidence))


def _observation(
    labels: dict[str, str], media_id: str | None, box: BoundingBox | None, confidence: float | None
) -> Observation:
    return Observation(labels=labels, media_id=media_id, box=box, confidence=confidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureEvent:
    """What one trigger of one camera recorded; a record of an inventory.

    Attributes:
        event_id: unique in its inventory.
        media: frames in time order; at least one.
        observations: what was seen; at least one in an inventory, the first is the one that is trained on.
        meta_data: further facts as texts, e.g. `location`, `sequence`, `split_name`.
    """

    event_id: str
    media: tuple[Media, ...]
    observations: tuple[Observation, ...]
    meta_data: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.event_id:
            raise ValueError("a record needs an id")
        if not self.media:
            raise ValueError(f"record {self.event_id!r} has no picture")
        if not self.observations:
            raise ValueError(f"record {self.event_id!r} has no observation")
        object.__setattr__(self, "meta_data", MappingProxyType(dict(self.meta_data)))

    def __reduce__(self) -> tuple[Any, ...]:
        return (_event, (self.event_id, self.media, self.observations, dict(self.meta_data)))

    def label(self, label: str) -> str | None:
        """Returns the class of a label type in the first observation, or None where it is missing."""
        value = self.observations[0].labels.get(label, MISSING)
        return None if value == MISSING else value


def _event(
    event_id: str, media: tuple[Media, ...], observations: tuple[Observation, ...], meta_data: dict[str, str]
) -> CaptureEvent:
    return CaptureEvent(event_id=event_id, media=media, observations=observations, meta_data=meta_data)


@dataclass(frozen=True, slots=True)
class Reject:
    """An input that is not in the output, and why.

    Attributes:
        id: record it belongs to (empty where it never became one).
        item: the row, picture path or file.
        unit: `record`, `picture`, `video` or `observation`.
        reason: short code, e.g. `no_picture`, `truncated`.
        detail: one sentence for a person.
    """

    id: str
    item: str
    unit: str
    reason: str
    detail: str

    def row(self) -> tuple[str, str, str, str, str]:
        """Returns the row of the rejects table, in the order of `REJECT_COLUMNS`."""
        return (self.id, self.item, self.unit, self.reason, self.detail)
