"""JSON files beside a model, or given in their place, are checked before the model is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.errors import CamtrapError
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.models.companions import check_companions
from tests.commands import camtrap_alone

HEADS: dict[str, Any] = {
    "species": {"type": "softmax", "classes": ["lion", "zebra"]},
    "seen": {"type": "sigmoid", "classes": ["cub"], "blank_classes": ["none"]},
}
MAPPING = {"species": {"lion": 0, "zebra": 1}, "seen": {"cub": 1, "none": 0}}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A described bundle whose model file is no model."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "model.keras").write_bytes(b"none")
    (folder / "bundle.json").write_text(json.dumps({"format_version": 2, "heads": HEADS}))
    (folder / "label_mappings.json").write_text(json.dumps(MAPPING))
    Preprocessing(output_height=64, output_width=48).write(folder)
    return folder


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        (MAPPING, None),
        (MAPPING | {"other": {"x": 0}}, None),
        (MAPPING | {"seen": {"cub": 0}}, None),
        (MAPPING | {"species": {"lion": 0, "zebra": 2}}, "first one missing is 1"),
        ({"specis": MAPPING["species"], "seen": MAPPING["seen"]}, "m.json: lacks label 'species'.*did you mean 'specis'"),
        (MAPPING | {"species": {"lion": 0}}, "m.json: has 1 class for label 'species', the model 2"),
        ([], "a label mapping is an object"),
    ],
)
def test_mappings_that_are_given(bundle: Path, tmp_path: Path, mapping: Any, said: str | None) -> None:
    """A mapping has every label of the model, its number of classes (blank ones aside) and no gap."""
    file = tmp_path / "m.json"
    file.write_text(json.dumps(mapping))
    if said is None:
        assert check_companions(bundle, class_mapping_json=file).file == bundle / "model.keras"
        return
    with pytest.raises(CamtrapError, match=said):
        check_companions(bundle, class_mapping_json=file)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, None),
        ({"output_width": 64}, r"p.json: makes pictures of 64 × 64 px, the model takes 48 × 64"),
        ({"outputwidth": 64}, r"p.json: unknown key 'outputwidth'; did you mean 'output_width'"),
    ],
)
def test_image_processing_that_is_given(bundle: Path, tmp_path: Path, change: dict[str, Any], said: str | None) -> None:
    """An image processing is one, and makes pictures of the size that the model takes."""
    file = tmp_path / "p.json"
    file.write_text(json.dumps(Preprocessing(output_height=64, output_width=48).as_json() | change))
    if said is None:
        check_companions(bundle, pre_processing_json=file)
        return
    with pytest.raises(CamtrapError, match=said):
        check_companions(bundle, pre_processing_json=file)


def test_files_beside_the_model_are_checked_too(bundle: Path) -> None:
    """A label mapping of the bundle that has a gap is named; where one is given, it does not matter."""
    good = bundle.with_name("good.json")
    good.write_text(json.dumps(MAPPING))
    (bundle / "label_mappings.json").write_text(json.dumps({"species": {"lion": 3}}))
    with pytest.raises(CamtrapError, match=r"bundle/label_mappings\.json: label 'species' has indices"):
        check_companions(bundle)
    check_companions(bundle, class_mapping_json=good)


@pytest.mark.parametrize(
    "command",
    [
        "predict --model-path bundle --image-dir pictures --results-file p.csv",
        "export --model bundle --output-dir out",
    ],
)
@pytest.mark.parametrize("flag", ["--class-mapping-json", "--pre-processing-json"])
def test_no_tensorflow_for_wrong_files(bundle: Path, command: str, flag: str) -> None:
    """A wrong file is named with exit code 2 before TensorFlow is loaded."""
    (bundle.parent / "pictures").mkdir()
    bundle.with_name("wrong.json").write_text('{"species": {"lion": 0, "zebra": 2}}')
    done = camtrap_alone([*command.split(), flag, "wrong.json"], cwd=bundle.parent)
    assert done.stdout.splitlines()[-1] == "2"
    assert "wrong.json: " in done.stderr
