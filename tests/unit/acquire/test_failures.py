"""When another try may help, and after how long."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from camtrap_tf.acquire.failures import retry_after_s, status_error


def test_retry_after_is_seconds_or_a_date() -> None:
    """Both forms of the header are read; a past date is now; nonsense is nothing."""
    assert retry_after_s(" 120 ") == 120
    assert retry_after_s(formatdate(time.time() + 90, usegmt=True)) == pytest.approx(90, abs=2)
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    for nonsense in (None, "", "soon", "-5", "1e9", "٣"):
        assert retry_after_s(nonsense) is None


def test_only_passing_errors_are_tried_again() -> None:
    """Overload and breakdowns pass; refusals do not, and their Retry-After means nothing."""
    assert [status for status in range(400, 600) if status_error(status, None).again] == [
        408, 425, 429, 500, 502, 503, 504, 507, 509, 520, 521, 522, 523, 524, 529
    ]  # fmt: skip
    assert status_error(404, "5").wait_s is None
