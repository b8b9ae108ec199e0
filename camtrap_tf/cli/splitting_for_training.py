"""One COCO Camera Traps file for a whole training: cut into a file per split before its shards are made.

Pictures are dealt as `camtrap split` deals them: locations stay whole, a class at one location is trained on. Receives the
file, hands on the files of the splits; what tells of the splitting lies beside them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from camtrap_tf.cct.splitting import split_by_image, split_path
from camtrap_tf.config.picture_sources import CocoInventoryConfig
from camtrap_tf.config.splits import SplitConfig
from camtrap_tf.config.training_files import TrainFilesConfig
from camtrap_tf.curation.split_files import SPLIT_FILES
from camtrap_tf.curation.split_stage import SplitInventory, duplicate_lines, how_text, share_lines, split
from camtrap_tf.errors import SettingError
from camtrap_tf.files import digest_of, read_json, writable_folder, write_json
from camtrap_tf.inventory.building_from_standards import BuiltFromStandard, build_from_coco
from camtrap_tf.inventory.of_splits import ParsedFiles, SplitFiles, picture_state
from camtrap_tf.sources.cct_document import CctDocument

SPLITS = ("train", "val", "test")
WHOLE = "whole.parquet"
MADE_FROM = "made_from.json"


@dataclass(frozen=True, slots=True)
class CutFiles:
    """A file per split.

    Attributes:
        files: the splits, `test` only where something is in it.
        lines: how the splits came about, and what is in none.
    """

    files: SplitFiles
    lines: tuple[str, ...]


def cut_by_location(
    config: TrainFilesConfig, whole: SplitFiles, folder: Path, *, dry_run: bool = False, parsed: ParsedFiles | None = None
) -> CutFiles:
    """Cuts the one file of a training into `<split>_cct.json`, with the files that tell of the splitting beside them.

    The same file, pictures and settings are cut alike; what was cut so already stays as it is.

    Args:
        config: shares and seed.
        whole: the file, as the one of `train`.
        folder: where to write.
        dry_run: cut without reading pictures, so that pictures at two places keep nothing together; writes no more than the
            files of the splits.
        parsed: what was read of the file already.

    Raises:
        CamtrapError: the file cannot be read, or its places cannot be split so.
    """
    writable_folder(folder, "--run-outputs-dir")
    source = whole.document("train")
    document = (parsed or ParsedFiles()).take(source)
    settings = CocoInventoryConfig(
        path=source, export_path=folder / WHOLE, image_root=whole.crops_dir, records="images", label_name=whole.label
    )
    built = build_from_coco(settings, document)
    shares, pictures = list(config.split_percent), picture_state(built.inventory, whole.crops_dir)
    key = {"digest": digest_of([whole.digest("train"), pictures, shares, config.seed])}
    paths = {name: split_path(folder, name) for name in SPLITS}
    made = folder / MADE_FROM
    there = paths["train"].is_file() and paths["val"].is_file()
    if there and made.is_file() and read_json(made, what="digest of splits") == key:
        return CutFiles(_present(whole, paths), (*built.tally_lines(), f"splits: those in {folder}, as they were"))
    made.unlink(missing_ok=True)
    found = _split(config, whole, folder, dry_run=dry_run)
    _write_parts(document, source, found, paths)
    if not dry_run:
        write_json(made, key)
    return CutFiles(_present(whole, paths), _lines(built, found))


def expected_splits(config: TrainFilesConfig, folder: Path) -> list[str]:
    """Returns the splits that a file is cut into: those that are there, else those with a share."""
    if (folder / MADE_FROM).is_file():
        return [name for name in SPLITS if split_path(folder, name).is_file()]
    return [name for name, share in zip(SPLITS, config.split_percent, strict=True) if share > 0]


def _split(config: TrainFilesConfig, whole: SplitFiles, folder: Path, *, dry_run: bool) -> SplitInventory:
    """Returns the splits of the pictures, as `camtrap split` makes them."""
    settings = SplitConfig(
        inventory=folder / WHOLE,
        image_root_path=whole.crops_dir,
        output_dir=folder,
        split_names=SPLITS,
        split_percent=config.split_percent,
        workers=config.workers,
        seed=config.seed,
        dry_run=dry_run,
    )
    try:
        return split(settings)
    except SettingError as err:
        raise SettingError(
            f"--train-cct {whole.document('train')}: cannot be split: {err}. Other flags than --split-percent are of `camtrap "
            "split`, after which `camtrap cct split` cuts the file for --train-cct and --val-cct; --split-percent 0.8 0.2 0 "
            "makes no test split"
        ) from err


def _write_parts(document: CctDocument, source: Path, found: SplitInventory, paths: dict[str, Path]) -> None:
    """Writes the documents of the splits; of an empty test split, none. Raises a SettingError where another is empty."""
    splitting = found.splitting
    split_of = dict(zip(splitting.inventory.ids, splitting.splits, strict=True))
    for name in ("train", "val"):
        if name not in splitting.splits:
            raise SettingError(
                f"--train-cct {source}: split {name!r} gets no picture, as {len(splitting.groups.names)} groups leave none for "
                "it; name a file with --val-cct, or give it a larger share with --split-percent"
            )
    for name, part in split_by_image(document, split_of, SPLITS).items():
        if part.images:
            part.write(paths[name])
        else:
            paths[name].unlink(missing_ok=True)


def _present(whole: SplitFiles, paths: dict[str, Path]) -> SplitFiles:
    """Returns the files of the splits in which there is something."""
    return replace(whole, documents={name: path.resolve() for name, path in paths.items() if path.is_file()})


def _lines(built: BuiltFromStandard, found: SplitInventory) -> tuple[str, ...]:
    """Returns what is to be said of a splitting."""
    splitting = found.splitting
    lines = [*built.tally_lines(), *how_text(splitting), *share_lines(splitting), *duplicate_lines(splitting)]
    lines += [f"warning: {warning}" for warning in found.warnings]
    if found.files is not None:
        lines.append(f"files in {found.files.folder}: {', '.join(SPLIT_FILES)}, <split>_cct.json")
    return tuple(lines)
