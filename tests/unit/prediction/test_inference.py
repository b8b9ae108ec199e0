"""Files and frames through a model that is told apart by arithmetic: its answer is the mean colour of its input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from camtrap_tf.errors import ModelError
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.prediction.aggregation import Combining
from camtrap_tf.prediction.inference import predict_captures, predict_records
from camtrap_tf.prediction.results import Capture, RecordPrediction
from tests.factories import make_jpeg

SMALL = Preprocessing(output_height=16, output_width=16)
STACKED = Preprocessing(output_height=16, output_width=16, image_choice_for_sets="grayscale_stacking")
RED, GREEN, BLUE = (250, 0, 0), (0, 250, 0), (0, 0, 250)


def mean_colour(images: Any) -> Mapping[str, np.ndarray]:
    """Stands for a model with one head of three classes: the mean of R, G, B in 0…1."""
    return {"colour": np.asarray(images).mean(axis=(1, 2)) / 255}


def write_coloured(folder: Path, **colours: tuple[int, int, int]) -> dict[str, str]:
    """Writes a picture of each colour and returns their paths by name."""
    for name, colour in colours.items():
        (folder / f"{name}.jpg").write_bytes(make_jpeg(colour=colour))
    return {name: str(folder / f"{name}.jpg") for name in colours}


def predicted(captures: list[Capture], preprocessing: Preprocessing = SMALL, **options: Any) -> list[RecordPrediction]:
    """Returns the predictions of some captures."""
    options.setdefault("batch_size", 2)
    return list(predict_captures(mean_colour, preprocessing, captures, threads=2, **options))


@pytest.mark.parametrize("batch_size", [1, 2, 3, 64])
def test_answers_go_to_their_pictures(tmp_path: Path, batch_size: int) -> None:
    """However pictures fall into batches, each capture gets the answers to its own, in order."""
    rng = np.random.default_rng(batch_size)
    colours = {f"p{i}": tuple(int(v) for v in rng.integers(0, 256, 3)) for i in range(12)}
    paths = write_coloured(tmp_path, **colours)
    captures, taken = [], list(paths.values())
    for number, size in enumerate((1, 3, 0, 2, 5, 1)):
        captures.append(Capture(f"e{number}", tuple(taken[:size])))
        taken = taken[size:]
    records = predicted(captures, batch_size=batch_size)
    assert [record.id for record in records] == [capture.id for capture in captures]
    for capture, record in zip(captures, records, strict=True):
        assert tuple(picture.path for picture in record.pictures) == capture.paths
        wanted = [np.array(colours[Path(path).stem]) / 255 for path in capture.paths]
        for picture, colour in zip(record.pictures, wanted, strict=True):
            np.testing.assert_allclose(picture.probabilities["colour"], colour, atol=0.02)
        if wanted:
            np.testing.assert_allclose(record.aggregated["colour"], np.mean(wanted, axis=0), atol=0.02)


def test_every_input_comes_out(tmp_path: Path) -> None:
    """Broken, empty, absent and marked files are failures with their reason, in the place of their record."""
    good = write_coloured(tmp_path, red=RED)["red"]
    (tmp_path / "cut.jpg").write_bytes(make_jpeg(400, 300)[:3000])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_bytes(b"not a picture at all")
    names = ["cut.jpg", "empty.jpg", "text.jpg", "absent.jpg"]
    captures = [Capture(name, (str(tmp_path / name),)) for name in names]
    captures += [Capture("out", ("../x.jpg",), {"../x.jpg": ("outside_root", "leads out")}), Capture("good", (good,))]
    records = predicted([*captures[:3], Capture("mixed", (captures[0].paths[0], good)), *captures[3:]])
    assert [(record.id, record.status) for record in records] == [
        ("cut.jpg", "failed"), ("empty.jpg", "failed"), ("text.jpg", "failed"), ("mixed", "partial"),
        ("absent.jpg", "failed"), ("out", "failed"), ("good", "ok"),
    ]  # fmt: skip
    reasons = [record.error.split(":")[0] for record in records]
    assert reasons == ["truncated", "empty_file", "not_a_picture", "truncated", "missing_file", "outside_root", ""]
    np.testing.assert_allclose(records[3].aggregated["colour"], records[6].aggregated["colour"])


def test_nothing_usable_still_comes_out(tmp_path: Path) -> None:
    """Where no picture at all is usable, and the model is never asked, every record is there."""
    records = predicted([Capture(f"e{i}", (str(tmp_path / "absent.jpg"),)) for i in range(5)])
    assert [(record.id, record.status) for record in records] == [(f"e{i}", "failed") for i in range(5)]


def test_no_capture_gives_no_record() -> None:
    """Nothing in, nothing out."""
    assert predicted([]) == []


def test_modes_reach_the_answer(tmp_path: Path) -> None:
    """The aggregation mode decides what several pictures give."""
    paths = write_coloured(tmp_path, red=RED, green=GREEN)
    capture = Capture("e", (paths["red"], paths["green"]))
    for mode, wanted in (("mean", [0.49, 0.49, 0]), ("max", [0.98, 0.98, 0]), ("min", [0, 0, 0])):
        (record,) = predicted([capture], combining=Combining(mode))
        np.testing.assert_allclose(record.aggregated["colour"], wanted, atol=0.02)


def test_stacked_captures_are_one_input(tmp_path: Path) -> None:
    """With stacking, the first three usable pictures are the channels of one input; any number will do."""
    paths = write_coloured(tmp_path, white=(255, 255, 255), grey=(100, 100, 100), black=(0, 0, 0))
    (tmp_path / "cut.jpg").write_bytes(b"x")
    white, grey, black, cut = paths["white"], paths["grey"], paths["black"], str(tmp_path / "cut.jpg")
    records = predicted(
        [
            Capture("four", (white, grey, black, white)),
            Capture("one", (grey,)),
            Capture("none", (cut,)),
            Capture("some", (cut, black, white)),
        ],
        STACKED,
    )
    assert [record.status for record in records] == ["ok", "ok", "failed", "partial"]
    for record, wanted in zip(records, ([1, 100 / 255, 0], [100 / 255] * 3, None, [0, 1, 1]), strict=True):
        if wanted is not None:
            np.testing.assert_allclose(record.aggregated["colour"], wanted, atol=0.02)


def test_an_error_in_the_source_is_raised() -> None:
    """An error while captures are listed reaches the caller as itself."""

    def broken() -> Iterator[Capture]:
        """Ends in an error, or answers with what is no number."""
        yield Capture("e", ("absent.jpg",))
        raise LookupError("table ended")

    with pytest.raises(LookupError, match="table ended"):
        list(predict_captures(mean_colour, SMALL, broken(), batch_size=2))


def test_captures_are_read_as_they_are_needed(tmp_path: Path) -> None:
    """A long source is not read to its end before the first record comes out."""
    path = write_coloured(tmp_path, red=RED)["red"]
    read = 0

    def endless() -> Iterator[Capture]:
        """Yields captures and counts them."""
        nonlocal read
        while read < 5000:
            read += 1
            yield Capture(str(read), (path,))

    next(predict_captures(mean_colour, SMALL, endless(), batch_size=2, threads=2))
    assert read < 500


def batch(records: list[int], valid: list[bool] | None = None, targets: list[int] | None = None) -> dict[str, Any]:
    """Returns a batch of frames whose pictures are all of the value of their record."""
    return {
        "images": np.stack([np.full((2, 2, 3), 10.0 * record, np.float32) for record in records]),
        "records": np.array(records),
        "valid": np.array(valid or [True] * len(records)),
        "targets": {"colour": np.array(targets or records)},
    }


def test_frames_are_put_together_by_record() -> None:
    """Frames of one record stay together over the edges of batches."""
    found = list(predict_records(mean_colour, [batch([0, 0, 1]), batch([1]), batch([1, 2])]))
    assert [(one.record, len(one.probabilities["colour"]), one.targets["colour"]) for one in found] == [
        (0, 2, 0), (1, 3, 1), (2, 1, 2)
    ]  # fmt: skip
    np.testing.assert_allclose(found[1].event["colour"], np.full(3, 10 / 255), atol=1e-6)


def test_undecodable_frames_are_counted_and_left_out() -> None:
    """A frame that could not be decoded neither counts as an answer nor takes the label of its record away."""
    first = batch([4, 4, 5], valid=[False, True, False], targets=[-1, 7, -1])
    found = list(predict_records(mean_colour, [first]))
    assert [(one.targets["colour"], len(one.probabilities["colour"]), one.undecodable) for one in found] == [
        (7, 1, 1),
        (-1, 0, 1),
    ]
    assert found[1].event["colour"] is None


def test_no_batch_gives_no_record() -> None:
    """An empty set has no records."""
    assert list(predict_records(mean_colour, [])) == []


def test_a_broken_model_is_an_error(tmp_path: Path) -> None:
    """A model whose answers are NaN ends prediction and evaluation with one line, not with a table of NaN."""

    def broken(images: Any) -> Mapping[str, np.ndarray]:
        """Ends in an error, or answers with what is no number."""
        return {"colour": np.full((len(images), 3), np.nan)}

    capture = Capture("e", tuple(write_coloured(tmp_path, red=RED).values()))
    with pytest.raises(ModelError, match="'colour' are not numbers"):
        list(predict_captures(broken, SMALL, [capture], batch_size=2))
    with pytest.raises(ModelError, match="'colour' are not numbers"):
        list(predict_records(broken, [batch([0])]))
