"""How a training begins."""

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from camtrap_tf.config.training import ModelConfig
from camtrap_tf.errors import ModelError, SettingError
from camtrap_tf.labels import LabelMapping
from camtrap_tf.models.classifier import build_classifier, head_layers
from camtrap_tf.training.checkpoints import Position
from camtrap_tf.training.copying import copy_weights, require_complete
from camtrap_tf.training.earlier import Earlier
from camtrap_tf.training.source import SourceModel, read_source
from camtrap_tf.training.start_rule import (
    check_source,
    start_in_folder,
    start_rule,
    starting_epoch,
)
from tests.unit.models.helpers import preprocessing, small_bundle
from tests.unit.training.helpers import make_config

OLD = LabelMapping({"species": {"cat": 0, "dog": 1, "fox": 2}, "young": {"no": 0, "yes": 1}})
NEW = LabelMapping({"species": {"fox": 0, "wolf": 1, "cat": 2}, "count": {"1": 0, "2": 1}})


def config(**changes: Any) -> Any:
    """Returns settings of a training that touches no file."""
    return make_config(Path("d"), Path("o"), **changes)


@pytest.fixture
def source(tmp_path: Path) -> SourceModel:
    """A bundle of the small network with the old heads, taken apart."""
    small_bundle(OLD).write(tmp_path)
    return read_source(tmp_path)


@pytest.mark.parametrize(
    ("changes", "mode", "frozen", "copies"),
    [
        ({}, "fresh", False, False),
        ({"freeze_backbone": True}, "fresh", True, False),
        ({"continue_training": True}, "continue", False, True),
        ({"continue_training": True, "rebuild_model": True}, "continue_rebuild", False, True),
        ({"transfer_learning": True}, "transfer_last_layer", True, True),
        ({"transfer_learning": True, "transfer_learning_type": "all_layers"}, "transfer_all_layers", False, True),
    ],
)
def test_modes(changes: dict[str, Any], mode: str, frozen: bool, copies: bool) -> None:
    """Each combination of flags is one mode."""
    loaded = {"model_to_load": "m"} if "training" in " ".join(changes) or "transfer_learning" in changes else {}
    start = start_rule(config(**loaded, **changes))
    assert (start.mode, start.frozen, start.copies) == (mode, frozen, copies)


def test_flags_without_effect_are_named() -> None:
    """Flags that a mode does not use are named."""
    unused = {"model_to_load": "m", "unused_model_ok": True}
    fresh = start_rule(config(**unused, transfer_learning_type="all_layers")).warnings
    assert [("--model-to-load" in one, "--transfer-learning-type" in one) for one in fresh] == [(True, False), (False, True)]
    copied = start_rule(config(model_to_load="m", continue_training=True, weights="imagenet", normalisation="dataset")).warnings
    assert [one.split()[2] for one in copied] == ["--weights", "--normalisation"]


def test_epochs_behind(source: SourceModel) -> None:
    """Epochs are those of the model where it is continued, unless told."""
    source = dataclasses.replace(source, epoch=7)
    going_on, transfer = config(continue_training=True, model_to_load="m"), config(transfer_learning=True, model_to_load="m")
    assert starting_epoch(going_on, start_rule(going_on), source) == 7
    assert starting_epoch(transfer, start_rule(transfer), source) == 0
    told = config(continue_training=True, model_to_load="m", starting_epoch=3)
    assert starting_epoch(told, start_rule(told), source) == 3


