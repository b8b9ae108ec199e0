"""Files that are whole or not there."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from camtrap_tf.errors import CamtrapError, RunLockedError, SettingError, SourceError
from camtrap_tf.files import (
    atomic_file,
    check_output_file,
    check_writable,
    digest_of,
    finished_folder,
    join_inside,
    json_line,
    locked_folder,
    may_hold_halves,
    path_hint,
    printable,
    read_json,
    require_folder,
    sha256_bytes,
    sha256_file,
    writable_folder,
    write_bytes,
    write_csv,
    write_json,
    write_members,
    write_text,
)


def names_in(folder: Path) -> list[str]:
    """Returns the names of everything in a folder, hidden files too."""
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    """Until then the old content stands."""
    path = tmp_path / "new" / "a.txt"
    write_text(path, "old")
    with atomic_file(path, "w") as file:
        file.write("né")
        assert path.read_text() == "old"
    assert path.read_bytes() == "né".encode()
    assert names_in(path.parent) == ["a.txt"]


def test_an_error_leaves_nothing_behind(tmp_path: Path) -> None:
    """Neither the new file nor its unfinished part, and the old one is untouched."""
    write_bytes(tmp_path / "a", b"old")

    def fail() -> None:
        """Fails half way."""
        with atomic_file(tmp_path / "a") as file:
            file.write(b"new")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        fail()
    assert names_in(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_json_is_utf8_without_nan(tmp_path: Path) -> None:
    """Texts are kept, NaN is refused."""
    write_json(tmp_path / "a.json", {"é": [1, None]})
    assert "é" in (tmp_path / "a.json").read_text(encoding="utf-8")
    assert read_json(tmp_path / "a.json") == {"é": [1, None]}
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", float("nan"))
    assert json_line({"é": [1, "\n"]}) == '{"é": [1, "\\n"]}'
    with pytest.raises(ValueError, match="JSON"):
        json_line(float("nan"))


def test_members_are_written_one_by_one(tmp_path: Path) -> None:
    """Entries of a listed member stand on a line each, others on one; what JSON cannot say leaves the old file."""
    path, members = tmp_path / "a.json", [("é", {"a": [1, 2]}), ("many", [{"n": 1}, {"n": 2}]), ("none", [])]
    write_members(path, members, ("many", "none"))
    assert json.loads(path.read_text(encoding="utf-8")) == dict(members)
    assert path.read_text(encoding="utf-8").splitlines()[2:5] == ['"many": [', '{"n": 1},', '{"n": 2}']
    before = path.read_bytes()
    with pytest.raises(SourceError, match="cannot be written as JSON"):
        write_members(path, [("many", [{"n": 3}, {"n": float("inf")}])], ("many",))
    assert path.read_bytes() == before
    assert names_in(tmp_path) == ["a.json"]


def test_halves_of_surrogate_pairs_are_replaced() -> None:
    """They become `?` in keys and values at any depth; whole pairs, other characters and what is no text stay."""
    text = r'{"\ud83d": [{"a\udc12é": "\ud83d\ude00", "n": 1.5, "none": null}]}'
    assert may_hold_halves(text)
    assert not may_hold_halves(r'{"ud83d": "\u00e9 \n"}')
    assert printable(json.loads(text)) == {"?": [{"a?é": "😀", "n": 1.5, "none": None}]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "line 1"),
        (b"\xff", "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
        (b"9" * 5000, "cannot be read"),
    ],
)
def test_broken_json_is_told_in_one_line(tmp_path: Path, data: bytes, message: str) -> None:
    """Cut off, wrongly encoded, too deep or too long a number."""
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(SourceError, match=message) as caught:
        read_json(tmp_path / "a.json", what="list")
    assert "\n" not in str(caught.value)


def test_absent_json_is_told(tmp_path: Path) -> None:
    """With what it should have been; a folder is told as one."""
    with pytest.raises(SourceError, match=r"is a folder, no list; name the file itself$"):
        read_json(tmp_path, what="list")
    with pytest.raises(SourceError, match="no such list"):
        read_json(tmp_path / "a.json", what="list")


def test_csv_quotes_what_needs_it(tmp_path: Path) -> None:
    """A CSV reader gives the cells back."""
    rows = [["1", 'a "b", c'], ["2", "two\nlines"], ["é", ""]]
    write_csv(tmp_path / "a.csv", ["id", "text"], rows)
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["id", "text"], *rows]


def test_digests_are_sha256(tmp_path: Path) -> None:
    """Of bytes, of files, and of values whatever the order of their keys."""
    write_bytes(tmp_path / "a", b"abc" * 100_000)
    expected = hashlib.sha256(b"abc" * 100_000).hexdigest()
    assert sha256_file(tmp_path / "a") == sha256_bytes(b"abc" * 100_000) == expected
    assert digest_of({"a": 1, "b": [2]}) == digest_of(json.loads('{"b": [2], "a": 1}'))
    assert digest_of({"a": 1}) != digest_of({"a": "1"})


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ("a/b.jpg", "root/a/b.jpg"),
        ("/a/b.jpg", "root/a/b.jpg"),
        ("//a/b.jpg", "root/a/b.jpg"),
        ("a\\b.jpg", "root/a/b.jpg"),
        ("./a.jpg", "root/a.jpg"),
        ("a..b/c.jpg", "root/a..b/c.jpg"),
    ],
)
def test_stored_paths_are_joined_to_their_root(stored: str, expected: str) -> None:
    """Leading separators do not lead to the top of the disk."""
    assert join_inside(Path("root"), stored) == Path(expected)


@pytest.mark.parametrize("stored", ["../a", "a/../../b", "..\\a", "a\0b"])
def test_paths_that_lead_out_are_refused(stored: str) -> None:
    """A path from data cannot leave its root."""
    with pytest.raises(ValueError, match="path"):
        join_inside(Path("root"), stored)


def test_without_a_root_a_path_stands_for_itself() -> None:
    """Absolute and relative ones alike."""
    assert join_inside(None, "/a/b.jpg") == Path("/a/b.jpg")
    assert join_inside(None, "../b.jpg") == Path("../b.jpg")


def test_folders_are_checked_by_flag(tmp_path: Path) -> None:
    """The message names the flag and the path."""
    assert require_folder(tmp_path, "--in") == tmp_path
    with pytest.raises(SettingError, match=r"--in .*none: no such folder"):
        require_folder(tmp_path / "none", "--in")
    assert writable_folder(tmp_path / "a/b", "--out").is_dir()
    assert names_in(tmp_path / "a/b") == []
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match=r"--out .*cannot write there"):
        writable_folder(tmp_path / "file", "--out")


def test_a_folder_is_checked_without_a_trace(tmp_path: Path) -> None:
    """What could be created is not; below a file, and where a file to be added to is none, the message names the flag."""
    assert check_writable(tmp_path / "a/b", "--out", names=["log"]) == tmp_path / "a/b"
    assert names_in(tmp_path) == []
    (tmp_path / "file").write_text("")
    (tmp_path / "closed" / "log").mkdir(parents=True)
    with pytest.raises(SettingError, match=r"--out .*cannot write there"):
        check_writable(tmp_path / "file/a", "--out")
    with pytest.raises(SettingError, match=r"--out .*cannot write there"):
        check_writable(tmp_path / "closed", "--out", names=["log"])


def test_a_folder_gets_its_name_when_it_is_complete(tmp_path: Path) -> None:
    """An error leaves nothing; what exists is not overwritten; an empty folder may be taken."""
    path = tmp_path / "out"

    def fail() -> None:
        """Fails half way."""
        with finished_folder(path) as folder:
            (folder / "a").write_text("a")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        fail()
    assert names_in(tmp_path) == []
    path.mkdir()
    with finished_folder(path) as folder:
        (folder / "a").write_text("a")
        assert names_in(path) == []
    assert names_in(path) == ["a"]
    with pytest.raises(CamtrapError, match="exists already"), finished_folder(path):
        pass
    assert names_in(tmp_path) == ["out"]


def test_a_folder_may_be_replaced_by_a_complete_one(tmp_path: Path) -> None:
    """The older one stays until the newer one is complete, and wholly gives way then."""
    path = tmp_path / "out"
    with finished_folder(path) as folder:
        (folder / "a").write_text("a")

    def fail() -> None:
        """Fails half way."""
        with finished_folder(path, replace=True) as folder:
            (folder / "b").write_text("b")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        fail()
    assert names_in(path) == ["a"]
    with finished_folder(path, replace=True) as folder:
        (folder / "b").write_text("b")
    assert names_in(path) == ["b"]
    assert names_in(tmp_path) == ["out"]


def test_a_folder_that_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The older one takes its name back where the newer one cannot have it."""
    path, rename = tmp_path / "out", os.replace
    with finished_folder(path) as folder:
        (folder / "a").write_text("a")

    def refusing(source: Path, target: Path) -> None:
        """Renames everything but a finished folder."""
        if source.name.endswith(".part"):
            raise OSError(28, "No space left on device")
        rename(source, target)

    monkeypatch.setattr("camtrap_tf.files.os.replace", refusing)
    with pytest.raises(OSError, match="No space left"), finished_folder(path, replace=True):
        pass
    assert names_in(path) == ["a"]
    assert names_in(tmp_path) == ["out"]


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("data/label.csv", "; did you mean {root}/data/labels.csv?"),
        ("data/LABELS.CSV", "; did you mean {root}/data/labels.csv?"),
        ("dat/labels.csv", "; did you mean {root}/data?"),
        ("data/pictures", "; check the path"),
        ("elsewhere/labels.csv", "; there is no folder {root}/elsewhere"),
        ("data/labels.csv/1", "; check the path"),
    ],
)
def test_a_wrong_path_is_told_its_nearest_name(tmp_path: Path, asked: str, hint: str) -> None:
    """What is there under nearly the same name is named, from the first part on that is missing."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "labels.csv").touch()
    assert path_hint(tmp_path / asked) == hint.format(root=tmp_path)


def test_a_locked_folder_belongs_to_one_process(tmp_path: Path) -> None:
    """Another process is refused as long as the block lasts."""
    code = (
        "import sys; from pathlib import Path; from camtrap_tf.files import locked_folder\n"
        "with locked_folder(Path(sys.argv[1])): pass"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with locked_folder(tmp_path):
        with pytest.raises(RunLockedError), locked_folder(tmp_path):
            pass
        other = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "RunLockedError" in other.stderr
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("name", ["facts.yaml", "photo.JPG", "x.json", "model.keras", "table.csv.gz"])
def test_a_name_that_says_another_form_is_refused(tmp_path: Path, name: str) -> None:
    """Whatever lies there is no earlier output; the message says what the name has to end in."""
    with pytest.raises(SettingError, match=rf"--output .*{name}: .*has to end in \.csv"):
        check_output_file(tmp_path / name, "--output", suffixes=(".csv",))
    for fine in ("a.csv", "a.CSV", "a", "a.b.2"):
        check_output_file(tmp_path / fine, "--output", suffixes=(".csv",))


def test_what_is_read_is_not_written_over(tmp_path: Path) -> None:
    """Under whatever name; an output of an earlier run is no such file."""
    for name in ("in.json", "out.json"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "link.json").symlink_to(tmp_path / "in.json")
    (tmp_path / "hard.json").hardlink_to(tmp_path / "in.json")
    sources = (tmp_path / "other.json", tmp_path / "in.json")
    check_output_file(tmp_path / "out.json", "--output", suffixes=(".json",), sources=sources)
    for name in ("in.json", "../" + tmp_path.name + "/in.json", "link.json", "hard.json"):
        with pytest.raises(SettingError, match="is the file that is read"):
            check_output_file(tmp_path / name, "--output", suffixes=(".json",), sources=sources)
    with pytest.raises(SettingError, match="is a folder"):
        check_output_file(tmp_path, "--output", suffixes=(".json",))
