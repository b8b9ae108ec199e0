"""Where pictures lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from camtrap_tf.errors import SettingError
from camtrap_tf.sources.picture_files import absent_files, file_problems, find_folder, is_example_path


def put(root: Path, *names: str) -> None:
    """Writes files that are large enough for pictures."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x" * 300)


def test_the_root_itself_wins(tmp_path: Path) -> None:
    """Where any path begins in the root, nothing is looked for."""
    put(tmp_path, "a.jpg", "images/b.jpg", "images/c.jpg")
    assert find_folder(tmp_path, ["a.jpg", "b.jpg", "c.jpg"]) == ""


def test_the_folder_with_most_is_found(tmp_path: Path) -> None:
    """One level down or several; paths with folders of their own too."""
    put(tmp_path, "deep/images/x/a.jpg", "deep/images/x/b.jpg", "other/x/a.jpg")
    assert find_folder(tmp_path, ["x/a.jpg", "x/b.jpg"]) == "deep/images/"
    assert find_folder(tmp_path, ["/absent.jpg"]) == ""
    assert find_folder(tmp_path, []) == ""


def test_two_such_folders_are_told(tmp_path: Path) -> None:
    """Which one is meant is the user's to say."""
    put(tmp_path, "one/a.jpg", "two/a.jpg")
    with pytest.raises(SettingError, match="several folders"):
        find_folder(tmp_path, ["a.jpg"])


def test_problems_of_files(tmp_path: Path) -> None:
    """Absent files, empty ones and pointers are told apart; small files are given the benefit of the doubt."""
    put(tmp_path, "here/a.jpg")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "lfs.jpg").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    (tmp_path / "small.jpg").write_bytes(b"\xff\xd8tiny")
    names = ["here/a.jpg", "/here/a.jpg", "here/b.jpg", "gone/a.jpg", "empty.jpg", "lfs.jpg", "small.jpg"]
    problems = file_problems(tmp_path, names)
    assert {name: reason for name, (reason, _) in problems.items()} == {
        "here/b.jpg": "missing_file",
        "gone/a.jpg": "missing_file",
        "empty.jpg": "placeholder_file",
        "lfs.jpg": "placeholder_file",
    }
    assert "Git LFS" in problems["lfs.jpg"][1]
    assert problems["here/b.jpg"][1] == f"is not in {tmp_path / 'here'}"
    assert problems["gone/a.jpg"][1] == f"is not there: there is no folder {tmp_path / 'gone'}"
    assert file_problems(tmp_path, ["small.jpg/a.jpg"])["small.jpg/a.jpg"][1].endswith(
        "there is no folder " + str(tmp_path / "small.jpg")
    )


def test_an_absolute_path_is_said_to_lead_out(tmp_path: Path) -> None:
    """It is looked for below the root, and where it is not there the message says what is wrong with it."""
    (problem,) = file_problems(tmp_path, ["/etc/passwd"]).values()
    absent = f"is not there: there is no folder {tmp_path / 'etc'}"
    assert problem == ("missing_file", f"leads out of {tmp_path}; looked for below it, it {absent}")
    (tmp_path / "etc").mkdir()
    (problem,) = file_problems(tmp_path, ["/etc/passwd"]).values()
    assert problem[1].endswith(f"it is not in {tmp_path / 'etc'}")


@pytest.mark.parametrize(("path", "answer"), [("path/to/a.jpg", True), ("/path/to/x/a.jpg", True), ("mypath/to/a.jpg", False)])
def test_paths_of_documentation(path: str, answer: bool) -> None:
    """Paths that stand for others are recognised at their beginning only."""
    assert is_example_path(path) is answer


def test_absent_files_are_those_in_no_place(tmp_path: Path) -> None:
    """They are looked for in the folder where the others are; paths that lead out, or are none, are not looked for at all."""
    put(tmp_path, "images/a.jpg")
    assert absent_files(tmp_path, ["a.jpg", "b.jpg", "b.jpg", "../c.jpg", "d\0.jpg"]) == {"b.jpg"}
    assert absent_files(tmp_path, []) == set()
