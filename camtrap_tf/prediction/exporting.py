"""Predictions in other systems' forms: while they are made (`predict --export`), or afterwards (`predict export`).

Whatever is missing is found out before a model runs, as far as settings and files can say it. Records go through one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from camtrap_tf.config.delivery import PredictConfig
from camtrap_tf.config.predictions_out import PredictExportConfig
from camtrap_tf.errors import SettingError, counted
from camtrap_tf.files import writable_folder
from camtrap_tf.logs import keep_logs
from camtrap_tf.prediction.box_source import BoxSource
from camtrap_tf.prediction.dry_run import DryRun, ModelDescription
from camtrap_tf.prediction.export_model import described_model
from camtrap_tf.prediction.export_pictures import relative_path
from camtrap_tf.prediction.export_plan import CAMTRAP_DP, TIMELAPSE, ExportPlan, Pack
from camtrap_tf.prediction.results_reading import ResultsFile
from camtrap_tf.prediction.sources import PictureFolder, PictureTable
from camtrap_tf.progress import track

Source = PictureFolder | PictureTable | BoxSource


def exports_of(config: PredictConfig, source: Source, pack: Pack | None, model: ModelDescription | None) -> ExportPlan:
    """Returns what `predict` is to write besides its table, and takes down all that stands in the way, as far as it can be
    known before the model is loaded.

    Args:
        config: the settings.
        source: what is predicted.
        pack: packs a plug-in for AddaxAI, where the settings ask for one.
        model: what the files beside the model say of it; None where that is not known.
    """
    root = config.image_dir or (config.csv_images_root_path if config.csv_images_root_path != Path() else None)
    plan = ExportPlan.of(
        config,
        results=config.results_file,
        root=root,
        meta_fields=source.meta_fields,
        packs=pack is not None,
        detector=source.plan.detector if isinstance(source, BoxSource) else None,
    )
    if config.export and root is not None and config.export_root is not None and not _lies_in(root, config.export_root):
        problem = f"--export-root {config.export_root}: {root} does not lie below it; give a folder that it is in"
        plan.errors.append(SettingError(problem))
    if model is not None:
        plan.check_model(model.class_names, model.blanks, config.model_path, model.info)
    return plan


def _lies_in(folder: Path, root: Path) -> bool:
    """Returns whether a folder is another one, or below it."""
    return folder.resolve().is_relative_to(root.resolve())


@dataclass
class PredictExportSummary:
    """What was written; `text` is printed.

    Attributes:
        records: read.
        lines: one per form.
    """

    records: int = 0
    lines: Sequence[str] = ()

    def text(self) -> str:
        """Returns what was written, for a person."""
        return "\n".join([f"records: {self.records} read", *self.lines])


def export_predictions(config: PredictExportConfig, pack: Pack | None = None) -> PredictExportSummary | DryRun:
    """Writes a table of predictions in other forms; no model runs. With `dry_run` says what it would do.

    Args:
        config: the settings.
        pack: packs a plug-in for AddaxAI.

    Raises:
        SettingError: something is missing; says what and where to give it.
        SourceError: the table, or what is joined to it, cannot be read.
    """
    if config.dry_run:
        return _planned(config, pack)
    found = ResultsFile.open(config.results)
    plan = _checked(config, found, pack)
    plan.require()
    info = {} if config.model_path is None else described_model(config.model_path)
    model = plan.model(found.class_names, found.blanks, config.model_path, info)
    writable_folder(plan.stem.parent, "--export-dir")
    keep_logs()
    summary = PredictExportSummary()
    with plan.opened(model) as add:
        for record in track(found.records(), total=None, description="Writing", unit="records"):
            add(record)
            summary.records += 1
    summary.lines = plan.finished(config.model_path, pack)
    return summary


def _checked(config: PredictExportConfig, found: ResultsFile, pack: Pack | None) -> ExportPlan:
    """Returns what is to be written, with all that stands in the way."""
    plan = ExportPlan.of(config, results=config.results, root=None, meta_fields=found.meta_fields, packs=pack is not None)
    info: Mapping[str, Any] | None = None
    with plan.noting():
        info = {} if config.model_path is None else described_model(config.model_path)
    plan.check_model(found.class_names, found.blanks, config.model_path, info)
    with plan.noting():
        _check_root(plan, found)
    return plan


def _planned(config: PredictExportConfig, pack: Pack | None) -> DryRun:
    """Returns what `export_predictions` would do."""
    plan = DryRun("predict export")
    found: ResultsFile | None = None
    with plan.noting():
        found = ResultsFile.open(config.results)
        counts: Counter[str] = Counter()
        pictures = 0
        for record in found.records():
            counts[record.status] += 1
            pictures += len(record.pictures)
        told = ", ".join(f"{status} {count}" for status, count in counts.most_common())
        records = counted(counts.total(), "record")
        plan.lines.append(f"table: {config.results}: {records} ({told}) of {counted(pictures, 'picture')}")
        plan.lines += [f"  {label}: {counted(len(names), 'class', 'es')}" for label, names in found.class_names.items()]
    if found is not None:
        exports = _checked(config, found, pack)
        exports.add_targets(plan)
        plan.refusals += map(str, exports.errors)
    return plan


def _check_root(plan: ExportPlan, found: ResultsFile) -> None:
    """Makes sure that paths can be made relative where a form needs it.

    Raises:
        SettingError: they are absolute, and no root is given or they do not lie below it.
    """
    root = plan.book.root
    if root is None and not {CAMTRAP_DP, TIMELAPSE} & set(plan.config.export):
        return
    first = next((one.path for record in found.records() for one in record.pictures), "")
    if not Path(relative_path(first, root)).is_absolute():
        return
    if root is None:
        raise SettingError(f"--export-root is missing: the folder that pictures such as {first} are to be relative to")
    raise SettingError(f"--export-root {root}: {first} does not lie below it; give a folder that all pictures are in")
