"""From an inventory to a folder of shards: the stage `dataset create`.

Records are curated, planned into shards, converted by worker processes in chunks, and written by this process in order.
The manifest is written last. Run again after any interruption, it goes on where it stopped, and ends in the same bytes.
"""

from __future__ import annotations

import collections
import hashlib
import itertools
import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from camtrap_tf.config.dataset import DatasetConfig
from camtrap_tf.curation.box_records import CROP_OF
from camtrap_tf.curation.curating import Curated, curate
from camtrap_tf.curation.split_files import SPLITS_FOLDER, remove_split_files, write_split_files
from camtrap_tf.curation.split_stage import duplicate_lines, how_text
from camtrap_tf.dataset.conversion import Chunk, Converted, chunk_of, convert_chunk, read_picture
from camtrap_tf.dataset.framing import HEADER_BYTES
from camtrap_tf.dataset.manifest import (
    LABEL_MAPPING_NAME,
    REJECTS_NAME,
    DatasetManifest,
    Flow,
    ShardInfo,
    SplitCounts,
)
from camtrap_tf.dataset.plan import PlannedShard, order_of_splits, plan_shards, shuffled
from camtrap_tf.dataset.summary import DatasetPlan, WrittenDataset, plan_text
from camtrap_tf.dataset.workplace import FinishedShard, Workplace, workplace
from camtrap_tf.errors import PictureError, TooManyRejectsError
from camtrap_tf.executors import available_cores, map_in_processes
from camtrap_tf.files import atomic_file, check_writable, digest_of, path_hint, require_folder, sha256_file, write_csv
from camtrap_tf.images.crop import CropGeometry
from camtrap_tf.images.stored_form import StoredForm
from camtrap_tf.inventory.table import Inventory
from camtrap_tf.logs import keep_logs, logger
from camtrap_tf.progress import track
from camtrap_tf.records import REJECT_COLUMNS, Reject

RECORDS_PER_CHUNK = 16
"""Small enough that all workers share even one shard, large enough that passing chunks around costs little."""

JUDGED_FROM_PICTURES = 20
"""The share of rejected pictures is judged from this many on, and at the end."""

_log = logger(__name__)


def create_dataset(config: DatasetConfig) -> WrittenDataset | DatasetPlan:
    """Builds the shards that the settings ask for, or says what it would do.

    Raises:
        SettingError: settings and data do not fit, or a folder cannot be used.
        SourceError: the inventory cannot be read.
        LabelError: a label type or class does not exist.
        DatasetError: shards of another plan are in the way.
        TooManyRejectsError: more pictures than allowed could not be used.
    """
    if config.dry_run:
        return plan_dataset(config)
    if config.image_root_path is not None:
        require_folder(config.image_root_path, "--image-root-path")
    inventory = Inventory.read(config.inventory)
    curated = curate(inventory, config)
    check_writable(config.output_dir, "--output-dir")
    return write_dataset(curated, config, config.output_dir, parent=inventory)


def plan_dataset(config: DatasetConfig) -> DatasetPlan:
    """Returns what `create_dataset` would do; writes nothing. Inputs that are absent are listed.

    Raises:
        CamtrapError: what is there does not fit the settings.
    """
    absent, root = [], config.image_root_path
    if not config.inventory.is_file():
        absent.append(f"--inventory {config.inventory}: no such file{path_hint(config.inventory)}")
    if root is not None and not root.is_dir():
        absent.append(f"--image-root-path {root}: no such folder{path_hint(root)}")
    curated = curate(Inventory.read(config.inventory), config, read_files=False) if config.inventory.is_file() else None
    shards = _plan(curated, config) if curated is not None else ()
    workers = config.workers or available_cores()
    return DatasetPlan(plan_text(config, StoredForm.from_config(config), curated, shards, absent, workers), bool(absent))


