"""Classification data sets: the same crops in every file, split by data set and location."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from camtrap_tf.cct.megadetector import to_megadetector_file
from camtrap_tf.config.cct import CctToMegadetectorConfig
from camtrap_tf.config.classification import ClassificationConfig, QueriedImagesConfig
from camtrap_tf.curation.classification_notes import group_table
from camtrap_tf.curation.classification_sets import ClassificationSet, make_classification_set
from camtrap_tf.curation.queried_images import make_queried_images
from camtrap_tf.curation.scored_splits import Scorer, Target
from camtrap_tf.detections.crop_names import crop_name
from camtrap_tf.errors import CamtrapError, LabelError, SettingError, SourceError, TooManyRejectsError
from camtrap_tf.sources.cct_document import CctDocument
from camtrap_tf.sources.classification_csv import CropRow
from tests.factories import make_jpeg
from tests.reading import json_of, rows_of
from tests.unit.cct.documents import make_annotation, make_document, make_image

PLACES = 10


def whole() -> CctDocument:
    """Returns ten locations with foxes, five of them with rats; one location also has the only owl. Location 9 has no name."""
    images, annotations = [], []
    for place in range(PLACES):
        for number in range(3):
            key = f"{place}_{number}"
            images.append(make_image(key, None if place == 9 else str(place), datetime="2024-01-01 00:00:00"))
            annotations.append(make_annotation(f"a{key}", key, 7 if place % 2 and number else 3))
    annotations.append(make_annotation("owl", "0_0", 4))
    return make_document(images, annotations, {0: "empty", 3: "fox", 7: "rat", 4: "owl"})


def write(tmp_path: Path, *, crops: bool = True, document: CctDocument | None = None) -> Path:
    """Writes the document, and a picture for each of its annotations."""
    document = document or whole()
    document.write(tmp_path / "in_cct.json")
    images = document.images_by_id()
    for one in document.annotations if crops else ():
        path = tmp_path / "crops" / crop_name(images[one["image_id"]]["file_name"], annotation_id=one["id"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_jpeg())
    return tmp_path / "in_cct.json"


def made(tmp_path: Path, **options: Any) -> ClassificationSet:
    """Makes a data set of the document in `o`."""
    settings = {"cct": tmp_path / "in_cct.json", "output_dir": tmp_path / "o", "crops_dir": tmp_path / "crops"}
    shares: dict[str, Any] = {"val_frac": 0.2, "test_frac": 0.2}
    return make_classification_set(ClassificationConfig(**(settings | shares | options)))


def test_all_files_hold_the_same_crops(tmp_path: Path) -> None:
    """Table, index, whole and split documents agree crop by crop, and every location is in one split."""
    write(tmp_path)
    done = made(tmp_path)
    folder = tmp_path / "o"
    rows = rows_of(folder / "classification_ds.csv")
    assert len(rows) == 31
    assert json_of(folder / "label_index.json") == {"0": "fox", "1": "owl", "2": "rat"}
    splits = json_of(folder / "splits.json")
    split_of = {tuple(place): name for name, places in splits.items() for place in places}
    assert sum(map(len, splits.values())) == len(split_of) == PLACES
    for name in ("train", "val", "test"):
        document = CctDocument.read(folder / f"{name}_cct.json")
        expected = {row["path"] for row in rows if split_of[(row["dataset"], row["location"])] == name}
        assert {image["file_name"] for image in document.images} == expected
        assert [image["id"] for image in document.images] == [one["image_id"] for one in document.annotations]
        assert document.categories == whole().categories
    whole_paths = [image["file_name"] for image in CctDocument.read(folder / "classification_cct.json").images]
    assert whole_paths == [row["path"] for row in rows]
    assert "31 boxes and crops = 31 in the data set + 0 left out" in done.text()
    assert "cannot be evaluated, as they stand at one location: owl" in done.text()
    assert split_of[("combined", "0")] == "train"


def test_missing_location_has_one_name_everywhere(tmp_path: Path) -> None:
    """Crops of an image without location are in table, splits and documents under one name, so none gets lost."""
    write(tmp_path)
    made(tmp_path)
    places = [place for places in json_of(tmp_path / "o/splits.json").values() for place in places]
    assert ["combined", "unknown_location"] in places
    locations = [image["location"] for image in CctDocument.read(tmp_path / "o/classification_cct.json").images]
    assert locations.count("unknown_location") == 3


def test_rare_labels_are_left_out_of_every_file(tmp_path: Path) -> None:
    """With min_locs 2 the owl is in no table, index, split or document, though foxes stand at its location."""
    write(tmp_path)
    done = made(tmp_path, min_locs=2, prune_categories=True)
    folder = tmp_path / "o"
    assert "owl" not in json_of(folder / "label_index.json").values()
    assert {row["label"] for row in rows_of(folder / "classification_ds.csv")} == {"fox", "rat"}
    for name in ("classification", "train", "val", "test"):
        document = CctDocument.read(folder / f"{name}_cct.json")
        assert document.category_names() == {"3": "fox", "7": "rat"}
        assert {one["category_id"] for one in document.annotations} == {3, 7}
    assert [(one.item, one.reason) for one in done.rejects] == [("0_0.jpg___crop_owl.jpg", "too_few_locations")]
    assert "too_few_locations" in (folder / "rejects.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["classification_cct.json", "train_cct.json"])
def test_files_that_are_read_are_not_written_over(tmp_path: Path, name: str) -> None:
    """A document or an earlier test split in the output folder, under the name of a new file, stays as it is."""
    write(tmp_path)
    made(tmp_path)
    before = (tmp_path / "o" / name).read_bytes()
    with pytest.raises(SettingError, match=f"{name}: is the file that is read"):
        made(tmp_path, cct=tmp_path / "o" / name)
    earlier = (tmp_path / "o/classification_ds.csv", tmp_path / "o/splits.json")
    with pytest.raises(SettingError, match="is the file that is read"):
        made(tmp_path, test_frac=None, match_test=earlier, mode=("csv", "splits"))
    assert (tmp_path / "o" / name).read_bytes() == before


def test_equal_inputs_give_equal_bytes(tmp_path: Path) -> None:
    """Twice the same call, with the images in another order, gives the same splits; the same input the same bytes."""
    write(tmp_path)
    made(tmp_path)
    made(tmp_path, output_dir=tmp_path / "p")
    first, second = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("o", "p"))
    assert first == second
    assert len(first) == 7
    document = whole()
    document.with_parts(images=document.images[::-1], annotations=document.annotations[::-1]).write(tmp_path / "in_cct.json")
    made(tmp_path, output_dir=tmp_path / "q")
    assert (tmp_path / "q/splits.json").read_bytes() == (tmp_path / "o/splits.json").read_bytes()


def test_crop_entries_lead_back_to_their_pictures(tmp_path: Path) -> None:
    """An entry per crop names its picture, time and place; its box stays that in the whole picture."""
    write(tmp_path)
    made(tmp_path)
    document = CctDocument.read(tmp_path / "o/classification_cct.json")
    assert document.images[0] == {
        "id": "crop_a0_0",
        "file_name": "0_0.jpg___crop_a0_0.jpg",
        "datetime": "2024-01-01 00:00:00",
        "width": 100,
        "height": 60,
        "dataset": "combined",
        "location": "0",
        "orig_id": "0_0",
        "orig_file_name": "0_0.jpg",
    }
    assert document.annotations[0] == {**whole().annotations[0], "image_id": "crop_a0_0"}


def test_crops_that_are_not_there_or_unreadable_are_listed(tmp_path: Path) -> None:
    """Missing crops, unreadable ones (where looked at), boxless, repeated and stray annotations have their reasons."""
    document = whole()
    more = [make_annotation("boxless", "0_0", bbox=None), make_annotation("stray", "nowhere"), make_annotation("a0_0", "0_0")]
    write(tmp_path)
    document.with_parts(annotations=[*document.annotations, *more]).write(tmp_path / "in_cct.json")
    (tmp_path / "crops/0_0.jpg___crop_a0_0.jpg").unlink()
    (tmp_path / "crops/0_1.jpg___crop_a0_1.jpg").write_bytes(make_jpeg()[:50])
    done = made(tmp_path, check_crops_valid=True)
    assert sorted(one.reason for one in done.rejects) == [
        "missing_crop",
        "no_bbox",
        "repeated_id",
        "unknown_image",
        "unreadable_crop",
    ]
    assert len(done.rows) + len(done.rejects) == 31 + 3


def test_splits_alone_take_the_table_that_is_there(tmp_path: Path) -> None:
    """`--mode splits` makes new splits and documents of the table and leaves the table as it is; test 0 is an empty list."""
    write(tmp_path)
    made(tmp_path)
    before = (tmp_path / "o/classification_ds.csv").read_bytes()
    done = made(tmp_path, cct=None, crops_dir=None, mode=("splits",), test_frac=0)
    splits = json_of(tmp_path / "o/splits.json")
    assert splits["test"] == []
    assert (tmp_path / "o/classification_ds.csv").read_bytes() == before
    assert CctDocument.read(tmp_path / "o/test_cct.json").images == []
    assert done.files() == ["splits.json", "train_cct.json", "val_cct.json", "test_cct.json"]


def test_score_is_that_of_the_splits(tmp_path: Path) -> None:
    """The score in the result is what the formula gives for the splits in the file."""
    write(tmp_path)
    done = made(tmp_path)
    counts, places = group_table(done.rows)
    names = ("train", "val", "test")
    split_of = {tuple(place): name for name, listed in json_of(tmp_path / "o/splits.json").items() for place in listed}
    assignment = np.array([names.index(split_of[place]) for place in places])
    assert done.score == pytest.approx(Scorer(counts, Target(names, (0.6, 0.2, 0.2)), "animl").score(assignment))


def test_earlier_test_split_is_taken_over(tmp_path: Path) -> None:
    """Test locations and crops are those of before, none of them is in train or val, new crops there are listed."""
    write(tmp_path)
    made(tmp_path)
    test = json_of(tmp_path / "o/splits.json")["test"]
    document = whole()
    place = test[0][1]
    fresh = next(image for image in document.images if image.get("location") == place)
    more = document.with_parts(annotations=[*document.annotations, make_annotation("new", fresh["id"])])
    write(tmp_path, document=more)
    match = (tmp_path / "o/classification_ds.csv", tmp_path / "o/splits.json")
    done = made(tmp_path, output_dir=tmp_path / "p", test_frac=None, match_test=match)
    splits = json_of(tmp_path / "p/splits.json")
    assert splits["test"] == test
    assert not {tuple(place) for place in test} & {tuple(place) for place in [*splits["train"], *splits["val"]]}
    assert [(one.item, one.reason) for one in done.rejects] == [(f"{fresh['file_name']}___crop_new.jpg", "test_location")]
    kept = {row["path"] for row in rows_of(tmp_path / "p/classification_ds.csv") if ["combined", row["location"]] in test}
    assert kept == {row["path"] for row in rows_of(match[0]) if ["combined", row["location"]] in test}


def test_label_spec_renames_and_limits(tmp_path: Path) -> None:
    """Labels of a specification are those of table, index and categories; what it does not name is listed."""
    write(tmp_path)
    spec = {
        "canid": {"dataset_labels": {"combined": ["fox"]}, "max_count": 12},
        "rodent": {"dataset_labels": {"combined": ["rat"]}},
    }
    (tmp_path / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    done = made(tmp_path, label_spec=tmp_path / "spec.json", method="smallest_first")
    assert done.labels == ("canid", "rodent")
    document = CctDocument.read(tmp_path / "o/classification_cct.json")
    assert document.category_names() == {"0": "canid", "1": "rodent"}
    by_path = {row["path"]: row["label"] for row in rows_of(tmp_path / "o/classification_ds.csv")}
    for image, annotation in zip(document.images, document.annotations, strict=True):
        assert document.category_names()[str(annotation["category_id"])] == by_path[image["file_name"]]
    assert list(by_path.values()).count("canid") == 12
    assert {one.reason for one in done.rejects} == {"over_max_count", "not_in_label_spec"}


def test_data_sets_are_told_apart(tmp_path: Path) -> None:
    """Equal location names of two data sets are two locations."""
    document = whole()
    images = [
        {**image, "dataset": "ab"[int(image["id"][0]) % 2], "location": str(int(image["id"][0]) // 2)}
        for image in document.images
    ]
    write(tmp_path, document=document.with_parts(images=images))
    made(tmp_path)
    places = [tuple(place) for listed in json_of(tmp_path / "o/splits.json").values() for place in listed]
    assert len(places) == len(set(places)) == PLACES
    assert {dataset for dataset, _ in places} == {"a", "b"}


def test_crops_of_queried_pictures(tmp_path: Path) -> None:
    """The first generation's road: drawn boxes by place in the list, in the data set's folder; only crops that are there."""
    path = write(tmp_path, crops=False)
    to_megadetector_file(CctToMegadetectorConfig(path=path, output=tmp_path / "md.json"))
    make_queried_images(QueriedImagesConfig(path=tmp_path / "md.json", dataset="ds", output=tmp_path / "q.json"))
    for key in json_of(tmp_path / "q.json"):
        crop = tmp_path / "crops" / crop_name(key, place=0)
        crop.parent.mkdir(parents=True, exist_ok=True)
        crop.write_bytes(make_jpeg())
    (tmp_path / "crops/ds/0_1.jpg___crop00.jpg").unlink()
    done = made(tmp_path, cct=None, queried_images=tmp_path / "q.json")
    assert len(done.rows) == 28
    assert [(one.id, one.reason) for one in done.rejects] == [("ds/0_1.jpg", "missing_crop")]
    assert done.rows[0].path == "ds/0_2.jpg___crop00.jpg"
    assert not (tmp_path / "o/classification_cct.json").exists()


def test_queried_labels_of_the_specification_stay(tmp_path: Path) -> None:
    """Pictures that have the specification's labels already need no taxonomy; it still says whose locations come first."""
    box = {"category": "animal", "bbox": [0.1, 0.1, 0.5, 0.5]}
    pictures = {}
    for place in range(8):
        key = f"{'ab'[place % 2]}/{place}.jpg"
        pictures[key] = {"location": place, "class": "puma concolor", "label": ["cat"], "bbox": [box]}
        crop = tmp_path / "crops" / crop_name(key, place=0)
        crop.parent.mkdir(parents=True, exist_ok=True)
        crop.write_bytes(make_jpeg())
    (tmp_path / "q.json").write_text(json.dumps(pictures), encoding="utf-8")
    spec = {"cat": {"taxa": [{"level": "family", "name": "felidae"}], "max_count": 99, "prioritize": [["b"]]}}
    (tmp_path / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    options: dict[str, Any] = {"cct": None, "queried_images": tmp_path / "q.json", "label_spec": tmp_path / "spec.json"}
    done = made(tmp_path, **options, method="smallest_first", val_frac=0.25, test_frac=0.25)
    assert done.labels == ("cat",)
    splits = json_of(tmp_path / "o/splits.json")
    assert {dataset for dataset, _ in splits["test"] + splits["val"]} == {"b"}


def test_crops_of_detections(tmp_path: Path) -> None:
    """Pictures without drawn boxes take those of the detector that are sure enough and animals; names of any spelling."""
    detections = [
        {"category": "2", "conf": 0.9, "bbox": [0, 0, 0.5, 0.5]},
        {"category": "1", "conf": 0.95, "bbox": [0, 0, 0.5, 0.5]},
        {"category": "1", "conf": 0.3, "bbox": [0, 0, 0.5, 0.5]},
    ]
    pictures = {f"ds/{place}.jpg": {"location": place, "label": ["fox" if place % 2 else "rat"]} for place in range(8)}
    (tmp_path / "q.json").write_text(json.dumps(pictures | {"ds/none.jpg": {"label": ["fox"]}}), encoding="utf-8")
    value = {
        "info": {"detector": "md_v5b.0.0.pt"},
        "detection_categories": {"1": "animal", "2": "person"},
        "images": [{"file": f"{place}.jpg", "detections": detections} for place in range(8)],
    }
    (tmp_path / "md/v5b").mkdir(parents=True)
    (tmp_path / "md/v5b/ds.json").write_text(json.dumps(value), encoding="utf-8")
    for place in range(8):
        crop = tmp_path / "crops" / crop_name(f"ds/{place}.jpg", place=1, detector="mdv5b")
        crop.parent.mkdir(parents=True, exist_ok=True)
        crop.write_bytes(make_jpeg())
    options: dict[str, Any] = {"cct": None, "queried_images": tmp_path / "q.json", "detections_dir": tmp_path / "md"}
    done = made(tmp_path, **options)
    assert {(row.path, row.confidence) for row in done.rows} == {(f"ds/{n}.jpg___crop01_mdv5b.jpg", 0.95) for n in range(8)}
    assert [(one.id, one.reason) for one in done.rejects] == [("ds/none.jpg", "missing_detections")]
    with pytest.raises(SettingError, match="did you mean '5b'"):
        made(tmp_path, **options, detector_version="5")


def test_documents_of_an_earlier_run_are_named(tmp_path: Path) -> None:
    """A new table beside documents of an earlier one would mix two data sets; the summary says so."""
    write(tmp_path)
    made(tmp_path)
    done = made(tmp_path, mode=("csv", "splits"), seed=5)
    assert "classification_cct.json, train_cct.json, val_cct.json, test_cct.json" in done.text()
    assert "are of an earlier run" in done.text()


def test_a_label_with_a_comma_is_refused(tmp_path: Path) -> None:
    """It would be read back as two labels."""
    document = whole()
    write(tmp_path)
    categories = [{**one, "name": one["name"].replace("owl", "owl, barn")} for one in document.categories]
    document.with_parts(categories=categories).write(tmp_path / "in_cct.json")
    with pytest.raises(LabelError, match="'owl, barn' holds a comma"):
        made(tmp_path)


def test_too_many_missing_crops_stop_the_command(tmp_path: Path) -> None:
    """Above the share allowed nothing is written."""
    write(tmp_path)
    for number in range(4):
        (tmp_path / f"crops/{number}_0.jpg___crop_a{number}_0.jpg").unlink()
    with pytest.raises(TooManyRejectsError, match="4 of 31 crops are left out"):
        made(tmp_path, max_rejected_share=0.1)
    assert not (tmp_path / "o").exists()
    assert len(made(tmp_path, max_rejected_share=0.2).rows) == 27


def test_nothing_is_written_by_a_plan_or_without_crops(tmp_path: Path) -> None:
    """A dry run says what it would write; where no crop is left, an error says what to look at."""
    write(tmp_path, crops=False)
    assert "would write" in made(tmp_path, crops_dir=None, dry_run=True).text()
    (tmp_path / "crops").mkdir()
    with pytest.raises(SourceError, match=r"no crop is left of 31 \(31 × missing_crop\)"):
        made(tmp_path)
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cct": None}, "give --cct or --queried-images"),
        ({"test_frac": None}, "either --test-frac"),
        ({"match_test": ("a", "b")}, "either --test-frac"),
        ({"test_frac": None, "match_test": ("a",)}, "takes two files"),
        ({"val_frac": None}, "need --val-frac"),
        ({"val_frac": 0.6, "test_frac": 0.4}, "leave nothing for train"),
        ({"cct": None, "queried_images": "q", "mode": ("cct",)}, "--mode cct needs --cct"),
        ({"queried_images": "q"}, "give one of them"),
        ({"taxonomy": "t"}, "without --label-spec"),
    ],
)
def test_settings_that_do_not_go_together(options: dict[str, Any], said: str) -> None:
    """Combinations that cannot be are refused before anything is read."""
    settings: dict[str, Any] = {"output_dir": "o", "cct": "c.json", "crops_dir": "crops", "val_frac": 0.2, "test_frac": 0.2}
    with pytest.raises(ValueError, match=said):
        ClassificationConfig(**(settings | options))


