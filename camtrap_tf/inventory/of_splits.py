"""The splits of a training that begins at files: a COCO Camera Traps file per split, or a table of crops with its splits.

Receives `SplitFiles`, hands on the inventory of a split and the classes in the order that the files give them. A class index
is a place in `categories` for COCO Camera Traps, a number of `label_index.json` for tables: two orders that are never mixed.
"""

from __future__ import annotations

import filecmp
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from camtrap_tf.config.picture_sources import CocoInventoryConfig
from camtrap_tf.config.training_files import FilesKind, SplitFilesConfig
from camtrap_tf.errors import LabelError, SettingError, SourceError, shortened, suggestion
from camtrap_tf.files import digest_of, join_inside, path_hint, read_json, require_folder, sha256_file, write_json
from camtrap_tf.inventory.building import begin_writing, log_labels, read_source
from camtrap_tf.inventory.building_from_standards import build_from_coco
from camtrap_tf.inventory.table import Inventory
from camtrap_tf.labels import LabelMapping
from camtrap_tf.logs import logger
from camtrap_tf.records import Reject
from camtrap_tf.sources.cct_document import CctDocument, text_of
from camtrap_tf.sources.classification_csv import ClassificationCsvSource, CropRow, read_rows
from camtrap_tf.sources.split_files import UNKNOWN_LOCATION, read_label_index, read_splits

_log = logger(__name__)

INVENTORY = "inventory.parquet"
FILES = "files.json"
"""What a cache of shards was made from, so that prediction finds the other splits."""
SPLIT_FIELD = "split_name"
"""Meta data field of a table's records that says their split."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitFiles:
    """Where the splits of a training come from.

    Attributes:
        kind: `cct` or `table`.
        documents: split → COCO Camera Traps file; empty for a table.
        crops_dir: folder that picture paths are relative to.
        label: label type of the classes.
        table: classification table.
        splits: its `splits.json`.
        label_index: its `label_index.json`; None where there is none.
    """

    kind: FilesKind
    documents: Mapping[str, Path]
    crops_dir: Path
    label: str
    table: Path | None = None
    splits: Path | None = None
    label_index: Path | None = None

    @classmethod
    def from_config(cls, config: SplitFilesConfig, label: str) -> Self:
        """Returns the files that settings name, as absolute paths, so that they mean the same wherever a command is run.

        Raises:
            SettingError: a file or folder is not there.
        """
        crops = require_folder(config.crops_dir or Path(), "--crops-dir").resolve()
        if config.classification_csv is None:
            given = {"train": config.train_cct, "val": config.val_cct, "test": config.test_cct}
            documents = {split: _there(path, f"--{split}-cct") for split, path in given.items() if path is not None}
            _refuse_twins(documents)
            return cls(kind="cct", documents=documents, crops_dir=crops, label=label)
        table = _there(config.classification_csv, "--classification-csv")
        splits = _there(config.splits or table.with_name("splits.json"), "--splits")
        index = config.label_index or table.with_name("label_index.json")
        found = _there(index, "--label-index") if config.label_index is not None or index.is_file() else None
        return cls(kind="table", documents={}, crops_dir=crops, label=label, table=table, splits=splits, label_index=found)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Returns what a cache of shards was made from.

        Raises:
            SourceError: the folder is no such cache.
        """
        value = read_json(folder / FILES, what="list of a training's files")
        try:
            documents = {str(split): Path(path) for split, path in value["documents"].items()}
            paths = {key: Path(value[key]) if value[key] else None for key in ("table", "splits", "label_index")}
            return cls(
                kind=value["kind"], documents=documents, crops_dir=Path(value["crops_dir"]), label=value["label"], **paths
            )
        except (KeyError, TypeError, AttributeError) as err:
            raise SourceError(f"{folder / FILES}: not a list of a training's files ({err!r}); train again") from err

    def write(self, folder: Path) -> None:
        """Writes the list into a cache of shards."""
        write_json(folder / FILES, self.as_json())

    def as_json(self) -> dict[str, Any]:
        """Returns plain values."""
        value = asdict(self)
        value["documents"] = {split: str(path) for split, path in self.documents.items()}
        return {key: str(one) if isinstance(one, Path) else one for key, one in value.items()}

    def document(self, split: str) -> Path:
        """Returns the COCO Camera Traps file of a split: the one given, else `<split>_cct.json` beside that of train.

        Raises:
            SettingError: there is none.
        """
        if split in self.documents:
            return self.documents[split]
        beside = self.documents["train"].with_name(f"{split}_cct.json")
        if not beside.is_file():
            there = sorted(
                {*self.documents, *(path.name.removesuffix("_cct.json") for path in beside.parent.glob("*_cct.json"))}
            )
            raise SettingError(f"--split {split}: no {beside}{suggestion(split, there)}; name the file with --cct")
        return beside

    def split_names(self) -> tuple[str, ...]:
        """Returns the splits that the files were given for, those of a table as `splits.json` names them.

        Raises:
            SourceError: it cannot be read.
        """
        if self.kind == "cct":
            return tuple(self.documents)
        return tuple(name for name, places in read_splits(self.splits or Path()).items() if places)

    def digest(self, split: str) -> str:
        """Returns a digest of everything that says what is in a split, pictures left out."""
        files = (self.document(split),) if self.kind == "cct" else (self.table, self.splits)
        digests = [sha256_file(path) for path in files if path is not None]
        return digest_of([self.kind, split, self.label, str(self.crops_dir), *digests])


