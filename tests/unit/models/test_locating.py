"""Which file a path to a model, or to one of its JSON files, means."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from camtrap_tf.models.locating import MAPPING_NAMES, PREPROCESSING_NAMES, locate_json, locate_model


def touch(folder: Path, *names: str) -> Path:
    """Makes empty files; returns their folder."""
    for name in names:
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("there", "asked", "names", "found"),
    [
        ("label_mappings.json", "label_mapping.json", MAPPING_NAMES, "label_mappings.json"),
        ("label_mapping.json", "label_mappings.json", MAPPING_NAMES, "label_mapping.json"),
        ("image_processing.json", "pre_processing.json", PREPROCESSING_NAMES, "image_processing.json"),
        ("pre_processing.json", "image_processing.json", PREPROCESSING_NAMES, "pre_processing.json"),
        ("pre_processing.json", "", PREPROCESSING_NAMES, "pre_processing.json"),
    ],
)
def test_either_name_of_a_json_file(
    tmp_path: Path, there: str, asked: str, names: tuple[str, ...], found: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A name that is not there, or a folder, means the file under its other name, and a line says which was taken."""
    caplog.set_level(logging.INFO, "camtrap_tf")
    assert locate_json(touch(tmp_path, there) / asked, names) == tmp_path / found
    assert f"is not there; taking {found}" in caplog.text


def test_a_json_file_that_is_there_is_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With both names there the one that was asked for is taken; other names are never replaced."""
    caplog.set_level(logging.INFO, "camtrap_tf")
    touch(tmp_path, *MAPPING_NAMES)
    for name in (*MAPPING_NAMES, "mine.json"):
        assert locate_json(tmp_path / name, MAPPING_NAMES) == tmp_path / name
    assert caplog.text == ""


def test_a_run_folder_is_its_best_model(tmp_path: Path) -> None:
    """To be used, a run folder means its best model; to go on from, its highest epoch; the note says which."""
    touch(tmp_path, "model_epoch_02_loss_1.00.keras", "model_epoch_10_loss_2.00.keras", "model_best.keras")
    best, last = locate_model(tmp_path), locate_model(tmp_path, prefer_best=False)
    assert best.file.name == "model_best.keras"
    assert best.note is not None
    assert "model_best.keras, the best model of the run" in best.note
    assert last.file.name == "model_epoch_10_loss_2.00.keras"
    assert last.note is not None
    assert "the highest epoch" in last.note


def test_a_run_folder_without_a_best_model(tmp_path: Path) -> None:
    """Where there is no best model the highest epoch is taken."""
    touch(tmp_path, "model_epoch_02_loss_1.00.keras", "model_epoch_10_loss_2.00.keras")
    assert locate_model(tmp_path).epoch == 10
