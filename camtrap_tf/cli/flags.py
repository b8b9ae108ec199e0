"""Flags of a settings model, and a command line cut into them.

The models say everything there is to know about a setting. Here their fields become flags; the tokens of a command
line become a dictionary that pydantic then checks, so that flags and YAML go through the very same checks and
`config.model_fields_set` tells which settings the user gave. (tyro shows the help of the same models; see `help`.)
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from camtrap_tf.errors import SettingError, suggestion

Value = str | bool | list[str] | None
"""What the user gave for one setting, before pydantic reads it."""

CONFIG_FLAG = "config"
_OPTION = re.compile(r"--?[A-Za-z]")
_ON = ("true", "yes", "on", "1")
_OFF = ("false", "no", "off", "0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One setting as a flag.

    Attributes:
        key: name of the field and YAML key, e.g. `batch_size`.
        kind: `switch` takes no value (and has a `--no-` form), `one` takes one, `many` one or more.
        types: what a value may be: types, `None` left out.
        choices: the names it may be, where it is (also) one of a list.
        optional: whether it may be None.
        required: whether it has no default.
        default: the default.
        description: help line.
    """

    key: str
    kind: Literal["switch", "one", "many"]
    types: tuple[type, ...]
    choices: tuple[str, ...]
    optional: bool
    required: bool
    default: Any
    description: str

    @property
    def name(self) -> str:
        """The flag as it is shown, e.g. `--batch-size`."""
        return "--" + self.key.replace("_", "-")


def flags_of(model: type[BaseModel]) -> dict[str, Flag]:
    """Returns the flags of a settings model by key, in the order of its fields."""
    return {key: _flag(key, info) for key, info in model.model_fields.items()}


def _flag(key: str, info: FieldInfo) -> Flag:
    members = list(_union_members(info.annotation))
    many = [member for member in members if typing.get_origin(member) is tuple]
    if many:
        members = list(_union_members(typing.get_args(many[0])[0]))
    choices = tuple(str(name) for member in members if typing.get_origin(member) is Literal for name in typing.get_args(member))
    plain = tuple(member for member in members if isinstance(member, type) and member is not types.NoneType)
    return Flag(
        key=key,
        kind="switch" if plain == (bool,) else "many" if many else "one",
        types=plain,
        choices=choices,
        optional=types.NoneType in members,
        required=info.is_required(),
        default=None if info.is_required() else info.default,
        description=info.description or "",
    )


def _union_members(annotation: Any) -> Iterator[Any]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        for member in typing.get_args(annotation):
            yield from _union_members(member)
    else:
        yield annotation


@dataclass(slots=True)
class Option:
    """A flag as written, and the values that follow it.

    Attributes:
        written: as typed, without `=value`, e.g. `--batch-size` or `-batch_size`; messages show it.
        key: the setting that is meant, in the form of a YAML key; `no_` before it switches it off.
        values: what follows, up to the next flag.
        inline: whether the first value was joined with `=`.
    """

    written: str
    key: str
    values: list[str] = field(default_factory=list)
    inline: bool = False

    @classmethod
    def from_token(cls, token: str) -> Option:
        """Cuts a token such as `--batch-size=8`."""
        written, equals, value = token.partition("=")
        return cls(written, written.lstrip("-").replace("-", "_"), [value] if equals else [], bool(equals))

    @property
    def single_dash(self) -> bool:
        """Whether it is a long flag with one dash, as camera-trap-classifier has them."""
        return not self.written.startswith("--") and len(self.written) > 2


def is_flag(token: str) -> bool:
    """Tells whether a token is a flag; negative numbers are not."""
    return _OPTION.match(token) is not None


def options_of(tokens: Iterable[str], *, command: str) -> list[Option]:
    """Cuts a command line into flags with their values.

    Raises:
        SettingError: it starts with something that is not a flag.
    """
    options: list[Option] = []
    for token in tokens:
        if is_flag(token):
            options.append(Option.from_token(token))
        elif options:
            options[-1].values.append(token)
        else:
            raise SettingError(
                f"{command}: unexpected {token!r}; every setting has a flag (`camtrap {command} --help` lists them)"
            )
    return options


def values_of(options: Sequence[Option], flags: dict[str, Flag], *, command: str) -> dict[str, Value]:
    """Returns what the flags say, by key; of a flag given twice the last one counts.

    Raises:
        SettingError: unknown flag, value missing, or one too many.
    """
    values: dict[str, Value] = {}
    for option in options:
        key, on = option.key, True
        if key not in flags and key.startswith("no_") and key[3:] in flags and flags[key[3:]].kind == "switch":
            key, on = key[3:], False
        if key not in flags and key != CONFIG_FLAG:
            raise SettingError(f"{command}: no flag {option.written}{_nearest_flag(option, flags)}")
        if key == CONFIG_FLAG:
            values[key] = _single(option, command)
        elif flags[key].kind == "switch":
            values[key] = _switch(option, on, command)
        elif flags[key].kind == "one":
            values[key] = _single(option, command)
        else:
            if not option.values:
                raise SettingError(f"{command}: {option.written} needs a value or more; {flags[key].description}")
            values[key] = option.values
    return values


def require_all(values: dict[str, Value], flags: dict[str, Flag], *, command: str) -> None:
    """Makes sure that nothing required is missing.

    Raises:
        SettingError: names everything that is missing.
    """
    missing = [flag.name for flag in flags.values() if flag.required and flag.key not in values]
    if missing:
        raise SettingError(f"{command} needs {', '.join(missing)} (`camtrap {command} --help` says what they are)")


def parse_switch(text: str) -> bool | None:
    """Returns the truth value that a text such as `true` or `no` stands for, None if it is not one."""
    lowered = text.lower()
    return True if lowered in _ON else False if lowered in _OFF else None


def _single(option: Option, command: str) -> str:
    if not option.values:
        raise SettingError(f"{command}: {option.written} needs a value")
    if len(option.values) > 1:
        raise SettingError(
            f"{command}: unexpected {option.values[1]!r} after {option.written} {option.values[0]}; it takes one value"
        )
    return option.values[0]


def _switch(option: Option, on: bool, command: str) -> bool:
    if option.inline and len(option.values) == 1:
        said = parse_switch(option.values[0])
        if said is None:
            raise SettingError(f"{command}: {option.written}={option.values[0]}: say true or false")
        return said == on
    if option.values:
        raise SettingError(f"{command}: unexpected {option.values[0]!r} after {option.written}, which takes no value")
    return on


def _nearest_flag(option: Option, flags: dict[str, Flag]) -> str:
    names = [flag.name for flag in flags.values()] + ["--" + CONFIG_FLAG]
    names += ["--no-" + flag.name[2:] for flag in flags.values() if flag.kind == "switch"]
    hint = suggestion("--" + option.key.replace("_", "-"), names)
    return hint if "did you mean" in hint else f"; `--help` lists the {len(flags) + 1} there are"


def type_name(flag: Flag) -> str:
    """Returns what a value of this flag is, in plain words, e.g. `whole number` or `one of a, b`."""
    names = {int: "a whole number", float: "a number", Path: "a path", str: "a text", bool: "a switch"}
    parts = [", ".join(flag.choices)] if flag.choices else []
    parts += [names.get(kind, kind.__name__) for kind in flag.types]
    return " or ".join(parts)
