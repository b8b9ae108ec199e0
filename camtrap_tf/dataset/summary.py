"""What `dataset create` says: the plan of a dry run, and the summary of what was written."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from camtrap_tf.config.dataset import DatasetConfig
from camtrap_tf.curation.curating import Curated
from camtrap_tf.curation.split_files import SPLITS_FOLDER
from camtrap_tf.dataset.discovery import MANIFEST_NAME
from camtrap_tf.dataset.manifest import LABEL_MAPPING_NAME, REJECTS_NAME, DatasetManifest, SplitCounts
from camtrap_tf.dataset.plan import PlannedShard
from camtrap_tf.errors import counted
from camtrap_tf.images.stored_form import StoredForm

_CLASSES_SHOWN = 6


@dataclass(frozen=True, slots=True)
class DatasetPlan:
    """What would be done, from a dry run.

    Attributes:
        description: text for a person.
        incomplete: whether inputs are absent.
    """

    description: str
    incomplete: bool

    @property
    def exit_code(self) -> int:
        """2 where inputs are absent."""
        return 2 if self.incomplete else 0

    def text(self) -> str:
        """Returns the plan for a person."""
        return self.description


@dataclass(frozen=True, slots=True)
class WrittenDataset:
    """A dataset that stands complete.

    Attributes:
        folder: where it is.
        manifest: what it holds.
        kept: whether it stood there already, made by the same plan.
        told: warnings of the manifest that were logged already.
    """

    folder: Path
    manifest: DatasetManifest
    kept: bool
    told: frozenset[str] = frozenset()

    def text(self) -> str:
        """Returns the summary for a person."""
        manifest = self.manifest
        lines = [
            f"Dataset in {self.folder}"
            + (": complete already, made by the same plan; kept (--overwrite makes it again)" if self.kept else "")
        ]
        lines += split_lines(manifest.splits, collections.Counter(shard.split for shard in manifest.shards))
        if manifest.crop is not None:
            lines.append(f"crops: a record per box, {manifest.crop['crop_strategy']} ({manifest.crop['geometry']} geometry)")
        lines += selection_lines(manifest.selection, manifest.group_field, boxes=manifest.crop is not None)
        lines += [manifest.records.text("records"), manifest.pictures.text("pictures")]
        lines += [f"warning: {warning}" for warning in manifest.warnings if warning not in self.told]
        rejected = sum(manifest.records.rejected.values()) + sum(manifest.pictures.rejected.values())
        splits = f", {SPLITS_FOLDER}/ (who is where, what leaks, table of classes)" if self._tells_of_splits() else ""
        lines.append(f"files: {MANIFEST_NAME}, {LABEL_MAPPING_NAME}, {REJECTS_NAME} ({counted(rejected, 'row')}){splits}")
        return "\n".join(lines)

    def _tells_of_splits(self) -> bool:
        return (self.folder / SPLITS_FOLDER).is_dir()


def split_lines(splits: Mapping[str, SplitCounts], shards: Mapping[str, int]) -> list[str]:
    """Returns lines on the splits: records, pictures, shards and the most frequent classes of each label type."""
    lines = []
    for name, counts in splits.items():
        lines.append(f"{name}: {counted(counts.records, 'record')}, {counted(counts.images, 'picture')}, ")
        lines[-1] += counted(shards.get(name, 0), "shard")
        for label, classes in counts.labels.items():
            lines.append(f"  {label}: {class_text(classes, counts.missing.get(label, 0))}")
    return lines


def class_text(classes: Mapping[str, int], missing: int) -> str:
    """Returns class counts, the most frequent first, e.g. `zebra (30), lion (2) … 9 classes, missing (3)`."""
    ordered = sorted(classes.items(), key=lambda one: (-one[1], one[0]))
    text = ", ".join(f"{name} ({count})" for name, count in ordered[:_CLASSES_SHOWN]) or "no class"
    if len(ordered) > _CLASSES_SHOWN:
        text += f" … {len(ordered)} classes"
    return text + (f", missing ({missing})" if missing else "")


def selection_lines(steps: Iterable[Mapping[str, Any]], group_field: str | None, *, boxes: bool = False) -> list[str]:
    """Returns lines on how the records were chosen and split; `boxes`: each is a box of a record of the inventory."""
    alone = "the boxes of each record of the inventory" if boxes else "nothing (record by record)"
    chosen = "; ".join(f"{step['name']}: {step['records_before']} → {step['records_after']} records" for step in steps)
    return [f"selection: {chosen or 'all records'}", f"splits keep whole: {group_field or alone}"]


def plan_text(
    config: DatasetConfig,
    form: StoredForm,
    curated: Curated | None,
    shards: Sequence[PlannedShard],
    absent: Sequence[str],
    workers: int,
) -> str:
    """Returns the plan of a dry run.

    Args:
        config: the settings.
        form: how pictures would be stored.
        curated: the records that would be written; None where the inventory is absent.
        shards: the shards that would be written.
        absent: inputs that are not there, as flag, path and what is wrong.
        workers: worker processes that would be used.
    """
    root = config.image_root_path or "none (paths as the inventory gives them)"
    lines = ["Plan of dataset create (nothing is written)", f"inventory: {config.inventory}", f"pictures below: {root}"]
    if curated is None:
        lines += [f"filters: {_filter_text(config)}", f"splits: {_split_text(config)}"]
    else:
        counts: dict[str, int] = collections.Counter(curated.splits)
        steps = [{"name": s.name, "records_before": s.records_before, "records_after": s.records_after} for s in curated.steps]
        lines += [
            f"filters: {_filter_text(config)}",
            *selection_lines(steps, curated.group_field, boxes=config.crop is not None),
        ]
        per_split = collections.Counter(shard.split for shard in shards)
        lines += [f"{name}: {counted(counts[name], 'record')}, {counted(n, 'shard')}" for name, n in per_split.items()]
        lines.append(
            f"together: {counted(len(curated.inventory), 'record')}, {counted(curated.inventory.picture_count(), 'picture')}"
        )
        lines += [f"{label}: {counted(len(names), 'class', 'es')}" for label, names in curated.mapping.classes.items()]
        if curated.splitting is not None and config.split_by_meta is None and config.duplicates != "off":
            lines.append(
                "no picture was read: locations or records that share one are found, and tied together, when it is built"
            )
        lines += [f"warning: {warning}" for warning in curated.warnings]
    if config.crop is not None:
        legacy = ", legacy geometry" if config.crop_legacy_geometry else ""
        lines.append(f"crops: a record per box, {config.crop}{legacy}; cut out while shards are built")
    lines.append(f"stored form: {form_text(form)}")
    lines.append(
        f"at most {counted(config.max_records_per_file, 'record')} a shard, {counted(workers, 'worker process', 'es')}"
    )
    lines.append(f"output: {config.output_dir}" + (" (shards there are replaced)" if config.overwrite else ""))
    lines += ["cannot start:", *(f"  {one}" for one in absent)] if absent else []
    return "\n".join(lines)


def form_text(form: StoredForm) -> str:
    """Returns a stored form in words."""
    limits = [("smaller", form.side_smallest_px), ("larger", form.side_max_px)]
    sides = " and ".join(f"{which} side at most {px} px" for which, px in limits if px is not None) or "full size"
    return f"JPEG quality {form.quality}, {sides}, never enlarged; truncated pictures: {form.truncated}"


def _filter_text(config: DatasetConfig) -> str:
    parts = [] if config.keep_multi_observation else ["records with one observation only"]
    for what in ("remove", "keep"):
        pairs = zip(getattr(config, f"{what}_label_name"), getattr(config, f"{what}_label_value"), strict=True)
        parts += [f"{what} {label}={value}" for label, value in pairs]
    if config.balanced_sampling_min:
        parts.append(f"balance {config.balanced_sampling_label}")
    return ", ".join(parts) or "none"


def _split_text(config: DatasetConfig) -> str:
    if config.split_by_meta is not None:
        return f"by the meta data field {config.split_by_meta}"
    shares = zip(config.split_names, config.split_percent, strict=True)
    return ", ".join(f"{name} {share:g}" for name, share in shares) + f" (group: {config.split_group})"
