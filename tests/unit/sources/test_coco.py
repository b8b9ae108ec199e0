"""COCO Camera Traps files."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from camtrap_tf.config.picture_sources import CocoInventoryConfig
from camtrap_tf.errors import SettingError, SourceError
from camtrap_tf.records import CaptureEvent
from camtrap_tf.sources.coco import CocoSource
from tests.shared_data import shared
from tests.unit.sources.picture_sources import read

NUMBERS = itertools.count()
CATEGORIES = [{"id": 0, "name": "empty"}, {"id": 1, "name": "fox"}, {"id": "2", "name": "owl"}]


def image(number: object, **facts: Any) -> dict[str, Any]:
    """Returns an image of 100 × 50 px."""
    return {"id": number, "file_name": f"{number}.jpg", "width": 100, "height": 50, **facts}


def note(number: object, category: object = 1, **facts: Any) -> dict[str, Any]:
    """Returns an annotation of an image, with an id that no other has."""
    return {"id": f"n{next(NUMBERS)}", "image_id": number, "category_id": category, **facts}


def source(folder: Path, images: list[Any], notes: list[Any], categories: Any = CATEGORIES, **options: Any) -> CocoSource:
    """Returns the source of a file with these entries."""
    (folder / "cct.json").write_text(json.dumps({"images": images, "annotations": notes, "categories": categories}))
    return CocoSource(CocoInventoryConfig(path=folder / "cct.json", export_path=folder / "out.json", **options))


def facts(record: CaptureEvent) -> tuple[Any, ...]:
    """Returns a record as plain values."""
    seen = [(one.labels["species"], one.media_id, one.box and (one.box.x, one.box.y)) for one in record.observations]
    return record.event_id, [one.path for one in record.media], seen


def test_a_record_per_picture(tmp_path: Path) -> None:
    """Several annotations are several observations with their boxes; ids may be numbers or texts; unlabelled pictures stay."""
    images = [image(1, location=7, seq_id="s", frame_num=1), image("b", location="7", seq_id="s", frame_num=2), image(3)]
    notes = [note("b", "1", bbox=[50, 25, 10, 10]), note(1, 0), note("b", 2, bbox_relative=[0.1, 0.2, 0.3, 0.4])]
    records, rejects = read(source(tmp_path, images, notes))
    assert rejects == []
    assert [facts(one) for one in records] == [
        ("1", ["1.jpg"], [("empty", "1", None)]),
        ("b", ["b.jpg"], [("fox", "b", (0.5, 0.5)), ("owl", "b", (0.1, 0.2))]),
        ("3", ["3.jpg"], [("-1", None, None)]),
    ]
    assert dict(records[0].meta_data) == {"location": "7", "event_id": "s", "frame": "1"}


def test_a_record_per_event(tmp_path: Path) -> None:
    """Pictures are in frame order, observations keep their picture, blank frames of an event with an animal do not count."""
    images = [image(2, seq_id="s", frame_num=2), image(1, seq_id="s", frame_num=1), image(9, seq_id="t")]
    records, _ = read(source(tmp_path, images, [note(1, 0), note(2, 1), note(9, 0)], records="events"))
    assert [facts(one) for one in records] == [
        ("s", ["1.jpg", "2.jpg"], [("fox", "2", None)]),
        ("t", ["9.jpg"], [("empty", "9", None)]),
    ]


def test_labels_of_sequences_make_records_of_events(tmp_path: Path) -> None:
    """What is said of a sequence as a whole is one observation of it, without a picture of its own."""
    images = [image(1, seq_id="s"), image(2, seq_id="s")]
    notes = [note(number, 1, sequence_level_annotation=True, count=12) for number in (1, 2)]
    (record,), _ = read(source(tmp_path, images, notes))
    assert facts(record) == ("s", ["1.jpg", "2.jpg"], [("fox", None, None)])
    assert record.observations[0].labels["count"] == "11-50"
    assert len(read(source(tmp_path, images, notes, records="images"))[0]) == 2


def test_sequences_of_one_name_at_two_locations_are_two_events(tmp_path: Path) -> None:
    """They are told apart by their location."""
    images = [image(1, seq_id="1", location="a"), image(2, seq_id="1", location="b"), image(3, seq_id="1", location="a")]
    records, _ = read(source(tmp_path, images, [note(1)], records="events"))
    assert [(one.event_id, len(one.media)) for one in records] == [("a/1", 2), ("b/1", 1)]


def test_ids_of_events_differ_whatever_their_names(tmp_path: Path) -> None:
    """Names that look like those made of location and sequence get a number."""
    images = [image(1, seq_id="1", location="a"), image(2, seq_id="1", location="b"), image(3, seq_id="a/1", location="c")]
    records, _ = read(source(tmp_path, [*images, image("1/x")], [note(1)], records="events"))
    assert [one.event_id for one in records] == ["a/1", "b/1", "a/1 (2)", "1/x"]


def test_missing_sequences_are_made_from_time_gaps(tmp_path: Path) -> None:
    """By location and camera; pictures without a time are events by themselves."""
    times = ["2020-01-01 10:00:00", "2020-01-01 10:00:50", "2020-01-01 10:02:00"]
    images = [image(number, location="a", datetime=time) for number, time in enumerate(times)]
    images += [image(3, location="b", datetime=times[0]), image(4, location="a"), image(5, location="a", seq_id="own")]
    records, _ = read(source(tmp_path, images, [note(0)], records="events"))
    assert [[media.path for media in one.media] for one in records] == [
        ["0.jpg", "1.jpg"],
        ["2.jpg"],
        ["3.jpg"],
        ["4.jpg"],
        ["5.jpg"],
    ]
    longer, _ = read(source(tmp_path, images, [note(0)], records="events", event_gap_s=70))
    assert [len(one.media) for one in longer] == [3, 1, 1, 1]
    assert longer[0].meta_data["event_id"] == "a 2020-01-01T10:00:00"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (image(1), "repeated_id"),
        ({**image(8), "file_name": "1.jpg"}, "repeated_file"),
        ({"file_name": "x.jpg"}, "no_id"),
        ({"id": 8}, "no_path"),
        (image(8, file_name="../x.jpg"), "outside_root"),
        (image(8, file_name="a/../../x.jpg"), "outside_root"),
        (image(8, file_name="a\\..\\x.jpg"), "outside_root"),
        (image(8, file_name="path/to/x.jpg"), "placeholder_path"),
        (image(8, file_name="x.mp4"), "video"),
        (image(8, datetime="2999-01-01 10:00:00"), "future_time"),
        (5, "not_an_object"),
    ],
)
def test_bad_images_are_rejected_one_by_one(tmp_path: Path, bad: Any, reason: str) -> None:
    """A bad image is named by its number; its annotations go with it, the others stay."""
    records, rejects = read(source(tmp_path, [image(1), bad, image(2)], [note(1), note(2), note(8)] if bad != 5 else [note(1)]))
    assert [one.event_id for one in records] == ["1", "2"]
    (reject,) = [one for one in rejects if one.unit in ("picture", "video")]
    assert (reject.reason, reject.item) == (reason, "images 2" if bad == 5 else "image 2")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (note(1, bbox=[100, 0, 10, 10]), "box_outside"),
        (note(1, bbox=[1, 1, 0, 10]), "box_empty"),
        (note(1, bbox=[0.1, 0.1, 0.2, 0.2]), "box_relative"),
        (note(1, bbox=[1, 2, 3]), "box_not_numbers"),
        (note(1, bbox=[1, 2, 3, None]), "box_not_numbers"),
        (note(1, bbox_relative=[10, 20, 30, 40]), "box_absolute"),
        (note(1, 99), "unknown_category"),
        (note(1, 7), "category_clash"),
        (note("gone"), "unknown_image"),
        (note(1, id="first"), "repeated_id"),
        ({"id": 5, "category_id": 1}, "unknown_image"),
        ("x", "not_an_object"),
    ],
)
def test_bad_annotations_are_rejected_one_by_one(tmp_path: Path, bad: Any, reason: str) -> None:
    """A bad annotation is named by its id, or its number where it has none; the others of the picture stay."""
    categories = [*CATEGORIES, {"id": 7, "name": "a"}, {"id": 7, "name": "b"}]
    records, rejects = read(source(tmp_path, [image(1)], [note(1, id="first"), bad], categories))
    assert [facts(one)[2] for one in records] == [[("fox", "1", None)]]
    assert [(one.reason, one.unit) for one in rejects] == [(reason, "observation")]
    assert " " in rejects[0].detail
    assert rejects[0].item == (bad["id"] if bad != "x" and "id" in bad else "annotations 2") or reason == "unknown_image"


def test_annotations_without_ids_are_not_of_one_id(tmp_path: Path) -> None:
    """They all count; a bad one is named by its place in the file."""
    notes = [{"image_id": 1, "category_id": 1}, {"image_id": 1, "category_id": 2}, {"image_id": 1, "category_id": 9}]
    (record,), rejects = read(source(tmp_path, [image(1)], notes))
    assert len(record.observations) == 2
    assert [(one.item, one.reason) for one in rejects] == [("annotation 3", "unknown_category")]


@pytest.mark.parametrize("ids", [(7, "7", "8"), ("a", "a", "b"), (1, 1, 2), (7.0, 7, 8)])
def test_ids_are_one_however_they_are_written(tmp_path: Path, ids: tuple[Any, ...]) -> None:
    """The second of three annotations has the id of the first, as texts or numbers."""
    records, rejects = read(source(tmp_path, [image(1)], [note(1, id=one) for one in ids]))
    assert len(records[0].observations) == 2
    assert [(one.reason, one.detail) for one in rejects] == [
        ("repeated_id", "annotation 2 has the id of an earlier annotation")
    ]


def test_a_picture_all_of_whose_annotations_are_bad_is_not_unlabelled(tmp_path: Path) -> None:
    """It is rejected, so that it cannot pass for a picture that nobody has looked at."""
    records, rejects = read(source(tmp_path, [image(1), image(2)], [note(1, bbox=[1, 1, 0, 0]), note(2)]))
    assert [one.event_id for one in records] == ["2"]
    assert [one.reason for one in rejects] == ["box_empty", "no_usable_observation"]


def test_relative_boxes_are_said(tmp_path: Path) -> None:
    """The note names the flag that reads them, and with it they are read."""
    notes = [note(1, bbox=[0.1, 0.2, 0.3, 0.4])]
    found = source(tmp_path, [image(1), image(2)], notes)
    read(found)
    assert any("--boxes relative" in one for one in found.notes)
    assert "--boxes relative" in read(source(tmp_path, [image(1), image(2)], notes))[1][0].detail
    records, _ = read(source(tmp_path, [image(1)], notes, boxes="relative"))
    assert facts(records[0])[2] == [("fox", "1", (0.1, 0.2))]


def test_confidences_of_boxes(tmp_path: Path) -> None:
    """How sure a detector was is read under each of the names that are in use; what is no share of 1 is none."""
    notes = [note(1, confidence=0.25), note(1, score=0.5), note(1, conf=1e-6), note(1, conf=7), note(1, score="x"), note(1)]
    (record,), _ = read(source(tmp_path, [image(1)], notes))
    assert [one.confidence for one in record.observations] == [0.25, 0.5, 1e-6, None, None, None]


def test_missing_files(tmp_path: Path) -> None:
    """Files that are not there are rejected by name; sizes and times that the file lacks come from the pictures."""
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2016:03:24 10:30:12"
    (tmp_path / "in").mkdir()
    Image.effect_noise((200, 100), 50).save(tmp_path / "in/1.jpg", exif=exif)
    images = [{"id": 1, "file_name": "1.jpg"}, *(image(number) for number in range(2, 50))]
    found = source(tmp_path, images, [note(1, bbox=[100, 50, 20, 10])], image_root=tmp_path / "in")
    (record,), rejects = read(found)
    assert record.media[0].timestamp == "2016-03-24T10:30:12"
    assert facts(record)[2] == [("fox", "1", (0.5, 0.5))]
    assert {one.reason for one in rejects} == {"missing_file"}
    assert len(rejects) == 48


def test_paths_that_no_file_can_have(tmp_path: Path) -> None:
    """They are missing files like others."""
    images = [image(1, file_name="x" * 5000), image(2, file_name="a.jpg"), image("\ud800", file_name="\udc00.jpg")]
    (tmp_path / "a.jpg").write_bytes(b"x" * 300)
    records, rejects = read(source(tmp_path, images, [], image_root=tmp_path))
    assert [one.event_id for one in records] == ["2"]
    assert [one.reason for one in rejects] == ["missing_file"] * 2


def test_remote_pictures_are_counted_apart(tmp_path: Path) -> None:
    """A URL is neither used nor rejected, unless it is asked for."""
    images = [image(1), image(2, file_name="https://x.org/a.jpg")]
    twice = source(tmp_path, [*images, image(3, file_name="https://x.org/a.jpg")], [])
    assert [one.reason for one in read(twice)[1]] == ["repeated_file"]
    assert len(twice.grouped.checked.remote) == 1
    found = source(tmp_path, images, [note(1), note(2)])
    records, rejects = read(found)
    assert (len(records), rejects) == (1, [])
    assert found.grouped.checked.remote == (("image 2", "2", "https://x.org/a.jpg"),)
    records, _ = read(source(tmp_path, images, [note(1), note(2)], keep_remote=True))
    assert [one.media[0].path for one in records] == ["1.jpg", "https://x.org/a.jpg"]


def test_plain_coco_and_odd_texts(tmp_path: Path) -> None:
    """Categories may be any classes, under any label type; texts with quotes and of any alphabet come through."""
    images = [image('a"b', license=3), image("ü\\n"), image(3, file_name="d\\e.jpg")]
    notes = [note('a"b', bbox=[1e-3, 1e-3, 5, 5]), note("ü\\n", sex='"f"')]
    records, _ = read(source(tmp_path, images, notes, [{"id": 1, "name": "Fuchs „rot“"}], label_name="thing"))
    assert [one.observations[0].labels["thing"] for one in records] == ["Fuchs „rot“", "Fuchs „rot“", "-1"]
    assert records[1].observations[0].labels["sex"] == '"f"'
    assert records[2].media[0].path == "d/e.jpg"


def test_label_fields(tmp_path: Path) -> None:
    """Further keys of annotations are labels where asked for; a key that is nowhere is told."""
    (record,), _ = read(source(tmp_path, [image(1)], [note(1, pose="sits", count=3)], label_fields=("pose",)))
    assert dict(record.observations[0].labels) == {"species": "fox", "pose": "sits"}
    with pytest.raises(SettingError, match="did you mean 'pose'"):
        read(source(tmp_path, [image(1)], [note(1, pose="sits")], label_fields=("poses",)))


def test_location_from_the_path(tmp_path: Path) -> None:
    """Where no location is given, the first folders stand for it."""
    images = [image(1, file_name="isl/cam/1.jpg"), image(2, file_name="isl/cam/2.jpg", location="own"), image(3)]
    records, _ = read(source(tmp_path, images, [note(1)], location_from_path=2))
    assert [one.meta_data.get("location") for one in records] == ["isl/cam", "own", None]


def test_a_cut_file_is_told(tmp_path: Path) -> None:
    """Truncated JSON is an error that names the file."""
    (tmp_path / "cct.json").write_text('{"images": [{"id": 1, "file_name": "a')
    with pytest.raises(SourceError, match=r"cct\.json: not JSON"):
        CocoSource(CocoInventoryConfig(path=tmp_path / "cct.json", export_path=tmp_path / "o.json")).grouped  # noqa: B018  # is read on use


def naive(document: dict[str, Any]) -> dict[str, tuple[str, Any, Any, list[Any]]]:
    """Returns path, location, sequence and (class, box) of each picture, entry by entry."""
    names = {one["id"]: one["name"] for one in document["categories"]}
    notes = defaultdict(list)
    sizes = {one["id"]: (one["width"], one["height"]) for one in document["images"]}
    for one in document["annotations"]:
        width, height = sizes[one["image_id"]]
        x, y, w, h = one.get("bbox") or (None,) * 4
        box = None if x is None else (x / width, y / height, min(w, width - x) / width, min(h, height - y) / height)
        notes[one["image_id"]].append((names[one["category_id"]], box))
    return {one["id"]: (one["file_name"], str(one["location"]), one["seq_id"], notes[one["id"]]) for one in document["images"]}


def test_a_real_file_is_read_like_the_slow_way() -> None:
    """3484 images of Caltech Camera Traps: every fact is the same as taken from the JSON by hand."""
    path = shared("data/cct20_cis_val_json/cis_val_annotations.json")
    expected = naive(json.loads(path.read_text()))
    records, rejects = read(CocoSource(CocoInventoryConfig(path=path, export_path="o.json")))
    assert rejects == []
    assert [one.event_id for one in records] == list(expected)
    for record in records:
        name, location, sequence, notes = expected[record.event_id]
        assert (record.media[0].path, record.meta_data["location"], record.meta_data["event_id"]) == (name, location, sequence)
        assert [one.labels["species"] for one in record.observations] == [one[0] for one in notes]
        for seen, (_, box) in zip(record.observations, notes, strict=True):
            found = seen.box and (seen.box.x, seen.box.y, seen.box.width, seen.box.height)
            assert found == (box and pytest.approx(box, abs=1e-12))


def test_real_events() -> None:
    """The same file by events: as many as it has sequences, each picture in one."""
    path = shared("data/cct20_cis_val_json/cis_val_annotations.json")
    sequences = {one["seq_id"] for one in json.loads(path.read_text())["images"]}
    records, _ = read(CocoSource(CocoInventoryConfig(path=path, export_path="o.json", records="events")))
    assert {one.event_id for one in records} == sequences
    assert sum(len(one.media) for one in records) == 3484


def test_real_pictures_are_found_below_the_root() -> None:
    """The pictures lie one level below the folder that is named; paths begin at that folder, and it is said."""
    folder = shared("data/cct20_21images")
    found = CocoSource(CocoInventoryConfig(path=folder / "cct20_21.json", export_path="o.json", image_root=folder))
    records, rejects = read(found)
    assert (len(records), rejects) == (21, [])
    assert all((folder / one.media[0].path).is_file() for one in records)
    assert any("images" in one and "--image-root" in one for one in found.notes)
