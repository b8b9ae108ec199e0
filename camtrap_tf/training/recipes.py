"""Recipes: YAML files of training settings to begin with. Flags and `--config` win over them, they over the defaults."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from camtrap_tf.config.optimisation import SCORES_OF, RecipeConfig
from camtrap_tf.config.training import TrainConfig
from camtrap_tf.errors import SettingError, suggestion
from camtrap_tf.models.choice import has_weights

_SUFFIX = ".yaml"
_NOTHING = ("", "null", "~")


def recipe_names() -> tuple[str, ...]:
    """Returns the recipes that come along."""
    found = (entry.name for entry in resources.files(__package__).joinpath("recipes").iterdir())
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in found if name.endswith(_SUFFIX)))


def recipe_text(recipe: str) -> str:
    """Returns the YAML of a recipe, by name or path.

    Raises:
        SettingError: there is no such recipe, or its file cannot be read.
    """
    if recipe in recipe_names():
        return resources.files(__package__).joinpath("recipes", recipe + _SUFFIX).read_text(encoding="utf-8")
    path = Path(recipe)
    if not recipe.endswith((_SUFFIX, ".yml")):
        raise SettingError(f"--recipe {recipe}: no such recipe{suggestion(recipe, recipe_names())}, or a YAML file")
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as err:
        raise SettingError(f"--recipe {recipe}: cannot be read ({getattr(err, 'strerror', None) or err})") from err


def recipe_settings(recipe: str) -> dict[str, Any]:
    """Returns the settings of a recipe as they are written, by key: texts, lists of texts and None.

    Raises:
        SettingError: it cannot be read, or has something that is no setting of training.
    """
    text = recipe_text(recipe)
    try:
        values = yaml.load(text, Loader=yaml.BaseLoader)  # texts alone: `off` and 1e-4 stay what they are
    except yaml.YAMLError as err:
        raise SettingError(f"--recipe {recipe}: not YAML; write `key: value` lines") from err
    if values is None or values == "":
        return {}
    if not isinstance(values, dict):
        raise SettingError(f"--recipe {recipe}: not a list of `key: value` lines")
    settings = {str(key).replace("-", "_"): None if value in _NOTHING else value for key, value in values.items()}
    for key in settings:
        if key not in TrainConfig.model_fields or key == "recipe":
            hint = "" if key == "recipe" else suggestion(key, TrainConfig.model_fields)
            raise SettingError(f"--recipe {recipe}: {key!r} cannot stand in a recipe{hint}")
    return settings


def recipe_of(config: TrainConfig) -> str:
    """Returns the recipe to begin with: as given, else `finetune` where there are trained weights, else `legacy`.

    Trained weights are `--weights`, or with `--transfer-learning` those of a model. `--continue-training` is told by what the
    same command says without it, so that a training goes on by the recipe it began with. Commands in the older spelling that
    transfer or continue come here with `legacy` given.
    """
    if config.recipe is not None:
        return config.recipe
    return "finetune" if config.transfer_learning or has_weights(config.model, config.weights) else "legacy"


def with_recipe(config: TrainConfig) -> TrainConfig:
    """Returns the settings with the recipe's in the place of defaults.

    `model_fields_set` still holds what the user gave; settings that went through here once come out as they are.

    Raises:
        SettingError: the recipe cannot be used, or does not go together with what the user gave.
    """
    recipe = recipe_of(config)
    given = {key: getattr(config, key) for key in config.model_fields_set if key != "recipe"}
    try:
        whole = TrainConfig.model_validate({**recipe_settings(recipe), **given, "recipe": recipe})
        if whole.label_weighted and "monitor" not in config.model_fields_set:
            whole = whole.model_copy(update={"monitor": weighted_monitor(whole)})
    except ValidationError as err:
        problem = err.errors(include_url=False)[0]
        where = f"{problem['loc'][0]}: " if problem["loc"] else ""
        raise SettingError(f"--recipe {recipe}: {where}{problem['msg'].removeprefix('Value error, ')}") from err
    return TrainConfig.model_construct(_fields_set=set(config.model_fields_set), **dict(whole))


def weighted_monitor(config: TrainConfig) -> str:
    """Returns the score that stands for `--monitor` where all classes are to weigh the same.

    Training then sees all classes equally often, and what is best is judged alike. Sigmoid heads have no weighted accuracy,
    but F1 over classes; their loss is a mean over classes already.

    Source: `train_classifier.py` of MegaDetector's classification tools, `--label-weighted`.
    """
    metric, sign, label = config.monitor.partition("/")
    kinds = {config.head_type(one) for one in ((label,) if label else config.labels)}
    if metric == "accuracy" and kinds == {"sigmoid"}:
        return f"macro_f1{sign}{label}"
    weighted = f"weighted_{metric}"
    return f"{weighted}{sign}{label}" if any(weighted in SCORES_OF[kind] for kind in kinds) else config.monitor


class Recipe:
    """A recipe to print."""

    def __init__(self, text: str) -> None:
        self._text = text

    def text(self) -> str:
        """Returns the YAML."""
        return self._text.rstrip("\n")


def print_recipe(config: RecipeConfig) -> Recipe:
    """Returns the YAML of a recipe, to be copied and edited.

    Raises:
        SettingError: there is no such recipe.
    """
    return Recipe(recipe_text(config.name))
