"""SavedModels loaded in process."""

from __future__ import annotations

import io
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from camtrap_tf.config.delivery import ExportConfig
from camtrap_tf.errors import ModelError
from camtrap_tf.export.exporting import export
from camtrap_tf.files import write_json
from camtrap_tf.images.stored_form import to_stored_form
from camtrap_tf.input_pipeline.frames import pictures_to_inputs
from camtrap_tf.models.bundle import Bundle
from camtrap_tf.serving.backends import Embedded
from camtrap_tf.serving.identification import Question, identify
from tests.factories import make_jpeg
from tests.shared_data import shared
from tests.unit.export.support import write_bundle


@pytest.fixture(scope="module")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with two heads."""
    return write_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def models(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of versions with one export."""
    folder = tmp_path_factory.mktemp("models") / "savanna"
    export(ExportConfig(model=bundle_folder, output_dir=folder, version=4))
    return folder


@pytest.fixture(scope="module")
def backend(models: Path) -> Embedded:
    """That export, loaded."""
    return Embedded.load(models)


def scores(backend: Embedded, *pictures: bytes) -> dict[str, dict[str, float]]:
    """Returns label → class → score as the service replies."""
    answer = identify(backend, pictures, Question(label="species"), max_pixels=10**8)
    return {label: {one.name: one.score for one in ranked} for label, ranked in answer.labels.items()}


def test_the_card_says_which_model_it_is(backend: Embedded) -> None:
    """Name of the folder of versions, version and classes come from the export."""
    assert (backend.card.name, backend.card.version) == ("savanna", "4")
    assert backend.card.classes == {"species": ("blank", "impala", "zebra"), "count": ("1", "2")}


@pytest.mark.parametrize(
    "name",
    [
        "african_elephants.jpg",
        "african_elephants_bw.jpg",
        "african_elephants_cmyk.jpg",
        "african_elephants_with_exif_orientation.jpg",
        "blank.jpg",
    ],
)
def test_service_equals_bundle_on_real_files(backend: Embedded, bundle_folder: Path, name: str) -> None:
    """For the same file the service gives what the bundle gives for its stored form, to 1e-5: orientation, grey, CMYK."""
    data = shared(f"data/speciesnet_awkward/{name}").read_bytes()
    bundle = Bundle.read(bundle_folder)
    stored = to_stored_form(data, bundle.preprocessing.stored_form)
    expected = bundle.probabilities(pictures_to_inputs(tf.constant([stored]), bundle.preprocessing))
    given = scores(backend, data)
    for label in bundle.labels:
        assert [given[label][name] for name in bundle.classes(label)] == pytest.approx(expected[label][0].tolist(), abs=1e-5)


def test_a_turned_picture_gives_the_same_answer_as_an_upright_one(backend: Embedded) -> None:
    """The service obeys EXIF orientation, which the graph alone cannot: file and turned pixels agree."""
    upright = Image.open(io.BytesIO(make_jpeg(80, 60, seed=5)))
    lying = upright.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    files = []
    for picture, options in ((upright, {}), (lying, {"exif": exif}), (lying, {})):
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=100, subsampling=0, **options)
        files.append(buffer.getvalue())
    plain, turned, wrong = (scores(backend, data)["species"] for data in files)
    assert turned == pytest.approx(plain, abs=0.02)
    assert wrong != pytest.approx(plain, abs=0.05)


def test_frames_are_averaged(backend: Embedded) -> None:
    """Two pictures give the mean of what each gives."""
    pictures = [make_jpeg(100, 80, seed=seed) for seed in (1, 2)]
    single = [scores(backend, picture)["species"] for picture in pictures]
    together = scores(backend, *pictures)["species"]
    assert together == pytest.approx({name: (single[0][name] + single[1][name]) / 2 for name in together}, abs=1e-5)


def test_many_threads_get_their_own_answers(backend: Embedded) -> None:
    """Calls from several threads at once do not mix."""
    pictures = [to_stored_form(make_jpeg(60, 50, seed=seed), backend.card.stored_form) for seed in range(8)]
    alone = [backend.probabilities([picture])["species"] for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda picture: backend.probabilities([picture])["species"], pictures * 4))
    for i, answer in enumerate(together):
        np.testing.assert_allclose(answer, alone[i % 8], atol=1e-6)


def test_stacked_models_get_the_frames_of_an_event_together(tmp_path: Path) -> None:
    """One to five frames give one answer: the first three count, an absent one repeats the last."""
    bundle = write_bundle(tmp_path / "bundle", stacked=True)
    export(ExportConfig(model=bundle, output_dir=tmp_path / "out"))
    stacked = Embedded.load(tmp_path / "out")
    a, b, c, d = (to_stored_form(make_jpeg(60, 50, seed=seed), stacked.card.stored_form) for seed in range(4))
    answers = [stacked.probabilities(frames)["species"] for frames in ([a, b], [a, b, b], [a, b, c], [a, b, c, d])]
    assert answers[0].shape == (1, 3)
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-6)
    np.testing.assert_allclose(answers[2], answers[3], atol=1e-6)
    assert np.abs(answers[1] - answers[2]).max() > 1e-4


def test_a_broken_export_is_one_line(models: Path, tmp_path: Path) -> None:
    """A damaged graph, or assets of another model, are found when loading and say what to do."""
    broken = tmp_path / "graph" / "1"
    shutil.copytree(models / "4", broken)
    (broken / "saved_model.pb").write_bytes(b"nonsense")
    with pytest.raises(ModelError, match=r"cannot be loaded as a SavedModel.*export the bundle again") as caught:
        Embedded.load(broken)
    assert "\n" not in str(caught.value)

    incomplete = tmp_path / "weights" / "1"
    shutil.copytree(models / "4", incomplete)
    shutil.rmtree(incomplete / "variables")
    with pytest.raises(ModelError, match="cannot be loaded"):
        Embedded.load(incomplete)

    other = tmp_path / "assets" / "1"
    shutil.copytree(models / "4", other)
    mapping = {"species": {"a": 0, "b": 1}, "count": {"1": 0, "2": 1}}
    write_json(other / "assets.extra" / "label_mappings.json", mapping)
    with pytest.raises(ModelError, match="'species' has 2 classes but the model answers with"):
        Embedded.load(other)
