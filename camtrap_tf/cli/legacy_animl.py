"""`camtrap legacy <script of Animl or MegaDetector's classification tools> <its flags>`: what it is in our words."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from camtrap_tf.cli.commands import COMMANDS
from camtrap_tf.cli.flags import CONFIG_FLAG, Option, flags_of, is_flag
from camtrap_tf.cli.legacy import PROGRAMS
from camtrap_tf.cli.legacy_arguments import make_parser, read_call
from camtrap_tf.cli.legacy_scripts import DEFAULT_CONFIG, SCRIPTS, Script
from camtrap_tf.errors import SettingError

_OWN_FLAGS = {"train": ("--config", "--resume", "--no-resume"), "predict": ("--config", "--checkpoint", "--split")}
"""Flags that tell Animl's `train.py` and `predict.py` from programs of the same name of camera-trap-classifier."""

REFUSED: Mapping[str, str] = {
    "find_rat_locations": "is a notebook; `camtrap cct locations-with <file> --category rat --contrast` does what it does",
    "clean_and_combine_datasets": "is a notebook; `camtrap cct counts`, `clean`, `categories` and `combine` are its steps",
    "create_separate_cct_for_splits": "is a notebook; `camtrap cct split <file> --splits <splits.json> --output-dir <folder>`",
    "inspect_dataset": "is a notebook; `camtrap classification inspect <folder>` shows what it shows",
    "evaluate_results": "is a notebook; `camtrap evaluate results --results <file> --cct <file> --output-dir <folder>`",
    "valuate_results": "is a notebook; `camtrap evaluate results --results <file> --cct <file> --output-dir <folder>`",
    "map_classification_categories": "needs a taxonomy of its own; write the mapping, and give it with --target-mapping",
    "merge_classification_detection_output": "takes a table of crops by their names; `camtrap predict --detections "
    "<MegaDetector results> --export megadetector` classifies boxes and writes them with their classes, and `camtrap predict "
    "export <its table> --export megadetector` does so later",
    "save_mislabeled": "has no command; `camtrap predict suspects` lists candidates, `camtrap cct drop --ids-file` takes "
    "annotations out; else correct the label column and make the inventory again",
    "analyze_failed_images": "has no command; rejects.csv of every command says why a picture cannot be used",
    "detect_and_crop": "works with a service that is gone; `camtrap detect` and `camtrap crop` are its steps",
    "cache_batchapi_outputs": "works with a service that is gone; give MegaDetector results as they are",
    "json_to_azcopy_list": "makes lists for another program; `camtrap download` fetches pictures itself",
}
"""Name → why there is no command for it, and what to do instead."""


@dataclass(frozen=True, slots=True)
class Translated:
    """A call of a script, in our words.

    Attributes:
        words: of our command and its flags.
        notices: what became of it, and what the user should know.
    """

    words: list[str]
    notices: list[str]


def script_of(tokens: Sequence[str]) -> tuple[str, Script] | None:
    """Returns the script that a call is of; None where it is none of these.

    Raises:
        SettingError: it is one that there is no command for; says what to do instead. Or it could be one of two programs.
    """
    if not tokens:
        return None
    name = _name(tokens[0])
    if name in REFUSED:
        raise SettingError(f"legacy {name}: {REFUSED[name]}")
    if name in PROGRAMS and not _is_animls(name, tokens[1:]):
        return None
    return (name, SCRIPTS[name]) if name in SCRIPTS else None


def namesake(word: str) -> tuple[str, Script] | None:
    """Returns Animl's script that has the name of a program of camera-trap-classifier; None where a word is no such name."""
    name = _name(word)
    return (name, SCRIPTS[name]) if name in _OWN_FLAGS else None


def _name(word: str) -> str:
    """Returns the name of a script without folder and ending."""
    return word.rpartition("/")[2].removesuffix(".py").removesuffix(".ipynb")


def _is_animls(name: str, tokens: Sequence[str]) -> bool:
    """Tells a call of Animl's `train.py` or `predict.py`: it has one of its flags, and no long flag with one dash.

    Without any flag it is Animl's where the file lies there that it reads then.

    Raises:
        SettingError: without any flag it could be either.
    """
    if not tokens and name in _OWN_FLAGS:
        if DEFAULT_CONFIG.is_file():
            return True
        first = next(iter(PROGRAMS[name].flags))
        raise SettingError(
            f"legacy {name}: two programs have this name; Animl's takes --config <config.yml> (there is no {DEFAULT_CONFIG}, "
            f"which it reads without), camera-trap-classifier's -{first} …; `camtrap legacy {name} --help` shows both"
        )
    flags = [Option.from_token(token) for token in tokens if is_flag(token)]
    own = any(flag.written in _OWN_FLAGS.get(name, ()) for flag in flags)
    return own and not any(flag.single_dash for flag in flags)


def translated(tokens: Sequence[str]) -> Translated | None:
    """Returns what a call of a script is in our words; None where it is no script of these.

    Raises:
        SettingError: it cannot be understood, or there is no command for it.
    """
    found = script_of(tokens)
    if found is None:
        return None
    name, script = found
    command = next(one for one in COMMANDS if one.words == script.words)
    ours = [flag.name for flag in flags_of(command.model()).values()] + [f"--{CONFIG_FLAG}"]
    given = read_call(name, script.arguments, tokens[1:], ours)
    words, notices = script.become(given)
    whole = [*script.words, *words, *given.rest]
    return Translated(whole, [f"this is now: camtrap {shlex.join(whole)}", *notices])


def help_text(name: str, script: Script) -> str:
    """Returns what a script takes, and what becomes of it."""
    head = f"camtrap legacy {name}: is `camtrap {' '.join(script.words)}`; to the right what each argument becomes\n\n"
    return head + make_parser(f"camtrap legacy {name}", script.arguments).format_help()
