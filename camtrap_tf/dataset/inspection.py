"""What shards hold: the stage `dataset inspect`. Works on shards without manifest (camera-trap-classifier's) too.

Counts come from the manifest where there is one, else from the records. Damage is named, and does not end the inspection.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from camtrap_tf.config.dataset import DatasetInspectConfig
from camtrap_tf.dataset.discovery import MANIFEST_NAME, find_shards, split_of
from camtrap_tf.dataset.framing import read_records
from camtrap_tf.dataset.manifest import DatasetManifest, ShardInfo, SplitCounts
from camtrap_tf.dataset.schema import Example, decode_example
from camtrap_tf.dataset.summary import form_text, selection_lines, split_lines
from camtrap_tf.errors import DatasetError, PictureError, counted
from camtrap_tf.executors import available_cores, map_in_processes
from camtrap_tf.files import sha256_file
from camtrap_tf.images.decoding import decode_picture
from camtrap_tf.progress import track
from camtrap_tf.records import MISSING

_PROBLEMS_SHOWN = 20
_MOST_PIXELS = 2**30
_BYTES_PER_WORKER = 2**26  # less than that is read sooner than a process starts


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found.

    Attributes:
        path: what was looked at.
        manifests: the manifests found, by folder.
        splits: what each split holds.
        shards: split → number of shards.
        problems: damage, one line each, with the name of the file.
        examples: the first records, where asked for.
        verified: whether checksums, digests and pictures were checked.
    """

    path: Path
    manifests: dict[Path, DatasetManifest]
    splits: dict[str, SplitCounts]
    shards: dict[str, int]
    problems: tuple[str, ...]
    examples: tuple[Example, ...]
    verified: bool

    @property
    def exit_code(self) -> int:
        """2 where something is damaged."""
        return 2 if self.problems else 0

    def text(self) -> str:
        """Returns the findings for a person."""
        lines = [f"{self.path}: {counted(sum(self.shards.values()), 'shard')}" + ("" if self.manifests else ", no manifest")]
        for manifest in self.manifests.values():
            lines.append(f"stored form: {form_text(manifest.stored_form)}")
            lines += selection_lines(manifest.selection, manifest.group_field)
            lines += [manifest.records.text("records"), manifest.pictures.text("pictures")]
        lines += split_lines(self.splits, self.shards)
        lines += itertools.chain.from_iterable(map(example_lines, self.examples))
        if self.verified and not self.problems:
            lines.append("verified: checksums, digests and pictures are sound")
        lines += [f"damaged: {problem}" for problem in self.problems[:_PROBLEMS_SHOWN]]
        if len(self.problems) > _PROBLEMS_SHOWN:
            lines.append(f"… and {len(self.problems) - _PROBLEMS_SHOWN} more")
        return "\n".join(lines)


@dataclass(slots=True)
class ShardReport:
    """What one shard holds, counted record by record.

    Attributes:
        counts: its records by class of the first observation.
        problems: damage, one line each.
    """

    counts: SplitCounts = field(default_factory=SplitCounts)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ShardTask:
    """A shard to be read.

    Attributes:
        path: the shard.
        info: what the manifest says of it; None where there is none.
        verify: check digest, checksums and pictures too.
    """

    path: Path
    info: ShardInfo | None
    verify: bool


