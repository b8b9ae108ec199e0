"""Records of shards, against TensorFlow's own messages and parser."""

from __future__ import annotations

import json
from typing import Any

import pytest
import tensorflow as tf

from camtrap_tf.dataset.schema import decode_example, encode_example
from camtrap_tf.errors import DatasetError
from camtrap_tf.labels import LabelMapping
from tests.factories import make_event, make_jpeg

MAPPING = LabelMapping({"species": {"lion": 0, "zebra": 1}, "count": {"1": 0, "2": 1}})
TYPES = ("species", "count")
EVENT = make_event(
    "SÖ/1",
    pictures=("a.jpg", "b.jpg", "ć.jpg"),
    labels=[{"species": "zebra", "count": "2"}, {"species": "gnu"}],
    location="L1",
    camp="ü",
)
FRAMES = [(0, make_jpeg(seed=1)), (2, make_jpeg(seed=2))]


def text(value: str | bytes) -> tf.train.Feature:
    """A feature of one text."""
    data = value if isinstance(value, bytes) else value.encode()
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[data]))


def number(value: int) -> tf.train.Feature:
    """A feature of one number."""
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


def old_example(context: dict[str, Any], lists: dict[str, list[Any]]) -> bytes:
    """A record written with TensorFlow's messages, as camera-trap-classifier does."""

    def feature(value: Any) -> tf.train.Feature:
        """Returns a number or a text as a feature."""
        return number(value) if isinstance(value, int) else text(value)

    return tf.train.SequenceExample(
        context=tf.train.Features(feature={key: feature(value) for key, value in context.items()}),
        feature_lists=tf.train.FeatureLists(
            feature_list={
                key: tf.train.FeatureList(feature=[feature(value) for value in values]) for key, values in lists.items()
            }
        ),
    ).SerializeToString()


def test_keys_are_those_of_camera_trap_classifier() -> None:
    """Context and lists hold exactly the keys of the format, one value each, and image_index beside them."""
    message = tf.train.SequenceExample.FromString(encode_example(EVENT, FRAMES, MAPPING, label_types=TYPES))
    context = message.context.feature
    lists = message.feature_lists.feature_list
    assert set(context) == {"id", "n_images", "n_labels", "meta_data", "labelstext"}
    assert set(lists) == {
        "images",
        "image_paths",
        "image_index",
        "label/species",
        "label/count",
        "label_num/species",
        "label_num/count",
    }
    assert context["id"].bytes_list.value[0].decode() == "SÖ/1"
    assert context["n_images"].int64_list.value[0] == 2
    assert context["n_labels"].int64_list.value[0] == 2
    assert json.loads(context["meta_data"].bytes_list.value[0]) == {"location": "L1", "camp": "ü"}
    assert context["labelstext"].bytes_list.value[0] == b"#species:zebra#count:2#species:gnu#count:-1"
    assert [f.bytes_list.value[0] for f in lists["images"].feature] == [jpeg for _, jpeg in FRAMES]
    assert [f.bytes_list.value[0].decode() for f in lists["image_paths"].feature] == ["a.jpg", "ć.jpg"]
    assert [f.int64_list.value[0] for f in lists["image_index"].feature] == [0, 2]


def test_all_observations_are_stored_and_missing_ones_are_minus_one() -> None:
    """Each observation has its class and number; a missing or unknown class has number -1."""
    message = tf.train.SequenceExample.FromString(encode_example(EVENT, FRAMES, MAPPING, label_types=TYPES))
    lists = message.feature_lists.feature_list
    assert [f.bytes_list.value[0] for f in lists["label/species"].feature] == [b"zebra", b"gnu"]
    assert [f.bytes_list.value[0] for f in lists["label/count"].feature] == [b"2", b"-1"]
    assert [f.int64_list.value[0] for f in lists["label_num/species"].feature] == [1, -1]
    assert [f.int64_list.value[0] for f in lists["label_num/count"].feature] == [1, -1]


