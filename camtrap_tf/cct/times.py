"""The time of an image, and whether it can be."""

from __future__ import annotations

import datetime

from camtrap_tf.sources.cct_document import Entry

TIME_KEYS = ("datetime", "date_captured")


def latest_time(now: datetime.datetime | None = None) -> datetime.datetime:
    """Returns the last time that is not in the future: a day from now, as cameras and this machine differ in their zones."""
    return (now or datetime.datetime.now()) + datetime.timedelta(days=1)


def time_refusal(image: Entry, latest: datetime.datetime) -> tuple[str, str] | None:
    """Returns why the time of an image cannot be, as reason code and sentence, or None; an image may have none.

    Args:
        image: the entry.
        latest: later times are in the future.
    """
    given = next((image[key] for key in TIME_KEYS if image.get(key) not in (None, "")), None)
    if given is None:
        return None
    time = time_of(given)
    if time is None:
        return "bad_time", f"{str(given)[:40]!r} is no time; write it like 2024-05-31 18:04:00"
    return ("future_time", f"{given!r} is in the future") if time > latest else None


def time_of(value: object) -> datetime.datetime | None:
    """Returns a time of a document without its zone, or None: ISO 8601, or with colons in the date as in EXIF."""
    if not isinstance(value, str):
        return None
    text = value.strip()
    if len(text) >= 10 and text[4] == ":" == text[7]:
        text = text[:10].replace(":", "-") + text[10:]
    try:
        return datetime.datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        return None
