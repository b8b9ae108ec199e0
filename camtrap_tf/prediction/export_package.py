"""`datapackage.json` of a Camtrap DP: who made it, in which project, under which licences, where, when, of which taxa.

What people have to say comes from a YAML file or from the package with the deployments; the rest is counted from the tables.
Source: Camtrap DP 1.0.2, package metadata.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from camtrap_tf import __version__
from camtrap_tf.config.names import CropStrategy
from camtrap_tf.errors import CamtrapError, SettingError, suggestion
from camtrap_tf.files import path_hint, read_json
from camtrap_tf.prediction.export_classes import RANKS, Meaning
from camtrap_tf.prediction.export_deployments import Deployment

VERSION = "1.0.2"
BASE_URL = f"https://raw.githubusercontent.com/tdwg/camtrap-dp/{VERSION}"
TABLES = ("deployments", "media", "observations")
DESCRIPTION = "datapackage.json"
MADE_BY = "camtrap_tf"
"""Key of `datapackage.json` that says which version of this program wrote the package."""
_FILES = (DESCRIPTION, *(f"{table}.csv" for table in TABLES))
CARRIED = ("title", "contributors", "licenses", "project", "coordinatePrecision", "keywords")
"""What is taken over from the package that the deployments come from."""
MAX_FACTS_BYTES = 2**20
REGIONS = ("global", "africa", "americas", "asia", "europe", "oceania")
PLUGIN_FACTS = (
    "model_id", "friendly_name", "emoji", "description", "description_short", "developer", "owner", "citation", "license",
    "info_url", "min_app_version", "region", "hf_repo", "crop_strategy",
)  # fmt: skip
"""What may be said of a plug-in for AddaxAI. Source: its schema of manifests."""


class _Loose(BaseModel):
    """Facts of the standard, by its names; further ones are kept as they are."""

    model_config = ConfigDict(extra="allow", frozen=True, alias_generator=to_camel)


class Contributor(_Loose):
    """A person or organisation."""

    title: str = Field(min_length=1)
    email: str | None = None
    path: str | None = None
    organization: str | None = None
    role: Literal["contact", "principalInvestigator", "rightsHolder", "publisher", "contributor"] | None = None


class Licence(_Loose):
    """A licence of data or media."""

    scope: Literal["data", "media"]
    name: str | None = Field(None, pattern=r"^[-a-zA-Z0-9._]+$")
    path: str | None = None
    title: str | None = None


class Project(_Loose):
    """The study that the pictures are of; what is observed at which level is counted."""

    title: str = Field(min_length=1)
    id: str | None = None
    acronym: str | None = None
    description: str | None = None
    path: str | None = None
    sampling_design: Literal["simpleRandom", "systematicRandom", "clusteredRandom", "experimental", "targeted", "opportunistic"]
    capture_method: list[Literal["activityDetection", "timeLapse"]] = Field(min_length=1, max_length=2)
    individual_animals: bool


class RelatedIdentifier(_Loose):
    """Something that has to do with the package."""

    relation_type: str
    related_identifier: str
    related_identifier_type: str


class PackageFacts(_Loose):
    """What people have to say about a package."""

    name: str | None = Field(None, pattern=r"^[-a-z0-9._/]+$")
    id: str | None = None
    title: str | None = None
    description: str | None = None
    version: str | None = None
    homepage: str | None = None
    keywords: list[str] | None = Field(None, min_length=1)
    bibliographic_citation: str | None = None
    coordinate_precision: float | None = None
    references: list[str] | None = None
    related_identifiers: list[RelatedIdentifier] | None = None
    contributors: list[Contributor] = Field(min_length=1)
    project: Project
    licenses: list[Licence] | None = None


def read_facts(path: Path | None) -> dict[str, Any]:
    """Returns the content of a YAML file of facts; empty without one.

    Raises:
        SettingError: it cannot be read, or holds no keys.
    """
    if path is None:
        return {}
    try:
        if path.stat().st_size > MAX_FACTS_BYTES:
            raise SettingError(f"--package-facts {path}: larger than {MAX_FACTS_BYTES >> 20} MiB; is it another file?")
        text = path.read_text(encoding="utf-8")
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise SettingError(f"--package-facts {path}: has references (*name); write the values out")
        # Dates, which YAML knows and JSON does not, become texts here
        value = json.loads(json.dumps(yaml.safe_load(text), default=str, allow_nan=False))
    except FileNotFoundError as err:
        raise SettingError(f"--package-facts {path}: no such file{path_hint(path)}") from err
    except (OSError, RecursionError, ValueError, TypeError, yaml.YAMLError) as err:
        raise SettingError(f"--package-facts {path}: cannot be read as YAML: {' '.join(str(err).split())[:200]}") from err
    if not isinstance(value, dict):
        raise SettingError(f"--package-facts {path}: has no keys such as title, contributors and project")
    return {str(key): one for key, one in value.items()}


def problems(facts: Mapping[str, Any]) -> list[str]:
    """Returns what is missing in the facts, or wrong, one text each."""
    try:
        checked = PackageFacts.model_validate({"project": {}, **facts})
    except ValidationError as err:
        return [_said(problem) for problem in err.errors(include_url=False)]
    scopes = {licence.scope for licence in checked.licenses or ()}
    lacking = [scope for scope in ("data", "media") if checked.licenses is not None and scope not in scopes]
    found = [f"a licence with scope {scope}" for scope in lacking]
    nameless = any(not (licence.name or licence.path) for licence in checked.licenses or ())
    methods = checked.project.capture_method
    if len(set(methods)) < len(methods):
        found.append("project.captureMethod without repetitions")
    return [*found, *(["licenses.name or licenses.path"] if nameless else [])]


def _said(problem: Any) -> str:
    """Returns one finding in the words of the standard."""
    place = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "missing":
        return place
    said = str(problem["msg"]).replace("Input should be", "has to be")
    return f"{place} {said}"


def plugin_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the member `addaxai` of a file of facts: what AddaxAI shows of a model, and how crops are cut for it.

    Raises:
        SettingError: it lacks something, or has what cannot be used.
    """
    given = facts.get("addaxai")
    given = dict(given) if isinstance(given, dict) else {}
    for key in given:
        if key not in PLUGIN_FACTS:
            raise SettingError(f"--package-facts: addaxai.{key} is none of its keys{suggestion(str(key), PLUGIN_FACTS)}")
        if not isinstance(given[key], str):
            raise SettingError(f"--package-facts: addaxai.{key} has to be a text")
    lacking = [key for key in ("developer", "info_url") if not given.get(key)]
    if lacking:
        raise SettingError(
            f"AddaxAI wants to know {' and '.join(lacking)} of the model; give them in --package-facts, below the key addaxai"
        )
    for key, known in (("crop_strategy", get_args(CropStrategy)), ("region", REGIONS)):
        if key in given and given[key] not in known:
            raise SettingError(f"--package-facts: addaxai.{key} {given[key]!r}: no such choice{suggestion(given[key], known)}")
    return given


