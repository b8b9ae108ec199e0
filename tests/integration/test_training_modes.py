"""Training end to end on tiny coloured pictures: what is written, and every way to begin."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from camtrap_tf.errors import CamtrapError, LabelError, ModelError, RunLockedError, SettingError
from camtrap_tf.files import locked_folder
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.input_pipeline.shard_set import ShardSet
from camtrap_tf.labels import LabelMapping
from camtrap_tf.models.bundle import Bundle
from camtrap_tf.models.classifier import head_layers
from camtrap_tf.models.weights import weights_of
from camtrap_tf.training.loop import Training, epoch_batches
from camtrap_tf.training.plan import Plan
from camtrap_tf.training.train import train
from tests.unit.models.helpers import write_keras2_file
from tests.unit.training.helpers import make_config, run, write_dataset

FOX = LabelMapping.from_classes({"species": ["frog", "lion", "zebra"], "is/there": ["no", "yes"]})


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished training of two epochs: folders `run` and `save`."""
    out = tmp_path_factory.mktemp("trained")
    train(make_config(data, out))
    return out


def rows(folder: Path) -> list[dict[str, str]]:
    """Returns the rows of `training.log`."""
    with (folder / "training.log").open(newline="") as file:
        return list(csv.DictReader(file))


def test_everything_is_written(trained: Path) -> None:
    """A training leaves the files of a run, a bundle that is complete, and nothing half done."""
    names = {path.name for path in (trained / "run").iterdir()}
    assert {
        "config.yaml", "image_processing.json", "label_mappings.json", "model_best.keras", "training.log", "test_preds.json",
        "tensorboard", "run.json",
    } <= names  # fmt: skip
    assert not [name for name in names if "part" in name]
    assert [row["epoch"] for row in rows(trained / "run")] == ["1", "2"]
    assert {"loss", "val_loss", "label/species_accuracy", "val_label/is/there_loss", "lr"} <= rows(trained / "run")[0].keys()
    assert list((trained / "run" / "tensorboard").rglob("events.out.tfevents.*"))
    info = json.loads((trained / "save" / "bundle.json").read_text())
    assert info["epoch"] in (1, 2)
    assert info["backbone"]["name"] == "small_cnn"
    assert info["metrics"]["test"]["species"]["baseline"] == 0.5
    assert set(info["parents"]) == {"training", "validation", "test"}


def test_it_learns_colours(trained: Path) -> None:
    """Two epochs on two colours are enough to know them; missing labels were no obstacle."""
    info = json.loads((trained / "save" / "bundle.json").read_text())
    assert info["metrics"]["validation"]["species"]["accuracy"] > 0.8


def test_test_predictions(trained: Path) -> None:
    """Every test record is there with its labels, missing ones as -1, and probabilities of the bundle's best weights."""
    said = json.loads((trained / "run" / "test_preds.json").read_text())
    assert list(said) == [f"test{i}" for i in range(6)]
    assert said["test2"]["ground_truth"] == {"species": "lion", "is/there": "-1"}
    best = Bundle.read(trained / "save")
    values = best.probabilities(np.full((1, 24, 24, 3), (200, 160, 60), np.float32))["species"][0]
    assert float(said["test0"]["aggregated_pred"]["species"]["lion"]) == pytest.approx(values[0], abs=0.02)


def test_equal_seeds_equal_weights(data: Path, trained: Path, tmp_path: Path) -> None:
    """The same settings give the same log and the same weights; another seed gives others."""
    run(make_config(data, tmp_path / "same"))
    run(make_config(data, tmp_path / "other", seed=5, max_epochs=1))
    assert rows(tmp_path / "same" / "run") == rows(trained / "run")
    weights = [Bundle.read(folder / "save").model.get_weights() for folder in (trained, tmp_path / "same", tmp_path / "other")]
    assert all(np.array_equal(one, other) for one, other in zip(*weights[:2], strict=True))
    assert not all(np.array_equal(one, other) for one, other in zip(weights[0], weights[2], strict=True))


def test_continue_from_run_folder(data: Path, trained: Path, tmp_path: Path, messages: pytest.LogCaptureFixture) -> None:
    """Going on from a run folder takes its highest epoch, counts on, and restores optimiser and learning rate."""
    result = run(make_config(data, tmp_path, max_epochs=3, continue_training=True, model_to_load=trained / "run"))
    assert result.best_epoch == 3
    assert [row["epoch"] for row in rows(tmp_path / "run")] == ["3"]
    assert messages.text.count("chose model_epoch_02") == 1
    assert "learning rate 0.01, as before" in messages.text
    assert "begins anew: " not in messages.text


