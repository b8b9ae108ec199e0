"""Why a file was not fetched, and whether another try may help."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime


class FetchError(Exception):
    """One try to fetch a file failed.

    Attributes:
        reason: short code for the list of failures, e.g. `not_found`.
        detail: a sentence for a person.
        again: another try may help.
        wait_s: how long the server asks to wait before, if it does.
    """

    def __init__(self, reason: str, detail: str, *, again: bool = False, wait_s: float | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.again = again
        self.wait_s = wait_s


_REASONS = {401: "forbidden", 403: "forbidden", 404: "not_found", 410: "not_found", 429: "too_many_requests"}
_AGAIN = frozenset((408, 425, 429, 500, 502, 503, 504, 507, 509, 520, 521, 522, 523, 524, 529))


def status_error(status: int, retry_after: str | None) -> FetchError:
    """Returns the error of an answer with this status.

    Args:
        status: HTTP status, not 2xx.
        retry_after: the header of that name.
    """
    again = status in _AGAIN
    reason = _REASONS.get(status, "server_error" if status >= 500 else "http_status")
    wait = retry_after_s(retry_after) if again else None
    asked = f" and asked to wait {wait:.0f} s" if wait else ""
    return FetchError(reason, f"the server answered with status {status}{asked}", again=again, wait_s=wait)


def retry_after_s(value: str | None) -> float | None:
    """Returns the seconds that a `Retry-After` header asks for, given as seconds or as a date; None: not readable."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
