"""The stage `detect`: pictures of an inventory through a MegaDetector that the user installed, its results read back.

The detector runs in an environment and a process of its own (`run_detector_batch` of the package `megadetector`), so none of
its libraries is needed here. What it writes is checked, its absolute paths become those of the inventory, and every picture
of the inventory is in the results, those without an answer with a reason.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from camtrap_tf.config.crop import DetectConfig
from camtrap_tf.curation.crop_plan import URL_STARTS
from camtrap_tf.curation.outside_program import require_package, require_program, run_program
from camtrap_tf.detections.megadetector import Entry, MegadetectorDocument
from camtrap_tf.errors import CamtrapError, DatasetError, SettingError, SourceError
from camtrap_tf.files import (
    PARTIAL,
    check_output_file,
    check_writable,
    digest_of,
    join_inside,
    locked_folder,
    read_json,
    require_folder,
    writable_folder,
    write_json,
)
from camtrap_tf.inventory.table import Inventory
from camtrap_tf.logs import keep_logs, logger
from camtrap_tf.sources.cct_document import text_of

MODULE = "megadetector.detection.run_detector_batch"
PLAN = "camtrap_plan"
"""Key of `info` that says which pictures and settings results are of."""
NO_ACCESS = "Failure image access"
"""What the detector itself says of pictures that it cannot read."""
EXIT_TOO_MANY = 3

_log = logger(__name__)


@dataclass(kw_only=True)
class Detected:
    """What the detector said.

    Attributes:
        config: the settings.
        command: the command line, without its list of pictures.
        pictures: pictures of the inventory, each once.
        absent: pictures that are not there, which the detector was not asked about.
        failures: reason → pictures without an answer.
        found: category → detections; empty where nothing ran.
        empty: pictures with an empty answer.
        kept: the results stood there already.
    """

    config: DetectConfig
    command: tuple[str, ...]
    pictures: int
    absent: int
    failures: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    empty: int = 0
    kept: bool = False

    @property
    def exit_code(self) -> int:
        """3 where more pictures are without an answer than `--max-rejected-share` allows."""
        return EXIT_TOO_MANY if self.failures.total() > self.config.max_rejected_share * self.pictures else 0

    def text(self) -> str:
        """Returns the summary for a person."""
        output = self.config.output
        if self.config.dry_run:
            asked = self.pictures - self.absent
            return "\n".join(
                (
                    "Plan of detect (nothing is run)",
                    f"pictures: {self.pictures} in = {asked} to look at + {self.absent} not there",
                    f"command:  {' '.join(self.command)}",
                    f"results:  {output}",
                )
            )
        failed = self.failures.total()
        said = ", ".join(f"{count} × {reason}" for reason, count in self.failures.most_common(5))
        lines = [
            f"pictures: {self.pictures} in = {self.pictures - failed - self.empty} with detections + {self.empty} without + "
            f"{failed} failed" + (f" ({said})" if said else ""),
            "detected: " + (", ".join(f"{name} {count}" for name, count in self.found.most_common()) or "nothing"),
            f"results:  {output}" + (" (complete already, of the same pictures and settings; kept)" if self.kept else ""),
        ]
        if self.exit_code:
            lines.append(f"more failed than --max-rejected-share {self.config.max_rejected_share:g} allows (exit code 3)")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Pictures that are looked at: path as the inventory gives it → where it lies (None: it is not there), and its location."""

    files: dict[str, Path | None]
    locations: dict[str, str]


def detect(config: DetectConfig) -> Detected:
    """Runs the detector, or goes on where an earlier run of the same command was stopped.

    Raises:
        SettingError: a folder or the program is not there, or results of another plan are.
        SourceError: the inventory, or what the detector wrote, cannot be read.
        CamtrapError: the detector ended with an error, or took too long.
        RunLockedError: another process writes these results.
    """
    check_output_file(config.output, "--output", suffixes=(".json",), sources=(config.inventory,))
    if config.image_root_path is not None:
        require_folder(config.image_root_path, "--image-root-path")
    asked = _asked(Inventory.read(config.inventory), config.image_root_path)
    absent = sum(path is None for path in asked.files.values())
    done = Detected(config=config, command=(), pictures=len(asked.files), absent=absent)
    work = config.output.parent / PARTIAL / config.output.stem
    done.command = tuple(_command(config, work, resume=False))
    if config.dry_run:
        _require_program(config)
        return done
    plan = digest_of([sorted(asked.files), config.model, config.threshold])
    if (document := _earlier(config, plan)) is not None:
        done.kept = True
        return _counted(done, document)
    if absent == len(asked.files):
        raise SettingError(f"none of the {absent} pictures is there; check --image-root-path")
    check_writable(config.output.parent, "--output")
    _require_program(config)
    if config.megadetector_command is None:
        require_package(config.megadetector_python, MODULE.partition(".")[0])
    with locked_folder(writable_folder(work, "--output")):
        keep_logs()
        document = _results(config, asked, work, plan)
        document.write(config.output)
    shutil.rmtree(work, ignore_errors=True)
    _remove_if_empty(work.parent)
    return _counted(done, document)


