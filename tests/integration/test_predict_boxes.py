"""`predict --detections`: every box is classified, and every picture of the file is in the table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from camtrap_tf.config.delivery import PredictConfig
from camtrap_tf.config.predictions_out import PredictExportConfig
from camtrap_tf.errors import SettingError, SourceError
from camtrap_tf.prediction.answer_tables import answers, open_answers
from camtrap_tf.prediction.exporting import export_predictions
from camtrap_tf.prediction.predictor import PredictSummary, predict
from tests.commands import camtrap
from tests.factories import make_jpeg
from tests.integration.bundles import untrained_bundle
from tests.reading import rows_of

BOXES = ((0.1, 0.1, 0.3, 0.6), (0.5, 0.25, 0.4, 0.5), (0.0, 0.0, 1.0, 1.0))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Writes a bundle."""
    folder = tmp_path_factory.mktemp("model")
    untrained_bundle().write(folder / "bundle")
    return folder / "bundle"


@pytest.fixture
def detections(tmp_path: Path) -> Path:
    """Writes pictures, and results with boxes, none, unsure ones, a missing file and a failure."""
    (tmp_path / "pictures" / "deep").mkdir(parents=True)
    for seed, name in enumerate(("a.jpg", "deep/b.jpg", "bare.jpg", "unsure.jpg")):
        (tmp_path / "pictures" / name).write_bytes(make_jpeg(200, 100, seed=seed))
    images: list[dict[str, Any]] = [
        {"file": "a.jpg", "detections": [found(box, 0.9 - place / 10) for place, box in enumerate(BOXES)]},
        {"file": "bare.jpg", "detections": []},
        {"file": "deep/b.jpg", "detections": [found(BOXES[0], 0.8), found(BOXES[1], 0.9, "2"), found((0, 0, 0, 0), 0.9)]},
        {"file": "unsure.jpg", "detections": [found(BOXES[0], 0.1)]},
        {"file": "gone.jpg", "detections": [found(BOXES[0], 0.9), found(BOXES[1], 0.9)]},
        {"file": "failed.jpg", "detections": None, "failure": "no access"},
    ]
    value = {
        "info": {"format_version": "1.4", "detector": "md_v5a.0.0.pt"},
        "detection_categories": {"1": "animal", "2": "person"}, "images": images,
    }  # fmt: skip
    (tmp_path / "md.json").write_text(json.dumps(value))
    return tmp_path / "md.json"


def found(box: tuple[float, ...], conf: float, category: str = "1") -> dict[str, Any]:
    """Returns a detection."""
    return {"category": category, "conf": conf, "bbox": list(box)}


def run(tmp_path: Path, model: Path, **settings: Any) -> tuple[PredictSummary, list[dict[str, str]]]:
    """Predicts, and returns the rows of the species."""
    results = settings.get("results_file", tmp_path / "p.csv")
    values = {"model_path": model, "results_file": results, "image_dir": tmp_path / "pictures", "batch_size": 3, **settings}
    summary = predict(PredictConfig(**values))
    assert isinstance(summary, PredictSummary)
    return summary, [row for row in rows_of(results) if row["label"] == "species"] if results.suffix == ".csv" else []


def test_every_box_has_a_row(tmp_path: Path, model: Path, detections: Path) -> None:
    """Boxes have their picture, numbers, confidence and classes; pictures without a box and failures say so."""
    summary, rows = run(tmp_path, model, detections=detections, threshold=0.2)
    assert [(row["file"], row["box"], row["detection_conf"], row["status"]) for row in rows] == [
        ("a.jpg", "0", "0.9", "ok"),
        ("a.jpg", "1", "0.8", "ok"),
        ("a.jpg", "2", "0.7", "ok"),
        ("bare.jpg", "", "", "no_detection"),
        ("deep/b.jpg", "0", "0.8", "ok"),
        ("unsure.jpg", "", "", "no_detection"),
        ("gone.jpg", "0", "0.9", "failed"),
        ("gone.jpg", "1", "0.9", "failed"),
        ("deep/b.jpg", "image 3, detection 3", "", "failed"),
        ("failed.jpg", "", "", "failed"),
    ]
    assert rows[0]["id"] == "a.jpg___crop00_md_v5a.0.0.pt.jpg"
    assert [float(rows[1][name]) for name in ("x", "y", "width", "height")] == list(BOXES[1])
    assert rows[3]["error"] == "no_detection: no box from confidence 0.2 on"
    assert rows[6]["error"].startswith("missing_file")
    assert rows[8]["error"].startswith("box_empty")
    assert "10 in = 4 predicted + 4 failed + 2 pictures without a detection" in summary.text()
    assert summary.exit_code == 3
    last = "4 of 8 pictures cannot be used, more than --max-rejected-share 0.05 allows (exit code 3)"
    assert summary.text().splitlines()[-1].startswith(last)
    assert len({row["id"] for row in rows}) == len(rows)


