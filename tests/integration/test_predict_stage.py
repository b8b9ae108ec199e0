"""`predict` from files to tables, with a bundle on disk, and beside what evaluation sees in shards."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from camtrap_tf.cli.main import main
from camtrap_tf.config.delivery import PredictConfig
from camtrap_tf.errors import CamtrapError
from camtrap_tf.input_pipeline.batches import evaluation_batches
from camtrap_tf.input_pipeline.shard_set import ShardSet
from camtrap_tf.models.bundle import Bundle
from camtrap_tf.prediction.inference import predict_records
from camtrap_tf.prediction.predictor import predict
from camtrap_tf.prediction.results import Capture
from camtrap_tf.prediction.sources import PictureFolder
from tests.factories import make_event, make_jpeg, write_pictures
from tests.integration.bundles import MAPPING, untrained_bundle, write_shard
from tests.reading import rows_of
from tests.shared_data import shared

NAMES = ("a.jpg", "b.JPG", "c.jpeg", "deep/d.jpg")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Writes a bundle for single and one for stacked pictures."""
    folder = tmp_path_factory.mktemp("bundles")
    untrained_bundle().write(folder / "single")
    untrained_bundle(stacked=True).write(folder / "stacked")
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Writes four pictures larger than stored form, a broken one and a text file."""
    folder = tmp_path / "pictures"
    write_pictures(folder, NAMES, width=160, height=120)
    (folder / "broken.jpg").write_bytes(make_jpeg(300, 200)[:2000])
    (folder / "notes.txt").write_text("x")
    return folder


def test_folder_to_csv(tmp_path: Path, bundles: Path, pictures: Path) -> None:
    """Every file has a row per label type, the broken one and the text too; the summary adds up and names the files."""
    results = tmp_path / "out" / "p.csv"
    summary = predict(PredictConfig(model_path=bundles / "single", results_file=results, image_dir=pictures, batch_size=3))
    rows = rows_of(results)
    assert len(rows) == 2 * 6
    assert {Path(row["id"]).name for row in rows} == {"a.jpg", "b.JPG", "c.jpeg", "d.jpg", "broken.jpg", "notes.txt"}
    broken = next(row for row in rows if row["id"].endswith("broken.jpg"))
    assert (broken["status"], broken["error"].split(":")[0]) == ("failed", "truncated")
    other = next(row for row in rows if row["id"].endswith("notes.txt"))
    assert (other["status"], other["error"].split(":")[0], other["n_images"]) == ("passed_over", "not_a_picture", "0")
    assert (other["prediction_top"], other["predictions_all"]) == ("", "{}")
    for row in rows:
        if row["status"] == "ok":
            values = json.loads(row["predictions_all"])
            assert list(values) == list(MAPPING.names(row["label"]))
            assert sum(values.values()) == pytest.approx(1, abs=1e-5)
            assert values[row["prediction_top"]] == max(values.values()) == float(row["confidence_top"])
    text = summary.text()
    assert "files:    6 in = 5 pictures + 1 passed over (.txt 1)" in text
    assert "records:  5 in = 4 predicted + 1 failed" in text
    assert "pictures: 5 in = 4 used + 1 not usable (truncated 1)" in text
    assert [row["reason"] for row in rows_of(results.with_name("p.rejects.csv"))] == ["truncated"]
    assert summary.exit_code == 3
    assert "1 of 5 pictures cannot be used, more than --max-rejected-share 0.05 allows (exit code 3)" in text


def test_predictions_are_those_of_the_trainer(tmp_path: Path, bundles: Path, pictures: Path) -> None:
    """What predict writes for a file is, to 1e-5, what evaluation computes for the shard that holds the file."""
    write_shard(tmp_path / "tfr", [make_event(name, pictures=[name]) for name in NAMES], image_root=pictures)
    bundle = Bundle.read(bundles / "single")
    shards = ShardSet.open([tmp_path / "tfr"], ["test"])
    seen = list(
        predict_records(bundle.probabilities, evaluation_batches(shards, bundle.preprocessing, bundle.mapping, batch_size=3))
    )
    results = tmp_path / "p.json"
    predict(PredictConfig(model_path=bundles / "single", results_file=results, image_dir=pictures, batch_size=2))
    written = json.loads(results.read_text())
    for number, name in enumerate(NAMES):
        for label in MAPPING.label_types:
            values = list(written[str(pictures / name)]["aggregated_pred"][label].values())
            np.testing.assert_allclose(values, seen[number].probabilities[label][0], atol=1e-5)
    answers = [one.probabilities["species"][0] for one in seen]
    assert np.ptp(answers, axis=0).max() > 0.01, "the pictures should not all look the same to the model"


def test_events_of_a_table(tmp_path: Path, bundles: Path, pictures: Path) -> None:
    """Rows of one id are one event, aggregated over its usable pictures; meta data come along; failed ids have rows."""
    table = tmp_path / "t.csv"
    table.write_text("id,one,two,site\ne1,a.jpg,b.JPG,north\ne2,broken.jpg,c.jpeg,south\ne1,c.jpeg,,north\ne3,,,west\n")
    config = PredictConfig(
        model_path=bundles / "single",
        results_file=tmp_path / "p.json",
        csv_path=table,
        csv_id_col="id",
        csv_images_cols=("one", "two"),
        csv_images_root_path=pictures,
        aggregation_mode="max",
    )
    summary = predict(config)
    written = json.loads((tmp_path / "p.json").read_text())
    assert [(key, one["status"], one["n_images"]) for key, one in written.items()] == [
        ("e1", "ok", 3), ("e2", "partial", 2), ("e3", "failed", 0)
    ]  # fmt: skip
    each = [list(picture["predictions"]["species"].values()) for picture in written["e1"]["images"]]
    np.testing.assert_allclose(list(written["e1"]["aggregated_pred"]["species"].values()), np.max(each, axis=0), atol=2e-6)
    alone = written["e2"]["images"][1]["predictions"]
    assert written["e2"]["aggregated_pred"] == alone == written["e1"]["images"][2]["predictions"]
    assert written["e3"]["meta_data"] == {"site": "west"}
    text = summary.text()
    assert "3 in = 2 predicted + 1 failed (no_picture 1); 1 of the predicted ones from some of their pictures" in text
    assert "pictures: 5 in = 4 used + 1 not usable (truncated 1)\n" in text


def test_older_table_has_pictures_only(tmp_path: Path, bundles: Path, pictures: Path) -> None:
    """In the older format a file that is no picture has no row; it is still counted."""
    results = tmp_path / "p.csv"
    config = PredictConfig(model_path=bundles / "single", results_file=results, image_dir=pictures, legacy_format=True)
    summary = predict(config)
    assert len(rows_of(results)) == 2 * 5
    assert "6 in = 5 pictures + 1 passed over (.txt 1)" in summary.text()


def test_results_beside_the_pictures(tmp_path: Path, bundles: Path, pictures: Path) -> None:
    """Tables that are written among the pictures are no rows of themselves, in a second run neither."""
    config = PredictConfig(model_path=bundles / "stacked", results_file=pictures / "p.csv", image_dir=pictures)
    predict(config)
    first = (pictures / "p.csv").read_bytes()
    predict(config)
    assert (pictures / "p.csv").read_bytes() == first
    assert b"p.csv" not in first
    assert b"rejects" not in first


@pytest.mark.parametrize("program", ["predict", "export"])
def test_json_files_by_their_other_names(
    tmp_path: Path, bundles: Path, pictures: Path, capfd: pytest.CaptureFixture[str], program: str
) -> None:
    """The older names of the two JSON files mean those that are there, under the older flags too; one line each says so."""
    bundle = bundles / "single"
    ends = {
        "predict": ["-image_dir", pictures, "-results_file", tmp_path / "p.csv", "-model_path", bundle],
        "export": ["-model", bundle, "-output_dir", tmp_path / "out"],
    }
    renamed = {"label_mapping.json": "label_mappings.json", "pre_processing.json": "image_processing.json"}
    flags = ["-class_mapping_json", bundle / "label_mapping.json", "-pre_processing_json", bundle / "pre_processing.json"]
    assert main(["legacy", program, *map(str, [*ends[program], *flags])]) == 0
    assert (tmp_path / ("p.csv" if program == "predict" else "out")).exists()
    said = "".join(capfd.readouterr())
    for old, new in renamed.items():
        assert said.count(f"{old}: is not there; taking {new} in the same folder") == 1


def test_stacked_bundle_takes_any_number_of_pictures(tmp_path: Path, bundles: Path, pictures: Path) -> None:
    """A bundle for stacked pictures predicts events of one and of four pictures together."""
    table = tmp_path / "t.csv"
    table.write_text("id,one\n" + "".join(f"e1,{name}\n" for name in NAMES) + "e2,a.jpg\n")
    results = tmp_path / "p.csv"
    predict(
        PredictConfig(
            model_path=bundles / "stacked",
            results_file=results,
            csv_path=table,
            csv_id_col="id",
            csv_images_cols=("one",),
            csv_images_root_path=pictures,
            legacy_format=True,
        )
    )
    assert [(row["id"], row["label"]) for row in rows_of(results)] == [
        ("e1", "species"), ("e1", "count"), ("e2", "species"), ("e2", "count")
    ]  # fmt: skip


def test_awkward_pictures_all_have_a_row(tmp_path: Path, bundles: Path) -> None:
    """CMYK, grey, rotated, blank and truncated camera pictures all have a row."""
    folder = shared("data/speciesnet_awkward")
    results = tmp_path / "p.json"
    summary = predict(PredictConfig(model_path=bundles / "single", results_file=results, image_dir=folder))
    written = json.loads(results.read_text())
    assert sorted(written) == sorted(str(path) for path in folder.rglob("*") if path.is_file())
    status = {Path(key).name: one["status"] for key, one in written.items()}
    others = [name for name, one in status.items() if one == "passed_over"]
    assert sorted(Path(name).suffix for name in others) == [".json", ".md", ".txt"]
    status = {name: one for name, one in status.items() if name not in others}
    assert [name for name, one in status.items() if one != "ok"] == ["african_elephants_truncated_file.jpg"]
    assert summary.passed_over == {".md": 1, ".txt": 1, ".json": 1}


def test_all_failed_is_an_exit_code(tmp_path: Path, bundles: Path) -> None:
    """Where nothing could be predicted, the table is there and the exit code says so."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.png").write_bytes(b"")
    config = PredictConfig(model_path=bundles / "single", results_file=tmp_path / "p.csv", image_dir=tmp_path / "in")
    assert predict(config).exit_code == 3
    assert len(rows_of(tmp_path / "p.csv")) == 2


