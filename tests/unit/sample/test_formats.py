"""One sample in four forms: the facts agree, and each form keeps its rules."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, UnidentifiedImageError

from camtrap_tf.sample.formats import CSV_COLUMNS
from camtrap_tf.sample.species import SPECIES
from tests.reading import rows_of
from tests.shared_data import shared


@pytest.fixture(scope="module")
def rows(sample: Path) -> list[dict[str, str]]:
    """Returns the rows of sample.csv."""
    return rows_of(sample / "sample.csv")


@pytest.fixture(scope="module")
def coco(sample: Path) -> dict[str, Any]:
    """Returns the COCO Camera Traps file."""
    return dict(json.loads((sample / "coco_camera_traps.json").read_text()))


@pytest.fixture(scope="module")
def detections(sample: Path) -> dict[str, Any]:
    """Returns the MegaDetector file's entries by picture."""
    return {one["file"]: one for one in json.loads((sample / "megadetector.json").read_text())["images"]}


def readable(path: Path) -> bool:
    """Returns whether a picture can be read to its end."""
    try:
        with Image.open(path) as picture:
            picture.load()
            return picture.size == (400, 300)
    except (UnidentifiedImageError, OSError):
        return False


def test_csv_has_its_columns(rows: list[dict[str, str]]) -> None:
    """The columns are those promised, in their order, and every picture has a place of its own."""
    assert tuple(rows[0]) == CSV_COLUMNS
    pictures = [row[f"image_{k}"] for row in rows for k in (1, 2, 3)]
    assert len(set(pictures)) == 3 * len(rows)
    assert all(row["image_2"] == f"images/{row['location']}/{row['event_id']}_2.jpg" for row in rows)


def test_pictures_are_there_and_few_are_broken(sample: Path, rows: list[dict[str, str]], detections: dict[str, Any]) -> None:
    """Every file exists; those that cannot be read are exactly the failures of the MegaDetector file, under 5 %."""
    pictures = [row[f"image_{k}"] for row in rows for k in (1, 2, 3)]
    unreadable = {name for name in pictures if not readable(sample / name)}
    assert unreadable == {name for name, one in detections.items() if one.get("failure")}
    assert 0 < len(unreadable) < 0.05 * len(pictures)
    assert set(detections) == set(pictures)


def test_coco_says_what_the_csv_says(rows: list[dict[str, str]], coco: dict[str, Any]) -> None:
    """Species, count, behaviour, posture, location and time of every event are the same in both."""
    names = {one["id"]: one["name"] for one in coco["categories"]}
    assert names[0] == "empty"
    by_event = defaultdict(list)
    for image in coco["images"]:
        by_event[image["seq_id"]].append(image)
    notes = defaultdict(list)
    for note in coco["annotations"]:
        notes[note["image_id"]].append(note)
    assert len({note["id"] for note in coco["annotations"]}) == len(coco["annotations"])
    for row in rows:
        images = by_event[row["event_id"]]
        assert [image["file_name"] for image in images] == [row["image_1"], row["image_2"], row["image_3"]]
        assert [image["frame_num"] for image in images] == [1, 2, 3]
        assert {image["seq_num_frames"] for image in images} == {3}
        assert images[0]["datetime"] == row["datetime"]
        assert {image["location"] for image in images} == {row["location"]}
        for image in images:
            mine = notes[image["id"]]
            found = {names[note["category_id"]] for note in mine}
            if row["species"] == "blank":
                assert found == {"empty"}
            elif row["species"]:
                assert found == {row["species"]}
            else:
                assert found <= {"unidentified"}
            if row["count"]:
                assert len(mine) == int(row["count"])
            for label in ("behaviour", "posture"):
                assert {note.get(label, "") for note in mine} <= {row[label]}


def test_coco_boxes_are_pixels_inside_the_picture(coco: dict[str, Any]) -> None:
    """Boxes are whole pixels, inside the picture; broken pictures have none and are marked corrupt."""
    sizes = {image["id"]: image for image in coco["images"]}
    boxes = 0
    for note in coco["annotations"]:
        image = sizes[note["image_id"]]
        if "bbox" not in note:
            continue
        x, y, width, height = note["bbox"]
        boxes += 1
        assert min(x, y) >= 0
        assert min(width, height) > 1
        assert x + width <= image["width"]
        assert y + height <= image["height"]
        assert not image.get("corrupt")
    assert boxes > 100


def test_megadetector_boxes_are_the_coco_boxes(coco: dict[str, Any], detections: dict[str, Any]) -> None:
    """Per picture both files have the same boxes, relative in one and in pixels in the other."""
    names = {image["id"]: image["file_name"] for image in coco["images"]}
    pixels = defaultdict(list)
    for note in coco["annotations"]:
        if "bbox" in note:
            pixels[names[note["image_id"]]].append(note["bbox"])
    assert pixels.keys() <= detections.keys()
    assert sum(map(len, pixels.values())) > 0
    for name, one in detections.items():
        found = [box["bbox"] for box in one["detections"] or []]
        back = sorted([round(x * 400), round(y * 300), round(w * 400), round(h * 300)] for x, y, w, h in found)
        assert back == sorted(pixels[name])


def test_megadetector_form(sample: Path) -> None:
    """Version is a text, categories are texts of numbers, failures have no detections, confidences lie in [0, 1]."""
    found = json.loads((sample / "megadetector.json").read_text())
    assert float(found["info"]["format_version"]) >= 1.5
    assert isinstance(found["info"]["format_version"], str)
    assert found["detection_categories"]["1"] == "animal"
    for image in found["images"]:
        assert ("failure" in image) == (image["detections"] is None)
        for one in image["detections"] or []:
            assert one["category"] == "1"
            assert 0 <= one["conf"] <= 1
            for category, _ in one.get("classifications", []):
                assert found["classification_categories"][category] in SPECIES


