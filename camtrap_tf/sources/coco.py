"""COCO Camera Traps files (and plain COCO) as picture tables: locations, sequences, several annotations a picture, boxes.

Ids may be numbers or texts; `bbox` is in px, `bbox_relative` in [0, 1]. Source: COCO Camera Traps, as published with the
data sets of LILA BC; Animl's exports add keys of their own.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from camtrap_tf.config.picture_sources import CocoInventoryConfig
from camtrap_tf.detections.boxes import (
    BOXES_FLAG,
    PROBLEMS,
    REASONS,
    Floats,
    advice_text,
    box_numbers,
    checked_boxes,
    flag_advice,
)
from camtrap_tf.errors import SettingError, counted, suggestion
from camtrap_tf.files import join_inside
from camtrap_tf.records import Reject
from camtrap_tf.sources.cct_document import CctDocument, Entry, number_of, text_of, without_collector
from camtrap_tf.sources.counts import binned
from camtrap_tf.sources.picture_records import PictureSource
from camtrap_tf.sources.picture_tables import (
    Flags,
    PictureTables,
    Rows,
    folders_of,
    numbered,
    picture_table,
    seen_table,
    texts,
    values_of,
    whole_numbers,
)

COUNT = "count"
LABEL_KEYS = ("count", "sequence_count", "sex", "age", "life_stage", "lifeStage", "behavior", "behaviour", "posture")
"""Keys of annotations that are labels where they are there; the second stands in for the first."""

PATH_KEYS = ("file_name", "original_relative_path")
TIME_KEYS = ("datetime", "date_captured")


class CocoSource(PictureSource):
    """Reads a COCO Camera Traps file."""

    def __init__(self, config: CocoInventoryConfig, document: CctDocument | None = None) -> None:
        """Keeps the settings, and the file's content where it is parsed already; else it is read when records are asked for."""
        super().__init__(config)
        self.settings = config
        self._document = document

    def tables(self) -> PictureTables:
        """Reads the file; see `PictureSource.tables`.

        Raises:
            SourceError: it cannot be read.
            SettingError: a label field is in no annotation.
        """
        with without_collector():
            document, self._document = self._document or CctDocument.read(self.config.path), None
            return _tables(document, self.settings)


@dataclass
class _Found:
    rejects: list[Reject] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    of_rejected: int = 0
    advice: str = ""


def _tables(document: CctDocument, config: CocoInventoryConfig) -> PictureTables:
    """Returns what a document holds as picture tables."""
    found = _Found(notes=list(document.notes))
    for one in document.rejects:
        unit = {"image": "picture", "annotation": "observation"}.get(one.unit, "record")
        found.rejects.append(Reject(one.id, one.item, unit, one.reason, one.detail))
    strange = Counter(one.unit for one in document.rejects)
    pictures, ids = _pictures(document, config, found)
    seen, lost, per_event = _seen(document, ids, pictures, config, found)
    return PictureTables(
        pictures=pictures,
        seen=seen,
        per_event=per_event,
        main_label=config.label_name,
        lost=lost,
        rejects=found.rejects,
        pictures_read=len(document.images) + strange["image"],
        seen_read=len(document.annotations) + strange["annotation"],
        seen_unit="annotations",
        seen_of_rejected=found.of_rejected,
        notes=found.notes,
        advice=found.advice,
    )


def _column(entries: Sequence[Entry], *keys: str) -> pa.Array:
    """Returns the values of the first of the keys that an entry has, as texts."""
    column = texts(values_of(entries, keys[0]))
    for key in keys[1:]:
        if column.null_count:
            column = pc.coalesce(column, texts(values_of(entries, key)))
    return column


def _first_of_each(column: pa.Array) -> Flags:
    """Returns which rows are the first of their value."""
    codes = np.asarray(pc.fill_null(column.dictionary_encode().indices, -1), np.int64)
    first = np.zeros(len(codes), bool)
    first[np.unique(codes, return_index=True)[1]] = True
    return first


