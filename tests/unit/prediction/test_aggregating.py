"""Tables of predictions over coarser classes, compared with sums made by plain loops over dictionaries."""

from __future__ import annotations

import ast
import csv
import json
from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.config.predictions_used import PredictAggregateConfig
from camtrap_tf.errors import CamtrapError
from camtrap_tf.prediction.aggregating import AggregateSummary, aggregate_predictions
from camtrap_tf.prediction.results import RecordPrediction
from camtrap_tf.prediction.results_reading import ResultsFile
from camtrap_tf.prediction.writers import LEGACY_COLUMNS, open_table, text_file, write_test_predictions
from tests.reading import json_of, rows_of
from tests.unit.prediction.export_support import CLASSES, EMPTY, FOX, probabilities, record

MAPPING = {"wild": ["Vulpes vulpes"], "ours": ["car", "human"]}
RECORDS = (
    record(["x/1.jpg"], FOX, site="hill"),
    record(["x/2.jpg"], None),
    record(["x/3.jpg"], EMPTY),
    RecordPrediction("x/notes.txt", (), {}, problem=("not_a_picture", "its name"), passed_over=True),
)
EVENT = record(["x/4.jpg", "x/5.jpg"], FOX, record_id="event")


def sums(by_class: dict[str, Any]) -> dict[str, float]:
    """Returns target → sum of the probabilities of its classes, by loops."""
    found = {"ours": 0.0, "wild": 0.0, "other": 0.0}
    for name, value in by_class.items():
        homes = [target for target, members in MAPPING.items() if name in members]
        found[homes[0] if homes else "other"] += float(value)
    return found


def write(path: Path, records: tuple[RecordPrediction, ...] = RECORDS, *, legacy: bool = False, **blanks: str) -> Path:
    """Writes a table of predictions."""
    with open_table(
        path, file_type=path.suffix[1:], legacy=legacy, class_names=CLASSES, meta_fields=("site",), blanks=blanks
    ) as add:
        for one in records:
            add(one)
    return path


def aggregate(table: Path, mapping: object = MAPPING, **settings: object) -> AggregateSummary:
    """Adds a table up; the output is beside it unless said otherwise."""
    (table.parent / "map.json").write_text(json.dumps(mapping), encoding="utf-8")
    given = {"results_file": table, "target_mapping": table.parent / "map.json", "output": table.with_name(f"o_{table.name}")}
    return aggregate_predictions(PredictAggregateConfig.model_validate({**given, **settings}))


@pytest.mark.parametrize("legacy", [False, True])
def test_json(tmp_path: Path, legacy: bool) -> None:
    """Pictures and records get sums and best target; everything else stays as it was, failures too."""
    before = json_of(write(tmp_path / "p.json", (*RECORDS, EVENT), legacy=legacy))
    summary = aggregate(tmp_path / "p.json")
    after = json_of(summary.output)
    assert list(after) == list(before)
    for record_id, entry in before.items():
        changed = after[record_id]
        for place, kept in [(changed["aggregated_pred"], entry["aggregated_pred"])] + [
            (new["predictions"], old["predictions"]) for new, old in zip(changed["images"], entry["images"], strict=True)
        ]:
            assert {**place, "species": None} == {**kept, "species": None}
            if kept:
                numbers = {name: float(value) for name, value in place["species"].items()}
                assert numbers == pytest.approx(sums(kept["species"]), abs=1e-4)
                assert {type(value) for value in place["species"].values()} == {str if legacy else float}
        if entry["aggregated_pred"]:
            best = max(sums(entry["aggregated_pred"]["species"]).items(), key=lambda pair: pair[1])
            assert changed["predictions_top"]["species"] == best[0]
            assert float(changed["confidences_top"]["species"]) == pytest.approx(best[1], abs=1e-4)
        for one in (entry, changed):
            for key in ("images", "aggregated_pred", "predictions_top", "confidences_top"):
                del one[key]
        assert changed == entry
    assert (summary.records, summary.unpredicted) == (5, 2)