def test_too_few_locations_say_what_to_do(tmp_path: Path) -> None:
    """Two locations cannot fill three splits."""
    document = whole()
    few = [one for one in document.annotations if one["image_id"][0] in "01"]
    write(tmp_path, document=document.with_parts(images=document.images[:6], annotations=few))
    with pytest.raises(CamtrapError, match="2 locations cannot fill 3 splits"):
        made(tmp_path)


def test_group_table_counts_by_hand() -> None:
    """Crops of each label at each (data set, location); a crop of two labels counts for both."""
    rows = [
        CropRow(path=str(number), dataset=dataset, location=location, dataset_class="x", confidence=1, labels=labels)
        for number, (dataset, location, labels) in enumerate(
            [("a", "1", ("fox",)), ("a", "1", ("fox", "rat")), ("b", "1", ("rat",)), ("a", "0", ("fox",))]
        )
    ]
    counts, places = group_table(rows)
    assert (counts.groups, counts.labels) == (("a/0", "a/1", "b/1"), ("fox", "rat"))
    assert counts.counts.tolist() == [[1, 0], [2, 1], [0, 1]]
    assert places == [("a", "0"), ("a", "1"), ("b", "1")]


def located(sizes: dict[str, tuple[int, int]]) -> CctDocument:
    """Returns a document with a number of pictures of one category at each location; location → (category, pictures)."""
    keys = [(f"{place}_{n}", place, category) for place, (category, count) in sizes.items() for n in range(count)]
    images = [make_image(key, place) for key, place, _ in keys]
    return make_document(images, [make_annotation(f"a{key}", key, category) for key, _, category in keys])


