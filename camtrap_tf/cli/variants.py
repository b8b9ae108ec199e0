"""Commands that are another one under certain flags: `camtrap predict --split val` is `camtrap predict split`.

Also what the settings file of a command may be besides ours, and switches that stand for a value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from camtrap_tf.cli import animl_config
from camtrap_tf.cli.commands import COMMANDS, Command
from camtrap_tf.cli.flags import CONFIG_FLAG, Flag, Option, Value, flags_of
from camtrap_tf.cli.settings import read_yaml, yaml_keys

TRAIN_FILES = ("train", "files")
PREDICT_SPLIT = ("predict", "split")
_TRAINING_FLAGS = frozenset({"train_cct", "val_cct", "test_cct", "classification_csv", "splits", "label_index", "crops_dir"})

VARIANTS: Mapping[tuple[str, ...], tuple[tuple[str, ...], frozenset[str]]] = {
    ("train",): (TRAIN_FILES, _TRAINING_FLAGS),
    ("predict",): (PREDICT_SPLIT, frozenset({"split", "checkpoint", "run"})),
    ("evaluate",): (("evaluate", "results"), frozenset({"results", "cct"})),
}
"""Command → the command that it is where one of these settings is given."""

_SWITCHES = {"resume": "auto", "no_resume": "off"}
"""`--resume` and `--no-resume` alone, as Animl's training has them."""


def chosen(command: Command, options: Sequence[Option]) -> Command:
    """Returns the command that is meant: itself, or a variant of it.

    Raises:
        SettingError: the settings file cannot be read.
    """
    if command.words not in VARIANTS:
        return command
    words, keys = VARIANTS[command.words]
    path = config_path(options)
    in_file = yaml_keys(path) if path is not None else ()
    said = {*(option.key for option in options), *in_file}
    animls = words in (TRAIN_FILES, PREDICT_SPLIT) and animl_config.is_animl(in_file)
    if animls or keys & said - flags_of(command.model()).keys():
        return next(one for one in COMMANDS if one.words == words)
    return command


def config_path(options: Sequence[Option]) -> Path | None:
    """Returns the settings file that a command line names, if it names one."""
    return next((Path(option.values[0]) for option in options if option.key == CONFIG_FLAG and option.values), None)


def with_values(command: Command, options: Sequence[Option]) -> list[Option]:
    """Returns the options with values in the place of switches that stand for them."""
    if command.words[0] != "train":
        return list(options)
    return [
        replace(option, key="resume", values=[_SWITCHES[option.key]])
        if option.key in _SWITCHES and not option.values
        else option
        for option in options
    ]


def read_settings(
    command: Command, path: Path, flags: Mapping[str, Flag], given: Mapping[str, Value]
) -> tuple[dict[str, Value], list[str]]:
    """Returns the settings of a file, ours or Animl's, and what the user should know.

    Args:
        command: whose settings they are.
        path: the file.
        flags: settings of the command.
        given: what the command line says, which wins.

    Raises:
        SettingError: it cannot be read, or a key is unknown.
    """
    keys = yaml_keys(path)
    if command.words == TRAIN_FILES and animl_config.is_animl(keys):
        return animl_config.read_for_training(path, flags, given)
    if command.words == PREDICT_SPLIT and (animl_config.is_animl(keys) or "run_outputs_dir" in keys):
        training = next(one for one in COMMANDS if one.words == TRAIN_FILES)
        return animl_config.read_for_prediction(path, flags, flags_of(training.model()))
    return read_yaml(path, flags), []
