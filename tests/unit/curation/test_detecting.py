"""The stage `detect`, with a stand-in that takes the command line of the package megadetector."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.cli.main import main
from camtrap_tf.config.crop import DetectConfig
from camtrap_tf.curation.detecting import Detected, detect
from camtrap_tf.detections.megadetector import DetectedPicture, MegadetectorDocument
from camtrap_tf.errors import CamtrapError, DatasetError, SettingError
from camtrap_tf.inventory.table import Inventory
from tests.factories import make_event, write_pictures

STAND_IN = """#!{python}
import argparse, json, os, sys, time
parser = argparse.ArgumentParser()
for name in ("detector_file", "image_file", "output_file"):
    parser.add_argument(name)
parser.add_argument("--threshold", type=float)
parser.add_argument("--include_image_size", action="store_true")
parser.add_argument("--checkpoint_frequency", type=int, default=-1)
parser.add_argument("--checkpoint_path")
parser.add_argument("--resume_from_checkpoint")
args = parser.parse_args()
folder = os.path.dirname(os.path.abspath(__file__))
mode = open(folder + "/mode").read() if os.path.exists(folder + "/mode") else ""
files = json.load(open(args.image_file))
images = json.load(open(args.resume_from_checkpoint))["images"] if args.resume_from_checkpoint else []
done = {{image["file"] for image in images}}
call = {{"argv": sys.argv[1:], "todo": len(files) - len(done), "path": os.environ.get("PYTHONPATH")}}
with open(folder + "/calls", "a") as calls:
    calls.write(json.dumps(call) + "\\n")
for number, file in enumerate(files):
    if file in done:
        continue
    print("looking at", os.path.basename(file), flush=True)
    if mode == "hang":
        time.sleep(60)
    if mode == "fail" and number == 2:
        print("RuntimeError: out of memory", file=sys.stderr)
        sys.exit(9)
    found = [] if number == 1 else [{{"category": "1", "conf": 0.9, "bbox": [0.1, 0.1, 0.2, 0.2]}}]
    images.append({{"file": file, "detections": found, "width": 64, "height": 48}})
    if number == 3:
        images[-1] = {{"file": file, "failure": "Failure inference", "detections": None}}
    if len(images) % args.checkpoint_frequency == 0:
        json.dump({{"images": images}}, open(args.checkpoint_path, "w"))
info = {{"format_version": "1.4", "detector": args.detector_file}}
text = json.dumps({{"info": info, "detection_categories": {{"1": "animal"}}, "images": images}})
open(args.output_file, "w").write(text[:50] if mode == "torn" else text)
"""


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """Writes an inventory of six pictures, one of which is not there, and the stand-in."""
    names = [f"a/{i}.jpg" for i in range(5)]
    write_pictures(tmp_path / "pictures", names)
    events = [make_event(f"e{i}", pictures=(name,), location=f"L{i}") for i, name in enumerate([*names, "gone.jpg"])]
    Inventory.from_records(events).write(tmp_path / "inventory.json")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "detector").write_text(STAND_IN.format(python=sys.executable))
    (tmp_path / "bin" / "detector").chmod(0o755)
    return tmp_path / "inventory.json"


def run(tmp_path: Path, **settings: Any) -> Detected:
    """Detects with the stand-in."""
    values: dict[str, Any] = {
        "inventory": tmp_path / "inventory.json", "image_root_path": tmp_path / "pictures", "output": tmp_path / "md.json",
        "megadetector_command": tmp_path / "bin" / "detector", "max_rejected_share": 0.5, "checkpoint_every": 1,
    }  # fmt: skip
    return detect(DetectConfig(**{**values, **settings}))


def calls(tmp_path: Path) -> list[dict[str, Any]]:
    """Returns how the stand-in was called."""
    return [json.loads(line) for line in (tmp_path / "bin" / "calls").read_text().splitlines()]


def test_every_picture_is_in_the_results(
    tmp_path: Path, inventory: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths are those of the inventory, with locations; what is missing or failed has its reason; the counts add up."""
    monkeypatch.setenv("PYTHONPATH", "/ours")
    done = run(tmp_path)
    document = MegadetectorDocument.read(tmp_path / "md.json")
    pictures = [one for one in document.pictures() if isinstance(one, DetectedPicture)]
    assert [(one.file, len(one.detections), one.failure) for one in pictures] == [
        ("a/0.jpg", 1, None), ("a/1.jpg", 0, None), ("a/2.jpg", 1, None), ("a/3.jpg", 0, "Failure inference"),
        ("a/4.jpg", 1, None), ("gone.jpg", 0, "Failure image access"),
    ]  # fmt: skip
    assert [one.entry["location"] for one in pictures] == [f"L{i}" for i in range(6)]
    assert "6 in = 3 with detections + 1 without + 2 failed" in done.text()
    assert "animal 3" in done.text()
    assert "looking at 4.jpg" in capfd.readouterr().err
    assert not (tmp_path / ".partial").exists()
    (call,) = calls(tmp_path)
    assert call["path"] is None
    assert call["argv"][0] == "MDV5A"
    assert call["argv"][3:6] == ["--threshold", "0.005", "--include_image_size"]


def test_the_same_command_again_keeps_the_results(tmp_path: Path, inventory: Path) -> None:
    """Nothing is run for results that are there; those of other settings are refused unless they are to be replaced."""
    first = run(tmp_path)
    again = run(tmp_path)
    assert (again.kept, again.found, again.failures) == (True, first.found, first.failures)
    assert len(calls(tmp_path)) == 1
    with pytest.raises(DatasetError, match="other pictures or settings"):
        run(tmp_path, threshold=0.1)
    run(tmp_path, threshold=0.1, overwrite=True)
    assert len(calls(tmp_path)) == 2