def _pictures(document: CctDocument, config: CocoInventoryConfig, found: _Found) -> tuple[pa.Table, pa.Array]:
    """Returns the table of pictures, and the ids of all entries that they are of, in the order of the table."""
    images = document.images
    ids, paths = _column(images, "id"), _column(images, *PATH_KEYS)
    paths = pc.if_else(pc.match_substring(paths, "/"), paths, pc.replace_substring(paths, "\\", "/"))
    no_id, no_path = (np.asarray(pc.is_null(column)) for column in (ids, paths))
    again = ~_first_of_each(ids) & ~no_id
    for problem, reason, detail in (
        (no_id, "no_id", "has no id"),
        (again, "repeated_id", "an earlier image has this id"),
        (no_path & ~no_id & ~again, "no_path", "has no file_name"),
    ):
        for row in np.flatnonzero(problem).tolist():
            found.rejects.append(Reject(ids[row].as_py() or "", f"image {row + 1}", "picture", reason, detail))
    good = np.flatnonzero(~(no_id | again | no_path))
    rows = pa.array(good)
    chosen = [images[row] for row in good.tolist()] if len(good) < len(images) else images
    paths = paths.take(rows)
    columns = {
        "location": _location(_column(chosen, "location"), paths, config.location_from_path),
        "camera": _column(chosen, "camera", "camera_id"),
        "event": _column(chosen, "seq_id"),
        "frame": whole_numbers(values_of(chosen, "frame_num")),
        "time": _column(chosen, *TIME_KEYS),
        "licence": _licences(document, chosen),
    }
    corrupt = sum(value is True for value in values_of(chosen, "corrupt"))
    if corrupt:
        found.notes.append(f"{counted(corrupt, 'image')} marked as corrupt; kept, and judged when decoded")
    table = picture_table(items=numbered("image", good + 1), ids=ids.take(rows), paths=paths, columns=columns)
    return table.append_column("size", _sizes(chosen)), ids.take(rows)


def _location(given: pa.Array, paths: pa.Array, parts: int) -> pa.Array:
    """Returns locations; where one is missing, the first folders of the path."""
    if not parts or not given.null_count:
        return given
    return pc.coalesce(given, pa.array([folders_of(path, parts) for path in paths.to_pylist()], pa.string()))


def _sizes(images: Sequence[Entry]) -> pa.Array:
    """Returns width and height of each picture in px, `fixed_size_list<double>[2]`; NaN where unknown."""
    sizes = np.full((len(images), 2), np.nan)
    for place, key in enumerate(("width", "height")):
        values = values_of(images, key)
        if set(map(type, values)) <= {int, type(None)}:
            numbers = np.asarray(whole_numbers(values).cast(pa.float64()))
        else:
            numbers = np.array([np.nan if (one := number_of(value)) is None else one for value in values])
        sizes[:, place] = np.where((numbers > 0) & (numbers < 1e9), numbers, np.nan)
    return pa.FixedSizeListArray.from_arrays(pa.array(sizes.reshape(-1)), 2)


def _licences(document: CctDocument, images: Sequence[Entry]) -> pa.Array | None:
    """Returns the licence of each picture, as its URL or name; None where no picture has one."""
    known = document.others.get("licenses")
    if not isinstance(known, list):
        return None
    names = {str(one.get("id")): one.get("url") or one.get("name") for one in known if isinstance(one, dict)}
    column = texts([names.get(str(image.get("license"))) for image in images])
    return column if column.null_count < len(column) else None


