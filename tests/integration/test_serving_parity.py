"""`predict`, the service and the SavedModel give the same answers for the same files."""

from __future__ import annotations

import base64
import csv
import json
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from camtrap_tf.config.delivery import ExportConfig, PredictConfig
from camtrap_tf.prediction.predictor import predict
from camtrap_tf.serving.app import create_app
from camtrap_tf.serving.backends import Embedded
from camtrap_tf.serving.uploads import Limits
from tests.factories import make_jpeg
from tests.shared_data import shared
from tests.unit.export.support import write_bundle

TOLERANCE = 1e-5 + 1e-6  # table and reply round to six decimals


@pytest.fixture(scope="module", params=[False, True], ids=["single", "stacked"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TestClient]:
    """A bundle, and the service over its export."""
    from camtrap_tf.export.exporting import export

    folder = tmp_path_factory.mktemp("models")
    bundle = write_bundle(folder / "bundle", stacked=request.param)
    export(ExportConfig(model=bundle, output_dir=folder / "out"))
    app = create_app(Embedded.load(folder / "out"), Limits(max_bytes=200_000_000))
    return bundle, TestClient(app)


def asked(client: TestClient, *files: Path) -> dict:
    """Returns the reply of the service for the files of one event."""
    return client.post("/identify", files=[("image", (file.name, file.read_bytes())) for file in files]).json()


def assert_equal(reply: dict, predicted: dict) -> None:
    """Compares all classes of all labels; the answers are uncertain, so a difference in the pixels would show."""
    assert predicted["confidences_top"]["species"] < 0.99
    for label, values in predicted["aggregated_pred"].items():
        given = {one["name"]: one["score"] for one in reply["labels"][label]}
        assert given == pytest.approx(values, abs=TOLERANCE)


@pytest.mark.parametrize("folder", ["speciesnet_awkward", "image_edge_cases"])
def test_files_one_by_one(both: tuple[Path, TestClient], tmp_path: Path, folder: str) -> None:
    """Every real and odd picture file: equal probabilities, or refused by both for the same reason."""
    bundle, client = both
    pictures = shared(f"data/{folder}")
    results = tmp_path / "p.json"
    predict(PredictConfig(model_path=bundle, results_file=results, image_dir=pictures, n_gpus=0))
    records = json.loads(results.read_text())
    assert any(record["status"] == "ok" for record in records.values())
    for record in records.values():
        if record["status"] == "passed_over":  # by its name, which the service does not look at
            continue
        (picture,) = record["images"]
        reply = asked(client, pictures / picture["path"])
        if record["status"] == "ok":
            assert_equal(reply, record)
        else:
            assert reply["error"]["code"] == record["error"].partition(":")[0]
            assert reply["error"]["image"] == 0


def test_boxes_in_json(both: tuple[Path, TestClient], tmp_path: Path) -> None:
    """A box sent as older servers take it is answered as `predict --detections` answers it in the classic geometry."""
    bundle, client = both
    (tmp_path / "a.jpg").write_bytes(make_jpeg(200, 150))
    corners = [[0.2, 0.1, 0.7, 0.5], [0.6, 0.8, 0.9, 1.0], [0.0, 0.0, 1.0, 1.0]]  # ymin, xmin, ymax, xmax
    found = [
        {"category": "1", "conf": 1.0, "bbox": [left, top, right - left, bottom - top]} for top, left, bottom, right in corners
    ]
    results = {"info": {}, "detection_categories": {"1": "animal"}, "images": [{"file": "a.jpg", "detections": found}]}
    (tmp_path / "md.json").write_text(json.dumps(results))
    settings = {"image_dir": tmp_path, "detections": tmp_path / "md.json", "crop_legacy_geometry": True, "n_gpus": 0}
    predict(PredictConfig(model_path=bundle, results_file=tmp_path / "p.json", **settings))
    records = json.loads((tmp_path / "p.json").read_text()).values()
    picture = base64.b64encode((tmp_path / "a.jpg").read_bytes()).decode()
    for record, box in zip(records, corners, strict=True):
        reply = client.post("/invocations", json={"image": picture, "bbox": box}).json()
        assert reply == pytest.approx(record["aggregated_pred"]["species"], abs=TOLERANCE)
        assert list(reply.values()) == sorted(reply.values(), reverse=True)


def test_frames_of_an_event(both: tuple[Path, TestClient], tmp_path: Path) -> None:
    """Three frames of one event: the mean of their probabilities, or one answer to the stack, in both."""
    bundle, client = both
    files = [tmp_path / f"{i}.jpg" for i in range(3)]
    for i, file in enumerate(files):
        file.write_bytes(make_jpeg(200, 150, seed=i))
    table = tmp_path / "t.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([["id", "a", "b", "c"], ["e1", *(one.name for one in files)]])
    results = tmp_path / "p.json"
    predict(
        PredictConfig(
            model_path=bundle,
            results_file=results,
            csv_path=table,
            csv_images_root_path=tmp_path,
            csv_id_col="id",
            csv_images_cols=("a", "b", "c"),
            n_gpus=0,
        )
    )
    reply = asked(client, *files)
    assert_equal(reply, json.loads(results.read_text())["e1"])
    assert np.ptp([one["score"] for one in reply["results"]]) > 0.01
