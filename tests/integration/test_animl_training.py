"""Both of Animl's roads to their ends, in the scripts' own words: a trained model, its predictions, what they are worth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from camtrap_tf.sources.cct_document import CctDocument
from tests.commands import camtrap
from tests.reading import json_of, rows_of

SIZE = 24


def legacy(*words: object) -> None:
    """Runs a script of theirs."""
    assert camtrap("legacy", *words) == 0


@pytest.fixture(scope="module")
def second(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gives the end of the second road: export → clean → crops → splits → config.yml → a run of two epochs."""
    folder = tmp_path_factory.mktemp("second")
    clean, data, runs = folder / "clean_cct.json", folder / "data", folder / "runs/tiny/base"
    assert camtrap("cct", "clean", sample / "coco_camera_traps.json", "--output", clean) == 0
    crops = (
        clean,
        data / "crops",
        "--images-dir",
        sample,
        "--crop-strategy",
        "pad",
        "--threads",
        50,
        "--logdir",
        folder / "logs",
    )
    legacy("utils/crop_detections.py", *crops, "--workers", 1)
    made = ("--crops-dir", data / "crops", "--cct-json", clean, "--val-frac", 0.2, "--test-frac", 0.2, "--method", "random")
    legacy("create_classification_dataset.py", data, "--mode", "csv", "cct", "splits", *made)
    runs.mkdir(parents=True)
    settings = {
        "seed": 32678456782,
        "device": "cuda:3",
        "num_workers": 0,
        "data_root": str(data),
        "crops_dir": "crops",
        "num_classes": len(CctDocument.read(clean).categories),
        "image_size": [SIZE, SIZE],
        "num_epochs": 2,
        "batch_size": 32,
        "learning_rate": 0.01,
        "weight_decay": 0.001,
    }
    (runs / "config.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    legacy("classifier/train.py", "--config", runs / "config.yml", "--resume", "--model", "small_cnn", "--workers", 1)
    return folder


def test_second_generation_trains_in_the_order_of_categories(second: Path) -> None:
    """Class indices are places in `categories`, which are in no other order here than by name; the run is beside the file."""
    runs = second / "runs/tiny/base"
    names = [category["name"] for category in CctDocument.read(second / "data/train_cct.json").categories]
    assert names != sorted(names)
    mapping = json_of(runs / "bundle/label_mappings.json")["species"]
    assert sorted(mapping, key=mapping.__getitem__) == names
    settings = yaml.safe_load((runs / "run/config.yaml").read_text(encoding="utf-8"))
    wanted = {"recipe": "animl", "momentum": 0.0, "max_epochs": 2, "initial_learning_rate": 0.01, "output_height": SIZE}
    assert {key: settings[key] for key in wanted} == wanted
    assert settings["seed"] == 32678456782 % 2**32


def test_second_generation_goes_on(second: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same command again uses the shards and finds nothing to do; a crop that was cut again makes its shards anew."""
    words = ("train", "--config", second / "runs/tiny/base/config.yml", "--model", "small_cnn", "--resume")
    shards = sorted((second / "runs/tiny/base/run/cache").rglob("*.tfrecord"))
    before = [path.stat().st_mtime_ns for path in shards]
    assert camtrap(*words) == 0
    assert "finished already" in capsys.readouterr().out
    assert [path.stat().st_mtime_ns for path in shards] == before
    crop = second / "data/crops" / CctDocument.read(second / "data/val_cct.json").images[0]["file_name"]
    whole = crop.read_bytes()
    Image.new("RGB", (30, 30)).save(crop)
    try:
        assert camtrap(*words) == 2
        assert "the validation shards have changed" in capsys.readouterr().err
    finally:
        crop.write_bytes(whole)
    assert camtrap(*words) == 0


def test_second_generation_predicts_the_split_that_is_asked_for(second: Path) -> None:
    """`--split test` classifies the test pictures, each with its true class; validation comes out as in training."""
    runs, data = second / "runs/tiny/base", second / "data"
    for split in ("test", "val"):
        legacy("classifier/predict.py", "--config", runs / "config.yml", "--checkpoint", "2.pt", "--split", split)
    document, results = CctDocument.read(data / "test_cct.json"), json_of(runs / "predictions/test_results.json")
    places = {str(category["id"]): place for place, category in enumerate(document.categories)}
    truth = {one["image_id"]: places[str(one["category_id"])] for one in document.annotations}
    assert set(results["ids"]) == truth.keys()
    assert results["true_labels"] == [truth[one] for one in results["ids"]]
    assert all(Path(path).is_file() for path in results["filepaths"])
    scores, logits = np.array(results["scores"]), np.array(results["logits"])
    np.testing.assert_allclose(scores, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), atol=2e-6)
    assert results["pred_labels"] == scores.argmax(axis=1).tolist()
    measured = {row["split"]: row for row in rows_of(runs / "predictions/overall_metrics.csv")}
    assert list(measured) == ["test", "val"]
    metrics = measured["val"]
    trained = rows_of(runs / "run/metrics.csv")[-1]
    assert float(metrics["loss"]) == pytest.approx(float(trained["val_loss"]), abs=1e-4)
    assert float(metrics["acc_top1"]) == pytest.approx(100 * float(trained["val_label/species_accuracy"]), abs=1e-4)


def test_targets_of_other_classes_come_before_the_work(
    second: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A target mapping with a class that the model lacks is named before a picture is classified."""
    (tmp_path / "map.json").write_text('{"mammal": ["unicorn"]}', encoding="utf-8")
    monkeypatch.setattr("camtrap_tf.prediction.split_results.answers_of", None)
    words = ("--run", second / "runs/tiny/base/run", "--split", "val", "--target-mapping", tmp_path / "map.json")
    assert camtrap("predict", *words, "--output-dir", tmp_path / "p") == 2
    assert "'mammal' has 'unicorn', no class of the model" in capsys.readouterr().err
    assert not (tmp_path / "p").exists()


def test_second_generation_is_evaluated(second: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Results beside their document give a page with sheets and tables; the document of another split is an error."""
    runs, data = second / "runs/tiny/base", second / "data"
    legacy("classifier/predict.py", "--config", runs / "config.yml", "--checkpoint", "1.pt", "--split", "val")
    results = runs / "predictions/val_results.json"
    words = ("evaluate", "--results", results, "--cct", data / "val_cct.json", "--crops-dir", data / "crops", "--top", 6)
    assert camtrap(*words, "--output-dir", tmp_path / "e", "--samples", 3, "--confusions", 2) == 0
    rows, value = rows_of(tmp_path / "e/results.csv"), json_of(results)
    right = [one == two for one, two in zip(value["true_labels"], value["pred_labels"], strict=True)]
    assert [row["right"] for row in rows] == [str(int(one)) for one in right]
    assert all(row["location"] and row["original"].endswith(".jpg") for row in rows)
    page = (tmp_path / "e/report.html").read_text(encoding="utf-8")
    sheets = sorted((tmp_path / "e/sheets").iterdir())
    assert sheets
    assert all(f'src="sheets/{sheet.name}"' in page for sheet in sheets)
    capsys.readouterr()
    assert camtrap("evaluate", "--results", results, "--cct", data / "test_cct.json", "--output-dir", tmp_path / "f") == 2
    assert "give the file of the split that was predicted" in capsys.readouterr().err
    assert not (tmp_path / "f").exists()


def test_first_generation(sample: Path, tmp_path: Path) -> None:
    """Export → MegaDetector form → crops → queried images → table and splits → training → evaluation, script by script."""
    base, crops, cache = tmp_path / "base", tmp_path / "crops", tmp_path / "mdcache"
    found = cache / "v5.0b/ds_md.json"
    found.parent.mkdir(parents=True)
    legacy("cct_to_md.py", "--input_filename", sample / "coco_camera_traps.json", "--output_filename", found)
    cut = ("--images-dir", sample, "--threshold", 0, "--square-crops", "--threads", 50, "--logdir", base)
    legacy("crop_detections.py", found, crops / "ds", *cut, "--workers", 1)
    queried = base / "queried_images.json"
    legacy("md_to_queried_images.py", "--input_filename", found, "--dataset", "ds", "--output_filename", queried)
    shares = ("--threshold", 0, "--min-locs", 1, "--val-frac", 0.2, "--test-frac", 0.2, "--method", "random")
    made = ("--cropped-images-dir", crops, "--detector-output-cache-dir", cache, "--detector-version", "5.0b", *shares)
    legacy("create_classification_dataset.py", base, "--mode", "csv", "splits", "--queried-images-json", queried, *made)
    rates = ("--epochs", 1, "--batch-size", 16, "--lr", "3e-3", "--weight-decay", "1e-6", "--num-workers", 2)
    weighted = ("--label-weighted", "--weight-by-detection-conf", "--logdir", base, "--log-extreme-examples", 1)
    size = ("--output-width", SIZE, "--output-height", SIZE, "--workers", 1)
    legacy("train_classifier.py", base, crops, "--model-name", "small_cnn", *rates, *weighted, *size)
    index = json_of(base / "label_index.json")
    assert json_of(base / "bundle/label_mappings.json")["species"] == {name: int(number) for number, name in index.items()}
    legacy("evaluate_model.py", base / "params.json", "ckpt_1.pt", "-o", base / "ev", "--splits", "train", "test")
    splits = {tuple(place): split for split, places in json_of(base / "splits.json").items() for place in places}
    table = rows_of(base / "classification_ds.csv")
    for split in ("train", "test"):
        answers = {row["path"]: row for row in rows_of(base / f"ev/outputs_{split}.csv.gz")}
        wanted = {row["path"]: row["label"] for row in table if splits[row["dataset"], row["location"]] == split}
        assert {path: row["label"] for path, row in answers.items()} == wanted
    with np.load(base / "ev/confusion_matrices.npz") as matrices:
        assert {split: int(matrices[split].sum()) for split in matrices.files} == {
            split: sum(splits[row["dataset"], row["location"]] == split for row in table) for split in ("train", "test")
        }
