"""Tables of predictions, read back with readers of their own."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import numpy as np
import pytest

from camtrap_tf.prediction.results import Capture, PicturePrediction, RecordPrediction, record_prediction
from camtrap_tf.prediction.writers import open_table, write_test_predictions
from tests.reading import rows_of

NAMES = {"species": ("cat", "dog"), "count": ("1", "11-50", "51+")}
MESSY_ID = 'C:\\pics\\a "b",\n{é}.jpg'


def predicted(record_id: str = "e1", **meta: str) -> RecordPrediction:
    """Returns a record of two pictures and two label types."""
    values = {"species": np.array([0.87654321, 0.12345679]), "count": np.array([0.2, 0.5, 0.3])}
    other = {"species": np.array([0.5, 0.5]), "count": np.array([0.2, 0.5, 0.3])}
    capture = Capture(record_id, ("a.jpg", "b.jpg"), meta_data=meta)
    return record_prediction(capture, [PicturePrediction("a.jpg", values), PicturePrediction("b.jpg", other)])


def failed(record_id: str = "e2") -> RecordPrediction:
    """Returns a record whose only picture is truncated."""
    return record_prediction(Capture(record_id, ("c.jpg",)), [PicturePrediction("c.jpg", problem=("truncated", "cut"))])


def written(path: Path, *records: RecordPrediction, legacy: bool = False, meta_fields: tuple[str, ...] = ()) -> Path:
    """Writes records into a table of the kind of its suffix and returns its path."""
    with open_table(path, file_type=path.suffix[1:], legacy=legacy, class_names=NAMES, meta_fields=meta_fields) as write:
        for record in records:
            write(record)
    return path


def test_csv_has_a_row_per_record_and_label(tmp_path: Path) -> None:
    """The proper CSV says everything in columns of a fixed order, meta data last, probabilities as JSON numbers."""
    path = written(tmp_path / "p.csv", predicted(site="A"), failed(), meta_fields=("site",))
    rows = rows_of(path)
    assert list(rows[0]) == [
        "id", "label", "prediction_top", "confidence_top", "predictions_all", "status", "error", "n_images", "site"
    ]  # fmt: skip
    assert [(r["id"], r["label"], r["status"]) for r in rows] == [
        ("e1", "species", "ok"), ("e1", "count", "ok"), ("e2", "species", "failed"), ("e2", "count", "failed")
    ]  # fmt: skip
    assert json.loads(rows[0]["predictions_all"]) == pytest.approx({"cat": 0.688272, "dog": 0.311728}, abs=1e-6)
    assert (rows[0]["prediction_top"], float(rows[0]["confidence_top"])) == ("cat", pytest.approx(0.688272, abs=1e-6))
    assert (rows[2]["prediction_top"], rows[2]["error"], rows[0]["n_images"]) == ("", "truncated: cut", "2")
    assert (rows[0]["site"], rows[2]["site"]) == ("A", "")


def test_meta_data_never_hides_a_column(tmp_path: Path) -> None:
    """A meta data column that is called like one of ours gets a free name."""
    record = predicted(status="s", meta_status="m", site="x")
    path = written(tmp_path / "p.csv", record, meta_fields=("status", "meta_status", "site"))
    row = rows_of(path)[0]
    assert (row["status"], row["meta_meta_status"], row["meta_status"], row["site"]) == ("ok", "s", "m", "x")


def test_legacy_csv_is_exact(tmp_path: Path) -> None:
    """The older CSV: every field quoted, its header, four decimals, a Python dict of texts."""
    path = written(tmp_path / "p.csv", predicted(site="A"), legacy=True, meta_fields=("site",))
    assert path.read_bytes().decode() == (
        '"id","label","prediction_top","confidence_top","predictions_all","site"\r\n'
        '"e1","species","cat","0.6883","{\'cat\': \'0.6883\', \'dog\': \'0.3117\'}","A"\r\n'
        "\"e1\",\"count\",\"11-50\",\"0.5000\",\"{'1': '0.2000', '11-50': '0.5000', '51+': '0.3000'}\",\"A\"\r\n"
    )


def test_legacy_csv_keeps_failures(tmp_path: Path) -> None:
    """A failed record is in the older CSV too, with empty predictions that are still a Python dict."""
    path = written(tmp_path / "p.csv", failed(), legacy=True)
    rows = rows_of(path)
    assert [(r["id"], r["prediction_top"], ast.literal_eval(r["predictions_all"])) for r in rows] == [("e2", "", {})] * 2


def test_json_has_numbers_and_status(tmp_path: Path) -> None:
    """The proper JSON is one object per id, numbers as numbers, failures with their reason."""
    value = json.loads(written(tmp_path / "p.json", predicted(site="A"), failed()).read_text())
    assert value["e1"]["aggregated_pred"]["count"] == {"1": 0.2, "11-50": 0.5, "51+": 0.3}
    assert value["e1"]["predictions_top"] == {"species": "cat", "count": "11-50"}
    assert value["e1"]["confidences_top"]["count"] == 0.5
    assert [picture["path"] for picture in value["e1"]["images"]] == ["a.jpg", "b.jpg"]
    assert value["e1"]["meta_data"] == {"site": "A"}
    assert (value["e2"]["status"], value["e2"]["error"], value["e2"]["aggregated_pred"]) == ("failed", "truncated: cut", {})
    assert value["e2"]["images"] == [{"path": "c.jpg", "predictions": {}, "error": "truncated: cut"}]


def test_legacy_json_has_exactly_its_keys(tmp_path: Path) -> None:
    """The older JSON has its keys and no others, in order, and texts of four decimals."""
    value = json.loads(written(tmp_path / "p.json", predicted(site="A"), legacy=True).read_text())["e1"]
    assert list(value) == ["images", "meta_data", "aggregated_pred", "predictions_top", "confidences_top"]
    assert list(value["images"][0]) == ["path", "predictions"]
    assert value["images"][0]["predictions"]["species"] == {"cat": "0.8765", "dog": "0.1235"}
    assert value["confidences_top"] == {"species": "0.6883", "count": "0.5000"}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("records", [(), (predicted(MESSY_ID),), (predicted(MESSY_ID), failed(), predicted("e3"))])
def test_json_is_always_valid(tmp_path: Path, legacy: bool, records: tuple[RecordPrediction, ...]) -> None:
    """No record at all, and ids with quotes, backslashes and line breaks, still give valid JSON."""
    value = json.loads(written(tmp_path / "p.json", *records, legacy=legacy).read_text(encoding="utf-8"))
    assert list(value) == [record.id for record in records]


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_a_file_name_that_is_not_utf8_is_written(tmp_path: Path, suffix: str) -> None:
    """A path with bytes that are not UTF-8 is escaped instead of ending the work."""
    path = written(tmp_path / f"p.{suffix}", predicted("caf\udce9.jpg"))
    text = path.read_text(encoding="utf-8")
    assert "caf\\udce9.jpg" in text
    if suffix == "json":
        assert list(json.loads(text)) == ["caf\udce9.jpg"]


def test_nothing_appears_before_the_end(tmp_path: Path) -> None:
    """While records are written there is no table under its name, and after an error there is none at all."""

    def write_and_fail() -> None:
        """Fails after the first record."""
        with open_table(tmp_path / "p.csv", file_type="csv", legacy=False, class_names=NAMES) as write:
            write(predicted())
            assert not (tmp_path / "p.csv").exists()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()
    assert list(tmp_path.iterdir()) == []


def test_predictions_of_training_have_ground_truth(tmp_path: Path) -> None:
    """`test_preds.json` holds one entry per record with the truth beside it, missing ones as "-1"."""
    write_test_predictions(
        tmp_path / "test_preds.json",
        ids=["r1", "r2"],
        probabilities={"species": np.array([[0.25, 0.75], [0.5, 0.5]])},
        ground_truth={"species": ["dog", "-1"]},
        class_names={"species": NAMES["species"]},
    )
    value = json.loads((tmp_path / "test_preds.json").read_text())
    assert value["r1"] == {
        "images": [{"path": "from_iterator", "predictions": {"species": {"cat": "0.2500", "dog": "0.7500"}}}],
        "ground_truth": {"species": "dog"},
        "aggregated_pred": {"species": {"cat": "0.2500", "dog": "0.7500"}},
        "predictions_top": {"species": "dog"},
        "confidences_top": {"species": "0.7500"},
    }
    assert (value["r2"]["ground_truth"], value["r2"]["predictions_top"]) == ({"species": "-1"}, {"species": "cat"})
