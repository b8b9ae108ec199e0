"""What users get wrong: one line on stderr with the nearest valid name, exit code 2, and nothing done."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from camtrap_tf.cli.main import main
from tests.factories import write_pictures

INVENTORY_CSV = "inventory csv --path {d}/t.csv --export-path {d}/new.json --capture-id-field id --image-fields picture"
DATASET = "dataset --inventory {d}/inventory.json --image-root-path {d} --output-dir {d}/new"
TRAIN = (
    "train --train-tfr-path {d}/dataset --val-tfr-path {d}/dataset --run-outputs-dir {d}/new --model-save-dir {d}/new_bundle "
    "--n-gpus 0 --model small_cnn --labels species"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 24 pictures, its inventory and its dataset."""
    folder = tmp_path_factory.mktemp("bad_input")
    names = [f"pictures/{i}.jpg" for i in range(24)]
    write_pictures(folder, names, width=32, height=24)
    with (folder / "t.csv").open("w", newline="") as file:
        rows = [(f"e{i}", name, ("zebra", "lion")[i % 2], f"site{i % 6}") for i, name in enumerate(names)]
        csv.writer(file).writerows([("id", "picture", "species", "location"), *rows])
    (folder / "file").write_text("not a folder")
    # A folder that is there but takes no log file, whoever runs the tests (root may write to read-only folders).
    (folder / "closed" / "run_debug.log").mkdir(parents=True)
    (folder / "empty.json").write_text("{}")
    (folder / "broken.json").write_text("{")
    (folder / "gaps.json").write_text(json.dumps({"species": {"zebra": 0, "lion": 2}}))
    (folder / "other.json").write_text(json.dumps({"species": {"otter": 0, "seal": 1}}))
    (folder / "header.csv").write_text("id,picture,species\n")
    inventory = f"{INVENTORY_CSV} --label-fields species --meta-data-fields location --export-path {{d}}/inventory.json"
    dataset = f"{DATASET} --output-dir {{d}}/dataset --workers 1 --split-percent 0.5 0.25 0.25"
    for command in (inventory, dataset):
        assert main(command.format(d=folder).split()) == 0
    return folder


