"""Sets of shards, indexed by record."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from array import array
from pathlib import Path

import numpy as np
import pytest

from camtrap_tf.dataset.framing import frame, read_records, scan_offsets
from camtrap_tf.dataset.manifest import DatasetManifest, Flow, ShardInfo, SplitCounts
from camtrap_tf.errors import DatasetError, LabelError, SettingError
from camtrap_tf.files import sha256_file
from camtrap_tf.images.stored_form import StoredForm
from camtrap_tf.input_pipeline import shard_set
from camtrap_tf.input_pipeline.shard_set import ShardSet
from camtrap_tf.labels import LabelMapping
from tests.factories import make_jpeg
from tests.unit.input_pipeline.conftest import MAPPING, WriteShard


def add_manifest(folder: Path, *, counts: dict[str, SplitCounts] | None = None, form: StoredForm | None = None) -> None:
    """Writes a manifest for the shards in a folder."""
    shards = []
    for path in sorted(folder.glob("*.tfrecord")):
        offsets, _ = scan_offsets(path)
        info = ShardInfo(
            name=path.name, split=path.name.split("_")[0], records=len(offsets), images=len(offsets),
            bytes=path.stat().st_size, sha256=sha256_file(path), offsets=array("Q", offsets.tolist()),
        )  # fmt: skip
        shards.append(info)
    total = sum(shard.records for shard in shards)
    flow = Flow(into=total, out=total, rejected={})
    DatasetManifest(
        inventory="i", plan="p", label_mapping="m", stored_form=form or StoredForm(64), label_types=("count", "species"),
        group_field=None, selection=(), warnings=(), records=flow, pictures=flow, splits=counts or {}, shards=tuple(shards),
    ).write(folder)  # fmt: skip


def test_records_are_read_by_number(write_shard: WriteShard) -> None:
    """Any record of any shard comes back as it was written, in whatever order it is asked for."""
    paths = [write_shard(f"train_00{i}-of-003.tfrecord", pictures=count) for i, count in ((1, 3), (2, 1), (3, 4))]
    expected = [data for path in paths for data in read_records(path)]
    shards = ShardSet.open([paths[0].parent], ["train"])
    order = np.random.default_rng(0).permutation(len(shards))
    assert shards.read_many(order) == [expected[i] for i in order]
    assert shards.shard_sizes == (3, 1, 4)
    assert shards.example(3).id == "train_002-of-003.tfrecord#0"


def test_many_threads_may_read(write_shard: WriteShard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that read at the same time get the right records, also with more shards than files kept open."""
    monkeypatch.setattr(shard_set, "OPEN_FILES", 2)
    paths = [write_shard(f"train_00{i}-of-005.tfrecord", pictures=2) for i in range(1, 6)]
    shards = ShardSet.open([paths[0].parent], ["train"])
    expected = [data for path in paths for data in read_records(path)]
    wrong = []

    def read(seed: int) -> None:
        """Reads records in any order and compares them."""
        for index in np.random.default_rng(seed).integers(0, len(shards), 200).tolist():
            if shards.read_many([index]) != [expected[index]]:
                wrong.append(index)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_damage_is_seen(write_shard: WriteShard) -> None:
    """A record whose bytes changed is not handed on."""
    path = write_shard(pictures=3)
    offsets, _ = scan_offsets(path)
    data = bytearray(path.read_bytes())
    data[int(offsets[1]) + 40] ^= 1
    path.write_bytes(data)
    shards = ShardSet.open([path], [])
    assert [bool(one) for one in shards.read_many([0, 1, 2])] == [True, False, True]
    with pytest.raises(DatasetError, match="record 1 is damaged"):
        shards.read(1)


def test_a_cut_off_shard_is_refused(write_shard: WriteShard) -> None:
    """A shard that ends within a record is an error when it is opened."""
    path = write_shard(pictures=3)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DatasetError, match="ends within a record"):
        ShardSet.open([path], [])


