"""Checkpoints: the whole state of a training at one step, trusted by digest, the last ones kept.

A checkpoint is `epoch_0003_step_000014.npz` (arrays, and a tree of plain values that refers to them) and a `.json` of
the same name, written after it, with position, digest and where it was made. Without its `.json` it does not exist.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from camtrap_tf.errors import CamtrapError, SourceError
from camtrap_tf.files import atomic_file, read_json, write_json
from camtrap_tf.logs import logger

CHECKPOINTS = "checkpoints"
FORMAT_VERSION = 1
KEPT = 3
_TREE = "tree"
_ARRAY = "__array__"
_NAME = re.compile(r"^epoch_(\d+)_step_(\d+)\.json$")
_DAMAGE = (OSError, ValueError, KeyError, EOFError, IndexError, TypeError, zipfile.BadZipFile)
_LOG = logger(__name__)


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where a training stands.

    Attributes:
        epoch: epochs that lie behind.
        step: steps of the running epoch that lie behind.
    """

    epoch: int
    step: int = 0

    @property
    def name(self) -> str:
        """The name of a checkpoint made here, without ending."""
        return f"epoch_{self.epoch:04d}_step_{self.step:06d}"

    @property
    def text(self) -> str:
        """In words."""
        if self == Position(0):
            return "the very beginning"
        return f"epoch {self.epoch + 1}, step {self.step}" if self.step else f"the end of epoch {self.epoch}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that was read.

    Attributes:
        position: where the training stood.
        state: name → what the provider of that name gave.
        facts: about its making, e.g. versions of libraries.
    """

    position: Position
    state: dict[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)


def listed(folder: Path) -> list[Position]:
    """Returns the positions of the checkpoints in a run folder, latest first; none is opened."""
    names = [_NAME.match(path.name) for path in (folder / CHECKPOINTS).glob("epoch_*_step_*.json")]
    return sorted((Position(int(name[1]), int(name[2])) for name in names if name), reverse=True)


class Checkpoints:
    """The checkpoints of a run folder, which has to be locked.

    Attributes:
        folder: that holds them.
    """

    def __init__(self, run: Path) -> None:
        self.folder = run / CHECKPOINTS
        self._run = run

    def write(self, position: Position, state: Mapping[str, Any], facts: Mapping[str, Any], *, verify: bool = False) -> Path:
        """Writes a checkpoint, whole or not at all, and removes all but the last `KEPT`.

        Args:
            position: where the training stands.
            state: name → nested dictionaries and lists of plain values and arrays.
            facts: plain values about its making.
            verify: read it back and compare.

        Returns:
            The file with the arrays.

        Raises:
            CamtrapError: the disk is full or cannot be written to; earlier checkpoints stay.
        """
        arrays: list[np.ndarray] = []
        tree = json.dumps(_packed(dict(state), arrays), allow_nan=False)
        file, about = self._files(position)
        digest = _digest(tree, arrays)
        if self._is_there(position, digest):
            return file
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            about.unlink(missing_ok=True)
            with atomic_file(file) as opened:
                named = {f"a{number:05d}": array for number, array in enumerate(arrays)}
                np.savez(opened, **{_TREE: np.frombuffer(tree.encode(), np.uint8)}, **named)
            write_json(
                about,
                {
                    "format_version": FORMAT_VERSION,
                    "epoch": position.epoch,
                    "step": position.step,
                    "digest": digest,
                    "facts": dict(facts),
                },
            )
            if verify:
                self._read(position)
        except OSError as err:
            raise self._unwritten(position, err) from err
        except _DAMAGE as err:
            raise CamtrapError(f"{file}: reads back other than it was written ({err}); is the disk sound?") from err
        self._prune()
        return file

    def newest(self) -> Checkpoint | None:
        """Returns the newest checkpoint that is sound, or None where there is none at all.

        Where one is sound, damaged ones after it are set aside under another name, with a warning. Where none is, all stay as
        they are, so that the next call finds the same.

        Raises:
            CamtrapError: there are some, but none is sound.
        """
        positions = listed(self._run)
        damaged: list[Position] = []
        for position in positions:
            try:
                found = self._read(position)
            except (*_DAMAGE, SourceError) as err:
                _LOG.warning("checkpoint %s is damaged (%s); looking at the one before", self._files(position)[0], err)
                damaged.append(position)
                continue
            for one in damaged:
                self._set_aside(one)
            return found
        if positions:
            models = any(self._run.glob("model_epoch_*.keras"))
            on = f"--continue-training --model-to-load {self._run} to go on from the last epoch's model, or " if models else ""
            raise CamtrapError(
                f"{self.folder}: none of the {len(positions)} checkpoints is sound; give {on}--resume off to begin anew"
            )
        return None

    def facts(self) -> list[dict[str, Any]]:
        """Returns the facts of all checkpoints, latest first."""
        return [dict(read_json(self._files(position)[1], what="checkpoint")["facts"]) for position in listed(self._run)]

    def tidy(self) -> None:
        """Removes what a process that was killed left half written."""
        if self.folder.is_dir():
            complete = {position.name for position in listed(self._run)}
            for path in self.folder.iterdir():
                if path.name.endswith(".part") or (path.suffix == ".npz" and path.stem not in complete):
                    path.unlink()

    def _read(self, position: Position) -> Checkpoint:
        file, about = self._files(position)
        said = read_json(about, what="checkpoint")
        if said["format_version"] > FORMAT_VERSION:
            raise CamtrapError(f"{file}: format {said['format_version']} is newer than this version reads; update")
        with np.load(file, allow_pickle=False) as opened:
            tree = opened[_TREE].tobytes().decode()
            arrays = [opened[name] for name in sorted(opened.files) if name != _TREE]
        if _digest(tree, arrays) != said["digest"]:
            raise ValueError("the digest does not match")
        return Checkpoint(position, _unpacked(json.loads(tree), arrays), said["facts"])

    def _is_there(self, position: Position, digest: str) -> bool:
        """Returns whether this very state is kept already; writing it again would leave a moment without it."""
        try:
            said = read_json(self._files(position)[1], what="checkpoint")
            return bool(said["digest"] == digest) and self._read(position) is not None
        except (*_DAMAGE, SourceError):
            return False

    def _files(self, position: Position) -> tuple[Path, Path]:
        return self.folder / f"{position.name}.npz", self.folder / f"{position.name}.json"

    def _set_aside(self, position: Position) -> None:
        for path in self._files(position):
            if path.exists():
                os.replace(path, path.with_name(path.name + ".damaged"))

    def _prune(self) -> None:
        for position in listed(self._run)[KEPT:]:
            for path in reversed(self._files(position)):
                path.unlink(missing_ok=True)

    def _unwritten(self, position: Position, err: OSError) -> CamtrapError:
        full = err.errno in (errno.ENOSPC, errno.EDQUOT)
        self._files(position)[0].unlink(missing_ok=True)
        earlier = listed(self._run)
        left = f"the checkpoint of {earlier[0].text} stays" if earlier else "there is no earlier one"
        what = "the disk is full" if full else f"cannot be written ({err.strerror})"
        return CamtrapError(f"{self.folder}: {what}; {left}; make room and run the same command again")


def _packed(value: Any, arrays: list[np.ndarray]) -> Any:
    """Returns a tree that JSON can say; arrays go to the list and leave their number."""
    if isinstance(value, Mapping):
        return {str(key): _packed(one, arrays) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_packed(one, arrays) for one in value]
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {_ARRAY: len(arrays) - 1}
    return value.item() if isinstance(value, np.generic) else value


def _unpacked(value: Any, arrays: list[np.ndarray]) -> Any:
    if isinstance(value, dict):
        return arrays[value[_ARRAY]] if _ARRAY in value else {key: _unpacked(one, arrays) for key, one in value.items()}
    return [_unpacked(one, arrays) for one in value] if isinstance(value, list) else value


def _digest(tree: str, arrays: list[np.ndarray]) -> str:
    """Returns the SHA-256 digest of contents, whatever file they are kept in."""
    digest = hashlib.sha256(tree.encode())
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data if array.size else b"")
    return digest.hexdigest()


class CheckpointClock:
    """Says when the next checkpoint is due: after so many steps or minutes, whichever comes first.

    Attributes:
        steps: since the last one.
    """

    def __init__(self, *, every_steps: int, every_minutes: float, now: Callable[[], float] = time.monotonic) -> None:
        """Zero: not by this."""
        self.steps = 0
        self._every_steps = every_steps
        self._every_s = every_minutes * 60
        self._now = now
        self._last = now()

    def due(self) -> bool:
        """Counts a step; returns whether a checkpoint is due after it."""
        self.steps += 1
        by_steps = 0 < self._every_steps <= self.steps
        return by_steps or 0 < self._every_s <= self._now() - self._last

    def written(self) -> None:
        """Begins anew after a checkpoint."""
        self.steps, self._last = 0, self._now()
