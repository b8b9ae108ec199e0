"""Running commands: dispatch, results, logs, errors. The stages are small stand-ins."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from camtrap_tf import __version__
from camtrap_tf.cli import main as cli
from camtrap_tf.cli.commands import COMMANDS, Command
from camtrap_tf.errors import CamtrapError, TooManyRejectsError
from camtrap_tf.logs import keep_logs


@dataclass
class Result:
    said: str = "done"
    exit_code: int = 0

    def text(self) -> str:
        return self.said


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Any], Any]], list[Any]]:
    """Puts a function in the place of every stage; the configs that it gets are collected."""

    def put(function: Callable[[Any], Any]) -> list[Any]:
        """Puts the function in place."""
        seen: list[Any] = []
        monkeypatch.setattr(Command, "function", lambda self: lambda config: (seen.append(config), function(config))[1])
        return seen

    return put


def fail(error: BaseException) -> Callable[[Any], Any]:
    """Returns a stage that raises."""

    def stage(config: Any) -> Any:
        """Raises."""
        raise error

    return stage


def test_result_goes_to_stdout(stage: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The text of the result is printed, its exit code returned, and nothing else is said."""
    seen = stage(lambda config: Result("drawn", 2))
    assert cli.main(["sample", "--output-dir", "d", "--events", "20"]) == 2
    assert capsys.readouterr() == ("drawn\n", "")
    assert (seen[0].output_dir, seen[0].events) == (Path("d"), 20)


