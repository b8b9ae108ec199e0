"""Splits that come from files: what is in them, and the order of their classes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from camtrap_tf.config.training_files import TrainFilesConfig
from camtrap_tf.errors import LabelError, SettingError, SourceError
from camtrap_tf.inventory.of_splits import (
    ParsedFiles,
    SplitFiles,
    class_mapping,
    inventory_of_split,
    picture_state,
    shared_places,
)
from camtrap_tf.sources.cct_document import CctDocument

CATEGORIES = [{"id": 9, "name": "zebra"}, {"id": 0, "name": "empty"}, {"id": 4, "name": "ant"}]
TABLE = "path,dataset,location,dataset_class,confidence,label"


def write_cct(
    path: Path, pictures: dict[str, int], *, location: str = "a", categories: list[dict[str, object]] | None = None
) -> None:
    """Writes a document of pictures with their category ids, and the pictures beside it."""
    images = [{"id": name, "file_name": f"{name}.jpg", "location": location, "width": 8, "height": 8} for name in pictures]
    annotations = [{"id": f"{name}-{k}", "image_id": name, "category_id": key} for name, key in pictures.items() for k in (0,)]
    CctDocument(images=images, annotations=annotations, categories=categories or CATEGORIES).write(path)
    for name in pictures:
        Image.new("RGB", (8, 8)).save(path.with_name(f"{name}.jpg"))


def of_documents(folder: Path) -> SplitFiles:
    """Returns the files of a folder with `train_cct.json` and `val_cct.json`."""
    config = TrainFilesConfig(
        train_cct=folder / "train_cct.json", val_cct=folder / "val_cct.json", crops_dir=folder, model="small_cnn",
        run_outputs_dir=folder / "r", model_save_dir=folder / "b",
    )  # fmt: skip
    return SplitFiles.from_config(config, "species")


def of_table(folder: Path, rows: list[str], splits: dict[str, list[list[str]]], index: list[str] | None = None) -> SplitFiles:
    """Returns the files of a table that is written here."""
    (folder / "classification_ds.csv").write_text("\n".join([TABLE, *rows, ""]), encoding="utf-8")
    (folder / "splits.json").write_text(json.dumps(splits), encoding="utf-8")
    if index is not None:
        (folder / "label_index.json").write_text(json.dumps({str(i): name for i, name in enumerate(index)}), encoding="utf-8")
    config = TrainFilesConfig(
        classification_csv=folder / "classification_ds.csv", crops_dir=folder, model="small_cnn",
        run_outputs_dir=folder / "r", model_save_dir=folder / "b",
    )  # fmt: skip
    return SplitFiles.from_config(config, "class")


def test_classes_are_places_in_categories(tmp_path: Path) -> None:
    """A class index is a place in `categories`, ids and names have no say; classes without a picture count too."""
    write_cct(tmp_path / "train_cct.json", {"x": 9, "y": 4})
    write_cct(tmp_path / "val_cct.json", {"z": 9})
    mapping = class_mapping(of_documents(tmp_path), ("train", "val"), num_classes=3)
    assert mapping.names("species") == ("zebra", "empty", "ant")


def test_classes_of_a_table_are_numbered_as_its_index_says(tmp_path: Path) -> None:
    """A class index is a number of `label_index.json`; without one, classes go by their names."""
    rows, splits = ["a.jpg,d,1,x,1,fox", "b.jpg,d,2,x,1,ant"], {"train": [["d", "1"]], "val": [["d", "2"]]}
    assert class_mapping(of_table(tmp_path, rows, splits), ("train", "val")).names("class") == ("ant", "fox")
    files = of_table(tmp_path, rows, splits, ["fox", "ant"])
    assert class_mapping(files, ("train", "val")).names("class") == ("fox", "ant")
    with pytest.raises(LabelError, match="label 'fox' is not in"):
        class_mapping(of_table(tmp_path, rows, splits, ["ant", "bird"]), ("train", "val"))


@pytest.mark.parametrize(
    ("categories", "message"),
    [
        ([CATEGORIES[1], CATEGORIES[0], CATEGORIES[2]], "category 1 is 'empty', not 'zebra'"),
        ([*CATEGORIES, {"id": 7, "name": "bat"}], "category 'bat' is in one only"),
        ([*CATEGORIES, {"id": 7, "name": "ant"}], "two categories are called 'ant'"),
        ([*CATEGORIES, {"id": 7}], "category 4 of 4 has no name"),
    ],
)
def test_categories_that_are_no_classes(tmp_path: Path, categories: list[dict[str, object]], message: str) -> None:
    """Splits whose categories differ in order or names, or cannot be told apart, are refused."""
    write_cct(tmp_path / "train_cct.json", {"x": 9})
    write_cct(tmp_path / "val_cct.json", {"z": 9}, categories=categories)
    with pytest.raises(LabelError, match=message):
        class_mapping(of_documents(tmp_path), ("train", "val"))


def test_another_number_of_classes(tmp_path: Path) -> None:
    """A number of classes that is not that of the files is an error that lists them."""
    write_cct(tmp_path / "train_cct.json", {"x": 9})
    write_cct(tmp_path / "val_cct.json", {"z": 9})
    with pytest.raises(LabelError, match=r"--num-classes 5: .* has 3 classes \(zebra, empty, ant\)"):
        class_mapping(of_documents(tmp_path), ("train",), num_classes=5)


def test_documents_beside_the_training_one_are_splits(tmp_path: Path) -> None:
    """A split that was not trained with is found beside the others; one that is not there is an error with the nearest."""
    write_cct(tmp_path / "train_cct.json", {"x": 9})
    write_cct(tmp_path / "val_cct.json", {"z": 9})
    write_cct(tmp_path / "test_cct.json", {"t": 4})
    files = of_documents(tmp_path)
    assert files.split_names() == ("train", "val")
    assert inventory_of_split(files, "test", tmp_path / "o").first_labels("species") == ["ant"]
    with pytest.raises(SettingError, match=r"--split tset: no .*tset_cct.json; did you mean 'test'"):
        files.document("tset")


def test_rows_of_a_table_go_by_location(tmp_path: Path) -> None:
    """A split of a table has the crops at its locations, with the confidence of their detection."""
    rows = ["a.jpg,d,1,x,0.5,fox", "b.jpg,d,2,x,1,ant", "c.jpg,e,1,x,1,ant", "d.jpg,d,3,x,1,ant"]
    splits = {"train": [["d", "1"]], "val": [["d", "2"], ["e", "1"]], "test": []}
    files = of_table(tmp_path, rows, splits)
    assert files.split_names() == ("train", "val")
    assert inventory_of_split(files, "val", tmp_path / "o").ids == ["b.jpg", "c.jpg"]
    train = inventory_of_split(files, "train", tmp_path / "o")
    assert (train.ids, train.meta("detection_conf")) == (["a.jpg"], ["0.5"])
    with pytest.raises(SettingError, match="--split test"):
        inventory_of_split(files, "test", tmp_path / "o")


def test_the_classes_that_are_told_are_those_of_the_split(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Not those of the whole table, once for each of its splits."""
    rows = ["a.jpg,d,1,x,0.5,fox", "b.jpg,d,2,x,1,ant", "c.jpg,e,1,x,1,ant"]
    files = of_table(tmp_path, rows, {"train": [["d", "1"]], "val": [["d", "2"], ["e", "1"]], "test": []})
    with caplog.at_level("INFO", "camtrap_tf"):
        inventory_of_split(files, "val", tmp_path / "o")
    said = [line for line in caplog.messages if line.startswith(("split", "label"))]
    assert said == ["split val:", "label class: 1 class in 2 observations, 0 missing"]