def write_dataset(curated: Curated, config: DatasetConfig, folder: Path, *, parent: Inventory) -> WrittenDataset:
    """Writes the shards of curated records, with label mapping, rejects table and manifest.

    Args:
        curated: the records and their splits.
        config: settings; how shards are cut and pictures stored.
        folder: where to write.
        parent: the inventory that the records were chosen from.

    Raises:
        DatasetError: shards of another plan are in the way, or a finished dataset is damaged.
        TooManyRejectsError: more pictures than allowed could not be used; they are listed in `rejects.csv`.
        RunLockedError: another process builds a dataset there.
    """
    shards = _plan(curated, config)
    plan = _plan_digest(curated, config, shards, parent)
    with workplace(folder, plan, image_root=config.image_root_path) as place:
        if not config.overwrite:
            manifest = place.finished_dataset()
            if manifest is not None:
                return WrittenDataset(folder, manifest, kept=True, told=curated.told)
        place.prepare(overwrite=config.overwrite)
        keep_logs()
        finished = _write_shards(curated, config, shards, place, parent.rejects)
        manifest = _finish(finished, curated, config, place, parent)
        return WrittenDataset(folder, manifest, kept=False, told=curated.told)


def _plan(curated: Curated, config: DatasetConfig) -> tuple[PlannedShard, ...]:
    counts = collections.Counter(curated.splits)
    return tuple(
        shard
        for split in order_of_splits(counts, config.split_names)
        for shard in plan_shards(split, counts[split], max_records=config.max_records_per_file)
    )


def _plan_digest(curated: Curated, config: DatasetConfig, shards: Sequence[PlannedShard], parent: Inventory) -> str:
    """Digests all that decides about the bytes of shards, mapping, manifest and rejects, but for the pictures."""
    splits = hashlib.sha256("\0".join(curated.splits).encode())
    return digest_of(
        {
            "inventory": parent.digest(),
            "records": curated.inventory.digest(),
            "splits": splits.hexdigest(),
            "shards": [shard.name for shard in shards],
            "mapping": curated.mapping.as_json(),
            "selection": _selection(curated),
            "group_field": curated.group_field,
            "warnings": list(curated.warnings),
            "form": StoredForm.from_config(config).as_json(),
            **({} if config.crop is None else {"crop": crop_json(config)}),
            "seed": config.seed,
            "rejects": [reject.row() for reject in parent.rejects],
        }
    )


def crop_geometry(config: DatasetConfig) -> CropGeometry | None:
    """Returns how boxes are cut out of their pictures; None where records are whole pictures."""
    return None if config.crop is None else CropGeometry(config.crop, config.crop_legacy_geometry)


def crop_json(config: DatasetConfig) -> dict[str, Any] | None:
    """Returns what the manifest says of crops; None where records are whole pictures."""
    if config.crop is None:
        return None
    return {
        "crop_strategy": config.crop,
        "geometry": "legacy" if config.crop_legacy_geometry else "camtrap",
        "threshold": config.crop_threshold,
    }


def _selection(curated: Curated) -> list[dict[str, str | int]]:
    return [
        {"name": step.name, "records_before": step.records_before, "records_after": step.records_after}
        for step in curated.steps
    ]


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Judge:
    """Counts pictures and stops the work once too many are rejected."""

    limit: float
    pictures: int = 0
    rejected: int = 0

    def add(self, pictures: int, rejects: Iterable[Reject]) -> None:
        self.pictures += pictures
        self.rejected += sum(reject.unit == "picture" for reject in rejects)

    def too_many(self, *, at_end: bool = False) -> bool:
        enough = self.pictures >= JUDGED_FROM_PICTURES or at_end
        return enough and self.rejected > self.limit * self.pictures


def _write_shards(
    curated: Curated,
    config: DatasetConfig,
    shards: Sequence[PlannedShard],
    place: Workplace,
    inventory_rejects: Sequence[Reject],
) -> list[FinishedShard]:
    """Writes the shards that are not there yet, and returns all of them."""
    found = [finished for shard in shards if (finished := place.finished_shard(shard.name)) is not None]
    earlier = {finished.info.name: finished for finished in found if not _mended(finished, config)}
    if len(earlier) < len(found):
        _log.info("%d shards are made again: pictures rejected before can be read now", len(found) - len(earlier))
    if earlier:
        _log.info("%d of %d shards are finished already and are kept", len(earlier), len(shards))
    rows = _rows_by_split(curated)
    todo = [shard for shard in shards if shard.name not in earlier]
    judge = _Judge(config.max_rejected_share)
    done: list[FinishedShard] = []
    seen: list[Reject] = [*inventory_rejects]
    with _converted(todo, rows, curated, config) as records:
        for shard in shards:
            finished = earlier.get(shard.name)
            if finished is None:
                own = itertools.islice(records, shard.stop - shard.start)
                finished = _write_shard(
                    shard, _judged(own, judge, seen, place, config.image_root_path), curated.inventory.label_types, place
                )
                place.finish_shard(finished)
            else:
                judge.add(finished.pictures, finished.rejects)
                seen += finished.rejects
            done.append(finished)
    if judge.too_many(at_end=True):
        raise _stopped(judge, seen, place, config.image_root_path)
    return done


