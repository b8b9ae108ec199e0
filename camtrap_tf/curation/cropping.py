"""The stage `crop`: boxes of a file become pictures of their own in a folder.

Every crop carries a mark of what it was made of, so that the same command again makes only what is not there yet, and crops of
other settings or of boxes that have moved since are never taken for it. `crops.json` in the folder names the settings.
"""

from __future__ import annotations

import csv
import functools
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from camtrap_tf.config.crop import CropConfig
from camtrap_tf.curation.crop_cutting import CutPicture, Cutting, cut_chunk
from camtrap_tf.curation.crop_plan import BOX, PICTURE, CropPlan, WantedPicture, plan_crops
from camtrap_tf.detections.boxes import advice_text, flag_advice
from camtrap_tf.detections.crop_names import SEPARATOR
from camtrap_tf.errors import CamtrapError, SettingError, SourceError
from camtrap_tf.executors import available_cores, map_in_processes
from camtrap_tf.files import (
    PARTIAL,
    atomic_file,
    check_output_file,
    check_writable,
    digest_of,
    locked_folder,
    read_json,
    require_folder,
    writable_folder,
    write_csv,
    write_json,
)
from camtrap_tf.images.crop import CropGeometry
from camtrap_tf.logs import LOG_FILES, keep_logs
from camtrap_tf.progress import track
from camtrap_tf.records import REJECT_COLUMNS, Reject
from camtrap_tf.rejects import reasons_text
from camtrap_tf.sources.picture_files import find_folder

SETTINGS_NAME, TABLE_NAME, REJECTS_NAME, KIND = "crops.json", "crops.csv", "rejects.csv", "crops"
_LOG_NAME = re.compile(r"crop_detections_log_\d{8}_\d{6}\.json")
COLUMNS = ("path", "file", "id", "category", "detection_conf", "location", "x", "y", "width", "height", "unit")
PICTURES_PER_CHUNK = 8
"""Small enough that workers end together, large enough that passing chunks around costs little."""
EXIT_TOO_MANY = 3


@dataclass(kw_only=True)
class Cropped:
    """What a run did; `text` is printed.

    Attributes:
        config: its settings.
        plan: what was asked for.
        made: crops that were written.
        kept: crops that were there already.
        cut: pictures with a crop.
        rejects: pictures and boxes that could not be cut.
        log: summary for programs; None for a dry run.
    """

    config: CropConfig
    plan: CropPlan
    made: int = 0
    kept: int = 0
    cut: int = 0
    rejects: list[Reject] = field(default_factory=list)
    log: Path | None = None

    @property
    def exit_code(self) -> int:
        """3 where more pictures or boxes were rejected than `--max-rejected-share` allows."""
        return EXIT_TOO_MANY if self._too_many() else 0

    def _too_many(self) -> list[str]:
        limit = self.config.max_rejected_share
        whole = {"pictures": (PICTURE, self.plan.pictures_read), "boxes": (BOX, self.plan.boxes_read)}
        gone = [(name, len(self._of(unit)), count) for name, (unit, count) in whole.items()]
        return [f"{rejected} of {count} {name}" for name, rejected, count in gone if rejected > limit * count]

    def _of(self, unit: str) -> list[Reject]:
        return [reject for reject in self.rejects if reject.unit == unit]

    def text(self) -> str:
        """Returns the summary for a person: in = out + rejected, for pictures and for boxes."""
        return "\n".join(self._plan_lines() if self.config.dry_run else self._done_lines())

    def _done_lines(self) -> list[str]:
        pictures, boxes, config = self._of(PICTURE), self._of(BOX), self.config
        bare = self.plan.pictures_read - self.cut - len(pictures)
        passed = "".join(f" + {count} {why}" for why, count in self.plan.passed.most_common())
        lines = [
            f"pictures: {self.plan.pictures_read} in = {self.cut} with crops + {bare} without + "
            f"{len(pictures)} rejected{reasons_text(pictures)}",
            f"boxes:    {self.plan.boxes_read} in = {self.made} new crops + {self.kept} kept{passed} + "
            f"{len(boxes)} rejected{reasons_text(boxes)}",
            *self.plan.notes,
            f"crops:    {config.output_dir} ({_settings_text(config)}), listed in {TABLE_NAME}",
        ]
        if self.rejects:
            lines.append(f"rejects:  {config.output_dir / REJECTS_NAME}")
        lines.append(f"log:      {self.log}")
        for one in self._too_many():
            lines.append(
                f"{one} are rejected, more than --max-rejected-share {config.max_rejected_share:g} allows (exit code 3)"
            )
        return lines

    def _plan_lines(self) -> list[str]:
        plan, config = self.plan, self.config
        pictures, boxes, wanted = self._of(PICTURE), self._of(BOX), len(plan.to_cut)
        passed = "".join(f" + {count} {why}" for why, count in plan.passed.most_common())
        return [
            "Plan of crop (nothing is written, no picture is read)",
            f"pictures: {plan.pictures_read} in = {wanted} to cut from + {len(plan.pictures) - wanted} without + "
            f"{len(pictures)} rejected{reasons_text(pictures)}",
            f"boxes:    {plan.boxes_read} in = {plan.crops} to cut{passed} + {len(boxes)} rejected{reasons_text(boxes)}",
            *plan.notes,
            f"crops:    {config.output_dir} ({_settings_text(config)})",
        ]


