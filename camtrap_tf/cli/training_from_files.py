"""`camtrap train` on COCO Camera Traps files or a table of crops: files → inventories → shards in `run/cache` → training.

The command composes the stages; the training itself sees shards alone. Shards are kept under a digest of the files, of size
and time of every picture and of how pictures are stored, so that the same command again uses them as they are.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from camtrap_tf.cli.splitting_for_training import cut_by_location, expected_splits
from camtrap_tf.config.dataset import DatasetConfig
from camtrap_tf.config.names import BACKBONES, HUB_PREFIX
from camtrap_tf.config.splits import RECORD_BY_RECORD
from camtrap_tf.config.training import TrainConfig
from camtrap_tf.config.training_files import TrainFilesConfig
from camtrap_tf.curation.split_files import SPLITS_FOLDER
from camtrap_tf.dataset.manifest import DatasetManifest
from camtrap_tf.dataset.summary import WrittenDataset
from camtrap_tf.dataset.writing import create_dataset
from camtrap_tf.errors import CamtrapError, counted
from camtrap_tf.files import check_writable, digest_of, locked_folder, read_json, writable_folder, write_json
from camtrap_tf.inventory.of_splits import (
    INVENTORY,
    ParsedFiles,
    SplitFiles,
    class_mapping,
    inventory_of_split,
    leakage_lines,
    picture_state,
)
from camtrap_tf.inventory.table import Inventory
from camtrap_tf.labels import LabelMapping
from camtrap_tf.logs import logger
from camtrap_tf.models.choice import check_backbone, default_side_px, require_within_reach
from camtrap_tf.rejects import reasons_text
from camtrap_tf.training.loggers import check_services
from camtrap_tf.training.plan import Plan
from camtrap_tf.training.recipes import with_recipe
from camtrap_tf.training.results import Stopped, TrainResult
from camtrap_tf.training.start_rule import Start, start_in_folder
from camtrap_tf.training.train import train

CACHE = "cache"
MAPPING = "label_mapping.json"
KEY = "made_from.json"
_LOG = logger(__name__)


@dataclass(frozen=True, slots=True)
class TrainedFromFiles:
    """What came of a training that began at files.

    Attributes:
        lines: about its shards.
        result: of the training itself.
    """

    lines: tuple[str, ...]
    result: TrainResult | Stopped | Plan

    @property
    def exit_code(self) -> int:
        """That of the training."""
        return int(getattr(self.result, "exit_code", 0))

    def text(self) -> str:
        """Returns the summary for people."""
        return "\n".join([*self.lines, self.result.text()])


def train_from_files(config: TrainFilesConfig) -> TrainedFromFiles:
    """Makes the shards that are not there yet, then trains on them; with `dry_run` says what it would do.

    Raises:
        CamtrapError: something cannot be used; what can be known before shards are made is found before that.
    """
    files = SplitFiles.from_config(config, config.labels[0])
    cache = (config.run_outputs_dir / CACHE).resolve()
    expected = expected_splits(config, cache / SPLITS_FOLDER) if config.splits_itself else _splits(files)
    whole = with_recipe(shard_settings(config, cache, expected))
    start = _check_before(whole)
    parsed = ParsedFiles()
    mapping = class_mapping(files, _splits(files), num_classes=config.num_classes, parsed=parsed)
    if config.dry_run:
        return _planned(config, whole, start, files, cache, mapping, parsed)
    _require_weights(whole, start)
    check_writable(config.run_outputs_dir, "--run-outputs-dir")
    check_writable(config.model_save_dir, "--model-save-dir")
    told: tuple[str, ...] = ()
    with locked_folder(cache):  # so that nobody makes other shards while these are trained on
        if config.splits_itself:
            cut = cut_by_location(config, files, cache / SPLITS_FOLDER, parsed=parsed)
            files, told = cut.files, cut.lines
        lines = fill_cache(config, files, _splits(files), cache, parsed)
        mapping.write(cache / MAPPING)
        files.write(cache)
        return TrainedFromFiles((*told, *lines), train(shard_settings(config, cache, _splits(files))))


def _splits(files: SplitFiles) -> list[str]:
    """Returns the splits that the files have, of those that a training knows."""
    return [split for split in ("train", "val", "test") if split in files.split_names()]


def shard_settings(config: TrainFilesConfig, cache: Path, splits: Sequence[str]) -> TrainConfig:
    """Returns the settings of the training itself: as given, on the shards of the cache."""
    given = {key: getattr(config, key) for key in config.model_fields_set if key in TrainConfig.model_fields}
    shards: dict[str, Any] = {
        "labels": config.labels,
        "train_tfr_path": (cache / "train",),
        "val_tfr_path": (cache / "val",),
        "class_mapping_json": cache / MAPPING,
    }
    if "test" in splits:
        shards["test_tfr_path"] = (cache / "test",)
    return TrainConfig(**{**given, **shards})


def _check_before(whole: TrainConfig) -> Start:
    """Makes sure of what can be known before shards are made; returns how the training begins, or raises a CamtrapError."""
    check_services(whole.log_to)
    start = start_in_folder(whole)
    check_backbone(whole.model, "none" if start.copies or start.resumes else whole.weights)
    return start


def _require_weights(whole: TrainConfig, start: Start) -> None:
    """Makes sure that trained weights are on disk or can be fetched, before shards are made; raises a ModelError."""
    if start.copies or start.resumes:
        return
    require_within_reach(whole.model, whole.weights)
    if whole.model.startswith(HUB_PREFIX):
        default_side_px(whole.model)  # is in a small file of the preset


def fill_cache(
    config: TrainFilesConfig, files: SplitFiles, splits: Sequence[str], cache: Path, parsed: ParsedFiles | None = None
) -> list[str]:
    """Makes the shards of every split that are not there as they should be.

    Args:
        config: how pictures are stored.
        files: what is in the splits.
        splits: those to make.
        cache: folder of the shards.
        parsed: what was read of the files already.

    Returns:
        A line per split, and one each on pictures and on locations that stand in two.
    """
    writable_folder(cache, "--run-outputs-dir")
    parsed = parsed or ParsedFiles()
    inventories = {split: inventory_of_split(files, split, cache / "inventories" / split, parsed) for split in splits}
    lines = [_split_shards(config, files, split, inventories[split], cache) for split in splits]
    for said in leakage_lines(inventories):
        _LOG.warning("%s", said)
        lines.append(f"warning: {said}")
    return lines


def _split_shards(config: TrainFilesConfig, files: SplitFiles, split: str, inventory: Inventory, cache: Path) -> str:
    """Makes the shards of a split where they are not there; returns a line about them."""
    folder = cache / split
    settings = DatasetConfig(
        inventory=cache / "inventories" / split / INVENTORY,
        output_dir=folder,
        image_root_path=files.crops_dir,
        split_names=(split,),
        split_percent=(1.0,),
        split_group=RECORD_BY_RECORD,
        duplicates="off",
        keep_multi_observation=True,
        image_save_side_smallest=max(config.image_save_side_smallest, _side_px(config)),
        image_save_quality=config.image_save_quality,
        max_rejected_share=config.max_rejected_share,
        workers=config.workers,
    )
    form = [settings.image_save_side_smallest, settings.image_save_quality]
    key = {"digest": digest_of([files.digest(split), picture_state(inventory, files.crops_dir), form])}
    if _is_made_from(folder, key):
        manifest = DatasetManifest.read(folder)
        return f"{split}: {manifest.records.out} records in {folder}, as they were"
    (folder / KEY).unlink(missing_ok=True)
    made = create_dataset(settings.model_copy(update={"overwrite": True}))
    assert isinstance(made, WrittenDataset)  # it was no dry run
    write_json(folder / KEY, key)
    before = f"; {len(inventory.rejects)} left out before{reasons_text(inventory.rejects)}" if inventory.rejects else ""
    return f"{split}: {made.manifest.records.text('records')}{before}; {folder}"


def _side_px(config: TrainFilesConfig) -> int:
    """Returns the longer side of the model's input, as far as it is known before the model is."""
    side = BACKBONES.get(config.model, 0)
    return max(config.output_height or side, config.output_width or side)


