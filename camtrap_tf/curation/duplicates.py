"""Pictures that are in two groups: found by their hashes, listed as pairs, and the groups they tie together.

Two groups that share a picture, or nearly the same picture, have to be in one split. Pairs within one group do no harm and
are not looked for.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from camtrap_tf.curation.picture_hashes import PictureHashes, small_copies
from camtrap_tf.errors import SettingError
from camtrap_tf.images.hashes import file_size

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

MOST_BITS = 4
"""Perceptual hashes may differ in this many of their 64 bits at most."""

LEAST_CORRELATION = 0.95
"""The grey copies of 32 x 32 px have to correlate by more than this."""

BANDS = (11, 11, 11, 11, 10, 10)
"""Bits of the bands that a hash is cut into. Four wrong bits spoil four bands at most, so two of the six are equal."""

PAIRS_AT_A_TIME = 2**21
"""Pairs of hashes that are compared at a time."""

PAIRS_OF_TWO_GROUPS = 200
"""Close pairs of any two groups that are looked at, about. One that counts is enough to tie the groups together."""

MOST_PARTNERS = 2000
"""Hashes that one is compared with where many agree in two bands, so that many alike pictures do not take for ever."""

EXACT, PERCEPTUAL = "exact", "perceptual"
CHAIN_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pictures of two groups that are the same, or nearly.

    Attributes:
        kind: `exact` (equal bytes) or `perceptual`.
        pictures: their paths.
        records: rows of the records that they belong to.
        groups: numbers of their groups.
        bits: how many bits of their perceptual hashes differ; None for exact pairs.
        correlation: of their grey copies; None for exact pairs.
    """

    kind: str
    pictures: tuple[str, str]
    records: tuple[int, int]
    groups: tuple[int, int]
    bits: int | None = None
    correlation: float | None = None


@dataclass(frozen=True, slots=True)
class PerceptualPairs:
    """Pairs of nearly the same picture.

    Attributes:
        pairs: those that are alike enough.
        unlike: pairs with close hashes whose grey copies differ too much.
        not_compared: pairs with close hashes of which a picture could not be read.
    """

    pairs: list[Pair]
    unlike: int
    not_compared: int


def exact_pairs(hashes: PictureHashes, groups: Ints) -> list[Pair]:
    """Returns pairs of pictures with equal bytes: of each set of them, the first one with the first of each other group.

    Args:
        hashes: the pictures.
        groups: `[records]`, group of each record.
    """
    places = np.flatnonzero(hashes.sha256 != b"")
    of_group = groups[hashes.record[places]]
    order = np.lexsort((places, hashes.rank[places], of_group, hashes.sha256[places]))
    digests, in_group, sorted_places = hashes.sha256[places][order], of_group[order], places[order]
    new = np.ones(len(order), bool)
    new[1:] = (digests[1:] != digests[:-1]) | (in_group[1:] != in_group[:-1])
    first = sorted_places[new].tolist()
    pairs = []
    for _, same in itertools.groupby(zip(digests[new].tolist(), first, strict=True), key=lambda one: one[0]):
        members = [place for _, place in same]
        pairs += [_pair(EXACT, members[0], other, hashes, groups) for other in members[1:]]
    return pairs


def of_pictures(pairs: Sequence[Pair], *, root: Path | None, max_pixels: int, workers: int | None) -> list[Pair]:
    """Returns the exact pairs whose file is a picture; equal files of something else (error pages, cut off) say nothing.

    A file that is not there any more is trusted to have been one when its hash was made.
    """
    names = sorted({pair.pictures[0] for pair in pairs})
    copies = small_copies(names, root=root, max_pixels=max_pixels, workers=workers)
    spoilt = {name for name, copy in zip(names, copies, strict=True) if copy is None and file_size(root, name) >= 0}
    return [pair for pair in pairs if pair.pictures[0] not in spoilt]


def perceptual_pairs(
    hashes: PictureHashes, groups: Ints, *, root: Path | None, max_pixels: int, workers: int | None
) -> PerceptualPairs:
    """Returns pairs of pictures that look alike, of different groups and with different bytes.

    Hashes at most 4 bits apart make a pair a candidate; it counts if the grey copies of the two correlate by more than
    0.95. Of pictures of one group with equal hashes the first stands for all.

    Args:
        hashes: the pictures.
        groups: `[records]`, group of each record.
        root: folder that picture paths are relative to.
        max_pixels: larger pictures are not decoded.
        workers: worker processes.
    """
    places = np.flatnonzero(hashes.phash != b"")
    values = np.fromiter((int(one, 16) for one in hashes.phash[places].tolist()), np.uint64, len(places))
    order = np.lexsort((places, hashes.rank[places], groups[hashes.record[places]], values))
    values, places = values[order], places[order]
    of_group = groups[hashes.record[places]]
    new = np.ones(len(order), bool)
    new[1:] = (values[1:] != values[:-1]) | (of_group[1:] != of_group[:-1])
    values, places, of_group = values[new], places[new], of_group[new]
    candidates = [
        (places[one], places[other])
        for one, other in near_pairs(values, of_group).tolist()
        if hashes.sha256[places[one]] != hashes.sha256[places[other]]
    ]
    return _compared(candidates, hashes, groups, root=root, max_pixels=max_pixels, workers=workers)