class ParsedFiles:
    """What was parsed of the files of splits, so that what asks for classes and for records reads each of them once."""

    def __init__(self) -> None:
        """Begins with nothing."""
        self._documents: dict[Path, CctDocument] = {}
        self._tables: dict[tuple[Path | None, Path | None, str], tuple[Inventory, list[Reject]]] = {}

    def look_at(self, path: Path) -> CctDocument:
        """Returns a document, and keeps it until it is taken."""
        if path not in self._documents:
            self._documents[path] = CctDocument.read(path)
        return self._documents[path]

    def take(self, path: Path) -> CctDocument:
        """Returns a document, and keeps it no longer: its records need little memory, the document much."""
        return self._documents.pop(path, None) or CctDocument.read(path)

    def table(self, files: SplitFiles, path: Path) -> tuple[Inventory, list[Reject]]:
        """Returns the records of a whole table, with their splits, and what is in none; `path`: an inventory for messages."""
        key = files.table, files.splits, files.label
        if key not in self._tables:
            table, splits = files.table or Path(), read_splits(files.splits or Path())
            self._tables[key] = read_source(ClassificationCsvSource(table, splits=splits, label=files.label), table, path)
        return self._tables[key]


def _there(path: Path, flag: str) -> Path:
    if not path.is_file():
        raise SettingError(f"{flag} {path}: no such file{path_hint(path)}")
    return path.resolve()


def _refuse_twins(documents: Mapping[str, Path]) -> None:
    """Raises a SettingError where a split to measure on is the file that is trained on, or one of the same content."""
    train = documents.get("train")
    for split in ("val", "test"):
        path = documents.get(split)
        if train is not None and path is not None and (path == train or filecmp.cmp(train, path, shallow=False)):
            same = "is" if path == train else f"has the content of {train},"
            raise SettingError(
                f"--{split}-cct {path}: {same} the file of --train-cct; a model that is measured on what it was trained on "
                "looks better than it is. Give --train-cct alone, which is split by location then"
            )


def class_mapping(
    files: SplitFiles, splits: Sequence[str], *, num_classes: int | None = None, parsed: ParsedFiles | None = None
) -> LabelMapping:
    """Returns the classes of the files by index.

    Args:
        files: where the splits come from.
        splits: whose files have to agree about the classes.
        num_classes: how many there should be.
        parsed: keeps what is read here.

    Raises:
        LabelError: files differ in their categories, two have one name, or their number is another.
        SourceError: a file cannot be read.
    """
    if files.kind == "cct":
        read = CctDocument.read if parsed is None else parsed.look_at
        source = files.document(splits[0])
        names = category_order(read(source), source)
        for path in (files.document(split) for split in splits[1:]):
            other = category_order(read(path), path)
            if other != names:
                raise LabelError(f"{path}: {_difference(names, other)} {source}; cut all splits from one (`camtrap cct split`)")
    else:
        source, names = _table_classes(files)
    if num_classes is not None and num_classes != len(names):
        there = f"{source} has {len(names)} classes ({shortened(names, most=12)})"
        raise LabelError(f"--num-classes {num_classes}: {there}; give that number or none")
    return LabelMapping({files.label: {name: number for number, name in enumerate(names)}})


def category_order(document: CctDocument, path: Path) -> list[str]:
    """Returns the names of a document's categories; a place in this list is a class index.

    Raises:
        LabelError: a category has no name, or two have the same.
    """
    names = [text_of(category.get("name")) for category in document.categories]
    absent = next((number for number, name in enumerate(names) if name is None), None)
    if absent is not None:
        raise LabelError(f"{path}: category {absent + 1} of {len(names)} has no name; name it, its place is a class index")
    known = [name for name in names if name is not None]
    twice = [name for name, count in Counter(known).items() if count > 1]
    if twice:
        raise LabelError(f"{path}: two categories are called {twice[0]!r}; make them one (`camtrap cct category-map`)")
    if not known:
        raise LabelError(f"{path}: has no categories; there is nothing to learn")
    return known


def _difference(names: Sequence[str], other: Sequence[str]) -> str:
    if sorted(names) == sorted(other):
        place = next(number for number, (one, two) in enumerate(zip(names, other, strict=True)) if one != two)
        return f"category {place + 1} is {other[place]!r}, not {names[place]!r} as in"
    strange = sorted(set(names) ^ set(other))
    return f"category {strange[0]!r} is in one only of this file and"