def _is_made_from(folder: Path, key: dict[str, str]) -> bool:
    """Tells whether a folder holds whole shards of this very content."""
    if not (folder / KEY).is_file() or read_json(folder / KEY, what="digest of a cache") != key:
        return False
    try:
        DatasetManifest.read(folder).require_shards(folder)
    except CamtrapError as err:
        _LOG.info("%s: made again (%s)", folder, err)
        return False
    return True


def _planned(
    config: TrainFilesConfig,
    whole: TrainConfig,
    start: Start,
    files: SplitFiles,
    cache: Path,
    mapping: LabelMapping,
    parsed: ParsedFiles,
) -> TrainedFromFiles:
    """Returns what a training would do: in full where its shards are there, else as far as the files say."""
    with tempfile.TemporaryDirectory(prefix="camtrap-") as scratch:
        try:
            look = _look_into(config, files, cache, Path(scratch), parsed)
        except CamtrapError as err:
            return TrainedFromFiles((), Plan(("training plan (nothing is written)",), (str(err),)))
    if all((cache / split / KEY).is_file() for split in look.splits) and (cache / MAPPING).is_file():
        said = f"shards: those in {cache}, if their files are as they were"
        return TrainedFromFiles((said, *look.warnings), train(shard_settings(config, cache, look.splits)))
    lines = (
        "training plan (nothing is written)",
        "files, of which shards are made first:",
        *look.lines,
        f"pictures: {files.crops_dir}",
        f"shards: {cache}",
        f"classes of {files.label}, by index: {', '.join(mapping.names(files.label))}",
        f"model: {config.model}, weights {config.weights}, recipe {whole.recipe}",
        f"run folder: {config.run_outputs_dir}",
        f"bundle: {config.model_save_dir}",
        *look.warnings,
    )
    try:
        _require_weights(whole, start)
    except CamtrapError as err:
        return TrainedFromFiles((), Plan(lines, (str(err),)))
    return TrainedFromFiles((), Plan((*lines, "ready to make shards, and to train on them"), ()))


