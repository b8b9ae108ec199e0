"""Panthera's tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.config.inventory import PantheraInventoryConfig
from camtrap_tf.errors import SettingError
from camtrap_tf.records import CaptureEvent
from camtrap_tf.sources.panthera import panthera_source


def read(tmp_path: Path, text: str, **options: Any) -> list[tuple[str, list[str], list[dict[str, str]]]]:
    """Returns id, pictures and observations of each record."""
    path = tmp_path / "p.csv"
    path.write_text(text, encoding="utf-8")
    source = panthera_source(PantheraInventoryConfig(path=path, export_path=tmp_path / "i.json", **options), path)
    records = [one for one in source.records() if isinstance(one, CaptureEvent)]
    return [(r.event_id, [media.path for media in r.media], [dict(one.labels) for one in r.observations]) for r in records]


def test_species_and_pictures_are_listed_once(tmp_path: Path) -> None:
    """A further row adds its observation if its species is new, and its picture if that is new."""
    text = "image,dir,species,count\n1,a,zebra,2\n1,a,zebra,60\n1,b,gnu,NA\n2,c,lion,\n"
    assert read(tmp_path, text) == [
        ("1", ["a", "b"], [{"species": "zebra", "count": "2"}, {"species": "gnu", "count": "NA"}]),
        ("2", ["c"], [{"species": "lion", "count": "-1"}]),
    ]


def test_count_may_be_absent(tmp_path: Path) -> None:
    """Without the column `count`, species alone is read."""
    assert read(tmp_path, "image,dir,species\n1,a,zebra\n") == [("1", ["a"], [{"species": "zebra"}])]


def test_other_columns_may_be_named(tmp_path: Path) -> None:
    """The defaults can be replaced; a label that does not exist is an error."""
    text = "cap,path,animal\n1,a,zebra\n1,b,zebra\n"
    options = {"capture_id_field": "cap", "image_fields": ("path",)}
    assert read(tmp_path, text, label_fields=("animal",), **options) == [("1", ["a", "b"], [{"animal": "zebra"}])]
    with pytest.raises(SettingError, match="no column 'species'"):
        read(tmp_path, text, **options)