def _seen(
    document: CctDocument, ids: pa.Array, pictures: pa.Table, config: CocoInventoryConfig, found: _Found
) -> tuple[pa.Table, Flags, bool]:
    """Returns the table of observations, which pictures lost one, and whether labels are given per sequence."""
    annotations = document.annotations
    image_ids = _column(annotations, "image_id")
    rows = np.asarray(pc.fill_null(pc.index_in(image_ids, value_set=ids), -1), np.int64)
    names, clashing = _categories(document, found)
    category_ids = _column(annotations, "category_id")
    classes = _by_key(category_ids, names)
    boxes, problems = _boxes(annotations, np.where(_of_crops(document, image_ids), -1, rows), pictures, config, found)
    # Annotations of images that are rejected go with them, without a reject of their own.
    gone = (rows < 0) & np.asarray(pc.is_in(image_ids, pc.drop_null(_column(document.images, "id"))), bool)
    clash = np.asarray(pc.is_in(category_ids, pa.array(sorted(clashing), pa.string())), bool)
    reasons = [
        ((rows < 0) & ~gone, "unknown_image", "there is no image {image}"),
        (clash & ~gone, "category_clash", "category {category} stands for several names"),
        (np.asarray(pc.is_null(classes)) & ~gone, "unknown_category", "there is no category {category}"),
        (_repeated(annotations) & ~gone, "repeated_id", "{number} has the id of an earlier annotation"),
    ]
    reasons += [
        (problems == REASONS.index(reason), reason, f"box {{box}} {detail}{flag_advice(reason, config.boxes)}")
        for reason, detail in PROBLEMS.items()
    ]
    bad = _reject_annotations(annotations, reasons, found, config.boxes) | gone
    found.of_rejected = int(gone.sum())
    lost = np.zeros(len(pictures), bool)
    lost[rows[bad & (rows >= 0)]] = True
    good = np.flatnonzero(~bad)
    chosen = [annotations[row] for row in good.tolist()] if bad.any() else annotations
    flags = np.array([value is True for value in values_of(chosen, "sequence_level_annotation")], bool)
    known = np.asarray(pc.is_valid(pictures["event"]))
    labels = {config.label_name: classes.take(pa.array(good)), **_further_labels(chosen, config)}
    seen = seen_table(
        items=numbered("annotation", good + 1), picture=rows[good], labels=labels, boxes=boxes[good],
        confidences=_confidences(chosen),
        per_event=flags & known[rows[good]] if len(known) else flags,
    )  # fmt: skip
    whole = int(np.asarray(seen["per_event"]).sum())
    return seen, lost, whole * 2 > len(good)


def _repeated(annotations: Sequence[Entry]) -> Flags:
    """Returns which annotations have the id of an earlier one."""
    given = values_of(annotations, "id")
    if set(map(type, given)) in ({str}, {int}) and len(set(given)) == len(given):
        return np.zeros(len(given), bool)  # nearly always so, and quickly seen
    ids = _column(annotations, "id")
    there: Flags = np.asarray(pc.is_valid(ids), bool)
    return ~_first_of_each(ids) & there


def _reject_annotations(
    annotations: Sequence[Entry], reasons: list[tuple[Flags, str, str]], found: _Found, boxes: str
) -> Flags:
    """Adds a reject for each annotation that one of the reasons holds for, the first that does; returns which these are."""
    bad = np.zeros(len(annotations), bool)
    for problem, reason, detail in reasons:
        for row in np.flatnonzero(problem & ~bad).tolist():
            one = annotations[row]
            image, category = text_of(one.get("image_id")) or "", text_of(one.get("category_id"))
            number = f"annotation {row + 1}"
            said = detail.format(
                image=repr(image), category=repr(category), number=number,
                box=str(one.get("bbox", one.get("bbox_relative")))[:80],
            )  # fmt: skip
            found.rejects.append(Reject(image, text_of(one.get("id")) or number, "observation", reason, said))
        bad |= problem
    counts = {reason: int(problem.sum()) for problem, reason, _ in reasons}
    for reason in BOXES_FLAG:
        if counts[reason]:
            found.notes.append(advice_text(reason, counts[reason], boxes))
            found.advice = found.notes[-1] if flag_advice(reason, boxes) else found.advice
    return bad


def _categories(document: CctDocument, found: _Found) -> tuple[dict[str, str], set[str]]:
    """Returns id → name of the categories, and the ids that stand for several names."""
    ids, names = _column(document.categories, "id").to_pylist(), _column(document.categories, "name").to_pylist()
    known: dict[str, str] = {}
    clashing: set[str] = set()
    for key, name in zip(ids, names, strict=True):
        if key is not None and name is not None and known.setdefault(key, name) != name:
            clashing.add(key)
            found.notes.append(f"categories {known[key]!r} and {name!r} have the same id {key}; annotations of it are rejected")
    return known, clashing


