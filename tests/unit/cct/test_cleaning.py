"""What cleaning leaves out, rule by rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from camtrap_tf.cct.cleaning import clean, clean_file
from camtrap_tf.cct.validating import problems_of
from camtrap_tf.config.cct import CctCleanConfig
from camtrap_tf.errors import SettingError, SourceError, TooManyRejectsError
from camtrap_tf.sources.cct_document import CctDocument
from tests.unit.cct.documents import ids, make_annotation, make_document, make_image, reasons


def config(**options: Any) -> CctCleanConfig:
    """Returns settings of cleaning."""
    return CctCleanConfig(path=Path("in.json"), output=Path("out.json"), **options)


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        (make_annotation("x", "nowhere"), "unknown_image"),
        (make_annotation("x", "i", category=99), "unknown_category"),
        (make_annotation("good", "i"), "repeated_id"),
        (make_annotation("x", "i", bbox=None), "no_bbox"),
        (make_annotation("x", "i", bbox=[1, None, 3, 4]), "no_bbox"),
        (make_annotation("x", "sizeless"), "no_dimensions"),
        (make_annotation("x", "i", bbox=[1, 2, 3]), "box_not_numbers"),
        (make_annotation("x", "i", bbox=["1", 2, 3, 4]), "box_not_numbers"),
        (make_annotation("x", "i", bbox=[10, 10, 0, 5]), "box_empty"),
        (make_annotation("x", "i", bbox=[200, 10, 5, 5]), "box_outside"),
        (make_annotation("x", "i", bbox=[0.1, 0.1, 0.5, 0.5]), "box_relative"),
        (make_annotation("x", "i", bbox=[0, 0, 95, 57]), "bbox_too_big"),
        (make_annotation("x", "i", bbox=None, bbox_relative=[10, 20, 30, 40]), "box_absolute"),
    ],
)
def test_annotation_is_left_out_for_its_reason(annotation: dict[str, Any], reason: str) -> None:
    """Each unusable annotation is listed with its own reason, the good one beside it stays."""
    images = [make_image("i"), make_image("sizeless", width=None, height=None)]
    change = clean(make_document(images, [make_annotation("good", "i"), annotation]), config())
    assert ids(change.document.annotations) == ["good"]
    assert [reject.reason for reject in change.rejects if reject.unit == "annotation"] == [reason]


def test_category_ids_that_clash_mean_nothing() -> None:
    """An annotation whose category id stands for two names is rejected; the same category listed twice is no clash."""
    document = make_document([make_image("i")], [make_annotation("1", "i", 3), make_annotation("2", "i", 7)])
    twice = [*document.categories, {"id": "3", "name": "wolf"}, {"id": 7, "name": "rat"}]
    change = clean(document.with_parts(categories=twice), config())
    assert ids(change.document.annotations) == ["2"]
    assert reasons(change.rejects) == [("1", "category_clash")]


def test_categories_are_those_with_an_id_of_their_own() -> None:
    """Of an id of two names both categories go, of one that is there twice the second; the result has no problem left."""
    document = make_document([make_image("i")], [make_annotation("1", "i", 3), make_annotation("2", "i", 7)])
    twice = [*document.categories, {"id": "3", "name": "wolf"}, {"id": 7, "name": "rat"}]
    change = clean(document.with_parts(categories=twice), config())
    assert [one["name"] for one in change.document.categories] == ["empty", "rat"]
    assert any("stand for several names, left out: 3" in note for note in change.notes)
    assert any("are there again, kept once: 7" in note for note in change.notes)
    assert list(problems_of(change.document)) == []


def test_relative_boxes_are_said_and_read(tmp_path: Path) -> None:
    """Where all are relative nothing is written and the flag is named; with it they stay, under the name for such boxes."""
    source, target = tmp_path / "in.json", tmp_path / "out.json"
    relative = [0.1, 0.2, 0.3, 0.4]
    document = make_document([make_image("i")], [make_annotation("1", "i", bbox=relative), make_annotation("2", "i", 99)])
    document.write(source)
    settings = CctCleanConfig(path=source, output=target)
    advice = "1 box relative where px are expected; if all are, read them with --boxes relative"
    with pytest.raises(SourceError, match=f"no image is left: 1 image left out .*{advice}"):
        clean_file(settings)
    with pytest.raises(TooManyRejectsError, match=advice):
        clean_file(settings.model_copy(update={"max_rejected_share": 0.5}))
    assert [one.name for one in tmp_path.iterdir()] == ["in.json"]
    planned = clean_file(settings.model_copy(update={"dry_run": True}))
    assert advice in planned.text()
    assert "without --dry-run this is an error" in planned.text()
    assert planned.exit_code == SourceError.exit_code
    done = clean_file(settings.model_copy(update={"boxes": "relative"}))
    (kept,) = CctDocument.read(target).annotations
    assert kept == {"id": "1", "image_id": "i", "category_id": 3, "bbox_relative": relative}
    assert "2 boxes in bbox read as shares of the picture" in done.text()
    assert done.exit_code == 0
    assert list(problems_of(CctDocument.read(target))) == []


def test_boxes_said_to_be_relative_are_judged_and_cut_as_such() -> None:
    """What sticks out is cut at 1, px among them are rejected with the other flag, and a null box stays none."""
    boxes = {"1": [0.5, 0.5, 0.7, 0.2], "2": [10, 10, 20, 20], "3": [0.1, None, 0.2, 0.2]}
    annotations = [make_annotation(key, "i", bbox=box) for key, box in boxes.items()]
    change = clean(make_document([make_image("i")], annotations), config(boxes="relative"))
    assert [one["bbox_relative"] for one in change.document.annotations] == [pytest.approx([0.5, 0.5, 0.5, 0.2])]
    assert reasons(change.rejects) == [("2", "box_absolute"), ("3", "no_bbox")]
    assert "--boxes pixels" in change.rejects[0].detail


def test_in_is_out_and_rejected() -> None:
    """Images and annotations add up; images that keep no annotation go, under a reason of their own."""
    images = [make_image("i"), make_image("j"), make_image("bare"), make_image("i")]
    annotations = [make_annotation("1", "i"), make_annotation("2", "j", bbox=None)]
    change = clean(make_document(images, annotations), config())
    gone = [(reject.unit, reject.id, reject.reason) for reject in change.rejects]
    assert gone == [
        ("image", "i", "repeated_id"),
        ("annotation", "j", "no_bbox"),
        ("image", "j", "no_annotation_left"),
        ("image", "bare", "no_annotation"),
    ]
    assert ids(change.document.images) == ["i"]


@pytest.mark.parametrize(
    ("rule", "box", "stays"),
    [
        ("both", [0, 0, 95, 56], True),
        ("both", [0, 0, 95, 57], False),
        ("either", [0, 0, 95, 1], False),
        ("either", [0, 0, 94, 56], True),
        ("off", [0, 0, 100, 60], True),
    ],
)
def test_too_big_by_both_sides_or_either(rule: Any, box: list[int], stays: bool) -> None:
    """At 95 % of 100 x 60 px the limits are 95 and 57 px, in both sides or in either."""
    change = clean(make_document([make_image("i")], [make_annotation("1", "i", bbox=box)]), config(too_big=rule))
    assert bool(change.document.annotations) is stays


def test_box_that_sticks_out_is_cut_or_left_out() -> None:
    """A box over two edges is cut at both, whole numbers stay whole; on request it is left out instead."""
    document = make_document([make_image("i")], [make_annotation("1", "i", bbox=[-5, 50, 20, 30])])
    assert clean(document, config()).document.annotations[0]["bbox"] == [0, 50, 15, 10]
    assert next(reject.reason for reject in clean(document, config(outside="reject")).rejects) == "bbox_sticks_out"
    assert document.annotations[0]["bbox"] == [-5, 50, 20, 30]


def test_empty_pictures_can_be_kept() -> None:
    """With `keep_empty` boxless annotations of the empty category and bare images stay, boxless foxes do not."""
    images = [make_image("e"), make_image("bare"), make_image("f")]
    annotations = [make_annotation("1", "e", category=0, bbox=None), make_annotation("2", "f", bbox=None)]
    change = clean(make_document(images, annotations), config(keep_empty=True))
    assert ids(change.document.images) == ["e", "bare"]
    assert ids(change.document.annotations) == ["1"]


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ({"file_name": "x.jpg"}, "no_id"),
        ({"id": "x"}, "no_path"),
        ({"id": "x", "file_name": "i.jpg"}, "repeated_file"),
        ({"id": "x", "file_name": "a/../../b.jpg"}, "outside_root"),
    ],
)
def test_image_is_left_out_for_its_reason(image: dict[str, Any], reason: str) -> None:
    """Images without id or file, two of one file and paths that lead out are listed."""
    change = clean(make_document([make_image("i"), image], [make_annotation("1", "i")]), config())
    assert [reject.reason for reject in change.rejects] == [reason]


def test_locations_are_normalised_and_joined_names_said() -> None:
    """Spaces become `_`, capitals small; two spellings that become one are named; a number is a text."""
    images = [
        make_image("1", "Bear Gulch"),
        make_image("2", "bear_gulch"),
        make_image("3", None),
        {**make_image("4"), "location": 7},
    ]
    annotations = [make_annotation(key, key) for key in "1234"]
    change = clean(make_document(images, annotations), config(normalize_locations=True))
    assert [image.get("location") for image in change.document.images] == ["bear_gulch", "bear_gulch", None, "7"]
    assert any("'Bear Gulch', 'bear_gulch'" in note for note in change.notes)


def test_location_from_path_and_locations_to_drop() -> None:
    """The first two folders of a path become the location, by which images can be left out."""
    images = [make_image("1", file_name="isl/site1/x/1.jpg"), make_image("2", file_name="isl/site2/2.jpg")]
    document = make_document(images, [make_annotation("1", "1"), make_annotation("2", "2")])
    change = clean(document, config(location_from_path=2, drop_locations=("isl/site2",)))
    assert [image["location"] for image in change.document.images] == ["isl/site1"]
    assert ("2", "image_left_out") in reasons(change.rejects)
    with pytest.raises(SettingError, match="did you mean 'isl/site"):
        clean(document, config(location_from_path=2, drop_locations=("isl/site",)))


def test_sizes_are_read_from_files(tmp_path: Path) -> None:
    """An image without width and height gets those of its file, so that its annotations stay."""
    Image.new("RGB", (80, 40)).save(tmp_path / "i.jpg")
    document = make_document([make_image("i", width=None, height=None)], [make_annotation("1", "i")])
    change = clean(document, config(image_root=tmp_path))
    assert (change.document.images[0]["width"], change.document.images[0]["height"]) == (80, 40)


def test_images_of_impossible_times_can_be_left_out() -> None:
    """Times in the future, and what is no time, stay by default and go on request; images without a time stay."""
    images = [make_image("1", datetime="2999-01-01 00:00:00"), make_image("2", datetime="dawn"), make_image("3")]
    document = make_document(images, [make_annotation(key, key) for key in "123"])
    assert len(clean(document, config()).document.images) == 3
    change = clean(document, config(bad_times="reject"))
    assert [reject.reason for reject in change.rejects if reject.unit == "image"] == ["future_time", "bad_time"]
    assert ids(change.document.images) == ["3"]


def test_too_many_rejects_write_nothing(tmp_path: Path) -> None:
    """Above the share allowed the command stops before it writes; a dry run still shows the counts."""
    source, target = tmp_path / "in.json", tmp_path / "out.json"
    make_document([make_image("i")], [make_annotation("1", "i"), make_annotation("2", "i", bbox=None)]).write(source)
    settings = CctCleanConfig(path=source, output=target, max_rejected_share=0.4)
    with pytest.raises(TooManyRejectsError, match=r"1 of 2 annotations are left out \(1 × no_bbox\)"):
        clean_file(settings)
    assert not target.exists()
    assert "1 left out" in clean_file(settings.model_copy(update={"dry_run": True})).text()
    clean_file(settings.model_copy(update={"max_rejected_share": 0.5}))
    assert target.exists()


def test_file_is_written_with_its_rejects(tmp_path: Path) -> None:
    """The command writes file and rejects, adds them up in its text; a dry run writes nothing; the input is never replaced."""
    source = tmp_path / "in.json"
    make_document([make_image("i"), make_image("j")], [make_annotation("1", "i")]).write(source)
    target = tmp_path / "o" / "clean.json"
    dry = clean_file(CctCleanConfig(path=source, output=target, dry_run=True))
    assert "would write" in dry.text()
    assert not target.parent.exists()
    done = clean_file(CctCleanConfig(path=source, output=target))
    assert "2 images read = 1 kept + 1 left out (1 × no_annotation)" in done.text()
    assert "no_annotation" in (target.parent / "clean.rejects.csv").read_text(encoding="utf-8")
    with pytest.raises(SettingError, match="is the file that is read"):
        clean_file(CctCleanConfig(path=source, output=source))
