"""Predictions as a table for Timelapse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from camtrap_tf.config.picture_sources import TimelapseInventoryConfig
from camtrap_tf.errors import SettingError
from camtrap_tf.prediction.export_model import ModelFacts
from camtrap_tf.prediction.export_pictures import FactBook
from camtrap_tf.prediction.export_timelapse import TimelapseCounts, columns_of, timelapse_table
from camtrap_tf.prediction.results import RecordPrediction
from camtrap_tf.sources.timelapse import TimelapseSource
from tests.reading import rows_of
from tests.unit.prediction.export_support import EMPTY, MODEL, record


def written(
    path: Path, records: Sequence[RecordPrediction], model: ModelFacts = MODEL, columns: Mapping[str, str] | None = None
) -> tuple[list[dict[str, str]], TimelapseCounts]:
    """Writes records; returns the rows and the counts."""
    counts = TimelapseCounts()
    with timelapse_table(path, model, FactBook(Path("root"), exif=False), columns_of(model, columns or {}), counts) as add:
        for one in records:
            add(one)
    return rows_of(path), counts


def test_a_row_per_picture(tmp_path: Path) -> None:
    """Every picture of every record has a row with folder, time and answers; a failed one has no answers."""
    records = [
        record(["root/A/B/1.jpg", "root/A/B/2.jpg"], record_id="e", datetime="2020-05-03T10:00:00+02:00"),
        record(["root/3.jpg"], None),
    ]
    rows, counts = written(tmp_path / "t.csv", records)
    assert counts.rows == len(rows) == 3
    assert rows[0] == {
        "File": "1.jpg", "RelativePath": "A\\B", "DateTime": "2020-05-03 10:00:00", "species": "Vulpes vulpes",
        "species_confidence": "0.7000", "count": "2", "count_confidence": "0.8000", "sex": "female", "sex_confidence": "0.9000",
        "weather": "rain", "weather_confidence": "0.7000",
    }  # fmt: skip
    assert (rows[2]["RelativePath"], rows[2]["DateTime"], rows[2]["species"]) == ("", "", "")


def test_columns_of_the_template(tmp_path: Path) -> None:
    """Only the columns that are named are written, under the template's data labels."""
    rows, _ = written(tmp_path / "t.csv", [record(["root/1.jpg"])], columns={"species": "Art", "count.confidence": "Sure"})
    assert list(rows[0]) == ["File", "RelativePath", "DateTime", "Art", "Sure"]
    with pytest.raises(SettingError, match=r"spezies.*did you mean 'species'"):
        columns_of(MODEL, {"spezies": "Art"})


def test_data_labels_are_letters_digits_and_underscores() -> None:
    """Label types with other characters, or the names of Timelapse's own columns, get names that it takes."""
    model = ModelFacts.of({"life stage": ("a",), "File": ("b",), "2nd": ("c",)}, {}, species_label="File")
    names = list(columns_of(model, {}).values())
    assert names[::2] == ["life_stage", "File_label", "label4_2nd"]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("text", ["=1+2", "+x", "-x", "@cmd", "\tx", "\rx"])
def test_formulas_are_disarmed(tmp_path: Path, text: str) -> None:
    """Class names and file names that a spreadsheet would run get an apostrophe; such file names are counted."""
    model = ModelFacts.of({"species": (text, "b")}, {})
    rows, counts = written(tmp_path / "t.csv", [record([f"root/{text}.jpg"], {"species": (0.9, 0.1)})], model)
    assert rows[0]["species"] == f"'{text}"
    assert rows[0]["File"].startswith("'")
    assert counts.guarded_paths == 1


def test_the_surest_box_stands_for_its_picture(tmp_path: Path) -> None:
    """Of several boxes of a picture that with the surest species is written, the others are counted."""
    box = {"file": "A/x.jpg", "category": "animal", "unit": "relative", "x": "0", "y": "0", "width": "1", "height": "1"}
    records = [record(["root/A/x.jpg"], **box), record(["root/A/x.jpg"], EMPTY, record_id="2", **box)]
    rows, counts = written(tmp_path / "t.csv", records)
    assert [(row["File"], row["species"]) for row in rows] == [("x.jpg", "empty")]
    assert counts.boxes == 1


def test_read_as_timelapse_data(tmp_path: Path) -> None:
    """The reader of Timelapse tables finds the pictures with their classes."""
    written(tmp_path / "t.csv", [record(["root/A/1.jpg"]), record(["root/A/2.jpg"], EMPTY)])
    config = TimelapseInventoryConfig(path=tmp_path / "t.csv", export_path=tmp_path / "i.json")
    events = list(TimelapseSource(config).records())
    assert [(one.media[0].path, one.label("species")) for one in events] == [
        ("A/1.jpg", "Vulpes vulpes"), ("A/2.jpg", "empty"),
    ]  # fmt: skip
