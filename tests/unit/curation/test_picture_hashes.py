"""Hashes of the pictures of an inventory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from camtrap_tf.curation import picture_hashes
from camtrap_tf.curation.picture_hashes import hash_pictures
from camtrap_tf.files import sha256_file
from camtrap_tf.inventory.table import Inventory
from tests.factories import make_event, make_jpeg, write_pictures


def test_every_picture_has_the_digest_of_its_file(tmp_path: Path) -> None:
    """In the order of the inventory; absent ones have none and are counted."""
    write_pictures(tmp_path, ["a.jpg", "b.jpg", "c.jpg"])
    inventory = Inventory.from_records(
        [
            make_event("1", pictures=["b.jpg", "gone.jpg"]),
            make_event("2", pictures=["a.jpg"]),
            make_event("3", pictures=["b.jpg"]),
        ]
    )
    found = hash_pictures(inventory, root=tmp_path, perceptual=True)
    digests = {name: sha256_file(tmp_path / name).encode() for name in ("a.jpg", "b.jpg")}
    assert found.sha256.tolist() == [digests["b.jpg"], b"", digests["a.jpg"], digests["b.jpg"]]
    assert found.record.tolist() == [0, 0, 1, 2]
    assert [len(one) for one in found.phash.tolist()] == [16, 0, 16, 16]
    assert (found.looked_at, found.failed, found.wanted, found.reused) == (2, 1, 3, 0)
    assert found.unusable == {"missing_file": 1}
    assert not found.nothing_read
    assert found.field(found.sha256, 3) == [
        digests["b.jpg"].decode() + " -", digests["a.jpg"].decode(), digests["b.jpg"].decode()
    ]  # fmt: skip


def test_hashes_that_are_there_are_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also none is made for a picture that shows nothing; what is no hash, or does not fit the pictures, is made again."""
    flat = make_jpeg(colour=(9, 9, 9))
    (tmp_path / "flat.jpg").write_bytes(flat)
    write_pictures(tmp_path, ["a.jpg", "b.jpg"])
    digest, perceptual = "ab" * 32, "0f" * 8
    inventory = Inventory.from_records(
        [
            make_event("1", pictures=["a.jpg"], sha256=digest, phash=perceptual),
            make_event("2", pictures=["flat.jpg"], sha256=digest, phash="-"),
            make_event("3", pictures=["a.jpg", "b.jpg"], sha256=digest, phash=perceptual),
            make_event("4", pictures=["b.jpg"], sha256="no digest", phash=perceptual),
        ]
    )
    found = hash_pictures(inventory, root=tmp_path, perceptual=True)
    assert found.sha256[:2].tolist() == [digest.encode()] * 2
    assert found.phash[:2].tolist() == [perceptual.encode(), b""]
    assert found.sha256[4] == sha256_file(tmp_path / "b.jpg").encode()
    assert (found.looked_at, found.reused) == (2, 2)
    monkeypatch.setattr(picture_hashes, "fingerprints", None)
    assert hash_pictures(inventory.take([0, 1]), root=tmp_path, perceptual=True).looked_at == 0
    assert hash_pictures(inventory, root=tmp_path, perceptual=True, read_files=False).looked_at == 0


def test_nothing_is_read_where_no_file_is_there_and_no_hash_was(tmp_path: Path) -> None:
    """A single hash that was there can be compared with those of later records; without any there is nothing to compare."""
    records = [make_event("1", pictures=["gone.jpg"]), make_event("2", pictures=["a.jpg"], sha256="ab" * 32)]
    found = hash_pictures(Inventory.from_records(records), root=tmp_path, perceptual=False)
    assert (found.wanted, found.failed, found.reused, found.nothing_read) == (1, 1, 1, False)
    found = hash_pictures(Inventory.from_records(records[:1]), root=tmp_path, perceptual=False)
    assert (found.wanted, found.failed, found.reused, found.nothing_read) == (1, 1, 0, True)


def test_only_files_whose_size_is_in_two_groups_are_read(tmp_path: Path) -> None:
    """A file that no other group has one of its size of cannot be a copy; absent ones are still counted."""
    for name, data in {"a": b"11", "b": b"22", "c": b"33", "d": b"4444", "e": b"55555"}.items():
        (tmp_path / f"{name}.jpg").write_bytes(data)
    pictures = ["a", "b", "c", "d", "e", "gone"]
    inventory = Inventory.from_records([make_event(str(i), pictures=[f"{name}.jpg"]) for i, name in enumerate(pictures)])
    found = hash_pictures(inventory, root=tmp_path, perceptual=False, only_shared_sizes=np.asarray([0, 0, 1, 2, 3, 3]))
    assert [one != b"" for one in found.sha256.tolist()] == [True, True, True, False, False, False]
    assert (found.looked_at, found.unusable) == (3, {"missing_file": 1})
    alone = hash_pictures(inventory.take([3, 5]), root=tmp_path, perceptual=False, only_shared_sizes=np.asarray([0, 1]))
    assert (alone.looked_at, alone.failed, alone.nothing_read) == (0, 1, False)
    gone = hash_pictures(inventory.take([5]), root=tmp_path, perceptual=False, only_shared_sizes=np.asarray([0]))
    assert gone.nothing_read


def test_worker_processes_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the pictures are handed out."""
    names = [f"{i}.jpg" for i in range(70)]
    write_pictures(tmp_path, names, width=20, height=16)
    inventory = Inventory.from_records([make_event(name, pictures=[name]) for name in names])
    alone = hash_pictures(inventory, root=tmp_path, perceptual=False)
    monkeypatch.setattr(picture_hashes, "WORTH_PROCESSES", 1)
    shared = hash_pictures(inventory, root=tmp_path, perceptual=False, workers=2)
    assert alone.sha256.tolist() == shared.sha256.tolist()
    assert len(set(alone.sha256.tolist())) == 70
