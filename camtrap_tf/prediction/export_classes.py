"""What the classes of the species label mean elsewhere: nothing, a person, a vehicle, or a taxon with a scientific name.

Known words and scientific names are understood by themselves, the others come from a table (`--taxa`) or from the taxonomic
coverage of a Camtrap DP package. Source: Camtrap DP 1.0.2, `observationType` and `taxonomic`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from camtrap_tf.errors import SourceError, suggestion
from camtrap_tf.logs import logger
from camtrap_tf.sources.table_columns import TableColumns, read_table

LOG = logger(__name__)

ANIMAL, HUMAN, VEHICLE, BLANK, UNKNOWN, UNCLASSIFIED = "animal", "human", "vehicle", "blank", "unknown", "unclassified"
TYPES = (ANIMAL, HUMAN, VEHICLE, BLANK, UNKNOWN, UNCLASSIFIED)
WORDS: Mapping[str, tuple[str, ...]] = {
    BLANK: ("blank", "empty", "nothing", "none", "nothinghere", "noanimal", "ghost", "falsetrigger", "misfire"),
    HUMAN: ("human", "humans", "person", "persons", "people", "homosapiens", "hunter", "hiker", "cyclist"),
    VEHICLE: ("vehicle", "vehicles", "car", "truck", "bike", "bicycle", "motorbike", "motorcycle", "tractor"),
    UNKNOWN: ("unknown", "unidentified", "unidentifiable", "unid", "cannotidentify", "unknownanimal"),
    UNCLASSIFIED: ("unclassified", "unlabeled", "unlabelled"),
}
"""Observation type → classes of that type, in small letters, without `_`, `-`, `.` and spaces."""

RANKS = ("kingdom", "phylum", "class", "order", "family", "genus", "species")
CLASS_COLUMN = "model_class"
VERNACULAR = "vernacularName"
COLUMNS = (CLASS_COLUMN, "scientificName", VERNACULAR, "observationType", "taxonID", "taxonRank", *RANKS, "variant")
DESCRIBED_RANKS = ("class", "order", "family", "genus")
_ENGLISH = ("eng", "en")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_BINOMIAL = re.compile(r"[A-Z][a-z]+(?:-[a-z]+)? [a-z]{2,}(?:-[a-z]+)?(?: [a-z]{2,}(?:-[a-z]+)?)?")


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a class means.

    Attributes:
        kind: observation type.
        name: scientific name; empty where it has none.
        taxon: `taxonID`, `taxonRank`, ranks from kingdom to species (its epithet), of those that are known.
        common: vernacular name; empty where none is known.
        settled: False where a scientific name is needed and not known.
    """

    kind: str
    name: str = ""
    taxon: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    settled: bool = True
    common: str = ""

    def described(self, class_name: str) -> str:
        """Returns the seven parts `guid;class;order;family;genus;species;common name`, empty where unknown, in small letters.

        `species` is the epithet, of a subspecies both. A class without a vernacular name that is no scientific name either is
        its own; nothing being there is `blank`. A `taxonID` that small letters would change is left out, unless it is a UUID.
        Source: MegaDetector output format 1.6, `classification_category_descriptions`.

        Args:
            class_name: the class that means this.
        """
        ranks = [self.taxon.get(rank, "") for rank in DESCRIBED_RANKS]
        rank, species = self.taxon.get("taxonRank", ""), self.taxon.get("species", "")
        if rank in DESCRIBED_RANKS:
            ranks[DESCRIBED_RANKS.index(rank)] = self.name
        genus, _, epithet = self.name.partition(" ")
        if epithet:
            ranks[-1], species = ranks[-1] or genus, epithet
        guid = self.taxon.get("taxonID", "")
        guid = guid if guid == guid.lower() or _UUID.fullmatch(guid) else ""
        own = BLANK if self.kind == BLANK else "" if _plain(class_name) == _plain(self.name) else class_name
        parts = (guid, *ranks, species, self.common or own)
        return ";".join(" ".join(part.replace(";", " ").split()).lower() for part in parts)


def meanings(
    names: Iterable[str], *, taxa: Path | None = None, coverage: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Meaning]:
    """Returns class name → what it means.

    The table decides, then known words, then the taxonomic coverage (scientific and vernacular names), then the name itself
    where it is a scientific one of two or three words.

    Args:
        names: of the classes.
        taxa: table with the columns `COLUMNS`; AddaxAI's `taxonomy.csv` is one.
        coverage: member `taxonomic` of a Camtrap DP package.

    Raises:
        SourceError: the table cannot be read or used.
    """
    names = list(names)
    told = {} if taxa is None else _table(taxa, names)
    covered = _covered(coverage)
    return {name: told.get(name) or _by_itself(name, covered) for name in names}


def without_name(found: Mapping[str, Meaning]) -> list[str]:
    """Returns the classes that need a scientific name and have none."""
    return [name for name, meaning in found.items() if not meaning.settled]


