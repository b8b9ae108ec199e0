"""Recipes: what they say, and what wins over them."""

from pathlib import Path

import pytest

from camtrap_tf.config.training import TrainConfig
from camtrap_tf.errors import SettingError
from camtrap_tf.training.callbacks import Flat
from camtrap_tf.training.recipes import recipe_names, recipe_of, recipe_settings, recipe_text, with_recipe
from camtrap_tf.training.schedules import Thaw, rate_shape


def config_with(**changes: object) -> TrainConfig:
    """Returns settings that leave everything to the recipe but what is given here and what is required."""
    required = {"train_tfr_path": ["t"], "val_tfr_path": ["v"], "labels": ["species"], "model": "small_cnn"}
    return TrainConfig.model_validate({**required, "run_outputs_dir": "r", "model_save_dir": "s", **changes})


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_makes_settings(name: str) -> None:
    """Each recipe that comes along is a set of valid settings, all of which are taken over."""
    config = with_recipe(config_with(recipe=name))
    for key, written in recipe_settings(name).items():
        value = getattr(config, key)
        expected = TrainConfig.model_validate({**dict(config_with()), key: written})
        assert value == getattr(expected, key)
    assert config.recipe == name


def test_recipes_that_come_along() -> None:
    """The recipes that people know by name are there."""
    assert {"finetune", "legacy", "animl", "plantnet"} <= set(recipe_names())


def test_default_recipe() -> None:
    """Trained weights, of a file or a model, mean fine-tuning, everything else camera-trap-classifier's way."""
    assert recipe_of(config_with()) == "legacy"
    assert recipe_of(config_with(weights="w.h5")) == "finetune"
    assert recipe_of(config_with(transfer_learning=True, model_to_load="m")) == "finetune"
    assert recipe_of(config_with(transfer_learning=True, recipe="legacy", model_to_load="m")) == "legacy"


@pytest.mark.parametrize("weights", ["none", "w.h5"])
def test_going_on_keeps_the_recipe(weights: str) -> None:
    """The same command with --continue-training trains by the recipe that it had without."""
    going_on = config_with(weights=weights, continue_training=True, model_to_load="m")
    assert recipe_of(going_on) == recipe_of(config_with(weights=weights))


def test_other_recipes_of_default_settings() -> None:
    """A recipe by name wins over what weights would mean."""
    assert recipe_of(config_with(weights="w.h5", recipe="animl")) == "animl"


def test_what_the_user_gave_wins() -> None:
    """A setting of the user's stays, also where it equals the default; the recipe fills in the rest."""
    config = with_recipe(config_with(recipe="finetune", max_epochs=70))
    assert config.max_epochs == 70
    assert config.optimizer == "adamw"
    assert "max_epochs" in config.model_fields_set
    assert "optimizer" not in config.model_fields_set


def test_applying_a_recipe_twice_changes_nothing() -> None:
    """Settings that a recipe filled in come out as they are."""
    once = with_recipe(config_with(recipe="finetune", dropout=0.4))
    assert with_recipe(once) == once


def test_legacy_is_what_an_older_call_gets() -> None:
    """The settings of camera-trap-classifier: 70 epochs, SGD at 0.01, patience 3 and 2, all colours."""
    config = with_recipe(config_with())
    assert (config.max_epochs, config.optimizer, config.initial_learning_rate) == (70, "sgd", 0.01)
    assert (config.early_stopping_patience, config.reduce_lr_on_plateau_patience) == (3, 2)
    assert (config.color_augmentation, config.batch_size) == ("full_randomized", 128)


def test_plateau_of_plantnet() -> None:
    """As PyTorch has it by default: 10 bad epochs are allowed, no cooldown, no least rate, a threshold relative to the loss."""
    flat = Flat.from_config(with_recipe(config_with(recipe="plantnet")))
    assert (flat.patience - 1, flat.cooldown, flat.min_rate, flat.relative) == (10, 0, 0.0, True)
    assert Flat.from_config(with_recipe(config_with())) == Flat(patience=2, cooldown=1, min_rate=1e-5, relative=False)


