"""What the scripts of Animl and of MegaDetector's classification tools take, and reading a call of one of them.

Each script is a tuple of arguments with what becomes of them; argparse, which the scripts use themselves, reads the calls, so
that beginnings, `--flag=value` and words in any order mean what they meant there.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from camtrap_tf.errors import SettingError, suggestion


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a script.

    Attributes:
        names: flags, or the name of a positional word.
        becomes: what it is here.
        takes: `one` value, `many`, a `switch`, or `maybe` one.
        required: whether the script insists on it.
        count: how many values, where that is fixed.
    """

    names: tuple[str, ...]
    becomes: str
    takes: Literal["one", "many", "switch", "maybe"] = "one"
    required: bool = False
    count: int | None = None

    @property
    def key(self) -> str:
        """Under which its value is found."""
        longest = next((name for name in self.names if name.startswith("--")), self.names[0])
        return longest.lstrip("-").replace("-", "_")


@dataclass(frozen=True, slots=True)
class Given:
    """A call of a script, understood.

    Attributes:
        values: by key: a text, a list of texts, True; absent where not given. `maybe` without a value is True.
        rest: flags of ours that stood beside them.
    """

    values: Mapping[str, Any]
    rest: tuple[str, ...] = ()

    def text(self, key: str, default: str = "") -> str:
        """Returns a value as text."""
        value = self.values.get(key)
        return default if value is None else str(value)

    def has(self, key: str) -> bool:
        """Tells whether an argument was given."""
        return key in self.values

    def passed(self, *pairs: tuple[str, str]) -> list[str]:
        """Returns our flags for the arguments that were given: pairs of key and flag."""
        words: list[str] = []
        for key, flag in pairs:
            if key in self.values:
                value = self.values[key]
                words += [flag, *([] if value is True else map(str, value) if isinstance(value, list) else [str(value)])]
        return words

    def notices(self, **said: str) -> list[str]:
        """Returns a notice for each of these arguments that was given: key → what the user should know."""
        return [f"--{key.replace('_', '-')}: {text}" for key, text in said.items() if key in self.values]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raises a SettingError instead of ending the process."""
        raise SettingError(f"legacy {self.prog}: {message}")


def make_parser(name: str, arguments: Sequence[Argument]) -> argparse.ArgumentParser:
    """Returns a parser of a script's calls; its help says what becomes of each argument."""
    parser = _Parser(prog=name, add_help=False, argument_default=argparse.SUPPRESS)
    for one in arguments:
        options: dict[str, Any] = {"help": one.becomes.replace("%", "%%")}
        if one.takes == "switch":
            options |= {"action": "store_true"}
        elif one.takes != "one" or one.count:
            options |= {"nargs": one.count or {"many": "+", "maybe": "?"}[one.takes]}
        if one.takes == "maybe":
            options |= {"const": True}
        if one.names[0].startswith("-"):
            options |= {"dest": one.key, "required": one.required}
        parser.add_argument(*one.names, **options)
    return parser


def read_call(name: str, arguments: Sequence[Argument], tokens: Sequence[str], ours: Sequence[str]) -> Given:
    """Reads a call of a script.

    Args:
        name: of the script.
        arguments: what it takes.
        tokens: the call.
        ours: flags of our command, which may stand beside them.

    Raises:
        SettingError: something is missing, one too many, or a flag is neither theirs nor ours.
    """
    found, rest = make_parser(name, arguments).parse_known_args(list(tokens))
    theirs = [flag for one in arguments for flag in one.names if flag.startswith("--")]
    for number, token in enumerate(rest):
        flag = token.partition("=")[0]
        if not token.startswith("-"):
            if number == 0:
                raise SettingError(f"legacy {name}: unexpected {token!r}")
        elif flag not in ours and f"--{flag.removeprefix('--no-')}" not in ours:
            raise SettingError(f"legacy {name}: no flag {flag}{suggestion(flag, [*theirs, *ours])}")
    return Given(vars(found), tuple(rest))
