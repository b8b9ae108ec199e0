"""A training from one COCO Camera Traps file, to its end: splits by location, a model, its predictions, what they are worth."""

from __future__ import annotations

from pathlib import Path

import pytest

from camtrap_tf.sources.cct_document import CctDocument
from tests.commands import camtrap
from tests.reading import json_of


@pytest.fixture(scope="module")
def words(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    """Gives the command of a small training, after it was run once; its last word is the folder of the run."""
    folder = tmp_path_factory.mktemp("one")
    places = ("--model-save-dir", folder / "bundle", "--run-outputs-dir", folder / "run")
    small = (
        "--model",
        "small_cnn",
        "--output-height",
        24,
        "--output-width",
        24,
        "--max-epochs",
        1,
        "--workers",
        1,
        "--n-gpus",
        0,
    )
    shares = ("--split-percent", 0.6, 0.2, 0.2)
    given = ("train", "--train-cct", sample / "coco_camera_traps.json", "--crops-dir", sample, *shares, *small, *places)
    assert camtrap(*given) == 0
    return given


def test_places_are_whole_and_told_of(words: tuple[object, ...]) -> None:
    """No location is in two of the files that were trained on and measured with, and `leakage.json` says so."""
    splits = Path(str(words[-1])) / "cache/splits"
    places = [
        {one["location"] for one in CctDocument.read(splits / f"{name}_cct.json").images} for name in ("train", "val", "test")
    ]
    assert all(places)
    assert sum(map(len, places)) == len(set().union(*places))
    assert json_of(splits / "leakage.json")["groups"]["in_several_splits"] == 0


def test_the_same_command_goes_on(words: tuple[object, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """It finds splits, shards and the finished training as they were; a plan says so too."""
    assert camtrap(*words) == 0
    said = capsys.readouterr().out
    assert "cache/splits, as they were" in said
    assert "finished already" in said
    assert camtrap(*words, "--dry-run") == 0
    assert "finished already" in capsys.readouterr().out


def test_splits_are_predicted_and_shown(words: tuple[object, ...], sample: Path, tmp_path: Path) -> None:
    """`predict --split` finds the pictures of a split, and its results go beside the file that it was cut from."""
    run = Path(str(words[-1]))
    assert camtrap("predict", "--run", run, "--split", "val", "--output-dir", tmp_path, "--n-gpus", 0) == 0
    results = json_of(tmp_path / "val_results.json")
    part = CctDocument.read(run / "cache/splits/val_cct.json")
    assert set(results["ids"]) <= {str(one["id"]) for one in part.images}
    shown = ("--crops-dir", sample, "--output-dir", tmp_path / "shown", "--top", 0)
    for document in (sample / "coco_camera_traps.json", run / "cache/splits/val_cct.json"):
        assert camtrap("evaluate", "--results", tmp_path / "val_results.json", "--cct", document, *shown) == 0
        measured = json_of(tmp_path / "shown/report.json")["data"]
        assert measured["records"] == len(results["ids"]) > 0
