"""Events of several frames whose logits are averaged: one answer in training, evaluation, prediction, export and service."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from fastapi.testclient import TestClient

from camtrap_tf.config.delivery import EvaluateConfig, ExportConfig, PredictConfig
from camtrap_tf.dataset.framing import frame
from camtrap_tf.dataset.schema import encode_example
from camtrap_tf.evaluation.evaluate import evaluate
from camtrap_tf.export.exporting import export
from camtrap_tf.images.stored_form import StoredForm, read_stored
from camtrap_tf.input_pipeline.frames import jpeg_input
from camtrap_tf.labels import LabelMapping
from camtrap_tf.models.bundle import Bundle
from camtrap_tf.models.classifier import head_layers
from camtrap_tf.prediction.predictor import predict
from camtrap_tf.serving.app import create_app
from camtrap_tf.serving.backends import Embedded
from camtrap_tf.training.train import train
from tests.factories import make_event, make_jpeg
from tests.unit.training.helpers import make_config

LABELS = {"species": ("lion", "zebra", "frog"), "count": ("1", "2", "11-50"), "seen": ("lion", "zebra")}
MAPPING = LabelMapping.from_classes(LABELS)
EVENTS = 7


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of events of one to four frames, shards of them, and a model of three kinds of heads trained a little."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "shards").mkdir()
    (folder / "pictures").mkdir()
    for split in ("train", "val", "test"):
        with (folder / "shards" / f"{split}_001-of-001.tfrecord").open("wb") as file:
            for number in range(EVENTS):
                names = [f"{split}{number}_{i}.jpg" for i in range(1 + number % 4)]
                for i, name in enumerate(names):
                    (folder / "pictures" / name).write_bytes(make_jpeg(60, 48, seed=100 * number + i))
                stored = [(i, read_stored(folder / "pictures" / name, StoredForm())) for i, name in enumerate(names)]
                labels = {label: names[number % len(names)] for label, names in LABELS.items()}
                event = make_event(f"{split}{number}", pictures=names, labels=labels)
                file.write(frame(encode_example(event, stored, MAPPING, label_types=tuple(LABELS))))
    MAPPING.write(folder / "shards" / "label_mapping.json")
    settings = {"labels": list(LABELS), "head_types": ["count=ordinal", "seen=sigmoid"], "optimizer": "sgd", "ema_decay": 0.5}
    train(make_config(folder / "shards", folder, **settings, aggregation_mode="mean_logits", max_epochs=1))
    return folder


def expected(folder: Path, number: int, bundle: Bundle) -> dict[str, np.ndarray]:
    """Returns the probabilities of a test event by the definition, from the logits of its frames one by one."""
    paths = sorted((folder / "pictures").glob(f"test{number}_*.jpg"))
    inputs = [jpeg_input(read_stored(path, StoredForm()), bundle.preprocessing) for path in paths]
    frames = [bundle.model(one[None], training=False) for one in inputs]
    found = {}
    for label in LABELS:
        mean = np.mean([one[label].numpy()[0].astype(np.float64) for one in frames], axis=0)
        found[label] = 1 / (1 + np.exp(-mean)) if label == "seen" else np.exp(mean) / np.exp(mean).sum()
    return found


@pytest.fixture(scope="module")
def bundle(world: Path) -> Bundle:
    """The trained bundle, with heads whose answers differ widely from frame to frame, written again."""
    bundle = Bundle.read(world / "save")
    for label, layer in head_layers(bundle.model).items():
        weights = layer.get_weights()
        weights[0] = np.random.default_rng(len(label)).normal(0, 0.3, weights[0].shape)
        layer.set_weights(weights)
    bundle.write(world / "wide")
    return Bundle.read(world / "wide")


def test_bundle_and_run_say_so(world: Path) -> None:
    """Training notes the mode where a bundle is described and where a run is."""
    for name in ("save/bundle.json", "run/run.json"):
        assert json.loads((world / name).read_text())["aggregation_mode"] == "mean_logits"


def test_training_measures_so(world: Path) -> None:
    """Losses of the best model on the test set are cross-entropies of the mean logits."""
    trained = Bundle.read(world / "save")
    losses = []
    for number in range(EVENTS):
        values = expected(world, number, trained)["species"]
        losses.append(-np.log(values[trained.classes("species").index(LABELS["species"][number % 3])]))
    told = json.loads((world / "save" / "bundle.json").read_text())["metrics"]["test"]["species"]["loss"]
    assert told == pytest.approx(np.mean(losses), abs=1e-5)
    table = json.loads((world / "run" / "test_preds.json").read_text())
    for number in range(EVENTS):
        wanted = expected(world, number, trained)
        for label in LABELS:
            given = [float(table[f"test{number}"]["aggregated_pred"][label][name]) for name in trained.classes(label)]
            np.testing.assert_allclose(given, wanted[label], atol=6e-5)  # four decimals


def write_table(folder: Path, path: Path) -> None:
    """Writes a CSV of the test events and their pictures."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "a", "b", "c", "d"])
        for number in range(EVENTS):
            names = [one.name for one in sorted((folder / "pictures").glob(f"test{number}_*.jpg"))]
            rows.writerow([f"test{number}", *names, *[""] * (4 - len(names))])


