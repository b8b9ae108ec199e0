"""Predictions as a Camtrap DP: what becomes a row, what is refused, and that the standard's own schemas accept it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.errors import SettingError, SourceError
from camtrap_tf.prediction.export_camtrap_dp import CamtrapDp, camtrap_package
from camtrap_tf.prediction.export_classes import meanings
from camtrap_tf.prediction.export_deployments import Deployments, read_deployments
from camtrap_tf.prediction.export_model import ModelFacts
from camtrap_tf.prediction.export_package import problems, read_facts
from camtrap_tf.prediction.export_pictures import FactBook
from camtrap_tf.prediction.results import RecordPrediction
from camtrap_tf.sources.table_columns import read_table
from tests.reading import rows_of
from tests.shared_data import shared
from tests.unit.prediction.export_support import DEPLOYMENTS, EMPTY, FACTS, MODEL, NOW, record

MAY = "2020-05-03 10:00:00"
FOX_HEADS = {"count": (0.1, 0.8, 0.1), "sex": (0.9, 0.1), "weather": (0.3, 0.7)}


def deployments(tmp_path: Path, text: str = DEPLOYMENTS, offset: str | None = None) -> Deployments:
    """Returns the deployments of a table."""
    path = tmp_path / "deployments.csv"
    path.write_text(text, encoding="utf-8")
    return read_deployments(read_table(path, what="table", unit="record"), offset)


def written(tmp_path: Path, records: Sequence[RecordPrediction], model: ModelFacts = MODEL, **options: Any) -> CamtrapDp:
    """Writes records to `package`."""
    facts: dict[str, Any] = {
        "model": model, "meanings": meanings(model.names(model.species)), "book": FactBook(Path("root"), exif=False),
        "facts": FACTS, "now": lambda: NOW, "hashes": False, "deployments": None,
    } | options  # fmt: skip
    package = CamtrapDp(**{**facts, "deployments": facts["deployments"] or deployments(tmp_path)})
    with camtrap_package(tmp_path / "package", package) as add:
        for one in records:
            add(one)
    return package


def rows(tmp_path: Path, table: str) -> list[dict[str, str]]:
    """Returns the rows of a table of the package."""
    return rows_of(tmp_path / "package" / f"{table}.csv")


def check_valid(package: Path) -> None:
    """Makes sure that frictionless finds nothing against the standard's own schemas, nor the profile in the description."""
    frictionless = pytest.importorskip("frictionless")
    import jsonschema

    schemas = shared("data/camtrap_dp_schemas")
    described = json.loads((package / "datapackage.json").read_text(encoding="utf-8"))
    profile = json.loads((schemas / "camtrap-dp-profile.json").read_text(encoding="utf-8"))
    own = [part for part in profile["allOf"] if "$ref" not in part]
    own[0]["properties"]["spatial"].pop("$ref")  # GeoJSON's schema is on the network
    jsonschema.Draft4Validator({**profile, "allOf": own}, format_checker=jsonschema.FormatChecker()).validate(described)
    for resource in described["resources"]:
        resource["schema"] = json.loads((schemas / f"{resource['name']}-table-schema.json").read_text(encoding="utf-8"))
    described["profile"] = "data-package"
    loaded = frictionless.Package.from_descriptor(described, basepath=str(package))
    report = loaded.validate()
    assert report.valid, report.flatten(["title", "rowNumber", "fieldName", "note"])[:5]


def test_valid_by_the_standard(tmp_path: Path) -> None:
    """A package of events, single pictures, boxes and failures is valid: tables, foreign keys and description."""
    (tmp_path / "broken.jpg").write_bytes(b"x")
    box = {"file": "wood/x.jpg", "category": "animal", "unit": "relative", "x": "0", "y": "0.5", "width": "1", "height": "0.5"}
    records = [
        record(["root/wood/1.jpg", "root/wood/2.jpg"], record_id="burst", datetime=MAY),
        record(["root/lake/3.jpg"], EMPTY, datetime=MAY),
        record(["root/lake/4.jpg"], {"species": (0, 0, 0.9, 0.1)}, datetime=MAY),
        record(["root/wood/x.jpg"], record_id="box", datetime=MAY, **box),
        record([str(tmp_path / "broken.jpg")], None, deployment="d3", datetime=MAY),
    ]
    written(tmp_path, records, book=FactBook(tmp_path, exif=False), media_url="https://example.org/")
    check_valid(tmp_path / "package")
    media = rows(tmp_path, "media")
    assert len(media) == 6
    assert media[-1]["mediaComments"] == "truncated: the file ends too early"
    assert rows(tmp_path, "observations")[-1]["observationType"] == "unclassified"


