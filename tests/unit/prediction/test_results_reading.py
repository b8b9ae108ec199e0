"""Tables of predictions read back, as they were written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from camtrap_tf.errors import SourceError
from camtrap_tf.prediction import results_reading
from camtrap_tf.prediction.export_boxes import NUMBERS, box_of
from camtrap_tf.prediction.results import NO_DETECTION, RecordPrediction
from camtrap_tf.prediction.results_reading import ResultsFile, json_members
from camtrap_tf.prediction.writers import open_table
from tests.unit.prediction.export_support import CLASSES, EMPTY, record


def write(path: Path, records: Sequence[RecordPrediction], **options: object) -> Path:
    """Writes a table of predictions."""
    given = {"file_type": path.suffix[1:], "legacy": False, "class_names": CLASSES, "meta_fields": ("site",)} | options
    with open_table(path, **given) as add:
        for one in records:
            add(one)
    return path


def same(first: RecordPrediction, second: RecordPrediction) -> bool:
    """Returns whether two records say the same, to the decimals of a table."""
    pairs = [
        (first.aggregated, second.aggregated),
        *((a.probabilities, b.probabilities) for a, b in zip(first.pictures, second.pictures, strict=True)),
    ]
    close = all(a.keys() == b.keys() and all(np.allclose(a[key], b[key], atol=1e-4) for key in a) for a, b in pairs)
    facts = [(one.id, one.status, one.error, dict(one.meta_data), [p.path for p in one.pictures]) for one in (first, second)]
    return close and facts[0] == facts[1]


RECORDS = (
    record(["x/1.jpg"], None),
    record(["x/2.jpg"], site="hill"),
    record(["x/3.jpg"], EMPTY),
    RecordPrediction("x/notes.txt", (), {}, problem=("not_a_picture", "its name"), passed_over=True),
)


@pytest.mark.parametrize("name", ["p.json", "p.csv"])
def test_round_trip(tmp_path: Path, name: str) -> None:
    """Records of one picture come back from JSON and CSV with probabilities, meta data and failures."""
    found = ResultsFile.open(write(tmp_path / name, RECORDS))
    assert found.class_names == CLASSES
    assert found.meta_fields == ("site",)
    assert all(same(a, b) for a, b in zip(found.records(), RECORDS, strict=True))


def test_records_of_several_pictures(tmp_path: Path) -> None:
    """JSON gives events back with each picture, and pictures without a detection; CSV cannot, and says what can."""
    records = [
        record(["1.jpg", "2.jpg"], record_id="e"),
        RecordPrediction("n", (), {}, {"file": "n.jpg"}, problem=(NO_DETECTION, "no box")),
    ]
    found = ResultsFile.open(write(tmp_path / "p.json", records))
    assert all(same(a, b) for a, b in zip(found.records(), records, strict=True))
    with pytest.raises(SourceError, match="as JSON"):
        ResultsFile.open(write(tmp_path / "p.csv", records))


@pytest.mark.parametrize("name", ["p.json", "p.csv"])
def test_older_forms(tmp_path: Path, name: str) -> None:
    """Tables in camera-trap-classifier's form are read too."""
    found = ResultsFile.open(write(tmp_path / name, RECORDS[1:3], legacy=True, meta_fields=()))
    first = next(iter(found.records()))
    assert np.allclose(first.aggregated["species"], RECORDS[1].aggregated["species"], atol=1e-4)


@pytest.mark.parametrize("name", ["p.json", "p.csv"])
def test_sigmoid_heads(tmp_path: Path, name: str) -> None:
    """The name for nothing being there is found in the table."""
    records = [record(["1.jpg"], {"species": (0.9, 0.1)}), record(["2.jpg"], {"species": (0.2, 0.1)})]
    path = write(tmp_path / name, records, class_names={"species": ("fox", "owl")}, blanks={"species": "leer"}, meta_fields=())
    assert ResultsFile.open(path).blanks == {"species": "leer"}


def test_entries_larger_than_what_is_read_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the size of the pieces that are read, the entries are those of the file."""
    value = {f"é {i}": {"a": "x" * i, "b": [i, {"c": "}"}]} for i in range(40)}
    path = tmp_path / "p.json"
    for indent in (None, 2):
        path.write_text(json.dumps(value, indent=indent), encoding="utf-8")
        for size in (1, 7, 64):
            monkeypatch.setattr(results_reading, "CHUNK_CHARS", size)
            assert dict(json_members(path)) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no JSON object"),
        ("[]", "no JSON object"),
        ('{"a": {"aggregated_pred": {}', "cut off"),
        ('{"a": 3}', "is no object"),
        ('{"a": {"images": []}}', "not a table of `camtrap predict`"),
        ("{}", "nothing to write"),
        ('{"a": {"images": [], "aggregated_pred": {"s": {"x": 1' + "0" * 400 + "}}}}", "of 's' is not a number"),
    ],
)
def test_other_files(tmp_path: Path, text: str, said: str) -> None:
    """Files that are cut off, or something else, are named with what is wrong."""
    path = tmp_path / "p.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SourceError, match=said):
        list(ResultsFile.open(path).records())


def test_packed_tables_are_to_be_unpacked(tmp_path: Path) -> None:
    """A packed table is named as such."""
    (tmp_path / "p.csv.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(SourceError, match=r"is packed; unpack it"):
        ResultsFile.open(tmp_path / "p.csv.gz")


def test_tables_of_two_models(tmp_path: Path) -> None:
    """A record with other classes than the first is an error that names it."""
    path = write(tmp_path / "p.json", RECORDS[1:3])
    value = json.loads(path.read_text(encoding="utf-8"))
    value["x/3.jpg"]["aggregated_pred"]["species"] = {"dog": 1.0}
    path.write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(SourceError, match=r"record 'x/3.jpg': has other classes of 'species'"):
        list(ResultsFile.open(path).records())


@pytest.mark.parametrize(("unit", "refused"), [("px", True), ("relative", False)])
def test_boxes_in_px_need_their_picture(tmp_path: Path, unit: str, refused: bool) -> None:
    """A CSV, which names crops, cannot say how large a picture is: its boxes in px are refused, never lost."""
    numbers = {"x": "20", "y": "10", "width": "88", "height": "72"} if refused else dict.fromkeys(NUMBERS, "0.25")
    boxed = record(["a.jpg___crop00.jpg"], file="a.jpg", box="1", unit=unit, **numbers)
    path = write(tmp_path / "p.csv", [boxed], meta_fields=("file", "box", *NUMBERS, "unit"))
    if refused:
        with pytest.raises(SourceError, match=r"its box is in px.*as JSON"):
            list(ResultsFile.open(path).records())
    else:
        [found] = ResultsFile.open(path).records()
        assert box_of(found).numbers == (0.25,) * 4


def test_a_table_with_a_column_per_class(tmp_path: Path) -> None:
    """It says too little to be written in other forms; the message says what to take."""
    path = tmp_path / "p.csv"
    path.write_text("path,lion,zebra\na.jpg,0.25,0.75\n", encoding="utf-8")
    with pytest.raises(SourceError, match=r"has a column per class.*write the predictions as JSON"):
        ResultsFile.open(path)
