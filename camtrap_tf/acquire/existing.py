"""What stands already under the name of a wanted file, and whether it is that file."""

from __future__ import annotations

import enum
import stat
from pathlib import Path
from typing import Literal

from camtrap_tf.acquire.journal import Journal
from camtrap_tf.acquire.parts import digest_problem
from camtrap_tf.acquire.wanted import Wanted


class Standing(enum.Enum):
    """What stands under a name.

    Attributes:
        ABSENT: nothing, or what an earlier download left there that is to be fetched anew.
        RIGHT: the file.
        ASK: a file; the server has to be asked for the size.
        ASK_OURS: the same, and it came by an earlier download.
        COMPARE: a file of the right size whose digest is to be compared.
        COMPARE_OURS: the same, and it came by an earlier download.
        OTHER: another file, which is not replaced unasked.
    """

    ABSENT = "absent"
    RIGHT = "right"
    ASK = "ask"
    ASK_OURS = "ask_ours"
    COMPARE = "compare"
    COMPARE_OURS = "compare_ours"
    OTHER = "other"


def standing(item: Wanted, folder: Path, journal: Journal, existing: Literal["size", "digest", "overwrite"]) -> Standing:
    """Returns what stands under the name of a wanted file.

    Args:
        item: the file; its path is in plain form.
        folder: the output folder.
        journal: what earlier runs noted of the folder.
        existing: how files that are there are looked at (`DownloadConfig.existing`).
    """
    try:
        found = (folder / item.path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return Standing.ABSENT
    if not stat.S_ISREG(found.st_mode):
        return Standing.OTHER
    if existing == "overwrite":
        return Standing.ABSENT
    earlier = journal.finished(item.path)
    size = item.size
    if size is None and earlier is not None and earlier.url == item.url:
        size = earlier.size
    if size is None:
        return Standing.ASK if earlier is None else Standing.ASK_OURS
    if found.st_size != size:
        return Standing.OTHER if earlier is None else Standing.ABSENT
    if existing == "digest" and (item.sha256 or item.md5):
        return Standing.COMPARE if earlier is None else Standing.COMPARE_OURS
    return Standing.RIGHT


def content_problem(path: Path, item: Wanted) -> str | None:
    """Returns how a file differs from the digests that are known of it, or None; reads the file."""
    return digest_problem(path, sha256=item.sha256, md5=item.md5)