def test_continue_in_the_same_run_folder(data: Path, trained: Path, tmp_path: Path) -> None:
    """In the same run folder rows are added, counters go on, and the old model name is resolved."""
    shutil.copytree(trained, tmp_path / "t")
    out = tmp_path / "t"
    old_name = out / "run" / "model_epoch_02_loss_4.41.hdf5"
    result = run(make_config(data, out, max_epochs=3, continue_training=True, model_to_load=old_name))
    assert [row["epoch"] for row in rows(out / "run")] == ["1", "2", "3"]
    assert rows(out / "run")[:2] == rows(trained / "run")
    assert result.best_epoch in (1, 2, 3)


def test_given_learning_rate_is_honoured(data: Path, trained: Path, tmp_path: Path, messages: pytest.LogCaptureFixture) -> None:
    """A learning rate on the command line holds when going on."""
    run(make_config(
        data, tmp_path, max_epochs=3, continue_training=True, model_to_load=trained / "save" / "best_model.hdf5",
        initial_learning_rate=0.002, starting_epoch=2,
    ))  # fmt: skip
    assert float(rows(tmp_path / "run")[0]["lr"]) == pytest.approx(0.002)
    assert "taking model.keras" in messages.text


def test_nothing_left_to_do(data: Path, trained: Path, tmp_path: Path) -> None:
    """At the last epoch already: says so, writes nothing; an error where there is no bundle of that training either."""
    settings: dict[str, Any] = {"continue_training": True, "model_to_load": trained / "run"}
    result = run(make_config(data, trained, **settings))
    assert "2 epochs lie behind and --max-epochs is 2" in result.text()
    assert not (trained / "run" / "previous_1").exists()
    for changes in ({}, {"run_outputs_dir": trained / "run"}):
        with pytest.raises(SettingError, match="nothing to train, and no bundle of this training in --model-save-dir"):
            train(make_config(data, tmp_path, **settings, **changes))
    plan = train(make_config(data, tmp_path, **settings, dry_run=True))
    assert isinstance(plan, Plan)
    assert (plan.exit_code, "nothing to train" in plan.text()) == (2, True)
    assert not (tmp_path / "run").exists()


