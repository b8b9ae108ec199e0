"""What a download did, or would do, in numbers: in = fetched + there already + failed."""

from __future__ import annotations

import collections
import csv
from dataclasses import dataclass, field
from pathlib import Path

from camtrap_tf.progress import amount
from camtrap_tf.rejects import counts_text

FAILED = "failed.csv"
EXIT_TOO_MANY = 3


@dataclass(slots=True)
class Counts:
    """Files of one run, by what became of them.

    Attributes:
        read: entries of the list.
        fetched: files that were fetched.
        there: files that were there already, and right.
        repeated: entries that name the same URL and file as an earlier one.
        reasons: failures by reason.
        bytes: that came over the network.
        seconds: that it took.
    """

    read: int = 0
    fetched: int = 0
    there: int = 0
    repeated: int = 0
    reasons: collections.Counter[str] = field(default_factory=collections.Counter)
    bytes: int = 0
    seconds: float = 0.0

    @property
    def failed(self) -> int:
        """Files that could not be fetched."""
        return self.reasons.total()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would fetch.

    Attributes:
        counts: entries by what would become of them; `fetched` are those to fetch.
        known_bytes: sizes that are known, together.
        unknown: files whose size is not known.
        asked: of these, how many the server was asked about.
        asked_bytes: sizes it named, together.
        refused: answers that were no size, by reason.
    """

    counts: Counts
    known_bytes: int
    unknown: int
    asked: int
    asked_bytes: int
    refused: collections.Counter[str]

    def text(self) -> str:
        """Returns it for a person."""
        named = self.asked - self.refused.total()
        total = self.known_bytes
        how = "by their sizes"
        if self.unknown and not named:
            return f"would fetch {self.counts.fetched} files; sizes are not known{counts_text(self.refused)}"
        if self.unknown:
            total += round(self.asked_bytes * self.unknown / named)
            how = f"about, by the sizes of {named}" if self.asked < self.unknown or self.refused else how
        refused = f"; of {self.asked} asked, {self.refused.total()} are not to be had{counts_text(self.refused)}"
        return f"would fetch {self.counts.fetched} files, {amount(total)} ({how}){refused if self.refused else ''}"


@dataclass(frozen=True, slots=True)
class Downloaded:
    """What a command did.

    Attributes:
        source: name of the list.
        folder: where the files are.
        counts: files by what became of them.
        max_failed_share: share of failures that is still a success.
        plan: what would be fetched, in a dry run.
        notes: further sentences.
    """

    source: str
    folder: Path
    counts: Counts
    max_failed_share: float
    plan: Plan | None = None
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """3 where too large a share failed, else 0."""
        return EXIT_TOO_MANY if self.counts.failed > self.max_failed_share * self.counts.read else 0

    def text(self) -> str:
        """Returns the summary for a person."""
        counts = self.counts
        lines = [f"{self.source}: {counts_line(counts, 'to fetch' if self.plan else 'fetched')}"]
        if self.plan is not None:
            lines.append(self.plan.text())
        elif counts.fetched:
            rates = f"{amount(counts.bytes / counts.seconds)}/s, {counts.fetched / counts.seconds:.1f} files/s"
            lines.append(f"{self.folder}: {amount(counts.bytes)} in {counts.seconds:.0f} s ({rates})")
        if counts.failed and self.plan is None:
            lines.append(
                f"{self.folder / FAILED}: what failed, and why; the same command with --retry and this file tries again"
            )
        if self.exit_code and self.plan is None:
            lines.append(f"more than --max-failed-share {self.max_failed_share:g} failed")
        return "\n".join([*lines, *self.notes])


def failed_in(folder: Path, column: str) -> set[str]:
    """Returns a column of the `failed.csv` of a folder, e.g. `path`; nothing where there is no such list."""
    try:
        with (folder / FAILED).open(encoding="utf-8", newline="") as file:
            return {row[column] for row in csv.DictReader(file)}
    except FileNotFoundError:
        return set()


def counts_line(counts: Counts, fetched: str = "fetched") -> str:
    """Returns `10 files = 7 fetched + 2 there already + 1 failed (1 × not_found)`."""
    repeated = f" + {counts.repeated} listed twice" if counts.repeated else ""
    return (
        f"{counts.read} files = {counts.fetched} {fetched} + {counts.there} there already{repeated} + {counts.failed} failed"
        f"{counts_text(counts.reasons)}"
    )