def test_rejects_of_an_earlier_run_go(tmp_path: Path, bundles: Path, pictures: Path) -> None:
    """A second run without failures leaves no rejects table of the first behind."""
    config = PredictConfig(model_path=bundles / "single", results_file=tmp_path / "p.csv", image_dir=pictures)
    predict(config)
    (pictures / "broken.jpg").unlink()
    assert predict(config).rejects is None
    assert sorted(path.name for path in tmp_path.glob("*.csv")) == ["p.csv"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_path": Path("nowhere")}, "--model-path nowhere: no such model"),
        ({"class_mapping_json": Path("nowhere.json")}, "--class-mapping-json nowhere.json: no such file"),
        ({"pre_processing_json": Path("nowhere.json")}, "--pre-processing-json nowhere.json: no such file"),
        ({"results_file": Path("/")}, "--results-file /: is a folder"),
        ({"results_file": Path("/proc/x/p.csv")}, "cannot write there"),
        ({"image_dir": Path("nowhere")}, "--image-dir nowhere: no such folder"),
        ({"n_gpus": 99}, "--n-gpus 99: there "),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, bundles: Path, pictures: Path, change: dict, said: str) -> None:
    """Each wrong setting is one line, and nothing is written."""
    settings = {"model_path": bundles / "single", "results_file": tmp_path / "p.csv", "image_dir": pictures}
    with pytest.raises(CamtrapError, match=said) as caught:
        predict(PredictConfig(**(settings | change)))
    assert "\n" not in str(caught.value)
    assert list(tmp_path.glob("*.csv")) == []


def test_capture_ids_are_paths(pictures: Path) -> None:
    """The id of a picture in a folder is its normalised path."""
    first = next(PictureFolder(pictures / ".." / pictures.name).captures())
    assert first == Capture(str(pictures / "a.jpg"), (str(pictures / "a.jpg"),))
