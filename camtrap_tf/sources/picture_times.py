"""When pictures were taken: texts of the usual spellings, and EXIF where no text says it."""

from __future__ import annotations

import contextlib
import datetime as dt
import math
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

_PLAIN = r"^\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:\d{2}$"
_TIME = re.compile(
    r"(\d{4})[-:/.](\d{1,2})[-:/.](\d{1,2})"
    r"(?:[T ]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s*(Z|UTC|[+-]\d{2}:?\d{2})?)?"
)
_NAMED_MONTH = re.compile(r"(\d{1,2})-([A-Za-z]{3})-(\d{4})(.*)")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

_EXIF_IFD = 0x8769
_TAKEN, _TAKEN_OFFSET, _CHANGED = 0x9003, 0x9011, 0x0132


def parse_time(text: str) -> tuple[str, float] | None:
    """Returns a time as ISO 8601 text and in s since 1970, or None where it is none.

    Understood are ISO 8601 (date, date and time, with offset), EXIF's `2016:03:24 10:30:12` and Timelapse's `24-Mar-2016`.
    Without an offset the clock of the camera is taken as it is; a date alone has no s (NaN).
    """
    text = text.strip()
    named = _NAMED_MONTH.fullmatch(text)
    if named is not None and named[2].lower() in _MONTHS:
        text = f"{named[3]}-{_MONTHS.index(named[2].lower()) + 1:02d}-{named[1]}{named[4]}"
    found = _TIME.fullmatch(text)
    if found is None or not text.isascii():
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        if hour is None:
            return dt.date(int(year), int(month), int(day)).isoformat(), math.nan
        moment = dt.datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), tzinfo=dt.UTC)
        offset = _offset(zone)
    except ValueError:
        return None
    iso = moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0") + (f".{fraction}" if fraction else "")
    seconds = (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)).total_seconds() - offset.total_seconds()
    return iso + _zone_text(zone), seconds + (float(f"0.{fraction}") if fraction else 0.0)


def _offset(zone: str | None) -> dt.timedelta:
    """Returns how far a time zone is ahead of UTC; raises ValueError if there is no such zone."""
    if zone in (None, "Z", "UTC"):
        return dt.timedelta()
    assert zone is not None
    offset = dt.timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
    if offset >= dt.timedelta(days=1) or int(zone[-2:]) > 59:
        raise ValueError("offset")
    return -offset if zone[0] == "-" else offset


def _zone_text(zone: str | None) -> str:
    """Returns a time zone as ISO 8601 writes it; empty where none is given."""
    if zone is None:
        return ""
    return "Z" if zone in ("Z", "UTC") else f"{zone[:3]}:{zone[-2:]}"


def parse_times(column: pa.Array) -> tuple[pa.Array, npt.NDArray[np.float64]]:
    """Returns times as ISO 8601 texts (null where they are none) and in s since 1970 (NaN where unknown), as `parse_time`."""
    if len(column) and pc.all(pc.fill_null(pc.match_substring_regex(column, _PLAIN), False)).as_py():
        iso = pc.binary_replace_slice(column, 10, 11, "T")
        with contextlib.suppress(pa.ArrowInvalid):  # a day that its month does not have: one by one, below
            return iso, np.asarray(iso.cast(pa.timestamp("s")).cast(pa.int64()), np.float64)
    encoded = column.dictionary_encode()
    parsed = [parse_time(text) for text in encoded.dictionary.to_pylist()]
    texts = pa.array([None if one is None else one[0] for one in parsed], pa.string())
    seconds = np.array([math.nan if one is None else one[1] for one in parsed] + [math.nan])
    places = np.asarray(pc.fill_null(encoded.indices, len(parsed)), np.int64)
    return texts.take(encoded.indices), seconds[places]


def exif_time(path: Path) -> str | None:
    """Returns when a picture was taken as its EXIF says: `DateTimeOriginal`, else `DateTime`; None where it does not."""
    try:
        with Image.open(path) as picture:
            exif = picture.getexif()
            taken = exif.get_ifd(_EXIF_IFD)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, KeyError, TypeError):
        return None
    for value, offset in ((taken.get(_TAKEN), taken.get(_TAKEN_OFFSET)), (exif.get(_CHANGED), None)):
        if isinstance(value, str):
            zone = offset.strip("\0 ") if isinstance(offset, str) else ""
            found = parse_time(value.strip("\0 ") + zone) or parse_time(value.strip("\0 "))
            if found is not None:
                return found[0]
    return None


def exif_times(paths: Sequence[Path]) -> list[str | None]:
    """Returns `exif_time` of each path."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(exif_time, paths))
