"""Pictures that a model is surest about, and those it is most mistaken about, class by class, to be looked at.

Receives the probabilities of all records of a data set, hands on one sheet of pictures per class and a table per label
type. What is extreme is measured as the distance between two probabilities. Source: the classifier of Microsoft's
CameraTraps (`--log-extreme-examples`).
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from camtrap_tf.files import write_bytes, write_csv
from camtrap_tf.input_pipeline.preview import Cell, draw_sheet, font
from camtrap_tf.input_pipeline.shard_set import ShardSet
from camtrap_tf.labels import PRESENT_FROM
from camtrap_tf.models.heads import SOFTMAX, HeadSpec
from camtrap_tf.training.earlier import EXTREMES
from camtrap_tf.training.measuring import RecordRows

KINDS = {
    "right": "right, and surest",
    "false": "called {name}, but something else",
    "missed": "{name}, but called something else",
}
SIDE_PX = 200
COLUMNS = 6
_TOP = 3
_TITLE = 24
_PAPER, _INK = (250, 250, 247), (30, 30, 30)


@dataclass(frozen=True, slots=True)
class Extreme:
    """One record that is extreme for a class.

    Attributes:
        class_index: of the class it is filed under.
        kind: `right`, `false` or `missed`.
        record: number of the record.
        row: its row in the probabilities.
        distance: how extreme, in [0, 1].
    """

    class_index: int
    kind: str
    record: int
    row: int
    distance: float


def find_extremes(
    records: np.ndarray, probabilities: np.ndarray, targets: np.ndarray, *, k: int, spec: HeadSpec = SOFTMAX
) -> list[Extreme]:
    """Returns the `k` most extreme records of each class and kind, most extreme first; of equal ones the earlier record.

    Of heads with one class a record: `right` by the probability of the true class minus that of the next one; `false`
    (under the class answered) and `missed` (under the true one) by that of the answer minus that of the true class. Of
    sigmoid heads each class by itself: by how far its probability lies from what says yes or no.

    Args:
        records: `[N]` numbers.
        probabilities: `[N, C]`.
        targets: `[N]` class indices, -1 where missing; of a sigmoid head `[N, C]`.
        k: at most so many.
        spec: what the head is.
    """
    if spec.kind == "sigmoid":
        return _of_sigmoid(records, probabilities, targets, k)
    rows = np.flatnonzero(targets >= 0)
    values, true = probabilities[rows].astype(np.float64), targets[rows]
    answer = values.argmax(axis=1)
    own, top = values[np.arange(len(rows)), true], values.max(axis=1)
    second = np.sort(values, axis=1)[:, -2] if values.shape[1] > 1 else np.zeros(len(rows))
    found = []
    for index in range(values.shape[1]):
        right = answer == true
        found += _first(index, "right", rows, records, np.where(right & (true == index), own - second, -1), k)
        found += _first(index, "false", rows, records, np.where(~right & (answer == index), top - own, -1), k)
        found += _first(index, "missed", rows, records, np.where(~right & (true == index), top - own, -1), k)
    return found


def _of_sigmoid(records: np.ndarray, probabilities: np.ndarray, targets: np.ndarray, k: int) -> list[Extreme]:
    rows = np.flatnonzero((targets >= 0).all(axis=1))
    values, truth = probabilities[rows].astype(np.float64), targets[rows] > 0
    found = []
    for index in range(values.shape[1]):
        said, true = values[:, index] >= PRESENT_FROM, truth[:, index]
        away = np.abs(values[:, index] - PRESENT_FROM) / (1 - PRESENT_FROM)
        found += _first(index, "right", rows, records, np.where(said & true, away, -1), k)
        found += _first(index, "false", rows, records, np.where(said & ~true, away, -1), k)
        found += _first(index, "missed", rows, records, np.where(~said & true, away, -1), k)
    return found


def _first(index: int, kind: str, rows: np.ndarray, records: np.ndarray, distances: np.ndarray, k: int) -> list[Extreme]:
    """Returns the greatest distances; those below 0 do not count."""
    order = np.argsort(-distances, kind="stable")[:k]
    return [Extreme(index, kind, int(records[rows[i]]), int(rows[i]), float(distances[i])) for i in order if distances[i] >= 0]


def write_extremes(
    folder: Path,
    rows: Sequence[RecordRows],
    shards: ShardSet,
    *,
    names: Mapping[str, Sequence[str]],
    specs: Mapping[str, HeadSpec],
    k: int,
) -> Path:
    """Writes `extreme_examples/<label type>/<class>.png` and `extreme_examples/<label type>.csv`; what was there goes.

    Args:
        folder: run folder.
        rows: what `measure` kept.
        shards: the data set.
        names: label type → its classes by index.
        specs: label type → what its head is.
        k: pictures of each class and kind.

    Returns:
        The folder that was written.
    """
    target = folder / EXTREMES
    if target.exists():
        shutil.rmtree(target)
    records = np.concatenate([part.records for part in rows]) if rows else np.zeros(0, np.int64)
    for label, classes in names.items():
        place = target / _file_name(label)
        place.mkdir(parents=True)
        if not rows:
            continue
        probabilities = np.concatenate([part.probabilities[label] for part in rows])
        targets = np.concatenate([part.targets[label] for part in rows])
        extremes = find_extremes(records, probabilities, targets, k=k, spec=specs.get(label, SOFTMAX))
        table = []
        for index, name in enumerate(classes):
            of_class = [one for one in extremes if one.class_index == index]
            for rank, one in enumerate(of_class, 1):
                answers = "; ".join(_answers(probabilities[one.row], classes))
                table.append((name, one.kind, rank, shards.example(one.record).id, f"{one.distance:.4f}", answers))
            if of_class:
                sheet = _sheet(of_class, probabilities, classes, shards, f"{label}: {name}")
                encoded = io.BytesIO()
                sheet.save(encoded, "PNG")
                write_bytes(place / f"{index:03d}_{_file_name(name)}.png", encoded.getvalue())
        write_csv(target / f"{_file_name(label)}.csv", ("class", "kind", "rank", "id", "distance", "answers"), table)
    return target


def _answers(probabilities: np.ndarray, classes: Sequence[str]) -> list[str]:
    """Returns the highest probabilities with their classes."""
    return [f"{classes[i]} {probabilities[i]:.1%}" for i in np.argsort(-probabilities, kind="stable")[:_TOP]]


def _sheet(
    extremes: Sequence[Extreme], probabilities: np.ndarray, classes: Sequence[str], shards: ShardSet, title: str
) -> Image.Image:
    """Returns a class's sheet: the three kinds below each other."""
    parts: list[tuple[str, Image.Image | None]] = [(title, None)]
    for kind, heading in KINDS.items():
        cells = [
            Cell(
                (_picture(shards, one.record),),
                (tuple(_answers(probabilities[one.row], classes)),),
                shards.example(one.record).id,
            )
            for one in extremes
            if one.kind == kind
        ]
        if cells:
            parts.append((heading.format(name=classes[extremes[0].class_index]), draw_sheet(cells, ("",), columns=COLUMNS)))
    width = max([COLUMNS * SIDE_PX // 2, *(part.width for _, part in parts if part is not None)])
    sheet = Image.new("RGB", (width, sum(_TITLE + (part.height if part else 0) for _, part in parts)), _PAPER)
    pen, y = ImageDraw.Draw(sheet), 0
    for heading, part in parts:
        pen.text((16, y + 8), heading, fill=_INK, font=font())
        if part is not None:
            sheet.paste(part, (0, y + _TITLE))
        y += _TITLE + (part.height if part else 0)
    return sheet


def _picture(shards: ShardSet, record: int) -> np.ndarray:
    """Returns the first frame of a record that opens, in a square, uint8."""
    square = Image.new("RGB", (SIDE_PX, SIDE_PX), (225, 225, 220))
    for jpeg in shards.example(record).images:
        try:
            with Image.open(io.BytesIO(jpeg)) as image:
                image.draft("RGB", (SIDE_PX, SIDE_PX))
                small = image.convert("RGB")
        except OSError:
            continue  # the model was asked about the record's other frames
        small = ImageOps.contain(small, (SIDE_PX, SIDE_PX))
        square.paste(small, ((SIDE_PX - small.width) // 2, (SIDE_PX - small.height) // 2))
        break
    return np.asarray(square)


def _file_name(name: str) -> str:
    """Returns a name that every file system takes."""
    return "".join(letter if letter.isalnum() or letter in "-_ " else "_" for letter in name).strip()[:80] or "_"
