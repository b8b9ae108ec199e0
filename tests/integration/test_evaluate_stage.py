"""`evaluate` from shards to report, counted again from the model's answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics

from camtrap_tf.config.delivery import EvaluateConfig
from camtrap_tf.dataset.framing import frame
from camtrap_tf.dataset.schema import encode_example
from camtrap_tf.errors import CamtrapError, LabelError
from camtrap_tf.evaluation.evaluate import evaluate
from camtrap_tf.images.stored_form import read_stored
from camtrap_tf.input_pipeline.frames import jpeg_input
from camtrap_tf.models.bundle import Bundle
from camtrap_tf.records import CaptureEvent
from tests.factories import make_event, write_pictures
from tests.integration.bundles import FORM, MAPPING, untrained_bundle, write_shard

SPECIES = ("zebra", "lion", "blank", "-1", "unicorn", "zebra", "lion", "zebra")


@pytest.fixture(scope="module")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Writes a bundle."""
    folder = tmp_path_factory.mktemp("bundles") / "my_model"
    untrained_bundle().write(folder)
    return folder


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[CaptureEvent]]:
    """Writes eight events of one to three pictures and returns their folder and facts."""
    folder = tmp_path_factory.mktemp("pictures")
    made = []
    for i, species in enumerate(SPECIES):
        names = [f"{i}_{k}.jpg" for k in range(1 + i % 3)]
        write_pictures(folder / str(i), names, width=70 + 10 * i, height=70)
        paths = [f"{i}/{name}" for name in names]
        made.append(make_event(f"e{i}", pictures=paths, labels={"species": species}, location=f"site {i % 2}"))
    return folder, made


def config(bundle_folder: Path, tmp_path: Path, **options) -> EvaluateConfig:
    """Returns settings with the shards in `tfr` and the report in `report`."""
    return EvaluateConfig(model_path=bundle_folder, tfr_path=(tmp_path / "tfr",), output_dir=tmp_path / "report", **options)


def test_figures_are_those_of_the_answers(tmp_path: Path, bundle_folder: Path, events: tuple[Path, list[CaptureEvent]]) -> None:
    """Figures of the report follow from asking the model picture by picture and counting with scikit-learn."""
    root, facts = events
    write_shard(tmp_path / "tfr", facts, image_root=root)
    result = evaluate(config(bundle_folder, tmp_path, batch_size=4))
    bundle = Bundle.read(bundle_folder)
    truth, answers, picture_right = [], [], []
    for event in facts:
        jpegs = [read_stored(root / media.path, FORM) for media in event.media]
        frames = bundle.probabilities(np.stack([jpeg_input(jpeg, bundle.preprocessing) for jpeg in jpegs]))["species"]
        target = MAPPING.index("species", event.label("species") or "-1")
        if target >= 0:
            truth.append(target)
            answers.append(int(frames.mean(axis=0).argmax()))
            picture_right += [int(one.argmax()) == target for one in frames]
    head = json.loads((tmp_path / "report" / "report.json").read_text())["heads"]["species"]
    assert (head["n_records"], head["n_labelled"], head["n_missing"], head["n_unknown"]) == (8, 6, 1, 1)
    assert head["unknown_classes"] == {"unicorn": 1}
    assert head["accuracy"] == pytest.approx(metrics.accuracy_score(truth, answers))
    assert head["macro_f1"] == pytest.approx(metrics.f1_score(truth, answers, average="macro"))
    assert len(set(answers)) > 1, "the model should not give all events one answer"
    assert (head["pictures"]["n_labelled"], head["pictures"]["accuracy"]) == (len(picture_right), np.mean(picture_right))
    assert head["baseline"] == {"class": "zebra", "accuracy": 0.5}
    assert {row["location"]: row["n"] for row in head["per_location"]} == {"site 0": 3, "site 1": 3}
    text = result.text()
    assert "species" in text
    assert text.splitlines()[2].split()[:2] == ["species", "6"]
    assert " 50.0 % " in text.splitlines()[2]
    assert str(tmp_path / "report" / "report.html") in text
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "my_model" in page
    assert "unicorn" in page
    assert "species: 1 record of classes unknown to the model: unicorn" in text


