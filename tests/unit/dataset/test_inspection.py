"""Looking at shards, ours and others'."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

from camtrap_tf.config.dataset import DatasetConfig, DatasetInspectConfig
from camtrap_tf.dataset.framing import frame
from camtrap_tf.dataset.inspection import Inspection, inspect_dataset
from camtrap_tf.dataset.writing import create_dataset
from camtrap_tf.errors import DatasetError, SettingError
from camtrap_tf.inventory.table import Inventory
from tests.factories import make_event, make_jpeg, write_pictures


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A dataset of 20 records with two pictures each, in several shards."""
    events = [
        make_event(f"e{i:02d}", pictures=(f"{i}a.jpg", f"{i}b.jpg"), labels={"species": ("zebra", "lion", "-1")[i % 3]})
        for i in range(20)
    ]
    write_pictures(tmp_path / "pictures", [media.path for event in events for media in event.media], width=24, height=16)
    Inventory.from_records(events).write(tmp_path / "inventory.json")
    create_dataset(
        DatasetConfig(
            inventory=tmp_path / "inventory.json",
            output_dir=tmp_path / "out",
            image_root_path=tmp_path / "pictures",
            split_names=("train", "val"),
            split_percent=(0.7, 0.3),
            max_records_per_file=6,
            workers=1,
        )
    )
    return tmp_path / "out"


@pytest.fixture
def old_shard(tmp_path: Path) -> Path:
    """A shard as camera-trap-classifier writes it: three records, one without a label type, one picture unread."""

    def feature(value: bytes) -> tf.train.Feature:
        """Returns a feature of one value."""
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    def record(name: bytes, lists: dict[str, list[bytes]]) -> bytes:
        """Returns a serialised record."""
        return tf.train.SequenceExample(
            context=tf.train.Features(feature={"id": feature(name), "meta_data": feature(b"")}),
            feature_lists=tf.train.FeatureLists(
                feature_list={key: tf.train.FeatureList(feature=list(map(feature, values))) for key, values in lists.items()}
            ),
        ).SerializeToString()

    path = tmp_path / "old" / "train_001-of-001.tfrecord"
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        both = {"images": [make_jpeg()], "image_paths": [b"a.jpg", b"b.jpg"]}
        writer.write(record(b"one", {**both, "label/species": [b"lion"], "label/count": [b"2"]}))
        writer.write(record(b"two", {**both, "label/species": [b"lion"]}))
        writer.write(record(b"three", {**both, "label/species": [b"-1"], "label/count": []}))
    return path


def inspect(path: Path, **options: object) -> Inspection:
    """Inspects a path."""
    return inspect_dataset(DatasetInspectConfig.model_validate({"path": path, **options}))


@pytest.mark.parametrize("verify", [False, True])
def test_counts_from_manifest_and_from_records_agree(dataset: Path, verify: bool) -> None:
    """With a manifest, without it, verified or not: the same counts, and no damage."""
    with_manifest = inspect(dataset, verify=verify)
    assert (with_manifest.problems, with_manifest.exit_code) == ((), 0)
    (dataset / "dataset.json").unlink()
    counted = inspect(dataset, verify=verify)
    assert counted.shards == with_manifest.shards
    assert {k: v.as_json() for k, v in counted.splits.items()} == {k: v.as_json() for k, v in with_manifest.splits.items()}
    assert sum(split.records for split in counted.splits.values()) == 20
    assert "no manifest" in counted.text()


def test_text_says_what_is_there(dataset: Path) -> None:
    """Splits, classes, the flow of records and the stored form are said."""
    text = inspect(dataset).text()
    assert "records: 20 in = 20 out + 0 rejected" in text
    assert "quality 90, smaller side at most 500 px" in text
    assert "species: " in text
    assert "sound" in inspect(dataset, verify=True).text()