def _require_program(config: DetectConfig) -> None:
    """Makes sure that the program that is to run can be started; raises as `require_program` does."""
    if config.megadetector_command is not None:
        require_program(config.megadetector_command, "--megadetector-command")
    else:
        require_program(config.megadetector_python, "--megadetector-python")


def _asked(inventory: Inventory, root: Path | None) -> _Asked:
    files: dict[str, Path | None] = {}
    locations: dict[str, str] = {}
    for event in inventory:
        for media in event.media:
            if media.path not in files:
                files[media.path] = _there(root, media.path)
                if location := event.meta_data.get("location"):
                    locations[media.path] = location
    return _Asked(files, locations)


def _there(root: Path | None, stored: str) -> Path | None:
    if stored.lower().startswith(URL_STARTS):
        return None
    try:
        path = join_inside(root, stored)
        return path.absolute() if path.is_file() else None
    except (ValueError, OSError):
        return None


def _earlier(config: DetectConfig, plan: str) -> MegadetectorDocument | None:
    """Returns results that stand there already, of the same plan.

    Raises:
        DatasetError: those of another plan stand there, and are not to be replaced.
    """
    if config.overwrite or not config.output.exists():
        return None
    document = MegadetectorDocument.read(config.output)
    if document.info.get(PLAN) != plan:
        raise DatasetError(
            f"{config.output}: holds results of other pictures or settings; choose another --output, or replace them with "
            "--overwrite"
        )
    return document


def _command(config: DetectConfig, work: Path, *, resume: bool) -> list[str]:
    """Returns the command line of the detector. Source: `run_detector_batch --help` of megadetector 10."""
    program = [config.megadetector_python, "-m", MODULE]
    if config.megadetector_command is not None:
        program = [config.megadetector_command]
    work = work.absolute()
    command = [*program, config.model, str(work / "pictures.json"), str(work / "results.json")]
    command += ["--threshold", f"{config.threshold:g}", "--include_image_size"]
    command += ["--checkpoint_frequency", str(config.checkpoint_every), "--checkpoint_path", str(work / "checkpoint.json")]
    return [*command, "--resume_from_checkpoint", str(work / "checkpoint.json")] if resume else command


def _results(config: DetectConfig, asked: _Asked, work: Path, plan: str) -> MegadetectorDocument:
    """Runs the detector and returns its results under the inventory's paths."""
    there = {str(path): stored for stored, path in asked.files.items() if path is not None}
    resume = _take_up(work, plan)
    write_json(work / "pictures.json", list(there))
    if not (work / "results.json").is_file():
        _log.info("%s the detector over %d pictures", "Taking up" if resume else "Running", len(there))
        timeout_s = None if config.timeout_hours is None else config.timeout_hours * 3600
        again = "the same command again goes on from its last checkpoint"
        run_program(_command(config, work, resume=resume), what="the detector", timeout_s=timeout_s, advice=again)
    try:
        document = MegadetectorDocument.read(work / "results.json")
    except SourceError as err:
        (work / "results.json").unlink(missing_ok=True)
        raise CamtrapError(f"the detector ended without usable results: {err}; its messages above say why") from err
    return _under_our_paths(document, asked, there, plan)


def _take_up(work: Path, plan: str) -> bool:
    """Makes the work folder that of a plan; tells whether there is a checkpoint of it to go on from."""
    try:
        known = read_json(work / "plan.json")
    except SourceError:
        known = None
    if known != plan:
        for name in ("results.json", "checkpoint.json"):
            (work / name).unlink(missing_ok=True)
        write_json(work / "plan.json", plan)
    try:
        return isinstance(read_json(work / "checkpoint.json"), dict)
    except SourceError:
        (work / "checkpoint.json").unlink(missing_ok=True)  # torn while it was written
        return False


def _under_our_paths(document: MegadetectorDocument, asked: _Asked, there: dict[str, str], plan: str) -> MegadetectorDocument:
    """Returns the results with a picture of the inventory each, in its order."""
    answers: dict[str, Entry] = {}
    for entry in document.images:
        file = text_of(entry.get("file")) if isinstance(entry, dict) else None
        stored = there.get(file or "")
        if stored is not None:
            answers.setdefault(stored, entry)
    images: list[Entry] = []
    for stored, path in asked.files.items():
        missing = NO_ACCESS if path is None else "the detector gave no answer"
        entry = answers.get(stored) or {"failure": missing, "detections": None}
        place = {"location": asked.locations[stored]} if stored in asked.locations else {}
        images.append({**entry, "file": stored, **place})
    others = {**document.others, "info": {**document.info, PLAN: plan}}
    return MegadetectorDocument(images=images, others=others, keys=document.keys)


def _counted(done: Detected, document: MegadetectorDocument) -> Detected:
    for picture in document.pictures():
        # Entries without a path or of another kind cannot be among results that were put under our paths.
        detections: Sequence[str] = [one.category for one in getattr(picture, "detections", ())]
        failure = getattr(picture, "failure", "not usable")
        done.found.update(detections)
        if failure is not None:
            done.failures[failure] += 1
        elif not detections:
            done.empty += 1
    return done


def _remove_if_empty(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()
