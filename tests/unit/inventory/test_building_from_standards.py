"""The inventory commands for the standards of the camera-trap world."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.config.picture_sources import CamtrapDpInventoryConfig, CocoInventoryConfig, MegadetectorInventoryConfig
from camtrap_tf.config.sample import SampleConfig
from camtrap_tf.errors import SettingError, SourceError, TooManyRejectsError
from camtrap_tf.inventory.building_from_standards import build_from_camtrap_dp, build_from_coco, build_from_megadetector
from camtrap_tf.inventory.table import Inventory
from camtrap_tf.sample.drawing import draw_sample
from camtrap_tf.sample.formats import UNIDENTIFIED
from camtrap_tf.sample.species import BLANK, SPECIES
from tests.reading import rows_of

Facts = dict[str, tuple[str, ...]]


def document(folder: Path, images: list[dict[str, Any]], notes: list[dict[str, Any]]) -> Path:
    """Writes a COCO Camera Traps file."""
    path = folder / "cct.json"
    categories = [{"id": 0, "name": "empty"}, {"id": 1, "name": "fox"}]
    path.write_text(json.dumps({"images": images, "annotations": notes, "categories": categories}))
    return path


def images(count: int) -> list[dict[str, Any]]:
    """Returns images without pictures."""
    return [{"id": n, "file_name": f"cam/{n}.jpg", "width": 100, "height": 50} for n in range(count)]


def test_ten_thousand_missing_files(tmp_path: Path) -> None:
    """Each is rejected by name, quickly, and the rest is used where the user allows that many."""
    (tmp_path / "cam").mkdir()
    (tmp_path / "cam/0.jpg").write_bytes(b"x" * 300)
    path = document(tmp_path, images(10_001), [{"id": n, "image_id": n, "category_id": 1} for n in range(10_001)])
    settings: dict[str, Any] = {"path": path, "export_path": tmp_path / "out.parquet", "image_root": tmp_path}
    with pytest.raises(TooManyRejectsError, match=r"10000 of 10001 pictures rejected.*max-rejected-share"):
        build_from_coco(CocoInventoryConfig(**settings))
    assert not (tmp_path / "out.parquet").exists()
    built = build_from_coco(CocoInventoryConfig(**settings, max_rejected_share=1))
    assert len(Inventory.read(tmp_path / "out.parquet")) == 1
    assert {row["reason"] for row in rows_of(tmp_path / "out.rejects.csv")} == {"missing_file"}
    assert len(rows_of(tmp_path / "out.rejects.csv")) == 10_000
    assert "10001 pictures read = 1 used + 10000 rejected (10000 × missing_file)" in built.text()
    assert "10001 annotations read = 1 used + 0 rejected + 10000 of rejected pictures" in built.text()


def test_a_dry_run_writes_nothing_and_judges_the_share(tmp_path: Path) -> None:
    """Counts and files as the command has them; too many rejects end with its exit code, and nothing usable as there."""
    files = [*images(3), {"id": 7, "file_name": "../x.jpg"}, {"id": 8, "file_name": "https://a.b/c.jpg"}]
    path = document(tmp_path, files, [{"id": n, "image_id": n, "category_id": 1} for n in (0, 1, 2, 7, 8)])
    config = CocoInventoryConfig(path=path, export_path=tmp_path / "o/out.json", max_rejected_share=0.2, dry_run=True)
    planned = build_from_coco(config)
    assert [one.name for one in tmp_path.iterdir()] == ["cct.json"]
    assert planned.exit_code == 0
    lines = planned.text().splitlines()
    done = build_from_coco(config.model_copy(update={"dry_run": False})).text().splitlines()
    assert [line.replace("would write ", "").replace("would say ", "").replace("would list ", "") for line in lines] == done
    assert [line.split(": would")[0] for line in lines[-2:]] == [
        f"{tmp_path}/o/out.{kind}.csv" for kind in ("rejects", "remote")
    ]
    (detail,) = (row["detail"] for row in rows_of(tmp_path / "o/out.rejects.csv"))
    assert detail == "'../x.jpg' leads out of its folder"
    strict = build_from_coco(config.model_copy(update={"max_rejected_share": 0.1}))
    assert strict.exit_code == 3
    assert "(exit code 3): 1 of 5 pictures rejected (1 × outside_root), more than --max-rejected-share 0.1" in strict.text()
    only = document(tmp_path, files[3:4], [])
    with pytest.raises(SourceError, match="no usable picture in 1; 1 rejected") as caught:
        build_from_coco(CocoInventoryConfig(path=only, export_path=tmp_path / "p/out.json", dry_run=True))
    assert "rejects.csv" not in str(caught.value)
    assert not (tmp_path / "p").exists()


def test_both_forms_hold_the_same(tmp_path: Path) -> None:
    """JSON and Parquet are read back alike."""
    path = document(tmp_path, images(5), [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 100, 1]}])
    for suffix in ("json", "parquet"):
        build_from_coco(CocoInventoryConfig(path=path, export_path=tmp_path / f"out.{suffix}"))
    assert list(Inventory.read(tmp_path / "out.json")) == list(Inventory.read(tmp_path / "out.parquet"))


def test_remote_pictures_are_listed(tmp_path: Path) -> None:
    """They are in a table of their own, which goes when there are none any more."""
    remote = {"id": "r", "file_name": "https://x.org/a.jpg"}
    settings: dict[str, Any] = {"path": document(tmp_path, [*images(1), remote], []), "export_path": tmp_path / "out.json"}
    assert "1 remote, not fetched" in build_from_coco(CocoInventoryConfig(**settings)).text()
    assert rows_of(tmp_path / "out.remote.csv") == [{"id": "r", "item": "image 2", "url": "https://x.org/a.jpg"}]
    build_from_coco(CocoInventoryConfig(**settings, keep_remote=True))
    assert not (tmp_path / "out.remote.csv").exists()
    assert len(Inventory.read(tmp_path / "out.json")) == 2


def test_unlabelled_pictures_can_be_dropped(tmp_path: Path) -> None:
    """`--discard-missing` leaves those with labels, and lists the others."""
    path = document(tmp_path, images(3), [{"id": 1, "image_id": 1, "category_id": 1}])
    built = build_from_coco(CocoInventoryConfig(path=path, export_path=tmp_path / "out.json", discard_missing=True))
    assert "3 records = 1 kept + 2 dropped" in built.text()
    assert [row["id"] for row in rows_of(tmp_path / "out.rejects.csv")] == ["0", "2"]


def test_nothing_usable_is_an_error(tmp_path: Path) -> None:
    """It names the first reject and where the others are."""
    path = document(tmp_path, [{"id": 1, "file_name": "../a.jpg"}], [])
    with pytest.raises(
        SourceError, match=r"no usable picture in 1; 1 rejected \(1 × outside_root\), e\.g\. image 1: .*rejects\.csv"
    ):
        build_from_coco(CocoInventoryConfig(path=path, export_path=tmp_path / "out.json"))


def megadetector(folder: Path, files: list[str]) -> MegadetectorInventoryConfig:
    """Writes results of these files, without a detection; returns settings to read them."""
    images = [{"file": file, "detections": []} for file in files]
    (folder / "md.json").write_text(json.dumps({"detection_categories": {"1": "animal"}, "images": images}))
    return MegadetectorInventoryConfig(path=folder / "md.json", export_path=folder / "out.json", max_rejected_share=0)


def test_videos_are_counted_apart(tmp_path: Path) -> None:
    """They are listed with their reason and in the sum, but no share of them stops the command."""
    built = build_from_megadetector(megadetector(tmp_path, ["a.jpg", "b.mp4", "c.avi"]))
    assert "3 pictures read = 1 used + 0 rejected + 2 left out as video" in built.text()
    rows = [(row["unit"], row["item"], row["reason"]) for row in rows_of(tmp_path / "out.rejects.csv")]
    assert rows == [("video", "image 2", "video"), ("video", "image 3", "video")]
    with pytest.raises(SourceError, match=r"no usable picture in 1; 0 rejected, 1 left out as video, e\.g\. image 1: .*frames"):
        build_from_megadetector(megadetector(tmp_path, ["b.mp4"]))


def test_detections_in_videos_are_counted(tmp_path: Path) -> None:
    """The sum of detections tells those that are left out with their video."""
    config = megadetector(tmp_path, ["a.jpg", "b.mp4"])
    results = json.loads((tmp_path / "md.json").read_text())
    for image, count in zip(results["images"], (2, 3), strict=True):
        image["detections"] = [{"category": "1", "conf": 0.9, "bbox": [0.1, 0.1, 0.2, 0.2], "frame_number": 5}] * count
    (tmp_path / "md.json").write_text(json.dumps(results))
    assert "5 detections = 2 that count + 0 below + 0 rejected + 3 in videos" in build_from_megadetector(config).text()


def test_an_example_is_one_of_what_is_counted(tmp_path: Path) -> None:
    """A deployment's line that cannot be read is no example of pictures that are not there."""
    names = ("deployments", "media", "observations")
    resources = [{"name": name, "path": f"{name}.csv"} for name in names]
    (tmp_path / "datapackage.json").write_text(json.dumps({"resources": resources}))
    (tmp_path / "deployments.csv").write_text("deploymentID,locationID\nd1,hill,more\nd1,hill\n")
    (tmp_path / "media.csv").write_text("mediaID,deploymentID,filePath,timestamp\nm1,d1,gone.jpg,\n")
    (tmp_path / "observations.csv").write_text("observationID,deploymentID,mediaID,eventID,observationType\n")
    with pytest.raises(SourceError, match=r"1 rejected \(1 × missing_file\), e\.g\. media\.csv line 2: .*gone\.jpg"):
        build_from_camtrap_dp(CamtrapDpInventoryConfig(path=tmp_path, export_path=tmp_path / "out.json"))
    assert {row["unit"] for row in rows_of(tmp_path / "out.rejects.csv")} == {"record", "picture"}


