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
from camtrap_tf.models.locating import BUNDLE_FILE, MAPPING_FILE, RUN_FILE
from camtrap_tf.training.checkpoints import Position, listed

CONFIG_FILE = "config.yaml"
FINISHED_FILE = "finished.json"
EXTREMES = "extreme_examples"
SERVICES_FILE = "log_services.json"


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


def nothing_to_do(earlier: Earlier, config: TrainConfig) -> str | None:
    """Says that a training is finished, and how to go on if it stopped early; None where something is left to do.

    One that reached its last epoch has more to do under a higher `--max-epochs`; one that stopped since it got no better has
    not, for its settings ask for that.
    """
    said = earlier.finished
    if said is None:
        return None
    bundle = config.model_save_dir / BUNDLE_FILE
    more = earlier.position.epoch < config.max_epochs and not said["early"]
    more |= bool(config.log_extreme_examples) and not (earlier.folder / EXTREMES).is_dir()
    there = bundle.is_file() and read_json(bundle, what="bundle").get("model_sha256") == said["model_sha256"]
    if more or not there:
        return None
    ending = f"finished already, nothing to do: {said['ending']}"
    if not said["early"]:
        return f"{ending}; a higher --max-epochs goes on"
    return (
        f"{ending}; to go on all the same, add --continue-training --model-to-load {earlier.folder}, with --max-epochs above "
        f"{earlier.position.epoch} (patience is counted anew)"
    )


def require_same_data(earlier: Earlier, shards: dict[str, ShardSet], mapping: LabelMapping) -> None:
    """Makes sure that shards and label mapping are those the earlier training began with.

    Raises:
        DatasetError: other shards.
        LabelError: another label mapping.
    """
    known = earlier.info.get("parents", {})
    for name, found in shards.items():
        if known.get(name) != found.digest:
            raise DatasetError(
                f"{earlier.folder}: the {name} shards have changed since this training began; put the earlier ones back, "
                "give another --run-outputs-dir, or --resume off to begin anew"
            )
    if LabelMapping.read(earlier.folder / MAPPING_FILE).classes != mapping.classes:
        raise LabelError(
            f"{earlier.folder}: the label mapping has changed since this training began; put the earlier one back, "
            "give another --run-outputs-dir, or --resume off to begin anew"
        )
