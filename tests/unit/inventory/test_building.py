"""The inventory commands."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.config.inventory import (
    CsvInventoryConfig,
    FolderInventoryConfig,
    InventoryInspectConfig,
    InventoryMergeConfig,
    JsonInventoryConfig,
    PantheraInventoryConfig,
)
from camtrap_tf.errors import SettingError, SourceError
from camtrap_tf.inventory.building import (
    build_from_csv,
    build_from_folders,
    build_from_json,
    build_from_panthera,
    inspect_inventory,
    merge_inventories,
)
from camtrap_tf.inventory.table import Inventory
from tests.reading import rows_of

TABLE = "id,image,species,count,place\n1,a.jpg,zebra,2,hill\n2,,zebra,1,hill\n3,c.jpg,,3,\n,d.jpg,lion,1,hill\n"


def from_csv(tmp_path: Path, text: str = TABLE, export: str = "out/i.json", **options: Any) -> Any:
    """Writes a CSV and builds its inventory."""
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    config = CsvInventoryConfig(
        path=tmp_path / "t.csv",
        export_path=tmp_path / export,
        capture_id_field="id",
        image_fields=("image",),
        label_fields=("species", "count"),
        **options,
    )
    return build_from_csv(config)


def test_rows_in_are_records_and_rejects(tmp_path: Path) -> None:
    """Every row is in a record or in the rejects table, and the summary says so."""
    built = from_csv(tmp_path, meta_data_fields=("place",))
    assert Inventory.read(tmp_path / "out/i.json").ids == ["1", "3"]
    assert [(row["id"], row["item"], row["reason"]) for row in rows_of(tmp_path / "out/i.rejects.csv")] == [
        ("", "line 5", "no_id"),
        ("2", "line 3", "no_picture"),
    ]
    assert "4 rows read = 2 in 2 records + 2 rejected (1 × no_id, 1 × no_picture)" in built.text()


def test_discard_missing_drops_and_lists_records(tmp_path: Path) -> None:
    """A record that misses a label is dropped, counted and listed."""
    built = from_csv(tmp_path, discard_missing=True)
    assert built.inventory.ids == ["1"]
    last = rows_of(tmp_path / "out/i.rejects.csv")[-1]
    assert (last["id"], last["reason"], last["detail"]) == ("3", "missing_label", "misses species")
    assert "2 records = 1 kept + 1 dropped for a missing label" in built.text()


@pytest.mark.parametrize("discard_missing", [False, True])
def test_a_dry_run_says_what_the_command_would(tmp_path: Path, discard_missing: bool) -> None:
    """The same counts, and nothing is written: neither the folder, nor the inventory, nor its rejects."""
    planned = from_csv(tmp_path, dry_run=True, discard_missing=discard_missing).text()
    assert [one.name for one in tmp_path.iterdir()] == ["t.csv"]
    done = from_csv(tmp_path, discard_missing=discard_missing).text()
    said = done.replace(f"{tmp_path}/out/i.json", f"would write {tmp_path}/out/i.json").replace(
        ": what is", ": would say what is"
    )
    assert planned == said
    merging = InventoryMergeConfig(inventories=(tmp_path / "out/i.json",) * 2, export_path=tmp_path / "m.json", dry_run=True)
    assert f"would write {tmp_path / 'm.json'}: " in merge_inventories(merging).text()
    assert not (tmp_path / "m.json").exists()
    with pytest.raises(SourceError, match="no usable record in 1 rows"):
        from_csv(tmp_path, text="id,image,species,count\n1,,zebra,2\n", export="new/i.json", dry_run=True)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"images": [], "annotations": [], "info": {}}, "it is a COCO Camera Traps file: .*`camtrap inventory coco`"),
        (
            {"images": [], "detection_categories": {}, "info": {}},
            "it is MegaDetector results: .*`camtrap inventory megadetector`",
        ),
        ({"profile": "x", "resources": []}, "it is a Camtrap DP package: .*`camtrap inventory camtrap-dp`"),
        ({"1": {}}, r"rejected \(1 × bad_images\)$"),
    ],
)
def test_other_files_are_told_where_an_inventory_is_wanted(tmp_path: Path, value: dict[str, Any], said: str) -> None:
    """By the commands that read inventories, and by that which checks them."""
    (tmp_path / "a.json").write_text(json.dumps(value))
    with pytest.raises(SourceError, match=f"no usable record.*{said}"):
        Inventory.read(tmp_path / "a.json")
    with pytest.raises(SourceError, match=f"no usable record.*{said}"):
        build_from_json(JsonInventoryConfig(path=tmp_path / "a.json", export_path=tmp_path / "b.json"))


def test_old_rejects_do_not_stay(tmp_path: Path) -> None:
    """A rejects table of an earlier run goes when there is nothing to reject any more."""
    from_csv(tmp_path)
    assert (tmp_path / "out/i.rejects.csv").exists()
    built = from_csv(tmp_path, text="id,image,species,count\n1,a.jpg,zebra,2\n")
    assert not (tmp_path / "out/i.rejects.csv").exists()
    assert "rejects.csv" not in built.text()


def test_nothing_usable_is_an_error_with_its_reasons(tmp_path: Path) -> None:
    """No record: no inventory, but the rejects table is there."""
    with pytest.raises(SourceError, match=r"no usable record in 1 rows; 1 rejected \(1 × no_picture\)"):
        from_csv(tmp_path, text="id,image,species,count\n1,,zebra,2\n")
    assert not (tmp_path / "out/i.json").exists()
    assert len(rows_of(tmp_path / "out/i.rejects.csv")) == 1
    with pytest.raises(SourceError, match="--discard-missing leaves none"):
        from_csv(tmp_path, text="id,image,species,count\n1,a.jpg,,2\n", discard_missing=True)


def test_classes_are_logged_with_percentages(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log shows how many observations each class has, of those that have the label."""
    table = "id,image,species,count\n" + "".join(
        f"{i},a.jpg,{'lion' if i else 'zebra'},{'' if i == 3 else 1}\n" for i in range(4)
    )
    with caplog.at_level(logging.INFO, logger="camtrap_tf"):
        from_csv(tmp_path, text=table)
    lines = [" ".join(line.split()) for line in caplog.messages]
    assert "label species: 2 classes in 4 observations, 0 missing" in lines
    assert "3 75.00 % lion" in lines
    assert "label count: 1 class in 3 observations, 1 missing" in lines


