"""Tables of probabilities, whoever wrote them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from camtrap_tf.errors import CamtrapError, SourceError
from camtrap_tf.prediction.answer_tables import AnswerTable, answers, open_answers
from camtrap_tf.prediction.writers import LEGACY_COLUMNS, open_table, text_file
from tests.unit.prediction.export_support import CLASSES, EMPTY, FOX, record

HEADER = ",".join(LEGACY_COLUMNS)
RECORDS = (record(["x/1.jpg"], FOX, site="hill"), record(["x/2.jpg"], None), record(["x/3.jpg"], EMPTY))


@pytest.mark.parametrize(("name", "legacy"), [("p.json", False), ("p.csv", False), ("p.json", True), ("p.csv", True)])
def test_tables_of_ours(tmp_path: Path, name: str, legacy: bool) -> None:
    """Either form gives ids, pictures and the probabilities of the label type; a failure has none."""
    path = tmp_path / name
    with open_table(path, file_type=path.suffix[1:], legacy=legacy, class_names=CLASSES, meta_fields=("site",)) as add:
        for one in RECORDS:
            add(one)
    table = open_answers(path)
    found = list(answers(table, table.label("sex")))
    assert table.labels == tuple(CLASSES)
    assert [one.id for one in found] == ["x/1.jpg", "x/2.jpg", "x/3.jpg"]
    assert [one.pictures for one in found] == [("x/1.jpg",), ("x/2.jpg",), ("x/3.jpg",)]
    expected = [dict(zip(CLASSES["sex"], FOX["sex"], strict=True)), {}, dict(zip(CLASSES["sex"], EMPTY["sex"], strict=True))]
    assert [one.probabilities for one in found] == [pytest.approx(values) for values in expected]
    assert found[0].meta == {"site": "hill"}


@pytest.mark.parametrize("name", ["o.csv", "o.csv.gz"])
def test_tables_with_a_column_per_class(tmp_path: Path, name: str) -> None:
    """A row per picture is read packed or not, with the true class where the table has one."""
    with text_file(tmp_path / name) as file:
        file.write("path,label,weight,cat,dog\r\na/1.jpg,dog,0.5,0.25,0.75\r\n\r\na/2.jpg,,1,,\r\n")
    found = list(answers(open_answers(tmp_path / name), None))
    assert [(one.id, one.stated, dict(one.probabilities)) for one in found] == [
        ("a/1.jpg", "dog", {"cat": 0.25, "dog": 0.75}),
        ("a/2.jpg", "", {}),
    ]
    (tmp_path / "plain.csv").write_text("path,label,dog\n1,0.25,0.75\n", encoding="utf-8")
    assert open_answers(tmp_path / "plain.csv").classes == ("label", "dog")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.txt", "path,a\n", "has to end in .json, .csv or .csv.gz"),
        ("p.csv", "", "not a table of predictions"),
        ("p.csv", "file,cat\n1,1\n", "not a table of predictions; that has the columns id, label"),
        ("p.csv", "path,cat,cat\n1,1,0\n", "names 'cat' twice"),
        ("p.csv", "path,cat,dog\n1,1\n", "line 2: has 2 cells, the header 3; is the file cut off"),
        ("p.csv", "path,cat\n1,tall\n", "line 2: the probability of 'cat' is 'tall', not a number"),
        ("p.csv", "path,cat\n1,nan\n", "is 'nan', not a number"),
        ("p.csv", f"{HEADER}\n", "a header and no row"),
        ("p.csv", f'{HEADER}\n1,sex,f,1,"{{""f"": 1"\n', "predictions_all is not an object"),
        ("p.csv", f"{HEADER}\n1,sex,f,1,[1]\n", "predictions_all is not an object"),
        ("p.json", '{"1": {"images": [], "aggregated_pred": {"sex": {"f": 1', "cut off"),
        ("p.json", '{"1": {"images": [], "aggregated_pred": {"sex": {"f": 1}}}', "cut off"),
        ("p.json", '{"1": {"images": [], "aggregated_pred": {}}}', "no record of it was predicted"),
        ("p.json", '{"1": {"images": [3], "aggregated_pred": {"sex": {"f": 1}}}}', "record '1': is damaged"),
        ("p.json", '{"1": {"images": [], "aggregated_pred": {"sex": {"f": 1' + "0" * 400 + "}}}}", "is '1000.*not a number"),
        ("p.json", '{"1": {"predictions": 3}}', "not of a table of `camtrap predict`"),
        ("val_results.json", '{"pred_labels": []}', "take outputs_val.csv.gz, which lies beside it"),
        ("p.json", json.dumps({"1": {"images": [], "aggregated_pred": {"sex": [1]}}}), "no object of class"),
        ("p.json", json.dumps({"1": {"images": [], "aggregated_pred": {"sex": {"f": 1}}, "predictions_present": {"sex": []}}}),
         "any number of classes of 'sex'"),
    ],
)  # fmt: skip
def test_other_files(tmp_path: Path, name: str, text: str, message: str) -> None:
    """Files that are cut off, or something else, are named with what is wrong and where."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CamtrapError, match=message):
        list(answers(open_answers(path), None if name.endswith("csv") and "path" in text else "sex"))


