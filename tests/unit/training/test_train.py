"""What `camtrap train` refuses, it refuses before TensorFlow is loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CALL = """
import sys
from camtrap_tf.cli.main import main

code = main(sys.argv[1:])
print(code, *(name for name in ("tensorflow", "keras") if name in sys.modules))
"""


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--model ResNet19", "did you mean 'ResNet18'?"),
        ("--model ResNet18 --recipe finetnue", "did you mean 'finetune'?"),
        ("--model ResNet18 --weights absent.h5", "no such file"),
        ("--model Xception --output-width 64 --output-height 64", "too small"),
        ("--model ResNet18 --transfer-learning --model-to-load absent", "--model-to-load absent"),
        ("--model ResNet18", "--train-tfr-path"),
        ("--model ResNet18 --dry-run", "cannot start"),
    ],
)
def test_refusal_needs_no_tensorflow(tmp_path: Path, flags: str, said: str) -> None:
    """A bad setting is named, as a plan is made, without loading TensorFlow or Keras."""
    shards = tmp_path / "shards"
    shards.mkdir()
    places = f"--train-tfr-path {shards} --val-tfr-path {shards} --run-outputs-dir {tmp_path / 'run'}"
    command = f"train {places} --model-save-dir {tmp_path / 'save'} --labels species --n-gpus 0 {flags}"
    done = subprocess.run([sys.executable, "-c", CALL, *command.split()], capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[-1] == "2"
    assert said in done.stderr + done.stdout
