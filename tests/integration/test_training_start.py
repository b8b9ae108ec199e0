"""The same command again in a used run folder, and what stands in its way."""

import csv
import errno
import json
import shutil
from pathlib import Path
from typing import Any

import keras
import pytest
import yaml

from camtrap_tf.config.doctor import DoctorConfig
from camtrap_tf.errors import CamtrapError, DatasetError, LabelError, ModelError, SettingError
from camtrap_tf.input_pipeline.shard_set import ShardSet
from camtrap_tf.models.locating import epoch_of
from camtrap_tf.training.checkpoints import Position, listed
from camtrap_tf.training.doctor import examine
from camtrap_tf.training.plan import Plan
from camtrap_tf.training.step import Stepper
from camtrap_tf.training.train import train
from tests.unit.training.helpers import make_config, run, write_dataset


@pytest.fixture(scope="module")
def once(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished training of one epoch: folders `run` and `save`."""
    out = tmp_path_factory.mktemp("once")
    train(make_config(data, out, max_epochs=1))
    return out


@pytest.fixture
def used(once: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(once, tmp_path / "used"))


def epochs(folder: Path) -> list[str]:
    """Returns the epochs in `metrics.csv`."""
    with (folder / "run" / "metrics.csv").open(newline="") as file:
        return [row["epoch"] for row in csv.DictReader(file)]


def test_finished_already(data: Path, used: Path) -> None:
    """The same command after the end says so, with the scores, and writes nothing."""
    before = {path: path.stat().st_mtime_ns for path in used.rglob("*") if path.is_file() and path.name != ".lock"}
    result = run(make_config(data, used, max_epochs=1))
    assert "finished already" in result.text()
    assert "validation species: accuracy" in result.text()
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_bundle_that_is_gone(data: Path, used: Path) -> None:
    """A finished training whose bundle is not there writes it again."""
    shutil.rmtree(used / "save")
    run(make_config(data, used, max_epochs=1))
    assert (used / "save" / "bundle.json").is_file()


def test_more_epochs(data: Path, used: Path, messages: pytest.LogCaptureFixture) -> None:
    """With a higher --max-epochs a finished training goes on."""
    plan = train(make_config(data, used, max_epochs=2, dry_run=True))
    assert isinstance(plan, Plan)
    assert "going on from the end of epoch 1" in plan.text()
    assert "epochs: 2 to 2" in plan.text()
    run(make_config(data, used, max_epochs=2))
    assert epochs(used) == ["1", "2"]
    assert listed(used / "run")[0] == Position(2)
    assert json.loads((used / "run" / "finished.json").read_text())["early"] is False


def test_other_settings(data: Path, used: Path) -> None:
    """Other settings are an error that lists them, in the plan too; --resume off keeps the old state aside."""
    with pytest.raises(SettingError, match=r"seed: 123 → 9"):
        train(make_config(data, used, seed=9))
    plan = train(make_config(data, used, seed=9, batch_size=4, dry_run=True))
    assert isinstance(plan, Plan)
    assert plan.exit_code == 2
    assert "batch_size: 5 → 4; seed: 123 → 9" in plan.text()
    assert not (used / "run" / "previous_1").exists()


def test_explicit_flags_begin_anew(data: Path, used: Path, messages: pytest.LogCaptureFixture) -> None:
    """With --transfer-learning a new attempt begins, and the checkpoints of the old one are kept aside."""
    model = Path(shutil.copytree(used / "save", used / "model"))
    run(make_config(data, used, max_epochs=1, transfer_learning=True, model_to_load=model))
    aside = used / "run" / "previous_1"
    assert yaml.safe_load((aside / "config.yaml").read_text())["transfer_learning"] is False
    assert "kept aside" in messages.text
    assert (used / "run" / "previous_1" / "checkpoints" / f"{Position(1).name}.npz").is_file()
    assert [path.name for path in (used / "run" / "checkpoints").glob("*.npz")] == [f"{Position(1).name}.npz"]
    run(make_config(data, used, max_epochs=2, continue_training=True, model_to_load=aside))
    assert epochs(used) == ["2"]
    assert "learning rate 0.01, as before" in messages.text
    # models of the attempt in between are not mistaken for those of the one that was gone on with
    assert len(list((used / "run" / "previous_2").glob("model_epoch_01*.keras"))) == 1
    assert not list((used / "run").glob("model_epoch_01*.keras"))


def test_data_at_another_place(data: Path, used: Path, tmp_path: Path) -> None:
    """The same shards and mapping under another path are gone on with, and a note says so; with a changed byte they are not."""
    moved = Path(shutil.copytree(data, tmp_path / "mount" / "tfr"))
    settings: dict[str, Any] = {"class_mapping_json": moved / "label_mapping.json", "max_epochs": 2, "dry_run": True}
    plan = train(make_config(moved, used, **settings))
    assert isinstance(plan, Plan)
    assert (plan.exit_code, "going on from the end of epoch 1" in plan.text()) == (0, True)
    assert "other paths than before, to the same: train_tfr_path" in plan.text()
    shard = moved / "val_001-of-001.tfrecord"
    content = bytearray(shard.read_bytes())
    content[-9] ^= 1
    shard.write_bytes(content)
    plan = train(make_config(moved, used, **settings))
    assert isinstance(plan, Plan)
    assert "validation shards have changed" in plan.text()


def test_shard_that_is_not_what_its_manifest_says(data: Path, used: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard that has changed below its manifest stops a training from going on, and is named."""
    states = json.loads((used / "run" / "shards.json").read_text())
    asked = []

    def changed(self: ShardSet, before: list[list[int]]) -> list[Path]:
        """Remembers what it was asked, and names the first shard."""
        asked.append(before)
        return [self.shards[0]]

    monkeypatch.setattr(ShardSet, "changed", changed)
    with pytest.raises(DatasetError, match=r"train_001-of-001\.tfrecord: this training shard has changed"):
        train(make_config(data, used, max_epochs=2))
    assert asked == [states["training"]]


def test_no_sound_checkpoint(data: Path, used: Path) -> None:
    """Where all checkpoints are damaged or gone the same command is refused, however often; models and bundle stay."""
    for file in (used / "run" / "checkpoints").glob("*.npz"):
        file.write_bytes(b"x")
    before = {path: path.stat().st_mtime_ns for path in used.rglob("*.keras")}
    for _ in range(2):
        with pytest.raises(CamtrapError, match=r"none of the 1 checkpoints is sound; give --continue-training"):
            train(make_config(data, used, max_epochs=2))
    shutil.rmtree(used / "run" / "checkpoints")
    for _ in range(2):
        with pytest.raises(SettingError, match=r"has lost checkpoints.*--continue-training --model-to-load .*--resume off"):
            train(make_config(data, used, max_epochs=2))
    assert {path: path.stat().st_mtime_ns for path in used.rglob("*.keras")} == before


def test_label_that_the_shards_lack(data: Path, tmp_path: Path) -> None:
    """A label type that only the mapping has is the same one line in training, plan and doctor."""
    mapping = {"species": {"lion": 0, "zebra": 1}, "sex": {"f": 0, "m": 1}}
    (tmp_path / "m.json").write_text(json.dumps(mapping))
    settings: dict[str, Any] = {"labels": ["species", "sex"], "class_mapping_json": tmp_path / "m.json"}
    message = "--labels sex: the shards have no such label type"
    with pytest.raises(LabelError, match=message):
        train(make_config(data, tmp_path, **settings))
    plan = train(make_config(data, tmp_path, dry_run=True, **settings))
    assert isinstance(plan, Plan)
    assert (plan.exit_code, plan.text().count(message)) == (2, 1)
    config = make_config(data, tmp_path, **settings)
    said = examine(
        DoctorConfig(**{key: getattr(config, key) for key in config.model_fields_set if key in DoctorConfig.model_fields})
    )
    assert (said.exit_code, said.text().count(message)) == (2, 1)


def test_changed_shards(tmp_path: Path) -> None:
    """Shards or classes that have changed since the run began stop it from going on."""
    data = write_dataset(tmp_path / "tfr")
    settings: dict[str, Any] = {"test_tfr_path": []}
    run(make_config(data, tmp_path, max_epochs=1, **settings))
    mapping = data / "label_mapping.json"
    kept = mapping.read_text()
    mapping.write_text(json.dumps({"species": {"lion": 1, "zebra": 0}, "is/there": {"no": 0, "yes": 1}}))
    with pytest.raises(LabelError, match="label mapping has changed"):
        train(make_config(data, tmp_path, max_epochs=2, **settings))
    mapping.write_text(kept)
    shutil.copyfile(data / "test_001-of-001.tfrecord", data / "val_001-of-001.tfrecord")
    with pytest.raises(DatasetError, match="validation shards have changed"):
        train(make_config(data, tmp_path, max_epochs=2, **settings))


def test_disk_full_at_the_end_of_an_epoch(data: Path, used: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a model cannot be written, one line says so; the checkpoint before stays, and the same command goes on."""

    def full(*_: Any, **__: Any) -> None:
        """Fails like a full disk."""
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(keras.Model, "save", full)
        with pytest.raises(CamtrapError, match=r"No space left on device.*the last checkpoint stays"):
            train(make_config(data, used, max_epochs=2))
    assert listed(used / "run")[0] == Position(1)
    run(make_config(data, used, max_epochs=2))
    assert epochs(used) == ["1", "2"]


def test_not_a_number_leaves_the_last_checkpoint(data: Path, used: Path, messages: pytest.LogCaptureFixture) -> None:
    """When the loss is not a number any more, the message names records, the log all of the batch, and what stays is sound."""
    true_step = Stepper.train

    def spoilt(self: Stepper, batch: Any) -> Any:
        """Takes a step whose loss is not a number."""
        return true_step(self, batch) * float("nan")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Stepper, "train", spoilt)
        said = r"not a number \(records train\d+.*; the checkpoint of the end of epoch 1 stays, --continue-training"
        with pytest.raises(CamtrapError, match=said):
            train(make_config(data, used, max_epochs=2, checkpoint_every_steps=1))
    assert listed(used / "run")[0] == Position(1)
    assert "records of the batch whose loss is not a number: train" in messages.text


@pytest.mark.parametrize("kept", ["all", "best_last"])
def test_kept_epochs(data: Path, tmp_path: Path, kept: str) -> None:
    """All model files of epochs stay, or the best and the last."""
    settings: dict[str, Any] = {"max_epochs": 3, "test_tfr_path": [], "early_stopping_patience": 0}
    run(make_config(data, tmp_path, keep_epochs=kept, optimizer="sgd", **settings))
    best = json.loads((tmp_path / "run" / "finished.json").read_text())["best_epoch"]
    expected = {1, 2, 3} if kept == "all" else {best, 3}
    assert {epoch_of(path.name) for path in (tmp_path / "run").glob("model_epoch_*.keras")} == expected


def test_foreign_model_with_code(data: Path, once: Path, tmp_path: Path) -> None:
    """A .keras file with a Lambda layer is refused, not run."""
    images = keras.Input((24, 24, 3), name="images")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Lambda(lambda x: x * 2.0)(images))
    keras.Model(images, {"species": keras.layers.Dense(2)(pooled)}).save(tmp_path / "foreign.keras")
    with pytest.raises(ModelError, match="holds code"):
        train(make_config(data, tmp_path, transfer_learning=True, model_to_load=tmp_path / "foreign.keras"))


def test_model_file_alone(data: Path, once: Path, tmp_path: Path) -> None:
    """Of a model of others the message says that; of one of ours, what belongs beside it, which then helps."""
    images = keras.Input((24, 24, 3), name="images")
    pooled = keras.layers.GlobalAveragePooling2D()(images)
    keras.Model(images, {"species": keras.layers.Dense(2)(pooled)}).save(tmp_path / "foreign.keras")
    (folder := tmp_path / "alone").mkdir()
    shutil.copyfile(once / "save" / "model.keras", folder / "m.keras")
    settings: dict[str, Any] = {"transfer_learning": True, "dry_run": True}
    plans = [
        train(make_config(data, tmp_path, model_to_load=path, **settings))
        for path in (tmp_path / "foreign.keras", folder / "m.keras")
    ]
    said = [plan.problems[0] for plan in plans if isinstance(plan, Plan)]
    assert "foreign.keras: not a model of camtrap train" in said[0]
    assert f"--weights {tmp_path / 'foreign.keras'}" in said[0]
    assert "no label_mappings.json and no image_processing.json beside m.keras; copy" in said[1]
    assert "--class-mapping-json" not in said[1]
    for name in ("label_mappings.json", "image_processing.json"):
        shutil.copyfile(once / "save" / name, folder / name)
    plan = train(make_config(data, tmp_path, model_to_load=folder / "m.keras", **settings))
    assert isinstance(plan, Plan)
    assert plan.problems == ()


def test_going_on_after_stopping_early(data: Path, tmp_path: Path, messages: pytest.LogCaptureFixture) -> None:
    """A training that stopped early stays so under more epochs, says how to go on, and goes on that way for its patience."""
    settings: dict[str, Any] = {
        "early_stopping_patience": 2, "reduce_lr_on_plateau_patience": 0, "initial_learning_rate": 1e-12, "test_tfr_path": [],
        "monitor": "accuracy/species",
    }  # fmt: skip
    run(make_config(data, tmp_path, **settings, max_epochs=9))  # at that rate nothing changes
    before = json.loads((tmp_path / "run" / "finished.json").read_text())
    assert before["early"]
    assert epochs(tmp_path) == ["1", "2", "3"]
    again = run(make_config(data, tmp_path, **settings, max_epochs=12))
    assert f"add --continue-training --model-to-load {tmp_path / 'run'}, with --max-epochs above 3" in again.text()
    plan = train(make_config(data, tmp_path, **settings, max_epochs=12, dry_run=True))
    assert "stopped after epoch 3" in plan.text()
    assert "ready to start" not in plan.text()
    told = {"continue_training": True, "model_to_load": tmp_path / "run", "max_epochs": 12}
    run(make_config(data, tmp_path, **settings, **told))
    assert "patience is counted anew" in messages.text
    assert epochs(tmp_path) == ["1", "2", "3", "4", "5"]
    assert json.loads((tmp_path / "run" / "finished.json").read_text())["best_epoch"] == 1
