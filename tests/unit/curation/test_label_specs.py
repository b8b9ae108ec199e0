"""Label specifications: CSV ⇄ JSON, and what they make of classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.config.classification import LabelSpecConfig
from camtrap_tf.curation.label_specs import (
    Specs,
    apply_label_spec,
    convert_label_spec,
    labels_of_classes,
    read_label_spec,
    read_taxonomy,
)
from camtrap_tf.errors import LabelError, SourceError
from camtrap_tf.sources.classification_csv import CropRow

CSV = """# birds, but no turkeys
output_label,type,content
bird,class,aves
# "a comment with a quote
bird,datasettaxon,idfg|family|corvidae
!bird,row,idfg|turkey
bird,max_count,50
bird,prioritize,"[['idfg'], ['lila', 'x']]"
cat,row,idfg|house cat
cat,row,lila|cat
"""
JSON = {
    "bird": {
        "taxa": [{"level": "class", "name": "aves"}, {"level": "family", "name": "corvidae", "datasets": ["idfg"]}],
        "exclude": {"dataset_labels": {"idfg": ["turkey"]}},
        "max_count": 50,
        "prioritize": [["idfg"], ["lila", "x"]],
    },
    "cat": {"dataset_labels": {"idfg": ["house cat"], "lila": ["cat"]}},
}


def spec_of(tmp_path: Path, value: str | dict[str, Any]) -> Specs:
    """Returns a specification of the text of a CSV, or of a JSON value."""
    path = tmp_path / ("s.csv" if isinstance(value, str) else "s.json")
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return read_label_spec(path)


def test_both_forms_say_the_same(tmp_path: Path) -> None:
    """The CSV, with its comments, and the JSON that it stands for are one specification."""
    assert spec_of(tmp_path, CSV) == spec_of(tmp_path, JSON)


def test_forms_turn_into_each_other(tmp_path: Path) -> None:
    """CSV → JSON gives the JSON, JSON → CSV → JSON gives it back."""
    (tmp_path / "s.csv").write_text(CSV, encoding="utf-8")
    config = LabelSpecConfig(path=tmp_path / "s.csv", output=tmp_path / "s.json", dry_run=True)
    assert convert_label_spec(config).text().endswith(f"would write {tmp_path / 's.json'}")
    assert not (tmp_path / "s.json").exists()
    done = convert_label_spec(config.model_copy(update={"dry_run": False}))
    assert json.loads((tmp_path / "s.json").read_text(encoding="utf-8")) == JSON
    convert_label_spec(LabelSpecConfig(path=tmp_path / "s.json", output=tmp_path / "t.csv"))
    assert read_label_spec(tmp_path / "t.csv") == done.specs
    assert "bird: 0 classes, 2 taxa, at most 50 crops, first of idfg lila x" in done.text()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("cat,prioritize,__import__('os').system('false')", "neither a number nor a list"),
        ("cat,max_count,many", "neither a number nor a list"),
        ("cat,max_count,-5", "is not a whole number above 0"),
        ("bird,max_count,7", "has max_count twice"),
        ("!bird,max_count,7", "cannot be excluded"),
        ("bird,row,turkey", "is not <data set>|<class>".replace("|", r"\|")),
        ("bird,datasettaxon,a|b", "is not <data set>"),
        ("bird,row,", "has an empty cell"),
        ("bird", "has 1 cells"),
        ("dog,prioritize,[['a']]", "prioritize needs max_count"),
        ("dog,max_count,5", "names no class"),
    ],
)
def test_bad_rows_name_their_line(row: str, said: str, tmp_path: Path) -> None:
    """What a row cannot be is said with its place; nothing in a cell is ever run."""
    with pytest.raises(SourceError, match=said):
        spec_of(tmp_path, CSV + row + "\n")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"a": {"datasetlabels": {}}}, "has 'datasetlabels'"),
        ({"a": {"dataset_labels": {"d": "x"}}}, "is not data set: list"),
        ({"a": {"taxa": [{"level": "class"}]}}, "is no taxon"),
        ({"a": {"dataset_labels": {"d": ["x"]}, "exclude": []}}, None),
        ({"a": {"dataset_labels": {"d": ["x"]}, "exclude": [1]}}, "exclude is not an object"),
        ([], "not a label specification"),
    ],
)
def test_bad_objects_name_their_label(value: Any, said: str | None, tmp_path: Path) -> None:
    """What an object cannot be is said with its label."""
    if said is None:
        assert spec_of(tmp_path, value)
        return
    (tmp_path / "s.json").write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(SourceError, match=said):
        read_label_spec(tmp_path / "s.json")


def test_classes_become_labels(tmp_path: Path) -> None:
    """Names match without regard to case; taxa by the taxonomy, of some data sets or all, without what is excluded."""
    (tmp_path / "t.csv").write_text(
        "dataset_name,query,class,family\nidfg,Crow,aves,corvidae\nidfg,turkey,aves,phasianidae\nlila,owl,aves,strigidae\n",
        encoding="utf-8",
    )
    classes = [("idfg", "crow"), ("idfg", "turkey"), ("lila", "owl"), ("lila", "Cat"), ("lila", "dog")]
    found = labels_of_classes(spec_of(tmp_path, JSON), classes, read_taxonomy(tmp_path / "t.csv"))
    assert found == {("idfg", "crow"): ("bird",), ("lila", "owl"): ("bird",), ("lila", "cat"): ("cat",)}


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    """Taxa without a taxonomy, labels that match nothing and classes of two labels are errors; several labels on request."""
    with pytest.raises(LabelError, match="give --taxonomy"):
        labels_of_classes(spec_of(tmp_path, JSON), [("lila", "cat")])
    one = {"dataset_labels": {"d": ["x"]}}
    with pytest.raises(LabelError, match=r"matches no class of the data; there are: d\|y"):
        labels_of_classes(spec_of(tmp_path, {"a": one}), [("d", "y")])
    with pytest.raises(LabelError, match="becomes 'a' and 'b'"):
        labels_of_classes(spec_of(tmp_path, {"a": one, "b": one}), [("d", "x")])
    both = labels_of_classes(spec_of(tmp_path, {"a": one, "b": one}), [("d", "x")], multilabel=True)
    assert both == {("d", "x"): ("a", "b")}


def row(number: int, dataset: str, name: str = "x") -> CropRow:
    """Returns a crop."""
    return CropRow(path=f"{dataset}{number}", dataset=dataset, location="l", dataset_class=name, confidence=1, labels=(name,))


def test_most_crops_by_priority_and_seed(tmp_path: Path) -> None:
    """Within max_count the data sets of the first group come first; in = out + rejected; the order does not matter."""
    rows = [*(row(n, "b") for n in range(6)), *(row(n, "a") for n in range(4)), row(0, "a", "other")]
    value = {"animal": {"dataset_labels": {"a": ["X"], "b": ["x"]}, "max_count": 7, "prioritize": [["a"]]}}
    kept, rejects = apply_label_spec(rows, spec_of(tmp_path, value), seed=1)
    assert [one.dataset for one in kept].count("a") == 4
    assert {one.labels for one in kept} == {("animal",)}
    assert (len(kept), [one.reason for one in rejects]) == (7, ["not_in_label_spec", *["over_max_count"] * 3])
    again, _ = apply_label_spec(rows[::-1], spec_of(tmp_path, value), seed=1)
    assert {one.path for one in again} == {one.path for one in kept}
    other, _ = apply_label_spec(rows, spec_of(tmp_path, value), seed=2)
    assert {one.path for one in other} != {one.path for one in kept}
