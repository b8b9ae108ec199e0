"""Sigmoid and ordinal heads from training to the exported graph."""

from __future__ import annotations

import csv
import io
import json
import logging
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from fastapi.testclient import TestClient
from PIL import Image

from camtrap_tf.config.delivery import EvaluateConfig, ExportConfig, PredictConfig
from camtrap_tf.dataset.framing import frame
from camtrap_tf.dataset.schema import encode_example
from camtrap_tf.errors import LabelError, ModelError, SettingError
from camtrap_tf.evaluation.evaluate import evaluate
from camtrap_tf.export.exporting import export
from camtrap_tf.labels import LabelMapping
from camtrap_tf.models.bundle import Bundle
from camtrap_tf.models.locating import BEST_FILE
from camtrap_tf.prediction.predictor import predict
from camtrap_tf.serving.app import create_app
from camtrap_tf.serving.backends import Embedded
from camtrap_tf.training.train import train
from tests.factories import make_event
from tests.unit.training.helpers import make_config

MAPPING = LabelMapping.from_classes({"species": ["blank", "lion", "zebra"], "count": ["11-50", "2", "3", "51+"]})
SETS = ((), ("lion",), ("zebra",), ("lion", "zebra"))
BINS = ("2", "3", "11-50", "51+")
TRAINED_ON = 192
"""Records: many in few epochs, each of which takes a second whatever it learns from."""
SETTINGS = {
    "labels": ["species", "count"],
    "head_types": ["species=sigmoid", "count=ordinal"],
    "batch_size": 16,
    "initial_learning_rate": 0.01,
    "early_stopping_patience": 0,
    "reduce_lr_on_plateau_patience": 0,
    "color_augmentation": "none",
    "zoom_factor": 0.0,
    "crop_factor": 0.0,
    "rotate_by_angle": 0,
}


def picture(species: Sequence[str], place: int, seed: int) -> bytes:
    """Returns a picture: above red for a lion and blue for a zebra, below the lighter the more there are."""
    pixels = np.full((32, 40, 3), 110, np.int64)
    pixels[2:14, 2:18] = (230, 40, 30) if "lion" in species else 110
    pixels[2:14, 22:38] = (30, 50, 230) if "zebra" in species else 110
    pixels[16:] = 20 + 70 * place
    noise = np.random.default_rng(seed).integers(-10, 11, pixels.shape)
    buffer = io.BytesIO()
    Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def observations(species: Sequence[str], bin_name: str, number: int) -> list[dict[str, str]]:
    """Returns an observation for each animal, or one that says there is none; in every seventh the species is missing."""
    names = ["-1"] if number % 7 == 6 else list(species) or ["blank"]
    return [{"species": name, "count": bin_name} for name in names]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of every set of species with every number of animals, several times."""
    folder = tmp_path_factory.mktemp("data")
    for split, count in {"train": TRAINED_ON, "val": 32, "test": 32}.items():
        with (folder / f"{split}_001-of-001.tfrecord").open("wb") as file:
            for number in range(count):
                species, place = SETS[number % 4], number // 4 % 4
                event = make_event(f"{split}{number}", labels=observations(species, BINS[place], number))
                jpeg = picture(species, place, number)
                file.write(frame(encode_example(event, [(0, jpeg)], MAPPING, label_types=("species", "count"))))
    MAPPING.write(folder / "label_mapping.json")
    return folder


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with a sigmoid and an ordinal head."""
    out = tmp_path_factory.mktemp("trained")
    result = train(make_config(data, out, **SETTINGS, max_epochs=6))
    assert "macro F1" in result.text()
    return out


def test_both_heads_learn(trained: Path) -> None:
    """On pictures that show what they are, both heads get nearly everything right."""
    metrics = json.loads((trained / "save" / "bundle.json").read_text())["metrics"]["test"]
    assert metrics["species"]["macro_f1"] > 0.9
    assert metrics["species"]["accuracy"] > 0.8
    assert metrics["count"]["bin_error"] < 0.3
    assert metrics["count"]["within_one_bin"] > 0.9


