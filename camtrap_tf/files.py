"""Files that are written whole or not at all, digests, safe joins, and a lock for folders that grow."""

from __future__ import annotations

import csv
import difflib
import fcntl
import hashlib
import itertools
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from camtrap_tf.errors import CamtrapError, RunLockedError, SettingError, SourceError

_ESCAPED_HALF = re.compile(r"\\u[dD][89a-fA-F]")

_FORMS = (
    frozenset((".json", ".jsonl", ".csv", ".tsv", ".xlsx", ".parquet", ".yaml", ".yml", ".toml", ".ini", ".html", ".md", ".py"))
    | frozenset((".gz", ".zip", ".tar", ".npz", ".keras", ".h5", ".hdf5", ".pt", ".tfrecord"))
    | frozenset((".jpg", ".jpeg", ".png", ".tif", ".tiff"))
)
"""Endings of names that say what a file holds."""

PARTIAL = ".partial"
"""Name of the folder, inside an output folder, in which unfinished pieces live."""


@contextmanager
def atomic_file(path: Path, mode: str = "wb", **options: Any) -> Iterator[IO[Any]]:
    """Opens a file that appears under its name only once it is complete.

    The bytes go to a hidden sibling, are flushed to disk and renamed. On an error nothing is left behind.

    Args:
        path: final name; its folder is created.
        mode: `wb` or `w`.
        options: passed to `open`, e.g. `newline=""`.

    Yields:
        The open file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    if "b" not in mode:
        options.setdefault("encoding", "utf-8")
    try:
        with open(unfinished, mode, **options) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Writes `data` to `path`, whole or not at all."""
    with atomic_file(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 `text` to `path`, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def json_text(value: Any, *, indent: int | None = 1) -> str:
    """Returns `value` as JSON text: UTF-8 kept, no NaN, a line break at the end.

    Raises:
        ValueError: `value` holds NaN or infinity, which JSON cannot say.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent) + "\n"


def json_line(value: Any) -> str:
    """Returns `value` as JSON text on one line, a piece of a file that is written bit by bit; raises as `json_text`."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def write_json(path: Path, value: Any, *, indent: int | None = 1) -> None:
    """Writes `value` as JSON to `path`, whole or not at all."""
    write_text(path, json_text(value, indent=indent))


def write_members(path: Path, members: Iterable[tuple[str, Any]], listed: Container[str]) -> None:
    """Writes an object as JSON bit by bit, whole or not at all, so that its text is never in memory as one.

    Args:
        path: the file.
        members: its keys and values; at least one.
        listed: keys whose values are lists, to be written with an entry a line.

    Raises:
        SourceError: it holds what JSON cannot say, e.g. an infinite number.
    """
    try:
        with atomic_file(path, "w") as file:
            for number, (key, value) in enumerate(members):
                file.write(("{\n" if number == 0 else ",\n") + f"{json_line(key)}: ")
                if key in listed and value:
                    file.writelines(("[\n" if place == 0 else ",\n") + json_line(one) for place, one in enumerate(value))
                    file.write("\n]")
                else:
                    file.write(json_line(value))
            file.write("\n}\n")
    except (ValueError, TypeError) as err:
        raise SourceError(f"{path}: cannot be written as JSON: {err}; mend that value first") from err


def read_json(path: Path, *, what: str = "JSON file", object_hook: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """Returns the content of a JSON file.

    Args:
        path: the file.
        what: what it should be, for the message, e.g. `label mapping`.
        object_hook: turns each object into what stands for it, as in `json.loads`.

    Raises:
        SourceError: it is absent, not UTF-8, or not JSON.
    """
    text = ""
    try:
        text = path.read_text(encoding="utf-8-sig")
        value = json.loads(text, object_hook=object_hook)
        return printable(value) if may_hold_halves(text) else value
    except FileNotFoundError as err:
        raise SourceError(f"{path}: no such {what}{path_hint(path)}") from err
    except json.JSONDecodeError as err:
        cut_off = err.msg.startswith("Unterminated string") or err.pos >= len(text.rstrip()) - 1
        cut = "; the file seems to be cut off" if cut_off else ""
        raise SourceError(f"{path}: not a {what}: {err.msg} in line {err.lineno}, column {err.colno}{cut}") from err
    except OSError as err:
        raise SourceError(f"{path}: {unreadable(err, what)}") from err
    except (ValueError, RecursionError) as err:
        raise SourceError(f"{path}: cannot be read as a {what}: {err}") from err


def unreadable(err: OSError | MemoryError, what: str) -> str:
    """Returns why a file cannot be read, for a message that begins with its path; `what`: what it should be."""
    if isinstance(err, IsADirectoryError):
        return f"is a folder, no {what}; name the file itself"
    return f"cannot be read: {getattr(err, 'strerror', None) or err}"


def may_hold_halves(text: str) -> bool:
    """Says whether JSON text escapes halves of surrogate pairs; whether any of them lacks the other half is not looked at."""
    return "\\" in text and _ESCAPED_HALF.search(text) is not None


def printable(value: Any) -> Any:
    """Returns parsed JSON with halves of surrogate pairs, which are no characters and cannot be written, replaced by `?`."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [printable(one) for one in value]
    if isinstance(value, dict):
        return {printable(key): printable(one) for key, one in value.items()}
    return value


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Writes a CSV table (RFC 4180 quoting, `\\n` line ends, UTF-8, escapes for names that are not), whole or not at all."""
    with atomic_file(path, "w", newline="", errors="backslashreplace") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def sha256_bytes(data: bytes) -> str:
    """Returns the SHA-256 digest of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Returns the SHA-256 digest of a file in hexadecimal, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(value: Any) -> str:
    """Returns the SHA-256 digest of a JSON-like value, independent of the order of its keys."""
    return sha256_bytes(json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False).encode("utf-8"))


def join_inside(root: Path | None, stored: str) -> Path:
    """Joins a path that came from data to the root it belongs to.

    Leading separators of the stored path are stripped before it is joined, as camera-trap-classifier does.

    Args:
        root: folder that the path is relative to; without one the path stands for itself.
        stored: the path as the data give it.

    Raises:
        ValueError: the path leads out of `root`, or holds a NUL.
    """
    if "\0" in stored:
        raise ValueError("path holds a NUL character")
    if root is None:
        return Path(stored)
    relative = Path(stored.replace("\\", "/") if "/" not in stored else stored)
    parts = [part for part in relative.parts if part != relative.anchor]
    if ".." in parts:
        raise ValueError(f"path {stored!r} leads out of {root}")
    return root.joinpath(*parts)


def path_hint(path: Path) -> str:
    """Ends an error message about a path that is not there: what is there under nearly the same name, if anything.

    Looks at the first part of the path that is missing, among the first 10 000 names beside it; nothing is opened.

    Returns:
        `; did you mean data/labels.csv?`, `; there is no folder data`, or `; check the path`.
    """
    missing = path
    while not missing.parent.exists() and missing.parent != missing:
        missing = missing.parent
    try:
        with os.scandir(missing.parent) as entries:
            names = {entry.name.lower(): entry.name for entry in itertools.islice(entries, 10_000)}
    except OSError:
        return "; check the path"
    close = difflib.get_close_matches(missing.name.lower(), sorted(names), n=1, cutoff=0.7)
    if close:
        return f"; did you mean {missing.parent / names[close[0]]}?"
    return "; check the path" if missing == path else f"; there is no folder {missing}"


def check_output_file(path: Path, flag: str, *, suffixes: Sequence[str], sources: Iterable[Path] = ()) -> None:
    """Makes sure that a command may write a file of this name: one of its own form, and none that it reads.

    A command run again replaces its own outputs. A name that says another form is most likely somebody else's file.

    Args:
        path: the name.
        flag: how it was given, for the message.
        suffixes: what names of this form end in, e.g. `.csv`; endings of no known form are let pass.
        sources: files that the command reads.

    Raises:
        SettingError: it is a folder, says another form, or is one of the sources.
    """
    if path.is_dir():
        raise SettingError(f"{flag} {path}: is a folder; name a file in it")
    suffix = path.suffix.lower()
    if suffix in _FORMS and suffix not in suffixes:
        raise SettingError(f"{flag} {path}: no {suffix} file is written; its name has to end in {' or '.join(suffixes)}")
    for source in sources:
        if path.resolve() == source.resolve() or (path.exists() and source.exists() and path.samefile(source)):
            raise SettingError(f"{flag} {path}: is the file that is read; choose another name")


def require_folder(path: Path, flag: str) -> Path:
    """Returns `path` if it is a folder that can be read.

    Raises:
        SettingError: it is not.
    """
    if not path.is_dir():
        raise SettingError(f"{flag} {path}: no such folder{path_hint(path)}")
    return path


def check_writable(path: Path, flag: str, *, names: Iterable[str] = ()) -> Path:
    """Makes sure that files can be written in `path`, or that it can be created; nothing is left there.

    Args:
        path: the folder.
        flag: how it was given, for the message.
        names: of files in it that will be added to where they are there already.

    Raises:
        SettingError: it cannot be created or written to.
    """
    try:
        nearest = next((folder for folder in (path, *path.parents) if folder.exists()), path)
        with tempfile.TemporaryFile(dir=nearest):
            pass
        for there in (path / name for name in names):
            if there.exists():
                there.open("ab").close()
    except OSError as err:
        raise SettingError(f"{flag} {path}: cannot write there ({err.strerror}); choose another folder") from err
    return path


def writable_folder(path: Path, flag: str) -> Path:
    """Creates `path` if needed and makes sure that files can be written there.

    Raises:
        SettingError: it cannot be created or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".probe-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as err:
        raise SettingError(f"{flag} {path}: cannot write there ({err.strerror}); choose another folder") from err
    return path


@contextmanager
def finished_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Gives a scratch folder beside `path` that takes its name once the block ends without an error.

    Args:
        path: final name; must not exist, or be an empty folder, unless `replace`.
        replace: a folder that is there gives way when the new one is complete; who asks for it has looked what it is.

    Raises:
        CamtrapError: `path` holds something already.
    """
    if not replace and path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise CamtrapError(f"{path}: exists already; choose another name or remove it first")
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    try:
        yield unfinished
        if replace and path.exists() and any(path.iterdir()):
            _replace_folder(path, unfinished)
        else:
            if path.exists():
                path.rmdir()
            os.replace(unfinished, path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _replace_folder(path: Path, newer: Path) -> None:
    """Puts a folder in the place of another one, which stays if that fails."""
    older = path.with_name(f".{path.name}.{os.getpid()}.old")
    os.replace(path, older)
    try:
        os.replace(newer, path)
    except OSError:
        os.replace(older, path)
        raise
    shutil.rmtree(older)


@contextmanager
def locked_folder(path: Path) -> Iterator[None]:
    """Holds the folder for this process (`flock` on `.lock`); freed by the kernel however the process ends.

    Raises:
        RunLockedError: another process holds it.
    """
    path.mkdir(parents=True, exist_ok=True)
    with (path / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            raise RunLockedError(f"{path}: another process works in this folder; wait for it or choose another") from err
        yield
