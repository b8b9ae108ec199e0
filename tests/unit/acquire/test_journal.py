"""What a download folder remembers."""

from __future__ import annotations

from pathlib import Path

from camtrap_tf.acquire.journal import Finished, Journal


def test_what_was_noted_is_there_next_time(tmp_path: Path) -> None:
    """Finished files and the versions of parts outlive the process; claims are of one run."""
    path = tmp_path / "journal.sqlite"
    journal = Journal(path)
    journal.finish("a.jpg", "https://a", 7)
    journal.begin("b.jpg", "https://b", '"v1"')
    assert journal.claim("a.jpg", "https://a") is None
    assert journal.claim("a.jpg", "https://other") == "https://a"
    journal.close()
    journal = Journal(path)
    assert journal.finished("a.jpg") == Finished("https://a", 7)
    assert journal.part("b.jpg", "https://b") == '"v1"'
    assert journal.part("b.jpg", "https://elsewhere") is None
    assert journal.claim("a.jpg", "https://other") is None


def test_a_finished_file_has_no_part(tmp_path: Path) -> None:
    """A file that is complete, or begun without a version, leaves no version to build upon."""
    journal = Journal(tmp_path / "journal.sqlite")
    for end in (lambda: journal.finish("b.jpg", "u", 1), lambda: journal.begin("b.jpg", "u", None)):
        journal.begin("b.jpg", "u", '"v1"')
        end()
        assert journal.part("b.jpg", "u") is None


def test_a_broken_journal_is_begun_anew(tmp_path: Path) -> None:
    """What is no database, or one of something else, does not stop the download."""
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"garbage" * 1000)
    journal = Journal(path)
    journal.finish("a.jpg", "u", 1)
    assert journal.finished("a.jpg") == Finished("u", 1)
