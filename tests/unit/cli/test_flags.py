"""Flags of settings models, and command lines cut into them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from camtrap_tf.cli.commands import COMMANDS
from camtrap_tf.cli.flags import flags_of, is_flag, options_of, require_all, values_of
from camtrap_tf.errors import SettingError


class Settings(BaseModel):
    folder: Path = Field(description="a folder")
    size: int | None = None
    colours: tuple[str, ...] = ("red",)
    devices: Literal["auto"] | int = "auto"
    mirror: bool = True


FLAGS = flags_of(Settings)


def values(line: str) -> dict[str, Any]:
    """Returns what a command line of `draw` says."""
    return values_of(options_of(line.split(), command="draw"), FLAGS, command="draw")


def test_flags_follow_the_fields() -> None:
    """Kind, choices, need and absence of a value are read from the annotation."""
    assert [(flag.name, flag.kind) for flag in FLAGS.values()] == [
        ("--folder", "one"),
        ("--size", "one"),
        ("--colours", "many"),
        ("--devices", "one"),
        ("--mirror", "switch"),
    ]
    assert (FLAGS["folder"].required, FLAGS["size"].required) == (True, False)
    assert (FLAGS["size"].optional, FLAGS["devices"].optional) == (True, False)
    assert (FLAGS["devices"].choices, FLAGS["devices"].types) == (("auto",), (int,))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_setting_is_described(command: Any) -> None:
    """Each setting of each command has a help line, and a kind of value that flags can say."""
    for flag in flags_of(command.model()).values():
        assert flag.description, flag.key
        assert set(flag.types) <= {str, int, float, bool, Path}, flag.key


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--folder a", {"folder": "a"}),
        ("--folder=a=b", {"folder": "a=b"}),
        ("--folder a --folder b", {"folder": "b"}),
        ("--colours a b", {"colours": ["a", "b"]}),
        ("--colours a b --colours c", {"colours": ["c"]}),
        ("--colours=-a -1 -.5", {"colours": ["-a", "-1", "-.5"]}),
        ("--size -1", {"size": "-1"}),
        ("--mirror", {"mirror": True}),
        ("--no-mirror", {"mirror": False}),
        ("--no_mirror --mirror", {"mirror": True}),
        ("--mirror=false", {"mirror": False}),
        ("--no-mirror=false", {"mirror": True}),
        ("--config f.yaml", {"config": "f.yaml"}),
    ],
)
def test_values(line: str, expected: dict[str, Any]) -> None:
    """Values come joined with `=` or after their flag; the last occurrence counts; negative numbers are values."""
    assert values(line) == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--foldr a", "no flag --foldr; did you mean '--folder'?"),
        ("--no-miror", "no flag --no-miror; did you mean '--no-mirror'?"),
        ("--no-size", "no flag --no-size; did you mean '--size'?"),
        ("--zzzz", "no flag --zzzz; `--help` lists"),
        ("--folder", "--folder needs a value"),
        ("--folder --mirror", "--folder needs a value"),
        ("--colours", "--colours needs a value or more"),
        ("--folder a b", "unexpected 'b' after --folder a"),
        ("--mirror yes", "unexpected 'yes' after --mirror"),
        ("--mirror=perhaps", "say true or false"),
        ("a --mirror", "unexpected 'a'"),
    ],
)
def test_mistakes(line: str, message: str) -> None:
    """Each mistake is named, with the nearest flag where there is one."""
    with pytest.raises(SettingError, match=r"^draw: ") as caught:
        values(line)
    assert message in str(caught.value)


def test_all_missing_flags_are_named_at_once() -> None:
    """What is required and not given is listed in one message."""

    class Two(BaseModel):
        one: int
        other: str
        third: str = ""

    with pytest.raises(SettingError, match=r"^draw needs --one, --other \(") as caught:
        require_all({}, flags_of(Two), command="draw")
    assert "third" not in str(caught.value)


def test_what_is_a_flag() -> None:
    """Flags begin with dashes and a letter."""
    assert [is_flag(token) for token in ("--a", "-abc", "-h", "-1", "-.5", "-", "--", "a-b")] == [True] * 3 + [False] * 5