def test_prediction_export_and_service_agree(world: Path, bundle: Bundle, tmp_path: Path) -> None:
    """The table, the signature of events and the service give the probabilities of the definition, to 1e-5."""
    write_table(world, tmp_path / "events.csv")
    settings = {
        "model_path": world / "wide",
        "csv_path": tmp_path / "events.csv",
        "csv_images_root_path": world / "pictures",
        "csv_id_col": "id",
        "csv_images_cols": ("a", "b", "c", "d"),
        "n_gpus": 0,
        "batch_size": 3,
    }
    predict(PredictConfig(**settings, results_file=tmp_path / "out.json"))
    predict(PredictConfig(**settings, results_file=tmp_path / "mean.json", aggregation_mode="mean"))
    table, plain = (json.loads((tmp_path / name).read_text()) for name in ("out.json", "mean.json"))
    assert export(ExportConfig(model=world / "wide", output_dir=tmp_path / "net")).deviation <= 1e-5
    loaded = tf.saved_model.load(str(tmp_path / "net" / "1"))
    client = TestClient(create_app(Embedded.load(tmp_path / "net")))
    rows, apart = [], 0.0
    for number in range(EVENTS):
        wanted = expected(world, number, bundle)
        paths = sorted((world / "pictures").glob(f"test{number}_*.jpg"))
        reply = client.post("/identify", files=[("image", (path.name, path.read_bytes())) for path in paths]).json()
        rows.append([read_stored(path, StoredForm()) for path in paths])
        for label, values in wanted.items():
            names = bundle.classes(label)
            given = table[f"test{number}"]["aggregated_pred"][label]
            np.testing.assert_allclose([given[name] for name in names], values, atol=1.1e-5)
            served = {one["name"]: one["score"] for one in reply["labels"][label]}
            np.testing.assert_allclose([served[name] for name in names], values, atol=1.1e-5)
            apart = max(
                apart, float(np.abs([plain[f"test{number}"]["aggregated_pred"][label][n] for n in names] - values).max())
            )
    assert apart > 0.02  # the mean of probabilities is something else
    together = loaded.signatures["event"](frames=tf.constant([row + [b""] * (4 - len(row)) for row in rows]))
    for label in LABELS:
        wanted = np.stack([expected(world, number, bundle)[label] for number in range(EVENTS)])
        np.testing.assert_allclose(together[label], wanted, atol=1e-5)
    with pytest.raises(tf.errors.InvalidArgumentError, match="every event needs a frame"):
        loaded.signatures["event"](frames=tf.constant([[rows[0][0]], [b""]]))


def test_evaluation_goes_by_the_bundle(world: Path, bundle: Bundle, tmp_path: Path) -> None:
    """Evaluation takes the bundle's mode, unless it is told another, and says which it took."""
    settings = {"model_path": world / "wide", "tfr_path": [world / "shards"], "output_dir": tmp_path}
    report = evaluate(EvaluateConfig(**settings)).report
    assert report["aggregation_mode"] == "mean_logits"
    right = sum(
        expected(world, number, bundle)["species"].argmax() == bundle.classes("species").index(LABELS["species"][number % 3])
        for number in range(EVENTS)
    )
    assert report["heads"]["species"]["n_right"] == right
    bins = report["heads"]["species"]["confidence_bins"]
    told = sum(one["confidence"] * one["n"] for one in bins) / EVENTS
    assert told == pytest.approx(np.mean([expected(world, n, bundle)["species"].max() for n in range(EVENTS)]), abs=1e-5)
    assert evaluate(EvaluateConfig(**settings, aggregation_mode="max")).report["aggregation_mode"] == "max"


def test_going_on_keeps_the_mode(world: Path, tmp_path: Path) -> None:
    """A model that is trained further is put together as before, unless another mode is asked for."""
    settings = {"labels": list(LABELS), "head_types": ["count=ordinal", "seen=sigmoid"], "optimizer": "sgd"}
    again = settings | {"transfer_learning": True, "model_to_load": world / "save", "max_epochs": 1}
    train(make_config(world / "shards", tmp_path / "a", **again))
    train(make_config(world / "shards", tmp_path / "b", **again, aggregation_mode="mean"))
    modes = [json.loads((tmp_path / name / "save" / "bundle.json").read_text())["aggregation_mode"] for name in "ab"]
    assert modes == ["mean_logits", "mean"]
