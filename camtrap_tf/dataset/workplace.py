"""The output folder of a dataset while it is being built: what is finished, what is in the way, what to sweep away.

Everything unfinished lies in `.partial` inside the folder, which may be a mount point and is never renamed itself. There
`plan.json` says which plan is being carried out, and each finished shard, already under its name in the folder, has a
sidecar with its digest, counts and rejects. `dataset.json` comes last; `.partial` is removed after it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from camtrap_tf.dataset.discovery import MANIFEST_NAME, NUMBERED_SHARD, SUFFIX
from camtrap_tf.dataset.manifest import LABEL_MAPPING_NAME, REJECTS_NAME, DatasetManifest, ShardInfo, SplitCounts
from camtrap_tf.errors import CamtrapError, DatasetError, SourceError
from camtrap_tf.files import PARTIAL, locked_folder, read_json, sha256_file, write_json
from camtrap_tf.records import Reject

_PLAN_NAME = "plan.json"
_LOCK_NAME = ".lock"


@dataclass(frozen=True, slots=True)
class FinishedShard:
    """A shard that is in place, with what the manifest and the rejects table will need of it.

    Attributes:
        info: the shard.
        counts: its records by class.
        records: records that were to go into it.
        pictures: pictures that they named.
        rejects: records and pictures that did not get in.
    """

    info: ShardInfo
    counts: SplitCounts
    records: int
    pictures: int
    rejects: tuple[Reject, ...]

    def as_json(self) -> dict[str, Any]:
        """Returns plain values for the sidecar."""
        return {
            "shard": self.info.as_json(),
            "counts": self.counts.as_json(),
            "records": self.records,
            "pictures": self.pictures,
            "rejects": [list(reject.row()) for reject in self.rejects],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Returns the shard from what `as_json` gave."""
        return cls(
            info=ShardInfo.from_json(value["shard"]),
            counts=SplitCounts.from_json(value["counts"]),
            records=value["records"],
            pictures=value["pictures"],
            rejects=tuple(Reject(*row) for row in value["rejects"]),
        )


class Workplace:
    """The output folder, held by this process for one plan.

    Attributes:
        folder: the output folder.
        partial: where unfinished pieces lie.
        plan: digest of the plan that is carried out.
        image_root: where pictures are looked up; what was begun over other pictures is not taken up.
    """

    def __init__(self, folder: Path, plan: str, image_root: str) -> None:
        self.folder = folder
        self.partial = folder / PARTIAL
        self.plan = plan
        self.image_root = image_root

    def finished_dataset(self) -> DatasetManifest | None:
        """Returns the manifest of the dataset that stands here complete, if it is of this plan.

        Raises:
            DatasetError: a dataset of another plan stands here, or one of this plan that is damaged.
        """
        try:
            manifest = DatasetManifest.read(self.folder)
        except SourceError:
            if (self.folder / MANIFEST_NAME).exists():
                raise
            return None
        if manifest.plan != self.plan:
            raise DatasetError(
                f"{self.folder}: holds a dataset of another plan (other inventory or settings); "
                "choose another --output-dir, or replace it with --overwrite"
            )
        manifest.verify(self.folder)
        self.close()
        return manifest

    def prepare(self, *, overwrite: bool) -> None:
        """Makes the folder ready for the plan: takes up what was begun, or begins.

        Args:
            overwrite: sweep away what another plan or program left here, and a finished dataset.

        Raises:
            DatasetError: shards of another plan lie here and are not to be replaced.
        """
        for torn in self.partial.glob(".*.part"):  # of processes that were killed: the lock is ours
            torn.unlink(missing_ok=True)
        finished = (self.folder / MANIFEST_NAME).exists()
        begun = {"plan": self.plan, "image_root": self.image_root}
        if not finished and self._begun() == begun:
            return
        in_the_way = sorted(path.name for path in self.folder.glob(f"*{SUFFIX}"))
        foreign = [name for name in in_the_way if not NUMBERED_SHARD.match(name)]
        if in_the_way and not overwrite:
            raise DatasetError(
                f"{self.folder}: holds shards of another plan, image root or program ({len(in_the_way)}, e.g. "
                f"{in_the_way[0]}); choose another --output-dir, or replace them with --overwrite"
            )
        if foreign:
            raise DatasetError(
                f"{self.folder}: {foreign[0]} is not named like our shards and would be mixed with them; move it away"
            )
        self._sweep(in_the_way)
        write_json(self.partial / _PLAN_NAME, begun)

    def _begun(self) -> Any:
        try:
            return read_json(self.partial / _PLAN_NAME)
        except SourceError:
            return None

    def _sweep(self, shards: list[str]) -> None:
        """Removes shards and what belongs to them; the manifest first, so that what is left never looks complete."""
        for name in (MANIFEST_NAME, *shards, LABEL_MAPPING_NAME, REJECTS_NAME):
            (self.folder / name).unlink(missing_ok=True)
        for path in self.partial.iterdir():
            if path.name != _LOCK_NAME:
                path.unlink()

    def finished_shard(self, name: str) -> FinishedShard | None:
        """Returns a shard that an earlier run finished, once its digest has been checked; None if it is to be made."""
        path = self.folder / name
        try:
            finished = FinishedShard.from_json(read_json(self._sidecar(name)))
            if finished.info.name == name and path.stat().st_size == finished.info.bytes:
                return finished if sha256_file(path) == finished.info.sha256 else None
        except (SourceError, OSError, KeyError, TypeError, ValueError):
            pass  # torn or absent: made again
        return None

    def finish_shard(self, finished: FinishedShard) -> None:
        """Puts a shard that lies complete in `partial` under its name, and notes it."""
        write_json(self._sidecar(finished.info.name), finished.as_json(), indent=None)
        self.place(finished.info.name)

    def place(self, name: str) -> None:
        """Moves a complete file from `partial` to the folder."""
        os.replace(self.partial / name, self.folder / name)

    def _sidecar(self, name: str) -> Path:
        return self.partial / f"{name}.json"

    def finish_dataset(self) -> None:
        """Puts the manifest in place and clears up."""
        self.place(MANIFEST_NAME)
        self.close()

    def close(self) -> None:
        """Removes `partial`."""
        shutil.rmtree(self.partial, ignore_errors=True)


@contextmanager
def workplace(folder: Path, plan: str, *, image_root: Path | None) -> Iterator[Workplace]:
    """Holds the output folder for this process and one plan; leaves nothing behind where nothing was begun.

    Raises:
        RunLockedError: another process builds a dataset there.
        CamtrapError: the disk is full, or the folder cannot be written to.
    """
    place = Workplace(folder, plan, str((image_root or Path()).resolve()))
    try:
        with locked_folder(place.partial):
            try:
                yield place
            finally:
                if place.partial.is_dir() and [path.name for path in place.partial.iterdir()] == [_LOCK_NAME]:
                    place.close()
    except OSError as err:
        what = err.strerror or type(err).__name__
        raise CamtrapError(f"{folder}: cannot write ({what}); make room or mend it, then run the same command again") from err
