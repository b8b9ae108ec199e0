"""SavedModels: what they take, what they answer, and that they are checked."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from camtrap_tf.config.delivery import ExportConfig
from camtrap_tf.errors import ModelError, SettingError
from camtrap_tf.export import saved_model
from camtrap_tf.export.exporting import Exported, export
from camtrap_tf.export.layout import Export
from camtrap_tf.images.stored_form import to_stored_form
from camtrap_tf.input_pipeline.frames import pictures_to_inputs
from camtrap_tf.labels import LabelMapping
from camtrap_tf.models.bundle import Bundle
from tests.factories import make_jpeg
from tests.unit.export.support import write_bundle


@pytest.fixture(scope="module")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with two heads."""
    return write_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def exported(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Its export."""
    return export(ExportConfig(model=bundle_folder, output_dir=tmp_path_factory.mktemp("models") / "savanna"))


@pytest.fixture(scope="module")
def loaded(exported: Exported):
    """The export, loaded."""
    return tf.saved_model.load(str(exported.folder))


@pytest.fixture
def signatures(loaded):
    """Its signatures; they live as long as what they were loaded with."""
    return loaded.signatures


def encode(picture: bytes, form: str) -> bytes:
    """Returns the picture in another file format."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(picture)).save(buffer, form)
    return buffer.getvalue()


def test_answers_equal_the_bundles_on_stored_pictures(bundle_folder: Path, signatures) -> None:
    """Encoded pictures give, per head, the probabilities of the bundle to 1e-5, rows in order; softmax rows sum to 1."""
    bundle = Bundle.read(bundle_folder)
    sizes = [(64, 48), (300, 200), (150, 400), (48, 40)]
    stored = [to_stored_form(make_jpeg(w, h, seed=w), bundle.preprocessing.stored_form) for w, h in sizes]
    answer = signatures["serving_default"](image=tf.constant(stored))
    for label in ("species", "count"):
        one_by_one = np.concatenate(
            [bundle.probabilities(pictures_to_inputs(tf.constant([one]), bundle.preprocessing))[label] for one in stored]
        )
        np.testing.assert_allclose(answer[label], one_by_one, atol=1e-5)
        np.testing.assert_allclose(np.sum(answer[label], axis=1), 1.0, atol=1e-5)
    assert np.ptp(answer["species"], axis=0).max() > 0.01


def test_class_names_stand_beside_the_scores(signatures) -> None:
    """`<label>_classes` has the canonical names in index order, once per picture: [N, C]."""
    answer = signatures["serving_default"](image=tf.constant([make_jpeg(), make_jpeg(seed=1)]))
    assert answer["species_classes"].numpy().tolist() == [[b"blank", b"impala", b"zebra"]] * 2
    assert answer["count_classes"].shape == (2, 2)


def test_signature_takes_any_number_of_pictures(signatures) -> None:
    """The input is `image: string[None]`, the outputs float32 and string of the same length."""
    default = signatures["serving_default"]
    assert {name: (spec.dtype, spec.shape.as_list()) for name, spec in default.structured_input_signature[1].items()} == {
        "image": (tf.string, [None])
    }
    assert set(default.structured_outputs) == {"species", "species_classes", "count", "count_classes"}
    assert default.structured_outputs["species"].dtype == tf.float32


@pytest.mark.parametrize("form", ["PNG", "BMP", "GIF"])
def test_other_formats_are_decoded_in_the_graph(signatures, form: str) -> None:
    """Equal pixels in lossless files give equal answers whatever the format, and nearly that of a JPEG of them."""
    palette = Image.open(io.BytesIO(encode(make_jpeg(60, 50), "GIF"))).convert("RGB")
    files = []
    for name, options in ((form, {}), ("PNG", {}), ("JPEG", {"quality": 100, "subsampling": 0})):
        buffer = io.BytesIO()
        palette.save(buffer, name, **options)
        files.append(buffer.getvalue())
    answer = signatures["serving_default"](image=tf.constant(files))["species"].numpy()
    np.testing.assert_allclose(answer[0], answer[1], atol=1e-6)
    np.testing.assert_allclose(answer[2], answer[1], atol=0.02)


def test_float_signature_takes_model_input(bundle_folder: Path, signatures) -> None:
    """`float` takes pixels in 0…255 at the model's size and gives the bundle's probabilities."""
    bundle = Bundle.read(bundle_folder)
    images = np.random.default_rng(3).uniform(0, 255, (3, 40, 48, 3)).astype(np.float32)
    answer = signatures["float"](images=tf.constant(images))
    np.testing.assert_allclose(answer["count"], bundle.probabilities(images)["count"], atol=1e-5)


def test_assets_say_what_the_numbers_mean(exported: Exported, bundle_folder: Path) -> None:
    """Label mapping, image processing and bundle description travel with the model."""
    described = Export.read(exported.folder)
    assert described.classes == {"species": ("blank", "impala", "zebra"), "count": ("1", "2")}
    assert described.preprocessing == Bundle.read(bundle_folder).preprocessing
    assets = exported.folder / "assets.extra"
    for name in ("label_mappings.json", "image_processing.json", "bundle.json"):
        assert json.loads((assets / name).read_text()) == json.loads((bundle_folder / name).read_text())
    assert described.model_sha256 == json.loads((bundle_folder / "bundle.json").read_text())["model_sha256"]


def test_text_shows_a_request_to_try(exported: Exported) -> None:
    """The summary names path and signatures and has a REST request whose JSON is well formed."""
    text = exported.text()
    assert str(exported.folder) in text
    assert "http://localhost:8501/v1/models/savanna:predict" in text
    body = re.search(r"-d '(.*)' http", text)[1].replace("'$(base64 -w0 picture.jpg)'", "abc")
    assert json.loads(body) == {"instances": [{"image": {"b64": "abc"}}]}


def test_versions_count_on_and_are_never_overwritten(exported: Exported, bundle_folder: Path) -> None:
    """The next export gets the next number; one that exists is refused before the bundle is read."""
    folder = exported.folder.parent
    assert export(ExportConfig(model=bundle_folder, output_dir=folder)).folder == folder / "2"
    assert export(ExportConfig(model=bundle_folder, output_dir=folder, version=7)).folder == folder / "7"
    with pytest.raises(ModelError, match="7: this version exists"):
        export(ExportConfig(model=Path("absent"), output_dir=folder, version=7))
    assert sorted(child.name for child in folder.iterdir() if not child.name.startswith(".")) == ["1", "2", "7"]


def test_a_graph_that_answers_otherwise_is_not_published(
    bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the written model differs from the bundle nothing appears under its number."""
    real = saved_model.probabilities_of
    monkeypatch.setattr(
        saved_model, "probabilities_of", lambda *args: {label: values * 0.999 for label, values in real(*args).items()}
    )
    with pytest.raises(ModelError, match=r"differs from the bundle by .* nothing was written"):
        export(ExportConfig(model=bundle_folder, output_dir=tmp_path))
    assert [child.name for child in tmp_path.iterdir() if not child.name.startswith(".lock")] == []


def test_labels_with_odd_names_are_found_through_the_table(tmp_path: Path) -> None:
    """Labels whose names cannot be outputs work all the same: the table in the assets says which output is theirs."""
    mapping = LabelMapping({"a\nb": {"x": 0, "y": 1}, "n_bytes": {"p": 0, "q": 1, "r": 2}, "is blank": {"no": 0, "yes": 1}})
    bundle = write_bundle(tmp_path / "bundle", mapping=mapping)
    result = export(ExportConfig(model=bundle, output_dir=tmp_path / "out"))
    outputs = Export.read(result.folder).outputs
    answer = tf.saved_model.load(str(result.folder)).signatures["serving_default"](image=tf.constant([make_jpeg()]))
    assert {label: answer[names.scores].shape[1] for label, names in outputs.items()} == {
        "a\nb": 2,
        "n_bytes": 3,
        "is blank": 2,
    }
    assert not any(name.endswith("_bytes") for name in answer)


def test_stacked_models_take_three_frames(tmp_path: Path) -> None:
    """With grayscale stacking the input is `frames: string[None, 3]`, one row per event; frames make channels in order."""
    bundle = write_bundle(tmp_path / "bundle", stacked=True)
    result = export(ExportConfig(model=bundle, output_dir=tmp_path / "out"))
    loaded = tf.saved_model.load(str(result.folder))
    default = loaded.signatures["serving_default"]
    assert default.structured_input_signature[1]["frames"].shape.as_list() == [None, 3]
    dark, mid, light = (make_jpeg(48, 40, colour=(level,) * 3) for level in (10, 120, 250))
    answer = default(frames=tf.constant([[dark, mid, light], [light, mid, dark], [dark, b"", b""]]))["species"].numpy()
    assert answer.shape == (3, 3)
    pixels = np.stack([np.full((40, 48, 3), levels, np.float32) for levels in ([10, 120, 250], [250, 120, 10], [10, 10, 10])])
    np.testing.assert_allclose(answer, Bundle.read(bundle).probabilities(pixels)["species"], atol=0.01)
    assert json.loads(re.search(r"-d '(.*)' http", result.text())[1].replace("'$(base64 -w0 picture.jpg)'", "x")) == {
        "instances": [{"frames": [{"b64": "x"}] * 3}]
    }


def test_a_place_that_cannot_be_written_to_is_found_first(bundle_folder: Path, tmp_path: Path) -> None:
    """An output folder that is a file is said before the model is loaded."""
    (tmp_path / "out").write_bytes(b"")
    with pytest.raises(SettingError, match="--output-dir"):
        export(ExportConfig(model=bundle_folder, output_dir=tmp_path / "out"))


def test_a_full_disk_leaves_nothing(bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the graph cannot be written the error is one line, and no version appears."""

    def full(*_: object, **__: object) -> None:
        """Fails like a full disk."""
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device\nsecond line")

    monkeypatch.setattr(tf.saved_model, "save", full)
    with pytest.raises(ModelError, match=r"cannot be written .*No space left on device"):
        export(ExportConfig(model=bundle_folder, output_dir=tmp_path / "out"))
    assert [child.name for child in (tmp_path / "out").iterdir()] == [".lock"]


def test_a_folder_without_a_bundle_is_one_line(tmp_path: Path) -> None:
    """A wrong --model is said with its flag, and no output folder is made."""
    with pytest.raises(ModelError, match="--model"):
        export(ExportConfig(model=tmp_path / "absent", output_dir=tmp_path / "out"))
    assert not (tmp_path / "out").exists()