def test_a_share_of_failures_may_be_allowed(tmp_path: Path, model: Path, detections: Path) -> None:
    """Half of the boxes may fail where that is said; pictures without a box are none of those that should be predicted."""
    assert run(tmp_path, model, detections=detections, max_rejected_share=0.5)[0].exit_code == 0
    assert run(tmp_path, model, detections=detections, max_rejected_share=0.45)[0].exit_code == 3  # 4 of 10 would be less


def test_crops_by_the_older_script(tmp_path: Path, model: Path, detections: Path) -> None:
    """`run_classifier.py` over crops gives a packed table of the crops alone, with the answers that `predict` gives; boxes
    that are classified without crops as files have the same paths."""
    crops = tmp_path / "crops"
    folders = ("--image-root", tmp_path / "pictures", "--output-dir", crops)
    assert camtrap("crop", detections, *folders, "--max-rejected-share", 1) == 0
    out = tmp_path / "out.csv.gz"
    assert camtrap("legacy", "run_classifier.py", model, crops, out, "-d", detections, "--image-size", 224) == 0
    rows = {one.id: one.probabilities for one in answers(open_answers(out), None)}
    assert set(rows) == {path.relative_to(crops).as_posix() for path in crops.rglob("*.jpg")}
    plain = run(tmp_path, model, image_dir=crops)[1]
    assert len(plain) == len(rows) == 4
    for row in plain:
        wanted = rows[Path(row["id"]).relative_to(crops).as_posix()]
        assert json.loads(row["predictions_all"]) == pytest.approx(wanted, abs=1e-5)  # other batches
    boxes = tmp_path / "boxes.csv"
    run_boxes = {"results_file": boxes, "export_file_type": "class-columns", "detections": detections}
    predict(PredictConfig(model_path=model, image_dir=tmp_path / "pictures", **run_boxes))
    assert {one.id for one in answers(open_answers(boxes), None) if one.probabilities} == set(rows)


def test_the_detector_is_known_afterwards(tmp_path: Path, model: Path, detections: Path) -> None:
    """MegaDetector results that are made of the table name the detector as those of the same pass do."""
    results = tmp_path / "p.json"
    run(tmp_path, model, detections=detections, results_file=results, export=("megadetector",))
    written = tmp_path / "p.megadetector.json"
    first = json.loads(written.read_text())
    written.unlink()
    export_predictions(PredictExportConfig(results=results, export=("megadetector",)))
    second = json.loads(written.read_text())
    assert first["info"]["detector"] == second["info"]["detector"] == "md_v5a.0.0.pt"
    assert [len(one["detections"] or ()) for one in first["images"]] == [
        len(one["detections"] or ()) for one in second["images"]
    ]