def test_bundle_says_what_its_heads_are(trained: Path) -> None:
    """Types, the order of the bins, and classes without the blank one are in the bundle; the model file alone agrees."""
    heads = json.loads((trained / "save" / "bundle.json").read_text())["heads"]
    assert (heads["species"]["type"], heads["species"]["classes"]) == ("sigmoid", ["lion", "zebra"])
    assert heads["species"]["blank_classes"][0] == "blank"
    names = heads["count"]["classes"]
    assert [names[index] for index in heads["count"]["order"]] == list(BINS)
    bundle = Bundle.read(trained / "run" / BEST_FILE)
    assert [bundle.specs[label].kind for label in ("species", "count")] == ["sigmoid", "ordinal"]
    assert bundle.classes("species") == ("lion", "zebra")


def test_probabilities(trained: Path) -> None:
    """Those of the ordinal head add up to 1; those of the sigmoid head stand for themselves."""
    bundle = Bundle.read(trained / "save")
    images = np.random.default_rng(0).uniform(0, 255, (5, 24, 24, 3)).astype("f")
    found = bundle.probabilities(images)
    np.testing.assert_allclose(found["count"].sum(axis=1), 1, atol=1e-5)
    logits = bundle.model(images, training=False)["species"].numpy()
    np.testing.assert_allclose(found["species"], 1 / (1 + np.exp(-logits)), atol=1e-6)


def test_predictions(trained: Path, tmp_path: Path) -> None:
    """The table has what is there, `blank` where nothing is, and a list of all that are there."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, species in enumerate(SETS):
        (folder / f"{number}.jpg").write_bytes(picture(species, 3, 900 + number))
    common = {"model_path": trained / "save", "image_dir": folder, "n_gpus": 0}
    summary = predict(PredictConfig(**common, results_file=tmp_path / "out.csv"))
    rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    found = [row for row in rows if row["label"] == "species"]
    assert [set(json.loads(row["predictions_present"])) for row in found] == [set(one) for one in SETS]
    assert [row["prediction_top"] for row in found][:3] == ["blank", "lion", "zebra"]
    assert summary.top["species"] == {"blank": 1, "lion": 2, "zebra": 2}
    assert [row["prediction_top"] for row in rows if row["label"] == "count"] == ["51+"] * 4
    assert [row["predictions_present"] for row in rows if row["label"] == "count"] == [""] * 4
    predict(PredictConfig(**common, results_file=tmp_path / "out.json"))
    records = json.loads((tmp_path / "out.json").read_text())
    first = next(record for path, record in records.items() if path.endswith("0.jpg"))
    assert first["predictions_present"] == {"species": []}
    assert first["predictions_top"]["species"] == "blank"


def test_evaluation(trained: Path, data: Path, tmp_path: Path) -> None:
    """The report has the measures of each kind of head, and agrees with those at the end of training."""
    result = evaluate(EvaluateConfig(model_path=trained / "save", tfr_path=[data], output_dir=tmp_path))
    heads, metrics = result.report["heads"], json.loads((trained / "save" / "bundle.json").read_text())["metrics"]["test"]
    species, count = heads["species"], heads["count"]
    assert (species["type"], count["type"]) == ("sigmoid", "ordinal")
    assert (species["n_labelled"], species["n_missing"], species["n_unknown"]) == (28, 4, 0)
    assert species["accuracy"] == pytest.approx(metrics["species"]["accuracy"])
    assert species["macro_f1"] == pytest.approx(metrics["species"]["macro_f1"])
    assert 0.9 < species["mean_average_precision"] <= 1
    assert count["within_one_bin"]["mean_error"] == pytest.approx(metrics["count"]["bin_error"])
    page = (tmp_path / "report.html").read_text()
    assert "mean average precision" in page
    assert "count bins from the truth" in page


def test_export(trained: Path, tmp_path: Path) -> None:
    """The exported graph answers as the bundle does, under the usual names."""
    made = export(ExportConfig(model=trained / "save", output_dir=tmp_path / "net"))
    assert made.deviation <= 1e-5
    answer = tf.saved_model.load(str(made.folder)).signatures["serving_default"](image=tf.constant([picture(SETS[3], 2, 1)]))
    assert answer["species"].shape == (1, 2)
    assert answer["count"].shape == (1, 4)
    assert [name.decode() for name in answer["species_classes"].numpy()[0]] == ["lion", "zebra"]
    assert (answer["species"].numpy() > 0.5).all()


def test_service_says_blank(trained: Path, tmp_path: Path) -> None:
    """Where no class of a sigmoid head is there, the service says so first, with the confidence that `predict` gives."""
    export(ExportConfig(model=trained / "save", output_dir=tmp_path / "net"))
    client = TestClient(create_app(Embedded.load(tmp_path / "net")))
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, species in enumerate(SETS):
        (folder / f"{number}.jpg").write_bytes(picture(species, 3, 900 + number))
    predict(PredictConfig(model_path=trained / "save", image_dir=folder, n_gpus=0, results_file=tmp_path / "out.json"))
    records = json.loads((tmp_path / "out.json").read_text())
    assert len(records) == len(SETS)
    for path, record in records.items():
        reply = client.post("/identify", files=[("image", ("a.jpg", (folder / Path(path).name).read_bytes()))]).json()
        first = reply["labels"]["species"][0]
        assert first["name"] == record["predictions_top"]["species"]
        assert first["score"] == pytest.approx(record["confidences_top"]["species"], abs=1.1e-5)
        blank = first["name"] == "blank"
        assert len(reply["labels"]["species"]) == 2 + blank
        assert blank == path.endswith("0.jpg")


def test_test_predictions_hold_all_observations(trained: Path) -> None:
    """`test_preds.json` has every observation of the label type with a sigmoid head."""
    records = json.loads((trained / "run" / "test_preds.json").read_text())
    assert records["test3"]["ground_truth"]["species"] == ["lion", "zebra"]
    assert records["test0"]["ground_truth"] == {"species": ["blank"], "count": "2"}


def test_first_observations_are_counted(data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without a sigmoid head the log says how many examples have observations that nobody looks at."""
    with caplog.at_level(logging.INFO):
        train(make_config(data, tmp_path, **(SETTINGS | {"head_types": []}), max_epochs=1))
    several = sum(len(observations(SETS[number % 4], "2", number)) > 1 for number in range(TRAINED_ON))
    assert f"label 'species': {several} of {TRAINED_ON} examples have several observations" in caplog.text


