"""The stage `predict`: pictures of a folder or a table in, a table of predictions out, every input in it.

What is wrong with the settings is found before TensorFlow is loaded.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from camtrap_tf.config.delivery import PredictConfig
from camtrap_tf.errors import counted
from camtrap_tf.files import atomic_file, writable_folder
from camtrap_tf.logs import keep_logs
from camtrap_tf.models.companions import check_companions
from camtrap_tf.models.devices import choose_gpus
from camtrap_tf.prediction.aggregation import Combining, best_answer, present
from camtrap_tf.prediction.class_columns import CLASS_COLUMNS, class_columns_table, label_of_columns
from camtrap_tf.prediction.dry_run import DryRun, describe_model
from camtrap_tf.prediction.export_plan import Pack
from camtrap_tf.prediction.exporting import exports_of
from camtrap_tf.prediction.planning import check_results_file, plan_prediction
from camtrap_tf.prediction.rejected_share import RejectedShare
from camtrap_tf.prediction.results import NO_DETECTION, RecordPrediction
from camtrap_tf.prediction.sources import PictureFolder, open_source
from camtrap_tf.prediction.writers import NO_BLANKS, Blanks, ClassNames, Write, open_table
from camtrap_tf.progress import track
from camtrap_tf.records import REJECT_COLUMNS, Reject
from camtrap_tf.rejects import rejects_path

if TYPE_CHECKING:
    from camtrap_tf.models.bundle import Bundle
    from camtrap_tf.prediction.inference import Answers

CLASSES_SHOWN = 5


@dataclass
class PredictSummary:
    """What was predicted; `text` is printed.

    Attributes:
        config: the settings.
        rejects: table of the pictures and records that could not be used; None where there is none.
        records: status → records, without files that were passed over.
        pictures: pictures of all records.
        unusable_pictures: of them, how many could not be used.
        unusable: reason → pictures that could not be used.
        at_fault: reason → records that failed without a picture of theirs being looked at.
        top: label type → class → records that were given it; of a sigmoid head one may be given several.
        passed_over: file name ending → files of the folder that are no pictures.
        unreadable_folders: folders that could not be looked into.
        exports: what was written in further forms, a line each.
    """

    config: PredictConfig
    rejects: Path | None = None
    records: Counter[str] = field(default_factory=Counter)
    pictures: int = 0
    unusable_pictures: int = 0
    unusable: Counter[str] = field(default_factory=Counter)
    at_fault: Counter[str] = field(default_factory=Counter)
    top: dict[str, Counter[str]] = field(default_factory=dict)
    passed_over: Mapping[str, int] = field(default_factory=dict)
    unreadable_folders: tuple[str, ...] = ()
    exports: Sequence[str] = ()

    @property
    def share(self) -> RejectedShare:
        """How much of what should have been predicted was not."""
        failed, wanted = self.records["failed"], self.records.total() - self.records[NO_DETECTION]
        return RejectedShare(
            records=(failed, wanted),
            pictures=(self.unusable_pictures, self.pictures),
            reasons=self.unusable + self.at_fault,
            limit=self.config.max_rejected_share,
        )

    @property
    def exit_code(self) -> int:
        """3 where more was lost than `--max-rejected-share` allows, or all of it, else 0."""
        return self.share.exit_code

    def add(
        self, record: RecordPrediction, class_names: Mapping[str, tuple[str, ...]], blanks: Mapping[str, str] = NO_BLANKS
    ) -> None:
        """Counts one record; of a sigmoid head each class that is there."""
        if record.passed_over:  # its source counts those
            return
        self.records[record.status] += 1
        self.pictures += len(record.pictures)
        self.unusable_pictures += sum(picture.problem is not None for picture in record.pictures)
        for reject in record.rejects():
            (self.at_fault if record.problem else self.unusable)[reject.reason] += 1
        for label, values in record.aggregated.items():
            top, names = self.top.setdefault(label, Counter()), class_names[label]
            several = present(values, names) if label in blanks else []
            top.update(several or [best_answer(values, names, blanks.get(label))[0]])

    def text(self) -> str:
        """Returns what happened, for a person: what came in and went out, top classes, where the files are."""
        failed, partial, bare = (self.records[status] for status in ("failed", "partial", NO_DETECTION))
        total = self.records.total()
        used = self.pictures - self.unusable_pictures
        lines = []
        if self.passed_over:
            others = sum(self.passed_over.values())
            told = f"{others} passed over ({_counted(self.passed_over)})"
            lines.append(f"files:    {total + others} in = {total} pictures + {told}")
        lines += [
            f"records:  {total} in = {total - failed - bare} predicted + {failed} failed"
            + (f" ({_counted(self.at_fault)})" if self.at_fault else "")
            + (f" + {counted(bare, 'picture')} without a detection" if bare else "")
            + (f"; {partial} of the predicted ones from some of their pictures" if partial else ""),
            f"pictures: {self.pictures} in = {used} used + {self.unusable_pictures} not usable"
            + (f" ({_counted(self.unusable)})" if self.unusable else ""),
        ]
        lines += [f"could not be looked into: {folder}" for folder in self.unreadable_folders]
        lines += [f"{label}: {_counted(counts, shown=CLASSES_SHOWN)}" for label, counts in self.top.items()]
        lines.append(f"results:  {self.config.results_file}")
        if self.rejects:
            lines.append(f"rejects:  {self.rejects}")
        lines += self.exports
        if self.share.exceeding:
            lines.append(self.share.sentence(self.config))
        return "\n".join(lines)


def predict(config: PredictConfig, pack: Pack | None = None) -> PredictSummary | DryRun:
    """Writes the table of predictions, and `<stem>.rejects.csv` beside it where something could not be used.

    The table appears when it is complete. Every record of the source is in it, those that failed with the reason; of a
    folder every file, unless in the older format. It is kept where more is lost than `--max-rejected-share` allows. With
    `dry_run` says what it would do, and writes nothing.

    Args:
        config: the settings.
        pack: packs a plug-in for AddaxAI, where the settings ask for one.

    Raises:
        SettingError: a folder, file, column or device is not there, or the table cannot be written.
        SourceError: the CSV cannot be read.
        ModelError: the bundle cannot be used.
    """
    file_type = _file_type(config)
    if config.dry_run:
        return plan_prediction(config, file_type, pack)
    check_companions(
        config.model_path, class_mapping_json=config.class_mapping_json, pre_processing_json=config.pre_processing_json
    )
    check_results_file(config)
    source = open_source(config)
    described = None
    if config.export or file_type == CLASS_COLUMNS:  # what its classes are is then to be known before TensorFlow is loaded
        described = describe_model(
            config.model_path, class_mapping_json=config.class_mapping_json, pre_processing_json=config.pre_processing_json
        )
        if file_type == CLASS_COLUMNS:
            label_of_columns(described.class_names, described.blanks)
    exports = exports_of(config, source, pack, described)
    exports.require()

    bundle, combining, model = _load(config)
    class_names = {label: bundle.mapping.names(label) for label in bundle.labels}
    blanks = bundle.blanks
    facts = exports.model(class_names, blanks, config.model_path, bundle.info)
    writable_folder(config.results_file.parent, "--results-file")
    keep_logs()
    from camtrap_tf.prediction.inference import predict_captures

    predictions = predict_captures(
        model,
        bundle.preprocessing,
        source.captures(),
        batch_size=config.batch_size,
        combining=combining,
        threads=config.n_cpus,
    )
    shown = track(predictions, total=len(source), description="Predicting", unit="records")
    summary = PredictSummary(config)
    with (
        _table(config, file_type, class_names, source.meta_fields, blanks) as write,
        _reject_table(config.results_file) as reject,
        exports.opened(facts) as export,
    ):
        for record in shown:
            write(record)
            export(record)
            summary.add(record, class_names, blanks)
            summary.rejects = reject(record.rejects()) or summary.rejects
    if isinstance(source, PictureFolder):
        summary.passed_over, summary.unreadable_folders = source.skipped, tuple(source.unreadable)
    summary.exports = exports.finished(config.model_path, pack)
    return summary


def _file_type(config: PredictConfig) -> str:
    return config.export_file_type or ("json" if config.results_file.suffix.lower() == ".json" else "csv")


def _load(config: PredictConfig) -> tuple[Bundle, Combining, Answers]:
    gpus = choose_gpus(config.n_gpus)
    import tensorflow as tf

    from camtrap_tf.models.bundle import Bundle
    from camtrap_tf.prediction.sharing import SharedOut

    def read() -> Bundle:
        """Reads the bundle as the settings say."""
        return Bundle.read(
            config.model_path,
            class_mapping_json=config.class_mapping_json,
            pre_processing_json=config.pre_processing_json,
        )

    if gpus < 2:
        bundle = read()
        combining = Combining.of(config.aggregation_mode or bundle.aggregation_mode, bundle.specs)
        return bundle, combining, bundle.logits if combining.of_logits else bundle.probabilities
    strategy = tf.distribute.MirroredStrategy()
    with strategy.scope():
        bundle = read()
    combining = Combining.of(config.aggregation_mode or bundle.aggregation_mode, bundle.specs)
    return bundle, combining, SharedOut(bundle, strategy, logits=combining.of_logits)


def _table(
    config: PredictConfig, file_type: str, class_names: ClassNames, meta_fields: Sequence[str], blanks: Blanks
) -> AbstractContextManager[Write]:
    """Returns what opens the table of predictions in the form that is asked for."""
    if file_type == CLASS_COLUMNS:
        label = label_of_columns(class_names, blanks)
        root = None if config.detections is not None else config.image_dir
        return class_columns_table(config.results_file, names=class_names[label], label=label, root=root)
    return open_table(
        config.results_file,
        file_type=file_type,
        legacy=config.legacy_format,
        class_names=class_names,
        meta_fields=meta_fields,
        blanks=blanks,
    )


@contextmanager
def _reject_table(results: Path) -> Iterator[Callable[[Iterable[Reject]], Path | None]]:
    """Gives a function that adds rows to the rejects table beside `results`, which there is only if there are any."""
    path = rejects_path(results)
    with ExitStack() as stack:
        rows = None

        def add(rejects: Iterable[Reject]) -> Path | None:
            """Adds rows; returns the table where it has any."""
            nonlocal rows
            for reject in rejects:
                if rows is None:
                    file = stack.enter_context(atomic_file(path, "w", newline="", errors="backslashreplace"))
                    rows = csv.writer(file, lineterminator="\n")
                    rows.writerow(REJECT_COLUMNS)
                rows.writerow(reject.row())
            return path if rows else None

        yield add
        if rows is None:
            path.unlink(missing_ok=True)


def _counted(counts: Mapping[str, int], *, shown: int = 8) -> str:
    listed = Counter(counts).most_common()
    said = [f"{name} {count}" for name, count in listed[:shown]]
    if len(listed) > shown:
        said.append(f"{len(listed) - shown} more")
    return ", ".join(said)