def inspect_dataset(config: DatasetInspectConfig) -> Inspection:
    """Returns what the shards of a folder hold.

    Raises:
        SettingError: there are no shards, or none of the splits asked for.
        DatasetError: the dataset is unfinished, or its manifest unreadable.
    """
    shards = find_shards([config.path], config.pattern, flag="--path")
    folders = sorted({shard.parent for shard in shards})
    manifests = {folder: DatasetManifest.read(folder) for folder in folders if (folder / MANIFEST_NAME).is_file()}
    tasks, problems = _tasks(shards, manifests, config)
    splits: dict[str, SplitCounts] = {}
    numbers: dict[str, int] = {}
    for shard in shards:
        split = split_of(shard.name)
        splits.setdefault(split, SplitCounts())
        numbers[split] = numbers.get(split, 0) + 1
    size = sum(task.path.stat().st_size for task in tasks)
    workers = max(1, min(available_cores(), len(tasks), size // _BYTES_PER_WORKER))
    reports = track(
        map_in_processes(read_shard, tasks, workers=workers), total=len(tasks), description="Reading", unit="shards"
    )
    for task, report in zip(tasks, reports, strict=True):
        problems += report.problems
        splits[split_of(task.path.name)].add(report.counts)
    _add_known(splits, shards, manifests, config)
    examples = tuple(itertools.islice(_examples(shards), config.records))
    return Inspection(config.path, manifests, splits, numbers, tuple(problems), examples, config.verify)


def _tasks(
    shards: Sequence[Path], manifests: dict[Path, DatasetManifest], config: DatasetInspectConfig
) -> tuple[list[ShardTask], list[str]]:
    """Returns the shards that have to be read, and what is wrong already from outside."""
    tasks, problems = [], []
    for shard in shards:
        manifest = manifests.get(shard.parent)
        info = manifest.shard(shard.name) if manifest else None
        if manifest and info is None:
            problems.append(f"{shard}: not in the manifest beside it; a shard of another dataset?")
        if info is not None and shard.stat().st_size != info.bytes:
            problems.append(f"{shard}: {shard.stat().st_size} bytes, the manifest says {info.bytes}")
        if info is None or config.verify or config.path.is_file():
            tasks.append(ShardTask(shard, info, config.verify))
    if config.path.is_dir():
        found = set(shards)
        wanted = {split_of(shard.name) for shard in shards}
        for folder, manifest in manifests.items():
            gone = [s.name for s in manifest.shards if s.split in wanted and folder / s.name not in found]
            problems += [f"{folder / name}: the manifest lists this shard but it is not there" for name in gone]
    return tasks, problems


def _add_known(
    splits: dict[str, SplitCounts],
    shards: Sequence[Path],
    manifests: dict[Path, DatasetManifest],
    config: DatasetInspectConfig,
) -> None:
    """Adds the counts that manifests give for shards that were not read."""
    if config.verify or config.path.is_file():
        return
    for folder, manifest in manifests.items():
        for name in {split_of(shard.name) for shard in shards if shard.parent == folder}:
            if name in manifest.splits:
                splits[name].add(manifest.splits[name])


def read_shard(task: ShardTask) -> ShardReport:
    """Returns what a shard holds, and what is damaged in it."""
    report = ShardReport()
    try:
        if task.verify and task.info is not None and sha256_file(task.path) != task.info.sha256:
            report.problems.append(f"{task.path}: its SHA-256 is not the one in the manifest")
        for number, data in enumerate(read_records(task.path, verify=task.verify), start=1):
            _count(decode_example(data), report, task, number)
    except DatasetError as err:
        report.problems.append(str(err) if str(task.path) in str(err) else f"{task.path}: {err}")
    if task.info is not None and not report.problems and report.counts.records != task.info.records:
        report.problems.append(f"{task.path}: {report.counts.records} records, the manifest says {task.info.records}")
    return report


def _count(example: Example, report: ShardReport, task: ShardTask, number: int) -> None:
    first = {label: (values[0] if values and values[0] != MISSING else None) for label, values in example.labels.items()}
    report.counts.add_record(first, images=len(example.images))
    if not task.verify:
        return
    for position, image in enumerate(example.images, start=1):
        try:
            decode_picture(image, wanted=lambda width, height: (width, height), truncated="reject", max_pixels=_MOST_PIXELS)
        except PictureError as err:
            report.problems.append(f"{task.path}: record {number} ({example.id}), picture {position}: {err}")


def _examples(shards: Sequence[Path]) -> Iterator[Example]:
    """Yields records for a person to look at; where a shard is damaged, those before the damage."""
    for shard in shards:
        try:
            yield from map(decode_example, read_records(shard))
        except DatasetError:
            continue


def example_lines(example: Example) -> list[str]:
    """Returns lines on one record."""
    lines = [f"record {example.id}"]
    lines += [f"  {label}: {', '.join(values) or 'no list'}" for label, values in example.labels.items()]
    lines += [f"  {key}: {value}" for key, value in example.meta_data.items()]
    sizes = [f"  picture {index}: {len(image)} bytes" for index, image in zip(example.image_index, example.images, strict=True)]
    if len(example.image_paths) == len(example.images):
        return lines + [f"{size}, {path}" for size, path in zip(sizes, example.image_paths, strict=True)]
    # camera-trap-classifier lists the paths of pictures that it could not read too.
    return [*lines, *sizes, f"  paths: {', '.join(example.image_paths)}"]