def near_pairs(values: Hashes, groups: Ints) -> Ints:
    """Returns the pairs of places in two groups whose hashes differ in at most 4 bits, `[pairs, 2]`, sorted.

    A hash is cut into six bands; two that differ in four bits agree in two bands at least. So for each of the 15 pairs of
    bands, hashes are sorted by these two, and only those of two groups that agree in them are compared: a key of 20 to 22
    bits leaves few. Pictures of one static camera, whose hashes are all alike, are never compared with each other. Where
    very many agree in two bands, each is compared with the next 2 000 only; of any two groups some 200 pairs are enough.

    Args:
        values: `[n]` hashes.
        groups: `[n]`, group of each.
    """
    found = _NearPairs(values, groups)
    for bands in itertools.combinations(_band_masks(), 2):
        keys = values & np.uint64(bands[0] | bands[1])
        order = np.lexsort((groups, keys))
        keys, of_group = keys[order], groups[order]
        other_key = keys[1:] != keys[:-1]
        ends = _ends(other_key, len(keys))
        begins = _ends(other_key | (of_group[1:] != of_group[:-1]), len(keys))
        for one, other in _spans(begins, np.minimum(ends, begins + MOST_PARTNERS)):
            found.add(order[one], order[other])
    return np.stack(np.divmod(found.keys, max(len(values), 1)), axis=1)


class _NearPairs:
    """Pairs found so far; two groups that have enough of them get no more."""

    def __init__(self, values: Hashes, groups: Ints) -> None:
        self.values, self.groups = values, groups
        self.keys = np.empty(0, np.int64)
        self.full = np.empty(0, np.int64)

    def add(self, one: Ints, other: Ints) -> None:
        """Adds those of some pairs that are close."""
        close = np.bitwise_count(self.values[one] ^ self.values[other]) <= MOST_BITS
        one, other = one[close], other[close]
        if not len(one):
            return
        keys = np.minimum(one, other) * len(self.values) + np.maximum(one, other)
        keys = keys[~np.isin(self._two_groups(keys), self.full)]
        if not len(keys):
            return
        self.keys = np.union1d(self.keys, self._some(np.unique(keys)))
        two_groups, counts = np.unique(self._two_groups(self.keys), return_counts=True)
        self.full = two_groups[counts >= PAIRS_OF_TWO_GROUPS]

    def _two_groups(self, keys: Ints) -> Ints:
        """Returns a number for the two groups of each pair."""
        one, other = (self.groups[place] for place in np.divmod(keys, len(self.values)))
        return np.asarray(np.minimum(one, other) * (int(self.groups.max()) + 1) + np.maximum(one, other))

    def _some(self, keys: Ints) -> Ints:
        """Returns the first pairs of any two groups."""
        order = np.argsort(self._two_groups(keys), kind="stable")
        two_groups = self._two_groups(keys)[order]
        starts = np.flatnonzero(np.append(True, two_groups[1:] != two_groups[:-1]))
        rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
        return keys[order[rank < PAIRS_OF_TWO_GROUPS]]


def _ends(borders: npt.NDArray[np.bool_], count: int) -> Ints:
    """Returns, for each place, where its stretch ends; borders are between neighbours."""
    ends = np.append(np.flatnonzero(borders) + 1, count)
    return np.repeat(ends, np.diff(np.append(0, ends)))


