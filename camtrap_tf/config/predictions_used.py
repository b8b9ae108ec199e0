"""Settings of what is done with a table of predictions that is there: coarser classes, labels that it speaks against."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from camtrap_tf.config.base import StageConfig


class PredictAggregateConfig(StageConfig):
    """Add up the probabilities of a table of predictions over coarser classes; no model runs."""

    results_file: Path = Field(
        description="table of `camtrap predict` (CSV or JSON), or a CSV path,<class>,… with a row per picture (also .csv.gz)"
    )
    target_mapping: Path = Field(description="JSON, target → classes of the table; what is in none becomes `other`")
    target_index: Path | None = Field(None, description="label_index.json with the order of these targets; default: by name")
    label: str | None = Field(
        None, min_length=1, description="label type whose classes these are; default: species, or the only one"
    )
    output: Path = Field(description="table to write, of the same form")
    output_index: Path | None = Field(None, description="label_index.json of the targets to write; default: none")
    dry_run: bool = Field(False, description="read and add up, say what would be written, write nothing")

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Makes sure that nothing is read and written under one name."""
        read = [path.absolute() for path in (self.results_file, self.target_mapping, self.target_index) if path is not None]
        for flag, path in (("--output", self.output), ("--output-index", self.output_index)):
            if path is not None and path.absolute() in read:
                raise ValueError(f"{flag} {path} is a file that is read; give another name")
        if self.output_index is not None and self.output_index.absolute() == self.output.absolute():
            raise ValueError("--output and --output-index are one file; give another name")
        return self


class PredictSuspectsConfig(StageConfig):
    """List records whose label a table of predictions speaks against, to be looked at by a person."""

    results_file: tuple[Path, ...] = Field(
        min_length=1,
        description="tables of `camtrap predict` (CSV or JSON), outputs_<split>.csv.gz of `camtrap predict --split`, "
        "test_preds.json of a run, or CSVs path,<class>,…",
    )
    inventory: Path | None = Field(
        None, description="inventory with the labels, found by id or picture; default: the labels that the tables have"
    )
    image_root: Path | None = Field(
        None, description="folder that picture paths in the inventory are relative to; default: the current one"
    )
    label: str | None = Field(None, min_length=1, description="label type to compare; default: species, or the only one")
    margin: float = Field(
        0.5, gt=0, le=1, description="how much likelier than the label another class has to be: difference of probabilities"
    )
    output: Path = Field(description="CSV to write, the widest gap first")
    dry_run: bool = Field(False, description="read and compare, say what would be listed, write nothing")

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Refuses settings that do nothing, and an output that is an input."""
        if self.image_root is not None and self.inventory is None:
            raise ValueError("--image-root does nothing without --inventory; add it")
        if len({path.absolute() for path in self.results_file}) < len(self.results_file):
            raise ValueError("--results-file names a table twice")
        if self.output.absolute() in {path.absolute() for path in self.results_file}:
            raise ValueError(f"--output {self.output} is a table that is read; give another name")
        return self
