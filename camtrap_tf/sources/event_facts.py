"""The optional key `event` of a record: what is known of its pictures and observations beyond paths and labels.

Form: `{"media": [{"media_id", "timestamp", "licence"}, …], "observations": [{"media_id", "box": [x, y, width, height],
"confidence"}, …]}`, one entry per picture and per observation, in the order of `images` and `labels`. Keys without a value are
left out, so a record about which nothing more is known has no `event` at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from camtrap_tf.files import json_line
from camtrap_tf.records import BoundingBox, Media, Observation

MEDIA_KEYS = ("media_id", "timestamp", "licence")


def facts_text(media: Sequence[Media], observations: Sequence[Observation]) -> str | None:
    """Returns the key `event` of a record as JSON text; None where there is nothing to say."""
    facts: dict[str, Any] = {}
    of_media = [_media_facts(one) for one in media]
    if any(of_media):
        facts["media"] = of_media
    of_observations = [_observation_facts(one) for one in observations]
    if any(of_observations):
        facts["observations"] = of_observations
    return json_line(facts) if facts else None


def _media_facts(media: Media) -> dict[str, str]:
    if media.media_id is media.timestamp is media.licence is None:
        return {}
    return {key: getattr(media, key) for key in MEDIA_KEYS if getattr(media, key) is not None}


def _observation_facts(observation: Observation) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if observation.media_id is not None:
        facts["media_id"] = observation.media_id
    if observation.box is not None:
        box = observation.box
        facts["box"] = [float(number) for number in (box.x, box.y, box.width, box.height)]
    if observation.confidence is not None:
        facts["confidence"] = float(observation.confidence)
    return facts


def media_with_facts(paths: Sequence[str], facts: Any) -> tuple[Media, ...]:
    """Returns the pictures of a record; empty paths are left out, with their facts.

    Args:
        paths: the key `images`.
        facts: the parsed key `event`, or None.

    Raises:
        ValueError: the facts do not fit the pictures.
    """
    entries = _entries(facts, "media", len(paths), MEDIA_KEYS)
    for entry in entries:
        for key, value in entry.items():
            if not isinstance(value, str):
                raise ValueError(f"event: media: {key} {value!r} is not a text")
    return tuple(Media(path=path, **entry) for path, entry in zip(paths, entries, strict=True) if path)


def observations_with_facts(labels: Sequence[dict[str, str]], facts: Any) -> tuple[Observation, ...]:
    """Returns the observations of a record.

    Args:
        labels: one dictionary per observation.
        facts: the parsed key `event`, or None.

    Raises:
        ValueError: the facts do not fit the observations, or a label is not a pair of texts.
    """
    entries = _entries(facts, "observations", len(labels), ("media_id", "box", "confidence"))
    return tuple(_observation(one, entry) for one, entry in zip(labels, entries, strict=True))


def _observation(labels: dict[str, str], entry: dict[str, Any]) -> Observation:
    media_id, numbers = entry.get("media_id"), entry.get("box")
    if media_id is not None and not isinstance(media_id, str):
        raise ValueError(f"event: observations: media_id {media_id!r} is not a text")
    box = None
    if numbers is not None:
        if not isinstance(numbers, list) or len(numbers) != 4 or not all(_is_number(number) for number in numbers):
            raise ValueError(f"event: observations: box {numbers!r} is not [x, y, width, height]")
        box = BoundingBox(*map(float, numbers))
    confidence = entry.get("confidence")
    if confidence is not None and not _is_number(confidence):
        raise ValueError(f"event: observations: confidence {confidence!r} is not a number")
    return Observation(labels=labels, media_id=media_id, box=box, confidence=None if confidence is None else float(confidence))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _entries(facts: Any, part: str, count: int, keys: Sequence[str]) -> list[dict[str, Any]]:
    if facts is None:
        return [{}] * count
    if not isinstance(facts, dict) or set(facts) - {"media", "observations"}:
        raise ValueError("event: is not an object with the keys media and observations")
    entries = facts.get(part)
    if entries is None:
        return [{}] * count
    if not isinstance(entries, list) or len(entries) != count:
        raise ValueError(f"event: {part} is not a list of {count} entries, one for each of the record's")
    for entry in entries:
        if not isinstance(entry, dict) or set(entry) - set(keys):
            raise ValueError(f"event: {part}: {entry!r} is not an object with keys out of {', '.join(keys)}")
    return entries
