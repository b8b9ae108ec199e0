"""`predict --export` with a bundle on disk: the standard's example package predicted and written again, and a plug-in."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from camtrap_tf.config.training import ModelConfig
from camtrap_tf.labels import LabelMapping
from camtrap_tf.models.bundle import Bundle
from camtrap_tf.models.classifier import build_classifier
from tests.commands import camtrap
from tests.integration.bundles import untrained_bundle
from tests.reading import rows_of
from tests.shared_data import shared
from tests.unit.prediction.test_export_camtrap_dp import check_valid

MAPPING = LabelMapping(
    {
        "species": {"blank": 0, "Anas platyrhynchos": 1, "great herons": 2, "human": 3},
        "count": {"1": 0, "2": 1, "11-50": 2},
        "behavior": {"foraging": 0, "resting": 1},
    }
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Writes an untrained bundle with classes of the example package."""
    keras.utils.set_random_seed(1)
    preprocessing = untrained_bundle().preprocessing
    model = build_classifier(ModelConfig(model="small_cnn"), MAPPING, preprocessing)
    folder = tmp_path_factory.mktemp("model") / "heron-model"
    Bundle(model, MAPPING, preprocessing, {"heads": {label: {} for label in MAPPING.label_types}}).write(folder)
    return folder


def test_the_example_package_again(tmp_path: Path, bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its ten pictures are predicted and written as a valid package, with the deployments, ids, times and events they had."""
    package = shared("data/camtrap_dp_example")
    facts = tmp_path / "facts.yaml"
    facts.write_text("title: Predicted\naddaxai: {developer: A, info_url: https://example.org}\n")
    words = ["predict", "--model-path", bundle, "--results-file", tmp_path / "p.json", "--image-dir", package / "media"]
    words += ["--export-root", package, "--deployments", package, "--package-facts", facts]
    assert camtrap(*words, "--export", "camtrap-dp", "megadetector", "timelapse", "addaxai") == 0
    said = capsys.readouterr().out
    assert "camtrap-dp: " in said
    assert "addaxai: " in said
    written = tmp_path / "p.camtrap-dp"
    check_valid(written)
    before = {row["mediaID"]: row for row in rows_of(package / "media.csv")}
    media = rows_of(written / "media.csv")
    assert len(media) == 10
    for row in media:
        same = ("deploymentID", "timestamp", "filePath", "fileMediatype", "captureMethod", "filePublic")
        assert {key: row[key] for key in same} == {key: before[row["mediaID"]][key] for key in same}
    events = {row["mediaID"]: row["eventID"] for row in rows_of(package / "observations.csv")}
    seen = [row for row in rows_of(written / "observations.csv") if row["observationLevel"] == "media"]
    assert [row["eventID"] for row in seen] == [events[row["mediaID"]] for row in seen]
    assert {row["classifiedBy"].split()[0] for row in seen} == {"heron-model"}
    described = json.loads((written / "datapackage.json").read_text())
    original = json.loads((package / "datapackage.json").read_text())
    assert described["contributors"] == original["contributors"]
    assert described["title"] == "Predicted"

    again = ["predict", "export", tmp_path / "p.json", "--model-path", bundle, "--export", "megadetector", "timelapse"]
    assert camtrap(*again, "--export-root", package, "--export-dir", tmp_path / "again") == 0
    first, second = (json.loads((folder / "p.megadetector.json").read_text()) for folder in (tmp_path, tmp_path / "again"))
    assert first["images"] == second["images"]
    assert first["info"]["classifier"] == second["info"]["classifier"]
    assert len(rows_of(tmp_path / "again" / "p.timelapse.csv")) == 10


def test_a_plug_in_answers_as_the_bundle(tmp_path: Path, bundle: Path) -> None:
    """Loaded and called as AddaxAI's worker does it, the folder gives the bundle's probabilities of a crop."""
    facts = tmp_path / "facts.yaml"
    facts.write_text("addaxai: {developer: A, info_url: https://example.org, crop_strategy: tight}\n")
    words = ["export", "addaxai", "--model", bundle, "--output-dir", tmp_path / "plug", "--package-facts", facts]
    assert camtrap(*words) == 0
    spec = importlib.util.spec_from_file_location("custom_inference_plug", tmp_path / "plug" / "inference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    manifest = json.loads((tmp_path / "plug" / "manifest.json").read_text())
    interface = module.ModelInference(tmp_path / "plug", tmp_path / "plug" / manifest["model_fname"])
    interface.load_model()
    picture = Image.fromarray(np.random.default_rng(2).integers(0, 256, (50, 50, 3), np.uint8))
    answers = dict(interface.get_classification(interface.get_crop(picture, (0.0, 0.0, 1.0, 1.0))))
    read = Bundle.read(bundle)
    wanted = read.probabilities(np.asarray(picture, np.float32)[None])["species"][0]
    assert list(answers) == list(MAPPING.names("species")) == manifest["species_list"]
    assert read.input_size == (50, 50)  # so that nothing is resized on the way
    np.testing.assert_allclose(list(answers.values()), wanted, atol=1e-5)


def test_refused_before_the_model_is_loaded(tmp_path: Path, bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is missing is said before any picture is looked at; no table is left."""
    (tmp_path / "a.jpg").write_bytes(b"")
    words = ["predict", "--model-path", bundle, "--results-file", tmp_path / "p.csv", "--image-dir", tmp_path]
    assert camtrap(*words, "--export", "camtrap-dp") == 2
    said = capsys.readouterr().err
    assert "--deployments" in said
    assert not (tmp_path / "p.csv").exists()
