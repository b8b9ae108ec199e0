"""Targets of heads of which all observations count."""

from __future__ import annotations

import numpy as np
import pytest

from camtrap_tf.input_pipeline.batches import evaluation_batches, training_batches
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.input_pipeline.shard_set import ShardSet
from camtrap_tf.input_pipeline.targets import target_row
from camtrap_tf.labels import LabelMapping
from tests.unit.input_pipeline.conftest import WriteShard

MAPPING = LabelMapping({"count": {"1": 0, "2": 1}, "species": {"lion": 0, "panther": 0, "zebra": 1}})
BLANKS = {"species": ("empty",)}
RECORDS = [
    (["zebra"], [0, 1]),
    (["zebra", "panther"], [1, 1]),
    (["empty"], [0, 0]),
    (["empty", "lion", "lion"], [1, 0]),
    (["zebra", "-1"], [-1, -1]),
    (["-1"], [-1, -1]),
    (["gnu", "lion"], [-1, -1]),
]


@pytest.fixture
def shards(write_shard: WriteShard) -> ShardSet:
    """A shard with these observations; the second of each has another count."""
    labels = [
        [{"species": name, "count": "1" if place == 0 else "2"} for place, name in enumerate(names)] for names, _ in RECORDS
    ]
    return ShardSet.open([write_shard(pictures=len(RECORDS), labels=labels)], [])


@pytest.mark.parametrize(("names", "row"), [*RECORDS, ([], [-1, -1])])
def test_row_of_a_record(names: list[str], row: list[int]) -> None:
    """All observations count; nothing there is a row of 0, and what is not known for sure is missing as a whole."""
    assert target_row(names, MAPPING.classes["species"], 2, BLANKS["species"]).tolist() == row


def test_batches_have_the_same_rows(shards: ShardSet) -> None:
    """In the graph targets are the same as on the host, in training and evaluation; the other label takes the first."""
    prep, expected = Preprocessing(output_height=16, output_width=16), np.array([row for _, row in RECORDS])
    seen: list[int] = []
    for batch in evaluation_batches(shards, prep, MAPPING, batch_size=3, blanks=BLANKS).as_numpy_iterator():
        seen += batch["records"].tolist()
        np.testing.assert_array_equal(batch["targets"]["species"], expected[batch["records"]])
        assert batch["targets"]["count"].tolist() == [0] * len(batch["records"])
    options = {"batch_size": 3, "epoch": 0, "seed": 1, "blanks": BLANKS}
    for batch in training_batches(shards, prep, MAPPING, **options).as_numpy_iterator():
        seen += batch["records"].tolist()
        np.testing.assert_array_equal(batch["targets"]["species"], expected[batch["records"]])
        # of `species` every observation is looked at, of `count` one
        several = [[len(RECORDS[record][0]) > 1, False] for record in batch["records"]]
        assert batch["several"].tolist() == several
    assert sorted(seen) == sorted([*range(len(RECORDS))] * 2)


def test_observations_without_pictures(shards: ShardSet) -> None:
    """Classes read by walking over the record are those that the whole record has."""
    assert list(shards.observations("species")) == [shards.example(i).labels["species"] for i in range(len(shards))]
    assert list(shards.observations("nope")) == [()] * len(RECORDS)


def test_damaged_record_has_no_observation(shards: ShardSet, caplog: pytest.LogCaptureFixture) -> None:
    """A record that is cut to pieces counts as missing, and is told of."""
    with shards.shards[0].open("r+b") as file:
        file.seek(int(shards._shards[0].offsets[1]))
        file.write(b"\xff" * 40)
    found = list(shards.observations("species"))
    assert (found[0], found[1], len(found)) == (("zebra",), (), len(RECORDS))
    assert "1 of 7 records are unreadable" in caplog.text