def test_a_target_that_cannot_be_written_is_found_first(tmp_path: Path) -> None:
    """Wrong suffix, a folder, or a place that is a file: told before the source is looked at."""
    (tmp_path / "file").write_text("")
    (tmp_path / "d.json").mkdir()
    absent = tmp_path / "absent.csv"
    for export, message in (
        ("i.txt", r"\.json or \.parquet"),
        ("file/i.json", "cannot write there"),
        ("d.json", "is a folder"),
    ):
        config = FolderInventoryConfig(path=absent, export_path=tmp_path / export)
        with pytest.raises(SettingError, match=message):
            build_from_folders(config)


def test_json_is_checked_and_written_again(tmp_path: Path) -> None:
    """`json` copies good records, in either form, and rejects the others."""
    value = {"1": {"labels": [{"species": ["cat"]}], "images": ["x"]}, "2": {"labels": [{"s": 1}], "images": ["x"]}}
    (tmp_path / "a.json").write_text(json.dumps(value))
    built = build_from_json(JsonInventoryConfig(path=tmp_path / "a.json", export_path=tmp_path / "b.parquet"))
    assert "2 records read = 1 in 1 record + 1 rejected (1 × bad_labels)" in built.text()
    build_from_json(JsonInventoryConfig(path=tmp_path / "b.parquet", export_path=tmp_path / "c.json"))
    assert json.loads((tmp_path / "c.json").read_text()) == {"1": {"labels": [{"species": "cat"}], "images": ["x"]}}


def test_panthera_bins_counts(tmp_path: Path) -> None:
    """`panthera` needs no flags for its own column names."""
    (tmp_path / "p.csv").write_text("image,dir,species,count\n1,a.jpg,zebra,12\n1,a.jpg,zebra,3\n")
    built = build_from_panthera(PantheraInventoryConfig(path=tmp_path / "p.csv", export_path=tmp_path / "i.json"))
    assert built.inventory.label_counts() == {"count": {"11-50": 1}, "species": {"zebra": 1}}


def test_inventories_merge_and_can_be_looked_at(tmp_path: Path) -> None:
    """`merge` accounts for every record, `inspect` shows sizes, fields and classes."""
    from_csv(tmp_path, export="a.json", meta_data_fields=("place",))
    from_csv(tmp_path, text="id,image,species,count\n1,a.jpg,zebra,2\n9,i.jpg,lion,1\n", export="b.parquet")
    paths = (tmp_path / "a.json", tmp_path / "b.parquet", tmp_path / "b.parquet")
    with pytest.raises(SourceError, match="differ in meta data"):
        merge_inventories(InventoryMergeConfig(inventories=paths, export_path=tmp_path / "m.json"))
    merged = merge_inventories(InventoryMergeConfig(inventories=paths[1:], export_path=tmp_path / "m.json"))
    assert "4 records = 2 kept + 2 that were there already" in merged.text()
    text = inspect_inventory(InventoryInspectConfig(inventory=tmp_path / "a.json")).text()
    assert "2 records, 2 pictures, 0 records with several observations" in text
    assert "meta data place: 1 value in 1 record" in text
    assert "label species: 1 class in 1 observation, 1 missing" in text