def test_an_empty_split_is_told_on_stderr(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Three locations with a label each go to train; the warning says why and what to do."""
    write(tmp_path, document=located({"a": (0, 2), "b": (3, 2), "c": (7, 2)}))
    with caplog.at_level("WARNING", "camtrap_tf"):
        done = made(tmp_path)
    assert done.splits is not None
    assert len(done.splits["train"]) == 3
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("warning: splits 'val' and 'test' have no crop: 3 of 3 locations have a label that")
    assert "--min-locs 2" in caplog.messages[0]


def test_shares_that_are_far_off_are_told(tmp_path: Path) -> None:
    """Smallest first, test ends with a large location on top of the small ones."""
    sizes = dict(zip("abcdefg", (30, 28, 26, 4, 4, 4, 4), strict=True))
    write(tmp_path, document=located({place: (3, count) for place, count in sizes.items()}))
    text = made(tmp_path, method="smallest_first").text()
    assert "warning: shares of the crops are off: train 30.0 % (due 60 %), test 42.0 % (due 20 %); --method random" in text
    write(tmp_path, document=located(dict.fromkeys("abcdefghij", (3, 4))))
    assert "are off" not in made(tmp_path).text()


def test_crops_without_a_location_are_no_location_of_their_own(tmp_path: Path) -> None:
    """They are counted apart."""
    write(tmp_path)
    assert "31 crops, 3 labels, 9 locations (3 crops without a location)" in made(tmp_path).text()
