"""Writes `docs/settings.md` from the settings models: `python -m camtrap_tf.cli.settings_docs [--check]`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from camtrap_tf.cli.commands import COMMANDS, Command
from camtrap_tf.cli.flags import Flag, flags_of, type_name
from camtrap_tf.cli.help import default_text
from camtrap_tf.files import write_text

PAGE = Path(__file__).resolve().parents[2] / "docs" / "settings.md"

_INTRODUCTION = """# Settings

Written by `make docs` from the settings models in `camtrap_tf/config/`; edit those.

Every setting is a flag (`--batch-size 32`) and a YAML key (`batch_size: 32`, in a file given with `--config`).
Flags win over the file, the file over the defaults; of a flag given twice the last one counts. Switches have an
opposite (`--no-tensorboard`). Lists take their values one after the other (`--labels species count`). Paths are
relative to where the command is run, in the file too. Values of the file are taken as they are written: `count: 011` is
the text `011`, `no` in a list of texts is the text `no`.
"""


def page() -> str:
    """Returns the whole page as Markdown."""
    return "\n".join([_INTRODUCTION, *(_section(command) for command in COMMANDS)])


def _section(command: Command) -> str:
    rows = [_row(flag) for flag in flags_of(command.model()).values()]
    head = ["| flag | value | default | meaning |", "| --- | --- | --- | --- |"]
    return "\n".join([f"## camtrap {command.name}", "", command.summary(), "", *head, *rows, ""])


def _row(flag: Flag) -> str:
    default = "**required**" if flag.required else f"`{text}`" if (text := default_text(flag)) else ""
    value = type_name(flag) + (", several" if flag.kind == "many" else "")
    cells = (f"`{flag.name}`", value, default, flag.description)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the page, or with `--check` only says whether it is up to date; returns the exit code."""
    if "--check" in (sys.argv[1:] if argv is None else argv):
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page():
            return 0
        print(f"{PAGE}: not up to date with the settings models; run `make docs`", file=sys.stderr)
        return 1
    write_text(PAGE, page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