def _by_key(keys: pa.Array, names: dict[str, str]) -> pa.Array:
    """Returns the name of each key; null where there is none."""
    encoded = keys.dictionary_encode()
    named = pa.array([names.get(key) for key in encoded.dictionary.to_pylist()], pa.string())
    return named.take(encoded.indices)


def _confidences(annotations: Sequence[Entry]) -> Floats:
    """Returns how sure the detector was of each annotation, NaN where none is said: `confidence`, `score` or `conf`."""
    sure = np.full(len(annotations), np.nan)
    for key in ("confidence", "score", "conf"):
        values = values_of(annotations, key)
        if any(value is not None for value in values):
            numbers = (number_of(value) for value in values)
            found = np.array([np.nan if number is None else number for number in numbers], np.float64)
            sure = np.where(np.isnan(sure) & (found >= 0) & (found <= 1), found, sure)
    return sure


def _of_crops(document: CctDocument, image_ids: pa.Array) -> Flags:
    """Returns which annotations are of an image that is a crop already: their boxes are in the picture it was cut from."""
    crops = [image.get("id") for image in document.images if "orig_file_name" in image]
    return np.asarray(pc.is_in(image_ids, texts([text_of(key) for key in crops])), bool)


def _boxes(
    annotations: Sequence[Entry], rows: Rows, pictures: pa.Table, config: CocoInventoryConfig, found: _Found
) -> tuple[Floats, Rows]:
    """Returns `[annotations, 4]` boxes in our form (NaN: none), and what is wrong with each."""
    boxes = np.full((len(annotations), 4), np.nan)
    problems = np.zeros(len(annotations), np.int64)
    for key, relative in (("bbox", config.boxes == "relative"), ("bbox_relative", True)):
        values = values_of(annotations, key)
        there = np.array([value is not None and value != [] for value in values], bool) & (rows >= 0)
        there &= np.isnan(boxes[:, 0]) & (problems == 0)
        places = np.flatnonzero(there)
        if not len(places):
            continue
        numbers = box_numbers([values[place] for place in places.tolist()])
        sizes = None if relative else _sizes_for(pictures, rows[places], config.image_root)
        checked = checked_boxes(numbers, size_px=sizes)
        boxes[places], problems[places] = checked.boxes, checked.problems
        if checked.cut.any():
            found.notes.append(f"{counted(int(checked.cut.sum()), 'box', 'es')} stuck out of the picture, cut at the edge")
    return boxes, problems


def _sizes_for(pictures: pa.Table, rows: Rows, root: Path | None) -> Floats:
    """Returns `[n, 2]` sizes in px of the pictures with these rows; read from the files where the source does not say."""
    sizes = np.asarray(pictures["size"].combine_chunks().flatten(), np.float64).reshape(-1, 2).copy()
    if root is not None:
        for row in np.unique(rows[np.isnan(sizes[rows]).any(1)]).tolist():
            sizes[row] = _file_size(root, pictures["path"][row].as_py())
    return sizes[rows]


def _file_size(root: Path, path: str) -> tuple[float, float]:
    """Returns width and height of a picture in px; NaN where it cannot be read."""
    try:
        with Image.open(join_inside(root, path)) as picture:
            return float(picture.width), float(picture.height)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return np.nan, np.nan


def _further_labels(annotations: Sequence[Entry], config: CocoInventoryConfig) -> dict[str, pa.Array]:
    """Returns the labels that are in keys of annotations; counts are binned.

    Raises:
        SettingError: a field that was asked for is in no annotation.
    """
    keys = set(itertools.chain.from_iterable(annotations))
    for wish in config.label_fields:
        if wish not in keys:
            others = keys - {"id", "image_id", "category_id", "bbox", "bbox_relative"}
            raise SettingError(
                f"--label-fields: no annotation of {config.path} has the key {wish!r}{suggestion(wish, sorted(others))}"
            )
    chosen = config.label_fields or [key for key in LABEL_KEYS if key in keys]
    labels = {}
    for key in chosen:
        name = COUNT if key == "sequence_count" else key
        if name == config.label_name or name in labels:
            continue
        column = _column(annotations, key)
        labels[name] = binned(column) if name == COUNT else column
    return labels