def test_packed_tables_of_ours(tmp_path: Path) -> None:
    """A table of predictions that is called `.csv.gz` is packed, and says what the plain one says."""
    for name in ("p.csv", "p.csv.gz"):
        with open_table(tmp_path / name, file_type="csv", legacy=False, class_names=CLASSES) as add:
            add(record(["a.jpg"], FOX))
    assert gzip.decompress((tmp_path / "p.csv.gz").read_bytes()) == (tmp_path / "p.csv").read_bytes()
    plain, packed = (list(answers(open_answers(tmp_path / name), "species")) for name in ("p.csv", "p.csv.gz"))
    assert len(packed) == 1
    assert packed == plain


def test_packed_files_that_are_damaged(tmp_path: Path) -> None:
    """A packed file that ends too early, or has a damaged middle, is an error; plain text under its name is read."""
    rows = "".join(f"{number},0.{number}\n" for number in range(10_000))
    whole = gzip.compress(f"path,cat\n{rows}".encode())
    for name, data, message in (("a", whole[:-2000], "cut off"), ("b", whole[:10] + b"\xff" * 50 + whole[60:], "damaged")):
        path = tmp_path / f"{name}.csv.gz"
        path.write_bytes(data)
        with pytest.raises(CamtrapError, match=message):
            list(open_answers(path).rows())
    (tmp_path / "c.csv.gz").write_text("path,cat\n1,1\n", encoding="utf-8")
    assert [row for _, row in open_answers(tmp_path / "c.csv.gz").rows()] == [["1", "1"]]
    with pytest.raises(CamtrapError, match=r"did you mean .*a\.csv\.gz"):
        open_answers(tmp_path / "aa.csv.gz")


def test_tables_that_are_not_there(tmp_path: Path) -> None:
    """Of the table of a split the command that makes it is named, with the folder; of another what lies there instead."""
    with pytest.raises(
        SourceError, match=rf"`camtrap predict --run <run folder> --split val --output-dir {tmp_path}` makes it"
    ):
        open_answers(tmp_path / "outputs_val.csv.gz")
    (tmp_path / "june.csv").write_text("x")
    with pytest.raises(SourceError, match=r"did you mean .*june\.csv"):
        open_answers(tmp_path / "jule.csv")


def test_which_label_type(tmp_path: Path) -> None:
    """Species, or the only label type, is meant where none is named; another has to be there."""
    path = tmp_path / "p.json"

    def table(*labels: str) -> AnswerTable:
        """Returns the table of a record with these label types."""
        path.write_text(
            json.dumps({"1": {"images": [], "aggregated_pred": {one: {"a": 1} for one in labels}}}), encoding="utf-8"
        )
        return open_answers(path)

    assert table("sex", "species").label(None) == "species"
    assert table("sex").label(None) == "sex"
    assert table("sex", "age").label("age") == "age"
    with pytest.raises(CamtrapError, match=r"--label is missing.*sex, age"):
        table("sex", "age").label(None)
    with pytest.raises(CamtrapError, match="did you mean 'species'"):
        table("sex", "species").label("specie")
