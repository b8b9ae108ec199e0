"""The doctor on small trainings, sound and ill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.config.doctor import DoctorConfig
from camtrap_tf.training.doctor import Diagnosis, examine
from tests.unit.training.helpers import MAPPING, make_config, write_dataset


def diagnose(data: Path, out: Path, **changes: Any) -> Diagnosis:
    """Examines a training with the small network."""
    config = make_config(data, out, initial_learning_rate=0.003, **changes)
    given = {key: getattr(config, key) for key in config.model_fields_set}
    return examine(DoctorConfig(**given, doctor_steps=40, doctor_examples=8))


def test_a_sound_training(tmp_path: Path) -> None:
    """Colours as classes are learnt by heart; nothing is written, and asked again it says the same."""
    data = write_dataset(tmp_path / "data")
    found = diagnose(data, tmp_path)
    assert found.exit_code == 0, found.text()
    assert "the model can learn" in found.text()
    assert "is/there: labelled in" in found.text()
    assert not (tmp_path / "run").exists()
    assert diagnose(data, tmp_path).text() == found.text()


def test_a_rate_that_is_too_high(tmp_path: Path) -> None:
    """It is said together with one that works."""
    data = write_dataset(tmp_path / "data")
    config = make_config(data, tmp_path, initial_learning_rate=50.0, optimizer="sgd")
    given = {key: getattr(config, key) for key in config.model_fields_set}
    found = examine(DoctorConfig(**given, doctor_steps=40, doctor_examples=8))
    assert found.exit_code == 2
    assert "too high" in found.text()


def test_labels_that_contradict_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal pictures with other labels are found, and named."""
    monkeypatch.setattr("tests.unit.training.helpers.COLOURS", dict.fromkeys(("lion", "zebra"), (90, 90, 90)))
    found = diagnose(write_dataset(tmp_path / "data"), tmp_path)
    assert found.exit_code == 2
    assert "the same picture has different labels" in found.text()


def test_inputs_that_are_not_there(tmp_path: Path) -> None:
    """Absent shards are a finding; whatever else can be looked at is."""
    data = write_dataset(tmp_path / "data")
    found = diagnose(data, tmp_path, val_tfr_path=[tmp_path / "absent"])
    assert found.exit_code == 2
    assert "absent" in found.text()
    assert "species: 2 classes" in found.text()


def test_classes_that_training_lacks(tmp_path: Path) -> None:
    """A class that only validation has is named before anything is trained."""
    mapping = MAPPING.from_classes({"species": ["zebra", "lion", "frog"], "is/there": ["no", "yes"]})
    data = write_dataset(tmp_path / "data", mapping=mapping)
    other = write_dataset(tmp_path / "other", mapping=mapping, classes=("frog",), counts={"val": 4})
    found = diagnose(data, tmp_path, val_tfr_path=[other])
    assert "species: validation has frog, training has none" in found.text()


@pytest.mark.parametrize(("backbone_rate", "said"), [(0.0, "the model can learn"), (1.0, "not learnt")])
def test_parts_have_their_own_rates(tmp_path: Path, backbone_rate: float, said: str) -> None:
    """A rate that ruins the backbone does not where the backbone has a small share of it."""
    config = make_config(
        write_dataset(tmp_path / "data"), tmp_path, initial_learning_rate=0.5, optimizer="adam", backbone_rate=backbone_rate
    )
    given = {key: getattr(config, key) for key in config.model_fields_set}
    assert said in examine(DoctorConfig(**given, doctor_steps=40, doctor_examples=8)).text()
