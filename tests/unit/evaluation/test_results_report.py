"""Evaluation of a results file against a COCO Camera Traps file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from camtrap_tf.config.training_files import EvaluateResultsConfig
from camtrap_tf.errors import CamtrapError
from camtrap_tf.evaluation.results_file import read_results
from camtrap_tf.evaluation.results_report import evaluate_results, sheets_of
from camtrap_tf.evaluation.sheets import SIDE_PX, thumb
from camtrap_tf.sources.cct_document import CctDocument
from tests.reading import rows_of

CATEGORIES = [{"id": 5, "name": "zebra"}, {"id": 1, "name": "ant"}, {"id": 2, "name": "bat"}]
SCORES = [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.5, 0.3, 0.2], [0.2, 0.3, 0.5]]
TRUE = [0, 1, 1, 0]
COLOURS = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 0)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Gives a folder with a document, four pictures and their results, with Animl's keys alone."""
    images = [
        {"id": f"i{k}", "file_name": f"a/{k}.jpg", "location": f"loc{k % 2}", "orig_file_name": f"o{k}.jpg", "orig_id": k}
        for k in range(4)
    ]
    ids = [one["id"] for one in CATEGORIES]
    annotations = [{"id": k, "image_id": f"i{k}", "category_id": ids[truth]} for k, truth in enumerate(TRUE)]
    CctDocument(images=images, annotations=annotations, categories=CATEGORIES).write(tmp_path / "c.json")
    for k, colour in enumerate(COLOURS):
        (tmp_path / "crops/a").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 10), colour).save(tmp_path / f"crops/a/{k}.jpg")
    write(tmp_path)
    return tmp_path


def write(folder: Path, **changes: Any) -> None:
    """Writes the results with changes."""
    value = {
        "pred_labels": [row.index(max(row)) for row in SCORES],
        "true_labels": TRUE,
        "logits": SCORES,
        "scores": SCORES,
        "filepaths": [f"/elsewhere/crops/a/{k}.jpg" for k in range(4)],
    }
    (folder / "val_results.json").write_text(json.dumps({**value, **changes}), encoding="utf-8")


def config(folder: Path, **changes: Any) -> EvaluateResultsConfig:
    """Returns settings with changes."""
    settings = {"results": folder / "val_results.json", "cct": folder / "c.json", "crops_dir": folder / "crops"}
    return EvaluateResultsConfig(**{**settings, "output_dir": folder / "o", "top": 0, **changes})


def test_tables(folder: Path) -> None:
    """Each picture has its answer, the one after it, whether it is right, and the picture that it was cut from."""
    found = evaluate_results(config(folder))
    first, *_, last = rows_of(folder / "o/results.csv")
    assert (first["true"], first["predicted"], first["second"], first["second_score"]) == ("zebra", "zebra", "ant", "0.200000")
    assert (last["true"], last["predicted"], last["right"], last["location"]) == ("zebra", "bat", "0", "loc1")
    assert (last["original"], last["original_id"]) == ("o3.jpg", "3")
    assert [list(row.values()) for row in rows_of(folder / "o/confusion.csv")] == [
        ["zebra", "1", "0", "1"],
        ["ant", "1", "1", "0"],
        ["bat", "0", "0", "0"],
    ]
    assert [tuple(row.values()) for row in rows_of(folder / "o/locations.csv")] == [
        ("loc0", "ant", "1", "0"), ("loc0", "zebra", "1", "1"), ("loc1", "ant", "1", "1"), ("loc1", "zebra", "1", "0")
    ]  # fmt: skip
    classes = {row["class"]: row for row in rows_of(folder / "o/classes.csv")}
    assert (classes["ant"]["precision"], classes["ant"]["recall"], classes["bat"]["recall"]) == ("1.000000", "0.500000", "")
    assert "4 pictures at 2 locations" in found.text()
    assert "50.0" in found.text()


def test_sheets_rank_pictures(folder: Path) -> None:
    """Mistakes come first, then per class the surest and least sure right ones, and false ones."""
    results = read_results(folder / "val_results.json", CctDocument.read(folder / "c.json"), folder / "c.json")
    sheets = {sheet.name: sheet.rows for sheet in sheets_of(results, config(folder, top=5))}
    assert sheets == {
        "zebra taken for bat": (3,),
        "ant taken for zebra": (2,),
        "zebra: right, and surest": (0,),
        "zebra: right, and least sure": (0,),
        "zebra: answered, but something else, surest first": (2,),
        "ant: right, and surest": (1,),
        "ant: right, and least sure": (1,),
        "bat: answered, but something else, surest first": (3,),
    }
    some = [sheet.name for sheet in sheets_of(results, config(folder, top=5, classes=["bat"], confusions=0, samples=2))]
    assert some == ["bat: answered, but something else, surest first"]


