"""Camtrap DP packages."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.config.picture_sources import CamtrapDpInventoryConfig
from camtrap_tf.errors import SourceError
from camtrap_tf.records import BoundingBox
from camtrap_tf.sources.camtrap_dp import CamtrapDpSource
from tests.reading import rows_of
from tests.shared_data import shared
from tests.unit.sources.picture_sources import read

DEPLOYMENTS = "deploymentID,locationID,locationName,latitude,longitude,cameraID\nd1,l1,Hill,1.5,2.5,c7\nd2,,Lake,3,4,\n"
MEDIA = "mediaID,deploymentID,timestamp,filePath,fileMediatype\n"
OBSERVATIONS = (
    "observationID,deploymentID,mediaID,eventID,eventStart,eventEnd,observationLevel,observationType,scientificName,count,"
    "lifeStage,sex,behavior,bboxX,bboxY,bboxWidth,bboxHeight\n"
)
START = "2020-05-30T10:00:00Z"
BAD_ROWS = [
    "o,d1,gone,e,,,media,animal,Vulpes,,,,,,,,",
    "o,d1,m1,e,,,media,animal,Vulpes,,,,,10,20,30,40",
    "o,d1,m1,e,,,media,animal,Vulpes,,,,,0.1,0.2,0,0.4",
    "o,d1,m1,e,,,media,animal,Vulpes,,,,,0.1,x,0.3,0.4",
    "o,d1,m1,e,,,media,animal,Vulpes,,,,,0.1,,,",
    "o,d1,,,,,event,animal,Vulpes,,,,,,,,",
    "short,row",
]
REASONS = ["unknown_image", "box_absolute", "box_empty", "box_not_numbers", "box_not_numbers", "no_event", "bad_row"]


def source(
    folder: Path, media: list[str], observations: list[str], *, deployments: str = DEPLOYMENTS, suffix: str = "", **options: Any
) -> CamtrapDpSource:
    """Returns the source of a package with these rows; its pictures exist."""
    texts = {
        "deployments": deployments,
        "media": MEDIA + "".join(row + "\n" for row in media),
        "observations": OBSERVATIONS + "".join(row + "\n" for row in observations),
    }
    for name, text in texts.items():
        raw = text.encode()
        (folder / f"{name}.csv{suffix}").write_bytes(gzip.compress(raw) if suffix else raw)
    resources = [{"name": name, "path": f"{name}.csv{suffix}"} for name in texts]
    licences = [{"name": "CC0-1.0", "scope": "data"}, {"path": "https://cc.org/by", "scope": "media"}]
    (folder / "datapackage.json").write_text(json.dumps({"resources": resources, "licenses": licences}))
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (folder / name).write_bytes(b"x" * 300)
    return CamtrapDpSource(CamtrapDpInventoryConfig(path=folder, export_path=folder / "o.json", **options))


def row(name: str, media: str = "", level: str = "media", *, event: str = "e1", end: str = START, facts: str = ",,,,,,") -> str:
    """Returns a row of observations; `facts` are those from observationType on."""
    return f"{name},d1,{media},{event},{START},{end},{level},{facts},,,,"


def test_observations_of_pictures(tmp_path: Path) -> None:
    """Species, count, life stage, sex, behaviour and box of a picture are its labels; deployment and location its meta data."""
    media = [f"m1,d1,{START},a.jpg,image/jpeg", f"m2,d2,{START},b.jpg,image/jpeg"]
    seen = [
        f"o1,d1,m1,e1,{START},{START},media,animal,Vulpes vulpes,12,adult,female,foraging,0.1,0.2,0.3,0.4",
        f"o2,d2,m2,e2,{START},{START},media,blank,,,,,,,,,",
    ]
    (first, second), rejects = read(source(tmp_path, media, seen))
    assert rejects == []
    labels = {"species": "Vulpes vulpes", "count": "11-50", "lifeStage": "adult", "sex": "female", "behavior": "foraging"}
    assert dict(first.observations[0].labels) == labels
    assert (first.observations[0].box, first.observations[0].media_id) == (BoundingBox(0.1, 0.2, 0.3, 0.4), "m1")
    assert first.media[0].licence == "https://cc.org/by"
    assert dict(first.meta_data) == {
        "location": "l1", "camera": "c7", "deployment": "d1", "event_id": "e1", "datetime": START, "latitude": "1.5",
        "longitude": "2.5",
    }  # fmt: skip
    assert (second.meta_data["location"], second.observations[0].labels["species"]) == ("Lake", "blank")


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("animal", "Vulpes", "Vulpes"), ("animal", "", "-1"), ("human", "", "human"), ("human", "Homo sapiens", "Homo sapiens"),
        ("vehicle", "", "vehicle"), ("unknown", "", "unknown"), ("unclassified", "Vulpes", "-1"), ("", "Vulpes", "-1"),
    ],
)  # fmt: skip
def test_types_of_observations(tmp_path: Path, kind: str, name: str, expected: str) -> None:
    """What nobody has classified is missing, never a class."""
    seen = [row("o1", "m1", facts=f"{kind},{name},,,,")]
    (record,), _ = read(source(tmp_path, [f"m1,d1,{START},a.jpg,image/jpeg"], seen))
    assert record.observations[0].labels["species"] == expected


def test_observations_of_events(tmp_path: Path) -> None:
    """Pictures without observations of their own are found by deployment and time; the labels are the event's."""
    end = "2020-05-30T12:00:10+02:00"
    media = [f"m1,d1,{START},a.jpg,image/jpeg", f"m2,d1,{end},b.jpg,image/jpeg", "m3,d1,2020-05-30T10:01:00Z,c.jpg,image/jpeg"]
    seen = [row("o1", level="event", end=end, facts="animal,Vulpes,2,,,")]
    (first, second), _ = read(source(tmp_path, media, seen))
    assert (first.event_id, [one.media_id for one in first.media]) == ("e1", ["m1", "m2"])
    assert first.observations[0].labels["count"] == "2"
    assert [one.media_id for one in second.media] == ["m3"]
    pictures, _ = read(source(tmp_path, media, seen, records="images"))
    assert [one.observations[0].labels["species"] for one in pictures] == ["Vulpes", "Vulpes", "-1"]