def test_empty_set_is_refused(tmp_path: Path) -> None:
    """Shards without a record are an error that says so."""
    (tmp_path / "train_001-of-001.tfrecord").write_bytes(b"")
    with pytest.raises(DatasetError, match="hold no record"):
        ShardSet.open([tmp_path], ["train"])


def test_unknown_split_is_refused(write_shard: WriteShard) -> None:
    """A split that is not there is named with those that are."""
    path = write_shard()
    with pytest.raises(SettingError, match=r"trian.*did you mean 'train'"):
        ShardSet.open([path.parent], ["trian"])


def test_labels_of_old_shards_are_counted(write_shard: WriteShard) -> None:
    """Without a manifest classes of first observations are counted from the records; missing ones under -1."""
    labels = [{"species": "zebra"}, {"species": "lion", "count": "2"}, [{"species": "zebra"}, {"species": "lion"}]]
    path = write_shard(pictures=6, labels=labels)
    shards = ShardSet.open([path], [])
    assert shards.label_types == ("count", "species")
    assert shards.label_counts() == {"count": {"-1": 4, "2": 2}, "species": {"lion": 2, "zebra": 4}}
    assert shards.stored_form is None


def test_counts_come_from_the_manifest(write_shard: WriteShard) -> None:
    """With a manifest nothing is counted again, and the stored form is known."""
    path = write_shard("train_001-of-001.tfrecord", pictures=6)
    write_shard("val_001-of-001.tfrecord", pictures=2)
    counts = {"train": SplitCounts(records=6, images=6, labels={"species": {"told": 5}}, missing={"species": 1, "count": 6})}
    add_manifest(path.parent, counts=counts)
    shards = ShardSet.open([path.parent], ["train"])
    assert shards.label_counts(["species", "count"]) == {"species": {"-1": 1, "told": 5}, "count": {"-1": 6}}
    assert shards.stored_form == StoredForm(64)
    assert shards.frame_counts().tolist() == [1] * 6
    assert shards.image_count == 6


def test_part_of_a_split_is_counted_from_its_records(write_shard: WriteShard) -> None:
    """Counts of the whole split are not taken for one shard of it."""
    paths = [write_shard(f"train_00{i}-of-002.tfrecord", pictures=2) for i in (1, 2)]
    counts = {"train": SplitCounts(records=4, images=4, labels={"species": {"told": 4}}, missing={})}
    add_manifest(paths[0].parent, counts=counts)
    assert ShardSet.open([paths[1]], []).label_counts(["species"]) == {"species": {"lion": 1, "zebra": 1}}


def test_offsets_of_manifest_and_scan_agree(write_shard: WriteShard) -> None:
    """Records are the same with and without the manifest."""
    path = write_shard(pictures=5)
    plain = ShardSet.open([path], [])
    before = plain.read_many(range(5)), plain.digest
    add_manifest(path.parent)
    listed = ShardSet.open([path], [])
    assert (listed.read_many(range(5)), listed.digest) == before


def test_shard_of_another_size_is_refused(write_shard: WriteShard) -> None:
    """A shard that is not the one its manifest lists is an error that names both sizes."""
    path = write_shard(pictures=3)
    add_manifest(path.parent)
    path.write_bytes(path.read_bytes() + frame(b"more"))
    with pytest.raises(DatasetError, match=r"bytes, dataset.json beside it says"):
        ShardSet.open([path.parent], ["train"])


def test_changed_shards_are_found(write_shard: WriteShard) -> None:
    """A flipped byte is found where size or time tell that a shard was touched, and in all shards where nothing is known."""
    paths = [write_shard(f"train_00{i}-of-002.tfrecord", pictures=1) for i in (1, 2)]
    add_manifest(paths[0].parent)
    shards = ShardSet.open([paths[0].parent], ["train"])
    before = shards.states()
    assert list(shards.changed(before)) == list(shards.changed([])) == []
    content = bytearray(paths[1].read_bytes())
    content[-9] ^= 1
    paths[1].write_bytes(content)
    os.utime(paths[1], ns=(0, before[1][1] + 1))
    os.utime(paths[0], ns=(0, 0))  # copied to another place, say
    assert ShardSet.open([paths[0].parent], ["train"]).digest == shards.digest
    assert list(shards.changed(before)) == list(shards.changed([])) == [paths[1]]


