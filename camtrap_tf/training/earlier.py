"""What an earlier training left in a run folder: its settings, where it stands, whether it finished."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from camtrap_tf.config.training import TrainConfig
from camtrap_tf.errors import DatasetError, LabelError, SettingError
from camtrap_tf.files import read_json
from camtrap_tf.input_pipeline.shard_set import ShardSet
from camtrap_tf.labels import LabelMapping
from camtrap_tf.models.locating import BEST_FILE, BUNDLE_FILE, MAPPING_FILE, RUN_FILE, epoch_of
from camtrap_tf.training.checkpoints import CHECKPOINTS, Position, listed

CONFIG_FILE = "config.yaml"
FINISHED_FILE = "finished.json"
EXTREMES = "extreme_examples"
SERVICES_FILE = "log_services.json"
SHARDS_FILE = "shards.json"
_ANEW = "give another --run-outputs-dir, or --resume off to begin anew"


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier training that left checkpoints.

    Attributes:
        folder: its run folder.
        settings: as in its `config.yaml`.
        position: of its newest checkpoint.
        info: what `run.json` says.
        finished: what `finished.json` says; None where it did not finish.
    """

    folder: Path
    settings: dict[str, Any]
    position: Position
    info: dict[str, Any]
    finished: dict[str, Any] | None = None


def read_earlier(folder: Path) -> Earlier | None:
    """Returns what an earlier training left in a run folder; None where there is nothing to go on from.

    Raises:
        SettingError: its settings cannot be read.
        SourceError: its facts cannot be read.
    """
    positions = listed(folder)
    if not positions or not (folder / CONFIG_FILE).is_file() or not (folder / RUN_FILE).is_file():
        return None
    try:
        settings = yaml.safe_load((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        if not isinstance(settings, dict):
            raise ValueError("not a mapping")
    except (OSError, ValueError, yaml.YAMLError) as err:
        raise SettingError(f"{folder / CONFIG_FILE}: cannot be read ({err}); --resume off begins anew") from err
    finished = folder / FINISHED_FILE
    return Earlier(
        folder,
        settings,
        positions[0],
        dict(read_json(folder / RUN_FILE, what="description of a run")),
        dict(read_json(finished, what="result of a run")) if finished.is_file() else None,
    )


def require_nothing_lost(folder: Path) -> None:
    """Makes sure that a run folder with nothing to go on from holds no training that had got somewhere.

    One that was killed before its first checkpoint leaves settings, and at most the model of its first epoch, which is written
    just before the checkpoint; the same command begins that anew.

    Raises:
        SettingError: there are models of its epochs, or checkpoints, but nothing that can be gone on with.
    """
    if not folder.is_dir():
        return
    models = [path for path in folder.glob("model_epoch_*.keras") if (epoch_of(path.name) or 0) > 1]
    names = [CONFIG_FILE, RUN_FILE] if listed(folder) else [CHECKPOINTS]
    damaged = list((folder / CHECKPOINTS).glob("*.damaged"))
    if not (models or damaged or listed(folder) or any((folder / name).exists() for name in (BEST_FILE, FINISHED_FILE))):
        return
    gone = next((name for name in names if not (folder / name).exists()), "a sound checkpoint")
    there = any(folder.glob("model_*.keras"))
    on = f"--continue-training --model-to-load {folder} to go on from its last model, " if there else ""
    raise SettingError(
        f"--run-outputs-dir {folder}: holds a training that has lost {gone}, without which it cannot be gone on with exactly; "
        f"put that back, give {on}another folder, or --resume off to begin anew (it is kept aside)"
    )


def nothing_to_do(earlier: Earlier, config: TrainConfig) -> str | None:
    """Says that a training is finished, and how to go on if it stopped early; None where something is left to do.

    One that reached its last epoch has more to do under a higher `--max-epochs`; one that stopped since it got no better has
    not, for its settings ask for that.
    """
    said = earlier.finished
    if said is None:
        return None
    more = earlier.position.epoch < config.max_epochs and not said["early"]
    more |= bool(config.log_extreme_examples) and not (earlier.folder / EXTREMES).is_dir()
    if more or bundle_digest(config.model_save_dir) != said["model_sha256"]:
        return None
    ending = f"finished already, nothing to do: {said['ending']}"
    if not said["early"]:
        return f"{ending}; a higher --max-epochs goes on"
    return (
        f"{ending}; to go on all the same, add --continue-training --model-to-load {earlier.folder}, with --max-epochs above "
        f"{earlier.position.epoch} (patience is counted anew)"
    )


def bundle_digest(folder: Path) -> str | None:
    """Returns the digest of the model in a bundle, as the bundle says it; None where there is no bundle."""
    file = folder / BUNDLE_FILE
    return read_json(file, what="bundle").get("model_sha256") if file.is_file() else None


def require_work(config: TrainConfig, *, behind: int, loaded: str | None) -> str:
    """Says why nothing is trained where all epochs lie behind, if the bundle is there all the same.

    Args:
        config: the settings.
        behind: epochs that lie behind.
        loaded: digest of the model to start from, where a bundle says it.

    Raises:
        SettingError: the folder of the bundle holds none of this training, and none would be written.
    """
    reason = f"{behind} epochs lie behind and --max-epochs is {config.max_epochs}; give a higher one to go on"
    finished = config.run_outputs_dir / FINISHED_FILE
    said = read_json(finished, what="result of a run")["model_sha256"] if finished.is_file() else None
    there = bundle_digest(config.model_save_dir)
    if there is None or there not in (said, loaded):
        raise SettingError(
            f"nothing to train, and no bundle of this training in --model-save-dir {config.model_save_dir}: {reason}"
        )
    return reason


def require_same_data(earlier: Earlier, shards: dict[str, ShardSet], mapping: LabelMapping) -> None:
    """Makes sure that shards and label mapping are those the earlier training began with, to the byte.

    A shard whose size and time are as they were is not read for that.

    Raises:
        DatasetError: other shards.
        LabelError: another label mapping.
    """
    known = earlier.info.get("parents", {})
    for name, found in shards.items():
        if known.get(name) != found.digest:
            raise DatasetError(
                f"{earlier.folder}: the {name} shards have changed since this training began; put the earlier ones back, "
                f"{_ANEW}"
            )
    file = earlier.folder / SHARDS_FILE
    states = read_json(file, what="sizes and times of shards") if file.is_file() else {}
    for name, found in shards.items():
        for path in found.changed(states.get(name, ())):
            raise DatasetError(
                f"{path}: this {name} shard has changed since the training in {earlier.folder} began; put the earlier one "
                f"back, {_ANEW}"
            )
    if LabelMapping.read(earlier.folder / MAPPING_FILE).classes != mapping.classes:
        raise LabelError(
            f"{earlier.folder}: the label mapping has changed since this training began; put the earlier one back, {_ANEW}"
        )
