"""Settings of predictions in other systems' forms: Camtrap DP, MegaDetector JSON, Timelapse, a plug-in for AddaxAI."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import Field, model_validator

from camtrap_tf.config.base import LoggedConfig, StageConfig
from camtrap_tf.errors import suggestion

ExportForm = Literal["camtrap-dp", "megadetector", "timelapse", "addaxai"]
FORMS: tuple[str, ...] = get_args(ExportForm)

_OFFSET = re.compile(r"Z|[+-](?:0\d|1[0-4]):[0-5]\d")
_DATA_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
OWN_DATA_LABELS = ("File", "RelativePath", "DateTime")
"""Columns that every Timelapse template has and the table always has."""


class ExportFormsConfig(StageConfig):
    """Which further forms to write, and the facts that they need."""

    export: tuple[ExportForm, ...] = Field((), description=f"further forms to write: {', '.join(FORMS)}")
    export_dir: Path | None = Field(None, description="folder for these; default: beside the results file, named after it")
    overwrite: bool = Field(
        False, description="camtrap-dp: replace the package of an earlier export; a folder that holds anything else is kept"
    )
    export_root: Path | None = Field(
        None, description="folder that picture paths in these are relative to; default: the folder of the pictures"
    )
    species_label: str | None = Field(None, description="label type with the species; default: species, or the only one")
    taxa: Path | None = Field(
        None,
        description="CSV that says what classes are: model_class, scientificName, observationType, ranks (see the guide)",
    )
    min_confidence: float = Field(0.01, ge=0, le=1, description="classes below this are left out of the megadetector form")
    unknown_below: float = Field(
        0.0, ge=0, le=1, description="camtrap-dp: observations less sure than this are of the type unknown"
    )
    deployments: Path | None = Field(
        None, description="camtrap-dp: CSV of deployments, or a Camtrap DP package with them (folder or datapackage.json)"
    )
    inventory: Path | None = Field(
        None, description="inventory of the pictures: their times, events, deployments, digests, found by path"
    )
    utc_offset: str | None = Field(None, description="camtrap-dp: time zone of times without one, e.g. +02:00 or Z")
    package_facts: Path | None = Field(
        None,
        description="YAML with what datapackage.json says: title, contributors, project, licenses … (addaxai: model facts)",
    )
    media_url: str | None = Field(None, description="camtrap-dp: put before picture paths, e.g. https://example.org/pictures/")
    media_hashes: bool = Field(True, description="camtrap-dp: SHA-256 of each picture in mediaComments")
    classified_by: str | None = Field(None, min_length=1, description="name and version of the model; default: the bundle's")
    timelapse_columns: tuple[str, ...] = Field(
        (), description="timelapse: label=DataLabel of your template, e.g. species=Species species.confidence=Sure"
    )

    @model_validator(mode="after")
    def _check_export(self) -> Self:
        """Refuses settings that do nothing, or cannot be read."""
        if len(set(self.export)) < len(self.export):
            raise ValueError("--export names a form twice")
        if not self.export:
            given = [name for name in ExportFormsConfig.model_fields if getattr(self, name) != _default(name)]
            if given:
                raise ValueError(f"--{given[0].replace('_', '-')} does nothing without --export ({', '.join(FORMS)})")
        if self.utc_offset is not None and not _OFFSET.fullmatch(self.utc_offset):
            raise ValueError(f"--utc-offset {self.utc_offset}: not a time zone such as +02:00, -05:30 or Z")
        if self.media_url is not None and not re.match(r"https?://[^\s/]", self.media_url):
            raise ValueError(f"--media-url {self.media_url}: not an http(s) address")
        timelapse_columns(self.timelapse_columns)
        return self


def _default(name: str) -> Any:
    """Returns the default of a setting of `ExportFormsConfig`."""
    return ExportFormsConfig.model_fields[name].default


def timelapse_columns(pairs: tuple[str, ...]) -> dict[str, str]:
    """Returns what is written (a label type, or `<label>.confidence`) → data label of the template.

    Raises:
        ValueError: a pair is none, or a data label cannot be one.
    """
    columns: dict[str, str] = {}
    for pair in pairs:
        what, sign, name = pair.rpartition("=")
        if not sign or not what:
            raise ValueError(f"--timelapse-columns {pair}: not a pair such as species=Species")
        if not _DATA_LABEL.fullmatch(name):
            raise ValueError(f"--timelapse-columns {pair}: data labels are letters, digits and _, and begin with a letter")
        if name in (*OWN_DATA_LABELS, *columns.values()) or what in columns:
            raise ValueError(f"--timelapse-columns {pair}: is there twice, or is a column that every template has")
        columns[what] = name
    return columns


class ResultsConfig(LoggedConfig):
    """Which predictions are written in other forms."""

    results: Path = Field(description="table of `camtrap predict`: JSON, or CSV where each record is one picture")
    model_path: Path | None = Field(None, description="bundle that made them: its name and version go into what is written")


class PredictExportConfig(ExportFormsConfig, ResultsConfig):
    """Write predictions that are there already in other systems' forms; no model runs."""

    dry_run: bool = Field(False, description="say what would be read, written and refused; write nothing")

    @model_validator(mode="after")
    def _check_forms(self) -> Self:
        """Makes sure that there is something to write."""
        if not self.export:
            raise ValueError(f"--export is missing{suggestion('', FORMS)}")
        if "addaxai" in self.export and self.model_path is None:
            raise ValueError("--export addaxai packs a model; give --model-path")
        return self


class AddaxaiConfig(LoggedConfig):
    """Pack a bundle as a plug-in folder for AddaxAI."""

    model: Path = Field(description="bundle folder")
    output_dir: Path = Field(description="plug-in folder to write")
    package_facts: Path | None = Field(None, description="YAML with the key addaxai: developer, info_url, license, region …")
    taxa: Path | None = Field(None, description="CSV that says what classes are, for taxonomy.csv (see the guide)")
    species_label: str | None = Field(None, description="label type with the species; default: species, or the only one")
    dry_run: bool = Field(False, description="say what would be read, written and refused; write nothing, load no model")
