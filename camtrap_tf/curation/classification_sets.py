"""Classification data sets: the table of crops, the number of each label, which location is in which split, and all of it as
COCO Camera Traps, whole and per split. The same crops are in every file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from camtrap_tf.cct.categories import pruned
from camtrap_tf.cct.splitting import split_document, split_path
from camtrap_tf.cct.working import check_share
from camtrap_tf.config.classification import ClassificationConfig
from camtrap_tf.curation.classification_notes import empty_split_warnings, group_table, share_notes
from camtrap_tf.curation.classification_rows import (
    UNIT,
    Crop,
    Crops,
    DetectionFolder,
    crops_of_cct,
    crops_of_queried,
    nothing_left,
    one_crop_per_path,
    unreadable,
    without_rare,
)
from camtrap_tf.curation.label_specs import Specs, Taxonomy, apply_label_spec, read_label_spec, read_taxonomy
from camtrap_tf.curation.scored_splits import GroupTable, Target
from camtrap_tf.curation.split_search import deal_by_score, deal_smallest_first
from camtrap_tf.errors import LabelError, SettingError, SourceError, counted
from camtrap_tf.files import check_output_file, check_writable, require_folder, writable_folder
from camtrap_tf.logs import logger
from camtrap_tf.records import Reject
from camtrap_tf.rejects import reasons_text, write_rejects
from camtrap_tf.sources.cct_document import CctDocument, Entry, text_of
from camtrap_tf.sources.classification_csv import FILE as TABLE
from camtrap_tf.sources.classification_csv import CropRow, read_rows, write_rows
from camtrap_tf.sources.split_files import (
    UNKNOWN_LOCATION,
    Place,
    Splits,
    read_splits,
    write_label_index,
    write_splits,
)

LABEL_INDEX = "label_index.json"
SPLITS = "splits.json"
REJECTS = "rejects.csv"
CCT = "classification_cct.json"
SPLIT_NAMES = ("train", "val", "test")

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class ClassificationSet:
    """A classification data set.

    Attributes:
        folder: where it is.
        rows: its crops.
        labels: its labels, by number.
        rejects: boxes and crops that are not in it.
        splits: split → (data set, location) pairs; None: not split.
        score: score of the splits, lower is better; None where they were taken over.
        documents: file name → COCO Camera Traps document.
        alone: labels that stand at one location, so that they cannot be evaluated.
        notes: further sentences.
        dry_run: nothing was written.
        only_splits: the table and the label index were there already.
    """

    folder: Path
    rows: tuple[CropRow, ...]
    labels: tuple[str, ...]
    rejects: tuple[Reject, ...]
    splits: Splits | None
    score: float | None
    documents: dict[str, CctDocument]
    alone: tuple[str, ...]
    notes: tuple[str, ...]
    dry_run: bool
    only_splits: bool = False

    def text(self) -> str:
        """Returns the summary for a person: in = out + rejected, then what each split has."""
        whole, gone = len(self.rows) + len(self.rejects), len(self.rejects)
        lines = [f"{whole} boxes and crops = {len(self.rows)} in the data set + {gone} left out{reasons_text(self.rejects)}"]
        places = {row.place for row in self.rows if row.location != UNKNOWN_LOCATION}
        bare = sum(row.location == UNKNOWN_LOCATION for row in self.rows)
        lines.append(
            f"{counted(len(self.rows), 'crop')}, {counted(len(self.labels), 'label')}, {counted(len(places), 'location')}"
            + (f" ({counted(bare, 'crop')} without a location)" if bare else "")
        )
        if self.splits is not None:
            lines += self._split_lines(self.splits)
        lines += self.notes
        start = "would write " if self.dry_run else ""
        lines.append(f"{start}{self.folder}: {', '.join(self.files())}")
        return "\n".join(lines)

    def files(self) -> list[str]:
        """Returns the names of the files that are written."""
        names = [] if self.only_splits else [TABLE, LABEL_INDEX, *[REJECTS] * bool(self.rejects)]
        return [*names, *([SPLITS] if self.splits is not None else []), *self.documents]

    def _split_lines(self, splits: Splits) -> list[str]:
        lines = []
        for name, places in splits.items():
            there = set(places)
            crops = sum(row.place in there for row in self.rows)
            share = 100 * crops / max(len(self.rows), 1)
            lines.append(f"  {name}: {counted(len(there), 'location')}, {counted(crops, 'crop')} ({share:.1f} %)")
        if self.score is not None and math.isfinite(self.score):
            lines.append(f"  score {self.score:.6f} (lower is better)")
        elif self.score is not None:
            lines.append("  a split is empty: the locations without a label that is theirs alone are too few")
        if self.alone:
            lines.append(f"  cannot be evaluated, as they stand at one location: {', '.join(self.alone)}")
        return lines


def make_classification_set(config: ClassificationConfig) -> ClassificationSet:
    """Makes the files of a classification data set.

    Raises:
        SettingError: inputs do not go together, or there are too few locations to split.
        SourceError: an input cannot be read, or no crop is left.
        LabelError: the label specification does not fit.
        TooManyRejectsError: more boxes than allowed have no usable crop.
    """
    if config.crops_dir is not None:
        require_folder(config.crops_dir, "--crops-dir")
    _check_outputs(config)
    specs = read_label_spec(config.label_spec) if config.label_spec is not None else None
    taxonomy = read_taxonomy(config.taxonomy) if config.taxonomy is not None else None
    earlier = _earlier(config)
    document = CctDocument.read(config.cct) if config.cct is not None else None
    found, rejects = _crops(config, document)
    source = config.cct or config.queried_images or config.output_dir
    if not config.dry_run:
        check_share(rejects, len(found) + len(rejects), config.max_rejected_share, UNIT, str(source))
    found, gone = _chosen(found, config, specs, taxonomy)
    rejects += gone
    if earlier is not None:
        found, gone = _with_test_of(found, *earlier)
        rejects += gone
    if not found:
        raise nothing_left(source, rejects, reasons_text(rejects))
    rows = [crop.row for crop in found]
    _check_labels(rows)
    splits, score, alone = _splits(rows, config, specs, earlier)
    documents, notes = _documents(found, config, document, splits, renamed=specs is not None)
    if splits is not None:
        notes += share_notes(rows, splits, config, _shares(config))
        for warning in empty_split_warnings(rows, splits, config, _shares(config)):
            _log.warning("warning: %s", warning)
    made = ClassificationSet(
        folder=config.output_dir,
        rows=tuple(rows),
        labels=tuple(sorted({label for row in rows for label in row.labels})),
        rejects=tuple(rejects),
        splits=splits,
        score=score,
        documents=documents,
        alone=alone,
        notes=(*(document.notes if document is not None else ()), *notes),
        dry_run=config.dry_run,
        only_splits=set(config.modes) == {"splits"},
    )
    if not config.dry_run:
        _write(made)
    return made


def _check_outputs(config: ClassificationConfig) -> None:
    """Makes sure that the files can be written and that none of them is read; raises a SettingError."""
    check_writable(config.output_dir, "--output-dir")
    given = (config.cct, config.queried_images, config.label_spec, config.taxonomy, *config.match_test)
    names = [] if set(config.modes) == {"splits"} else [TABLE, LABEL_INDEX, REJECTS]
    names += [CCT] if "cct" in config.modes else []
    names += [SPLITS, *(split_path(Path(), name).name for name in SPLIT_NAMES)] if "splits" in config.modes else []
    for name in names:
        sources = [path for path in given if path is not None]
        check_output_file(config.output_dir / name, "--output-dir", suffixes=(".csv", ".json"), sources=sources)


def _check_labels(rows: Iterable[CropRow]) -> None:
    """Raises a LabelError where a label would be read back as several."""
    unfit = sorted({label for row in rows for label in row.labels if "," in label or label != label.strip()})
    if unfit:
        raise LabelError(
            f"label {unfit[0]!r} holds a comma, which joins labels in {TABLE}, or begins or ends with a space; convert that "
            "category to another name (`camtrap cct category-map`), or name labels with --label-spec"
        )


def _write(made: ClassificationSet) -> None:
    folder = writable_folder(made.folder, "--output-dir")
    if made.splits is not None:
        # Written last: where it is, all the rest is of the same crops.
        (folder / SPLITS).unlink(missing_ok=True)
    if not made.only_splits:
        write_rejects(folder / REJECTS, made.rejects)
        write_rows(folder / TABLE, made.rows)
        write_label_index(folder / LABEL_INDEX, made.labels)
    for name, document in made.documents.items():
        document.write(folder / name)
    if made.splits is not None:
        write_splits(folder / SPLITS, made.splits)


def _crops(config: ClassificationConfig, document: CctDocument | None) -> tuple[list[Crop], list[Reject]]:
    """Returns all crops of the input and why boxes have none; those of the table in the folder for `--mode splits`."""
    crops = Crops(config.crops_dir, config.check_crops_valid)
    entries: Iterable[Crop | Reject]
    if set(config.modes) == {"splits"} and document is None and config.queried_images is None:
        rows = read_rows(config.output_dir / TABLE)
        entries = (row if isinstance(row, Reject) else Crop(row) for row in rows)
    elif document is not None:
        entries = crops_of_cct(document, crops, dataset=config.dataset)
    elif config.queried_images is not None:
        folder = DetectionFolder(config.detections_dir, config.detector_version)
        entries = crops_of_queried(config.queried_images, crops, folder.of, threshold=config.threshold)
    else:
        raise SettingError("give --cct or --queried-images: what was cropped")
    found: list[Crop] = []
    rejects: list[Reject] = []
    for entry in entries:
        if isinstance(entry, Reject):
            rejects.append(entry)
        else:
            found.append(entry)
    for check in (one_crop_per_path, lambda some: unreadable(some, crops)):
        found, gone = check(found)
        rejects += gone
    return found, rejects


def _chosen(
    found: list[Crop], config: ClassificationConfig, specs: Specs | None, taxonomy: Taxonomy | None
) -> tuple[list[Crop], list[Reject]]:
    """Returns the crops under the labels of the specification, without labels at too few locations.

    Pictures that were queried by a specification have its labels already; then it only says which data sets come first.
    """
    rejects: list[Reject] = []
    if specs is not None and found and not (config.queried_images is not None and _are_labelled(found, specs)):
        rows, rejects = apply_label_spec([crop.row for crop in found], specs, taxonomy, seed=config.seed)
        by_path = {row.path: row for row in rows}
        found = [replace(crop, row=by_path[crop.row.path]) for crop in found if crop.row.path in by_path]
    found, rare = without_rare(found, config.min_locs)
    return found, rejects + rare


def _are_labelled(found: Iterable[Crop], specs: Specs) -> bool:
    return all(label in specs for crop in found for label in crop.row.labels)


def _earlier(config: ClassificationConfig) -> tuple[list[CropRow], list[Place]] | None:
    """Returns the crops and locations of the test split to take over, or None where there is none."""
    if not config.match_test:
        return None
    table, splits = config.match_test
    places = read_splits(splits)["test"]
    if not places:
        raise SettingError(f"--match-test {splits}: has no test locations; give --test-frac instead")
    there = set(places)
    rows = [row for row in read_rows(table) if isinstance(row, CropRow) and row.place in there]
    if not rows:
        raise SettingError(f"--match-test {table}: has no crop at the test locations of {splits}; are they of one data set?")
    return rows, places


def _with_test_of(found: list[Crop], rows: list[CropRow], places: list[Place]) -> tuple[list[Crop], list[Reject]]:
    """Returns the crops at other locations than those of the earlier test split, and its crops; the others are rejects."""
    there = set(places)
    earlier = {row.path: row for row in rows}
    kept: list[Crop] = []
    rejects = []
    for crop in found:
        if crop.row.path in earlier:
            kept.append(replace(crop, row=earlier.pop(crop.row.path)))
        elif crop.row.place in there:
            detail = f"location {crop.row.location!r} is in the test split that is taken over, without this crop"
            rejects.append(Reject(crop.row.path, crop.row.path, UNIT, "test_location", detail))
        else:
            kept.append(crop)
    return [*kept, *(Crop(row) for row in earlier.values())], rejects


def _splits(
    rows: Sequence[CropRow],
    config: ClassificationConfig,
    specs: Specs | None,
    earlier: tuple[list[CropRow], list[Place]] | None,
) -> tuple[Splits | None, float | None, tuple[str, ...]]:
    """Returns the splits, their score, and the labels at one location; nothing where no splits are asked for."""
    if "splits" not in config.modes or config.val_frac is None:
        return None, None, ()
    fixed = list(earlier[1]) if earlier is not None else []
    free = [row for row in rows if row.place not in set(fixed)]
    if not free:
        raise SettingError("no location is left beside those of the test split; there is nothing to train on")
    table, places = group_table(free)
    shares = _shares(config)
    target = Target(
        tuple(name for name in SPLIT_NAMES if shares[name] > 0), tuple(share for share in shares.values() if share > 0)
    )
    if len(places) < len(target.names):
        raise SettingError(
            f"{len(places)} locations cannot fill {len(target.names)} splits ({', '.join(target.names)}); "
            "take fewer splits (--test-frac 0), or finer locations (`camtrap cct clean --location-from-path`)"
        )
    if config.method == "smallest_first":
        first = {label: _places_of(table, places, spec.first_datasets) for label, spec in (specs or {}).items()}
        dealing = deal_smallest_first(table, target, formula=config.split_score, first=first)
    else:
        dealing = deal_by_score(
            table,
            target,
            formula=config.split_score,
            draws=config.split_draws,
            jitter=config.split_jitter,
            seed=config.seed,
        )
    splits: Splits = {name: [] for name in SPLIT_NAMES}
    for place, split in zip(places, dealing.assignment.tolist(), strict=True):
        splits[target.names[split]].append(place)
    splits["test"] += fixed
    alone = tuple(label for label, count in zip(table.labels, table.places.tolist(), strict=True) if count == 1)
    return splits, dealing.score, alone


def _shares(config: ClassificationConfig) -> dict[str, float]:
    """Returns what each split is due; with `--match-test` of what is not test, which is due nothing then."""
    val, test = config.val_frac or 0.0, config.test_frac or 0.0
    return {"train": 1 - val - test, "val": val, "test": test}


def _places_of(table: GroupTable, places: Sequence[Place], datasets: Iterable[str]) -> list[str]:
    wanted = {name.lower() for name in datasets}
    return [name for name, place in zip(table.groups, places, strict=True) if place[0].lower() in wanted]


def _documents(
    found: Sequence[Crop], config: ClassificationConfig, document: CctDocument | None, splits: Splits | None, *, renamed: bool
) -> tuple[dict[str, CctDocument], list[str]]:
    """Returns file name → document: the whole, and one per split; and notes."""
    notes: list[str] = []
    if "cct" in config.modes and document is not None:
        whole = crops_as_cct(found, document, renamed=renamed)
        if config.prune_categories:
            whole = pruned(whole)
        lost = len(found) - len(whole.images)
        if lost:
            notes.append(f"{lost} crops of the earlier test split are not in {CCT}, as they are of another file")
        unused = len(whole.categories) - len(pruned(whole).categories)
        if unused:
            notes.append(f"{unused} of {len(whole.categories)} categories have no crop; --prune-categories leaves them out")
        documents = {CCT: whole}
    elif set(config.modes) == {"splits"} and (config.output_dir / CCT).is_file():
        whole, documents = CctDocument.read(config.output_dir / CCT), {}
    else:
        stale = [
            name
            for name in (CCT, *(split_path(Path(), split).name for split in SPLIT_NAMES))
            if (config.output_dir / name).is_file()
        ]
        if stale:
            notes.append(f"warning: {', '.join(stale)} in {config.output_dir} are of an earlier run; make them anew with --cct")
        return {}, notes
    if splits is not None:
        parts = split_document(whole, splits, dataset=config.dataset)
        documents |= {split_path(Path(), name).name: part for name, part in parts.documents.items()}
        if parts.unplaced:
            raise SourceError(
                f"{config.output_dir / CCT}: has locations that {TABLE} has not, e.g. {parts.unplaced[0][1]!r}; make both anew"
            )
    return documents, notes


def crops_as_cct(found: Iterable[Crop], document: CctDocument, *, renamed: bool = False) -> CctDocument:
    """Returns a document with an image per crop and one annotation on it.

    An image's id is `crop_<annotation id>`, so that equal inputs give equal files; `width` and `height` are those of the
    whole picture, as boxes are in it; `orig_id` and `orig_file_name` lead back to it.

    Args:
        found: crops of annotations of the document; others are left out.
        document: where they are from.
        renamed: categories are the labels of the crops instead of those of the document.
    """
    crops = [crop for crop in found if crop.annotation is not None and crop.image is not None]
    categories, number = document.categories, dict[str, int]()
    if renamed:
        number = {label: place for place, label in enumerate(sorted({label for crop in crops for label in crop.row.labels}))}
        categories = [{"id": place, "name": label} for label, place in number.items()]
    images: list[Entry] = []
    annotations: list[Entry] = []
    for crop in crops:
        image, annotation = crop.image or {}, crop.annotation or {}
        key = f"crop_{text_of(annotation.get('id'))}"
        facts: Entry = {
            name: image[name] for name in ("datetime", "date_captured", "seq_id", "width", "height") if name in image
        }
        images.append(
            {
                "id": key,
                "file_name": crop.row.path,
                **facts,
                "dataset": crop.row.dataset,
                "location": crop.row.location,
                "orig_id": image.get("id"),
                "orig_file_name": image.get("file_name"),
            }
        )
        category = {"category_id": number[crop.row.labels[0]]} if renamed else {}
        annotations.append({**annotation, "image_id": key, **category})
    return document.with_parts(images=images, annotations=annotations, categories=categories)