@dataclass(frozen=True, slots=True)
class _Look:
    """What a plan knows of the files.

    Attributes:
        splits: those that there would be.
        lines: how they came about, and what is in each.
        warnings: what the training would warn of.
    """

    splits: tuple[str, ...]
    lines: tuple[str, ...]
    warnings: tuple[str, ...]


def _look_into(config: TrainFilesConfig, files: SplitFiles, cache: Path, scratch: Path, parsed: ParsedFiles) -> _Look:
    """Reads the files for a plan, and writes below `scratch` alone.

    Raises:
        CamtrapError: a file cannot be read, its pictures are not there, or it cannot be split.
    """
    lines: list[str] = []
    shown = {} if files.kind == "table" else dict(files.documents)
    if config.splits_itself:
        cut = cut_by_location(config, files, scratch / SPLITS_FOLDER, dry_run=True, parsed=parsed)
        lines = [f"  {line}" for line in cut.lines]
        files, shown = cut.files, {split: cache / SPLITS_FOLDER / path.name for split, path in cut.files.documents.items()}
    inventories = {split: inventory_of_split(files, split, scratch / split, parsed) for split in _splits(files)}
    for split, inventory in inventories.items():
        gone = f", {len(inventory.rejects)} left out{reasons_text(inventory.rejects)}" if inventory.rejects else ""
        lines.append(f"  {split}: {shown.get(split, files.table)}: {counted(len(inventory), 'record')}{gone}")
    warnings = tuple(f"warning: {said}" for said in leakage_lines(inventories))
    return _Look(tuple(inventories), tuple(lines), warnings)
