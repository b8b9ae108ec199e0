"""The errors that we foresee. Commands turn each into one line and an exit code, the service into one response."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class CamtrapError(Exception):
    """Something went wrong that a user can mend; its text says what, where and what to do next.

    Attributes:
        exit_code: what a command that ends with this error returns to the shell.
    """

    exit_code = 2


class SettingError(CamtrapError):
    """A flag, YAML key or combination of them cannot be used."""


class SourceError(CamtrapError):
    """A file to read from (CSV, JSON, folder …) is absent, unreadable or of another form."""


class LabelError(CamtrapError):
    """A label type or class does not exist, or a label mapping is not usable."""


class DatasetError(CamtrapError):
    """Shards or their manifest are absent, damaged or belong to another plan."""


class PictureError(CamtrapError):
    """One picture cannot be used.

    Attributes:
        reason: reason code for the rejects table, e.g. `truncated`.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class ModelError(CamtrapError):
    """A bundle, weights file or exported model cannot be used as asked."""


class TooManyRejectsError(CamtrapError):
    """More inputs were rejected than `--max-rejected-share` allows."""

    exit_code = 3


class RunLockedError(CamtrapError):
    """Another process works in the same folder."""


def counted(count: int, what: str, ending: str = "s") -> str:
    """Returns a number and what it counts, as one says it: `1 record`, `2 records`, `3 classes` (ending `es`)."""
    return f"{count} {what}{'' if count == 1 else ending}"


def shortened(items: Sequence[str], *, most: int = 8, between: str = ", ") -> str:
    """Returns the first of some items for a line of text, and how many more there are: `a, b and 3 more`."""
    more = len(items) - most
    return between.join(items[:most]) + (f" and {more} more" if more > 0 else "")


def suggestion(name: str, known: Iterable[str]) -> str:
    """Ends an error message about an unknown name: the nearest known one, or the list of them.

    Args:
        name: what the user wrote.
        known: the valid names; repeats count once.

    Returns:
        `; did you mean 'zebra'?`, `; choose from: a, b, c`, or `; there are none`.
    """
    options = list(dict.fromkeys(str(option) for option in known))
    if not options:
        return "; there are none"
    by_lower = {option.lower(): option for option in reversed(options)}
    close = difflib.get_close_matches(str(name).lower(), by_lower, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {by_lower[close[0]]!r}?"
    return f"; choose from: {shortened(options, most=12)}"