def test_both_levels(tmp_path: Path) -> None:
    """Where most pictures have observations of their own, records are pictures; records of events have the event's labels."""
    media = [f"m1,d1,{START},a.jpg,image/jpeg"]
    seen = [row("o1", level="event", facts="animal,Vulpes,2,,,"), row("o2", "m1", facts="animal,Vulpes,1,,,")]
    (record,), _ = read(source(tmp_path, media, seen))
    assert (record.event_id, record.observations[0].labels["count"]) == ("m1", "1")
    (record,), _ = read(source(tmp_path, media, seen, records="events"))
    assert (record.event_id, record.observations[0].labels["count"]) == ("e1", "2")


@pytest.mark.parametrize(("bad", "reason"), zip(BAD_ROWS, REASONS, strict=True))
def test_bad_observations_are_rejected_by_line(tmp_path: Path, bad: str, reason: str) -> None:
    """The others stay."""
    seen = [row("o1", "m1", facts="animal,Vulpes,,,,"), bad]
    records, rejects = read(source(tmp_path, [f"m1,d1,{START},a.jpg,image/jpeg"], seen))
    assert len(records[0].observations) == 1
    assert [(one.item, one.unit, one.reason) for one in rejects] == [("observations.csv line 3", "observation", reason)]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("m1,d1,,b.jpg,image/jpeg", "repeated_id"), (",d1,,b.jpg,image/jpeg", "no_id"), ("m2,d1,,,image/jpeg", "no_path"),
        ("m2,,,b.jpg,image/jpeg", "no_deployment"), ("m2,d1,,b.mp4,video/mp4", "video"),
        ("m2,d1,,b.wav,audio/wav", "not_a_picture"),
        ("m2,d1,,a.jpg,image/jpeg", "repeated_file"), ("m2,d1,,gone.jpg,image/jpeg", "missing_file"),
        ("m2,d1,,../a.jpg,image/jpeg", "outside_root"), ('m2,"d1,,b.jpg,image/jpeg', "bad_row"),
    ],
)  # fmt: skip
def test_bad_media_are_rejected_by_line(tmp_path: Path, bad: str, reason: str) -> None:
    """Their observations go with them; the others stay."""
    media = [f"m1,d1,{START},a.jpg,image/jpeg", bad, "m3,d1,,c.jpg,"]
    seen = [row("o1", "m1", facts="animal,Vulpes,,,,")] + ([row("o2", "m2")] if bad.startswith("m2,d1") else [])
    records, rejects = read(source(tmp_path, media, seen))
    assert [one.event_id for one in records] == ["m1", "m3"]
    assert [(one.item, one.unit, one.reason) for one in rejects] == [
        ("media.csv line 3", "video" if reason == "video" else "picture", reason)
    ]


