"""Wrong paths are refused before TensorFlow is loaded, whatever the command."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands import camtrap_alone


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("export --model nope --output-dir out", "--model nope: no such model"),
        ("export --model {bundle}l --output-dir out", "bundlel: no such model; did you mean {bundle}?"),
        ("evaluate --model-path {bundle}e --tfr-path nope --output-dir out", "; did you mean {bundle}?"),
        ("serve --saved-model {bundle}s", "; did you mean {bundle}?"),
        ("export --model {bundle} --output-dir out --class-mapping-json nope", "--class-mapping-json nope: no such file"),
        ("serve --saved-model nope", "nope: no such folder"),
        (
            "train doctor --model ResNet18 --labels species --train-tfr-path nope --val-tfr-path nope",
            "--train-tfr-path nope: no",
        ),
        ("predict --image-dir nope --model-path nope --results-file out.csv", "--model-path nope: no such model"),
        ("evaluate --model-path nope --tfr-path nope --output-dir out", "--model-path nope: no such model"),
    ],
)
def test_wrong_paths_are_refused_before_tensorflow(tmp_path: Path, command: str, said: str) -> None:
    """A path that is not there is named with exit code 2, TensorFlow and Keras not loaded, and nothing is left behind."""
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "bundle.json").write_text("{}")
    (bundle / "model.keras").write_bytes(b"")
    done = camtrap_alone(command.format(bundle=bundle).split(), cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "2"
    assert said.format(bundle=bundle) in done.stderr + done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
