"""`camtrap <command> [flags]`: finds the command, makes its settings, runs its stage, and says in one line what went wrong.

Results go to stdout, messages to stderr and, for commands that keep logs, into their log files.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from camtrap_tf import __version__
from camtrap_tf.cli import legacy, legacy_animl, variants
from camtrap_tf.cli.commands import Command, find, group
from camtrap_tf.cli.flags import CONFIG_FLAG, flags_of, is_flag, options_of, values_of
from camtrap_tf.cli.legacy_scripts import SCRIPTS
from camtrap_tf.cli.settings import make_config
from camtrap_tf.config.base import StageConfig
from camtrap_tf.errors import CamtrapError, SettingError
from camtrap_tf.files import check_writable
from camtrap_tf.logs import LOG_FILES, ROOT, keep_logs, logger, start_logging

log = logger(__name__)

EXIT_BUG = 1
EXIT_MISUSE = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141
EXIT_REQUEUE = 75
_ENDED_BY_SIGNAL = (EXIT_INTERRUPTED, EXIT_REQUEUE)
_HELP = ("-h", "--help")
_PYTHON = re.compile(r"python(3(\.\d+)?)?")
_OUT_OF_SPACE = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Call:
    """A command line, understood.

    Attributes:
        command: what to run.
        config: its settings.
        notices: what the user should know before it runs.
    """

    command: Command
    config: StageConfig
    notices: tuple[str, ...] = ()


def main(argv: Sequence[str] | None = None, *, is_process: bool = False) -> int:
    """Runs one command line.

    Args:
        argv: words and flags after `camtrap`; those of this process if not given.
        is_process: this process is here for nothing else, as it is where no `argv` is given. A signal then ends it at once:
            taking TensorFlow down in good order takes seconds, for the pictures that are being decoded.

    Returns:
        The exit code: 0; 1 for a bug; 2 for something to mend; 3 for too many rejects; 130, 75 when a signal stopped it.
    """
    code = _guarded(argv)
    if code in _ENDED_BY_SIGNAL and (is_process or argv is None):
        logging.shutdown()
        sys.stdout.flush()
        os._exit(code)
    return code


def _guarded(argv: Sequence[str] | None) -> int:
    """Runs one command line and turns whatever goes wrong into one line and an exit code."""
    # TensorFlow's start-up messages say nothing to our users. Without a GPU they include an "error" that there is none.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if Path("/dev/nvidiactl").exists() else "3")
    start_logging()
    try:
        code = _main(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except CamtrapError as err:
        return _fail(str(err), err.exit_code)
    except KeyboardInterrupt:
        return _fail("interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has left; Python must not try to flush to it once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except MemoryError:
        return _fail("out of memory; try a smaller --batch-size or fewer --workers", EXIT_MISUSE)
    except Exception as err:
        return _fail_on(err)
    return code


def _main(argv: list[str]) -> int:
    if not argv or argv[0] in _HELP:
        from camtrap_tf.cli.help import overview

        print(overview())
        return 0
    if argv[0] == "--version":
        print(f"camtrap {__version__}")
        return 0
    if any(token in _HELP for token in argv):
        return _help(argv)
    call = parse(argv)
    return run(call)


def _without_python(argv: Sequence[str]) -> list[str]:
    """Returns a command line without a Python in front of an older script: lines of a shell script are pasted whole."""
    words = list(argv)
    if len(words) > 2 and words[0] == "legacy" and _PYTHON.fullmatch(words[1].rpartition("/")[2]):
        del words[1]
    return words


def _help(argv: list[str]) -> int:
    from camtrap_tf.cli.help import group_overview, print_help

    argv = _without_python(argv)
    if argv[0] == "legacy" and argv[1] in _HELP:
        print(f"usage: camtrap legacy <program> <its flags>\n\nprograms: {', '.join(legacy.PROGRAMS)}")
        print(f"scripts of Animl and MegaDetector's classification tools: {', '.join(SCRIPTS)}")
        return 0
    if argv[0] == "legacy" and (script := legacy_animl.script_of(argv[1:])) is not None:
        print(legacy_animl.help_text(*script))
        return 0
    if argv[0] == "legacy" and (script := legacy_animl.namesake(argv[1])) is not None:
        print(f"Animl's {script[0]}.py, told by its flags:\n\n{legacy_animl.help_text(*script)}")
        print("camera-trap-classifier's program of this name; its own spellings (one dash, _) are taken as well:\n")
    words = legacy.command_line(argv[1:]) if argv[0] == "legacy" else argv
    following = words[1] if len(words) > 1 else None
    command, used = find(words[0], following)
    if used < 2 and len(group(words[0])) > 1:
        print(group_overview(words[0]))
    print_help(command)
    return 0


def parse(argv: Sequence[str]) -> Call:
    """Understands a command line: older spellings, the YAML file, flags, checks.

    Raises:
        SettingError: something about it cannot be.
    """
    words, older = _without_python(argv), False
    notices: list[str] = []
    theirs = legacy_animl.translated(words[1:]) if words[0] == "legacy" else None
    if theirs is not None:
        words, notices = theirs.words, theirs.notices
    elif words[0] == "legacy":
        words, older = legacy.command_line(words[1:]), True
    if words[0] == "inventory":
        words[1:] = legacy.sub_command_first(words[1:])
    command, used = find(words[0], words[1] if len(words) > 1 else None)
    tokens = words[used:]
    if command.first is not None and tokens and not is_flag(tokens[0]):
        tokens.insert(0, "--" + command.first.replace("_", "-"))
    options = options_of(tokens, command=command.name)
    command = variants.chosen(command, options)
    options = variants.with_values(command, options)
    name = command.name
    model = command.model()
    flags = flags_of(model)
    values = {}
    if older or legacy.is_older(options):
        rewritten = legacy.rewrite(options, command.words, flags, every_flag=older)
        options, notices = rewritten.options, [*notices, *rewritten.notices]
        values = {key: value for key, value in rewritten.defaults.items() if key in flags}
        notices.insert(0, f"these are camera-trap-classifier's spellings; this command is now `camtrap {name}`")
    given = values_of(options, flags, command=name)
    yaml_path = given.pop(CONFIG_FLAG, None)
    written: dict[str, Any] = {}
    if yaml_path is not None:
        written, said = variants.read_settings(command, Path(str(yaml_path)), flags, given)
        notices += said
    if notice := legacy.leave_recipe(values, {**written, **given}):
        notices.append(notice)
    values |= written
    files = {key: Path(str(yaml_path)) for key in written.keys() - given.keys()}
    return Call(command, make_config(model, values | given, command=name, files=files), tuple(notices))


def run(call: Call) -> int:
    """Runs a command with its settings: logs, stage, result.

    Returns:
        The exit code that the result asks for, else 0.
    """
    _open_logs(call)
    for notice in call.notices:
        log.info("note: %s", notice)
    log.info("camtrap %s %s with %r", __version__, call.command.name, call.config, extra={"file_only": True})
    result = _stage(call)(call.config)
    code = int(getattr(result, "exit_code", 0))
    if code not in _ENDED_BY_SIGNAL:
        keep_logs()
    if result is not None:
        print(result.text())
    return code


def _stage(call: Call) -> Callable[[Any], Any]:
    try:
        return call.command.function()
    except ModuleNotFoundError as err:
        if (err.name or "").partition(".")[0] == ROOT:
            raise
        raise SettingError(f"{err.name} is not installed; run `make setup` or `pip install camtrap_tf`") from err


def _open_logs(call: Call) -> None:
    """Makes sure that log files can be made where the command keeps any; a plan (`--dry-run`) writes nothing.

    They are made when its work begins, so that a command that was refused leaves none.

    Raises:
        SettingError: they cannot be written there.
    """
    flag = "--log-outdir"
    folder: Path | None = getattr(call.config, "log_outdir", None)
    if (call.command.logs_to is None and folder is None) or getattr(call.config, "dry_run", False):
        return
    if folder is None and call.command.logs_to is not None:
        flag = "--" + call.command.logs_to.replace("_", "-")
        folder = getattr(call.config, call.command.logs_to)
        folder = folder.parent if call.command.logs_to in ("export_path", "results_file") else folder
    assert folder is not None  # one of the two settings has said it
    check_writable(folder, flag, names=LOG_FILES)
    start_logging(folder, waits=True)


def _fail(message: str, code: int) -> int:
    line = "camtrap: error: " + " ".join(message.split())
    log.debug("%s", line, exc_info=True)
    print(line, file=sys.stderr, flush=True)
    return code


def _fail_on(err: Exception) -> int:
    if isinstance(err, OSError) and err.errno in _OUT_OF_SPACE:
        return _fail(f"{err.filename or 'a file'}: the disk is full; make room and run the same command again", EXIT_MISUSE)
    if isinstance(err, PermissionError) or (isinstance(err, OSError) and err.errno == errno.EROFS):
        return _fail(f"{err.filename}: not permitted ({err.strerror}); choose another place or mend its rights", EXIT_MISUSE)
    if isinstance(err, OSError) and err.errno == errno.ENAMETOOLONG:
        return _fail(f"{err.filename}: {err.strerror}; give a shorter name", EXIT_MISUSE)
    with contextlib.suppress(SettingError):
        keep_logs()
    where = _debug_log()
    if where is None:
        with tempfile.NamedTemporaryFile("w", prefix="camtrap-", suffix=".log", delete=False, encoding="utf-8") as file:
            file.write(traceback.format_exc())
            where = file.name
    return _fail(f"a bug: {type(err).__name__}: {err} (details in {where}; please report it with that file)", EXIT_BUG)


def _debug_log() -> str | None:
    """Returns the name of the debug log that is open, if one is."""
    for handler in logging.getLogger(ROOT).handlers:
        if isinstance(handler, logging.FileHandler) and handler.level == logging.DEBUG:
            return handler.baseFilename
    return None


if __name__ == "__main__":
    sys.exit(main())
