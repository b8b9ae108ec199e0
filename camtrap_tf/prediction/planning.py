"""`predict --dry-run`: what the records and pictures of a source come to, before any picture is opened."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field

from camtrap_tf.config.delivery import PredictConfig
from camtrap_tf.curation.crop_plan import BOX
from camtrap_tf.errors import counted
from camtrap_tf.files import check_output_file, check_writable
from camtrap_tf.prediction.box_source import BoxSource
from camtrap_tf.prediction.class_columns import CLASS_COLUMNS, label_of_columns
from camtrap_tf.prediction.dry_run import DryRun, ModelDescription, describe_model
from camtrap_tf.prediction.export_plan import Pack
from camtrap_tf.prediction.exporting import Source, exports_of
from camtrap_tf.prediction.rejected_share import ABSENT, RejectedShare
from camtrap_tf.prediction.results import Capture
from camtrap_tf.prediction.sources import PictureFolder, open_source
from camtrap_tf.rejects import counts_text, rejects_path


@dataclass
class InputCounts:
    """Records and pictures of a source.

    Attributes:
        records: with a picture that is there.
        bare: in which there is nothing to look at, and which say so.
        unusable: without one that is there.
        passed_over: files that are no pictures.
        pictures: that are there.
        absent: reason → pictures, and boxes of them, that cannot be used.
    """

    records: int = 0
    bare: int = 0
    unusable: int = 0
    passed_over: int = 0
    pictures: int = 0
    absent: Counter[str] = field(default_factory=Counter)
    _last: tuple[str, bool] = ("", False)

    def add(self, capture: Capture) -> None:
        """Counts a record; a picture that the record before it has too, as boxes of one picture have, counts once."""
        if capture.passed_over:
            self.passed_over += 1
            return
        if capture.empty is not None:
            self.bare += 1
            return
        there = [self._is_there(path, capture) for path in capture.paths]
        if any(there):
            self.records += 1
        else:
            self.unusable += 1

    def _is_there(self, path: str, capture: Capture) -> bool:
        if path in capture.problems:
            self.absent[capture.problems[path][0]] += 1
            return False
        if path != self._last[0]:
            self._last = path, os.path.isfile(path)  # noqa: PTH113 - pathlib raises for names that are too long
            self.pictures += self._last[1]
            self.absent[ABSENT] += not self._last[1]
        return self._last[1]

    def share(self, limit: float) -> RejectedShare:
        """Returns how much of what is to be predicted would be lost, as far as can be told without opening pictures."""
        lost = self.absent.total()
        return RejectedShare(
            records=(self.unusable, self.records + self.unusable),
            pictures=(lost, self.pictures + lost),
            reasons=self.absent,
            limit=limit,
        )

    def lines(self) -> list[str]:
        """Returns the counts, for a person."""
        whole = self.records + self.bare + self.unusable
        bare = f" + {counted(self.bare, 'picture')} without a box to classify" if self.bare else ""
        reasons = +self.absent
        passed = f"; besides, passed over as no pictures: {counted(self.passed_over, 'file')}" if self.passed_over else ""
        return [
            f"records: {whole} = {self.records} to predict{bare} + {self.unusable} without a usable picture{passed}",
            f"pictures: {self.pictures} there; pictures and boxes that are not usable: {reasons.total()}{counts_text(reasons)}",
        ]


def check_results_file(config: PredictConfig) -> None:
    """Makes sure that the table of predictions can be written and hides no other file; raises a SettingError."""
    read = (config.csv_path, config.detections, config.inventory, config.class_mapping_json, config.pre_processing_json)
    sources = [path for path in read if path is not None]
    packed = [".gz"] if config.results_file.name.lower().endswith(".csv.gz") else []
    forms = [".csv"] if config.export_file_type == CLASS_COLUMNS else [".csv", ".json"]
    check_output_file(config.results_file, "--results-file", suffixes=(*forms, *packed), sources=sources)
    check_writable(config.results_file.parent, "--results-file")


def plan_prediction(config: PredictConfig, file_type: str, pack: Pack | None) -> DryRun:
    """Returns what `predict` would do; whatever would be refused is in it.

    Args:
        config: the settings.
        file_type: of the table.
        pack: packs a plug-in for AddaxAI, where the settings ask for one.
    """
    plan = DryRun("predict")
    model: ModelDescription | None = None
    source: Source | None = None
    with plan.noting():
        model = describe_model(
            config.model_path, class_mapping_json=config.class_mapping_json, pre_processing_json=config.pre_processing_json
        )
        plan.lines.append(model.line())
        if file_type == CLASS_COLUMNS:
            label_of_columns(model.class_names, model.blanks)
    with plan.noting():
        source = open_source(config)
        _add_source(plan, config, source)
    with plan.noting():
        check_results_file(config)
    plan.would_write("results", config.results_file, f", {file_type}")
    plan.lines.append(f"rejects: {rejects_path(config.results_file)}, if something cannot be used")
    if source is not None:
        exports = exports_of(config, source, pack, model)
        exports.add_targets(plan)
        plan.refusals += map(str, exports.errors)
    return plan


def _add_source(plan: DryRun, config: PredictConfig, source: Source) -> None:
    """Says what there is to predict, and warns where too much of it is not there."""
    counts = InputCounts()
    for capture in source.captures():
        counts.add(capture)
    lines = counts.lines()
    if isinstance(source, BoxSource):
        found = source.plan
        passed = "".join(f" + {count} {why}" for why, count in found.passed.most_common())
        gone = sum(one.unit == BOX for one in found.rejects)
        lines.insert(0, f"boxes: {found.boxes_read} = {found.crops} to classify{passed} + {gone} rejected; {config.detections}")
    if isinstance(source, PictureFolder):
        lines += [f"could not be looked into: {folder}" for folder in source.unreadable]
    plan.lines += lines
    share = counts.share(config.max_rejected_share)
    if share.exceeding:
        plan.ends_with = share.exit_code
        plan.warning = share.sentence(config)
