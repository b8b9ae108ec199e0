"""Wildlife Insights downloads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.config.picture_sources import WildlifeInsightsInventoryConfig
from camtrap_tf.errors import SourceError
from camtrap_tf.sources.wildlife_insights import WildlifeInsightsSource
from tests.unit.sources.picture_sources import read

HEADER = (
    "project_id,deployment_id,image_id,filename,location,is_blank,class,order,family,genus,species,common_name,timestamp,"
    "number_of_objects,age,sex,license"
)
FOX = "Mammalia,Carnivora,Canidae,Vulpes,vulpes,Red Fox"
TIME = "2020-05-30 10:00:00"


def line(number: int, *, deployment: str = "d1", blank: int = 0, taxon: str = FOX, count: str = "12", more: str = "") -> str:
    """Returns a row of images.csv."""
    address = f"gs://bucket/{deployment}/{number}.jpg"
    return f"7,{deployment},i{number},{number}.jpg,{address},{blank},{taxon},{TIME},{count},Adult,Female,CC-BY{more}"


def source(folder: Path, lines: list[str], header: str = HEADER, **options: Any) -> WildlifeInsightsSource:
    """Returns the source of a download with these rows."""
    (folder / "images_1.csv").write_text("\n".join([header, *lines[:1]]) + "\n")
    (folder / "images_2.csv").write_text("\n".join([header, *lines[1:]]) + "\n")
    (folder / "deployments.csv").write_text(
        "deployment_id,placename,camera_id,latitude,longitude\nd1,Hill,c1,1,2\nd2,Hill,c2,1,2\n"
    )
    options = {"keep_remote": True, **options}
    return WildlifeInsightsSource(WildlifeInsightsInventoryConfig(path=folder, export_path=folder / "o.json", **options))


def test_pictures_and_their_identifications(tmp_path: Path) -> None:
    """A row per species is an observation; place and camera come from the deployments."""
    blank = ",,,,,Blank"
    lines = [line(1), line(1, taxon="Aves,,,,,Bird", count="1"), line(2, deployment="d2", blank=1, taxon=blank, count="")]
    records, rejects = read(source(tmp_path, lines))
    assert rejects == []
    assert [[(one.labels["species"], one.labels["count"]) for one in record.observations] for record in records] == [
        [("Vulpes vulpes", "11-50"), ("Aves", "1")],
        [("blank", "-1")],
    ]
    assert records[0].observations[0].labels["lifeStage"] == "Adult"
    assert records[0].media[0].licence == "CC-BY"
    meta = dict(records[1].meta_data)
    assert (meta["location"], meta["camera"], meta["deployment"], meta["project"]) == ("Hill", "c2", "d2", "7")
    assert meta["event_id"] == f"Hill/c2 {TIME.replace(' ', 'T')}"
    common, _ = read(source(tmp_path, lines, species_name="common"))
    assert [one.observations[0].labels["species"] for one in common] == ["Red Fox", "blank"]


def test_what_nobody_named_is_missing(tmp_path: Path) -> None:
    """Pictures without a result of the platform's model are unlabelled, not a class."""
    (record,), _ = read(source(tmp_path, [line(1, taxon="No CV Result,,,,,No CV Result")]))
    assert record.observations[0].labels["species"] == "-1"


def test_pictures_are_remote_unless_copies_are_here(tmp_path: Path) -> None:
    """Addresses of the platform are counted apart; copies below an image root are used, by name or deployment."""
    found = source(tmp_path, [line(1), line(2)], keep_remote=False)
    assert read(found)[0] == []
    assert [url for _, _, url in found.grouped.checked.remote] == ["gs://bucket/d1/1.jpg", "gs://bucket/d1/2.jpg"]
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat/1.jpg").write_bytes(b"x" * 300)
    some = source(tmp_path, [line(1), line(2)], keep_remote=False, image_root=tmp_path / "flat")
    records, rejects = read(some)
    assert ([one.media[0].path for one in records], rejects) == (["1.jpg"], [])
    assert [url for _, _, url in some.grouped.checked.remote] == ["gs://bucket/d1/2.jpg"]
    records, _ = read(source(tmp_path, [line(1), line(2)], image_root=tmp_path / "flat"))
    assert [one.media[0].path for one in records] == ["1.jpg", "gs://bucket/d1/2.jpg"]
    (tmp_path / "deep/d1").mkdir(parents=True)
    (tmp_path / "deep/d1/1.jpg").write_bytes(b"x" * 300)
    records, _ = read(source(tmp_path, [line(1), line(1)], image_root=tmp_path / "deep"))
    assert [one.media[0].path for one in records] == ["d1/1.jpg"]


def test_pictures_without_an_address_are_missing(tmp_path: Path) -> None:
    """Without an address to be fetched from, a picture that is not below the image root is rejected, as one outside is."""
    (tmp_path / "1.jpg").write_bytes(b"x" * 300)
    lines = [line(1), line(2).replace("gs://bucket/d1/2.jpg", ""), line(3).replace(",3.jpg", ",../3.jpg")]
    records, rejects = read(source(tmp_path, lines, image_root=tmp_path, keep_remote=False))
    assert [one.media[0].path for one in records] == ["1.jpg"]
    assert {(one.id, one.reason) for one in rejects} == {("i2", "missing_file"), ("i3", "outside_root")}


def test_a_root_without_one_of_the_pictures_is_said(tmp_path: Path) -> None:
    """All of them are remote then, and a sentence names the root."""
    (tmp_path / "empty").mkdir()
    found = source(tmp_path, [line(1), line(2)], keep_remote=False, image_root=tmp_path / "empty")
    assert read(found) == ([], [])
    assert found.advice.startswith(f"not one of these pictures is below --image-root {tmp_path / 'empty'}")


def test_projects_of_sequences(tmp_path: Path) -> None:
    """Labels of a sequence project are of the sequence: a record per sequence with one observation per species."""
    lines = [line(1, more=",s1"), line(2, more=",s1"), line(3, more=",s2")]
    records, _ = read(source(tmp_path, lines, HEADER + ",sequence_id"))
    assert [(one.event_id, len(one.media), len(one.observations)) for one in records] == [("s1", 2, 1), ("s2", 1, 1)]


def test_bad_rows(tmp_path: Path) -> None:
    """Rows without an id, and malformed ones, are rejected by line."""
    records, rejects = read(source(tmp_path, [line(1), line(2).replace("i2", ""), "x,y"]))
    assert len(records) == 1
    assert {(one.item, one.reason) for one in rejects} == {("images_2.csv line 2", "no_id"), ("images_2.csv line 3", "bad_row")}


def test_without_deployments(tmp_path: Path) -> None:
    """A deployment stands for its location, and that is said; a folder without images is told."""
    found = source(tmp_path, [line(1)])
    (tmp_path / "deployments.csv").unlink()
    (record,), _ = read(found)
    assert record.meta_data["location"] == "d1"
    assert any("deployments.csv" in note for note in found.notes)
    for table in tmp_path.glob("images*.csv"):
        table.unlink()
    with pytest.raises(SourceError, match=r"images\.csv"):
        read(WildlifeInsightsSource(WildlifeInsightsInventoryConfig(path=tmp_path, export_path=tmp_path / "o.json")))
