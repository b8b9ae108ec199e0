"""The table of rejects that stands beside what a command writes: where it is, how it is written, and how it is summed up."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from camtrap_tf.files import write_csv
from camtrap_tf.records import REJECT_COLUMNS, Reject


def rejects_path(output: Path) -> Path:
    """Returns where the rejects of a file go: `<stem>.rejects.csv` beside it."""
    return output.with_name(f"{output.stem}.rejects.csv")


def rejects_line(output: Path, *, dry_run: bool = False) -> str:
    """Returns the line of a summary that says where the rejects of a file are, or would be."""
    return f"{rejects_path(output)}: {'would say ' if dry_run else ''}what is not in it, and why"


def write_rejects(path: Path, rejects: Sequence[Reject]) -> None:
    """Writes a table of rejects, whole or not at all; removes that of an earlier run where there are none."""
    if rejects:
        write_csv(path, REJECT_COLUMNS, (reject.row() for reject in rejects))
    else:
        path.unlink(missing_ok=True)


def reasons_text(rejects: Iterable[Reject]) -> str:
    """Returns ` (3 × no_picture, 1 × bad_labels)`, the most frequent first, or nothing where there are no rejects."""
    return counts_text(collections.Counter(reject.reason for reject in rejects))


def counts_text(reasons: Mapping[str, int]) -> str:
    """Returns the same of reasons that are counted already."""
    counts = collections.Counter(reasons).most_common()
    return " (" + ", ".join(f"{count} × {reason}" for reason, count in counts) + ")" if counts else ""