def test_a_detector_that_failed_goes_on_from_its_checkpoint(tmp_path: Path, inventory: Path) -> None:
    """Its last words and exit code are told; the next run asks about the rest alone."""
    (tmp_path / "bin" / "mode").write_text("fail")
    with pytest.raises(CamtrapError, match=r"exit code 9: .*out of memory; mend that, then the same command again"):
        run(tmp_path)
    assert not (tmp_path / "md.json").exists()
    (tmp_path / "bin" / "mode").unlink()
    run(tmp_path)
    assert [call["todo"] for call in calls(tmp_path)] == [5, 3]
    assert "--resume_from_checkpoint" in calls(tmp_path)[1]["argv"]


def test_a_checkpoint_of_other_settings_is_not_taken_up(tmp_path: Path, inventory: Path) -> None:
    """Another model begins anew."""
    (tmp_path / "bin" / "mode").write_text("fail")
    with pytest.raises(CamtrapError):
        run(tmp_path)
    (tmp_path / "bin" / "mode").unlink()
    run(tmp_path, model="MDV5B")
    assert [call["todo"] for call in calls(tmp_path)] == [5, 5]


def test_a_detector_that_takes_too_long_is_stopped(tmp_path: Path, inventory: Path) -> None:
    """It ends within moments of its time, children included."""
    (tmp_path / "bin" / "mode").write_text("hang")
    start = time.monotonic()
    with pytest.raises(CamtrapError, match="--timeout-hours"):
        run(tmp_path, timeout_hours=1 / 3600)
    assert time.monotonic() - start < 20


def test_results_that_are_torn_are_told(tmp_path: Path, inventory: Path) -> None:
    """A detector that ends well but wrote no results is an error, and the next run asks it again."""
    (tmp_path / "bin" / "mode").write_text("torn")
    with pytest.raises(CamtrapError, match="without usable results"):
        run(tmp_path)
    (tmp_path / "bin" / "mode").unlink()
    assert run(tmp_path).pictures == 6


def test_what_is_not_there_is_told_before(tmp_path: Path, inventory: Path) -> None:
    """No program, no pictures: one line that says what to do."""
    with pytest.raises(SettingError, match="--megadetector-python"):
        run(tmp_path, megadetector_command=None, megadetector_python=tmp_path / "no" / "python")
    with pytest.raises(SettingError, match="is the file that is read"):
        run(tmp_path, output=inventory, overwrite=True)
    with pytest.raises(SettingError, match="none of the 6 pictures"):
        run(tmp_path, image_root_path=tmp_path / "bin")


def test_a_dry_run_says_the_command(tmp_path: Path, inventory: Path) -> None:
    """Nothing is run or written."""
    done = run(tmp_path, dry_run=True, megadetector_command=None, megadetector_python=sys.executable)
    assert f"{sys.executable} -m megadetector.detection.run_detector_batch MDV5A" in done.text()
    assert "6 in = 5 to look at + 1 not there" in done.text()
    assert not (tmp_path / ".partial").exists()
    assert not (tmp_path / "bin" / "calls").exists()


def test_a_program_of_this_folder_is_run_as_typed(
    tmp_path: Path, inventory: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """`./detector` is the file there, from a command line too, and not a name on the PATH."""
    monkeypatch.chdir(tmp_path / "bin")
    words = f"detect --inventory {inventory} --image-root-path {tmp_path}/pictures --output {tmp_path}/md.json"
    flags = [*words.split(), "--megadetector-command", "./detector", "--max-rejected-share", "0.5"]
    assert main([*flags, "--dry-run"]) == 0
    assert "command:  ./detector MDV5A" in capfd.readouterr().out
    assert main(flags) == 0
    assert len(calls(tmp_path)) == 1


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("detector", r"no such program on the PATH; the file of that name in this folder is \./detector"),
        ("detektor", r"no such program on the PATH; where the package megadetector is not there yet: install it"),
        ("./detektor", r"no such file; did you mean detector\?; where the package megadetector is not there yet: install it"),
        ("./mode", r"cannot be run; make it executable \(chmod \+x \./mode\)$"),
        (".//", "is a folder, no program$"),
    ],
)
def test_a_program_that_cannot_be_found_is_told_before(
    tmp_path: Path, inventory: Path, monkeypatch: pytest.MonkeyPatch, program: str, said: str, dry_run: bool
) -> None:
    """The dry run objects as the command does; neither leaves anything behind."""
    monkeypatch.chdir(tmp_path / "bin")
    (tmp_path / "bin" / "mode").write_text("")
    with pytest.raises(SettingError, match=f"--megadetector-command .*{said}"):
        run(tmp_path, megadetector_command=program, dry_run=dry_run)
    assert not (tmp_path / ".partial").exists()


def test_a_python_without_the_package_is_told_in_one_line(
    tmp_path: Path, inventory: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What to install is said before anything runs, and no traceback of the other Python is shown."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')  # -S: without any installed package
    python.chmod(0o755)
    with pytest.raises(SettingError, match=r"has no package megadetector; .*bin/pip install megadetector"):
        run(tmp_path, megadetector_command=None, megadetector_python=python)
    assert capfd.readouterr() == ("", "")
