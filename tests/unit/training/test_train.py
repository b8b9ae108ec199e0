"""What `camtrap train` refuses, it refuses before TensorFlow is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands import camtrap_alone


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--model ResNet19", "did you mean 'ResNet18'?"),
        ("--model ResNet18 --recipe finetnue", "did you mean 'finetune'?"),
        ("--model ResNet18 --weights absent.h5", "no such file"),
        ("--model ResNet18 --weights imagnet", "did you mean 'imagenet'?"),
        ("--model MobileNetV2 --weights imagenet", "place mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"),
        ("--model Xception --output-width 64 --output-height 64", "too small"),
        ("--model ResNet18 --transfer-learning --model-to-load absent", "--model-to-load absent"),
        ("--model ResNet18 --continue-training --model-to-load absent --dry-run", "input size that of absent"),
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
    # Nobody listens at the proxy, and the cache is empty: ImageNet weights are out of reach.
    offline = {"https_proxy": "http://127.0.0.1:9", "no_proxy": "", "KERAS_HOME": str(tmp_path / "keras")}
    done = camtrap_alone(command.split(), env=offline)
    assert done.stdout.splitlines()[-1] == "2"
    assert said in done.stderr + done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["shards"]
