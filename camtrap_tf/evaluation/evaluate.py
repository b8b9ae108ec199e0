"""The stage `evaluate`: a bundle and labelled shards in, `report.json` and `report.html` out.

Every frame of every record goes through the same graph as in prediction, and the answers to the frames of a record are
put together in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from camtrap_tf import __version__
from camtrap_tf.config.delivery import EvaluateConfig
from camtrap_tf.config.names import Aggregation
from camtrap_tf.errors import DatasetError, LabelError, counted
from camtrap_tf.evaluation.heads import LOCATION_FIELDS, HeadTally
from camtrap_tf.evaluation.report import NONE, fixed, percent, report_paths, write_report
from camtrap_tf.evaluation.several import SeveralTally
from camtrap_tf.files import check_writable, sha256_file, writable_folder
from camtrap_tf.input_pipeline.shard_set import ShardSet
from camtrap_tf.labels import LabelMapping
from camtrap_tf.logs import keep_logs
from camtrap_tf.models.companions import check_companions
from camtrap_tf.prediction.aggregation import Combining
from camtrap_tf.prediction.dry_run import DryRun, ModelDescription, describe_model
from camtrap_tf.progress import track
from camtrap_tf.records import MISSING

if TYPE_CHECKING:
    from camtrap_tf.models.bundle import Bundle
    from camtrap_tf.prediction.inference import RecordFrames

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class EvaluationResult:
    """What was measured; `text` is printed.

    Attributes:
        report: content of `report.json`.
        report_json: where it is.
        report_html: the page for people.
    """

    report: Mapping[str, Any]
    report_json: Path
    report_html: Path

    def text(self) -> str:
        """Returns accuracy beside the majority baseline for each head, and where the report is."""
        data = self.report["data"]
        said = f"{counted(data['records'], 'record')}, {counted(data['pictures'], 'picture')}"
        if data["pictures_unreadable"]:
            said += f"; {counted(data['pictures_unreadable'], 'picture')} could not be decoded"
        if data["records_unreadable"]:
            said += f", {counted(data['records_unreadable'], 'record')} had no usable picture"
        strange = [
            f"{label}: {counted(head['n_unknown'], 'record')} of classes unknown to the model: "
            + ", ".join(head["unknown_classes"])
            for label, head in self.report["heads"].items()
            if head["n_unknown"]
        ]
        places = [f"report: {self.report_html}", f"        {self.report_json}"]
        return "\n".join([said, *score_table(self.report["heads"]), *strange, *places])


def evaluate(config: EvaluateConfig) -> EvaluationResult | DryRun:
    """Measures a bundle on labelled shards and writes the report; with `dry_run` says what it would do.

    Raises:
        SettingError: no shard matches, or the folder cannot be written to.
        DatasetError: the shards are damaged, or not one record can be used.
        LabelError: no record has a class that the model knows.
        ModelError: the bundle cannot be used.
    """
    if config.dry_run:
        return _planned(config)
    place = check_companions(config.model_path)
    shards = ShardSet.open(config.tfr_path, config.tfr_pattern, substring=config.pattern_is_substring, flag="--tfr-path")
    check_writable(config.output_dir, "--output-dir")

    from camtrap_tf.input_pipeline.failures import plain_failures
    from camtrap_tf.models.bundle import Bundle

    bundle = Bundle.read(config.model_path)
    with plain_failures():
        report = evaluate_bundle(
            bundle,
            shards,
            batch_size=config.batch_size,
            mode=config.aggregation_mode,
            patterns=config.tfr_pattern,
            name=place.folder.resolve().name if place.kind == "bundle" else place.file.name,
        )
    writable_folder(config.output_dir, "--output-dir")
    return EvaluationResult(report, *write_report(report, config.output_dir))


def _planned(config: EvaluateConfig) -> DryRun:
    """Returns what `evaluate` would do; the model is known by the files beside it."""
    plan = DryRun("evaluate")
    model: ModelDescription | None = None
    with plan.noting():
        model = describe_model(config.model_path)
        plan.lines.append(model.line())
    with plan.noting():
        shards = ShardSet.open(config.tfr_path, config.tfr_pattern, substring=config.pattern_is_substring, flag="--tfr-path")
        said = f"{counted(len(shards), 'record')}, {counted(shards.image_count, 'picture')}"
        plan.lines.append(f"shards: {len(shards.shards)} below {shards.shards[0].parent}: {said}")
        if model is not None:
            require_known_classes(shards, model.mapping, list(model.class_names), model.blank_classes)
    with plan.noting():
        check_writable(config.output_dir, "--output-dir")
    for path in report_paths(config.output_dir):
        plan.would_write("report", path)
    return plan


def evaluate_bundle(
    bundle: Bundle,
    shards: ShardSet,
    *,
    batch_size: int = 128,
    mode: Aggregation | None = None,
    patterns: Sequence[str] = (),
    name: str = "model",
    threads: int | None = None,
) -> dict[str, Any]:
    """Returns the report as plain values: shares in [0, 1], None where a measure is not defined.

    Args:
        bundle: the model.
        shards: labelled records; of several observations the first counts, for sigmoid heads all.
        batch_size: pictures at once.
        mode: how the frames of a record become one answer; default: as the bundle says.
        patterns: the splits, for the report.
        name: of the model, for the report.
        threads: threads that decode; one per core where not given.

    Raises:
        LabelError: no record has a class that the model knows.
        DatasetError: not one record can be used.
    """
    from camtrap_tf.input_pipeline.batches import evaluation_batches
    from camtrap_tf.prediction.inference import predict_records

    blanks = {label: spec.blanks for label, spec in bundle.specs.items() if spec.kind == "sigmoid"}
    require_known_classes(shards, bundle.mapping, bundle.labels, blanks)
    keep_logs()
    mapping = bundle.mapping.select(bundle.labels)
    batches = evaluation_batches(shards, bundle.preprocessing, mapping, batch_size=batch_size, threads=threads, blanks=blanks)
    combining = Combining.of(mode or bundle.aggregation_mode, bundle.specs)
    records = predict_records(bundle.logits if combining.of_logits else bundle.probabilities, batches, combining)
    count = _Count(bundle, mapping, blanks)
    for record in track(records, total=len(shards), description="Evaluating", unit="records"):
        count.add(record, shards)
    if count.unreadable_records == len(shards):
        raise DatasetError(
            f"none of the {len(shards)} records below {shards.shards[0].parent} has a picture that can be decoded"
        )
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "evaluation",
        "camtrap_tf": __version__,
        "aggregation_mode": combining.mode,
        "model": {"name": name, "digest": _model_digest(bundle), "stacked": bundle.preprocessing.stacked},
        "data": {
            "patterns": list(patterns),
            "digest": shards.digest,
            "records": len(shards),
            "pictures": shards.image_count,
            "records_unreadable": count.unreadable_records,
            "pictures_unreadable": count.unreadable_pictures,
            "locations": len(count.locations),
        },
        "heads": {label: tally.report(list(count.locations)) for label, tally in count.tallies.items()},
    }


class _Count:
    """What the answers to the records of an evaluation come to.

    Attributes:
        tallies: label type → its tally.
        locations: place → number, in the order in which they came.
        unreadable_records: records without a picture that can be decoded.
        unreadable_pictures: pictures that cannot.
    """

    def __init__(self, bundle: Bundle, mapping: LabelMapping, blanks: Mapping[str, Sequence[str]]) -> None:
        """Begins with nothing, for the heads of a bundle."""
        self.tallies: dict[str, Any] = {label: _tally(bundle, mapping, label) for label in bundle.labels}
        self.locations: dict[str, int] = {}
        self.unreadable_records = self.unreadable_pictures = 0
        self._blanks = blanks
        self._known = {label: {MISSING, *mapping.classes[label], *blanks.get(label, ())} for label in bundle.labels}

    def add(self, record: RecordFrames, shards: ShardSet) -> None:
        """Adds the answers to a record, which lies in these shards."""
        self.unreadable_pictures += record.undecodable
        if any(answer is None for answer in record.event.values()):  # all heads answer the same frames
            self.unreadable_records += 1
            return
        example = shards.example(record.record)
        place = next((example.meta_data[field] for field in LOCATION_FIELDS if example.meta_data.get(field)), None)
        location = self.locations.setdefault(place, len(self.locations)) if place else -1
        for label, tally in self.tallies.items():
            tally.add(record.targets[label], record.event[label], record.probabilities[label], location)
            observed = example.labels.get(label) or (MISSING,)
            counted = observed if label in self._blanks else observed[:1]
            if strange := [name for name in counted if name not in self._known[label]]:
                tally.add_unknown(strange)


def require_known_classes(
    shards: ShardSet, mapping: LabelMapping, labels: Sequence[str], blanks: Mapping[str, Sequence[str]] | None = None
) -> None:
    """Makes sure that there is something to measure.

    Raises:
        LabelError: not one record has a class of any of these label types that the mapping knows.
    """
    there = [label for label in labels if label in shards.label_types]
    if not there:
        raise LabelError(
            f"the model answers {', '.join(labels)}; the shards have none of these label types "
            f"(there: {', '.join(shards.label_types) or 'none'}); give other shards or another model"
        )
    counts = shards.label_counts(there)
    known = {label: {*mapping.classes[label], *(blanks or {}).get(label, ())} for label in there}
    if not any(name in known[label] for label in there for name in counts[label]):
        found = sorted({name for label in there for name in counts[label]} - {MISSING})
        raise LabelError(
            f"the model knows none of the classes in the shards ({', '.join(found[:8]) or 'every label is missing'}); "
            "give shards with classes of its label mapping"
        )


def score_table(heads: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Returns the lines of a table: per head records, accuracy, majority baseline, macro F1."""
    rows = [("label", "records", "accuracy", "majority", "macro F1")]
    for label, head in heads.items():
        majority = head["baseline"]["accuracy"] if head["baseline"] else None
        accuracy, baseline = (percent(share, space=" ") for share in (head["accuracy"], majority))
        rows.append((label, str(head["n_labelled"]), accuracy, baseline, fixed(head["macro_f1"])))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]


def _tally(bundle: Bundle, mapping: LabelMapping, label: str) -> HeadTally | SeveralTally:
    names, spec = mapping.names(label), bundle.specs[label]
    if spec.kind == "sigmoid":
        return SeveralTally(label, names, blank=spec.blanks[0])
    return HeadTally(label, names, kind=spec.kind)


def _model_digest(bundle: Bundle) -> str:
    digest = bundle.info.get("model_sha256")
    if isinstance(digest, str):
        return digest
    return sha256_file(bundle.place.file) if bundle.place else NONE