def test_other_kind_of_head_begins_anew(trained: Path, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Transfer keeps heads of the same kind and says which begin anew; going on with another kind is refused."""
    changed = SETTINGS | {"head_types": ["count=ordinal"], "model_to_load": trained / "save"}
    with caplog.at_level(logging.INFO):
        train(make_config(data, tmp_path, **changed, transfer_learning=True, max_epochs=1))
    assert "head species begins anew: sigmoid → softmax" in caplog.text
    assert re.search(r"head count +4 \(11-50, 2, 3, 51\+\) +yes", caplog.text)
    with pytest.raises(ModelError, match="'species' was a sigmoid head, not a softmax one"):
        train(make_config(data, tmp_path / "2", **changed, continue_training=True, max_epochs=20))


def test_class_that_is_no_count(data: Path, tmp_path: Path) -> None:
    """An ordinal head of species is refused before anything is read."""
    with pytest.raises(LabelError, match="'blank' is no count bin"):
        train(make_config(data, tmp_path, **(SETTINGS | {"head_types": ["species=ordinal"]})))


def test_blank_class_that_is_not_there(data: Path, tmp_path: Path) -> None:
    """A blank class that no sigmoid head has is refused, with the nearest one that it has."""
    with pytest.raises(SettingError, match=r"--blank-classes blanc: .*did you mean 'blank'"):
        train(make_config(data, tmp_path, **SETTINGS, blank_classes=["blanc"]))


@pytest.mark.parametrize(
    "changes",
    [
        {"label_weighted": True, "label_smoothing": 0.1},
        {"sampling": "square_root", "sampling_label": "count", "focal_gamma": 2.0},
        {"sampling": "balanced", "class_weights": "inverse_log"},
        {"max_per_class": 5, "n_batches_per_epoch_train": 3},
    ],
)
def test_imbalance_options_train(data: Path, tmp_path: Path, changes: dict) -> None:
    """Every way to treat rare classes trains, with epochs as long as it says."""
    result = train(make_config(data, tmp_path, **(SETTINGS | changes), max_epochs=2))
    assert result.bundle is not None
    with next((tmp_path / "run").glob("metrics.csv")).open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    assert all(np.isfinite(float(row["loss"])) for row in rows)
    assert "val_label/count_weighted_accuracy" in rows[0]