def _mended(finished: FinishedShard, config: DatasetConfig) -> bool:
    """Tells whether a picture that was rejected while the shard was made can be read by now."""
    form = StoredForm.from_config(config)
    for reject in finished.rejects:
        if reject.unit == "picture":
            try:
                read_picture(config.image_root_path, reject.item, form)
            except PictureError:
                continue
            return True
    return False


@contextmanager
def _converted(
    shards: Sequence[PlannedShard], rows: Mapping[str, npt.NDArray[np.int64]], curated: Curated, config: DatasetConfig
) -> Iterator[Iterator[Converted]]:
    """Gives the converted records of the shards, one shard after the other; ends the worker processes afterwards."""
    chunks = (chunk for shard in shards for chunk in _chunks(shard, rows[shard.split], curated, config))
    chunk_count = sum(math.ceil((shard.stop - shard.start) / RECORDS_PER_CHUNK) for shard in shards)
    total = sum(shard.stop - shard.start for shard in shards)
    workers = max(1, min(config.workers or available_cores(), chunk_count))
    with closing(map_in_processes(convert_chunk, chunks, workers=workers)) as results:
        yield track(itertools.chain.from_iterable(results), total=total, description="Writing shards", unit="records")


def _judged(
    records: Iterator[Converted], judge: _Judge, seen: list[Reject], place: Workplace, root: Path | None
) -> Iterator[Converted]:
    """Passes records on until too many of their pictures are rejected."""
    for record in records:
        judge.add(record.pictures, record.rejects)
        seen += record.rejects
        if judge.too_many():
            raise _stopped(judge, seen, place, root)
        yield record


def _stopped(judge: _Judge, seen: Sequence[Reject], place: Workplace, root: Path | None) -> TooManyRejectsError:
    """Writes the rejects so far, and returns the error that names them."""
    _write_rejects(seen, place)
    pictures = [reject for reject in seen if reject.unit == "picture"]
    reasons = collections.Counter(reject.reason for reject in pictures)
    text = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
    missing = next((reject.item for reject in pictures if reject.reason == "missing_file"), None)
    return TooManyRejectsError(
        f"{judge.rejected} of {judge.pictures} pictures so far cannot be used ({text}), more than --max-rejected-share "
        f"{judge.limit:g}; {_place_hint(missing, root) if missing else ''}they are listed in {place.folder / REJECTS_NAME}; "
        "mend them, or allow more and run again"
    )


def _place_hint(missing: str, root: Path | None) -> str:
    """Says where a picture that is missing was looked for, and where it is if that is easy to see."""
    if root is None:
        return f"{missing} was looked for in the current folder (--image-root-path names another); "
    if Path(missing).exists():
        return f"{missing} was looked for in {root}, but it is there without --image-root-path; leave that flag out; "
    return f"{missing} was looked for in {root} (--image-root-path); "


def _write_shard(
    shard: PlannedShard, records: Iterable[Converted], label_types: Sequence[str], place: Workplace
) -> FinishedShard:
    """Writes one shard into `partial`, where it waits to be put in place."""
    offsets, images, size = array("Q"), 0, 0
    counts = SplitCounts(labels={label: {} for label in label_types}, missing=dict.fromkeys(label_types, 0))
    into = pictures = 0
    rejects: list[Reject] = []
    digest = hashlib.sha256()
    with atomic_file(place.partial / shard.name) as file:
        for record in records:
            into += 1
            pictures += record.pictures
            rejects += record.rejects
            if record.framed is None:
                continue
            file.write(record.framed)
            digest.update(record.framed)
            offsets.append(size + HEADER_BYTES)
            size += len(record.framed)
            images += record.images
            counts.add_record(dict(zip(label_types, record.classes, strict=True)), images=record.images)
    info = ShardInfo(
        name=shard.name,
        split=shard.split,
        records=len(offsets),
        images=images,
        bytes=size,
        sha256=digest.hexdigest(),
        offsets=offsets,
    )
    return FinishedShard(info, counts, into, pictures, tuple(rejects))