CASES = {
    "unknown column": (f"{INVENTORY_CSV} --label-fields specis", "'species'"),
    "unknown id column": (f"{INVENTORY_CSV} --label-fields species --capture-id-field ids", "'id'"),
    "unknown meta column": (f"{INVENTORY_CSV} --label-fields species --meta-data-fields locaton", "'location'"),
    "table of nothing": (f"{INVENTORY_CSV} --label-fields species --path {{d}}/header.csv", "header.csv"),
    "absent table": (f"{INVENTORY_CSV} --label-fields species --path {{d}}/none.csv", "none.csv"),
    "empty inventory": (f"{DATASET} --inventory {{d}}/empty.json", "empty.json"),
    "broken inventory": (f"{DATASET} --inventory {{d}}/broken.json", "broken.json"),
    "absent inventory": (f"{DATASET} --inventory {{d}}/none.json", "none.json"),
    "unknown label to remove": (f"{DATASET} --remove-label-name specis --remove-label-value lion", "'species'"),
    "unknown class to keep": (f"{DATASET} --keep-label-name species --keep-label-value lin", "'lion'"),
    "unknown label to balance": (f"{DATASET} --balanced-sampling-min --balanced-sampling-label specis", "'species'"),
    "unknown field to split by": (f"{DATASET} --split-by-meta locaton", "'location'"),
    "unknown field to group by": (f"{DATASET} --split-group locaton", "'location'"),
    "shares that do not add up": (f"{DATASET} --split-percent 0.5 0.5 0.5", "--split-percent"),
    "names without shares": (f"{DATASET} --split-names a b", "--split-names"),
    "logs that cannot be written": (f"{DATASET} --output-dir {{d}}/closed", "cannot write there"),
    "run folder without room for logs": (f"{TRAIN} --run-outputs-dir {{d}}/closed", "cannot write there"),
    "balancing half said": (f"{DATASET} --balanced-sampling-label species", "--balanced-sampling-min"),
    "absent pictures folder": (f"{DATASET} --image-root-path {{d}}/none", "--image-root-path"),
    "folder that cannot be written": (f"{DATASET} --output-dir {{d}}/file/out", "--output-dir"),
    "choice": (f"{DATASET} --truncated recovr", "'recover'"),
    "wrong type": (f"{DATASET} --workers many", "--workers many: not a whole number"),
    "out of range": (f"{DATASET} --image-save-quality 101", "--image-save-quality 101"),
    "unknown flag": (f"{DATASET} --image-quality 9", "'--image-save-quality'"),
    "required flags": ("dataset --overwrite", "--inventory, --output-dir"),
    "unknown command": ("datset", "'dataset'"),
    "unknown label": (f"{TRAIN} --labels specis", "'species'"),
    "unknown label beside a known one": (f"{TRAIN} --labels species cout", "cout"),
    "unknown model": (f"{TRAIN} --model ResNet19", "'ResNet18'"),
    "unknown split": (f"{TRAIN} --train-tfr-pattern trian", "train"),
    "pattern without a match": (f"{TRAIN} --train-tfr-pattern zz --pattern-is-substring", "zz"),
    "folder without shards": (f"{TRAIN} --val-tfr-path {{d}}/pictures", "--val-tfr-path"),
    "absent shards": (f"{TRAIN} --train-tfr-path {{d}}/none", "--train-tfr-path"),
    "mapping with gaps": (f"{TRAIN} --class-mapping-json {{d}}/gaps.json", "gaps.json"),
    "mapping that knows no class": (f"{TRAIN} --class-mapping-json {{d}}/other.json", "species"),
    "absent mapping": (f"{TRAIN} --class-mapping-json {{d}}/none.json", "none.json"),
    "absent weights": (f"{TRAIN} --weights {{d}}/none.h5", "none.h5"),
    "too many GPUs": (f"{TRAIN} --n-gpus 64", "64"),
    "absent model to go on with": (f"{TRAIN} --continue-training --model-to-load {{d}}/none", "none"),
    "run folder that cannot be written": (f"{TRAIN} --run-outputs-dir {{d}}/file/run", "--run-outputs-dir"),
    "bundle folder that cannot be written": (f"{TRAIN} --model-save-dir {{d}}/file/save", "--model-save-dir"),
    "absent bundle": ("predict --model-path {d}/none --image-dir {d} --results-file {d}/new.csv", "none"),
    "folder that is no bundle": ("predict --model-path {d}/pictures --image-dir {d} --results-file {d}/new.csv", "pictures"),
    "nothing to predict": ("predict --model-path {d} --results-file {d}/new.csv", "--image-dir"),
    "absent bundle to evaluate": ("evaluate --model-path {d}/none --tfr-path {d}/dataset --output-dir {d}/new", "none"),
    "absent bundle to export": ("export --model {d}/none --output-dir {d}/new", "none"),
    "absent model to serve": ("serve --saved-model {d}/none", "none"),
    "absent shards to inspect": ("dataset inspect --path {d}/none", "none"),
    "mappings to merge": ("labels merge --mappings {d}/other.json {d}/none.json --output {d}/new.json", "none.json"),
}


@pytest.mark.parametrize("case", CASES)
def test_one_line_and_exit_code_2(case: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The line names what is wrong, and nothing is left behind: no output, no folder, no log."""
    command, named = CASES[case]
    before = set(folder.rglob("*"))
    capsys.readouterr()
    assert main(command.format(d=folder).split()) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("camtrap: error: ")
    assert captured.err.count("\n") == 1
    assert named in captured.err
    assert captured.out == ""
    assert set(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        ("cct validate {d}", "COCO Camera Traps file"),
        ("cct from-md {d} --output {d}/new.json", "MegaDetector results file"),
        ("cct drop {d}/cct.json --ids-file {d} --output {d}/new.json", "list of ids"),
        ("crop {d} --output-dir {d}/new", "COCO Camera Traps file or MegaDetector results"),
        ("download urls {d} --output-dir {d}/new", "list of URLs"),
        (f"{INVENTORY_CSV} --path {{d}} --label-fields species", "CSV table"),
        ("inventory timelapse --path {d} --export-path {d}/new.json", "export of Timelapse"),
        ("split --inventory {d} --output-dir {d}/new", "inventory"),
        ("split --inventory {d}/../inventory.json --output-dir {d}/new --keep-splits {d}", "file of earlier splits"),
        ("classification label-spec {d}/spec.csv --output {d}/new.json", "label specification"),
    ],
)
def test_a_folder_where_a_file_is_wanted(folder: Path, capsys: pytest.CaptureFixture[str], call: str, wanted: str) -> None:
    """The message says that it is one, and what is wanted, in no words of the operating system."""
    place = folder / "folder.json"
    (place / "spec.csv").mkdir(parents=True, exist_ok=True)
    (place / "cct.json").write_text('{"images": [], "annotations": [], "categories": []}')
    assert main(call.format(d=place).split()) == 2
    error = capsys.readouterr().err
    assert "Errno" not in error
    assert "is a folder, no " in error
    assert wanted in error.partition("is a folder, no ")[2]
    assert not list(place.glob("new*"))