def test_the_check_of_validity_can_fail(tmp_path: Path) -> None:
    """A media row of a deployment that is not there, and one without a time, are found by frictionless."""
    written(tmp_path, [record(["root/lake/1.jpg"], datetime=MAY)])
    check_valid(tmp_path / "package")
    media = tmp_path / "package" / "media.csv"
    whole = media.read_text()
    for old, new in (("d3", "d7"), ("2020-05-03T10:00:00+02:00", "yesterday")):
        media.write_text(whole.replace(old, new))
        with pytest.raises(AssertionError):
            check_valid(tmp_path / "package")


def test_an_animal_with_all_that_is_known(tmp_path: Path) -> None:
    """Count, sex and probability have their columns; what has none is a tag; the model is named with its version."""
    written(tmp_path, [record(["root/lake/1.jpg"], datetime=MAY)])
    (row,) = rows(tmp_path, "observations")
    told = {
        "deploymentID": "d3", "observationLevel": "media", "observationType": "animal", "scientificName": "Vulpes vulpes",
        "count": "2", "sex": "female", "observationTags": "weather:rain", "classificationMethod": "machine",
        "classifiedBy": "fox-model 0123456789ab", "classificationTimestamp": "2026-01-02T03:04:05Z",
        "classificationProbability": "0.7", "eventStart": "2020-05-03T10:00:00+02:00",
    }  # fmt: skip
    assert {key: row[key] for key in told} == told
    assert row["mediaID"] == rows(tmp_path, "media")[0]["mediaID"]


@pytest.mark.parametrize(
    ("values", "kind"), [((0.9, 0, 0, 0.1), "blank"), ((0, 0, 0.9, 0.1), "human"), ((0, 0, 0.1, 0.9), "vehicle")]
)
def test_what_is_no_animal(tmp_path: Path, values: tuple[float, ...], kind: str) -> None:
    """Blank pictures, people and vehicles have their type, and neither a name nor a count."""
    written(tmp_path, [record(["root/lake/1.jpg"], {**FOX_HEADS, "species": values}, datetime=MAY)])
    (row,) = rows(tmp_path, "observations")
    assert (row["observationType"], row["scientificName"], row["count"]) == (kind, "", "")


def test_bins_of_counts_are_tags(tmp_path: Path) -> None:
    """A bin is no whole number: it is kept as a tag, not turned into one."""
    written(tmp_path, [record(["root/lake/1.jpg"], {"species": (0, 1, 0, 0), "count": (0, 0, 1)}, datetime=MAY)])
    (row,) = rows(tmp_path, "observations")
    assert (row["count"], row["observationTags"]) == ("", "count:11-50")


def test_unsure_is_unknown(tmp_path: Path) -> None:
    """Below the threshold an observation is of the type unknown; what the model thought is a tag."""
    written(tmp_path, [record(["root/lake/1.jpg"], datetime=MAY)], unknown_below=0.71)
    (row,) = rows(tmp_path, "observations")
    assert (row["observationType"], row["scientificName"]) == ("unknown", "")
    assert row["observationTags"] == "species:Vulpes vulpes"


def test_events(tmp_path: Path) -> None:
    """A record of several pictures is an event from its first to its last picture, with observations on both levels."""
    times = {"root/lake/1.jpg": "2020-05-03T10:00:05", "root/lake/2.jpg": "2020-05-03T10:00:00"}
    media = {path.removeprefix("root/"): {"timestamp": time} for path, time in times.items()}
    written(tmp_path, [record(list(times), record_id="burst")], book=FactBook(Path("root"), media=media, exif=False))
    by_level = {row["observationLevel"]: row for row in rows(tmp_path, "observations")}
    assert len(rows(tmp_path, "observations")) == 3
    assert by_level["event"]["eventStart"] == "2020-05-03T10:00:00+02:00"
    assert by_level["event"]["eventEnd"] == "2020-05-03T10:00:05+02:00"
    assert by_level["event"]["eventID"] == by_level["media"]["eventID"] == "burst"
    described = json.loads((tmp_path / "package" / "datapackage.json").read_text())
    assert set(described["project"]["observationLevel"]) == {"media", "event"}