def test_no_result(stage: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A stage that gives nothing back prints nothing."""
    stage(lambda config: None)
    assert cli.main(["sample", "--output-dir", "d"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["dataset", "--inventory", "i", "--output-dir", "o", "--dry-run"], "dataset create"),
        (["dataset", "create", "--inventory", "i", "--output-dir", "o", "--dry-run"], "dataset create"),
        (["dataset", "inspect", "--path", "p"], "dataset inspect"),
        (["labels", "--mappings", "a", "b", "--output", "o"], "labels merge"),
        (["inventory", "dir", "--path", "p", "--export-path", "e"], "inventory folders"),
        (["inventory", "folders", "--path", "p", "--export-path", "e"], "inventory folders"),
    ],
)
def test_words(words: list[str], name: str) -> None:
    """Groups, their first words and `dir` lead to their commands."""
    assert cli.parse(words).command.name == name


def test_train_run_is_train() -> None:
    """`camtrap train run` is `camtrap train`."""
    needed = ("train-tfr-path", "val-tfr-path", "run-outputs-dir", "model-save-dir", "model", "labels")
    flags = [token for name in needed for token in (f"--{name}", "x")]
    assert cli.parse(["train", "run", *flags]) == cli.parse(["train", *flags])


def test_yaml_below_flags(tmp_path: Path) -> None:
    """Flags win over the YAML file, and both count as given by the user."""
    path = tmp_path / "run.yaml"
    path.write_text("output-dir: a\nevents: 30\nseed: 1\n")
    config: Any = cli.parse(["sample", "--seed", "2", "--config", str(path)]).config
    assert (config.output_dir, config.events, config.seed) == (Path("a"), 30, 2)
    assert config.model_fields_set == {"output_dir", "events", "seed"}


def test_yaml_wins_over_older_defaults(tmp_path: Path) -> None:
    """What the file says is not undone by an older spelling on the command line."""
    path = tmp_path / "run.yaml"
    path.write_text("split_group: site\n")
    config: Any = cli.parse(["dataset", "-inventory", "i", "-output_dir", "o", "-config", str(path)]).config
    assert config.split_group == "site"


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (CamtrapError("over\n  two lines"), 2, "camtrap: error: over two lines\n"),
        (TooManyRejectsError("too many"), 3, "camtrap: error: too many\n"),
        (KeyboardInterrupt(), 130, "camtrap: error: interrupted\n"),
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), 2, "camtrap: error: /x/y: the disk is full"),
        (
            PermissionError(errno.EACCES, "Permission denied", "/x/y"),
            2,
            "camtrap: error: /x/y: not permitted (Permission",
        ),
        (
            OSError(errno.EROFS, "Read-only file system", "/x/y"),
            2,
            "camtrap: error: /x/y: not permitted (Read-only",
        ),
        (OSError(errno.ENAMETOOLONG, "File name too long", "/x/y"), 2, "camtrap: error: /x/y: File name too long; give a"),
        (MemoryError(), 2, "camtrap: error: out of memory"),
    ],
)
def test_foreseen_errors(stage: Any, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, message: str) -> None:
    """Each is one line on stderr and has its exit code."""
    stage(fail(error))
    assert cli.main(["sample", "--output-dir", "d"]) == code
    captured = capsys.readouterr()
    assert captured.err.startswith(message)
    assert (captured.err.count("\n"), captured.out) == (1, "")


def test_bug_leaves_its_traceback_in_the_debug_log(stage: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """An error that nobody foresaw is one line that says where its traceback is."""
    stage(fail(ZeroDivisionError("by zero")))
    logs = tmp_path / "logs"
    assert cli.main(["export", "--model", "m", "--output-dir", str(tmp_path / "o"), "--log-outdir", str(logs)]) == 1
    line = capsys.readouterr().err
    assert line.startswith("camtrap: error: a bug: ZeroDivisionError: by zero (details in ")
    assert (line.count("\n"), str(logs / "run_debug.log") in line) == (1, True)
    assert "Traceback" in (logs / "run_debug.log").read_text()
    assert "Traceback" not in (logs / "run_info.log").read_text()


def test_bug_without_log_folder(stage: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A command without log files leaves the traceback of a bug in a temporary file."""
    stage(fail(ZeroDivisionError("by zero")))
    assert cli.main(["sample", "--output-dir", "d"]) == 1
    path = Path(capsys.readouterr().err.split("details in ")[1].split(";")[0])
    assert "ZeroDivisionError" in path.read_text()
    path.unlink()


def test_settings_are_logged(stage: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Every setting stands in the info log of the output folder, and stderr is spared."""
    stage(lambda config: None)
    assert cli.main(["inventory", "json", "--path", "p", "--export-path", str(tmp_path / "out" / "inv.json")]) == 0
    text = (tmp_path / "out" / "run_info.log").read_text()
    assert "inventory json" in text
    assert "discard_missing=False" in text
    assert capsys.readouterr().err == ""


def test_plan_writes_nothing(stage: Any, tmp_path: Path) -> None:
    """With --dry-run not even the log folder is made."""
    stage(lambda config: Result())
    assert cli.main(["dataset", "--inventory", "i", "--output-dir", str(tmp_path / "o"), "--dry-run"]) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("begun", "left"), [(False, []), (True, ["o"])])
def test_logs_are_kept_once_work_begins(stage: Any, tmp_path: Path, begun: bool, left: list[str]) -> None:
    """A stage that is refused leaves no folder and no log; one that had begun leaves its log, with the error."""

    def work(config: Any) -> Any:
        """Fails, before or after its work began."""
        if begun:
            keep_logs()
        raise CamtrapError("no good")

    stage(work)
    assert cli.main(["dataset", "--inventory", "i", "--output-dir", str(tmp_path / "o")]) == 2
    assert [path.name for path in tmp_path.iterdir()] == left
    assert not begun or "no good" in (tmp_path / "o" / "run_debug.log").read_text()


def test_a_signal_ends_the_process_at_once(tmp_path: Path) -> None:
    """Where the process is there for the command alone, nothing is taken down in order: no exit function runs."""
    code = (
        "import atexit, sys; from camtrap_tf.cli import main; atexit.register(print, 'in order'); "
        "main._main = lambda argv: print('told') or 75; sys.exit(main.main())"
    )
    done = subprocess.run([sys.executable, "-c", code, "env"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (75, "told\n", "")


def test_log_folder_that_cannot_be_made(stage: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """An output folder that cannot be written to is a mistake that is found first."""
    (tmp_path / "file").write_text("")
    seen = stage(lambda config: Result())
    assert cli.main(["dataset", "--inventory", "i", "--output-dir", str(tmp_path / "file" / "o")]) == 2
    assert "--output-dir" in capsys.readouterr().err
    assert seen == []


def test_older_call_says_how_it_is_called_now(stage: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """One line of notice, then the command runs."""
    seen = stage(lambda config: Result())
    assert cli.main(["legacy", "create_dataset.py", "-inventory", "i", "-output_dir", "o", "-dry_run"]) == 0
    assert "`camtrap dataset create`" in capsys.readouterr().err
    assert seen[0].split_group == "none"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "no command 'trian'; did you mean 'train'?"),
        (["--verson"], "no flag '--verson'; did you mean '--version'?"),
        (["--hepl"], "no flag '--hepl'; did you mean '--help'?"),
        (["--batch-size"], "no flag '--batch-size'; before the command there are --help, -h, --version"),
        (["inventory", "cvs"], "no command 'inventory cvs'; did you mean 'csv'?"),
        (["predict", "pictures"], "no command 'predict pictures'; choose from: export, aggregate, suspects, split"),
        (["legacy", "create_datset.py"], "did you mean 'create_dataset'?"),
        (["legacy"], "no camera-trap-classifier program"),
        (["sample", "--evnts", "3"], "no flag --evnts; did you mean '--events'?"),
        (["sample", "--output-dir", "d", "--config", "absent.yaml"], "--config absent.yaml: cannot be read"),
    ],
)
def test_mistakes(capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    """Mistakes are one line on stderr with exit code 2."""
    assert cli.main(words) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("camtrap: error: ")
    assert message in captured.err
    assert (captured.err.count("\n"), captured.out) == (1, "")


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_overview(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    """Without a command all of them are listed, one line each."""
    assert cli.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    for command in COMMANDS:
        assert sum(line.startswith(f"  {command.name:<20} ") for line in lines) == 1
    assert any(line.startswith("  legacy ") for line in lines)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints the version."""
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"camtrap {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_help_of_a_command(capsys: pytest.CaptureFixture[str], command: Command) -> None:
    """Help lists every setting of the command in one spelling, and says what it does."""
    assert cli.main([*command.words, "--help"]) == 0
    text = capsys.readouterr().out
    assert command.summary().split(";")[0][:60] in " ".join(text.split())
    for key in command.model().model_fields:
        assert f"--{key.replace('_', '-')}" in text
        assert "_" not in key or f"--{key}" not in text
    assert "--config FILE" in text


def test_help_of_legacy(capsys: pytest.CaptureFixture[str]) -> None:
    """Help of `legacy` names the older programs, help of one of those shows our command."""
    assert cli.main(["legacy", "--help"]) == 0
    assert "create_dataset_inventory" in capsys.readouterr().out
    assert cli.main(["legacy", "train.py", "-h"]) == 0
    assert "usage: camtrap train" in capsys.readouterr().out


def test_help_of_a_group(capsys: pytest.CaptureFixture[str]) -> None:
    """Help of a group lists its commands, then shows the flags of the first."""
    assert cli.main(["dataset", "--help"]) == 0
    text = capsys.readouterr().out
    assert "dataset inspect" in text
    assert "--image-save-quality" in text
    assert "`camtrap dataset` alone is `camtrap dataset create`:" in text


def test_help_of_a_group_whose_first_command_is_one_word(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the bare word is a command itself, it is not said to be itself; switches show both spellings, None or not."""
    assert cli.main(["train", "--help"]) == 0
    text = capsys.readouterr().out
    assert "flags of `camtrap train` itself:" in text
    assert "alone is" not in text
    assert "--freeze-bn, --no-freeze-bn" in text


def test_help_is_light() -> None:
    """Help imports neither TensorFlow nor pandas nor anything that a stage needs."""
    code = (
        "import sys; from camtrap_tf.cli.main import main; code = main(['train', '--help']); "
        "heavy = {'tensorflow', 'keras', 'pandas', 'numpy', 'pyarrow', 'PIL', 'matplotlib'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_reader_that_left_is_no_error(tmp_path: Path) -> None:
    """Output into a closed pipe ends quietly."""
    script = "from camtrap_tf.cli.main import main; import sys; sys.exit(main(['train', '--help']))"
    done = subprocess.run(
        ["bash", "-c", '"$0" -c "$1" | true; exit ${PIPESTATUS[0]}', sys.executable, script],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode in (0, cli.EXIT_BROKEN_PIPE)


@pytest.mark.parametrize("module", ["camtrap_tf", "camtrap_tf.cli.main"])
def test_as_a_module_it_says_its_notes_too(module: str, tmp_path: Path) -> None:
    """`python -m` runs commands with their notes on stderr, as the command `camtrap` does."""
    (tmp_path / "md.json").write_text('{"images": [], "detection_categories": {}, "info": {}}')
    words = ["legacy", "md_to_queried_images.py", "-i", "md.json", "-d", "set", "--dry-run"]
    done = subprocess.run([sys.executable, "-m", module, *words], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0
    assert "note: this is now: camtrap classification queried-images md.json --dataset set --dry-run" in done.stderr