def test_transfer_freezes_the_backbone(trained: Path, tmp_path: Path, messages: pytest.LogCaptureFixture) -> None:
    """Transfer to more classes keeps the backbone as it was and lists what was added; scaling is the source's."""
    data = write_dataset(tmp_path / "tfr", mapping=FOX, classes=("lion", "frog"))
    run(make_config(data, tmp_path, labels=["species"], transfer_learning=True, model_to_load=trained / "save"))
    new, old = Bundle.read(tmp_path / "save"), Bundle.read(trained / "save")
    for one, other in zip(
        new.model.get_layer("backbone").get_weights(), old.model.get_layer("backbone").get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert new.preprocessing.image_means == old.preprocessing.image_means
    assert "head species   2 (lion, zebra) in another order  1 (frog)" in messages.text
    assert "head is/there" in messages.text
    assert "frozen" in messages.text
    assert new.labels == ("species",)


def test_transfer_of_all_layers(trained: Path, tmp_path: Path) -> None:
    """With all_layers the backbone is trained as well."""
    data = write_dataset(tmp_path / "tfr", mapping=FOX, classes=("lion", "frog"))
    settings: dict[str, Any] = {"transfer_learning": True, "transfer_learning_type": "all_layers", "max_epochs": 1}
    run(make_config(data, tmp_path, model_to_load=trained / "save", **settings))
    new, old = Bundle.read(tmp_path / "save"), Bundle.read(trained / "save")
    assert not np.array_equal(
        new.model.get_layer("backbone").get_weights()[0], old.model.get_layer("backbone").get_weights()[0]
    )


def test_continue_with_other_classes_needs_rebuild(trained: Path, tmp_path: Path) -> None:
    """Plain continuing refuses other classes; with --rebuild-model they are added."""
    data = write_dataset(tmp_path / "tfr", mapping=FOX, classes=("lion", "frog"))
    settings: dict[str, Any] = {"continue_training": True, "model_to_load": trained / "save", "max_epochs": 3}
    with pytest.raises(ModelError, match=r"added 1 \(frog\).*--rebuild-model"):
        train(make_config(data, tmp_path, **settings))
    run(make_config(data, tmp_path, rebuild_model=True, **settings))
    assert head_layers(Bundle.read(tmp_path / "save").model)["species"].units == 3


def test_new_attempt_keeps_the_old_one_aside(data: Path, tmp_path: Path) -> None:
    """With --resume off a training in a used run folder moves the old checkpoints and log away."""
    run(make_config(data, tmp_path, max_epochs=1, test_tfr_path=[]))
    before = (tmp_path / "run" / "training.log").read_bytes()
    run(make_config(data, tmp_path, max_epochs=1, seed=9, test_tfr_path=[], resume="off"))
    assert (tmp_path / "run" / "previous_1" / "training.log").read_bytes() == before
    assert len(list((tmp_path / "run").glob("model_epoch_*.keras"))) == 1


def test_batches_larger_than_the_data(data: Path, tmp_path: Path) -> None:
    """A data set smaller than a batch trains with a smaller batch, unless remainders are dropped on purpose."""
    assert run(make_config(data, tmp_path, batch_size=500, max_epochs=1)).best_epoch == 1
    with pytest.raises(SettingError, match="12 training records"):
        train(make_config(data, tmp_path / "other", batch_size=500, drop_remainder=True))


def test_steps_per_epoch_cross_passes(data: Path, tmp_path: Path) -> None:
    """Epochs of a given number of steps are cut out of whole passes: after three epochs of two steps all was seen twice."""
    config = make_config(data, tmp_path, n_batches_per_epoch_train=2, batch_size=4)
    work = Training.__new__(Training)
    work.specs, work.sampling = {}, None
    work.config, work.training = config, ShardSet.open([data], ["train"])
    work.preprocessing, work.mapping = Preprocessing(output_height=24, output_width=24), LabelMapping({})
    seen = [int(record) for epoch in range(3) for batch in epoch_batches(work, epoch) for record in batch["records"]]
    assert sorted(seen) == sorted([*range(12), *range(12)])
    assert sorted(seen[:12]) == list(range(12))


def test_loss_that_is_not_a_number(data: Path, tmp_path: Path) -> None:
    """A rate that is far too high ends with the step and the records, not with a useless model."""
    with pytest.raises(CamtrapError, match=r"not a number.*no checkpoint is there yet, --resume off begins anew"):
        train(make_config(data, tmp_path, optimizer="sgd", initial_learning_rate=1e30, max_epochs=8))
    assert not list((tmp_path / "run").glob("model_epoch_*"))
    assert not (tmp_path / "save" / "bundle.json").exists()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"labels": ["specis"]}, LabelError, "did you mean 'species'"),
        ({"model": "small_cn"}, SettingError, "did you mean 'small_cnn'"),
        ({"train_tfr_pattern": ["trian"]}, SettingError, "trian"),
        ({"val_tfr_path": ["/nowhere"]}, SettingError, "--val-tfr-path /nowhere"),
        ({"class_mapping_json": "/nowhere.json"}, CamtrapError, "no such label mapping"),
        ({"n_gpus": 4}, SettingError, "--n-gpus 4"),
        ({"weights": "/nowhere.h5"}, ModelError, "no such file"),
        ({"transfer_learning": True, "model_to_load": "/nowhere"}, ModelError, "--model-to-load /nowhere"),
    ],
)
def test_bad_settings_stop_before_any_work(
    data: Path, tmp_path: Path, changes: dict[str, Any], error: type[CamtrapError], message: str
) -> None:
    """Each mistake is one line, and nothing has been written; the plan says the same with exit code 2."""
    with pytest.raises(error, match=message):
        train(make_config(data, tmp_path, **changes))
    assert not (tmp_path / "run").exists()
    plan = train(make_config(data, tmp_path, dry_run=True, **changes))
    assert isinstance(plan, Plan)
    assert plan.exit_code == 2
    assert message.split("'")[-2 if "'" in message else -1].split()[-1] in plan.text()


def test_classes_that_the_mapping_lacks(data: Path, tmp_path: Path, messages: pytest.LogCaptureFixture) -> None:
    """Unknown classes are masked and reported; where none is known it is an error."""
    (tmp_path / "m.json").write_text(json.dumps({"species": {"lion": 0, "wolf": 1}, "is/there": {"no": 0, "yes": 1}}))
    run(make_config(data, tmp_path, class_mapping_json=tmp_path / "m.json", max_epochs=1))
    assert "training: 6 records have a class of 'species' that the label mapping lacks" in messages.text
    (tmp_path / "n.json").write_text(json.dumps({"species": {"elk": 0, "wolf": 1}, "is/there": {"no": 0, "yes": 1}}))
    with pytest.raises(LabelError, match="knows none of the classes"):
        train(make_config(data, tmp_path / "other", class_mapping_json=tmp_path / "n.json"))