def test_pictures_that_name_their_event(tmp_path: Path) -> None:
    """Records of one picture that name one event, in a row, have one observation of it, by their mean probabilities."""
    fox, bare = {"species": (0.1, 0.9, 0, 0)}, {"species": (0.6, 0.4, 0, 0)}
    records = [
        record(["root/lake/1.jpg"], bare, datetime="2020-05-03 10:00:00", eventID="a"),
        record(["root/lake/2.jpg"], fox, datetime="2020-05-03 10:00:02", eventID="a"),
        record(["root/lake/3.jpg"], bare, datetime="2020-05-03 11:00:00", eventID="b"),
        record(["root/lake/4.jpg"], bare, datetime="2020-05-03 12:00:00"),
    ]
    written(tmp_path, records)
    seen = [row for row in rows(tmp_path, "observations") if row["observationLevel"] == "event"]
    assert [(row["eventID"], row["scientificName"], row["eventEnd"][11:19]) for row in seen] == [
        ("a", "Vulpes vulpes", "10:00:02"), ("b", "", "11:00:00"),
    ]  # fmt: skip
    assert seen[0]["classificationProbability"] == "0.65"  # (0.9 + 0.4) / 2
    check_valid(tmp_path / "package")


def test_several_species_at_once(tmp_path: Path) -> None:
    """Where several classes may be there, each has an observation of its own."""
    model = ModelFacts.of({"species": ("Vulpes vulpes", "Sus scrofa", "Lepus")}, {"species": "blank"}, classifier="m 1")
    told = meanings(["Vulpes vulpes", "Sus scrofa", "Lepus", "blank"])
    records = [
        record(["root/lake/1.jpg"], {"species": (0.6, 0.9, 0.1)}, datetime=MAY),
        record(["root/lake/2.jpg"], {"species": (0.1, 0.2, 0.1)}, datetime=MAY),
    ]
    written(tmp_path, records, model, meanings=told)
    found = [(row["scientificName"], row["observationType"]) for row in rows(tmp_path, "observations")]
    assert found == [("Sus scrofa", "animal"), ("Vulpes vulpes", "animal"), ("", "blank")]


def test_location_and_time_find_the_deployment(tmp_path: Path) -> None:
    """A location with several deployments is told apart by the time of the picture; only those used are in the package."""
    written(tmp_path, [record(["root/a.jpg"], location="wood", datetime="2020-07-05 10:00:00")])
    assert [row["deploymentID"] for row in rows(tmp_path, "deployments")] == ["d2"]
    described = json.loads((tmp_path / "package" / "datapackage.json").read_text())
    assert described["temporal"] == {"start": "2020-07-01", "end": "2020-08-01"}
    assert described["spatial"] == {"type": "Point", "coordinates": [4.5, 51.5]}
    assert described["taxonomic"] == [{"scientificName": "Vulpes vulpes"}]


def test_pictures_without_place_or_time_are_listed(tmp_path: Path) -> None:
    """They are not in the package but in the table beside it, with the reason; counts add up."""
    records = [
        record(["root/lake/1.jpg"], datetime=MAY),
        record(["root/lake/2.jpg"]),
        record(["root/sea/3.jpg"], datetime=MAY),
        record(["root/lake/4.jpg"], deployment="d9", datetime=MAY),
        record(["/elsewhere/5.jpg"], deployment="d3", datetime=MAY),
        record(["root/lake/1.jpg"], record_id="again", datetime=MAY),
    ]
    package = written(tmp_path, records)
    reasons = [row["reason"] for row in rows_of(tmp_path / "package.rejects.csv")]
    assert reasons == ["no_time", "no_deployment", "unknown_deployment", "outside_root", "repeated_picture"]
    assert package.media + package.rejected.total() == len(records)


def test_boxes(tmp_path: Path) -> None:
    """A picture is in the package once, with an observation per box; one that cannot be placed is listed once."""
    box = {
        "category": "animal",
        "detection_conf": "0.9",
        "unit": "relative",
        "x": "0",
        "y": "0.5",
        "width": "0.5",
        "height": "0.25",
    }
    records = [
        record(["root/lake/1.jpg"], record_id="1a", file="lake/1.jpg", datetime=MAY, **box),
        record(["root/lake/1.jpg"], EMPTY, record_id="1b", file="lake/1.jpg", datetime=MAY, **box),
        record(["root/sea/2.jpg"], record_id="2a", file="sea/2.jpg", datetime=MAY, **box),
        record(["root/sea/2.jpg"], record_id="2b", file="sea/2.jpg", datetime=MAY, **box),
    ]
    package = written(tmp_path, records)
    seen = rows(tmp_path, "observations")
    assert (package.media, dict(package.rejected)) == (1, {"no_deployment": 1})
    assert [(row["observationType"], row["bboxWidth"]) for row in seen] == [("animal", "0.500000"), ("blank", "0.500000")]
    check_valid(tmp_path / "package")


