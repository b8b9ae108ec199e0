"""The stage `predict split`: whole splits of a training's files in, results files, tables and metrics out.

What is in a split is read anew from the files that the training began at, so a split named test is the test split.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from camtrap_tf.config.training_files import PredictSplitConfig
from camtrap_tf.errors import LabelError, ModelError, SettingError, suggestion
from camtrap_tf.files import check_writable, join_inside, path_hint, require_folder, sha256_file, writable_folder
from camtrap_tf.inventory.of_splits import ParsedFiles, SplitFiles, inventory_of_split
from camtrap_tf.inventory.table import Inventory
from camtrap_tf.labels import UNKNOWN
from camtrap_tf.models.companions import check_companions
from camtrap_tf.models.devices import choose_gpus
from camtrap_tf.models.locating import BEST_FILE, epoch_of, locate_model
from camtrap_tf.prediction.aggregation import Combining
from camtrap_tf.prediction.dry_run import DryRun, describe_model
from camtrap_tf.prediction.earlier_measures import MATRICES, OVERALL, STATS, read_measures
from camtrap_tf.prediction.planning import InputCounts
from camtrap_tf.prediction.results import Capture
from camtrap_tf.prediction.spilled import SpilledRows
from camtrap_tf.prediction.split_tables import SplitAnswers, answer_paths, metrics_lines, write_answers, write_measures
from camtrap_tf.prediction.targets import read_targets
from camtrap_tf.progress import track
from camtrap_tf.records import Reject
from camtrap_tf.rejects import counts_text, reasons_text, write_rejects

if TYPE_CHECKING:
    from camtrap_tf.models.bundle import Bundle

CACHE = "cache"
_EPOCH = re.compile(r"(?:ckpt_)?0*(\d+)(?:\.(?:pt|keras))?")


@dataclass(frozen=True, slots=True)
class SplitResults:
    """What was predicted and measured.

    Attributes:
        folder: of the files.
        model: the model file.
        answers: per split.
        rejects: split → what could not be used.
        files: that were written.
    """

    folder: Path
    model: Path
    answers: tuple[SplitAnswers, ...]
    rejects: dict[str, tuple[Reject, ...]]
    files: tuple[Path, ...]

    @property
    def exit_code(self) -> int:
        """3 where nothing of a split could be predicted."""
        return 0 if all(len(one.ids) for one in self.answers) else 3

    def text(self) -> str:
        """Returns the summary for people."""
        lines = [f"model: {self.model}"]
        for one in self.answers:
            gone = self.rejects[one.split]
            lines.append(
                f"{one.split}: {len(one.ids) + len(gone)} in = {len(one.ids)} predicted + {len(gone)} rejected"
                f"{reasons_text(gone)}; {int((one.targets < 0).sum())} without a known class"
            )
        return "\n".join([*lines, *metrics_lines(self.answers), *(f"  {path}" for path in self.files)])


def predict_split(config: PredictSplitConfig) -> SplitResults | DryRun:
    """Classifies splits; writes `<split>_results.json`, `outputs_<split>.csv.gz` and the metrics of all of them.

    With `dry_run` says what it would do, and writes nothing.

    Raises:
        SettingError: a folder, split or checkpoint is not there.
        SourceError: a file of a split cannot be read.
        LabelError: the model answers another label, or several classes a picture.
        ModelError: the model cannot be used.
    """
    require_folder(config.run, "--run")
    files = _files(config)
    folder = config.output_dir or config.run.parent / "predictions"
    if config.dry_run:
        return _planned(config, files, folder)
    model = find_checkpoint(config.run, config.checkpoint)
    check_companions(model, flag="--checkpoint")
    check_writable(folder, "--output-dir")
    read_measures(folder)  # whose parts of other splits are to stay
    parsed = ParsedFiles()
    inventories = {split: _inventory(files, split, parsed) for split in config.split}
    targets = read_targets(config.target_mapping, config.target_index) if config.target_mapping is not None else None
    choose_gpus(config.n_gpus)
    from camtrap_tf.models.bundle import Bundle

    bundle = Bundle.read(model, flag="--checkpoint")
    several = [label for label, spec in bundle.specs.items() if spec.kind == "sigmoid"]
    label = _label(files.label, bundle.labels, several)
    if targets is not None:
        targets.over(bundle.classes(label))  # a label that is none is named before a picture is looked at
    writable_folder(folder, "--output-dir")
    done: list[SplitAnswers] = []
    rejects: dict[str, tuple[Reject, ...]] = {}
    for split, inventory in inventories.items():
        answers, gone = answers_of(bundle, label, split, inventory, files, config, folder)
        done.append(answers if targets is None else targets.applied(answers))
        rejects[split] = (*inventory.rejects, *gone)
    about = {"checkpoint": model.name, "model_sha256": sha256_file(model), "label": label}
    written = [path for one in done for path in write_answers(one, folder, about)]
    written += write_measures(done, folder)
    written += [path for split, gone in rejects.items() if (path := _write_rejects(folder, split, gone)) is not None]
    return SplitResults(folder, model, tuple(done), rejects, tuple(written))


def _write_rejects(folder: Path, split: str, rejects: Sequence[Reject]) -> Path | None:
    path = folder / f"{split}.rejects.csv"
    write_rejects(path, rejects)
    return path if rejects else None


def _inventory(files: SplitFiles, split: str, parsed: ParsedFiles) -> Inventory:
    """Returns the records of a split; what reading them writes goes."""
    with tempfile.TemporaryDirectory(prefix="camtrap-") as scratch:
        return inventory_of_split(files, split, Path(scratch), parsed)


def _planned(config: PredictSplitConfig, files: SplitFiles, folder: Path) -> DryRun:
    """Returns what `predict_split` would do; the model is known by the files beside it."""
    plan = DryRun("predict split")
    known: Collection[str] | None = None
    with plan.noting():
        model = describe_model(find_checkpoint(config.run, config.checkpoint), flag="--checkpoint")
        plan.lines.append(model.line())
        names = model.class_names[_label(files.label, list(model.class_names), model.blank_classes)]
        known = names
        if config.target_mapping is not None:
            over = read_targets(config.target_mapping, config.target_index).over(names)
            plan.lines.append(f"targets: {', '.join(over.names)}")
            known = {*names, *over.names}
    earlier: Collection[str] = ()
    with plan.noting():
        check_writable(folder, "--output-dir")
        earlier = [split for split in read_measures(folder).overall if split not in config.split]
    parsed = ParsedFiles()
    for split in config.split:
        with plan.noting():
            plan.lines.append(_split_line(files, split, known, parsed))
        for path in answer_paths(folder, split):
            plan.would_write(split, path)
    kept = f"; those of {', '.join(earlier)} stay in it" if earlier else ""
    for name in (OVERALL, STATS, MATRICES):
        plan.lines.append(f"metrics: would write those of {', '.join(config.split)} to {folder / name}{kept}")
    return plan


def _split_line(files: SplitFiles, split: str, known: Collection[str] | None, parsed: ParsedFiles) -> str:
    """Returns what a split comes to: records, pictures that are there, records of a class that the model knows."""
    inventory = _inventory(files, split, parsed)
    counts = InputCounts()
    for capture in _captures(inventory, files.crops_dir):
        counts.add(capture)
    left, usable = len(inventory.rejects), counts.records
    gone = counts.absent + Counter(reject.reason for reject in inventory.rejects)
    labelled = (
        "" if known is None else f"; {sum(name in known for name in inventory.first_labels(files.label))} of known classes"
    )
    source = files.document(split) if files.kind == "cct" else files.table
    return (
        f"{split}: {len(inventory) + left} in = {usable} to predict + {counts.unusable + left} not usable"
        f"{counts_text(+gone)}{labelled}; {source}, pictures in {files.crops_dir}"
    )


def _files(config: PredictSplitConfig) -> SplitFiles:
    """Returns the files of the splits: as in training, but for what the settings say."""
    cache = config.run / CACHE
    if not cache.is_dir():
        raise SettingError(
            f"--run {config.run}: was not trained from COCO Camera Traps files or a table, so it has no splits of them; "
            "`camtrap predict --image-dir` or `--csv-path` classify pictures, `camtrap evaluate` measures on shards"
        )
    files = SplitFiles.read(cache)
    if config.crops_dir is not None:
        files = replace(files, crops_dir=require_folder(config.crops_dir, "--crops-dir").resolve())
    given = config.cct or config.classification_csv
    if given is not None and not given.is_file():
        flag = "--cct" if config.cct is not None else "--classification-csv"
        raise SettingError(f"{flag} {given}: no such file{path_hint(given)}")
    if config.cct is not None:
        return replace(files, kind="cct", documents={**files.documents, config.split[0]: config.cct}, table=None)
    if config.classification_csv is not None:
        table = config.classification_csv
        return replace(files, kind="table", documents={}, table=table, splits=table.with_name("splits.json"))
    return files


def find_checkpoint(run: Path, name: str) -> Path:
    """Returns the model file that a name means in a run folder.

    Args:
        run: the run folder.
        name: `best`, `last`, an epoch (`200`, also `200.pt`, `ckpt_200.pt`), a file name in the folder, or a path.

    Raises:
        ModelError: there is none.
    """
    if name == "best":
        return locate_model(run / BEST_FILE, flag="--checkpoint").file
    for path in (run / name, Path(name)):
        if path.exists():
            return locate_model(path, flag="--checkpoint").file
    epochs = {epoch: path for path in sorted(run.glob("*.keras")) if (epoch := epoch_of(path.name)) is not None}
    if name == "last" and epochs:
        return epochs[max(epochs)]
    found = _EPOCH.fullmatch(name)
    if found is None:
        there = sorted(path.name for path in run.glob("*.keras"))
        raise ModelError(f"--checkpoint {name}: no such file in {run}{suggestion(name, ['best', 'last', *there])}")
    if int(found[1]) not in epochs:
        kept = ", ".join(map(str, sorted(epochs))) or "none"
        raise ModelError(
            f"--checkpoint {name}: {run} has no model of epoch {found[1]} (there: {kept}); take one of them, best or last "
            "(--keep-epochs all keeps every epoch in training)"
        )
    return epochs[int(found[1])]


def _label(label: str, labels: Sequence[str], several: Collection[str]) -> str:
    """Returns the label type of the files.

    Args:
        label: that type.
        labels: those that the model answers.
        several: of them, those with a sigmoid head.

    Raises:
        LabelError: the model does not answer it, or with several classes a picture.
    """
    if label not in labels:
        raise LabelError(f"the model does not answer {label!r}{suggestion(label, labels)}")
    if label in several:
        raise LabelError(
            f"the model gives any number of classes of {label!r}; these files have one a picture; "
            "`camtrap evaluate` measures such heads on shards"
        )
    return label


def answers_of(
    bundle: Bundle, label: str, split: str, inventory: Inventory, files: SplitFiles, config: PredictSplitConfig, folder: Path
) -> tuple[SplitAnswers, list[Reject]]:
    """Returns what the model says about the records of a split, and what could not be used.

    Memory does not grow with the classes: logits lie in a file without a name in `folder`.
    """
    from camtrap_tf.prediction.inference import predict_captures

    names = bundle.classes(label)
    truth = [bundle.mapping.index(label, name) if name else UNKNOWN for name in inventory.first_labels(files.label)]
    stated = [name or "" for name in inventory.first_labels(files.label)]
    records = predict_captures(
        bundle.logits,
        bundle.preprocessing,
        _captures(inventory, files.crops_dir),
        batch_size=config.batch_size,
        combining=Combining.of("mean_logits", bundle.specs),
        threads=config.n_cpus,
    )
    rows: list[int] = []
    logits = SpilledRows(folder, len(names))
    rejects: list[Reject] = []
    for row, record in enumerate(track(records, total=len(inventory), description=f"Predicting {split}", unit="records")):
        answer = next((one.logits[label] for one in record.pictures if one.logits), None)
        if answer is None and record.aggregated:  # frames in one input: the logarithm differs from logits by a constant
            answer = np.log(np.maximum(record.aggregated[label], np.finfo(np.float32).tiny))
        if answer is None:
            rejects += record.rejects()
            continue
        rows.append(row)
        logits.add(np.asarray(answer))
    paths = [record.media[0].path for record in inventory]
    ids = inventory.ids
    answers = SplitAnswers(
        split=split,
        names=tuple(names),
        ids=tuple(ids[row] for row in rows),
        paths=tuple(paths[row] for row in rows),
        files=tuple(str(join_inside(files.crops_dir, paths[row])) for row in rows),
        stated=tuple(stated[row] for row in rows),
        targets=np.array([truth[row] for row in rows], np.int64),
        logits=logits.array(),
    )
    return answers, rejects


def _captures(inventory: Inventory, root: Path) -> Iterator[Capture]:
    """Yields a capture per record; a path that leads out of the folder is a problem of its own."""
    for record in inventory:
        paths, problems = [], {}
        for media in record.media[:1]:
            try:
                paths.append(str(join_inside(root, media.path)))
            except ValueError as err:
                paths.append(media.path)
                problems[media.path] = ("outside_root", str(err))
        yield Capture(record.event_id, tuple(paths), problems)