@pytest.mark.parametrize("legacy", [False, True])
def test_csv(tmp_path: Path, legacy: bool) -> None:
    """Rows of the label type get sums and best target, all other cells and rows stay; records of several pictures too."""
    before = rows_of(write(tmp_path / "p.csv", (*RECORDS, EVENT), legacy=legacy))
    summary = aggregate(tmp_path / "p.csv")
    after = rows_of(summary.output)
    assert len(after) == len(before)
    read = ast.literal_eval if legacy else json.loads
    answered = 0
    for old, new in zip(before, after, strict=True):
        given = read(old["predictions_all"])
        if old["label"] == "species" and given:
            answered += 1
            expected = sums(given)
            found = {name: float(value) for name, value in read(new["predictions_all"]).items()}
            assert found == pytest.approx(expected, abs=1e-4)
            assert new["prediction_top"] == max(expected, key=expected.__getitem__)
            assert float(new["confidence_top"]) == pytest.approx(max(expected.values()), abs=1e-4)
            for key in ("predictions_all", "prediction_top", "confidence_top"):
                new[key] = old[key]
        assert new == old
    assert (summary.records, summary.unpredicted, answered) == (5, 2, 3)


@pytest.mark.parametrize(("name", "output"), [("p.csv", "o.csv.gz"), ("p.csv.gz", "o.csv")])
def test_a_column_per_class(tmp_path: Path, name: str, output: str) -> None:
    """A table with a column per class becomes one with a column per target; an empty row stays empty."""
    rows = [("a/1", 0.5, 0.25, 0.125, 0.125), ("a/2", "", "", "", ""), ("a/3", 0, 0, 1, 0)]
    with text_file(tmp_path / name) as file:
        csv.writer(file).writerows([("path", *CLASSES["species"]), *rows])
    summary = aggregate(tmp_path / name, output=tmp_path / output, output_index=tmp_path / "index.json")
    found = rows_of(tmp_path / output)
    assert list(found[0]) == ["path", "ours", "wild", "other"]
    for row, new in zip(rows, found, strict=True):
        assert new.pop("path") == row[0]
        if row[1] == "":
            assert set(new.values()) == {""}
        else:
            expected = sums(dict(zip(CLASSES["species"], row[1:], strict=True)))
            assert {key: float(value) for key, value in new.items()} == pytest.approx(expected)
    assert json_of(tmp_path / "index.json") == {"0": "ours", "1": "wild", "2": "other"}
    assert (summary.records, summary.unpredicted) == (3, 1)


def test_what_is_known_goes_along(tmp_path: Path) -> None:
    """True classes become targets; missing ones stay missing."""
    given = probabilities({"species": FOX["species"]})["species"]
    write_test_predictions(
        tmp_path / "test_preds.json",
        ids=["1", "2", "3"],
        probabilities={"species": [given] * 3},
        ground_truth={"species": ["human", "-1", "empty"]},
        class_names={"species": CLASSES["species"]},
    )
    after = json_of(aggregate(tmp_path / "test_preds.json").output)
    assert [after[key]["ground_truth"]["species"] for key in "123"] == ["ours", "-1", "other"]


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    """The table is one of predictions: its classes are the targets, in the order of the index."""
    (tmp_path / "index.json").write_text('{"0": "wild", "1": "ours"}', encoding="utf-8")
    summary = aggregate(write(tmp_path / "p.json"), target_index=tmp_path / "index.json")
    found = ResultsFile.open(summary.output)
    assert found.class_names == {**CLASSES, "species": ("wild", "ours", "other")}
    assert [one.status for one in found.records()] == [one.status for one in RECORDS]
    said = summary.text()
    assert "records: 4 in = 2 added up + 2 without a prediction" in said
    assert "species: 4 classes → 3 targets: wild, ours, other" in said
    assert "in no target, so in other: empty" in said