def crop(config: CropConfig) -> Cropped:
    """Cuts the boxes of a file out of their pictures.

    A picture that is missing or damaged costs its own crops, nothing else; crops that are there already are kept.

    Raises:
        SettingError: settings do not fit the file, or crops of other settings lie in the folder.
        SourceError: the file cannot be read.
        RunLockedError: another process cuts crops there.
        CamtrapError: the disk is full, or the folder cannot be written to.
    """
    require_folder(config.image_root, "--image-root")
    settings = settings_of(config)
    if not config.dry_run:
        check_writable(config.output_dir, "--output-dir")
        _check_folder(config, settings)
    plan = plan_crops(config)
    done = Cropped(config=config, plan=plan, rejects=list(plan.rejects))
    if config.dry_run:
        _advise(done)
        return done
    writable_folder(config.output_dir, "--output-dir")
    with _held(config.output_dir):
        keep_logs()
        write_json(config.output_dir / SETTINGS_NAME, {"kind": KIND, "digest": digest_of(settings), "settings": settings})
        _cut_all(config, plan, done, digest_of(settings))
        done.rejects.sort(key=lambda one: one.unit != PICTURE)
        _advise(done)
        _write_rejects(config.output_dir / REJECTS_NAME, done.rejects)
        done.log = _write_log(config, done)
    return done


def _advise(done: Cropped) -> None:
    """Says in each reject of a box which file it is of and, where `--boxes` reads such a box, so, there and in the notes."""
    helped: Counter[str] = Counter()
    for place, one in enumerate(done.rejects):
        if one.unit == BOX:
            advice = flag_advice(one.reason, done.config.boxes) if done.plan.source == "cct" else ""
            helped[one.reason] += bool(advice)
            file = done.plan.file_of(one)
            done.rejects[place] = replace(one, detail=f"{file}: {one.detail}{advice}" if file else one.detail)
    done.plan.notes += [advice_text(reason, count, done.config.boxes) for reason, count in (+helped).items()]


def settings_of(config: CropConfig) -> dict[str, Any]:
    """Returns what decides about the pixels of a crop besides picture and box."""
    return {
        "crop_strategy": config.crop_strategy,
        "geometry": "legacy" if config.legacy_geometry else "camtrap",
        "quality": config.quality,
        "truncated": config.truncated,
    }


def own_files(folder: Path, names: Collection[str]) -> set[str]:
    """Returns which files of a folder this stage wrote beside its crops; none where no `crops.json` of it lies there."""
    if SETTINGS_NAME not in names:
        return set()
    try:
        known = read_json(folder / SETTINGS_NAME)
    except SourceError:
        return set()
    if not isinstance(known, dict) or known.get("kind") != KIND:
        return set()
    return {
        name for name in names if name in (SETTINGS_NAME, TABLE_NAME, REJECTS_NAME, *LOG_FILES) or _LOG_NAME.fullmatch(name)
    }


def _settings_text(config: CropConfig) -> str:
    legacy = ", legacy geometry" if config.legacy_geometry else ""
    return f"{config.crop_strategy}{legacy}, quality {config.quality}"


