"""How well a model does on a data set: every record, all of its frames.

The answers to the frames of a record are put together as they will be in prediction: their probabilities are averaged, or
their logits. Loss and accuracy are those of records: the loss is the cross-entropy of the probabilities that result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from camtrap_tf.input_pipeline.batches import InputErrors
from camtrap_tf.input_pipeline.shard_set import ShardSet
from camtrap_tf.models.heads import SOFTMAX, HeadSpec
from camtrap_tf.models.metrics import HeadScore, Scores
from camtrap_tf.prediction.aggregation import MEAN, Combining
from camtrap_tf.prediction.scores import majority_baseline
from camtrap_tf.progress import track

Predict = Callable[[Any], dict[str, np.ndarray]]
Frames = tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]
"""Record numbers `[B]`, answers and targets by label type."""


@dataclass(slots=True)
class RecordRows:
    """Some records in a row, complete with all of their frames.

    Attributes:
        records: `[R]` int64, numbers of the records.
        probabilities: label type → `[R, C]`, over usable frames.
        targets: label type → `[R]`, -1 where missing; of sigmoid heads `[R, C]`.
    """

    records: np.ndarray
    probabilities: dict[str, np.ndarray]
    targets: dict[str, np.ndarray]


def by_record(frames: Iterable[Frames], combining: Combining = MEAN) -> Iterator[RecordRows]:
    """Averages the frames of each record; a record may begin in one batch and end in a later one.

    Args:
        frames: batches of record numbers in ascending order, answers and targets.
        combining: whether answers are probabilities or logits; a mean in either case.

    Yields:
        Complete records, in order.
    """
    held: Frames | None = None
    for batch in frames:
        joined = batch if held is None else _joined(held, batch)
        last = int(np.searchsorted(joined[0], joined[0][-1]))
        if last:
            yield _averaged(_slice(joined, slice(0, last)), combining)
        held = _slice(joined, slice(last, None))
    if held is not None:
        yield _averaged(held, combining)


def _joined(one: Any, other: Any) -> Any:
    def join(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Joins rows of two batches."""
        return {label: np.concatenate([left[label], right[label]]) for label in left}

    return np.concatenate([one[0], other[0]]), join(one[1], other[1]), join(one[2], other[2])


def _slice(batch: Any, rows: slice) -> Any:
    records, probabilities, targets = batch
    return (
        records[rows],
        {label: values[rows] for label, values in probabilities.items()},
        {label: values[rows] for label, values in targets.items()},
    )


def _averaged(batch: Frames, combining: Combining) -> RecordRows:
    records, answers, targets = batch
    numbers, first, counts = np.unique(records, return_index=True, return_counts=True)
    means = {
        label: np.add.reduceat(values.astype(np.float64), first, axis=0) / counts[:, None] for label, values in answers.items()
    }
    probabilities = {label: combining.probabilities(label, mean).astype(np.float32) for label, mean in means.items()}
    return RecordRows(numbers, probabilities, {label: values[first] for label, values in targets.items()})


@dataclass(slots=True)
class Measured:
    """What came of measuring.

    Attributes:
        scores: of each label type.
        rows: all records, where they were to be kept.
        errors: frames that could not be decoded; those are left out.
    """

    scores: Scores
    rows: list[RecordRows] = field(default_factory=list)
    errors: InputErrors = field(default_factory=InputErrors)


def measure(
    predict: Predict,
    batches: Iterable[Mapping[str, Any]],
    shards: ShardSet,
    labels: Sequence[str],
    *,
    specs: Mapping[str, HeadSpec] | None = None,
    combining: Combining = MEAN,
    regularisation: float = 0.0,
    keep: bool = False,
    description: str = "Validation",
) -> Measured:
    """Returns how well predictions agree with the labels of a data set.

    Args:
        predict: pictures `[B, H, W, 3]` in 0 … 255 → label type → answers `[B, C]`, as `combining` wants them.
        batches: the data set's frames, from `evaluation_batches`.
        shards: the data set, for messages.
        labels: the label types to look at.
        specs: label type → what its head is; softmax where not given.
        combining: how the answers to the frames of a record become one; a mean.
        regularisation: penalty on the weights, part of the total loss.
        keep: keep the probabilities of all records.
        description: what the progress line says.

    Raises:
        DatasetError: too many pictures cannot be decoded.
    """
    measured = Measured(Scores({label: HeadScore((specs or {}).get(label, SOFTMAX)) for label in labels}, regularisation))

    def frames() -> Iterator[Frames]:
        """Yields records, answers and targets of the pictures that could be decoded."""
        for batch in track(batches, total=None, description=description, unit="batches"):
            measured.errors.add(batch)
            usable = batch["valid"].numpy()
            if usable.any():
                answers = predict(batch["images"])
                yield (
                    batch["records"].numpy()[usable],
                    {label: answers[label][usable] for label in labels},
                    {label: batch["targets"][label].numpy()[usable] for label in labels},
                )

    for rows in by_record(frames(), combining):
        for label, score in measured.scores.heads.items():
            score.add_rows(rows.targets[label], rows.probabilities[label])
        if keep:
            measured.rows.append(rows)
    measured.errors.check(shards)
    return measured


def majority_accuracy(counts: Mapping[str, int], classes: Mapping[str, int]) -> float | None:
    """Returns the accuracy of always answering the class that is most frequent in a data set.

    Args:
        counts: class → records of the data set; missing and unknown ones are ignored.
        classes: class → index; classes that share an index are one.

    Returns:
        A share in [0, 1]; None where nothing is labelled.
    """
    totals = np.zeros(max(classes.values(), default=-1) + 1, np.int64)
    for name, count in counts.items():
        if name in classes:
            totals[classes[name]] += count
    found = majority_baseline(totals)
    return None if found is None else found.accuracy