def test_a_head_without_labels_is_reported_empty(
    tmp_path: Path, bundle_folder: Path, events: tuple[Path, list[CaptureEvent]]
) -> None:
    """A head whose label type the shards lack has no figures, and the others have theirs."""
    root, facts = events
    write_shard(tmp_path / "tfr", facts, image_root=root)
    report = evaluate(config(bundle_folder, tmp_path)).report
    assert report["heads"]["count"]["n_labelled"] == 0
    assert report["heads"]["count"]["accuracy"] is None
    assert report["heads"]["count"]["n_missing"] == 8


def test_undecodable_pictures_are_counted(tmp_path: Path, bundle_folder: Path, events: tuple[Path, list[CaptureEvent]]) -> None:
    """A damaged picture is left out of its event, an event without a sound one out of the figures; both are counted."""
    root, facts = events
    write_shard(tmp_path / "tfr", facts, image_root=root)
    good = read_stored(root / facts[1].media[0].path, FORM)
    broken = make_event("broken", pictures=["a.jpg"], labels={"species": "lion"})
    half = make_event("half", pictures=["a.jpg", "b.jpg"], labels={"species": "lion"})
    with (tmp_path / "tfr" / "test_001-of-001.tfrecord").open("ab") as file:
        for event, pictures in ((broken, [(0, b"\xff\xd8nothing")]), (half, [(0, b"nothing"), (1, good)])):
            file.write(frame(encode_example(event, pictures, MAPPING, label_types=["species"])))
    report = evaluate(config(bundle_folder, tmp_path)).report
    assert [report["data"][key] for key in ("records", "records_unreadable", "pictures_unreadable")] == [10, 1, 2]
    assert report["heads"]["species"]["n_labelled"] == 7


def test_shards_of_other_classes_are_refused(
    tmp_path: Path, bundle_folder: Path, events: tuple[Path, list[CaptureEvent]]
) -> None:
    """Where the model knows no class, or no label type, of the shards, there is nothing to measure."""
    root, facts = events
    others = [make_event(e.event_id, pictures=[e.media[0].path], labels={"species": "unicorn"}) for e in facts]
    write_shard(tmp_path / "tfr", others, image_root=root)
    with pytest.raises(LabelError, match="none of the classes in the shards \\(unicorn\\)"):
        evaluate(config(bundle_folder, tmp_path))
    others = [make_event(e.event_id, pictures=[e.media[0].path], labels={"sex": "f"}) for e in facts]
    write_shard(tmp_path / "tfr", others, image_root=root)
    with pytest.raises(LabelError, match="none of these label types \\(there: sex\\)"):
        evaluate(config(bundle_folder, tmp_path))


def test_mistakes_are_one_line(tmp_path: Path, bundle_folder: Path, events: tuple[Path, list[CaptureEvent]]) -> None:
    """No model and no shard of that split are one line each."""
    root, facts = events
    write_shard(tmp_path / "tfr", facts[:1], image_root=root)
    with pytest.raises(CamtrapError, match="no such model"):
        evaluate(config(tmp_path / "nowhere", tmp_path))
    with pytest.raises(CamtrapError, match="test"):
        evaluate(config(bundle_folder, tmp_path, tfr_pattern=("tset",)))


def test_modes_and_batches_do_not_matter_to_counting(
    tmp_path: Path, bundle_folder: Path, events: tuple[Path, list[CaptureEvent]]
) -> None:
    """The size of batches changes nothing; the aggregation mode changes answers of events, not of pictures."""
    root, facts = events
    write_shard(tmp_path / "tfr", facts, image_root=root)
    one, other = (evaluate(config(bundle_folder, tmp_path, batch_size=size)).report for size in (1, 64))
    for label in ("species", "count"):
        assert one["heads"][label]["confusion"] == other["heads"][label]["confusion"]
    least = evaluate(config(bundle_folder, tmp_path, aggregation_mode="min")).report
    assert least["heads"]["species"]["pictures"] == one["heads"]["species"]["pictures"]
