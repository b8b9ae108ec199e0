"""Pictures that are in two groups."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from camtrap_tf.curation.duplicates import (
    Pair,
    correlation,
    exact_pairs,
    join_groups,
    near_pairs,
    of_pictures,
    perceptual_pairs,
    refuse_too_large,
)
from camtrap_tf.curation.picture_hashes import PictureHashes
from camtrap_tf.errors import SettingError
from tests.factories import make_jpeg


def hashes(sha256: str, *, paths: list[str] | None = None, phash: list[str] | None = None) -> PictureHashes:
    """Returns pictures, one per record, named by a letter each that stands for its digest; `-` has none."""
    digests = np.asarray([b"" if one == "-" else one.encode() * 64 for one in sha256], "S64")
    perceptual = np.asarray([one.encode() for one in phash or [""] * len(sha256)], "S16")
    names = pa.array(paths or [f"{i}.jpg" for i in range(len(sha256))])
    return PictureHashes(np.arange(len(sha256)), names, np.arange(len(sha256)), digests, perceptual, 0, 0, {})


def pair(one: int, other: int) -> Pair:
    """Returns a pair that ties two groups."""
    return Pair("exact", (f"{one}.jpg", f"{other}.jpg"), (one, other), (one, other))


def test_equal_bytes_in_two_groups_are_pairs() -> None:
    """Within one group they are not; each further group is tied to the first; no digest, no pair."""
    found = exact_pairs(hashes("abaab-c-"), np.asarray([0, 0, 0, 1, 2, 2, 3, 3]))
    assert [(one.pictures, one.groups) for one in found] == [
        (("0.jpg", "3.jpg"), (0, 1)),
        (("1.jpg", "4.jpg"), (0, 2)),
    ]
    three = exact_pairs(hashes("xxx"), np.asarray([2, 0, 1]))
    assert [one.groups for one in three] == [(0, 1), (0, 2)]


def test_equal_files_that_are_no_pictures_say_nothing(tmp_path: Path) -> None:
    """Error pages saved under the name of a picture tie nothing together; a file that is gone is trusted."""
    (tmp_path / "0.jpg").write_bytes(b"<html>404</html>")
    (tmp_path / "1.jpg").write_bytes(make_jpeg())
    pairs = [pair(0, 5), pair(1, 6), pair(2, 7)]
    assert of_pictures(pairs, root=tmp_path, max_pixels=10**6, workers=1) == pairs[1:]


def brute_force(values: list[int], groups: list[int]) -> dict[tuple[int, int], int]:
    """Returns the pairs of two groups at most four bits apart, with their bits, from comparing all with all."""
    found = {}
    for i, j in itertools.combinations(range(len(values)), 2):
        bits = (values[i] ^ values[j]).bit_count()
        if groups[i] != groups[j] and bits <= 4:
            found[i, j] = bits
    return found


def clustered(count: int, *, seed: int = 0) -> tuple[list[int], list[int]]:
    """Returns hashes around a few centres, up to six bits off, some of them equal, and a group for each."""
    draw = np.random.default_rng(seed)
    centres = (draw.integers(0, 2**63, 5, np.uint64) * np.uint64(2)).tolist()
    values = []
    for _ in range(count):
        value = centres[draw.integers(5)]
        for bit in draw.choice(64, draw.integers(0, 7), replace=False).tolist():
            value ^= 1 << bit
        values.append(value)
    return values, draw.integers(0, 4, count).tolist()


@pytest.mark.parametrize("at_a_time", [7, 2**21])
def test_near_pairs_are_those_of_brute_force(monkeypatch: pytest.MonkeyPatch, at_a_time: int) -> None:
    """All pairs of two groups at most four bits apart are found, none further apart, wherever the bits are."""
    monkeypatch.setattr("camtrap_tf.curation.duplicates.PAIRS_AT_A_TIME", at_a_time)
    monkeypatch.setattr("camtrap_tf.curation.duplicates.PAIRS_OF_TWO_GROUPS", 10**6)
    values, groups = clustered(250)
    found = near_pairs(np.asarray(values, np.uint64), np.asarray(groups))
    expected = brute_force(values, groups)
    assert len(expected) > 100
    assert [tuple(one) for one in found.tolist()] == sorted(expected)


def test_of_many_close_pairs_of_two_groups_some_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """For each two groups by themselves; all of them are close."""
    monkeypatch.setattr("camtrap_tf.curation.duplicates.PAIRS_OF_TWO_GROUPS", 5)
    monkeypatch.setattr("camtrap_tf.curation.duplicates.PAIRS_AT_A_TIME", 100)
    values, groups = clustered(250, seed=1)
    found = [tuple(one) for one in near_pairs(np.asarray(values, np.uint64), np.asarray(groups)).tolist()]
    expected = brute_force(values, groups)
    assert set(found) <= set(expected)
    assert len(found) < len(expected) / 2
    for two in itertools.combinations(range(4), 2):
        mine = sum({groups[i], groups[j]} == set(two) for i, j in found)
        assert mine >= min(5, sum({groups[i], groups[j]} == set(two) for i, j in expected))


def test_no_hashes_have_no_pairs() -> None:
    """An inventory without readable pictures."""
    assert near_pairs(np.empty(0, np.uint64), np.empty(0, np.int64)).shape == (0, 2)


def test_correlation_is_that_of_numpy() -> None:
    """And 0 for a flat picture."""
    draw = np.random.default_rng(1)
    one, other = draw.integers(0, 256, (2, 32, 32), np.uint8)
    assert correlation(one, other) == pytest.approx(np.corrcoef(one.ravel(), other.ravel())[0, 1])
    assert correlation(one, np.full((32, 32), 9, np.uint8)) == 0


def test_near_hashes_count_only_where_the_pictures_correlate(tmp_path: Path) -> None:
    """A copy of another quality is a pair; another picture with the same hash is not, nor one that is gone."""
    original = Image.open(io.BytesIO(make_jpeg(seed=1)))
    original.save(tmp_path / "a.jpg", quality=95)
    original.save(tmp_path / "copy.jpg", quality=50)
    (tmp_path / "other.jpg").write_bytes(make_jpeg(seed=2))
    names = ["a.jpg", "copy.jpg", "other.jpg", "gone.jpg"]
    some = hashes("abcd", paths=names, phash=["00000000000000f0", "00000000000000ff"] + ["00000000000000f0"] * 2)
    found = perceptual_pairs(some, np.arange(4), root=tmp_path, max_pixels=10**6, workers=1)
    assert [(one.pictures, one.bits) for one in found.pairs] == [(("a.jpg", "copy.jpg"), 4)]
    assert found.pairs[0].correlation == pytest.approx(1, abs=0.05)
    assert (found.unlike, found.not_compared) == (2, 3)
    together = perceptual_pairs(some, np.zeros(4, np.int64), root=tmp_path, max_pixels=10**6, workers=1)
    assert together.pairs == []


def test_pairs_tie_groups_in_chains() -> None:
    """What is connected, over however many pairs, is one group."""
    joined = join_groups(6, [pair(4, 2), pair(2, 5), pair(5, 4), pair(0, 1)], np.full(6, -1))
    assert joined.joined.tolist() == [0, 0, 1, 2, 1, 1]
    assert joined.members() == {0: [0, 1], 1: [2, 4, 5]}
    assert len(joined.links) == 3


def test_groups_settled_apart_stay_apart() -> None:
    """The pair is listed; a free group goes with the first it is tied to, and that settles it."""
    joined = join_groups(3, [pair(0, 2), pair(1, 2)], np.asarray([0, 1, -1]))
    assert joined.joined.tolist() == [0, 1, 0]
    assert joined.kept_apart == (pair(1, 2),)


def test_a_joined_group_that_is_too_large_is_an_error() -> None:
    """The message names the chain."""
    joined = join_groups(5, [pair(0, 1), pair(1, 3)], np.full(5, -1))
    records = np.asarray([10, 5, 40, 10, 35])
    refuse_too_large(joined, "abcde", records, 0.25)
    with pytest.raises(SettingError, match=r"3 groups with 25% .*0.jpg \(a\) is 1.jpg \(b\); 1.jpg \(b\) is 3.jpg \(d\);"):
        refuse_too_large(joined, "abcde", records, 0.2)
