"""Both of Animl's roads from an export to a classification data set, as commands, on drawn scenes; and bad files on the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from camtrap_tf.inventory.table import Inventory
from camtrap_tf.sources.cct_document import CctDocument
from tests.commands import camtrap
from tests.reading import json_of, rows_of
from tests.shared_data import shared


def test_first_generation(sample: Path, tmp_path: Path) -> None:
    """Export → MegaDetector form → crops → queried images → table, splits → inventory: every crop arrives with its species."""
    coco, base = sample / "coco_camera_traps.json", tmp_path / "base"
    assert camtrap("cct", "to-md", coco, "--output", tmp_path / "ds_md.json") == 0
    cropping = ("--image-root", sample, "--output-dir", tmp_path / "crops/ds", "--threshold", 0, "--workers", 1)
    assert camtrap("crop", tmp_path / "ds_md.json", *cropping) == 0
    queried = base / "queried_images.json"
    words = (
        "classification",
        "queried-images",
        tmp_path / "ds_md.json",
        "--dataset",
        "ds",
        "--output",
        queried,
        "--keep-several",
    )
    assert camtrap(*words) == 0
    shares = ("--min-locs", 2, "--val-frac", 0.2, "--test-frac", 0.2, "--threshold", 0)
    words = ("classification", "create", base, "--mode", "csv", "splits", "--queried-images", queried)
    assert camtrap(*words, "--crops-dir", tmp_path / "crops", *shares) == 0
    table, splits = base / "classification_ds.csv", base / "splits.json"
    words = ("inventory", "classification-csv", "--path", table, "--splits", splits)
    assert camtrap(*words, "--export-path", tmp_path / "i.json") == 0
    document = CctDocument.read(coco)
    names, images = document.category_names(), document.images_by_id()
    species = {f"ds/{images[one['image_id']]['file_name']}": names[str(one["category_id"])] for one in document.annotations}
    inventory = Inventory.read(tmp_path / "i.json")
    assert len(inventory) == len(rows_of(table)) > 30
    assert inventory.first_labels("species") == [species[one.rpartition("___crop")[0]] for one in inventory.ids]
    assert set(inventory.meta("split_name")) == {"train", "val", "test"}


def test_second_generation(sample: Path, tmp_path: Path) -> None:
    """Export → clean → categories → crops → table, documents and splits → inspection: locations stay in one split."""
    clean, mapped, folder = tmp_path / "clean_cct.json", tmp_path / "mapped_cct.json", tmp_path / "set"
    assert camtrap("cct", "clean", sample / "coco_camera_traps.json", "--output", clean, "--normalize-locations") == 0
    assert camtrap("cct", "category-map", clean, "--output", tmp_path / "map.json") == 0
    value = json_of(tmp_path / "map.json")
    for entry in value["categories"]:
        entry["convert_to"] = {"warthog": "pig"}.get(entry["name"])
        entry["keep"] = entry["keep"] and entry["name"] != "unidentified"
    (tmp_path / "map.json").write_text(json.dumps(value), encoding="utf-8")
    assert camtrap("cct", "categories", clean, "--category-map", tmp_path / "map.json", "--output", mapped, "--renumber") == 0
    document = CctDocument.read(mapped)
    assert {"warthog", "unidentified"}.isdisjoint(document.category_names().values())
    cropping = ("--image-root", sample, "--output-dir", tmp_path / "crops", "--crop-strategy", "pad", "--workers", 1)
    assert camtrap("crop", mapped, *cropping) == 0
    shares = ("--val-frac", 0.2, "--test-frac", 0.2, "--seed", 3)
    assert camtrap("classification", "create", folder, "--cct", mapped, "--crops-dir", tmp_path / "crops", *shares) == 0
    parts = {name: CctDocument.read(folder / f"{name}_cct.json") for name in ("train", "val", "test")}
    places = [{image["location"] for image in part.images} for part in parts.values()]
    assert all(places)
    assert sum(map(len, places)) == len(set.union(*places))
    assert sum(len(part.annotations) for part in parts.values()) == len(document.annotations)
    assert all((tmp_path / "crops" / image["file_name"]).is_file() for part in parts.values() for image in part.images)
    inspection = ("--output-dir", tmp_path / "look", "--crops-dir", tmp_path / "crops", "--compare", folder / "splits.json")
    assert camtrap("classification", "inspect", folder, *inspection) == 0
    assert (tmp_path / "look/inspection.html").stat().st_size > 10_000
    again = (
        "cct",
        "split",
        folder / "classification_cct.json",
        "--splits",
        folder / "splits.json",
        "--output-dir",
        tmp_path / "again",
    )
    assert camtrap(*again) == 0
    for name in parts:
        assert (tmp_path / f"again/{name}_cct.json").read_bytes() == (folder / f"{name}_cct.json").read_bytes()


def test_split_documents_are_inventories(sample: Path, tmp_path: Path) -> None:
    """A document of a split is read as any COCO Camera Traps file, a record per crop, without the box it was cut along."""
    folder = tmp_path / "set"
    shares = ("--val-frac", 0.2, "--test-frac", 0.2)
    assert camtrap("classification", "create", folder, "--cct", sample / "coco_camera_traps.json", *shares) == 0
    assert camtrap("cct", "to-inventory", folder / "train_cct.json", "--export-path", tmp_path / "i.json") == 0
    inventory = Inventory.read(tmp_path / "i.json")
    assert len(inventory) == len(CctDocument.read(folder / "train_cct.json").images)
    assert {one.box for record in inventory for one in record.observations} == {None}
    assert set(inventory.first_labels("species")) <= {str(name) for name in json_of(folder / "label_index.json").values()}


def test_real_pictures_cannot_be_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of 21 real pictures, ten boxes of five species at one location each: all go to train, and the summary says why."""
    path = shared("data/cct20_21images/cct20_21.json")
    assert camtrap("classification", "create", tmp_path / "o", "--cct", path, "--val-frac", 0.2, "--test-frac", 0.1) == 0
    text = capsys.readouterr().out
    assert "21 boxes and crops = 10 in the data set + 11 left out (11 × no_bbox)" in text
    assert "cannot be evaluated, as they stand at one location: cat, opossum, raccoon, rodent, squirrel" in text
    assert len(CctDocument.read(tmp_path / "o/train_cct.json").images) == 10


