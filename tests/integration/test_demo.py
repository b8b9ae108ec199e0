"""The demo: every stage on drawn pictures, up to an answer over HTTP."""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path

import pytest

from camtrap_tf.cli.demo import LABELS, DemoPlan, command_of, demo
from camtrap_tf.cli.main import parse
from camtrap_tf.config.delivery import DemoConfig

STAGES = ("sample", "inventory", "dataset", "train", "evaluate", "export", "serve")
HEADINGS = ("Draw", "List", "Build", "Train", "Measure", "Predict", "Export", "Serve")


@pytest.mark.parametrize("stage", STAGES)
def test_the_command_shown_is_the_one_that_runs(stage: str) -> None:
    """The command line printed for a stage, typed again, has exactly the settings that the demo uses."""
    config = getattr(DemoPlan.of(DemoConfig(output_dir=Path("some where/demo"))), stage)
    words = shlex.split(command_of(config))
    assert words[0] == "camtrap"
    assert parse(words[1:]).config == config


@pytest.mark.slow
def test_demo_goes_through_every_stage_and_keeps_what_is_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tiny demo leaves every artefact, a row per head and an answer; run again it keeps sample, shards, model and export."""
    config = DemoConfig(output_dir=tmp_path / "demo", events=60, max_epochs=1)
    result = demo(config)
    said = capsys.readouterr().out
    assert [heading for heading in HEADINGS if f"\n=== {heading}" in said] == list(HEADINGS)
    assert set(result.heads) == set(LABELS)
    rows = [line.split()[0] for line in result.text().splitlines() if line.split()[:1] and line.split()[0] in LABELS]
    assert rows == list(result.heads)
    folder = tmp_path / "demo"
    made = (
        "sample/sample.csv",
        "inventory.json",
        "dataset/dataset.json",
        "bundle/bundle.json",
        "report/report.html",
        "export/1",
    )
    assert [name for name in made if not (folder / name).exists()] == []
    with (folder / "predictions.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) > 0
    assert json.loads((folder / "report/report.json").read_text())["heads"].keys() == set(LABELS)
    assert "/identify" in said
    assert said.rstrip().splitlines()[-1].split()[0] in LABELS  # what the service answered

    monkeypatch.setattr("camtrap_tf.cli.demo._ask_service", lambda *_: None)  # has answered; starting it again takes long
    before = (folder / "bundle/model.keras").stat().st_mtime_ns
    again = demo(config)
    assert again.heads == result.heads
    assert (folder / "bundle/model.keras").stat().st_mtime_ns == before
    assert capsys.readouterr().out.count("kept") >= 3
    assert not (folder / "export/2").exists()