def test_gzipped_tables(tmp_path: Path) -> None:
    """Tables may be gzipped."""
    records, _ = read(source(tmp_path, [f"m1,d1,{START},a.jpg,image/jpeg"], [row("o1", "m1")], suffix=".gz"))
    assert len(records) == 1


def test_a_deployment_that_is_not_described(tmp_path: Path) -> None:
    """It stands for the location, and that is said."""
    found = source(tmp_path, ["m1,d9,,a.jpg,image/jpeg"], [])
    (record,), _ = read(found)
    assert record.meta_data["location"] == "d9"
    assert any("deployment" in note for note in found.notes)


@pytest.mark.parametrize(
    ("resource", "message"),
    [
        ({"name": "media", "path": "../media.csv"}, "leads out of the package"),
        ({"name": "media", "path": "/etc/passwd"}, "leads out of the package"),
        ({"name": "media", "path": "https://x.org/media.csv"}, "fetch it"),
        ({"name": "media"}, "no path"),
        ({"name": "media", "path": "a\0.csv"}, "no path"),
        ({"name": "other", "path": "media.csv"}, "describes no table 'media'"),
        ({"name": "media", "path": "absent.csv"}, "no such file"),
    ],
)
def test_packages_that_cannot_be_read(tmp_path: Path, resource: dict[str, str], message: str) -> None:
    """Tables elsewhere, or none, are told before anything is read."""
    found = source(tmp_path, [], [])
    (tmp_path / "datapackage.json").write_text(
        json.dumps({"resources": [resource, {"name": "observations", "path": "observations.csv"}]})
    )
    with pytest.raises(SourceError, match=message):
        read(found)


def test_the_example_of_the_standard() -> None:
    """10 pictures are here, 413 are elsewhere; with those, every observation of a picture is used."""
    folder = shared("data/camtrap_dp_example")
    found = CamtrapDpSource(CamtrapDpInventoryConfig(path=folder / "datapackage.json", export_path="o.json"))
    records, rejects = read(found)
    assert (len(records), rejects, len(found.grouped.checked.remote)) == (10, [], 413)
    assert {one.observations[0].labels["species"] for one in records} == {"Ardea"}
    assert records[0].observations[0].box == BoundingBox(0.35947, 0.61382, 0.32951, 0.31225)
    everything = CamtrapDpSource(CamtrapDpInventoryConfig(path=folder, export_path="o.json", keep_remote=True))
    records, _ = read(everything)
    assert sum(len(one.observations) for one in records) == 513
    rows = [row for row in rows_of(folder / "observations.csv") if row["observationLevel"] == "media"]
    for label in ("lifeStage", "sex", "behavior"):
        expected = Counter(row[label] or "-1" for row in rows if row["observationType"] != "unclassified")
        seen = Counter(one.labels[label] for record in records for one in record.observations)
        assert seen - expected == Counter({"-1": sum(row["observationType"] == "unclassified" for row in rows)})
