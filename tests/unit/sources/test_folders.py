"""Pictures in class folders."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest

from camtrap_tf.errors import SourceError
from camtrap_tf.records import CaptureEvent, Reject
from camtrap_tf.sources.folders import FolderSource, unique_ids


def tree(root: Path, *names: str) -> Path:
    """Makes empty files."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def read(root: Path, *, nested: bool = False) -> tuple[dict[str, tuple[str, str | None]], dict[str, str]]:
    """Returns id → (path below the root, class), and rejected item → reason."""
    entries = list(FolderSource(root, nested=nested).records())
    records = [one for one in entries if isinstance(one, CaptureEvent)]
    rejects = [one for one in entries if isinstance(one, Reject)]
    by_id = {one.event_id: (str(Path(one.media[0].path).relative_to(root)), one.label("class")) for one in records}
    assert len(by_id) == len(records)
    return by_id, {one.item: one.reason for one in rejects}


def test_a_picture_is_a_record_of_its_class(tmp_path: Path) -> None:
    """The id is `<class>#<stem>`, the label type is `class`, suffixes may be in capitals, names may hold dots."""
    records, rejects = read(tree(tmp_path, "Dogs/dog3192.jpg", "Cats/a.b.JPG", "Cats/ü 1.png"))
    assert records == {
        "Cats#a.b": ("Cats/a.b.JPG", "Cats"),
        "Cats#ü 1": ("Cats/ü 1.png", "Cats"),
        "Dogs#dog3192": ("Dogs/dog3192.jpg", "Dogs"),
    }
    assert rejects == {}


def test_paths_begin_as_the_root_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative root gives relative paths."""
    tree(tmp_path, "pictures/Dogs/a.jpg")
    monkeypatch.chdir(tmp_path)
    record = next(FolderSource(Path("pictures")).records())
    assert isinstance(record, CaptureEvent)
    assert record.media[0].path == "pictures/Dogs/a.jpg"


def test_other_files_are_rejected(tmp_path: Path) -> None:
    """What is not a picture, lies beside the classes or too deep is listed with its reason."""
    root = tree(tmp_path, "Dogs/a.jpg", "Dogs/Thumbs.db", "Dogs/._a.jpg", "Dogs/x/b.jpg", "readme.txt", ".git/c.jpg")
    records, rejects = read(root)
    assert list(records) == ["Dogs#a"]
    assert rejects == {
        "readme.txt": "no_class",
        "Dogs/Thumbs.db": "not_a_picture",
        "Dogs/._a.jpg": "not_a_picture",
        "Dogs/x/b.jpg": "nested",
    }


def test_nested_folders_belong_to_their_class(tmp_path: Path) -> None:
    """With `nested` deeper pictures are read, and their ids tell them apart."""
    records, rejects = read(tree(tmp_path, "Dogs/a.jpg", "Dogs/x/a.jpg", "Dogs/x/y/a.jpg"), nested=True)
    assert records == {
        "Dogs#a": ("Dogs/a.jpg", "Dogs"),
        "Dogs#x/a": ("Dogs/x/a.jpg", "Dogs"),
        "Dogs#x/y/a": ("Dogs/x/y/a.jpg", "Dogs"),
    }
    assert rejects == {}


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    """A link to a folder above is entered once."""
    root = tree(tmp_path / "root", "Dogs/a.jpg")
    (root / "Dogs" / "again").symlink_to(root / "Dogs", target_is_directory=True)
    assert list(read(root, nested=True)[0]) == ["Dogs#a"]


def test_equal_stems_get_their_suffix() -> None:
    """Ids are different, and as short as that allows."""
    names = ["a.jpg", "a.png", "a.jpg.png", "b.jpg"]
    ids = unique_ids("Dogs", [PurePosixPath(name) for name in names])
    assert len(set(ids)) == 4
    assert ids[1] == "Dogs#a.png"
    assert ids[3] == "Dogs#b"


def test_a_folder_without_pictures_is_noted(tmp_path: Path) -> None:
    """A class that brings nothing is told."""
    tree(tmp_path, "Dogs/a.jpg", "Cats/b.txt")
    source = FolderSource(tmp_path)
    list(source.records())
    assert source.notes == ["folder 'Cats' has no usable picture among 1 files"]
    assert source.read == 2


def test_names_that_are_not_utf8_are_rejected(tmp_path: Path) -> None:
    """A file name in another encoding cannot be written to an inventory."""
    tree(tmp_path, "Dogs/a.jpg")
    try:
        (Path(os.fsdecode(os.fsencode(tmp_path / "Dogs") + b"/\xe4.jpg"))).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    records, rejects = read(tmp_path)
    assert list(records) == ["Dogs#a"]
    assert list(rejects.values()) == ["not_utf8"]


def test_roots_without_classes_are_refused(tmp_path: Path) -> None:
    """No folder, or one without sub-folders, is an error."""
    with pytest.raises(SourceError, match="no such folder"):
        FolderSource(tmp_path / "none")
    tree(tmp_path, "a.jpg")
    with pytest.raises(SourceError, match="no sub-folders"):
        FolderSource(tmp_path)
