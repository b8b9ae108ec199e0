"""Whether more records or pictures could not be used than `--max-rejected-share` allows, and what a user can do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from camtrap_tf.config.delivery import PicturesConfig

EXIT_TOO_MANY = 3
ABSENT = "missing_file"
"""Why a picture cannot be used that is not where it should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedShare:
    """What should have been predicted, and how much of it could not be.

    Pictures in which a detector found nothing and files that are no pictures are none of it.

    Attributes:
        records: lost, and of how many.
        pictures: likewise, of all records.
        reasons: reason → how many were lost for it.
        limit: share from which on they are too many, in [0, 1]; all of them always are.
    """

    records: tuple[int, int]
    pictures: tuple[int, int]
    reasons: Mapping[str, int]
    limit: float

    @property
    def exceeding(self) -> list[str]:
        """Which of them are too many, e.g. `8 of 10 pictures`; records that are a picture each are said once."""
        units = {"pictures": self.pictures, "records": self.records}
        if self.pictures == self.records:
            del units["records"]
        return [
            f"{lost} of {whole} {unit}"
            for unit, (lost, whole) in units.items()
            if whole and (lost > self.limit * whole or lost == whole)
        ]

    @property
    def exit_code(self) -> int:
        """3 where too many were lost, else 0."""
        return EXIT_TOO_MANY if self.exceeding else 0

    def advice(self, config: PicturesConfig) -> str:
        """Returns what to look at, by what most were lost for."""
        most = Counter(self.reasons).most_common(1)
        if not most or most[0][0] != ABSENT:
            return "the rejects say why"
        if config.detections is not None:
            return "most are not there: check --image-dir, the folder that the paths in --detections are relative to"
        if config.csv_path is not None:
            return "most are not there: check --csv-images-root-path, the folder that the paths in --csv-path are relative to"
        return "most are not there: check --image-dir"

    def sentence(self, config: PicturesConfig) -> str:
        """Returns which of them are too many, and what to do; with the exit code."""
        allowed = "" if self.limit == 1 else f", more than --max-rejected-share {self.limit:g} allows"
        return f"{' and '.join(self.exceeding)} cannot be used{allowed} (exit code {EXIT_TOO_MANY}); {self.advice(config)}"