def _check_folder(config: CropConfig, settings: dict[str, Any]) -> None:
    """Makes sure that no crops of other settings or programs are taken for these, and the file that is read stays.

    Raises:
        SettingError: such crops are there, and are not to be replaced; or that file has the name of one that is written.
    """
    for name in (SETTINGS_NAME, TABLE_NAME, REJECTS_NAME):
        check_output_file(config.output_dir / name, "--output-dir", suffixes=(".csv", ".json"), sources=(config.path,))
    if config.overwrite:
        return
    there = config.output_dir / SETTINGS_NAME
    try:
        known = read_json(there)
    except SourceError as err:
        if there.exists():
            raise SettingError(
                f"{there}: not readable ({err}); choose another --output-dir, or cut anew with --overwrite"
            ) from err
        foreign = next(config.output_dir.rglob(f"*{SEPARATOR}*"), None)
        if foreign is not None:
            raise SettingError(
                f"--output-dir {config.output_dir}: {foreign.name} lies there without {SETTINGS_NAME}, so it is not known how "
                "it was cut; choose another folder, or cut anew with --overwrite"
            ) from err
        return
    if not isinstance(known, dict) or not isinstance(known.get("settings"), dict):
        raise SettingError(f"{there}: is not of crops; choose another --output-dir, or replace it with --overwrite")
    known = known["settings"]
    if known != settings:
        other = ", ".join(
            f"{key} {known.get(key)!r} there, {value!r} now" for key, value in settings.items() if known.get(key) != value
        )
        raise SettingError(
            f"--output-dir {config.output_dir}: holds crops of other settings ({other}); choose another folder, or replace "
            "them with --overwrite"
        )


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Holds the folder for this process.

    Raises:
        RunLockedError: another process does.
        CamtrapError: the disk is full, or the folder cannot be written to.
    """
    partial = folder / PARTIAL
    try:
        with locked_folder(partial):
            yield
            (partial / ".lock").unlink()
            partial.rmdir()
    except OSError as err:
        what = err.strerror or type(err).__name__
        raise CamtrapError(f"{folder}: cannot write ({what}); make room or mend it, then run the same command again") from err


def _cut_all(config: CropConfig, plan: CropPlan, done: Cropped, settings: str) -> None:
    """Cuts everything, and writes the table of what is there then."""
    wanted = plan.to_cut
    below = find_folder(config.image_root, [picture.file for picture in wanted])
    if below:
        plan.notes.append(f"the pictures lie in {config.image_root / below}")
    cutting = Cutting(
        image_root=config.image_root / below, output_dir=config.output_dir,
        geometry=CropGeometry(config.crop_strategy, config.legacy_geometry),
        quality=config.quality, truncated=config.truncated, max_pixels=config.max_pixels,
        settings=settings, check=config.check_crops_valid,
    )  # fmt: skip
    pictures = iter(wanted)
    chunks = iter(lambda: tuple(islice(pictures, PICTURES_PER_CHUNK)), ())
    workers = max(1, min(config.workers or available_cores(), -(-len(wanted) // PICTURES_PER_CHUNK)))
    with closing(map_in_processes(functools.partial(cut_chunk, cutting), chunks, workers=workers)) as results:
        outcomes = (one for chunk in results for one in chunk)
        shown = track(outcomes, total=len(wanted), description="Cutting crops", unit="pictures")
        write_csv(config.output_dir / TABLE_NAME, COLUMNS, _rows(wanted, shown, done))


def _rows(pictures: Sequence[WantedPicture], outcomes: Iterator[CutPicture], done: Cropped) -> Iterator[tuple[object, ...]]:
    """Yields a row per crop that is there, in the order of the file; counts what happened."""
    for picture, outcome in zip(pictures, outcomes, strict=True):
        done.made += len(outcome.made)
        done.kept += len(outcome.kept)
        done.cut += bool(outcome.made or outcome.kept)
        # A picture that is gone now but whose other crops are there is one with crops.
        done.rejects += [one for one in outcome.rejects if one.unit == BOX or not outcome.kept]
        for place in sorted((*outcome.made, *outcome.kept)):
            one = picture.crops[place]
            sure = "" if one.confidence is None else f"{one.confidence:g}"
            unit = "relative" if one.relative else "px"
            yield (one.name, picture.file, one.box_id, one.category, sure, picture.location, *one.numbers, unit)


def _write_rejects(path: Path, rejects: Sequence[Reject]) -> None:
    if rejects:
        with atomic_file(path, "w", newline="", errors="backslashreplace") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(REJECT_COLUMNS)
            rows.writerows(reject.row() for reject in rejects)
    else:
        path.unlink(missing_ok=True)


def _write_log(config: CropConfig, done: Cropped) -> Path:
    """Writes the summary for programs, with the keys of both generations of the classic ones."""
    folder = config.log_outdir or config.output_dir
    now = datetime.now().strftime("%Y%m%d_%H%M%S")
    path = folder / f"crop_detections_log_{now}.json"
    undetected = set(done.plan.undetected)
    failed = list(dict.fromkeys(one.item for one in done.rejects if one.unit == PICTURE and one.item not in undetected))
    write_json(
        path,
        {
            "images_failed_to_crop": failed,
            "num_new_crops": done.made,
            "images_missing_detections": done.plan.undetected,
            "images_failed_download_or_crop": failed,
            "num_new_downloads": 0,
            "num_kept_crops": done.kept,
            "settings": settings_of(config),
            "threshold": done.plan.threshold,
            "categories": list(done.plan.categories),
            "pictures": done.plan.pictures_read,
            "boxes": done.plan.boxes_read,
            "rejected": dict(Counter(f"{one.unit} {one.reason}" for one in done.rejects)),
        },
    )
    return path