def test_relative_boxes_name_the_flag_that_reads_them(tmp_path: Path) -> None:
    """Also where nothing is left, and where too much is rejected, the message says what to do."""
    box = {"category_id": 1, "bbox": [0.1, 0.1, 0.2, 0.2]}
    path = document(tmp_path, images(2), [{"id": "a", "image_id": 0, **box}, {"id": "b", "image_id": 1, **box}])
    config = CocoInventoryConfig(path=path, export_path=tmp_path / "out.json", max_rejected_share=0)
    with pytest.raises(SourceError, match=r"observation a: .*2 boxes relative where px .*read them with --boxes relative"):
        build_from_coco(config)
    path = document(tmp_path, images(3), [{"id": "a", "image_id": 0, **box}, {"id": "b", "image_id": 1, "category_id": 1}])
    with pytest.raises(TooManyRejectsError, match=r"1 × box_relative.*read them with --boxes relative"):
        build_from_coco(config)


def test_bad_settings_stop_the_work_first(tmp_path: Path) -> None:
    """The suffix of the inventory and the image root are looked at."""
    path = document(tmp_path, images(1), [])
    with pytest.raises(SettingError, match="--export-path"):
        build_from_coco(CocoInventoryConfig(path=path, export_path=tmp_path / "out.csv"))
    with pytest.raises(SettingError, match="is the file that is read"):
        build_from_coco(CocoInventoryConfig(path=path, export_path=path))
    with pytest.raises(SettingError, match="--image-root"):
        build_from_coco(CocoInventoryConfig(path=path, export_path=tmp_path / "out.json", image_root=tmp_path / "absent"))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of a small sample."""
    folder = tmp_path_factory.mktemp("sample")
    draw_sample(SampleConfig(output_dir=folder, events=24, seed=5, workers=1))
    return folder


def truth(sample: Path) -> dict[str, dict[str, str]]:
    """Returns event → row of sample.csv."""
    return {row["event_id"]: row for row in rows_of(sample / "sample.csv")}


def test_coco_of_the_sample_says_what_its_table_says(sample: Path, tmp_path: Path) -> None:
    """Pictures, species, count, behaviour, posture, location and time of every event are the same."""
    config = CocoInventoryConfig(
        path=sample / "coco_camera_traps.json", export_path=tmp_path / "o.json", image_root=sample, records="events"
    )
    inventory = build_from_coco(config).inventory
    expected = truth(sample)
    assert set(inventory.ids) == set(expected)
    for record in inventory:
        row = expected[record.event_id]
        assert [media.path for media in record.media] == [row[f"image_{number}"] for number in (1, 2, 3)]
        said = {one.labels["species"].replace("empty", BLANK) for one in record.observations}
        assert said == {row["species"] or (UNIDENTIFIED if said == {UNIDENTIFIED} else "-1")}
        for label in ("count", "behaviour", "posture"):
            if row["species"] not in ("", BLANK):
                assert {one.labels[label] for one in record.observations} == {row[label] or "-1"}
        assert record.meta_data["location"] == row["location"]
        assert record.meta_data["datetime"] == row["datetime"].replace(" ", "T")


def test_camtrap_dp_of_the_sample_says_what_its_table_says(sample: Path, tmp_path: Path) -> None:
    """Pictures, species, count, behaviour, location and time of every event are the same."""
    inventory = build_from_camtrap_dp(CamtrapDpInventoryConfig(path=sample, export_path=tmp_path / "o.json")).inventory
    expected = truth(sample)
    assert set(inventory.ids) == set(expected)
    for record in inventory:
        row = expected[record.event_id]
        assert [media.path for media in record.media] == [row[f"image_{number}"] for number in (1, 2, 3)]
        (observation,) = record.observations
        name = SPECIES[row["species"]].scientific_name if row["species"] not in ("", BLANK) else row["species"] or "-1"
        assert observation.labels["species"] == name
        if row["species"] != BLANK:
            assert observation.labels["count"] == (row["count"] or "-1")
            assert observation.labels["behavior"] == (row["behaviour"] or "-1")
        assert record.meta_data["location"] == row["location"]
        assert str(record.media[0].timestamp)[:19] == row["datetime"].replace(" ", "T")


def test_megadetector_of_the_sample_says_what_its_table_says(sample: Path, tmp_path: Path) -> None:
    """Nothing is found in blank events; where something is, its class is the species of the event."""
    config = MegadetectorInventoryConfig(
        path=sample / "megadetector.json", export_path=tmp_path / "o.json", image_root=sample, threshold=0
    )
    built = build_from_megadetector(config)
    expected = {row[f"image_{number}"]: row for row in truth(sample).values() for number in (1, 2, 3)}
    classes: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for record in built.inventory:
        classes[record.media[0].path] |= {(one.labels["detection"], one.labels["species"]) for one in record.observations}
    assert len(classes) + len(built.rejects) == len(expected)
    results = json.loads((sample / "megadetector.json").read_text(encoding="utf-8"))["images"]
    found = {one["file"] for one in results if one.get("detections")}
    assert found
    for path, seen in classes.items():
        species = expected[path]["species"]
        assert species != BLANK or path not in found
        assert seen == {("animal", species or "-1") if path in found else ("empty", "-1")}