def test_page_shows_its_sheets(folder: Path) -> None:
    """Sheets are beside the page, hold the picture, and are shown on it; those of an earlier evaluation go."""
    (folder / "o/sheets").mkdir(parents=True)
    (folder / "o/sheets/old.png").touch()
    evaluate_results(config(folder, top=3, classes=["bat"], confusions=1))
    sheets = sorted(path.name for path in (folder / "o/sheets").iterdir())
    assert sheets == ["001_zebra_taken_for_bat.png", "002_bat_answered_but_something_else_surest_first.png"]
    page = (folder / "o/report.html").read_text(encoding="utf-8")
    assert all(f'src="sheets/{name}"' in page for name in sheets)
    assert "COCO Camera Traps file" in page
    with Image.open(folder / "o/sheets" / sheets[0]) as sheet:
        colours = {colour for _, colour in sheet.convert("RGB").getcolors(1 << 20) or []}
    assert any(abs(r - 200) < 12 and abs(g - 200) < 12 and b < 12 for r, g, b in colours)


def test_filters(folder: Path) -> None:
    """Only pictures of a location, or with something in their path, count where that is asked for."""
    assert evaluate_results(config(folder, locations=["loc0"])).report["data"]["records"] == 2
    assert evaluate_results(config(folder, path_contains="/3.")).report["data"]["records"] == 1


@pytest.mark.parametrize(("said", "label"), [({"label": "animal"}, "animal"), ({}, "species")])
def test_label_type_is_that_of_the_results(folder: Path, said: dict[str, str], label: str) -> None:
    """The report calls the label type as the results do, which have it from the bundle; Animl's say none."""
    write(folder, **said)
    found = evaluate_results(config(folder))
    assert list(found.report["heads"]) == [label]
    assert label in found.text()


def test_names_of_the_results_count(folder: Path) -> None:
    """Classes that the results name are theirs, in whatever order; true ones that the document says otherwise are told."""
    write(folder, categories=["ant", "bat", "zebra"], ids=["i0", "i1", "i2", "i3"], filepaths=["x"] * 4)
    found = evaluate_results(config(folder))
    assert rows_of(folder / "o/results.csv")[0]["true"] == "ant"
    assert any("4 true classes of the results are others than in the document" in note for note in found.notes)


def test_missing_classes_and_unknown_pictures(folder: Path) -> None:
    """A picture without a class is in no score; one that the document lacks counts, without location, and is told."""
    write(folder, true_labels=[0, 1, 1, -1], filepaths=["a/0.jpg", "a/1.jpg", "a/2.jpg", "a/9.jpg"])
    found = evaluate_results(config(folder))
    head = found.report["heads"]["species"]
    assert (head["n_labelled"], head["n_missing"]) == (3, 1)
    assert any("1 of 4 pictures are not in" in note for note in found.notes)
    assert rows_of(folder / "o/results.csv")[3]["location"] == ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": None}, "not a results file"),
        ({"true_labels": [0]}, "its lists differ in length"),
        ({"true_labels": [0, 1, 7, 0]}, "true_labels are not all class indices from -1 to 2"),
        ({"pred_labels": [0, 1, -1, 0]}, "pred_labels are not all class indices from 0 to 2"),
        ({"scores": [[1, 2]] * 4}, "scores have the shape [4, 2]; there are 3 classes"),
        ({"scores": [["a", 0, 0]] * 4}, "are not all numbers"),
        ({"scores": [[1e999, 0, 0]] * 4}, "some scores are no numbers"),
        ({"filepaths": ["b/0.jpg"] * 4}, "give the file of the split that was predicted"),
        ({"categories": "abc"}, "'categories' is not a list of names"),
        ({key: [] for key in ("pred_labels", "true_labels", "logits", "scores", "filepaths")}, "holds no picture"),
    ],
)
def test_files_that_are_no_results(folder: Path, changes: dict[str, Any], message: str) -> None:
    """A file whose arrays do not go together, or of another split, is refused before anything is written."""
    write(folder, **changes)
    with pytest.raises(CamtrapError) as err:
        evaluate_results(config(folder))
    assert message in str(err.value)
    assert not (folder / "o").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ["bta"]}, "did you mean 'bat'"),
        ({"locations": ["loc7"]}, "--locations loc7"),
        ({"path_contains": "zzz"}, "nothing to evaluate"),
        ({"crops_dir": Path("absent")}, "--crops-dir absent: no such folder"),
    ],
)
def test_settings_that_fit_nothing(folder: Path, changes: dict[str, Any], message: str) -> None:
    """A class, location, path or folder that is not there is named."""
    with pytest.raises(CamtrapError, match=message):
        evaluate_results(config(folder, **changes))


def test_pictures_that_cannot_be_opened(folder: Path) -> None:
    """A picture that is not there leaves an empty square, and is counted."""
    (folder / "crops/a/3.jpg").unlink()
    found = evaluate_results(config(folder, top=2, classes=["bat"], confusions=1))
    assert "2 pictures of the sheets cannot be opened" in found.text()
    assert thumb(folder / "absent.jpg") is None
    picture = thumb(folder / "crops/a/0.jpg")
    assert picture is not None
    assert picture.shape == (SIDE_PX, SIDE_PX, 3)
