"""The commands that the tests of the seed hold are those of the seed's own text, where that is at hand."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from camtrap_tf.cli.legacy import command_line
from camtrap_tf.cli.main import parse
from tests.integration import seed_commands
from tests.shared_data import shared

SEED = "seeds/panthera-snapshot-safari_003_ca7c797082c1c774.txt"


def commands_of(text: str) -> Iterator[list[str]]:
    """Yields the words of each Python command in the fenced blocks, without what the shell takes."""
    for block in re.findall(r"```\n(.*?)```", text, flags=re.S):
        joined = block.replace("\\\n", " ").strip()
        if joined.startswith("python"):
            words = shlex.split(re.sub(r">.*$", "", joined))
            yield words[1:]


def test_every_command_of_the_seed_is_parsed_as_written() -> None:
    """Each block is understood, and is one of the commands that are planned and run by the other tests."""
    typed = [value for name, value in vars(seed_commands).items() if name.isupper() and not name.startswith("_")]
    known = [parse(["legacy", *shlex.split(text)]) for text in typed]
    found = list(commands_of(shared(SEED).read_text()))
    assert len(found) == 9
    for words in found:
        assert command_line(words)
        call = parse(["legacy", *words])
        assert any(call.command == other.command and call.config == other.config for other in known), words[0]
