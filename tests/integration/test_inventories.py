"""Inventories of real tables and folders, and what curation makes of them."""

from __future__ import annotations

import collections
import csv
from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.config.dataset import DatasetConfig
from camtrap_tf.config.inventory import CsvInventoryConfig, FolderInventoryConfig
from camtrap_tf.curation.curating import Curated, curate
from camtrap_tf.inventory.building import build_from_csv, build_from_folders
from camtrap_tf.inventory.table import Inventory
from tests.shared_data import shared


def settings(**options: Any) -> DatasetConfig:
    """Returns settings of a data set."""
    return DatasetConfig.model_validate({"inventory": "i.json", "output_dir": "out", **options})


def serengeti(folder: Path, **options: Any) -> Inventory:
    """Returns the inventory of the Serengeti gold standard, in which a row is a species of an event."""
    config = CsvInventoryConfig(
        path=shared("data/serengeti_gold_standard_csv/gold_standard_data.csv"),
        export_path=folder / "serengeti.parquet",
        capture_id_field="CaptureEventID",
        image_fields=("CaptureEventID",),
        label_fields=("Species", "Count"),
        meta_data_fields=("NumSpecies",),
        **options,
    )
    build_from_csv(config)
    return Inventory.read(config.export_path)


def test_serengeti_rows_are_observations(tmp_path: Path) -> None:
    """Events, observations and classes agree with the table counted by hand."""
    inventory = serengeti(tmp_path)
    with shared("data/serengeti_gold_standard_csv/gold_standard_data.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    seen = collections.defaultdict(dict)  # type: ignore[var-annotated]  # what it holds is clear from below
    for row in rows:
        seen[row["CaptureEventID"]][row["Species"], row["Count"]] = None
    assert inventory.ids == list(seen)
    assert inventory.observation_counts().tolist() == [len(one) for one in seen.values()]
    species = collections.Counter(name for one in seen.values() for name, _ in one)
    assert inventory.label_counts()["Species"] == {name: count for name, count in sorted(species.items()) if name}


def test_serengeti_events_with_several_species_are_dropped_by_default(tmp_path: Path) -> None:
    """Only single observations go into a data set, unless asked for; zebras can be kept alone."""
    inventory = serengeti(tmp_path, count_fields=("Count",))
    curated = curate(inventory, settings(keep_label_name=("Species",), keep_label_value=("zebra",)))
    assert set(curated.inventory.first_labels("Species")) == {"zebra"}
    assert set(curated.inventory.observation_counts().tolist()) == {1}
    both = curate(inventory, settings(keep_label_name=("Species",), keep_label_value=("zebra",), keep_multi_observation=True))
    assert len(both.inventory) > len(curated.inventory)
    assert set(curated.mapping.classes["Count"]) <= {*map(str, range(11)), "11-50", "51+"}


def missouri(folder: Path, **options: Any) -> Curated:
    """Returns the curated Missouri pictures, whose sequences are known."""
    config = CsvInventoryConfig(
        path=shared("data/missouri_6species/labels.csv"),
        export_path=folder / "missouri.json",
        capture_id_field="path",
        image_fields=("path",),
        label_fields=("species", "n_boxes"),
        meta_data_fields=("sequence", "frame"),
    )
    build_from_csv(config)
    return curate(Inventory.read(config.export_path), settings(split_percent=(0.7, 0.15, 0.15), **options))


@pytest.mark.parametrize("options", [{}, {"split_group": "sequence"}])
def test_missouri_sequences_stay_together(tmp_path: Path, options: dict[str, str]) -> None:
    """A sequence is in one split, most species are in all three (what is absent is told), and the shares are about right."""
    curated = missouri(tmp_path, **options)
    assert curated.group_field == "sequence"
    assert not [text for text in curated.warnings if "groups by" in text]
    assert any("test has no species Collared_Peccary" in text for text in curated.warnings)
    splits = collections.defaultdict(set)
    for sequence, split in zip(curated.inventory.meta("sequence"), curated.splits, strict=True):
        splits[sequence].add(split)
    assert all(len(found) == 1 for found in splits.values())
    counts = collections.Counter(curated.splits)
    for split, share in (("train", 0.7), ("val", 0.15), ("test", 0.15)):
        assert counts[split] / len(curated.splits) == pytest.approx(share, abs=0.08)
    species = collections.defaultdict(set)
    for name, split in zip(curated.inventory.first_labels("species"), curated.splits, strict=True):
        species[name].add(split)
    assert sum(len(found) == 3 for found in species.values()) >= 4


def test_missouri_by_hash_warns(tmp_path: Path) -> None:
    """Without groups sequences straddle, and that is said."""
    curated = missouri(tmp_path, split_group="none")
    assert "groups by 'sequence' have records in more than one split" in curated.warnings[0]


def test_cats_and_dogs_in_folders(tmp_path: Path) -> None:
    """Every picture is a record of its folder's class; the note beside the folders is rejected."""
    root = shared("data/cats_dogs")
    built = build_from_folders(FolderInventoryConfig(path=root, export_path=tmp_path / "i.json"))
    pictures = {folder.name: len(list(folder.glob("*.jpg"))) for folder in root.iterdir() if folder.is_dir()}
    assert built.inventory.label_counts() == {"class": pictures}
    assert [reject.reason for reject in built.rejects] == ["no_class"]
    assert all(Path(record.media[0].path).is_file() for record in built.inventory)
