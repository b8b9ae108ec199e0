"""Help texts: the list of commands is ours, the flags of a command are shown by tyro from its settings model."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, create_model

from camtrap_tf.cli.commands import Command, group, verbs
from camtrap_tf.cli.flags import CONFIG_FLAG, Flag, flags_of

_CONFIG_HELP = "YAML file with settings by name (batch_size: 32); flags win over it"


def overview() -> str:
    """Returns the list of all commands, one line each."""
    lines = ["usage: camtrap <command> [flags]", "", "Labelled pictures in, a model that answers over HTTP out.", ""]
    for verb in verbs():
        lines += [_line(member) for member in group(verb)]
    lines += [
        f"  {'legacy':<30} Run a command of camera-trap-classifier or Animl as it was written: legacy train -batch_size 8 …",
        "",
        "A group without its second word means the first of the group: `camtrap dataset` is `camtrap dataset create`.",
        "`camtrap <command> --help` shows the flags of a command, `camtrap --version` the version.",
    ]
    return "\n".join(lines)


def _line(command: Command) -> str:
    return f"  {command.name:<30} {command.summary()}"


def group_overview(verb: str) -> str:
    """Returns the list of the commands of one group."""
    lines, first = [_line(member) for member in group(verb)], group(verb)[0].name
    below = f"flags of `camtrap {verb}` itself:" if first == verb else f"`camtrap {verb}` alone is `camtrap {first}`:"
    return "\n".join(["commands:", *lines, "", below, ""])


def print_help(command: Command) -> None:
    """Prints the flags of a command."""
    import tyro

    with contextlib.suppress(SystemExit):
        tyro.cli(shown_model(command.model()), prog=f"camtrap {command.name}", args=["--help"])


def shown_model(model: type[BaseModel]) -> type[BaseModel]:
    """Returns the settings model with the flags that every command has, and with defaults said once.

    A default of None says nothing to a reader; the description of such a setting says what happens instead.
    """
    import tyro

    fields: dict[str, Any] = {}
    for key, flag in flags_of(model).items():
        info = model.model_fields[key]
        said = "required" if flag.required else default_text(flag)
        hint = f"({'default: ' * (not flag.required)}{said})" if said else ""
        metavar = {"switch": None, "one": _metavar(flag), "many": f"{_metavar(flag)} …"}[flag.kind]
        annotation = info.annotation
        if flag.kind == "switch" and flag.optional:  # shown like every other switch, with its `--no-` form
            annotation, info = bool, Field(False, description=info.description)
        fields[key] = (Annotated[annotation, tyro.conf.arg(help_behavior_hint=hint, metavar=metavar)], info)
    fields[CONFIG_FLAG] = (
        Annotated[Path | None, tyro.conf.arg(help_behavior_hint="", metavar="FILE")],
        Field(None, description=_CONFIG_HELP),
    )
    shown = create_model(model.__name__, __base__=model, **fields)
    shown.__doc__ = model.__doc__
    return shown


def default_text(flag: Flag) -> str:
    """Returns a default as it is typed; nothing for defaults that the description explains (None, none given, off)."""
    if flag.kind == "switch":
        return "on" if flag.default else ""
    if isinstance(flag.default, tuple):
        return " ".join(str(item) or repr(item) for item in flag.default)
    return "" if flag.default is None else str(flag.default)


def _metavar(flag: Flag) -> str:
    names = {int: "INT", float: "FLOAT", Path: "PATH", str: "TEXT"}
    return "|".join([*flag.choices, *(names.get(kind, kind.__name__.upper()) for kind in flag.types)])