def test_heads_are_copied_by_class_name(source: SourceModel) -> None:
    """A class keeps its column wherever its index moves; new classes and labels begin anew; the backbone is whole."""
    keras.utils.set_random_seed(9)
    model = build_classifier(ModelConfig(model="small_cnn"), NEW, preprocessing())
    fresh = head_layers(model)["species"].get_weights()[0].copy()
    report = copy_weights(model, NEW, source)
    kernel, old = head_layers(model)["species"].get_weights()[0], source.heads["species"].kernel
    np.testing.assert_array_equal(kernel[:, [0, 2]], old[:, [2, 0]])
    np.testing.assert_array_equal(kernel[:, 1], fresh[:, 1])
    species, count = report.heads
    assert (species.kept, species.added, species.dropped, species.reordered) == (("fox", "cat"), ("wolf",), ("dog",), True)
    assert (count.kept, count.added) == ((), ("1", "2"))
    assert report.dropped_heads == ("young",)
    assert (report.layers, report.misfits) == (4, ())
    table = report.table(frozen=True)
    assert "backbone      4 layers" in table
    assert "frozen" in table
    assert "1 (wolf)" in table
    assert "head young" in table


def test_class_under_another_of_its_names(source: SourceModel) -> None:
    """A class of several names is found under any of them."""
    mapping = LabelMapping({"species": {"doggy": 0, "dog": 0, "cat": 1}})
    model = build_classifier(ModelConfig(model="small_cnn"), mapping, preprocessing())
    report = copy_weights(model, mapping, source)
    assert report.heads[0].kept == ("doggy", "cat")
    np.testing.assert_array_equal(head_layers(model)["species"].get_weights()[0], source.heads["species"].kernel[:, [1, 0]])


def test_continuing_needs_the_same_heads(source: SourceModel) -> None:
    """Other classes or labels stop plain continuing, and the message says which; rebuilding takes them."""
    model = build_classifier(ModelConfig(model="small_cnn"), NEW, preprocessing())
    report = copy_weights(model, NEW, source)
    settings = config(continue_training=True, model_to_load="m")
    with pytest.raises(ModelError, match=r"'species' has classes added 1 \(wolf\) and dropped 1 \(dog\).*'young' is not in"):
        require_complete(report, start_rule(settings), settings, source)
    rebuilt = config(continue_training=True, rebuild_model=True, model_to_load="m")
    require_complete(report, start_rule(rebuilt), rebuilt, source)


def test_other_architecture(source: SourceModel) -> None:
    """Another network is an error that says so: by name where it is known, else by the layers that do not fit."""
    with pytest.raises(ModelError, match="was made with ResNet18"):
        check_source(config(), dataclasses.replace(source, backbone="ResNet18"))
    settings = config(transfer_learning=True, model_to_load="m", model="ResNet18")
    check_source(settings, source)
    model = build_classifier(ModelConfig(model="ResNet18"), OLD, preprocessing())
    with pytest.raises(ModelError, match=r"does not fit --model ResNet18: 37 of 37"):
        require_complete(copy_weights(model, OLD, source), start_rule(settings), settings, source)


def earlier(**changes: Any) -> Earlier:
    """Returns a training in the run folder that stands after epoch 2, begun with these settings."""
    return Earlier(Path("o/run"), config(**changes).model_dump(mode="json"), Position(2, 3), {})


def test_same_settings_go_on() -> None:
    """The same command goes on with the run folder's training, also with more epochs, other workers, other logging."""
    start = start_rule(config(max_epochs=90, n_cpus=7, tensorboard=False, checkpoint_every_steps=5), earlier())
    assert start.resumes
    assert not start.copies
    assert starting_epoch(config(), start, None) == 2
    assert "epoch 3, step 3" in start.text


