"""The manifest of a dataset."""

from __future__ import annotations

import json
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from camtrap_tf.dataset.framing import frame, scan_offsets
from camtrap_tf.dataset.manifest import DatasetManifest, Flow, ShardInfo, SplitCounts
from camtrap_tf.errors import DatasetError, SourceError
from camtrap_tf.files import sha256_bytes
from camtrap_tf.images.stored_form import StoredForm

DATA = b"".join(map(frame, (b"one", b"", b"three")))


def make_manifest(**changes: Any) -> DatasetManifest:
    """A manifest of one shard."""
    shard = ShardInfo(
        name="train_001-of-001.tfrecord",
        split="train",
        records=3,
        images=4,
        bytes=len(DATA),
        sha256=sha256_bytes(DATA),
        offsets=array("Q", (12, 31, 47)),
    )
    values: dict[str, Any] = {
        "inventory": "a" * 64,
        "plan": "b" * 64,
        "label_mapping": "c" * 64,
        "stored_form": StoredForm(side_max_px=300),
        "label_types": ("species",),
        "group_field": "location",
        "selection": ({"name": "keep", "records_before": 9, "records_after": 4},),
        "warnings": ("look out",),
        "records": Flow(into=4, out=3, rejected={"no_picture": 1}),
        "pictures": Flow(into=6, out=4, rejected={"truncated": 2}),
        "splits": {"train": SplitCounts(records=3, images=4, labels={"species": {"zebra": 2}}, missing={"species": 1})},
        "shards": (shard,),
    }
    return DatasetManifest(**{**values, **changes})


def test_a_manifest_is_read_as_written(tmp_path: Path) -> None:
    """Writing and reading gives an equal manifest."""
    manifest = make_manifest()
    manifest.write(tmp_path)
    assert DatasetManifest.read(tmp_path) == manifest


def test_payloads_are_where_a_scan_finds_them(tmp_path: Path) -> None:
    """Offsets and lengths from the manifest equal those from the file, a shard without records included."""
    path = tmp_path / "x.tfrecord"
    path.write_bytes(DATA)
    offsets, lengths = make_manifest().shards[0].payloads()
    scanned = scan_offsets(path)
    np.testing.assert_array_equal(offsets, scanned[0])
    np.testing.assert_array_equal(lengths, scanned[1])
    assert (offsets.dtype, lengths.dtype) == (np.uint64, np.uint64)
    empty = ShardInfo(name="e", split="e", records=0, images=0, bytes=0, sha256="", offsets=array("Q"))
    assert [len(part) for part in empty.payloads()] == [0, 0]


def test_in_is_out_plus_rejected() -> None:
    """Numbers that do not add up are a mistake of the program."""
    with pytest.raises(ValueError, match="do not add up"):
        Flow(into=3, out=3, rejected={"truncated": 1})


def test_counts_add_up() -> None:
    """Adding the counts of two parts adds every class and every missing label."""
    total = SplitCounts()
    total.add(SplitCounts(records=2, images=3, labels={"species": {"a": 1}}, missing={"species": 1}))
    total.add(SplitCounts(records=2, images=2, labels={"species": {"b": 1, "a": 1}}, missing={"species": 0}))
    assert total.as_json() == {"records": 4, "images": 5, "labels": {"species": {"a": 2, "b": 1}}, "missing": {"species": 1}}


def test_shards_have_to_be_there(tmp_path: Path) -> None:
    """A listed shard that is absent or of another size is named."""
    manifest = make_manifest()
    with pytest.raises(DatasetError, match="it is not there"):
        manifest.require_shards(tmp_path)
    (tmp_path / "train_001-of-001.tfrecord").write_bytes(DATA[:-1])
    with pytest.raises(DatasetError, match=f"{len(DATA) - 1} bytes, the manifest says {len(DATA)}"):
        manifest.require_shards(tmp_path)
    (tmp_path / "train_001-of-001.tfrecord").write_bytes(DATA)
    manifest.require_shards(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "bundle"}, "not a dataset manifest"),
        ({"schema_version": 99}, "manifest version 99, this program reads 1"),
        ({"splits": None}, "manifest is damaged"),
        ({"records": {"in": 3, "out": 1, "rejected": {}}}, "do not add up"),
    ],
)
def test_other_manifests_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    """Another kind, another version or a damaged manifest is one line with its path."""
    (tmp_path / "dataset.json").write_text(json.dumps({**make_manifest().as_json(), **change}))
    with pytest.raises(DatasetError, match=message):
        DatasetManifest.read(tmp_path)


def test_no_manifest_is_a_source_error(tmp_path: Path) -> None:
    """Old shards have none; callers can tell."""
    with pytest.raises(SourceError, match="no such dataset manifest"):
        DatasetManifest.read(tmp_path)