@pytest.mark.parametrize("name", [name for name in recipe_names() if name not in ("finetune", "legacy")])
def test_recipes_of_other_programs_say_what_differs(name: str) -> None:
    """A recipe that is printed says in its head what its program does that the settings do not."""
    assert "# What differs from it:\n# - " in recipe_text(name)


def test_own_recipe(tmp_path: Path) -> None:
    """A printed recipe, edited, is a recipe; texts such as 1e-4 and off are read as settings read them."""
    file = tmp_path / "mine.yaml"
    file.write_text(recipe_text("finetune") + "\nprecision: mixed_bfloat16\njit-compile: off\n")
    config = with_recipe(config_with(recipe=str(file)))
    assert (config.jit_compile, config.precision, config.optimizer) == ("off", "mixed_bfloat16", "adamw")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("optimiser: sgd\n", "'optimiser' cannot stand in a recipe; did you mean 'optimizer'"),
        ("recipe: legacy\n", "'recipe' cannot stand in a recipe"),
        ("dropout: 2\n", "dropout"),
        ("- a\n", "not a list of"),
        ("a: [\n", "not YAML"),
    ],
)
def test_bad_recipes(tmp_path: Path, text: str, said: str) -> None:
    """What is wrong with a recipe is said in one line that names it."""
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(SettingError, match=said):
        with_recipe(config_with(recipe=str(file)))


def test_unknown_recipe() -> None:
    """A name that is no recipe is answered with the nearest one."""
    with pytest.raises(SettingError, match="did you mean 'finetune'"):
        with_recipe(config_with(recipe="finetun"))
    with pytest.raises(SettingError, match="cannot be read"):
        with_recipe(config_with(recipe="absent.yaml"))


@pytest.mark.parametrize(
    ("changes", "monitor"),
    [
        ({}, "weighted_loss"),
        ({"recipe": "animl-efficientnet"}, "weighted_accuracy"),
        ({"recipe": "animl-efficientnet", "head_types": ["species=sigmoid"]}, "macro_f1"),
        ({"head_types": ["species=sigmoid"]}, "loss"),
        ({"head_types": ["species=sigmoid"], "labels": ["species", "count"]}, "weighted_loss"),
        ({"monitor": "accuracy/species"}, "accuracy/species"),
        ({"monitor": "loss"}, "loss"),
    ],
)
def test_best_epoch_under_equal_classes(changes: dict, monitor: str) -> None:
    """With `--label-weighted` the best epoch goes by the weighted score that the heads have, unless the user says another."""
    config = with_recipe(config_with(label_weighted=True, **changes))
    assert config.monitor == monitor
    assert with_recipe(config).monitor == monitor


def test_without_equal_classes_the_recipe_says_what_is_best() -> None:
    """Other ways to draw examples leave it at the recipe's score."""
    assert with_recipe(config_with(sampling="balanced", recipe="animl-efficientnet")).monitor == "accuracy"


@pytest.mark.parametrize(
    ("max_epochs", "first_epochs"), [(12, [4, 4, 5, 5]), (50, [4, 4, 5, 5]), (6, [2, 2, 2, 2]), (3, [1] * 4), (2, [1] * 4)]
)
def test_short_trainings_reach_every_stage(max_epochs: int, first_epochs: list[int]) -> None:
    """Heads alone and thawing take half of the epochs at most, so that all of the backbone is trained for some of them."""
    config = with_recipe(config_with(recipe="finetune", max_epochs=max_epochs))
    thaw = Thaw.from_config(config)
    assert [thaw.first_epoch(block) for block in range(4)] == first_epochs
    warmup = rate_shape(config, "adamw", epochs=max_epochs, epoch_steps=100).warmup_steps
    assert warmup == round(100 * min(1, max_epochs / 12))


def test_stages_that_were_asked_for_stay() -> None:
    """Epochs of the heads that the user gave are kept, also where they are all there are."""
    thaw = Thaw.from_config(with_recipe(config_with(recipe="finetune", max_epochs=3, head_epochs=3)))
    assert (thaw.head_epochs, thaw.unfreeze_epochs) == (3, 2)
