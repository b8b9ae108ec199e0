"""Times of images."""

from __future__ import annotations

import datetime

import pytest

from camtrap_tf.cct.times import latest_time, time_of, time_refusal


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2024-05-31 10:00:00", datetime.datetime(2024, 5, 31, 10)),
        ("2024:05:31 10:00:00", datetime.datetime(2024, 5, 31, 10)),
        ("2024-05-31T10:00:00Z", datetime.datetime(2024, 5, 31, 10)),
        ("yesterday", None),
        (20240531, None),
    ],
)
def test_times(text: object, time: datetime.datetime | None) -> None:
    """ISO 8601 and the spelling of EXIF are times."""
    assert time_of(text) == time


def test_tomorrow_is_not_yet_the_future() -> None:
    """Up to a day ahead a time may be, because of zones; later ones are in the future."""
    latest = latest_time(datetime.datetime(2024, 6, 1, 12))
    assert time_refusal({"datetime": "2024-06-02 11:00:00"}, latest) is None
    assert time_refusal({"datetime": "2024-06-02 13:00:00"}, latest) == (
        "future_time",
        "'2024-06-02 13:00:00' is in the future",
    )
    assert time_refusal({}, latest) is None