def broken(kind: str, sample: Path, path: Path) -> Path:
    """Writes one of the files that go wrong."""
    text = (sample / "coco_camera_traps.json").read_text(encoding="utf-8")
    texts = {
        "cut off": text[: len(text) // 2],
        "results": (sample / "megadetector.json").read_text(encoding="utf-8"),
        "list": "[]",
        "empty": "",
        "not text": "\xff\xfe",
    }
    path.write_bytes(texts[kind].encode("latin-1" if kind == "not text" else "utf-8"))
    return path


@pytest.mark.parametrize("kind", ["cut off", "results", "list", "empty", "not text"])
@pytest.mark.parametrize("tool", ["validate", "clean", "counts", "to-md", "split", "drop"])
def test_broken_files_end_in_one_line(
    kind: str, tool: str, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cut, foreign and empty files end every tool with one line, exit code 2 and no output."""
    path = broken(kind, sample, tmp_path / "x.json")
    (tmp_path / "splits.json").write_text('{"train": [["combined", "loc01"]]}', encoding="utf-8")
    more: dict[str, tuple[object, ...]] = {
        "clean": ("--output", tmp_path / "o/y.json"),
        "to-md": ("--output", tmp_path / "o/y.json"),
        "drop": ("--output", tmp_path / "o/y.json", "--image-ids", "1"),
        "split": ("--splits", tmp_path / "splits.json", "--output-dir", tmp_path / "o"),
    }
    assert camtrap("cct", tool, path, *more.get(tool, ())) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"camtrap: error: {path}: ")
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "o").exists()


def test_ten_thousand_missing_pictures_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Missing files are counted with a few examples and listed in the table; the command does not fail."""
    images = [{"id": number, "file_name": f"{number}.jpg"} for number in range(10_000)]
    CctDocument(images=images, annotations=[], categories=[]).write(tmp_path / "x.json")
    (tmp_path / "pictures").mkdir()
    words = ("cct", "validate", tmp_path / "x.json", "--image-root", tmp_path / "pictures", "--report", tmp_path / "r.csv")
    assert camtrap(*words) == 0
    out = capsys.readouterr().out
    assert "10000 images = 0 fine + 10000 with a problem (10000 × missing_file)" in out
    assert len(out.splitlines()) < 20
    assert len(rows_of(tmp_path / "r.csv")) == 10_000