def test_paths_are_compared_by_what_they_lead_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data may lie elsewhere, their content is compared; other paths may be written otherwise; a note says what changed."""
    (tmp_path / "w.h5").touch()
    monkeypatch.chdir(tmp_path)
    before = earlier(weights="w.h5")
    start = start_rule(config(weights=str(tmp_path / "w.h5"), train_tfr_path=["/mnt/d"], class_mapping_json="m.json"), before)
    assert start.resumes
    (note,) = start.warnings
    assert "other paths than before" in note
    assert all(name in note for name in ("weights: w.h5 → ", 'train_tfr_path: ["d"] → ["/mnt/d"]', "class_mapping_json"))
    with pytest.raises(SettingError, match=r"\(weights: w\.h5 → x\.h5\)"):
        start_rule(config(weights="x.h5"), before)
    with pytest.raises(SettingError, match=r"\(test_tfr_path: \[\"d\"\] → \[\]\)"):
        start_rule(config(weights="w.h5", test_tfr_path=[]), before)


@pytest.mark.parametrize(
    ("there", "lost"),
    [
        (["run.json", "config.yaml", "model_epoch_01_loss_1.00.keras"], None),
        (["run.json", "config.yaml", "model_best.keras"], "checkpoints"),
        (["model_epoch_02_loss_1.00.keras"], "checkpoints"),
        (["run.json", "config.yaml", "finished.json"], "checkpoints"),
        (["checkpoints/epoch_0001_step_000000.json.damaged"], "a sound checkpoint"),
        (["checkpoints/epoch_0001_step_000000.json", "run.json"], "config.yaml"),
    ],
)
def test_training_that_has_lost_its_checkpoints(tmp_path: Path, there: list[str], lost: str | None) -> None:
    """A training that had got somewhere is never begun anew in silence; one that was killed before its first checkpoint is."""
    for name in there:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    settings: dict[str, Any] = {"run_outputs_dir": tmp_path}
    if lost is None:
        assert not start_in_folder(config(**settings)).resumes
        return
    with pytest.raises(SettingError, match=f"has lost {lost}, .*--resume off"):
        start_in_folder(config(**settings))
    assert not start_in_folder(config(resume="off", **settings)).resumes
    assert start_in_folder(config(continue_training=True, model_to_load=tmp_path, **settings)).copies


def test_other_settings_are_listed() -> None:
    """Any other difference is an error that names the settings and both values."""
    with pytest.raises(SettingError, match=r"\(batch_size: 5 → 4; seed: 123 → 9\).*--resume off"):
        start_rule(config(seed=9, batch_size=4), earlier())
    assert not start_rule(config(seed=9, resume="off"), earlier()).resumes


def test_setting_that_is_new_since_then() -> None:
    """A setting that the earlier version did not know counts as its default."""
    before = earlier()
    del before.settings["dropout"]
    assert start_rule(config(), before).resumes
    with pytest.raises(SettingError, match=r"dropout: 0\.0 → 0\.5"):
        start_rule(config(dropout=0.5), before)


@pytest.mark.parametrize(
    "flags",
    [
        {"continue_training": True, "model_to_load": "m"},
        {"continue_training": True, "rebuild_model": True, "model_to_load": "m"},
        {"transfer_learning": True, "model_to_load": "m"},
        {"starting_epoch": 4},
        {"model_to_load": "m", "unused_model_ok": True},
    ],
)
def test_explicit_flags_win(flags: dict[str, Any]) -> None:
    """A flag that says how to start begins a new attempt; only --resume auto beside it asks for the same one to go on."""
    start = start_rule(config(**flags), earlier(**flags))
    assert not start.resumes
    assert any("kept aside" in warning for warning in start.warnings)
    assert start_rule(config(resume="auto", **flags), earlier(**flags)).resumes
    assert not start_rule(config(resume="auto", **flags), earlier()).resumes


def test_of_many_changed_settings_the_first_are_named() -> None:
    """With ten settings changed the line names eight of them and counts the others."""
    changes = {"seed": 5, "batch_size": 3, "optimizer": "adam", "crop_factor": 0.2, "zoom_factor": 0.3, "rotate_by_angle": 7,
               "initial_learning_rate": 0.5, "max_per_class": 9, "ema_decay": 0.5, "freeze_backbone": True,
               "early_stopping_patience": 77}  # fmt: skip
    with pytest.raises(SettingError, match=r"and 2 more\); give") as caught:
        start_rule(config(**changes), earlier())
    assert str(caught.value).count(" → ") == 8