@pytest.mark.parametrize("strategy", ["square", "pad", "tight"])
def test_answers_are_those_to_the_crops(tmp_path: Path, model: Path, detections: Path, strategy: str) -> None:
    """A box is answered as a lossless picture of its window is, cut by hand."""
    _, rows = run(tmp_path, model, detections=detections, crop_strategy=strategy)
    whole = Image.open(tmp_path / "pictures" / "a.jpg")
    cuts = {
        "square": [(10, 10, 70, 70), (100, 10, 180, 90), None],
        "pad": [(20, 10, 80, 70), (100, 25, 180, 75), None],
        "tight": [(20, 10, 80, 70), (100, 25, 180, 75), (0, 0, 200, 100)],
    }[strategy]
    cuts[0] = (20, 10, 80, 70)  # 60 x 60 px: square already
    (tmp_path / "cuts").mkdir()
    wanted = {}
    for place, corners in enumerate(cuts):
        if corners is None:
            continue
        picture = whole.crop(corners)
        if strategy == "pad" and picture.width != picture.height:
            canvas = Image.new("RGB", (max(picture.size),) * 2)
            canvas.paste(picture, ((canvas.width - picture.width) // 2, (canvas.height - picture.height) // 2))
            picture = canvas
        picture.save(tmp_path / "cuts" / f"{place}.png")
        wanted[place] = rows[place]
    _, by_hand = run(tmp_path, model, image_dir=tmp_path / "cuts")
    assert len(by_hand) == len(wanted)
    for row, other in zip(by_hand, wanted.values(), strict=True):
        mine, theirs = json.loads(row["predictions_all"]), json.loads(other["predictions_all"])
        np.testing.assert_allclose(list(mine.values()), list(theirs.values()), atol=2e-6)


def test_a_picture_is_decoded_once(tmp_path: Path, model: Path, detections: Path, decoded: list[int]) -> None:
    """Three boxes of one picture and one of another take two decodes."""
    run(tmp_path, model, detections=detections, n_cpus=4)
    assert len(decoded) == 2


def test_the_older_table_has_the_same_rows(tmp_path: Path, model: Path, detections: Path) -> None:
    """camera-trap-classifier's columns come first, those of the boxes after them; no further column of ours."""
    _, rows = run(tmp_path, model, detections=detections, legacy_format=True)
    assert list(rows[0])[:5] == ["id", "label", "prediction_top", "confidence_top", "predictions_all"]
    boxes = ["file", "box", "category", "detection_conf", "x", "y", "width", "height", "unit"]
    assert list(rows[0])[5:] == [*boxes, "detector"]
    assert len(rows) == 10
    assert rows[3]["prediction_top"] == ""


def test_boxes_that_people_drew(tmp_path: Path, model: Path, detections: Path) -> None:
    """A COCO Camera Traps file gives the same crops as the results, under the names of its annotations."""
    _, rows = run(tmp_path, model, detections=detections)
    images = [{"id": "a", "file_name": "a.jpg", "width": 200, "height": 100}]
    boxes = [[round(x * 200), round(y * 100), round(w * 200), round(h * 100)] for x, y, w, h in BOXES]
    notes = [{"id": f"n{i}", "image_id": "a", "category_id": 1, "bbox": box} for i, box in enumerate(boxes)]
    value = {"images": images, "annotations": notes, "categories": [{"id": 1, "name": "fox"}]}
    (tmp_path / "cct.json").write_text(json.dumps(value))
    _, drawn = run(tmp_path, model, detections=tmp_path / "cct.json")
    assert [row["id"] for row in drawn] == [f"a.jpg___crop_n{i}.jpg" for i in range(3)]
    assert [row["predictions_all"] for row in drawn] == [row["predictions_all"] for row in rows[:3]]


def test_boxes_are_taken_as_the_settings_say(tmp_path: Path, model: Path, detections: Path) -> None:
    """`--boxes relative` reads shares of the picture under `bbox`, which are rejected with that advice else; `--boxes-from`
    wins over what a file looks like."""
    images = [{"id": "a", "file_name": "a.jpg", "width": 200, "height": 100}]
    notes = [{"id": f"n{i}", "image_id": "a", "category_id": 1, "bbox": box} for i, box in enumerate(BOXES)]
    value = {"images": images, "annotations": notes, "categories": [{"id": 1, "name": "fox"}]}
    drawn = tmp_path / "cct.json"
    drawn.write_text(json.dumps({"info": {"detection_categories": {}}, **value}))
    _, wanted = run(tmp_path, model, detections=detections)
    _, rows = run(tmp_path, model, detections=drawn, boxes_from="cct", boxes="relative")
    assert [row["predictions_all"] for row in rows] == [row["predictions_all"] for row in wanted[:3]]
    _, rows = run(tmp_path, model, detections=drawn, boxes_from="cct")
    assert len(rows) == 1 + len(BOXES)  # the picture, which is left without a box, comes first
    assert all(row["error"].startswith("box_relative") and "--boxes relative reads such" in row["error"] for row in rows[1:])
    with pytest.raises(SourceError, match="is a COCO file"):
        run(tmp_path, model, detections=drawn)
    with pytest.raises(ValidationError, match="--boxes-from goes with --detections"):
        run(tmp_path, model, boxes_from="cct")
    with pytest.raises(ValidationError, match="--boxes goes with --detections"):
        run(tmp_path, model, boxes="relative")


def test_settings_that_mean_nothing_are_refused(tmp_path: Path, model: Path, detections: Path) -> None:
    """Flags of boxes need boxes; boxes need the folder of their pictures; categories have to be there."""
    with pytest.raises(ValidationError, match="--threshold goes with --detections"):
        run(tmp_path, model, threshold=0.2)
    with pytest.raises(ValidationError, match="goes with --image-dir"):
        run(tmp_path, model, detections=detections, image_dir=None, csv_path="x", csv_id_col="a", csv_images_cols=("b",))
    with pytest.raises(SettingError, match="did you mean 'person'"):
        run(tmp_path, model, detections=detections, detection_categories=("persons",))
