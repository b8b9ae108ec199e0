"""Inventories of the files of classification data sets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from camtrap_tf.config.classification import ClassificationCsvInventoryConfig, QueriedImagesInventoryConfig
from camtrap_tf.errors import SettingError, SourceError
from camtrap_tf.inventory.building_from_crops import build_from_classification_csv, build_from_queried_images
from camtrap_tf.inventory.table import Inventory

TABLE = "path,dataset,location,dataset_class,confidence,label\na.jpg,d,1,c,1,fox\nb.jpg,d,2,c,1,rat\nc.jpg,d,2,c,1,\n"


def test_rows_in_are_records_and_rejects(tmp_path: Path) -> None:
    """Every row is a record or rejected; records say their split; the splits are checked before anything is written."""
    (tmp_path / "t.csv").write_text(TABLE, encoding="utf-8")
    (tmp_path / "s.json").write_text('{"train": [["d", "1"]], "val": [["d", "2"]]}', encoding="utf-8")
    config = ClassificationCsvInventoryConfig(
        path=tmp_path / "t.csv", export_path=tmp_path / "i.json", splits=tmp_path / "s.json"
    )
    built = build_from_classification_csv(config)
    assert "3 rows read = 2 in 2 records + 1 rejected (1 × no_label)" in built.text()
    inventory = Inventory.read(tmp_path / "i.json")
    assert inventory.first_labels("species") == ["fox", "rat"]
    assert inventory.meta("split_name") == ["train", "val"]
    (tmp_path / "s.json").write_text('{"train": [["d", "1"]], "val": [["d", "1"]]}', encoding="utf-8")
    with pytest.raises(SettingError, match="'train' and 'val'"):
        build_from_classification_csv(config.model_copy(update={"export_path": tmp_path / "j.json"}))
    assert not (tmp_path / "j.json").exists()


def test_queried_pictures_are_records(tmp_path: Path) -> None:
    """A record per picture, labels of the type that other sources give them; a file without a usable entry is an error."""
    (tmp_path / "q.json").write_text(json.dumps({"d/a.jpg": {"label": ["fox"]}, "x": {}}), encoding="utf-8")
    config = QueriedImagesInventoryConfig(path=tmp_path / "q.json", export_path=tmp_path / "i.parquet")
    assert "2 entries read = 1 in 1 record + 1 rejected (1 × bad_key)" in build_from_queried_images(config).text()
    inventory = Inventory.read(tmp_path / "i.parquet")
    assert (inventory.ids, inventory.first_labels("species")) == (["d/a.jpg"], ["fox"])
    (tmp_path / "q.json").write_text("{}", encoding="utf-8")
    with pytest.raises(SourceError, match="no usable record"):
        build_from_queried_images(config)