def datapackage(
    facts: Mapping[str, Any],
    *,
    name: str,
    created: dt.datetime,
    deployments: Sequence[Deployment],
    levels: Iterable[str],
    taxa: Sequence[Mapping[str, Any]],
    classifier: str,
) -> dict[str, Any]:
    """Returns the content of `datapackage.json`.

    Args:
        facts: what people said, checked with `problems`.
        name: of the package; is made fit for one.
        created: when.
        deployments: those in the package.
        levels: `media`, `event`: what there are observations of.
        taxa: taxonomic coverage.
        classifier: what made the observations, with its version.
    """
    own = ("resources", "profile", "created", "addaxai", MADE_BY)
    given = {key: value for key, value in facts.items() if key not in own and value is not None}
    return {
        "resources": [_resource(table) for table in TABLES],
        "profile": f"{BASE_URL}/camtrap-dp-profile.json",
        "name": re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._") or "predictions",
        "created": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        MADE_BY: __version__,
        "sources": [{"title": classifier}],
        **given,
        "project": {**given["project"], "observationLevel": sorted(set(levels), reverse=True)},
        "spatial": spatial(deployments),
        "temporal": {
            "start": min(one.cells["deploymentStart"] for one in deployments)[:10],
            "end": max(one.cells["deploymentEnd"] for one in deployments)[:10],
        },
        "taxonomic": list(taxa),
    }


def require_own_package(folder: Path) -> None:
    """Makes sure that a folder holds a package that this program wrote and nothing else, so that a newer one may replace it.

    Raises:
        SettingError: it does not; says why.
    """
    kept = "it is kept; remove it, or give another --export-dir"
    if folder.is_symlink() or not folder.is_dir():
        raise SettingError(f"--overwrite: {folder} is no folder; {kept}")
    foreign = sorted(path.name for path in folder.iterdir() if path.name not in _FILES or path.is_symlink() or path.is_dir())
    if foreign:
        raise SettingError(f"--overwrite: {folder} holds {foreign[0]!r}, which is no part of an exported package; {kept}")
    try:
        described = read_json(folder / DESCRIPTION, what="description of a package")
    except CamtrapError as err:
        raise SettingError(f"--overwrite: {folder} is no exported package ({err}); {kept}") from err
    if not isinstance(described, dict) or MADE_BY not in described:
        raise SettingError(f"--overwrite: {folder} is a package of another program ({DESCRIPTION} lacks {MADE_BY!r}); {kept}")


def _resource(table: str) -> dict[str, str]:
    """Returns the description of one table."""
    return {
        "name": table,
        "path": f"{table}.csv",
        "profile": "tabular-data-resource",
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "schema": f"{BASE_URL}/{table}-table-schema.json",
    }


def spatial(deployments: Sequence[Deployment]) -> dict[str, Any]:
    """Returns the rectangle around all deployments as GeoJSON; a point where they stand at one place."""
    east_west = [float(one.cells["longitude"]) for one in deployments]
    north_south = [float(one.cells["latitude"]) for one in deployments]
    west, east, south, north = min(east_west), max(east_west), min(north_south), max(north_south)
    if west == east and south == north:
        return {"type": "Point", "coordinates": [west, south]}
    if west == east or south == north:
        return {"type": "LineString", "coordinates": [[west, south], [east, north]]}
    return {"type": "Polygon", "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]]}


def taxonomic(
    names: Iterable[str], meanings: Iterable[Meaning], coverage: Sequence[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """Returns the taxonomic coverage of these scientific names, sorted: as a package has it, else as the table of taxa says."""
    covered = {entry.get("scientificName"): dict(entry) for entry in coverage}
    told = {one.name: one.taxon for one in meanings if one.name}
    found = []
    for name in sorted(set(names)):
        facts = told.get(name, {})
        own = {key: facts[key] for key in ("taxonID", "taxonRank", *RANKS[:-1]) if key in facts}
        found.append(covered.get(name) or {"scientificName": name, **own})
    return found