def test_the_old_reader_reads_our_records() -> None:
    """TensorFlow's parser with the feature spec of camera-trap-classifier gives id, pictures and labels."""
    context, lists = tf.io.parse_single_sequence_example(
        encode_example(EVENT, FRAMES, MAPPING, label_types=TYPES),
        context_features={
            "id": tf.io.FixedLenFeature([], tf.string),
            "n_images": tf.io.FixedLenFeature([], tf.int64),
            "n_labels": tf.io.FixedLenFeature([], tf.int64),
            "meta_data": tf.io.FixedLenFeature([], tf.string),
            "labelstext": tf.io.FixedLenFeature([], tf.string),
        },
        sequence_features={
            "images": tf.io.FixedLenSequenceFeature([], tf.string),
            "image_paths": tf.io.FixedLenSequenceFeature([], tf.string),
            **{f"label/{label}": tf.io.FixedLenSequenceFeature([], tf.string) for label in TYPES},
            **{f"label_num/{label}": tf.io.FixedLenSequenceFeature([], tf.int64) for label in TYPES},
        },
    )
    assert context["id"].numpy().decode() == "SÖ/1"
    assert lists["images"].numpy().tolist() == [jpeg for _, jpeg in FRAMES]
    assert lists["label/species"].numpy().tolist() == [b"zebra", b"gnu"]
    assert lists["label_num/count"].numpy().tolist() == [1, -1]


def test_what_is_encoded_is_decoded() -> None:
    """Our reader gives back what our writer was given."""
    example = decode_example(encode_example(EVENT, FRAMES, MAPPING, label_types=TYPES))
    assert example.id == "SÖ/1"
    assert example.images == tuple(jpeg for _, jpeg in FRAMES)
    assert example.image_paths == ("a.jpg", "ć.jpg")
    assert example.image_index == (0, 2)
    assert example.labels == {"species": ("zebra", "gnu"), "count": ("2", "-1")}
    assert example.meta_data == {"location": "L1", "camp": "ü"}


def test_equal_records_give_equal_bytes() -> None:
    """The order of meta data and observations' keys does not show in the bytes."""
    one = make_event("e", labels={"species": "lion", "count": "1"}, a="1", b="2")
    other = make_event("e", labels={"count": "1", "species": "lion"}, b="2", a="1")
    assert encode_example(one, FRAMES[:1], MAPPING, label_types=TYPES) == encode_example(
        other, FRAMES[:1], MAPPING, label_types=TYPES
    )


def test_old_records_are_read() -> None:
    """A record as camera-trap-classifier writes it: no index, paths of unread pictures, a label type without a list."""
    data = old_example(
        {"id": "S1", "n_images": 2, "n_labels": 1, "meta_data": "", "labelstext": "#species:lion"},
        {
            "images": [b"jpeg"],
            "image_paths": ["x.jpg", "y.jpg"],
            "label/species": ["lion"],
            "label_num/species": [0],
            "label/count": [],
        },
    )
    example = decode_example(data)
    assert (example.id, example.images, example.image_index) == ("S1", (b"jpeg",), (0,))
    assert example.image_paths == ("x.jpg", "y.jpg")
    assert example.labels == {"species": ("lion",), "count": ()}
    assert example.meta_data == {}


@pytest.mark.parametrize(
    ("stored", "expected"),
    [('{"location": "B2"}', {"location": "B2"}), ("seen at dusk", {"meta_data": "seen at dusk"}), ('{"n": 3}', {"n": "3"})],
)
def test_old_meta_data(stored: str, expected: dict[str, str]) -> None:
    """Meta data are JSON, or a free text that is kept under one key."""
    assert decode_example(old_example({"id": "S1", "meta_data": stored}, {"images": []})).meta_data == expected


@pytest.mark.parametrize("data", [b"\x0a\xff\xff", b"", b"no message at all"])
def test_what_is_no_record_is_an_error(data: bytes) -> None:
    """Bytes of another kind, or without an id, are refused."""
    with pytest.raises(DatasetError, match="no SequenceExample"):
        decode_example(data)