def _rows_by_split(curated: Curated) -> dict[str, npt.NDArray[np.int64]]:
    """Returns the rows of each split in the order of their ids (as texts)."""
    order = np.asarray(pc.sort_indices(curated.inventory.table["id"]), np.int64)
    code = {name: number for number, name in enumerate(sorted(set(curated.splits)))}
    codes = np.fromiter((code[name] for name in curated.splits), np.int32, len(curated.splits))[order]
    return {name: order[codes == number] for name, number in code.items()}


def _chunks(shard: PlannedShard, rows: npt.NDArray[np.int64], curated: Curated, config: DatasetConfig) -> Iterator[Chunk]:
    """Yields the records of a shard in the order in which they are written, some at a time."""
    own = rows[shard.start : shard.stop]
    ids = curated.inventory.table["id"].take(own).to_pylist()
    if config.crop is not None:
        # Boxes of one record stay together, so that their picture is decoded once; any order is as good to train from.
        ids = curated.inventory.take(own).meta(CROP_OF)
    own = own[shuffled(ids, seed=config.seed, shard=shard.name)]
    form = StoredForm.from_config(config)
    for start in range(0, len(own), RECORDS_PER_CHUNK):
        events = list(curated.inventory.take(own[start : start + RECORDS_PER_CHUNK]))
        yield chunk_of(
            events,
            root=config.image_root_path,
            form=form,
            mapping=curated.mapping,
            label_types=curated.inventory.label_types,
            crop=crop_geometry(config),
        )


# ── finishing ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _finish(
    finished: Sequence[FinishedShard], curated: Curated, config: DatasetConfig, place: Workplace, parent: Inventory
) -> DatasetManifest:
    """Writes label mapping and rejects table, the manifest last, and clears up."""
    rejects = [*parent.rejects, *(reject for shard in finished for reject in shard.rejects)]
    _write_rejects(rejects, place)
    curated.mapping.write(place.partial / LABEL_MAPPING_NAME)
    place.place(LABEL_MAPPING_NAME)
    if curated.splitting is not None:
        for line in (*how_text(curated.splitting), *duplicate_lines(curated.splitting)):
            _log.info(line)
        written = write_split_files(curated.splitting, place.folder / SPLITS_FOLDER)
        if written.moved:
            _log.warning(written.moved)
    else:
        remove_split_files(place.folder / SPLITS_FOLDER)
    manifest = _manifest(finished, rejects, curated, config, place, parent)
    manifest.write(place.partial)
    place.finish_dataset()
    return manifest


def _manifest(
    finished: Sequence[FinishedShard],
    rejects: Sequence[Reject],
    curated: Curated,
    config: DatasetConfig,
    place: Workplace,
    parent: Inventory,
) -> DatasetManifest:
    splits: dict[str, SplitCounts] = {}
    for shard in finished:
        splits.setdefault(shard.info.split, SplitCounts()).add(shard.counts)
    reasons: dict[str, collections.Counter[str]] = {"record": collections.Counter(), "picture": collections.Counter()}
    for reject in rejects:
        reasons["picture" if reject.unit == "picture" else "record"][reject.reason] += 1
    return DatasetManifest(
        inventory=parent.digest(),
        plan=place.plan,
        label_mapping=sha256_file(place.folder / LABEL_MAPPING_NAME),
        stored_form=StoredForm.from_config(config),
        crop=crop_json(config),
        label_types=curated.inventory.label_types,
        group_field=curated.group_field,
        selection=tuple(_selection(curated)),
        warnings=curated.warnings,
        records=Flow(
            into=sum(shard.records for shard in finished) + sum(one.unit != "picture" for one in parent.rejects),
            out=sum(shard.info.records for shard in finished),
            rejected=reasons["record"],
        ),
        pictures=Flow(
            into=sum(shard.pictures for shard in finished) + sum(one.unit == "picture" for one in parent.rejects),
            out=sum(shard.info.images for shard in finished),
            rejected=reasons["picture"],
        ),
        splits=splits,
        shards=tuple(shard.info for shard in finished),
    )


def _write_rejects(rejects: Iterable[Reject], place: Workplace) -> None:
    write_csv(place.partial / REJECTS_NAME, REJECT_COLUMNS, sorted(reject.row() for reject in rejects))
    place.place(REJECTS_NAME)
