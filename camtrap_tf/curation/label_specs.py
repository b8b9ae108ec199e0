"""Label specifications: which classes of which data sets, or which taxa, become which label; CSV ⇄ JSON, and their use.

| row of the CSV (`output_label,type,content`) | in the JSON |
| --- | --- |
| `bird,row,ds1\\|turkey` | `bird.dataset_labels.ds1` has `turkey` |
| `bird,datasettaxon,ds1\\|class\\|aves` | `bird.taxa` has `{"level": "class", "name": "aves", "datasets": ["ds1"]}` |
| `bird,class,aves` | `bird.taxa` has `{"level": "class", "name": "aves"}` |
| `!bird,…` | the same, under `bird.exclude` |
| `bird,max_count,5000` | `bird.max_count` |
| `bird,prioritize,"[[""ds1""], [""ds2""]]"` | `bird.prioritize` |

Lines that begin with `#` are comments. Source of the two forms: MegaDetector's classification data sets.
"""

from __future__ import annotations

import ast
import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from camtrap_tf.config.classification import LabelSpecConfig
from camtrap_tf.errors import LabelError, SourceError
from camtrap_tf.files import check_output_file, path_hint, read_json, unreadable, write_csv, write_json
from camtrap_tf.records import Reject
from camtrap_tf.sources.classification_csv import CropRow
from camtrap_tf.sources.csv_rows import CsvRows, positions

COLUMNS = ("output_label", "type", "content")
SPEC_KEYS = frozenset(("taxa", "dataset_labels", "exclude", "max_count", "prioritize"))
MOST_CHARACTERS = 10_000
"""Longer cells are refused: no list of data sets needs them."""