def _table_classes(files: SplitFiles) -> tuple[Path, list[str]]:
    """Returns where the classes of a table are said, and their names: `label_index.json`, else the table's labels by name."""
    table = files.table or Path()
    present = {label for row in read_rows(table) if isinstance(row, CropRow) for label in row.labels}
    if files.label_index is None:
        return table, sorted(present)
    names = read_label_index(files.label_index)
    strange = sorted(present - set(names))
    if strange:
        raise LabelError(f"{table}: label {strange[0]!r} is not in {files.label_index}{suggestion(strange[0], names)}")
    return files.label_index, names


def inventory_of_split(files: SplitFiles, split: str, folder: Path, parsed: ParsedFiles | None = None) -> Inventory:
    """Reads the records of a split and writes them, with what was rejected, into a folder.

    Args:
        files: where they come from.
        split: which one.
        folder: for `inventory.parquet` and `inventory.rejects.csv`.
        parsed: what was read already.

    Raises:
        SettingError: there is no such split.
        SourceError: a file cannot be read, or has no usable record.
        TooManyRejectsError: more than half of the pictures are not there.
    """
    path, parsed = folder / INVENTORY, parsed or ParsedFiles()
    _log.info("split %s:", split)
    if files.kind == "cct":
        settings = CocoInventoryConfig(
            path=files.document(split), export_path=path, image_root=files.crops_dir, records="images", label_name=files.label
        )
        built = build_from_coco(settings, parsed.take(files.document(split)))
        return Inventory(built.inventory.table, built.rejects)
    names = files.split_names()
    if split not in names:
        raise SettingError(f"--split {split}: {files.splits} has no locations in it{suggestion(split, names)}")
    whole, rejects = parsed.table(files, path)
    mine = np.flatnonzero([name == split for name in whole.meta(SPLIT_FIELD)])
    if not len(mine):
        raise SourceError(f"{files.table}: no crop is at a location of split {split!r} in {files.splits}")
    inventory = whole.take(mine)
    begin_writing(path, rejects)
    inventory.write(path)
    log_labels(inventory)
    return Inventory(inventory.table, rejects)


def leakage_lines(inventories: Mapping[str, Inventory]) -> list[str]:
    """Returns a sentence each on pictures and on locations that stand in two splits; none where there are none."""
    lines = []
    pictures = _in_two({split: set(_paths(inventory)) for split, inventory in inventories.items()})
    if pictures:
        path, (one, other) = next(iter(pictures.items()))
        stand = "1 picture stands" if len(pictures) == 1 else f"{len(pictures)} pictures stand"
        lines.append(
            f"{stand} in two splits, e.g. {path} in {one} and {other}; scores on pictures that made a model say nothing"
        )
    places = shared_places(inventories)
    if places:
        place, (one, other) = next(iter(places.items()))
        stand = "1 location stands" if len(places) == 1 else f"{len(places)} locations stand"
        lines.append(
            f"{stand} in two splits, e.g. {place} in {one} and {other}; scores on pictures of a place that was trained on are "
            "too good (one --train-cct alone is split by location, `camtrap classification create` keeps places together)"
        )
    return lines


def _paths(inventory: Inventory) -> Iterator[str]:
    """Yields the path of every picture."""
    return itertools.chain.from_iterable(inventory.table["images"].to_pylist())


def _in_two(members: Mapping[str, set[str]]) -> dict[str, tuple[str, str]]:
    """Returns what is in two splits → the first two that it is in, in the order of the splits and of the texts."""
    first: dict[str, str] = {}
    shared: dict[str, tuple[str, str]] = {}
    for split, held in members.items():
        for one in sorted(held):
            if first.setdefault(one, split) != split:
                shared.setdefault(one, (first[one], split))
    return shared


def picture_state(inventory: Inventory, root: Path) -> str:
    """Returns a digest of size and time of every picture, which changes where one was cut again."""
    state = []
    for paths in inventory.table["images"].to_pylist():
        for path in paths:
            try:
                about = join_inside(root, path).stat()
                state.append([path, about.st_size, about.st_mtime_ns])
            except (OSError, ValueError):
                state.append([path, -1, -1])
    return digest_of(state)


def shared_places(inventories: Mapping[str, Inventory]) -> dict[str, tuple[str, str]]:
    """Returns the locations that stand in two splits: place → the two splits; what is unknown does not count."""
    held: dict[str, set[str]] = {}
    for split, inventory in inventories.items():
        if "location" not in inventory.meta_fields:
            continue
        datasets = inventory.meta("dataset") if "dataset" in inventory.meta_fields else [None] * len(inventory)
        places = set(zip(datasets, inventory.meta("location"), strict=True))
        held[split] = {
            f"{dataset or ''}/{place}".lstrip("/") for dataset, place in places if place and place != UNKNOWN_LOCATION
        }
    return _in_two(held)