def test_each_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What gave the classes gives the records too, and a table those of all its splits; they are those read one by one."""
    write_cct(tmp_path / "train_cct.json", {"x": 9, "y": 4})
    write_cct(tmp_path / "val_cct.json", {"z": 9}, location="b")
    files, parsed = of_documents(tmp_path), ParsedFiles()
    alone = [list(inventory_of_split(files, split, tmp_path / "o")) for split in ("train", "val")]
    class_mapping(files, ("train", "val"), parsed=parsed)
    monkeypatch.setattr(CctDocument, "read", None)
    assert [list(inventory_of_split(files, split, tmp_path / "o", parsed)) for split in ("train", "val")] == alone
    rows = ["a.jpg,d,1,x,0.5,fox", "b.jpg,d,2,x,1,ant"]
    table = of_table(tmp_path, rows, {"train": [["d", "1"]], "val": [["d", "2"]]})
    assert inventory_of_split(table, "train", tmp_path / "o", parsed).ids == ["a.jpg"]
    (tmp_path / "classification_ds.csv").unlink()
    assert inventory_of_split(table, "val", tmp_path / "o", parsed).ids == ["b.jpg"]


def test_a_split_without_crops(tmp_path: Path) -> None:
    """A split whose locations have no crop is an error."""
    files = of_table(tmp_path, ["a.jpg,d,1,x,1,fox"], {"train": [["d", "1"]], "val": [["d", "9"]]})
    with pytest.raises(SourceError, match="no crop is at a location of split 'val'"):
        inventory_of_split(files, "val", tmp_path / "o")


def test_the_first_annotation_counts(tmp_path: Path) -> None:
    """Of several annotations of a picture the first one of the file is its class."""
    write_cct(tmp_path / "train_cct.json", {"x": 4})
    document = CctDocument.read(tmp_path / "train_cct.json")
    more = [
        *document.annotations,
        {"id": "x-1", "image_id": "x", "category_id": 9},
        {"id": "x-2", "image_id": "x", "category_id": 0},
    ]
    document.with_parts(annotations=more).write(tmp_path / "train_cct.json")
    write_cct(tmp_path / "val_cct.json", {"z": 9})
    assert inventory_of_split(of_documents(tmp_path), "train", tmp_path / "o").first_labels("species") == ["ant"]


def test_missing_pictures_are_rejected(tmp_path: Path) -> None:
    """A picture that is not there is in no record; it is counted with the reason."""
    write_cct(tmp_path / "train_cct.json", {"x": 9, "y": 4, "w": 4})
    write_cct(tmp_path / "val_cct.json", {"z": 9})
    (tmp_path / "y.jpg").unlink()
    found = inventory_of_split(of_documents(tmp_path), "train", tmp_path / "o")
    assert found.ids == ["x", "w"]
    assert [(one.id, one.reason) for one in found.rejects] == [("y", "missing_file")]


def test_digests_follow_files_and_pictures(tmp_path: Path) -> None:
    """The digest of a split changes with its document alone, that of its pictures when one is written again."""
    write_cct(tmp_path / "train_cct.json", {"x": 9})
    write_cct(tmp_path / "val_cct.json", {"z": 9})
    files = of_documents(tmp_path)
    train, val = files.digest("train"), files.digest("val")
    inventory = inventory_of_split(files, "val", tmp_path / "o")
    pictures = picture_state(inventory, tmp_path)
    assert pictures == picture_state(inventory, tmp_path)
    Image.new("RGB", (30, 30)).save(tmp_path / "z.jpg")
    assert picture_state(inventory, tmp_path) != pictures
    write_cct(tmp_path / "val_cct.json", {"z": 4})
    assert (files.digest("train") == train, files.digest("val") == val) == (True, False)


def test_files_are_remembered(tmp_path: Path) -> None:
    """What a cache was made from is read back as it was; a file of another kind is an error."""
    write_cct(tmp_path / "train_cct.json", {"x": 9})
    write_cct(tmp_path / "val_cct.json", {"z": 9})
    for files in (of_documents(tmp_path), of_table(tmp_path, ["a.jpg,d,1,x,1,fox"], {"train": [["d", "1"]]}, ["fox"])):
        files.write(tmp_path / "cache")
        assert SplitFiles.read(tmp_path / "cache") == files
    (tmp_path / "cache/files.json").write_text("[]", encoding="utf-8")
    with pytest.raises(SourceError, match="train again"):
        SplitFiles.read(tmp_path / "cache")


def test_places_in_two_splits(tmp_path: Path) -> None:
    """A location in two splits is found; one that is not known is none."""
    write_cct(tmp_path / "train_cct.json", {"x": 9}, location="hill")
    write_cct(tmp_path / "val_cct.json", {"z": 9}, location="hill")
    files = of_documents(tmp_path)
    found = {split: inventory_of_split(files, split, tmp_path / split) for split in ("train", "val")}
    assert shared_places(found) == {"hill": ("train", "val")}
    write_cct(tmp_path / "val_cct.json", {"z": 9}, location="unknown_location")
    found["val"] = inventory_of_split(files, "val", tmp_path / "val")
    assert shared_places(found) == {}
