"""The stage `predict suspects`: recorded labels that predictions speak against, as a list for a person to look through.

A record is suspect where another class is likelier than the recorded one by a margin. Nothing is changed.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from camtrap_tf.config.predictions_used import PredictSuspectsConfig
from camtrap_tf.errors import SettingError, counted, shortened
from camtrap_tf.files import check_output_file, check_writable, join_inside, write_csv
from camtrap_tf.inventory.table import Inventory
from camtrap_tf.prediction.answer_tables import Answer, AnswerTable, answers, chosen_label, open_answers
from camtrap_tf.prediction.export_pictures import place_in
from camtrap_tf.prediction.writers import DECIMALS
from camtrap_tf.progress import track
from camtrap_tf.records import MISSING, CaptureEvent

COLUMNS = (
    "id",
    "pictures",
    "label",
    "label_probability",
    "predicted",
    "predicted_probability",
    "gap",
    "location",
    "results_file",
)
SHOWN = 12
"""Names that are spelt out in one line of the summary."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is recorded of a record.

    Attributes:
        classes: recorded classes, each once; empty where the label is missing.
        location: where it was taken; empty where that is not known.
        pictures: their paths as the inventory has them.
        id: of the record in the inventory; empty without one.
    """

    classes: tuple[str, ...]
    location: str = ""
    pictures: tuple[str, ...] = ()
    id: str = ""

    def joined(self, other: Recorded) -> Recorded:
        """Returns this with the classes of another record of the same picture, e.g. of another box."""
        return replace(self, classes=tuple(dict.fromkeys((*self.classes, *other.classes))))


@dataclass(frozen=True, slots=True)
class Suspect:
    """A record whose label the predictions speak against.

    Attributes:
        answer: what the table says, of these two classes.
        label: the recorded class; of several the likeliest.
        predicted: the likeliest class.
        recorded: what is known of the record.
        table: that the answer is of.
    """

    answer: Answer
    label: str
    predicted: str
    recorded: Recorded
    table: Path

    @property
    def id(self) -> str:
        """Its id in the inventory, else in the table."""
        return self.recorded.id or self.answer.id

    @property
    def gap(self) -> float:
        """How much likelier the predicted class is, in [0, 1]."""
        return gap(self.answer, self.label, self.predicted)

    def row(self) -> tuple[str, ...]:
        """Returns the cells of `COLUMNS`."""
        values = self.answer.probabilities
        numbers = (values[self.label], values[self.predicted], self.gap)
        own, other, wide = (f"{value:.{DECIMALS}f}" for value in numbers)
        pictures = "; ".join(self.answer.pictures or self.recorded.pictures)
        location = self.recorded.location or place_in(self.answer.meta)
        return (self.id, pictures, self.label, own, self.predicted, other, wide, location, str(self.table))


def gap(answer: Answer, label: str, predicted: str) -> float:
    """Returns by how much a class is likelier than the recorded one, to the decimals that tables have."""
    return round(answer.probabilities[predicted] - answer.probabilities[label], DECIMALS)


class RecordedLabels:
    """What an inventory says, found by id or picture."""

    def __init__(self, inventory: Inventory, label: str, root: Path | None) -> None:
        """Takes an inventory, a label type of it, and the folder that its picture paths are relative to."""
        self._by_id: dict[str, Recorded] = {}
        self._by_path: dict[str, Recorded] = {}
        for event in inventory:
            pictures = tuple(media.path for media in event.media)
            recorded = Recorded(_classes(event, label), place_in(event.meta_data), pictures, event.event_id)
            self._by_id[event.event_id] = recorded
            for path in pictures:
                with suppress(ValueError):  # of a path that leads out of the root no picture was predicted
                    place = _absolute(join_inside(root, path))
                    before = self._by_path.get(place)
                    self._by_path[place] = recorded if before is None else before.joined(recorded)

    def find(self, answer: Answer) -> Recorded | None:
        """Returns what is recorded of a record, by its id, else by its first picture; None where it is not there."""
        if answer.id in self._by_id:
            return self._by_id[answer.id]
        return self._by_path.get(_absolute(answer.pictures[0])) if answer.pictures else None

    def example(self) -> str:
        """Returns where a picture is looked for, for a message."""
        return next(iter(self._by_path), "none")


def _classes(event: CaptureEvent, label: str) -> tuple[str, ...]:
    """Returns the recorded classes of all observations, each once."""
    found = (observation.labels.get(label, MISSING) for observation in event.observations)
    return tuple(dict.fromkeys(name for name in found if name != MISSING))


def _absolute(path: str | Path) -> str:
    """Returns a path as it is compared: absolute and tidy, links left alone."""
    return os.path.abspath(path)  # noqa: PTH100 - pathlib leaves `..` in


@dataclass
class SuspectsSummary:
    """What was found; `text` is printed. Every record is in one of the counts.

    Attributes:
        output: the table.
        margin: as asked for.
        records: how many answers there were.
        compared: class → records that have it as their label and were compared.
        strange: class → records that have it as their label, which is no class of the table.
        unpredicted: records without a prediction.
        unlabelled: records without a label.
        unknown: records that the inventory does not have.
        suspects: what was found, the widest gap first.
        dry_run: nothing was written.
    """

    output: Path
    margin: float
    dry_run: bool = False
    records: int = 0
    compared: Counter[str] = field(default_factory=Counter)
    strange: Counter[str] = field(default_factory=Counter)
    unpredicted: int = 0
    unlabelled: int = 0
    unknown: int = 0
    suspects: list[Suspect] = field(default_factory=list)

    def text(self) -> str:
        """Returns the summary for people."""
        several = shortened([f"{name} {count}" for name, count in self.strange.most_common()], most=SHOWN)
        parts = [
            f"{self.compared.total()} compared",
            f"{self.unpredicted} without a prediction",
            f"{self.unlabelled} without a label",
            f"{self.strange.total()} with a label that is no class of the table" + (f" ({several})" if several else ""),
            f"{self.unknown} that the inventory does not have",
        ]
        lines = [
            f"records: {self.records} in = {' + '.join(parts)}",
            f"suspects: {len(self.suspects)} of {self.compared.total()}, another class likelier than the label by "
            f"{self.margin:g} or more: {'would be listed in ' if self.dry_run else ''}{self.output}",
        ]
        lines[:0] = ["Plan of predict suspects (nothing is written)"] if self.dry_run else []
        of_label = Counter(one.label for one in self.suspects)
        for label, count in of_label.most_common():
            taken = Counter(one.predicted for one in self.suspects if one.label == label).most_common(1)[0]
            lines.append(f"  {label}: {count} of {self.compared[label]}, most often {taken[0]} ({taken[1]})")
        return "\n".join(lines)

    def add(self, answer: Answer, recorded: Recorded | None, table: Path) -> None:
        """Counts a record, and keeps it where it is suspect."""
        self.records += 1
        if recorded is None:
            self.unknown += 1
        elif not answer.probabilities:
            self.unpredicted += 1
        elif not recorded.classes:
            self.unlabelled += 1
        else:
            self._compare(answer, recorded, table)

    def _compare(self, answer: Answer, recorded: Recorded, table: Path) -> None:
        """Counts a predicted and labelled record, and keeps it where it is suspect."""
        values = answer.probabilities
        known = [name for name in recorded.classes if name in values]
        if not known:
            self.strange[recorded.classes[0]] += 1
            return
        label, predicted = max(known, key=values.__getitem__), max(values, key=values.__getitem__)
        self.compared[label] += 1
        if gap(answer, label, predicted) >= self.margin:
            kept = {name: values[name] for name in (label, predicted)}  # of thousands of classes, in a list that grows
            self.suspects.append(Suspect(replace(answer, probabilities=kept), label, predicted, recorded, table))


def find_suspects(config: PredictSuspectsConfig) -> SuspectsSummary:
    """Writes the records whose label some tables of predictions speak against.

    Raises:
        SettingError: there are no labels, the inventory does not go with the tables, or the output cannot be written.
        SourceError: a table or the inventory cannot be read.
        LabelError: there is no such label type, or it has any number of classes a record.
    """
    read = config.results_file if config.inventory is None else (*config.results_file, config.inventory)
    check_output_file(config.output, "--output", suffixes=(".csv",), sources=read)
    check_writable(config.output.parent, "--output")
    tables = [open_answers(path) for path in config.results_file]
    labels = [_label(table, config) for table in tables]
    known = _recorded_labels(config, labels)
    summary = SuspectsSummary(config.output, config.margin, config.dry_run)
    first = ""
    for table, label in zip(tables, labels, strict=True):
        for answer in track(_read(table, label, config), total=None, description="Comparing", unit="records"):
            first = first or (answer.pictures[0] if answer.pictures else answer.id)
            summary.add(answer, _of_table(answer) if known is None else known.find(answer), table.path)
    if known is not None and summary.unknown == summary.records:
        raise SettingError(
            f"--inventory {config.inventory}: knows none of {counted(summary.records, 'record')} in the tables, e.g. {first}; "
            f"its pictures are looked for as {known.example()}: --image-root says where they are"
        )
    summary.suspects.sort(key=lambda one: (-one.gap, one.id, one.answer.id))
    if not config.dry_run:
        write_csv(config.output, COLUMNS, (one.row() for one in summary.suspects))
    return summary


def _label(table: AnswerTable, config: PredictSuspectsConfig) -> str | None:
    """Returns the label type of a table that is compared; None of one that has a column per class.

    Raises:
        SettingError: it has no labels and there is no inventory, or `--label` means nothing.
        LabelError: there is no such label type.
    """
    if config.inventory is None and not table.has_stated and table.form != "json":
        raise SettingError(
            f"--inventory is missing: {table.path} has predictions alone; the labels have to come from somewhere"
        )
    if config.inventory is None and table.form == "wide" and config.label is not None:
        raise SettingError(f"--label {config.label}: {table.path} has a column per class and no label types; leave it out")
    return table.label(config.label)


def _recorded_labels(config: PredictSuspectsConfig, labels: list[str | None]) -> RecordedLabels | None:
    """Returns what the inventory says, if there is one.

    Raises:
        SettingError: it is not clear which label type of it is meant.
        SourceError: it cannot be read.
        LabelError: it has no such label type.
    """
    if config.inventory is None:
        return None
    inventory = Inventory.read(config.inventory)
    wanted = config.label or next((label for label in labels if label is not None), None)
    label = chosen_label(wanted, inventory.label_types, str(config.inventory))
    return RecordedLabels(inventory, label, config.image_root)


def _of_table(answer: Answer) -> Recorded:
    """Returns what the table itself says is recorded."""
    return Recorded((answer.stated,) if answer.stated not in (None, "", MISSING) else ())


def _read(table: AnswerTable, label: str | None, config: PredictSuspectsConfig) -> Iterator[Answer]:
    """Yields the answers of a table.

    Raises:
        SettingError: there is no inventory, and none of them has a label.
    """
    any_stated = config.inventory is not None
    for answer in answers(table, label):
        any_stated = any_stated or answer.stated is not None
        yield answer
    if not any_stated:
        raise SettingError(
            f"--inventory is missing: {table.path} has predictions alone; the labels have to come from somewhere"
        )
