"""Where a model is: a bundle, a run folder, a model file, or one of the file names of older versions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from camtrap_tf.errors import ModelError
from camtrap_tf.files import path_hint
from camtrap_tf.logs import logger

MODEL_FILE = "model.keras"
BUNDLE_FILE = "bundle.json"
RUN_FILE = "run.json"
MAPPING_FILE = "label_mappings.json"
PREPROCESSING_FILE = "image_processing.json"
BEST_FILE = "model_best.keras"
MAPPING_NAMES = (MAPPING_FILE, "label_mapping.json")
"""Names of a label mapping: beside a model, and beside shards or in older versions."""
PREPROCESSING_NAMES = (PREPROCESSING_FILE, "pre_processing.json")
"""Names of an image processing: ours, and that of older versions."""
OLD_NAMES = ("best_model.hdf5", "model_best.hdf5", "prediction_model.hdf5")
_LOG = logger(__name__)
_EPOCH = re.compile(r"^model_epoch_(\d+)(?:_.*)?\.(keras|hdf5|h5)$")


@dataclass(frozen=True, slots=True)
class ModelPlace:
    """A model file that exists, and how it was found.

    Attributes:
        file: the `.keras`, `.h5` or `.hdf5` file.
        kind: `bundle` and `run` have their facts beside them, `legacy` is a file of Keras 1 or 2.
        epoch: counted from 1, where the file name says it.
        note: what was chosen instead of what was asked for; None where that is the same.
    """

    file: Path
    kind: Literal["bundle", "run", "file", "legacy"]
    epoch: int | None = None
    note: str | None = None

    @property
    def folder(self) -> Path:
        """The folder that holds the file and its JSON files."""
        return self.file.parent

    def beside(self, names: tuple[str, ...]) -> Path | None:
        """Returns the JSON file beside the model that has the first of these names that is there; None: there is none."""
        return next((self.folder / name for name in names if (self.folder / name).is_file()), None)


def epoch_of(name: str) -> int | None:
    """Returns the epoch in a checkpoint's file name (`model_epoch_10_loss_4.41.keras` → 10), else None."""
    found = _EPOCH.match(name)
    return int(found[1]) if found else None


def find_json(path: Path, names: tuple[str, ...]) -> Path:
    """Returns the JSON file that a path means.

    A folder means the file in it. One of the names that does not exist means the other one in the same folder, where
    that is there. Anything else means itself, whether it exists or not.

    Args:
        path: folder or file.
        names: that such a file has, `MAPPING_NAMES` or `PREPROCESSING_NAMES`.
    """
    wanted = path / names[0] if path.is_dir() else path
    if wanted.exists() or wanted.name not in names:
        return wanted
    return next((wanted.with_name(name) for name in names if wanted.with_name(name).is_file()), wanted)


def locate_json(path: Path, names: tuple[str, ...]) -> Path:
    """Returns the JSON file that a path means, and says so where its name is another; see `find_json`."""
    file = find_json(path, names)
    wanted = path / names[0] if path.is_dir() else path
    if file != wanted:
        _LOG.info("%s: is not there; taking %s in the same folder", wanted, file.name)
    return file


def locate_model(path: Path, *, flag: str = "--model-path", prefer_best: bool = True) -> ModelPlace:
    """Finds the model that a path means.

    A folder means its bundle; without one, the best model of the run, or its checkpoint of the highest epoch (of equal
    ones the newest). A file means itself. Old file names that do not exist mean the bundle, the best model, or the
    checkpoint of that epoch, in their folder.

    Args:
        path: folder or file.
        flag: how the path was given, for messages.
        prefer_best: whether a run folder means its best model where it has one, as for using it; else the highest
            epoch comes first, as for going on.

    Raises:
        ModelError: there is none.
    """
    if path.is_dir():
        place = _in_folder(path, prefer_best=prefer_best)
        if place is None:
            raise ModelError(f"{flag} {path}: no model in that folder (no {BUNDLE_FILE}, no model_epoch_*); check the path")
        return place
    if path.is_file():
        return _as_file(path)
    if path.parent.is_dir() and (path.name in OLD_NAMES or epoch_of(path.name) is not None):
        place = _under_old_name(path, prefer_best=prefer_best)
        if place is not None:
            return place
    hint = path_hint(path)
    also = "" if "did you mean" in hint else "; give a bundle folder, a run folder, a .keras or an .hdf5 file"
    raise ModelError(f"{flag} {path}: no such model{hint}{also}")


def _as_file(path: Path) -> ModelPlace:
    if path.suffix in (".h5", ".hdf5"):
        return ModelPlace(path, "legacy", epoch_of(path.name))
    if path.suffix == ".json" and path.name == BUNDLE_FILE:
        return ModelPlace(path.with_name(MODEL_FILE), "bundle")
    if path.suffix != ".keras":
        raise ModelError(f"{path}: not a model file; give a bundle folder, a run folder, a .keras or an .hdf5 file")
    if path.name == MODEL_FILE and path.with_name(BUNDLE_FILE).is_file():
        return ModelPlace(path, "bundle")
    return ModelPlace(path, "run" if path.with_name(RUN_FILE).is_file() else "file", epoch_of(path.name))


def _in_folder(folder: Path, *, prefer_best: bool) -> ModelPlace | None:
    if (folder / BUNDLE_FILE).is_file() and (folder / MODEL_FILE).is_file():
        return ModelPlace(folder / MODEL_FILE, "bundle")
    best = next((folder / name for name in (BEST_FILE, *OLD_NAMES) if (folder / name).is_file()), None)
    last = _highest_epoch(folder)
    chosen = (best or last) if prefer_best else (last or best)
    if chosen is None:
        return None
    found = _as_file(chosen)
    what = "the best model of the run" if chosen == best else "the highest epoch"
    return ModelPlace(found.file, found.kind, found.epoch, f"{folder}: chose {chosen.name}, {what}")


def _highest_epoch(folder: Path) -> Path | None:
    checkpoints = [path for path in folder.iterdir() if epoch_of(path.name) is not None]
    return max(checkpoints, key=lambda path: (epoch_of(path.name) or 0, path.stat().st_mtime, path.name), default=None)


def _under_old_name(path: Path, *, prefer_best: bool) -> ModelPlace | None:
    epoch = epoch_of(path.name)
    if epoch is not None:
        same = [other for other in path.parent.iterdir() if epoch_of(other.name) == epoch]
        chosen = max(same, key=lambda other: (other.stat().st_mtime, other.name), default=None)
    else:
        best = path.parent / BEST_FILE
        chosen = best if best.is_file() and not (path.parent / BUNDLE_FILE).is_file() else None
    found = _as_file(chosen) if chosen else _in_folder(path.parent, prefer_best=prefer_best)
    if found is None:
        return None
    return ModelPlace(found.file, found.kind, found.epoch, f"{path}: is not there; taking {found.file.name} in the same folder")
