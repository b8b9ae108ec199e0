"""The standards of the camera-trap world, from the command line to shards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from camtrap_tf.cli.main import main
from tests.shared_data import shared


def shards(inventory: Path, root: Path, output: Path) -> dict[str, dict[str, int]]:
    """Makes shards of an inventory; returns their label mapping."""
    arguments = ["--inventory", inventory, "--image-root-path", root, "--output-dir", output, "--workers", "1"]
    assert main(["dataset", "create", *map(str, arguments), "--split-names", "all", "--split-percent", "1"]) == 0
    return dict(json.loads((output / "label_mapping.json").read_text()))


def test_coco_to_shards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """21 real pictures that lie one folder below the root that is named become 21 records of shards."""
    root = shared("data/cct20_21images")
    inventory = tmp_path / "inventory.json"
    command = ["inventory", "coco", "--path", root / "cct20_21.json", "--image-root", root, "--export-path", inventory]
    assert main([str(one) for one in command]) == 0
    printed = capsys.readouterr().out
    assert "21 pictures read = 21 used + 0 rejected" in printed
    assert str(root / "images") in printed
    mapping = shards(inventory, root, tmp_path / "dataset")
    assert len(mapping["species"]) == 7
    assert json.loads((tmp_path / "dataset/dataset.json").read_text())["records"]["out"] == 21


def test_camtrap_dp_to_shards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The standard's example: 10 pictures are here, 413 elsewhere; the shards have its label types."""
    package = shared("data/camtrap_dp_example")
    inventory = tmp_path / "inventory.parquet"
    assert main(["inventory", "camtrap-dp", "--path", str(package / "datapackage.json"), "--export-path", str(inventory)]) == 0
    assert "423 pictures read = 10 used + 0 rejected + 413 remote" in capsys.readouterr().out
    assert len((tmp_path / "inventory.remote.csv").read_text().splitlines()) == 414
    mapping = shards(inventory, package, tmp_path / "dataset")
    assert set(mapping["species"]) == {"Ardea"}
    manifest = json.loads((tmp_path / "dataset/dataset.json").read_text())
    assert manifest["label_types"] == ["behavior", "count", "lifeStage", "sex", "species"]
    assert manifest["records"]["out"] == 10


def test_placeholders_are_told_from_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Results that are an example of documentation end with exit code 2, and every file is named with its reason."""
    path = shared("data/ena24_small/megadetector_output.json")
    assert main(["inventory", "megadetector", "--path", str(path), "--export-path", str(tmp_path / "inventory.json")]) == 2
    assert "5 × placeholder_path" in capsys.readouterr().err
    assert (tmp_path / "inventory.rejects.csv").read_text().count("placeholder_path") == 5