def _by_itself(name: str, covered: Mapping[str, Meaning]) -> Meaning:
    """Returns what a class means as far as its name tells."""
    plain = _plain(name)
    for kind, words in WORDS.items():
        if plain in words:
            return Meaning(kind)
    if plain in covered:
        return covered[plain]
    if plain in ("animal", "animals"):
        return Meaning(ANIMAL, "Animalia", MappingProxyType({"taxonRank": "kingdom", "kingdom": "Animalia"}))
    if _BINOMIAL.fullmatch(name):
        return Meaning(ANIMAL, name)
    return Meaning(ANIMAL, settled=False)


def _plain(name: str) -> str:
    """Returns a name in small letters, without spaces, `_`, `-` and `.`."""
    return re.sub(r"[\s_.\-]+", "", name).lower()


def _covered(coverage: Sequence[Mapping[str, Any]]) -> dict[str, Meaning]:
    """Returns plain scientific and vernacular names → taxon of a package."""
    found: dict[str, Meaning] = {}
    for entry in coverage:
        name = entry.get("scientificName") if isinstance(entry, Mapping) else None
        if not isinstance(name, str) or not name:
            continue
        facts = {key: entry[key] for key in ("taxonID", "taxonRank", *RANKS[:-1]) if isinstance(entry.get(key), str)}
        spoken = entry.get("vernacularNames")
        spoken = spoken if isinstance(spoken, Mapping) else {}
        common = next((str(spoken[key]) for key in _ENGLISH if spoken.get(key)), "")
        meaning = Meaning(ANIMAL, name, MappingProxyType(facts), common=common)
        found[_plain(name)] = meaning
        for word in spoken.values():
            found.setdefault(_plain(str(word)), meaning)
    return found


def _table(path: Path, names: Sequence[str]) -> dict[str, Meaning]:
    """Returns class name → meaning, as a table says.

    Raises:
        SourceError: it cannot be read, or a cell cannot be used.
    """
    table = read_table(path, what="table of taxa", unit="record")
    strange = [name for name in table.columns if name not in COLUMNS]
    if strange:
        raise SourceError(f"{path}: column {strange[0]!r} is not one of --taxa{suggestion(strange[0], COLUMNS)}")
    if table.rejects:
        raise SourceError(f"{path}: {table.rejects[0].item}: {table.rejects[0].detail}; mend that line")
    by_lower = {name.lower(): name for name in reversed(names)}
    found: dict[str, Meaning] = {}
    foreign = []
    for row in _rows(table):
        name = row.get(CLASS_COLUMN, "")
        known = name if name in names else by_lower.get(name.lower())
        if known is None:
            foreign.append(name)
            continue
        if known in found:
            raise SourceError(f"{path}: class {name!r} is there twice; keep one line")
        found[known] = _told(row, path)
    if not found and names:
        first = foreign[0] if foreign else ""
        raise SourceError(f"{path}: has no class of the model, but e.g. {first!r}{suggestion(first, names)}")
    if foreign:
        LOG.info("%s: %d lines are of classes that the model does not have, e.g. %s", path, len(foreign), foreign[0])
    return found


def _rows(table: TableColumns) -> Iterable[dict[str, str]]:
    """Yields the rows of a table without their empty cells."""
    table.required(CLASS_COLUMN)
    columns = {name: column.to_pylist() for name, column in table.columns.items()}
    for i in range(len(table)):
        yield {name: values[i].strip() for name, values in columns.items() if values[i] is not None and values[i].strip()}


def _told(row: Mapping[str, str], path: Path) -> Meaning:
    """Returns what one line of the table says.

    Raises:
        SourceError: a cell is none of the standard's words.
    """
    name = row[CLASS_COLUMN]
    kind = row.get("observationType", "").lower()
    if kind and kind not in TYPES:
        raise SourceError(f"{path}: class {name!r}: observationType {kind!r} is none{suggestion(kind, TYPES)}")
    facts = {key: row[key] for key in ("taxonID", "taxonRank", *RANKS) if key in row}
    scientific, rank = row.get("scientificName", ""), row.get("taxonRank", "")
    if not scientific:
        scientific, rank = _lowest(facts)
    if rank:
        facts["taxonRank"] = rank
    if rank and rank not in (*RANKS, "subspecies"):
        raise SourceError(f"{path}: class {name!r}: taxonRank {rank!r} is none{suggestion(rank, (*RANKS, 'subspecies'))}")
    facts = {key: value.capitalize() if key in RANKS[:-1] else value for key, value in facts.items()}
    if not kind and not scientific:
        kind = _by_itself(name, {}).kind  # a line without any name says: there is none
    kind = kind or ANIMAL
    scientific = scientific if kind in (ANIMAL, HUMAN) else ""
    return Meaning(kind, scientific, MappingProxyType(facts), common=row.get(VERNACULAR, ""))


def _lowest(facts: Mapping[str, str]) -> tuple[str, str]:
    """Returns the scientific name of the lowest rank that is known, and that rank; empty where none is."""
    if "species" in facts and "genus" in facts:
        return f"{facts['genus'].capitalize()} {facts['species'].lower()}", "species"
    for rank in reversed(RANKS[:-1]):
        if rank in facts:
            return facts[rank].capitalize(), rank
    return "", ""
