"""Batches for training, evaluation and prediction."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from camtrap_tf.dataset.framing import scan_offsets
from camtrap_tf.errors import DatasetError, LabelError
from camtrap_tf.input_pipeline.batches import (
    InputErrors,
    evaluation_batches,
    example_count,
    stored_batches,
    training_batches,
)
from camtrap_tf.input_pipeline.frames import jpeg_input, stacked_input
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.input_pipeline.shard_set import ShardSet
from camtrap_tf.labels import LabelMapping
from tests.factories import make_jpeg
from tests.unit.input_pipeline.conftest import MAPPING, WriteShard
from tests.unit.input_pipeline.decoding import random_input

PREP = Preprocessing(output_height=24, output_width=24)
FRAMES = [[make_jpeg(60, 50, seed=10 * i + k) for k in range(count)] for i, count in enumerate([1, 3, 2, 1, 2])]


def train(shards: ShardSet, prep: Preprocessing = PREP, **options: Any) -> list[dict[str, Any]]:
    """Returns the batches of an epoch as NumPy arrays."""
    settings = {"batch_size": 4, "epoch": 0, "seed": 1, "threads": 2} | options
    mapping = settings.pop("mapping", MAPPING)
    return list(training_batches(shards, prep, mapping, **settings).as_numpy_iterator())


def joined(batches: list[dict[str, Any]], key: str) -> np.ndarray:
    """Returns one entry of all batches."""
    return np.concatenate([batch[key] for batch in batches])


def test_an_epoch_has_every_record_once(write_shard: WriteShard) -> None:
    """All records come once, in an order that differs by epoch, in batches of the size asked for."""
    shards = ShardSet.open([write_shard(pictures=11)], [])
    first, second = train(shards), train(shards, epoch=1)
    assert [len(batch["records"]) for batch in first] == [4, 4, 3]
    assert sorted(joined(first, "records")) == sorted(joined(second, "records")) == list(range(11))
    assert joined(first, "records").tolist() != joined(second, "records").tolist()
    assert [len(batch["records"]) for batch in train(shards, drop_remainder=True)] == [4, 4]


def test_no_epoch_ends_by_waiting_for_a_tuner(write_shard: WriteShard) -> None:
    """What reads, decodes and batches has fixed numbers of threads, in training and in evaluation."""
    shards = ShardSet.open([write_shard(pictures=2)], [])
    for batches in (
        training_batches(shards, PREP, MAPPING, batch_size=2, epoch=0, seed=1),
        evaluation_batches(shards, PREP, MAPPING, batch_size=2),
    ):
        assert batches.options().autotune.enabled is False


def test_pictures_follow_from_seed_epoch_and_record(write_shard: WriteShard) -> None:
    """Threads and batch size change nothing; another seed or epoch changes the pictures."""
    shards = ShardSet.open([write_shard(pictures=9)], [])
    one = train(shards, threads=1, batch_size=9)[0]
    several = train(shards, threads=4, batch_size=2)
    for key in ("images", "records", "seeds"):
        np.testing.assert_array_equal(one[key], joined(several, key))
    for other in (train(shards, epoch=1, batch_size=9)[0], train(shards, seed=2, batch_size=9)[0]):
        assert (np.abs(other["images"][np.argsort(other["records"])] - one["images"][np.argsort(one["records"])]) > 0).any()


@pytest.mark.parametrize("way", [PREP, dataclasses.replace(PREP, resized_crop_area=0.1)])
def test_a_picture_is_zoomed_and_cropped_by_its_seed(way: Preprocessing, write_shard: WriteShard) -> None:
    """What comes out is what the seed that comes along makes of the record's picture."""
    shards = ShardSet.open([write_shard(pictures=6)], [])
    batches = train(shards, way)
    assert sorted(joined(batches, "records")) == [*range(6)]
    for batch in batches:
        for image, record, seed in zip(batch["images"], batch["records"], batch["seeds"], strict=True):
            jpeg = tf.constant(shards.example(int(record)).images[0])
            np.testing.assert_array_equal(image, random_input(jpeg, tf.constant(seed), way))


@pytest.mark.parametrize("way", [PREP, dataclasses.replace(PREP, evaluation_crop=0.8, evaluation_interpolation="bicubic")])
def test_without_augmentation_training_sees_what_evaluation_sees(way: Preprocessing, write_shard: WriteShard) -> None:
    """The two paths give equal bits."""
    shards = ShardSet.open([write_shard(pictures=6)], [])
    trained = train(shards, way.without_augmentation(), batch_size=6)[0]
    [evaluated] = evaluation_batches(shards, way, MAPPING, batch_size=6).as_numpy_iterator()
    np.testing.assert_array_equal(trained["images"], evaluated["images"][trained["records"]])


