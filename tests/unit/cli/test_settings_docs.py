"""The generated page of settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from camtrap_tf.cli import settings_docs
from camtrap_tf.cli.commands import COMMANDS


def test_page_lists_every_setting() -> None:
    """Every command has its section, every setting its row."""
    page = settings_docs.page()
    for command in COMMANDS:
        section = page.split(f"## camtrap {command.name}\n")[1].split("\n## ")[0]
        for key in command.model().model_fields:
            assert f"| `--{key.replace('_', '-')}` |" in section


def test_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` fails while the page is absent or stale, and passes once it is written."""
    monkeypatch.setattr(settings_docs, "PAGE", tmp_path / "settings.md")
    assert settings_docs.main(["--check"]) == 1
    assert settings_docs.main([]) == 0
    assert settings_docs.main(["--check"]) == 0
    (tmp_path / "settings.md").write_text("old")
    assert settings_docs.main(["--check"]) == 1
    assert "make docs" in capsys.readouterr().err