def test_merged_datasets(write_shard: WriteShard, caplog: pytest.LogCaptureFixture) -> None:
    """Folders are read as one set; where their stored forms differ the first one's counts, with a warning."""
    one, other = write_shard(folder="a", pictures=2), write_shard(folder="b", pictures=3)
    add_manifest(one.parent, form=StoredForm(64))
    add_manifest(other.parent, form=StoredForm(128))
    with caplog.at_level(logging.WARNING, "camtrap_tf"):
        shards = ShardSet.open([one.parent, other.parent], ["train"])
    assert len(shards) == 5
    assert shards.stored_form == StoredForm(64)
    assert "2 different forms" in caplog.text


def test_digest_follows_content_not_place(write_shard: WriteShard, tmp_path: Path) -> None:
    """The same shards elsewhere have the same digest; other content has another."""
    path = write_shard(pictures=2)
    shutil.copytree(path.parent, tmp_path / "elsewhere")
    first = ShardSet.open([path.parent], ["train"]).digest
    assert ShardSet.open([tmp_path / "elsewhere"], ["train"]).digest == first
    write_shard(pictures=3)
    assert ShardSet.open([path.parent], ["train"]).digest != first


def test_absent_label_is_named(write_shard: WriteShard) -> None:
    """A label type that the shards lack is an error with the nearest and all that are there."""
    shards = ShardSet.open([write_shard()], [])
    with pytest.raises(LabelError, match=r"--labels specis: .*did you mean 'species'\? \(there: count, species\)"):
        shards.label_counts(["specis"])


def test_classes_that_the_mapping_lacks_are_counted(write_shard: WriteShard) -> None:
    """They are listed with the number of records; missing ones are not among them."""
    shards = ShardSet.open([write_shard(pictures=5, labels=[{"species": "zebra"}, {"species": "okapi"}])], [])
    assert shards.unknown_classes(MAPPING.select(["species"])) == {"species": {"okapi": 2}}
    assert shards.unknown_classes(LabelMapping.from_classes({"species": ["zebra", "okapi"]})) == {}


def test_mapping_that_knows_no_class_is_refused(write_shard: WriteShard) -> None:
    """Where all classes of a label type are unknown, the mapping is the wrong one."""
    shards = ShardSet.open([write_shard()], [])
    with pytest.raises(LabelError, match=r"knows none of the classes in the shards \(lion, zebra\)"):
        shards.unknown_classes(LabelMapping.from_classes({"species": ["cat", "dog"]}))
    nothing = ShardSet.open([write_shard("val_001-of-001.tfrecord", labels=[{"species": "zebra"}])], [])
    with pytest.raises(LabelError, match="no class at all"):
        nothing.unknown_classes(MAPPING.select(["count"]))


def test_frames_are_counted(write_shard: WriteShard) -> None:
    """Records know how many pictures they have, also without a manifest."""
    jpeg = make_jpeg()
    shards = ShardSet.open([write_shard(pictures=[[jpeg] * 3, [], [jpeg]])], [])
    assert shards.frame_counts().tolist() == [3, 0, 1]
    assert shards.image_count == 4


def test_index_is_small(tmp_path: Path) -> None:
    """The index takes no more than 12 bytes a record."""
    path = tmp_path / "train_001-of-001.tfrecord"
    path.write_bytes(frame(b"x") * 1000)
    shards = ShardSet.open([path], [])
    held = sum(array.nbytes for shard in shards._shards for array in (shard.offsets, shard.lengths))
    assert held <= 12 * len(shards)
