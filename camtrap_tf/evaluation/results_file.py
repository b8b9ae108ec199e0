"""A results file beside the COCO Camera Traps file of its split: what was true, what was answered, and of which picture.

Animl's results are parallel arrays without names; a class index is a place in `categories`. Ours name their classes and
records, which is checked against the document.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from camtrap_tf.errors import SettingError, SourceError
from camtrap_tf.files import read_json
from camtrap_tf.inventory.of_splits import category_order
from camtrap_tf.sources.cct_document import CctDocument, Entry, text_of

KEYS = ("pred_labels", "true_labels", "logits", "scores", "filepaths")
SPECIES = "species"
"""Label type of results that name none, and what `camtrap train` calls the classes of such files."""
MAX_STRANGE_SHARE = 0.5
"""Above this share of pictures that the document does not know, it is the document of another split."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Answers to the pictures of a split.

    Attributes:
        label: label type that the classes are of.
        names: classes by index.
        truth: `[N]` class indices, -1 where missing.
        predicted: `[N]` class indices.
        scores: `[N, C]` probabilities.
        paths: `N` paths of pictures.
        images: `N` entries of the document; empty where it has none for a picture.
        strange: how many pictures the document does not know.
        notes: what the user should know.
    """

    label: str
    names: tuple[str, ...]
    truth: np.ndarray
    predicted: np.ndarray
    scores: np.ndarray
    paths: tuple[str, ...]
    images: tuple[Entry, ...]
    strange: int = 0
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def taken(self, rows: Sequence[int] | np.ndarray) -> Results:
        """Returns some of the rows, in their order."""
        chosen = [int(row) for row in rows]
        return replace(
            self,
            truth=self.truth[chosen],
            predicted=self.predicted[chosen],
            scores=self.scores[chosen],
            paths=tuple(self.paths[row] for row in chosen),
            images=tuple(self.images[row] for row in chosen),
        )

    def fact(self, row: int, key: str) -> str:
        """Returns what the document says of a picture, as text; empty where it says nothing."""
        return text_of(self.images[row].get(key)) or ""


def read_results(path: Path, document: CctDocument, document_path: Path) -> Results:
    """Reads a results file and finds its pictures in the document.

    Raises:
        SourceError: it is no results file, or its arrays do not go together.
        LabelError: the categories of the document are no classes.
        SettingError: most pictures are not in the document.
    """
    value = read_json(path, what="results file")
    if not isinstance(value, dict) or any(not isinstance(value.get(key), list) for key in KEYS):
        raise SourceError(f"{path}: not a results file; that has the lists {', '.join(KEYS)}")
    if len({len(value[key]) for key in KEYS}) > 1:
        sizes = ", ".join(f"{key} {len(value[key])}" for key in KEYS)
        raise SourceError(f"{path}: its lists differ in length ({sizes}); the file seems to be cut off, predict again")
    if not value["filepaths"]:
        raise SourceError(f"{path}: holds no picture; nothing to evaluate")
    names = _names(value, document, document_path, path)
    truth, predicted, scores = _numbers(value, len(names), path)
    paths = tuple(str(one) for one in value["filepaths"])
    images = _images(paths, value.get("ids"), document)
    strange = sum(image is None for image in images)
    if strange > MAX_STRANGE_SHARE * len(paths):
        first = next(one for one, image in zip(paths, images, strict=True) if image is None)
        raise SettingError(
            f"--cct {document_path}: does not know {strange} of the {len(paths)} pictures of {path}, e.g. {first}; "
            "give the file of the split that was predicted"
        )
    notes = []
    if strange:
        notes.append(f"{strange} of {len(paths)} pictures are not in {document_path}; they count, without location")
    notes += _disagreements(names, truth, images, document)
    entries = tuple(image or {} for image in images)
    return Results(
        label=_label(value, path), names=names, truth=truth, predicted=predicted, scores=scores, paths=paths, images=entries,
        strange=strange, notes=tuple(notes),
    )  # fmt: skip


def _label(value: Mapping[str, Any], path: Path) -> str:
    """Returns the label type: as the file says, which has it from the bundle; Animl's say none."""
    label = value.get("label", SPECIES)
    if not isinstance(label, str) or not label:
        raise SourceError(f"{path}: 'label' is not the name of a label type")
    return label


def _names(value: Mapping[str, Any], document: CctDocument, document_path: Path, path: Path) -> tuple[str, ...]:
    """Returns the classes by index: as the file says, else the document's categories in their order."""
    own = value.get("categories")
    if own is not None:
        if not isinstance(own, list) or not own or not all(isinstance(name, str) for name in own):
            raise SourceError(f"{path}: 'categories' is not a list of names")
        return tuple(own)
    return tuple(category_order(document, document_path))


def _numbers(value: Mapping[str, Any], classes: int, path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    try:
        scores = np.array(value["scores"], np.float64)
        truth, predicted = (np.array(value[key], np.float64) for key in ("true_labels", "pred_labels"))
    except (TypeError, ValueError) as err:
        raise SourceError(f"{path}: true_labels, pred_labels and scores are not all numbers ({err})") from err
    if scores.ndim != 2 or scores.shape[1] != classes:
        raise SourceError(f"{path}: scores have the shape {list(scores.shape)}; there are {classes} classes")
    if not np.isfinite(scores).all():
        raise SourceError(f"{path}: some scores are no numbers; its model went astray")
    for key, numbers in (("true_labels", truth), ("pred_labels", predicted)):
        least = -1 if key == "true_labels" else 0
        whole = np.isfinite(numbers).all() and (numbers == np.round(numbers)).all()
        if numbers.ndim != 1 or not whole or numbers.min() < least or numbers.max() >= classes:
            raise SourceError(f"{path}: {key} are not all class indices from {least} to {classes - 1}")
    return truth.astype(np.int64), predicted.astype(np.int64), scores


def _images(paths: Sequence[str], ids: Any, document: CctDocument) -> list[Entry | None]:
    """Returns the document's image of each picture: by id, else by the longest end of its path that is a file name there."""
    by_id = document.images_by_id()
    by_name = {name: image for image in document.images if (name := text_of(image.get("file_name")))}
    if isinstance(ids, list) and len(ids) == len(paths):
        found = [by_id.get(text_of(one) or "") for one in ids]
        if any(image is not None for image in found):
            return found
    return [_by_path(path, by_name) for path in paths]


def _by_path(path: str, by_name: Mapping[str, Entry]) -> Entry | None:
    parts = PurePosixPath(path.replace("\\", "/") if "/" not in path else path).parts
    for start in range(len(parts)):
        found = by_name.get("/".join(parts[start:]))
        if found is not None:
            return found
    return None


def _disagreements(names: Sequence[str], truth: np.ndarray, images: Sequence[Entry | None], document: CctDocument) -> list[str]:
    """Returns a sentence where the document says other true classes than the file."""
    meanings, annotations = document.category_names(), document.annotations_by_image()
    other = 0
    for number, image in zip(truth.tolist(), images, strict=True):
        of_image = annotations.get(text_of((image or {}).get("id")) or "")
        if of_image:
            name = meanings.get(text_of(of_image[0].get("category_id")) or "")
            other += name is not None and number >= 0 and name != names[number]
    return [f"{other} true classes of the results are others than in the document; those of the results count"] if other else []