@pytest.mark.parametrize(
    ("mapping", "settings", "message"),
    [
        ({"a": ["car"], "b": ["car"]}, {}, "'car' is in 'a' and in 'b'"),
        ({"a": ["car", "car"]}, {}, "'car' is twice in 'a'"),
        ({"a": ["cars"]}, {}, "'a' has 'cars', no class of .*p.json; did you mean 'car'"),
        (MAPPING, {"label": "specis"}, "--label specis: .*p.json has no such label type; did you mean 'species'"),
        (MAPPING, {"output": "o.csv"}, "--output o.csv: the table has the form of p.json; end it in .json"),
    ],
)
def test_mistakes(tmp_path: Path, mapping: object, settings: dict[str, object], message: str) -> None:
    """What cannot be is said in a line, and nothing is written."""
    write(tmp_path / "p.json")
    with pytest.raises(CamtrapError, match=message):
        aggregate(tmp_path / "p.json", mapping, **settings)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.json", "p.json"]


def test_tables_that_cannot_be_added_up(tmp_path: Path) -> None:
    """Classes that do not exclude each other, true classes with weights, tables of two models: all are refused."""
    wide = tmp_path / "p.csv"
    cases = [
        ("path,car,human\n1,0.9,0.8\n", "line 2: its probabilities add up to 1.7, not to 1"),
        ("path,car,human\n1,1.2,-0.2\n", "line 2: its probabilities"),
        ("path,label,weight,car,human\n1,car,1,0.5,0.5\n", "--split --target-mapping` writes such a table"),
        ("path,car,human\n1,,\n", "no record of it was predicted"),
        ("path,car,human\n1,0.5,0.5\n2,0.5\n", "line 3: has 2 cells"),
    ]
    for text, message in cases:
        wide.write_text(text, encoding="utf-8")
        with pytest.raises(CamtrapError, match=message):
            aggregate(wide, {"ours": ["car"]})
    wide.write_text("path,car\n1,1\n", encoding="utf-8")
    with pytest.raises(CamtrapError, match="has a column per class and no label types"):
        aggregate(wide, {"ours": ["car"]}, label="species")
    rows = [",".join(LEGACY_COLUMNS), "1,s,a,1,{'a': 1.0}", "2,s,b,1,\"{'b': 1.0}\""]
    wide.write_text("\n".join(rows), encoding="utf-8")
    with pytest.raises(CamtrapError, match="line 3: has other classes than the records before"):
        aggregate(wide, {"t": ["a"]})
    for name in ("p.json", "p.csv"):
        with pytest.raises(CamtrapError, match="any number of classes of 'species'"):
            aggregate(write(tmp_path / name, species="blank"), MAPPING)
    assert not list(tmp_path.glob("o_*"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"output": "p.csv"}, "--output p.csv is a file that is read"),
        ({"output_index": "map.json"}, "--output-index map.json is a file that is read"),
        ({"output_index": "o.csv"}, "are one file"),
    ],
)
def test_files_that_would_be_overwritten(settings: dict[str, str], message: str) -> None:
    """An output that is an input is refused before anything is read."""
    given = {"results_file": "p.csv", "target_mapping": "map.json", "output": "o.csv"}
    with pytest.raises(ValueError, match=message):
        PredictAggregateConfig.model_validate({**given, **settings})


@pytest.mark.parametrize("name", ["p.json", "p.csv"])
def test_a_plan_says_the_same_and_writes_nothing(tmp_path: Path, name: str) -> None:
    """Counts, targets and refusals are those of the real thing."""
    table = write(tmp_path / name)
    before = {path.name for path in tmp_path.iterdir()} | {"map.json"}
    plan = aggregate(table, dry_run=True, output=tmp_path / "deep" / name, output_index=tmp_path / "i.json").text()
    assert {path.name for path in tmp_path.iterdir()} == before
    done = aggregate(table, output=tmp_path / "deep" / name).text()
    assert plan.splitlines()[1:-1] == done.splitlines()[:-1]
    assert plan.splitlines()[-1].strip() == f"would write {tmp_path / 'deep' / name}"
    with pytest.raises(CamtrapError, match="did you mean 'car'"):
        aggregate(table, {"ours": ["cars"]}, dry_run=True)
