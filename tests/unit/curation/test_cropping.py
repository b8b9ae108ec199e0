"""The stage `crop`: what is cut, what is kept, what is rejected, and that nothing stops it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from camtrap_tf.config.crop import CropConfig
from camtrap_tf.curation.cropping import Cropped, crop
from camtrap_tf.errors import SettingError
from tests.factories import make_jpeg, write_pictures
from tests.reading import rows_of
from tests.unit.cct.documents import make_annotation, make_document, make_image


def cct_file(tmp_path: Path, images: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> Path:
    """Writes a COCO Camera Traps file; its pictures of 100 x 60 px, unless they are there."""
    path = tmp_path / "cct.json"
    make_document(images, annotations).write(path)
    for image in images:
        if not (tmp_path / "pictures" / image["file_name"]).exists() and ".." not in image["file_name"]:
            write_pictures(tmp_path / "pictures", [image["file_name"]], width=100, height=60)
    return path


def md_file(tmp_path: Path, images: list[dict[str, Any]], **info: Any) -> Path:
    """Writes MegaDetector results."""
    path = tmp_path / "md.json"
    value = {
        "info": {"format_version": "1.4", "detector": "md_v5a.0.0.pt", **info},
        "detection_categories": {"1": "animal", "2": "person"},
        "images": images,
    }
    path.write_text(json.dumps(value))
    return path


def found(category: str = "1", conf: float = 0.9, bbox: tuple[float, ...] = (0.1, 0.1, 0.3, 0.3)) -> dict[str, Any]:
    """Returns a detection."""
    return {"category": category, "conf": conf, "bbox": list(bbox)}


def run(tmp_path: Path, path: Path, **settings: Any) -> Cropped:
    """Cuts crops into `crops`."""
    return crop(
        CropConfig(path=path, image_root=tmp_path / "pictures", output_dir=tmp_path / "crops", **{"workers": 1, **settings})
    )


def table(tmp_path: Path, name: str = "crops.csv") -> list[dict[str, str]]:
    """Returns the rows of a table in the folder of crops."""
    return rows_of(tmp_path / "crops" / name)


def counts(done: Cropped) -> None:
    """Makes sure that pictures and boxes that were read are all accounted for."""
    boxes = sum(one.unit == "box" for one in done.rejects)
    assert done.plan.boxes_read == done.made + done.kept + done.plan.passed.total() + boxes
    assert done.plan.pictures_read >= done.cut + sum(one.unit == "picture" for one in done.rejects)


def test_boxes_of_annotations_become_crops_with_their_names(tmp_path: Path) -> None:
    """A crop is named by picture and annotation, has the size of its window, and shows what is there."""
    path = cct_file(tmp_path, [make_image("a/i1")], [make_annotation("n1", "a/i1", bbox=(90, 10, 8, 40))])
    done = run(tmp_path, path, quality=95)
    file = tmp_path / "crops" / "a" / "i1.jpg___crop_n1.jpg"
    whole = np.asarray(Image.open(tmp_path / "pictures" / "a" / "i1.jpg").convert("RGB"), int)
    assert np.abs(np.asarray(Image.open(file), int) - whole[10:50, 60:100]).mean() < 4
    assert (done.made, done.kept, done.exit_code) == (1, 0, 0)
    assert table(tmp_path) == [
        {
            "path": "a/i1.jpg___crop_n1.jpg", "file": "a/i1.jpg", "id": "n1", "category": "fox", "detection_conf": "",
            "location": "a", "x": "90.0", "y": "10.0", "width": "8.0", "height": "40.0", "unit": "px",
        }
    ]  # fmt: skip


def test_detections_are_chosen_by_category_and_confidence(tmp_path: Path) -> None:
    """Of MegaDetector results animals above the threshold are cut; names count all boxes and say the detector."""
    images = [{"file": "x.jpg", "detections": [found("2"), found(conf=0.1), found(conf=0.7), found()]}]
    write_pictures(tmp_path / "pictures", ["x.jpg"])
    done = run(tmp_path, md_file(tmp_path, images), threshold=0.5)
    assert [(row["path"], row["detection_conf"]) for row in table(tmp_path)] == [
        ("x.jpg___crop02_md_v5a.0.0.pt.jpg", "0.7"),
        ("x.jpg___crop03_md_v5a.0.0.pt.jpg", "0.9"),
    ]
    assert done.plan.passed == {"of another category": 1, "below 0.5": 1}
    counts(done)


def test_boxes_that_people_drew_are_named_without_a_detector(tmp_path: Path) -> None:
    """Ground truth in the form of detections takes names by place alone."""
    write_pictures(tmp_path / "pictures", ["x.jpg"])
    run(tmp_path, md_file(tmp_path, [{"file": "x.jpg", "detections": [found(conf=1)], "is_ground_truth": True}]))
    assert [row["path"] for row in table(tmp_path)] == ["x.jpg___crop00.jpg"]


def test_the_threshold_is_what_the_file_recommends(tmp_path: Path) -> None:
    """Without a threshold of the user's the file's counts."""
    write_pictures(tmp_path / "pictures", ["x.jpg"])
    images = [{"file": "x.jpg", "detections": [found(conf=0.3), found(conf=0.5)]}]
    done = run(tmp_path, md_file(tmp_path, images, detector_metadata={"typical_detection_threshold": 0.4}))
    assert (done.made, done.plan.threshold) == (1, 0.4)


def test_nothing_stops_the_run_and_everything_is_counted(tmp_path: Path) -> None:
    """Missing, damaged and impossible pictures and boxes are rejected with a reason; the others are cut."""
    images = [make_image(key) for key in ("good", "gone", "broken", "cut", "remote", "twice", "twice", "bare")]
    images += [make_image("out", file_name="../out.jpg"), make_image("web", file_name="https://a.org/b.jpg")]
    annotations = [make_annotation(f"n_{image['id']}", image["id"]) for image in images if image["id"] != "bare"]
    annotations += [
        make_annotation("ok", "good", bbox=(1, 1, 9, 9)),
        make_annotation("ok", "good", bbox=(2, 2, 9, 9)),
        make_annotation("outside", "good", bbox=(200, 1, 9, 9)),
        make_annotation("flat", "good", bbox=(1, 1, 0, 9)),
        make_annotation("relative", "good", bbox=(0.1, 0.1, 0.2, 0.2)),
        make_annotation("unboxed", "good", bbox=None),
        make_annotation("lost", "nowhere"),
        make_annotation("class", "good", category=99),
    ]
    path = cct_file(tmp_path, images, annotations)
    pictures = tmp_path / "pictures"
    (pictures / "gone.jpg").unlink()
    (pictures / "broken.jpg").write_bytes(b"no picture")
    (pictures / "cut.jpg").write_bytes((pictures / "good.jpg").read_bytes()[:500])
    done = run(tmp_path, path)
    reasons = {(one.unit, one.id or one.item): one.reason for one in done.rejects if one.unit == "picture"}
    assert reasons == {
        ("picture", "gone"): "missing_file",
        ("picture", "broken"): "not_a_picture",
        ("picture", "cut"): "truncated",
        ("picture", "twice"): "repeated_id",
        ("picture", "out"): "outside_root",
        ("picture", "web"): "remote",
    }
    of_good = {one.item: one.reason for one in done.rejects if one.unit == "box" and one.reason != "no_picture"}
    assert of_good == {
        "ok": "repeated_id", "outside": "box_outside", "flat": "box_empty", "relative": "box_relative",
        "lost": "unknown_image", "class": "unknown_category",
        "n_twice": "repeated_id",
    }  # fmt: skip
    counts(done)
    assert done.exit_code == 3
    assert "10 in = 3 with crops + 1 without + 6 rejected" in done.text()
    assert len(table(tmp_path, "rejects.csv")) == len(done.rejects)
    log = json.loads(done.log.read_text()) if done.log else {}
    assert log["num_new_crops"] == done.made == len(table(tmp_path))
    assert set(log["images_failed_to_crop"]) == {one.item for one in done.rejects if one.unit == "picture"}
    assert log["images_failed_download_or_crop"] == log["images_failed_to_crop"]


def test_failures_of_the_detector_are_listed_apart(tmp_path: Path) -> None:
    """Pictures that the detector could not look at are in the log as missing detections."""
    write_pictures(tmp_path / "pictures", ["x.jpg"])
    images = [{"file": "x.jpg", "detections": [found()]}, {"file": "y.jpg", "detections": None, "failure": "no access"}]
    done = run(tmp_path, md_file(tmp_path, images), max_rejected_share=0.5)
    log = json.loads(done.log.read_text()) if done.log else {}
    assert (log["images_missing_detections"], log["images_failed_to_crop"]) == (["y.jpg"], [])
    assert done.exit_code == 0


def test_the_same_command_again_makes_only_what_is_not_there(tmp_path: Path) -> None:
    """Valid crops stay untouched; one that is torn, and one whose box has moved since, are made again."""
    images = [make_image("i1"), make_image("i2"), make_image("i3")]
    annotations = [make_annotation(f"n{number}", f"i{number}") for number in (1, 2, 3)]
    path = cct_file(tmp_path, images, annotations)
    assert run(tmp_path, path).made == 3
    first, second = (tmp_path / "crops" / f"i{number}.jpg___crop_n{number}.jpg" for number in (1, 2))
    before = first.stat().st_mtime_ns
    whole = second.read_bytes()
    second.write_bytes(whole[:-20])
    annotations[2]["bbox"] = [0, 0, 50, 50]
    again = run(tmp_path, cct_file(tmp_path, images, annotations))
    assert (again.made, again.kept) == (2, 1)
    assert first.stat().st_mtime_ns == before
    assert second.read_bytes() == whole
    assert Image.open(tmp_path / "crops" / "i3.jpg___crop_n3.jpg").size == (50, 50)


def test_crops_that_only_look_whole_are_found_when_asked_for(tmp_path: Path) -> None:
    """Damage in the middle of a crop is seen by decoding it."""
    path = cct_file(tmp_path, [make_image("i1")], [make_annotation("n1", "i1")])
    run(tmp_path, path)
    file = tmp_path / "crops" / "i1.jpg___crop_n1.jpg"
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2] + data[-2:])
    assert run(tmp_path, path).made == 0
    assert run(tmp_path, path, check_crops_valid=True).made == 1
    assert file.read_bytes() == data


@pytest.mark.parametrize("change", [{"crop_strategy": "pad"}, {"legacy_geometry": True}, {"quality": 60}])
def test_crops_of_other_settings_are_never_reused(tmp_path: Path, change: dict[str, Any]) -> None:
    """Another strategy, geometry or quality is refused beside old crops; with --overwrite every crop is made anew."""
    path = cct_file(tmp_path, [make_image("i1")], [make_annotation("n1", "i1", bbox=(90, 10, 8, 40))])
    run(tmp_path, path)
    file = tmp_path / "crops" / "i1.jpg___crop_n1.jpg"
    old = file.read_bytes()
    with pytest.raises(SettingError, match="other settings"):
        run(tmp_path, path, **change)
    assert file.read_bytes() == old
    assert run(tmp_path, path, overwrite=True, **change).made == 1
    assert file.read_bytes() != old
    assert run(tmp_path, path, **change).kept == 1


def test_an_overwriting_that_was_stopped_leaves_nothing_that_is_taken_for_new(tmp_path: Path) -> None:
    """Once the folder is of the new settings, crops of the old ones in it are made again."""
    path = cct_file(tmp_path, [make_image("i1"), make_image("i2")], [make_annotation("n1", "i1"), make_annotation("n2", "i2")])
    run(tmp_path, path)
    old = (tmp_path / "crops" / "i2.jpg___crop_n2.jpg").read_bytes()
    run(tmp_path, path, overwrite=True, crop_strategy="tight", quality=50)
    (tmp_path / "crops" / "i2.jpg___crop_n2.jpg").write_bytes(old)
    assert run(tmp_path, path, crop_strategy="tight", quality=50).made == 1


def test_crops_of_unknown_origin_are_not_mixed_in(tmp_path: Path) -> None:
    """A folder with crops but without settings is refused."""
    path = cct_file(tmp_path, [make_image("i1")], [make_annotation("n1", "i1")])
    write_pictures(tmp_path / "crops", ["z.jpg___crop_1.jpg"])
    with pytest.raises(SettingError, match="not known how"):
        run(tmp_path, path)


def test_workers_change_nothing(tmp_path: Path) -> None:
    """Crops and tables are equal byte by byte for any number of workers."""
    names = [f"i{number}" for number in range(20)]
    path = cct_file(tmp_path, [make_image(name) for name in names], [make_annotation(f"n{name}", name) for name in names])
    run(tmp_path, path)
    one = {file.name: file.read_bytes() for file in (tmp_path / "crops").rglob("*.[jc][ps][gv]")}
    (tmp_path / "crops").rename(tmp_path / "alone")
    run(tmp_path, path, workers=2)
    assert {file.name: file.read_bytes() for file in (tmp_path / "crops").rglob("*.[jc][ps][gv]")} == one
    assert len(one) == 21


def test_boxes_follow_pictures_that_a_camera_turned(tmp_path: Path) -> None:
    """Boxes in px of the picture as it is stored show the same place once it is upright, as do those of a smaller copy."""
    stored = Image.new("RGB", (100, 60))
    stored.paste((255, 255, 255), (10, 10, 30, 40))
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "pictures").mkdir()
    stored.save(tmp_path / "pictures" / "turned.jpg", exif=exif, quality=95)
    stored.resize((50, 30)).save(tmp_path / "pictures" / "small.jpg", quality=95)
    (tmp_path / "pictures" / "other.jpg").write_bytes(make_jpeg(64, 64))
    images = [make_image(key) for key in ("turned", "small", "other")]
    annotations = [make_annotation(f"n{key}", key, bbox=(10, 10, 20, 30)) for key in ("turned", "small", "other")]
    done = run(tmp_path, cct_file(tmp_path, images, annotations), crop_strategy="tight", max_rejected_share=0.5)
    for key, size in (("turned", (30, 20)), ("small", (10, 15))):
        picture = Image.open(tmp_path / "crops" / f"{key}.jpg___crop_n{key}.jpg")
        assert picture.size == size
        assert np.asarray(picture)[2:-2, 2:-2].min() > 200
    assert [one.reason for one in done.rejects if one.unit == "picture"] == ["size_differs"]


def test_sizes_that_the_file_does_not_give_are_those_of_the_pictures(tmp_path: Path) -> None:
    """Boxes in px need no size in the file; those beyond the picture are rejected."""
    image = make_image("i1")
    del image["width"], image["height"]
    annotations = [make_annotation("n1", "i1", bbox=(50, 20, 80, 10)), make_annotation("n2", "i1", bbox=(101, 1, 5, 5))]
    done = run(tmp_path, cct_file(tmp_path, [image], annotations), crop_strategy="tight", max_rejected_share=1)
    assert Image.open(tmp_path / "crops" / "i1.jpg___crop_n1.jpg").size == (50, 10)
    assert [(one.item, one.reason) for one in done.rejects] == [("n2", "box_outside")]


def test_crops_are_upright_rgb_without_meta_data(tmp_path: Path) -> None:
    """Grey, palette and transparent pictures give RGB crops, which keep no EXIF."""
    (tmp_path / "pictures").mkdir()
    for mode in ("L", "P", "RGBA"):
        buffer = io.BytesIO()
        Image.new(mode, (100, 60)).save(buffer, "PNG")
        (tmp_path / "pictures" / f"{mode}.jpg").write_bytes(buffer.getvalue())
    images = [make_image(mode) for mode in ("L", "P", "RGBA")]
    run(tmp_path, cct_file(tmp_path, images, [make_annotation(f"n{one['id']}", one["id"]) for one in images]))
    for mode in ("L", "P", "RGBA"):
        picture = Image.open(tmp_path / "crops" / f"{mode}.jpg___crop_n{mode}.jpg")
        assert (picture.mode, picture.format) == ("RGB", "JPEG")
        assert not picture.getexif()


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    """The plan says what would be cut; no folder appears."""
    path = cct_file(tmp_path, [make_image("i1")], [make_annotation("n1", "i1"), make_annotation("n2", "i1", bbox=(1, 1, 0, 0))])
    done = run(tmp_path, path, dry_run=True)
    assert "2 in = 1 to cut + 1 rejected (1 × box_empty)" in done.text()
    assert not (tmp_path / "crops").exists()


def test_names_that_are_too_long_for_files_cost_their_own_box_only(tmp_path: Path) -> None:
    """A crop that cannot be named is rejected; the others are made."""
    annotations = [make_annotation("n" * 300, "i1"), make_annotation("n2", "i1")]
    done = run(tmp_path, cct_file(tmp_path, [make_image("i1")], annotations), max_rejected_share=1)
    assert [one.reason for one in done.rejects] == ["bad_name"]
    assert done.made == 1


def test_files_of_the_user_are_not_taken_for_those_of_crops(tmp_path: Path) -> None:
    """A file that is read stays, with --overwrite too; one of another kind stays without."""
    path = cct_file(tmp_path, [make_image("a")], [make_annotation("n", "a")])
    own = tmp_path / "crops" / "crops.json"
    own.parent.mkdir()
    own.write_bytes(path.read_bytes())
    with pytest.raises(SettingError, match=r"crops\.json: is not of crops"):
        run(tmp_path, path)
    with pytest.raises(SettingError, match=r"crops\.json: is the file that is read"):
        run(tmp_path, own, overwrite=True)
    assert own.read_bytes() == path.read_bytes()


def test_unknown_categories_and_other_detectors_are_refused(tmp_path: Path) -> None:
    """A category that is not there is named with the nearest; so is a detector that did not make the file."""
    path = md_file(tmp_path, [])
    (tmp_path / "pictures").mkdir()
    with pytest.raises(SettingError, match="did you mean 'animal'"):
        run(tmp_path, path, categories=("animals",))
    with pytest.raises(SettingError, match=r"made by 'md_v5a\.0\.0\.pt'"):
        run(tmp_path, path, detector_name="v4.1")


def test_rejects_name_image_and_file(tmp_path: Path) -> None:
    """The id is that of the image, as in the other commands; the file is the item, or stands in the detail."""
    images = [make_image("a", file_name="x/1.jpg"), make_image("b", file_name="x/2.jpg")]
    annotations = [make_annotation("n1", "a", bbox=(1, 1, 0, 9)), make_annotation("n2", "b")]
    path = cct_file(tmp_path, images, annotations)
    (tmp_path / "pictures" / "x" / "2.jpg").unlink()
    run(tmp_path, path)
    rows = [(row["id"], row["item"], row["reason"], row["detail"].partition(":")[0]) for row in table(tmp_path, "rejects.csv")]
    assert rows == [
        ("b", "x/2.jpg", "missing_file", "no such file"),
        ("a", "n1", "box_empty", "x/1.jpg"),
        ("b", "n2", "no_picture", "x/2.jpg"),
    ]


def test_rejected_boxes_name_the_file_of_a_picture_that_is_rejected_too(tmp_path: Path) -> None:
    """A box of a corrupt picture names its file; one of no picture names none."""
    images = [{**make_image("a", file_name="x/1.jpg"), "corrupt": True}]
    path = cct_file(tmp_path, images, [make_annotation("n1", "a"), make_annotation("n2", "z")])
    done = run(tmp_path, path, max_rejected_share=1)
    details = {one.item: one.detail for one in done.rejects if one.unit == "box"}
    assert details == {"n1": "x/1.jpg: corrupt", "n2": "no image has the id 'z'"}


def test_an_id_that_an_earlier_annotation_has_is_rejected(tmp_path: Path) -> None:
    """Also on another picture, where the crop would have a name of its own; clashing categories are told as such."""
    images = [make_image("a"), make_image("b"), make_image("c")]
    annotations = [make_annotation("n", "a"), make_annotation("n", "b"), make_annotation("m", "c", category=5)]
    path = tmp_path / "cct.json"
    cct_file(tmp_path, images, annotations)
    document = make_document(images, annotations)
    document.categories.extend(({"id": 5, "name": "cat"}, {"id": 5, "name": "dog"}))
    document.write(path)
    done = run(tmp_path, path)
    assert [row["path"] for row in table(tmp_path)] == ["a.jpg___crop_n.jpg"]
    assert [(one.id, one.item, one.reason) for one in done.rejects] == [("b", "n", "repeated_id"), ("c", "m", "category_clash")]
    counts(done)


@pytest.mark.parametrize("dry_run", [True, False])
def test_relative_boxes_are_said_and_read(tmp_path: Path, dry_run: bool) -> None:
    """The message names the flag; with it the crop is that of the same box in px."""
    path = cct_file(tmp_path, [make_image("a")], [make_annotation("n", "a", bbox=(0.1, 0.1, 0.2, 0.5))])
    done = run(tmp_path, path, dry_run=dry_run)
    assert "1 box relative where px are expected; if all are, read them with --boxes relative" in done.text()
    assert "--boxes relative" in done.rejects[0].detail
    if not dry_run:
        assert run(tmp_path, path, boxes="relative", crop_strategy="tight", overwrite=True).made == 1
        assert Image.open(tmp_path / "crops" / "a.jpg___crop_n.jpg").size == (20, 30)