def test_camtrap_dp_says_what_the_csv_says(sample: Path, rows: list[dict[str, str]]) -> None:
    """Observations at event level hold the labels of the CSV; media hold its pictures and times."""
    events = {one["eventID"]: one for one in rows_of(sample / "observations.csv") if one["observationLevel"] == "event"}
    media = {one["filePath"]: one for one in rows_of(sample / "media.csv")}
    places = {one["deploymentID"]: one["locationID"] for one in rows_of(sample / "deployments.csv")}
    common = {species.scientific_name: species.name for species in SPECIES.values()}
    assert set(events) == {row["event_id"] for row in rows}
    for row in rows:
        one = events[row["event_id"]]
        assert common.get(one["scientificName"], "") == ("" if row["species"] == "blank" else row["species"])
        assert (one["observationType"] == "blank") == (row["species"] == "blank")
        assert one["count"] == row["count"]
        assert one["behavior"] == row["behaviour"]
        assert one["observationTags"].removeprefix("posture:") == row["posture"]
        assert places[one["deploymentID"]] == row["location"]
        assert media[row["image_1"]]["timestamp"] == row["datetime"].replace(" ", "T") + "+03:00"


def test_camtrap_dp_boxes_are_the_detections(sample: Path, detections: dict[str, Any]) -> None:
    """Observations at media level have the boxes of the MegaDetector file."""
    files = {one["mediaID"]: one["filePath"] for one in rows_of(sample / "media.csv")}
    found = defaultdict(list)
    for one in rows_of(sample / "observations.csv"):
        if one["observationLevel"] == "media":
            found[files[one["mediaID"]]].append([float(one[key]) for key in ("bboxX", "bboxY", "bboxWidth", "bboxHeight")])
    assert found
    assert found.keys() <= detections.keys()
    for name, one in detections.items():
        assert sorted(found[name]) == sorted(box["bbox"] for box in one["detections"] or [])


@pytest.mark.parametrize("name", ["deployments", "media", "observations"])
def test_camtrap_dp_tables_keep_the_schema(sample: Path, name: str) -> None:
    """Columns are known, required ones are filled, values keep types, lists, patterns, limits and uniqueness."""
    schema = json.loads(shared(f"data/camtrap_dp_schemas/{name}-table-schema.json").read_text())
    fields = {field["name"]: field for field in schema["fields"]}
    found = rows_of(sample / f"{name}.csv")
    assert set(found[0]) <= set(fields)
    assert {key for key, field in fields.items() if field["constraints"].get("required")} <= set(found[0])
    for key in found[0]:
        values = [one[key] for one in found]
        rules = fields[key]["constraints"]
        if rules.get("unique"):
            assert len(set(values)) == len(values)
        for value in values:
            if value == "":
                assert not rules.get("required"), key
                continue
            assert "enum" not in rules or value in rules["enum"]
            assert "pattern" not in rules or re.search(rules["pattern"], value)
            _check_type(fields[key], value)


def _check_type(field: dict[str, Any], value: str) -> None:
    kind, rules = field["type"], field["constraints"]
    if kind in {"number", "integer"}:
        number = int(value) if kind == "integer" else float(value)
        assert rules.get("minimum", number) <= number <= rules.get("maximum", number), field["name"]
    elif kind == "boolean":
        assert value in {"true", "false"}
    elif kind == "datetime":
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)", value)


def test_camtrap_dp_package(sample: Path) -> None:
    """The package has what the profile asks for, its keys fit together and its files are there."""
    profile = json.loads(shared("data/camtrap_dp_schemas/camtrap-dp-profile.json").read_text())["allOf"][1]
    package = json.loads((sample / "datapackage.json").read_text())
    assert set(profile["required"]) <= set(package)
    assert set(profile["properties"]["project"]["required"]) <= set(package["project"])
    rules = profile["properties"]["project"]["properties"]
    assert package["project"]["samplingDesign"] in rules["samplingDesign"]["enum"]
    assert {one["scope"] for one in package["licenses"]} == {"data", "media"}
    version = json.loads(shared("data/camtrap_dp_schemas/camtrap-dp-profile.json").read_text())["$defs"]["version"]["pattern"]
    assert all(re.search(version, one["schema"]) for one in package["resources"])
    deployments = {one["deploymentID"] for one in rows_of(sample / "deployments.csv")}
    media = rows_of(sample / "media.csv")
    observations = rows_of(sample / "observations.csv")
    assert {one["deploymentID"] for one in media + observations} <= deployments
    assert {one["mediaID"] for one in observations} - {""} <= {one["mediaID"] for one in media}
    assert all((sample / one["filePath"]).is_file() for one in media)
    assert {one["scientificName"] for one in observations} - {""} <= {one["scientificName"] for one in package["taxonomic"]}


def test_coco_has_the_fields_of_real_files(coco: dict[str, Any]) -> None:
    """Images and annotations have the keys that a published COCO Camera Traps file has."""
    real = json.loads(shared("data/cct20_21images/cct20_21.json").read_text())
    keys = {"id", "file_name", "location", "seq_id", "seq_num_frames", "frame_num", "width", "height"}
    assert keys <= set(real["images"][0])
    assert all(keys <= set(image) | ({"width", "height"} if image.get("corrupt") else set()) for image in coco["images"])
    assert set(real["annotations"][0]) <= set(next(note for note in coco["annotations"] if "bbox" in note))