def test_old_shards_are_read(old_shard: Path) -> None:
    """Shards of camera-trap-classifier: records, pictures that are there, classes, missing labels."""
    found = inspect(old_shard.parent, records=1, verify=True)
    assert found.splits["train"].as_json() == {
        "records": 3,
        "images": 3,
        "labels": {"count": {"2": 1}, "species": {"lion": 2}},
        "missing": {"count": 1, "species": 1},
    }
    assert found.exit_code == 0
    assert "record one" in found.text()
    assert "paths: a.jpg, b.jpg" in found.text()


def test_some_splits_or_one_shard_only(dataset: Path) -> None:
    """A pattern chooses splits; a file stands for itself."""
    assert list(inspect(dataset, pattern=("val",)).splits) == ["val"]
    shard = next(dataset.glob("train_001-*.tfrecord"))
    alone = inspect(shard)
    assert list(alone.splits) == ["train"]
    assert 0 < alone.splits["train"].records <= 6
    with pytest.raises(SettingError, match="no shard of split 'test'"):
        inspect(dataset, pattern=("test",))


def test_records_are_printed(dataset: Path) -> None:
    """The first records are shown with labels and pictures."""
    found = inspect(dataset, records=2)
    assert len(found.examples) == 2
    assert found.text().count("record e") == 2
    assert f"{found.examples[0].image_paths[0]}" in found.text()


def test_a_flipped_byte_is_found_when_verifying(dataset: Path) -> None:
    """Damage that no size shows is found by digest and checksum, and named with the file."""
    shard = next(dataset.glob("train_002-*.tfrecord"))
    data = bytearray(shard.read_bytes())
    data[-50] ^= 1
    shard.write_bytes(bytes(data))
    assert inspect(dataset).exit_code == 0
    found = inspect(dataset, verify=True)
    assert found.exit_code == 2
    assert all(shard.name in problem for problem in found.problems)
    assert "SHA-256" in found.text()
    assert "does not match its checksum" in found.text()


def test_a_cut_shard_is_named_without_verifying(dataset: Path) -> None:
    """A shard of another size than the manifest says is named at once."""
    shard = next(dataset.glob("val_001-*.tfrecord"))
    shard.write_bytes(shard.read_bytes()[:-10])
    found = inspect(dataset)
    assert found.exit_code == 2
    assert f"{shard}: " in found.problems[0]


def test_absent_and_foreign_shards_are_named(dataset: Path, old_shard: Path) -> None:
    """A shard that the manifest lists and is gone, and one that it does not list, are named."""
    gone = next(dataset.glob("train_001-*.tfrecord"))
    gone.unlink()
    (dataset / "train_009-of-009.tfrecord").write_bytes(old_shard.read_bytes())
    text = inspect(dataset).text()
    assert f"{gone}: the manifest lists this shard but it is not there" in text
    assert "train_009-of-009.tfrecord: not in the manifest" in text


def test_damaged_old_shards_and_pictures_are_named(old_shard: Path) -> None:
    """Without a manifest, damage shows too: a cut file, records of another kind, pictures that do not decode."""
    whole = old_shard.read_bytes()
    old_shard.write_bytes(whole[:-5])
    assert "ends within a record" in inspect(old_shard.parent).problems[0]
    old_shard.write_bytes(frame(b"no message"))
    assert f"{old_shard}: a record is no SequenceExample" in inspect(old_shard.parent).problems[0]
    picture = make_jpeg()
    broken = whole.replace(picture[-40:], bytes(40), 1)
    offsets = broken.index(picture[:20])
    assert offsets > 0
    old_shard.write_bytes(broken)
    assert inspect(old_shard.parent, verify=True).exit_code == 2


def test_an_unfinished_dataset_is_refused(dataset: Path) -> None:
    """A folder whose making was interrupted says how to finish it."""
    (dataset / ".partial").mkdir()
    (dataset / "dataset.json").unlink()
    with pytest.raises(DatasetError, match="unfinished; run the same"):
        inspect(dataset)