def _spans(begins: Ints, ends: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Yields each place with all places from its begin to its end, about two millions of pairs at a time."""
    lengths = np.maximum(ends - begins, 0)
    total = np.cumsum(lengths)
    steps = np.arange(PAIRS_AT_A_TIME, int(total[-1]) if len(total) else 0, PAIRS_AT_A_TIME)
    cuts = np.unique(np.searchsorted(total, steps)).tolist()
    for start, stop in itertools.pairwise([0, *cuts, len(lengths)]):
        length = lengths[start:stop]
        one = np.repeat(np.arange(start, stop), length)
        first = np.repeat(begins[start:stop] - (np.cumsum(length) - length), length)
        yield one, first + np.arange(len(one))


def _band_masks() -> list[int]:
    ends = list(itertools.accumulate(BANDS))
    return [((1 << bits) - 1) << (end - bits) for bits, end in zip(BANDS, ends, strict=True)]


def _compared(
    candidates: Sequence[tuple[int, int]],
    hashes: PictureHashes,
    groups: Ints,
    *,
    root: Path | None,
    max_pixels: int,
    workers: int | None,
) -> PerceptualPairs:
    """Returns the candidates whose grey copies correlate; each picture of them is read once."""
    needed = sorted({int(place) for pair in candidates for place in pair})
    names = [hashes.paths[place].as_py() for place in needed]
    copies = small_copies(names, root=root, max_pixels=max_pixels, workers=workers)
    by_place = dict(zip(needed, copies, strict=True))
    pairs: list[Pair] = []
    unlike = not_compared = 0
    for one, other in candidates:
        first, second = by_place[int(one)], by_place[int(other)]
        if first is None or second is None:
            not_compared += 1
            continue
        alike = correlation(first, second)
        if alike <= LEAST_CORRELATION:
            unlike += 1
            continue
        bits = (int(hashes.phash[one], 16) ^ int(hashes.phash[other], 16)).bit_count()
        pairs.append(_pair(PERCEPTUAL, int(one), int(other), hashes, groups, bits, alike))
    return PerceptualPairs(pairs, unlike, not_compared)


def correlation(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> float:
    """Returns the correlation of two grey pictures of one size; 0 where one of them is flat."""
    left, right = one.astype(np.float64).ravel(), other.astype(np.float64).ravel()
    left -= left.mean()
    right -= right.mean()
    norm = float(np.linalg.norm(left) * np.linalg.norm(right))
    return float(left @ right) / norm if norm > 0 else 0.0


def _pair(
    kind: str,
    one: int,
    other: int,
    hashes: PictureHashes,
    groups: Ints,
    bits: int | None = None,
    alike: float | None = None,
) -> Pair:
    rows = (int(hashes.record[one]), int(hashes.record[other]))
    pictures = (hashes.paths[one].as_py(), hashes.paths[other].as_py())
    return Pair(kind, pictures, rows, (int(groups[rows[0]]), int(groups[rows[1]])), bits, alike)


@dataclass(frozen=True, slots=True)
class JoinedGroups:
    """Groups tied together by pairs.

    Attributes:
        joined: `[groups]`, number of the joined group of each, without gaps, in the order of their first groups.
        links: the pairs that tied two together, in order.
        kept_apart: pairs that were not followed, as both sides are settled in different splits.
    """

    joined: Ints
    links: tuple[Pair, ...]
    kept_apart: tuple[Pair, ...]

    def members(self) -> dict[int, list[int]]:
        """Returns joined group → its groups, only where there are several."""
        found: dict[int, list[int]] = collections.defaultdict(list)
        for group, joined in enumerate(self.joined.tolist()):
            found[joined].append(group)
        return {joined: groups for joined, groups in found.items() if len(groups) > 1}


def join_groups(count: int, pairs: Sequence[Pair], settled: Ints) -> JoinedGroups:
    """Ties groups together that pairs of pictures connect.

    Args:
        count: how many groups there are.
        pairs: pairs of pictures.
        settled: `[groups]`, the split where a group has to stay, -1 where it is free; groups settled in different splits
            are not tied together.
    """
    root = list(range(count))
    split = settled.tolist()

    def find(group: int) -> int:
        """Returns the group that stands for all that are tied to this one."""
        while root[group] != group:
            root[group] = root[root[group]]
            group = root[group]
        return group

    links, apart = [], []
    for pair in pairs:
        one, other = sorted((find(pair.groups[0]), find(pair.groups[1])))
        if one == other:
            continue
        if split[one] >= 0 and split[other] >= 0 and split[one] != split[other]:
            apart.append(pair)
            continue
        root[other] = one
        split[one] = max(split[one], split[other])
        links.append(pair)
    _, joined = np.unique([find(group) for group in range(count)], return_inverse=True)
    return JoinedGroups(joined.astype(np.int64), tuple(links), tuple(apart))


def refuse_too_large(joined: JoinedGroups, names: Sequence[str], records: Ints, most: float) -> None:
    """Makes sure that duplicates did not tie too much of the data together.

    Args:
        joined: the joined groups.
        names: names of the groups.
        records: `[groups]`, records of each.
        most: share of all records that a joined group may have.

    Raises:
        SettingError: one has more; names the chain of pictures.
    """
    for members in joined.members().values():
        share = float(records[members].sum() / records.sum())
        if share > most:
            inside = set(members)
            chain = [link for link in joined.links if link.groups[0] in inside]
            shown = "; ".join(_link_text(link, names) for link in chain[:CHAIN_SHOWN])
            more = f" … {len(chain)} links in all" if len(chain) > CHAIN_SHOWN else ""
            raise SettingError(
                f"pictures that are in several groups tie {len(members)} groups with {share:.0%} of the records together, "
                f"more than --max-group-share {most:g}: {shown}{more}; remove the copies (placeholders?), or allow it with a "
                "larger --max-group-share, or give up with --duplicates off"
            )


def _link_text(link: Pair, names: Sequence[str]) -> str:
    how = "is" if link.kind == EXACT else "looks like"
    return f"{link.pictures[0]} ({names[link.groups[0]]}) {how} {link.pictures[1]} ({names[link.groups[1]]})"