Class = tuple[str, str]
"""Data set and what it calls a class, both in lower case."""
Taxonomy = Mapping[tuple[str, str], frozenset[Class]]
"""Level and name of a taxon, in lower case → classes of data sets that belong to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taxon:
    """A taxon, of some data sets or of all.

    Attributes:
        level: rank, e.g. `class`.
        name: scientific name, e.g. `aves`.
        datasets: only these data sets; empty: all.
    """

    level: str
    name: str
    datasets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Classes that are meant: by their names, and by their taxa.

    Attributes:
        dataset_labels: data set → its classes.
        taxa: taxa.
    """

    dataset_labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    taxa: tuple[Taxon, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSpec:
    """What becomes one label.

    Attributes:
        include: classes that do.
        exclude: those of them that do not.
        max_count: crops of it at most; None: all.
        prioritize: groups of data sets to take crops from first, before all others.
    """

    include: Chosen = Chosen()
    exclude: Chosen = Chosen()
    max_count: int | None = None
    prioritize: tuple[tuple[str, ...], ...] = ()

    @property
    def first_datasets(self) -> tuple[str, ...]:
        """The data sets to prioritise, in order."""
        return tuple(name for group in self.prioritize for name in group)


Specs = dict[str, LabelSpec]


def read_label_spec(path: Path) -> Specs:
    """Returns label → specification, of a CSV or a JSON by its ending.

    Raises:
        SourceError: it cannot be read, or an entry is not what it should be.
    """
    return _read_csv(path) if path.suffix.lower() == ".csv" else _read_json(path)


def write_label_spec(path: Path, specs: Specs) -> None:
    """Writes a specification as CSV or JSON, by the ending of the path."""
    if path.suffix.lower() == ".csv":
        write_csv(path, COLUMNS, _csv_rows(specs))
    else:
        write_json(path, {label: _json_of(spec) for label, spec in specs.items()}, indent=1)


@dataclass(frozen=True, slots=True)
class LabelSpecWritten:
    """A specification in another form."""

    path: Path
    output: Path
    specs: Specs
    dry_run: bool = False

    def text(self) -> str:
        """Returns the summary for a person."""
        lines = [f"{self.path}: {len(self.specs)} labels"]
        for label, spec in self.specs.items():
            classes = sum(map(len, spec.include.dataset_labels.values()))
            most = "" if spec.max_count is None else f", at most {spec.max_count} crops"
            first = f", first of {' '.join(spec.first_datasets)}" if spec.prioritize else ""
            lines.append(f"  {label}: {classes} classes, {len(spec.include.taxa)} taxa{most}{first}")
        return "\n".join([*lines, f"{'would write ' if self.dry_run else ''}{self.output}"])


def convert_label_spec(config: LabelSpecConfig) -> LabelSpecWritten:
    """Reads a specification and writes it in the other form.

    Raises:
        SettingError: it cannot be written there.
        SourceError: it cannot be read.
    """
    check_output_file(config.output, "--output", suffixes=(".csv", ".json"), sources=(config.path,))
    specs = read_label_spec(config.path)
    if not config.dry_run:
        write_label_spec(config.output, specs)
    return LabelSpecWritten(config.path, config.output, specs, config.dry_run)


def _read_csv(path: Path) -> Specs:
    values: dict[str, dict[str, Any]] = {}
    columns: list[int] | None = None
    reader = csv.reader(_lines(path), strict=True)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            where = f"{path}, line {reader.line_num}"
            if not any(cells):
                continue
            if columns is None:
                columns = _columns(cells, path)
            elif len(cells) <= max(columns):
                raise SourceError(f"{where}: has {len(cells)} cells; a row is {','.join(COLUMNS)}")
            else:
                label, kind, content = (cells[place] for place in columns)
                _add(values, label, kind, content, where)
    except csv.Error as err:
        raise SourceError(f"{path}, line {reader.line_num}: cannot be read as CSV: {err}") from err
    return {label: _spec(value, f"{path}, label {label!r}") for label, value in values.items()}


def _lines(path: Path) -> list[str]:
    """Returns the lines of a CSV; comments are blank lines, so that the others keep their numbers."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as err:
        raise SourceError(f"{path}: no such label specification{path_hint(path)}") from err
    except OSError as err:
        raise SourceError(f"{path}: {unreadable(err, 'label specification')}") from err
    except UnicodeDecodeError as err:
        raise SourceError(f"{path}: cannot be read as a label specification: {err}") from err
    return ["\n" if line.lstrip().startswith("#") else line for line in text.splitlines(keepends=True)]


def _columns(header: list[str], path: Path) -> list[int]:
    if not set(COLUMNS) <= set(header):
        raise SourceError(f"{path}: not a label specification; its columns have to be {','.join(COLUMNS)}")
    return [header.index(column) for column in COLUMNS]


def _add(values: dict[str, dict[str, Any]], label: str, kind: str, content: str, where: str) -> None:
    """Adds one row of a CSV to the JSON form of its label; raises a SourceError where it cannot be one."""
    excluded = label.startswith("!")
    name = label.removeprefix("!").strip()
    if not name or not kind or not content:
        raise SourceError(f"{where}: {label},{kind},{content} has an empty cell")
    whole = values.setdefault(name, {})
    part = whole.setdefault("exclude", {}) if excluded else whole
    pieces = [piece.strip() for piece in content.split("|")]
    if kind == "row":
        _need(pieces, 2, "<data set>|<class>", where)
        part.setdefault("dataset_labels", {}).setdefault(pieces[0], []).append(pieces[1])
    elif kind == "datasettaxon":
        _need(pieces, 3, "<data set>|<level>|<name>", where)
        part.setdefault("taxa", []).append({"level": pieces[1], "name": pieces[2], "datasets": [pieces[0]]})
    elif kind in ("max_count", "prioritize"):
        if excluded:
            raise SourceError(f"{where}: {kind} cannot be excluded; leave out the !")
        if kind in whole:
            raise SourceError(f"{where}: {name!r} has {kind} twice")
        whole[kind] = _literal(content, where)
    else:
        part.setdefault("taxa", []).append({"level": kind, "name": content})


def _need(pieces: Sequence[str], count: int, form: str, where: str) -> None:
    if len(pieces) != count or not all(pieces):
        raise SourceError(f"{where}: {'|'.join(pieces)!r} is not {form}")


def _literal(text: str, where: str) -> Any:
    """Returns a number or list that a cell holds, in the spelling of JSON or Python; nothing in it is run."""
    if len(text) > MOST_CHARACTERS:
        raise SourceError(f"{where}: the cell is longer than {MOST_CHARACTERS} characters")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as err:
        raise SourceError(f"{where}: {text[:60]!r} is neither a number nor a list") from err


def _read_json(path: Path) -> Specs:
    value = read_json(path, what="label specification")
    if not isinstance(value, dict) or not all(isinstance(one, dict) for one in value.values()):
        raise SourceError(f'{path}: not a label specification; that is {{"label": {{"dataset_labels": …, "taxa": …}}, …}}')
    return {label: _spec(one, f"{path}, label {label!r}") for label, one in value.items()}


def _spec(value: Mapping[str, Any], where: str) -> LabelSpec:
    """Returns the specification that an object of the JSON form holds.

    Raises:
        SourceError: something in it is not what it should be.
    """
    unknown = sorted(value.keys() - SPEC_KEYS)
    if unknown:
        raise SourceError(f"{where}: has {unknown[0]!r}; known are {', '.join(sorted(SPEC_KEYS))}")
    most = value.get("max_count")
    if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
        raise SourceError(f"{where}: max_count {str(most)[:40]!r} is not a whole number above 0")
    groups = value.get("prioritize") or []
    if not isinstance(groups, list) or not all(_is_names(group) for group in groups):
        raise SourceError(f"{where}: prioritize is not a list of lists of data sets")
    if groups and most is None:
        raise SourceError(f"{where}: prioritize needs max_count; without it every crop is taken anyway")
    exclude = value.get("exclude") or {}
    if not isinstance(exclude, dict) or exclude.keys() - {"taxa", "dataset_labels"}:
        raise SourceError(f"{where}: exclude is not an object of taxa and dataset_labels")
    include = _chosen(value, where)
    if not include.taxa and not include.dataset_labels:
        raise SourceError(f"{where}: names no class; give it dataset_labels or taxa")
    return LabelSpec(
        include=include,
        exclude=_chosen(exclude, f"{where}, exclude"),
        max_count=most,
        prioritize=tuple(tuple(group) for group in groups),
    )


def _chosen(value: Mapping[str, Any], where: str) -> Chosen:
    labels, taxa = value.get("dataset_labels") or {}, value.get("taxa") or []
    if not isinstance(labels, dict) or not all(_is_names(names) for names in labels.values()):
        raise SourceError(f"{where}: dataset_labels is not data set: list of classes")
    if not isinstance(taxa, list):
        raise SourceError(f"{where}: taxa is not a list")
    found = []
    for taxon in taxa:
        if not isinstance(taxon, dict) or not _is_names([taxon.get("level"), taxon.get("name")]):
            raise SourceError(f"{where}: {str(taxon)[:60]} is no taxon; that has level and name")
        if not _is_names(taxon.get("datasets") or []):
            raise SourceError(f"{where}: datasets of {taxon['name']!r} is not a list of names")
        found.append(Taxon(level=taxon["level"], name=taxon["name"], datasets=tuple(taxon.get("datasets") or ())))
    return Chosen(dataset_labels={name: tuple(names) for name, names in labels.items()}, taxa=tuple(found))


def _is_names(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(one, str) and one for one in value)


def _json_of(spec: LabelSpec) -> dict[str, Any]:
    value = _json_of_chosen(spec.include)
    if exclude := _json_of_chosen(spec.exclude):
        value["exclude"] = exclude
    if spec.max_count is not None:
        value["max_count"] = spec.max_count
    if spec.prioritize:
        value["prioritize"] = [list(group) for group in spec.prioritize]
    return value


def _json_of_chosen(chosen: Chosen) -> dict[str, Any]:
    value: dict[str, Any] = {}
    if chosen.taxa:
        value["taxa"] = [
            {"level": taxon.level, "name": taxon.name} | ({"datasets": list(taxon.datasets)} if taxon.datasets else {})
            for taxon in chosen.taxa
        ]
    if chosen.dataset_labels:
        value["dataset_labels"] = {name: list(labels) for name, labels in chosen.dataset_labels.items()}
    return value


def _csv_rows(specs: Specs) -> Iterator[tuple[str, str, str]]:
    for label, spec in specs.items():
        yield from _csv_rows_of(label, spec.include)
        yield from _csv_rows_of(f"!{label}", spec.exclude)
        if spec.max_count is not None:
            yield label, "max_count", str(spec.max_count)
        if spec.prioritize:
            yield label, "prioritize", json.dumps(spec.prioritize, ensure_ascii=False)


def _csv_rows_of(label: str, chosen: Chosen) -> Iterator[tuple[str, str, str]]:
    for taxon in chosen.taxa:
        if not taxon.datasets:
            yield label, taxon.level, taxon.name
        for name in taxon.datasets:
            yield label, "datasettaxon", f"{name}|{taxon.level}|{taxon.name}"
    for name, labels in chosen.dataset_labels.items():
        for one in labels:
            yield label, "row", f"{name}|{one}"


def read_taxonomy(path: Path) -> Taxonomy:
    """Returns level and name → classes, of a taxonomy table.

    Args:
        path: CSV with the columns `dataset_name`, `query` (what the data set calls a class) and one column per level, such as
            `class`, `family`, `species`; the mapping that LILA publishes is one.

    Raises:
        SourceError: it cannot be read, or is no such table.
    """
    table = CsvRows(path)
    if not {"dataset_name", "query"} <= set(table.header):
        raise SourceError(f"{path}: not a taxonomy; it needs the columns dataset_name and query, and one per level")
    dataset, query = positions(table, ("dataset_name", "query"), "--taxonomy")
    found: dict[tuple[str, str], set[Class]] = {}
    for row in table.rows():
        if isinstance(row, Reject):
            continue
        cells = [cell.strip().lower() for cell in row[1]]
        for place, level in enumerate(table.header):
            if place not in (dataset, query) and cells[place]:
                found.setdefault((level.strip().lower(), cells[place]), set()).add((cells[dataset], cells[query]))
    return {taxon: frozenset(classes) for taxon, classes in found.items()}


def labels_of_classes(
    specs: Specs, classes: Iterable[Class], taxonomy: Taxonomy | None = None, *, multilabel: bool = False
) -> dict[Class, tuple[str, ...]]:
    """Returns data set and class (lower case) → labels, for the classes that a specification names.

    Args:
        specs: the specification.
        classes: data set and class of everything there is.
        taxonomy: which classes belong to which taxon; needed where a specification names taxa.
        multilabel: whether a class may become several labels.

    Raises:
        LabelError: a label matches nothing, a class becomes several labels, or taxa are named without a taxonomy.
    """
    known = {(dataset.lower(), name.lower()) for dataset, name in classes}
    found: dict[Class, list[str]] = {}
    for label, spec in specs.items():
        mine = (_matches(spec.include, known, taxonomy, label) - _matches(spec.exclude, known, taxonomy, label)) & known
        if not mine:
            there = ", ".join(f"{dataset}|{name}" for dataset, name in sorted(known)[:8])
            raise LabelError(f"label {label!r} of the specification matches no class of the data; there are: {there}")
        for one in mine:
            found.setdefault(one, []).append(label)
    several = {one: labels for one, labels in found.items() if len(labels) > 1}
    if several and not multilabel:
        one = min(several)
        raise LabelError(
            f"class {one[1]!r} of data set {one[0]!r} becomes {' and '.join(map(repr, several[one]))}; "
            "exclude it from one of them"
        )
    return {one: tuple(labels) for one, labels in found.items()}


def _matches(chosen: Chosen, known: set[Class], taxonomy: Taxonomy | None, label: str) -> set[Class]:
    found = {(name.lower(), one.lower()) for name, labels in chosen.dataset_labels.items() for one in labels}
    for taxon in chosen.taxa:
        if taxonomy is None:
            raise LabelError(
                f"label {label!r} names the {taxon.level} {taxon.name!r}; give --taxonomy, which says what is in it"
            )
        members = taxonomy.get((taxon.level.lower(), taxon.name.lower()), frozenset())
        datasets = {name.lower() for name in taxon.datasets}
        found |= {one for one in members & known if not datasets or one[0] in datasets}
    return found


def apply_label_spec(
    rows: Sequence[CropRow], specs: Specs, taxonomy: Taxonomy | None = None, *, seed: int = 0
) -> tuple[list[CropRow], list[Reject]]:
    """Returns crops under their labels by a specification, and those that it does not name or that are over `max_count`.

    Which crops stay within `max_count` depends on the seed and their paths: data sets of the first group of `prioritize`
    come first, then those of the next, then all others.

    Raises:
        LabelError: as of `labels_of_classes`.
    """
    labels = labels_of_classes(specs, {(row.dataset, row.dataset_class) for row in rows}, taxonomy)
    kept: list[CropRow] = []
    rejects: list[Reject] = []
    for row in rows:
        found = labels.get((row.dataset.lower(), row.dataset_class.lower()))
        if found is None:
            detail = f"the specification has no label for {row.dataset_class!r} of {row.dataset!r}"
            rejects.append(Reject(row.path, row.path, "crop", "not_in_label_spec", detail))
        else:
            kept.append(replace(row, labels=found))
    over: dict[str, str] = {}
    for label, spec in specs.items():
        mine = [row for row in kept if label in row.labels]
        if spec.max_count is None or len(mine) <= spec.max_count:
            continue
        ranked = sorted(mine, key=lambda row, spec=spec: (_priority(row.dataset, spec), _draw(row.path, seed)))  # type: ignore[misc]  # the default binds the loop's value
        over |= dict.fromkeys(
            (row.path for row in ranked[spec.max_count :]), f"one of {len(mine)} {label!r}; max_count {spec.max_count}"
        )
    rejects += [Reject(row.path, row.path, "crop", "over_max_count", over[row.path]) for row in kept if row.path in over]
    return [row for row in kept if row.path not in over], rejects


def _priority(dataset: str, spec: LabelSpec) -> int:
    names = [{name.lower() for name in group} for group in spec.prioritize]
    return next((place for place, group in enumerate(names) if dataset.lower() in group), len(names))


def _draw(path: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{path}".encode()).digest()