def test_head_with_one_class(data: Path, tmp_path: Path, messages: pytest.LogCaptureFixture) -> None:
    """A label with one class is warned about and left out of the loss, the others are trained."""
    (tmp_path / "m.json").write_text(json.dumps({"species": {"lion": 0, "zebra": 1}, "is/there": {"yes": 0}}))
    run(make_config(data, tmp_path, class_mapping_json=tmp_path / "m.json", max_epochs=1))
    assert "'is/there' has one class" in messages.text
    assert "label/is/there_loss" not in rows(tmp_path / "run")[0]
    (tmp_path / "m.json").write_text(json.dumps({"species": {"lion": 0}, "is/there": {"yes": 0}}))
    with pytest.raises(CamtrapError, match="nothing to learn"):
        train(make_config(data, tmp_path / "other", class_mapping_json=tmp_path / "m.json"))


def test_folder_in_use(data: Path, tmp_path: Path) -> None:
    """Two trainings in one run folder: the second stops."""
    with locked_folder(tmp_path / "run"), pytest.raises(RunLockedError):
        train(make_config(data, tmp_path))


def test_plan_writes_nothing(data: Path, trained: Path, tmp_path: Path) -> None:
    """The plan tells inputs, labels, model, mode and epochs, and writes nothing."""
    plan = train(make_config(data, tmp_path, transfer_learning=True, model_to_load=trained / "save", dry_run=True))
    assert isinstance(plan, Plan)
    text = plan.text()
    for part in ("12 records", "lion 6, zebra 6", "small_cnn, input 24 × 24", "backbone frozen", "CPU:0", "epochs: 1 to 2"):
        assert part in text
    assert plan.exit_code == 0
    assert not (tmp_path / "run").exists()


def test_label_mapping_by_its_other_name(data: Path, tmp_path: Path, messages: pytest.LogCaptureFixture) -> None:
    """`label_mappings.json` is found as `label_mapping.json`, and the other way round, given or beside the shards."""
    plan = train(make_config(data, tmp_path, dry_run=True, class_mapping_json=data / "label_mappings.json"))
    assert isinstance(plan, Plan)
    assert plan.exit_code == 0
    assert "label_mappings.json: is not there; taking label_mapping.json in the same folder" in messages.text
    other = shutil.copytree(data, tmp_path / "tfr")
    (other / "label_mapping.json").rename(other / "label_mappings.json")
    plan = train(make_config(other, tmp_path, dry_run=True))
    assert isinstance(plan, Plan)
    assert plan.exit_code == 0
    assert "label_mapping.json: is not there; taking label_mappings.json in the same folder" in messages.text


def test_transfer_from_an_old_file(data: Path, trained: Path, tmp_path: Path, messages: pytest.LogCaptureFixture) -> None:
    """An HDF5 file of Keras 2 beside its two JSON files gives backbone by layer and heads by class, in another order too."""
    old = Bundle.read(trained / "save")
    order = [1, 0]  # its mapping numbers the classes the other way round
    layers = {}
    for name, arrays in weights_of(old.model).items():
        kind, _, number = name.partition("#")
        called = {"label__species": "label/species"}.get(name, f"{kind}_{int(number or 0) + 1}")
        if name != "label__is_there":
            arrays = [array[..., order] if name == "label__species" else array for array in arrays]
            layers[called] = [(f"{called}/{part}:0", one) for part, one in zip(("kernel", "bias"), arrays, strict=True)]
    write_keras2_file(tmp_path / "best_model.hdf5", layers)
    LabelMapping({"species": {"zebra": 0, "lion": 1}}).write(tmp_path / "label_mappings.json")
    old.preprocessing.write(tmp_path / "image_processing.json")
    run(make_config(
        data, tmp_path, transfer_learning=True, model_to_load=tmp_path / "best_model.hdf5", max_epochs=1,
        initial_learning_rate=1e-9,
    ))  # fmt: skip
    new = Bundle.read(tmp_path / "save")
    picture = np.full((1, 24, 24, 3), (200, 160, 60), np.float32)
    np.testing.assert_allclose(new.probabilities(picture)["species"], old.probabilities(picture)["species"], atol=1e-4)
    assert "head species   2 (lion, zebra)" in messages.text
