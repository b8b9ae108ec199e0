"""Tables with a column per class: what is in them, that they are read back, and what they cannot hold."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from pydantic import ValidationError

from camtrap_tf.config.delivery import PredictConfig
from camtrap_tf.errors import SettingError
from camtrap_tf.prediction.answer_tables import answers, open_answers
from camtrap_tf.prediction.class_columns import class_columns_table, label_of_columns
from camtrap_tf.prediction.results import NO_DETECTION, RecordPrediction
from tests.unit.prediction.export_support import CLASSES, FOX, record


def test_a_row_per_picture(tmp_path: Path) -> None:
    """Paths are below the folder, failures have empty cells, what is no picture to predict has no row; the reader agrees."""
    bare = RecordPrediction("y.jpg", (), {}, {"file": "y.jpg"}, problem=(NO_DETECTION, "no box"))
    other = RecordPrediction("crops/notes.txt", (), {}, problem=("not_a_picture", "its name"), passed_over=True)
    path = tmp_path / "out.csv.gz"
    with class_columns_table(path, names=CLASSES["species"], label="species", root=Path("crops")) as write:
        for one in (record(["crops/x/1.jpg"]), bare, record(["crops/2.jpg"], None), other):
            write(one)
    assert gzip.decompress(path.read_bytes()).decode().splitlines() == [
        "path,empty,Vulpes vulpes,human,car", "x/1.jpg,0.1,0.7,0.15,0.05", "2.jpg,,,,",
    ]  # fmt: skip
    first, second = answers(open_answers(path), None)
    assert first.pictures == ("x/1.jpg",)
    assert tuple(first.probabilities.values()) == FOX["species"]
    assert second.probabilities == {}


@pytest.mark.parametrize(
    ("labels", "blanks", "said"),
    [
        (("species", "count"), {}, "species"),
        (("kind",), {}, "kind"),
        (("count", "sex"), {}, "none is called species"),
        (("species",), {"species": "none"}, "species has any number"),
    ],
)
def test_which_label_type(labels: tuple[str, ...], blanks: dict[str, str], said: str) -> None:
    """The species, or the only label type, has the columns; others, and several classes a picture, have no such table."""
    names = dict.fromkeys(labels, ("a", "b"))
    if said in labels:
        assert label_of_columns(names, blanks) == said
        return
    with pytest.raises(SettingError, match=said):
        label_of_columns(names, blanks)


def test_settings_that_do_not_go_together(tmp_path: Path) -> None:
    """Records of a table may be of several pictures, and one table has one form."""
    settings = {"model_path": tmp_path, "results_file": tmp_path / "o.csv", "export_file_type": "class-columns"}
    table = {"csv_path": tmp_path, "csv_id_col": "id", "csv_images_cols": ("x",)}
    for more, said in ((table, "goes with --image-dir"), ({"image_dir": tmp_path, "legacy_format": True}, "two forms")):
        with pytest.raises(ValidationError, match=said):
            PredictConfig.model_validate({**settings, **more})