def test_later_steps_are_reached_without_reading(write_shard: WriteShard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beginning at a step gives the rest of the epoch, and nothing before it is read."""
    shards = ShardSet.open([write_shard(pictures=40)], [])
    whole = train(shards)
    asked: list[int] = []
    read_many = ShardSet.read_many
    monkeypatch.setattr(ShardSet, "read_many", lambda self, rows: asked.extend(rows) or read_many(self, rows))
    rest = train(shards, start_step=7)
    for key in ("images", "records", "seeds"):
        np.testing.assert_array_equal(joined(rest, key), joined(whole[7:], key))
    assert sorted(asked) == sorted(joined(whole[7:], "records").tolist())


def test_targets_are_class_indices(write_shard: WriteShard) -> None:
    """First observations count; missing classes, unknown ones and absent label types are -1; names may share an index."""
    labels = [
        {"species": "zebra", "count": "2"}, {"species": "okapi"}, {"count": "1"},
        [{"species": "lion"}, {"species": "zebra"}], {"species": "simba"},
    ]  # fmt: skip
    path = write_shard(pictures=5, labels=labels)
    write_shard("train_002-of-002.tfrecord", pictures=1, labels=[{"species": "zebra"}], label_types=["species"])
    mapping = LabelMapping({"species": {"lion": 0, "simba": 0, "zebra": 1}, "count": {"1": 0, "2": 1}})
    batch = train(ShardSet.open([path.parent], ["train"]), mapping=mapping, batch_size=6)[0]
    by_record = {
        int(record): (int(species), int(count))
        for record, species, count in zip(batch["records"], batch["targets"]["species"], batch["targets"]["count"], strict=True)
    }
    assert by_record == {0: (1, 1), 1: (-1, -1), 2: (-1, 0), 3: (0, -1), 4: (0, -1), 5: (1, -1)}


def test_absent_label_type_is_refused(write_shard: WriteShard) -> None:
    """Training on a label type that no shard has is an error at once."""
    shards = ShardSet.open([write_shard()], [])
    with pytest.raises(LabelError, match="--labels age"):
        train(shards, mapping=LabelMapping.from_classes({"age": ["1"]}))


def test_frames_are_drawn_evenly(write_shard: WriteShard) -> None:
    """Each frame of a record is drawn about equally often, anew in each epoch."""
    shards = ShardSet.open([write_shard(pictures=[FRAMES[1]] * 90)], [])
    plain = PREP.without_augmentation()
    known = [jpeg_input(tf.constant(jpeg), plain).numpy() for jpeg in FRAMES[1]]
    drawn = []
    for epoch in (0, 1):
        [batch] = train(shards, plain, epoch=epoch, batch_size=90)
        images = batch["images"][np.argsort(batch["records"])]
        drawn.append([next(k for k, one in enumerate(known) if (image == one).all()) for image in images])
    assert min(Counter(drawn[0])[k] for k in range(3)) >= 18
    assert 15 < sum(one == other for one, other in zip(*drawn, strict=True)) < 45


def test_first_frame(write_shard: WriteShard) -> None:
    """With `first`, only first frames are seen."""
    shards = ShardSet.open([write_shard(pictures=FRAMES)], [])
    plain = dataclasses.replace(PREP.without_augmentation(), image_choice_for_sets="first")
    batches = train(shards, plain)
    assert sorted(joined(batches, "records")) == [*range(len(FRAMES))]
    for batch in batches:
        for image, record in zip(batch["images"], batch["records"], strict=True):
            np.testing.assert_array_equal(image, jpeg_input(tf.constant(FRAMES[record][0]), plain))


def test_all_frames_are_examples(write_shard: WriteShard) -> None:
    """With `all`, an epoch holds every frame of every record once, shuffled, and steps can be skipped as well."""
    shards = ShardSet.open([write_shard(pictures=FRAMES)], [])
    plain = dataclasses.replace(PREP.without_augmentation(), image_choice_for_sets="all")
    batches = train(shards, plain)
    assert example_count(shards, plain) == 9
    found = {image.tobytes() for batch in batches for image in batch["images"]}
    assert found == {jpeg_input(tf.constant(jpeg), plain).numpy().tobytes() for frames in FRAMES for jpeg in frames}
    assert Counter(joined(batches, "records").tolist()) == {i: len(frames) for i, frames in enumerate(FRAMES)}
    np.testing.assert_array_equal(train(shards, plain, start_step=2)[0]["images"], batches[2]["images"])


def test_stacked_frames(write_shard: WriteShard) -> None:
    """With `grayscale_stacking` a record is one picture, in training (same window for all frames) and evaluation."""
    shards = ShardSet.open([write_shard(pictures=FRAMES)], [])
    prep = dataclasses.replace(PREP, image_choice_for_sets="grayscale_stacking")
    [evaluated] = evaluation_batches(shards, prep, MAPPING, batch_size=9).as_numpy_iterator()
    assert evaluated["records"].tolist() == [0, 1, 2, 3, 4]
    for image, frames in zip(evaluated["images"], FRAMES, strict=True):
        np.testing.assert_array_equal(image, stacked_input(tf.constant(frames), prep))
    [trained] = train(shards, prep, batch_size=9)
    single = trained["images"][trained["records"].tolist().index(0)]
    np.testing.assert_array_equal(single[..., 0], single[..., 2])


def test_evaluation_goes_through_every_frame_in_order(write_shard: WriteShard) -> None:
    """All frames, in the order of records and time, with ids and targets."""
    shards = ShardSet.open([write_shard(pictures=FRAMES)], [])
    batches = list(evaluation_batches(shards, PREP, MAPPING, batch_size=4, ids=True).as_numpy_iterator())
    assert joined(batches, "records").tolist() == [0, 1, 1, 1, 2, 2, 3, 4, 4]
    assert joined(batches, "frames").tolist() == [0, 0, 1, 2, 0, 1, 0, 0, 1]
    assert joined(batches, "ids")[3] == b"train_001-of-001.tfrecord#1"
    flat = [jpeg for frames in FRAMES for jpeg in frames]
    for image, jpeg in zip(joined(batches, "images"), flat, strict=True):
        np.testing.assert_array_equal(image, jpeg_input(tf.constant(jpeg), PREP))
    assert np.concatenate([batch["targets"]["count"] for batch in batches]).tolist() == [0, 1, 1, 1, 0, 0, 1, 0, 0]


def test_broken_pictures_keep_their_place_and_are_counted(write_shard: WriteShard) -> None:
    """Cut off, no JPEG, empty, no picture at all: black, not valid, all targets missing; the others are unharmed."""
    good = make_jpeg(60, 50)
    pictures = [[good], [good[:400]], [b"nonsense"], [b""], [], [good + b"\0\0"], [b"\xff\xd8\xff\xe0" + bytes(60) + b"\x07"]]
    shards = ShardSet.open([write_shard(pictures=pictures)], [])
    errors = InputErrors()
    for batch in train(shards):
        errors.add(batch)
        for image, record, valid, target in zip(
            batch["images"], batch["records"], batch["valid"], batch["targets"]["species"], strict=True
        ):
            assert valid == (record in (0, 5))
            assert valid == (image.max() > 0) == (target >= 0)
    assert (errors.seen, errors.failed, sorted(errors.records)) == (7, 5, [1, 2, 3, 4, 6])
    evaluated = list(evaluation_batches(shards, PREP, MAPPING, batch_size=4).as_numpy_iterator())
    assert joined(evaluated, "valid").tolist() == [True, False, False, False, False, True, False]


def test_damaged_records_are_counted(write_shard: WriteShard) -> None:
    """A record whose checksum is wrong is an input error, not the end of training."""
    path = write_shard(pictures=5)
    offsets, _ = scan_offsets(path)
    data = bytearray(path.read_bytes())
    data[int(offsets[2]) + 50] ^= 255
    path.write_bytes(data)
    [batch] = train(ShardSet.open([path], []), batch_size=5)
    assert batch["records"][~batch["valid"]].tolist() == [2]


def test_too_many_errors_stop_the_work(write_shard: WriteShard) -> None:
    """Above the limit an error says how many, and names a record."""
    shards = ShardSet.open([write_shard(pictures=1)], [])
    errors = InputErrors()
    errors.add({"valid": np.arange(100) >= 5, "records": np.arange(100)})
    errors.check(shards)
    errors.add({"valid": np.zeros(1, bool), "records": np.array([7])})
    with pytest.raises(DatasetError, match=r"6 of 101 pictures .* e.g. in record 0"):
        errors.check(shards)


def test_pictures_in_stored_form_become_batches() -> None:
    """Pictures that come one by one are what evaluation sees; broken ones are marked."""
    jpegs = [make_jpeg(60, 50, seed=k) for k in range(5)]
    batches = list(stored_batches(iter([*jpegs, b""]), PREP, batch_size=4).as_numpy_iterator())
    assert [len(batch["valid"]) for batch in batches] == [4, 2]
    assert joined(batches, "valid").tolist() == [True] * 5 + [False]
    for image, jpeg in zip(joined(batches, "images"), jpegs, strict=False):
        np.testing.assert_array_equal(image, jpeg_input(tf.constant(jpeg), PREP))


def test_records_of_frames_become_stacks() -> None:
    """For stacked models each item is the frames of a record."""
    prep = dataclasses.replace(PREP, image_choice_for_sets="grayscale_stacking")
    [batch] = stored_batches([FRAMES[1], FRAMES[0]], prep, batch_size=2).as_numpy_iterator()
    for image, frames in zip(batch["images"], (FRAMES[1], FRAMES[0]), strict=True):
        np.testing.assert_array_equal(image, stacked_input(tf.constant(frames), prep))