def test_no_picture_at_all_is_an_error(tmp_path: Path) -> None:
    """Where nothing can be placed there is no package, and the message says why and what to give."""
    with pytest.raises(SourceError, match=r"no_time 1.*--inventory"):
        written(tmp_path, [record(["root/lake/2.jpg"])])
    assert not (tmp_path / "package").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("latitude", "latitud"), "has no column latitude"),
        (("51.5", ""), "latitude missing"),
        (("51.5", "95"), "latitude 95 is not in -90"),
        (("2020-06-01T00:00:00+02:00", ""), "deploymentEnd missing"),
        (("2020-06-01T00:00:00+02:00", "2020-04-01T00:00:00+02:00"), "deploymentEnd is before deploymentStart"),
        (("2020-05-01T00:00:00+02:00", "2020-05-01T00:00:00"), "has no time zone.*--utc-offset"),
        (("d2", "d1"), "deployment d1 is there twice"),
    ],
)
def test_deployments_are_refused(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    """Facts of deployments that are missing or wrong are named with their line; nothing is made up."""
    with pytest.raises(SettingError, match=said):
        deployments(tmp_path, DEPLOYMENTS.replace(*change, 1))


def test_time_zones_may_be_given(tmp_path: Path) -> None:
    """Times and days without a zone get the one that is given; a day ends with its last second."""
    text = "deployment,lat,lon,start,end\nd1,1,2,2020-05-01,2020-05-02\n"
    (one,) = deployments(tmp_path, text, "-05:00").by_id.values()
    assert (one.cells["deploymentStart"], one.cells["deploymentEnd"]) == (
        "2020-05-01T00:00:00-05:00",
        "2020-05-02T23:59:59-05:00",
    )


def test_deployments_of_meta_data(tmp_path: Path) -> None:
    """Without a table, deployments are made of the columns of the pictures; incomplete ones reject their pictures."""
    facts = {"latitude": "1", "longitude": "2", "deploymentStart": "2020-05-01", "deploymentEnd": "2020-06-01"}
    records = [
        record(["root/1.jpg"], deploymentID="d", datetime=MAY, **facts),
        record(["root/2.jpg"], deploymentID="e", datetime=MAY),
    ]
    package = written(tmp_path, records, deployments=Deployments(given=False, utc_offset="Z"))
    assert (package.media, dict(package.rejected)) == (1, {"bad_deployment": 1})
    check_valid(tmp_path / "package")


def test_facts_of_the_package_that_are_missing() -> None:
    """All that is missing is named at once, by the standard's names."""
    found = problems(
        {"project": {"title": "x", "samplingDesign": "random", "captureMethod": []}, "licenses": [{"scope": "data"}]}
    )
    said = "; ".join(found)
    for part in (
        "contributors",
        "project.samplingDesign has to be 'simpleRandom'",
        "project.captureMethod",
        "project.individualAnimals",
    ):
        assert part in said
    assert problems(FACTS) == []
    assert problems({**FACTS, "licenses": FACTS["licenses"][:1]}) == ["a licence with scope media"]


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"name": "My Package"}, "name"),
        ({"keywords": "foxes"}, "keywords"),
        ({"title": 3}, "title"),
        ({"coordinatePrecision": "fine"}, "coordinatePrecision"),
        ({"licenses": [{"scope": "data"}, {"scope": "media", "name": "CC0-1.0"}]}, "licenses.name or licenses.path"),
    ],
)
def test_facts_that_the_standard_does_not_take(extra: dict[str, Any], said: str) -> None:
    """Facts that would make the package invalid are named."""
    assert said in "; ".join(problems({**FACTS, **extra}))


def test_facts_in_yaml(tmp_path: Path) -> None:
    """Dates become texts; what is no YAML, or unfolds without end, is refused."""
    path = tmp_path / "facts.yaml"
    path.write_text("title: x\nversion: 2026-01-02\n")
    assert read_facts(path) == {"title": "x", "version": "2026-01-02"}
    for text, said in (("title: [", "cannot be read as YAML"), ("- a", "no keys"), ("a: &x [1]\nb: [*x, *x]", "references")):
        path.write_text(text)
        with pytest.raises(SettingError, match=said):
            read_facts(path)
