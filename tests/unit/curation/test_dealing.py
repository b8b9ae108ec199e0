"""From an inventory to splits: groups, duplicates, earlier splittings, what is left out."""

from __future__ import annotations

import collections
import json
import random
from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.config.splits import SplitConfig
from camtrap_tf.curation.dealing import Means, Splitting, leave_out_new_in_test, leave_out_rare, split_inventory
from camtrap_tf.curation.leakage import shares_off, warnings_of
from camtrap_tf.curation.split_files import groups_by_split
from camtrap_tf.curation.split_stage import how_text
from camtrap_tf.curation.split_tables import not_evaluable
from camtrap_tf.curation.splitting import split_by_hash
from camtrap_tf.errors import LabelError, SettingError
from camtrap_tf.inventory.table import Inventory
from camtrap_tf.records import CaptureEvent
from tests.factories import make_event, write_pictures

SHARES = {"split_percent": (0.6, 0.2, 0.2)}


def config(**options: Any) -> SplitConfig:
    """Returns settings with everything else at its default."""
    return SplitConfig.model_validate({"inventory": "i.json", "output_dir": "out", **SHARES, **options})


def events(locations: int = 15, each: int = 8, *, first: int = 0) -> list[CaptureEvent]:
    """Returns records of four species, some common and some rare, at some locations."""
    draw = random.Random(first)
    return [
        make_event(
            f"l{place}-{i}",
            pictures=[f"l{place}-{i}.jpg"],
            labels={"species": draw.choice(["empty", "empty", "zebra", "lion", "gnu"])},
            location=f"l{place:02d}",
            seq=f"s{i // 2}",
        )
        for place in range(first, first + locations)
        for i in range(each)
    ]


def split(records: list[CaptureEvent], **options: Any) -> Splitting:
    """Splits records."""
    return split_inventory(Inventory.from_records(records), config(**options), Means(workers=1))


def by_group(splitting: Splitting) -> dict[str, set[str]]:
    """Returns location → splits."""
    found = collections.defaultdict(set)
    for place, one in zip(splitting.inventory.meta("location"), splitting.splits, strict=True):
        found[str(place)].add(one)
    return dict(found)


def test_locations_are_dealt_by_score_by_default() -> None:
    """Each stays whole, all splits and classes are there."""
    found = split(events())
    assert (found.method, found.group_field) == ("scored", "location")
    assert all(len(one) == 1 for one in by_group(found).values())
    species = found.inventory.first_labels("species")
    assert len(set(zip(found.splits, species, strict=True))) == 3 * 4


@pytest.mark.parametrize("method", ["auto", "scored", "smallest_first", "dealt"])
def test_row_order_does_not_matter(method: str) -> None:
    """A shuffled inventory gives the same splits."""
    records = events()
    shuffled = list(records)
    random.Random(1).shuffle(shuffled)
    one, other = split(records, split_method=method), split(shuffled, split_method=method)
    assert dict(zip(one.inventory.ids, one.splits, strict=True)) == dict(zip(other.inventory.ids, other.splits, strict=True))


def test_sequences_are_dealt_in_hash_order() -> None:
    """There are too many of them, and they are too small, for a score to matter."""
    records = [make_event(f"{i}", seq=f"q{i // 2}") for i in range(60)]
    assert split(records).method == "dealt"
    assert split(records, split_method="scored").method == "scored"
    with pytest.raises(SettingError, match="no usable location, sequence or event"):
        split([make_event(f"{i}") for i in range(60)], split_method="scored")


def test_a_shared_picture_keeps_locations_together(tmp_path: Path) -> None:
    """Also over a chain; only where duplicates are looked for."""
    records = events()
    write_pictures(tmp_path, [f"{one.event_id}.jpg" for one in records])
    for copy, original in (("l3-1", "l1-0"), ("l7-2", "l3-5")):
        (tmp_path / f"{copy}.jpg").write_bytes((tmp_path / f"{original}.jpg").read_bytes())
    for seed in range(3):
        options = {"image_root_path": tmp_path, "max_group_share": 0.25, "seed": seed}
        inventory = Inventory.from_records(records)
        found = split_inventory(inventory, config(**options), Means(seed, workers=1))
        assert [sorted(found.groups.names[one] for one in members) for members in found.joined.members().values()] == [
            ["l01", "l03", "l07"]
        ]
        assert len(set().union(*(by_group(found)[name] for name in ("l01", "l03", "l07")))) == 1
        assert all(len(one) == 1 for one in by_group(found).values())
    assert not split(records, image_root_path=tmp_path, duplicates="off").joined.members()
    with pytest.raises(SettingError, match=r"--max-group-share 0\.15: l1-0\.jpg"):
        split(records, image_root_path=tmp_path, max_group_share=0.15)


def test_settings_are_judged_before_pictures_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading may take hours: an unknown label type, or groups of which there are none, are told first."""
    monkeypatch.setattr("camtrap_tf.curation.dealing.hash_pictures", lambda *_, **__: pytest.fail("pictures are read"))
    with pytest.raises(LabelError, match="specis"):
        split(events(), split_label=("specis",))
    with pytest.raises(SettingError, match="--split-method smallest_first deals groups"):
        split([make_event(str(number)) for number in range(9)], split_method="smallest_first")


def test_missing_pictures_are_no_error(tmp_path: Path) -> None:
    """They are counted."""
    found = split(events(), image_root_path=tmp_path)
    assert found.found.hashes is not None
    assert found.found.hashes.unusable == {"missing_file": 120}


def test_copies_go_with_the_original_where_there_are_no_groups(tmp_path: Path) -> None:
    """Every record by the hash of its id; a copy by that of the first one."""
    names = [f"{i}" for i in range(40)]
    write_pictures(tmp_path, [f"{name}.jpg" for name in names])
    (tmp_path / "25.jpg").write_bytes((tmp_path / "12.jpg").read_bytes())
    found = split([make_event(name, pictures=[f"{name}.jpg"]) for name in names], image_root_path=tmp_path)
    expected = dict(zip(names, split_by_hash(names, config().split_shares), strict=True))
    assert found.method == "hash"
    assert dict(zip(names, found.splits, strict=True)) == {**expected, "25": expected["12"]}


def test_old_groups_never_move(tmp_path: Path) -> None:
    """With an earlier splitting, new locations are dealt around the old ones."""
    before = split(events(15))
    path = tmp_path / "splits.json"
    path.write_text(json.dumps(groups_by_split(before)))
    more = [*events(15), *events(10, first=50)]
    for method in ("auto", "smallest_first"):
        after = split(more, keep_splits=path, split_method=method)
        assert {name: by_group(after)[name] for name in by_group(before)} == by_group(before)
        assert after.kept == (15, 10)
        assert all(len(one) == 1 for one in by_group(after).values())
    fresh = split(more)
    assert {name: by_group(fresh)[name] for name in by_group(before)} != by_group(before)


def test_settled_groups_that_share_a_picture_stay_where_they_are(tmp_path: Path) -> None:
    """The pair is kept apart and can be listed."""
    records = events(6)
    write_pictures(tmp_path, [f"{one.event_id}.jpg" for one in records])
    (tmp_path / "l1-0.jpg").write_bytes((tmp_path / "l0-0.jpg").read_bytes())
    (tmp_path / "s.json").write_text(json.dumps({"train": ["l00", "l02"], "test": ["l01"], "val": []}))
    found = split(records, image_root_path=tmp_path, keep_splits=tmp_path / "s.json")
    assert by_group(found)["l00"] == {"train"}
    assert by_group(found)["l01"] == {"test"}
    assert len(found.joined.kept_apart) == 1


def test_an_earlier_test_split_is_taken_as_it_is(tmp_path: Path) -> None:
    """No other location joins it, the others are shared out by train and val; records new at its locations are left out."""
    before = split(events(15))
    rows = zip(before.inventory.ids, before.splits, before.inventory.meta("location"), strict=True)
    path = tmp_path / "splits.csv"
    path.write_text("id,split,group\n" + "".join(f"{','.join(map(str, row))}\n" for row in rows))
    test = {name for name, found in by_group(before).items() if found == {"test"}}
    more = [*events(15, each=10), *events(12, first=50)]
    inventory = Inventory.from_records(more)
    left_out = leave_out_new_in_test(inventory, config(match_test=path))
    assert left_out is not None
    gone = [one for one, stays in zip(more, left_out.stay, strict=True) if not stays]
    assert {one.meta_data["location"] for one in gone} == test
    assert len(gone) == 2 * len(test)
    after = split([one for one, stays in zip(more, left_out.stay, strict=True) if stays], match_test=path)
    assert {name for name, found in by_group(after).items() if "test" in found} == test
    rest = [found for name, found in by_group(after).items() if name not in test]
    assert sum(found == {"val"} for found in rest) / len(rest) == pytest.approx(0.25, abs=0.12)


def test_classes_at_few_locations_are_left_out_on_request() -> None:
    """With every record that shows one of them."""
    records = [*events(10), make_event("rare", labels={"species": "okapi"}, location="l01")]
    inventory = Inventory.from_records(records)
    left_out = leave_out_rare(inventory, config(min_locs=2))
    assert left_out is not None
    assert [one.event_id for one, stays in zip(records, left_out.stay, strict=True) if not stays] == ["rare"]
    assert "okapi" in left_out.detail
    assert leave_out_rare(inventory, config()) is None


def test_a_class_at_one_location_is_in_train() -> None:
    """Whatever the seed."""
    records = [*events(10), *(make_event(f"rare{i}", labels={"species": "okapi"}, location="l03") for i in range(9))]
    for seed in range(4):
        found = split_inventory(Inventory.from_records(records), config(), Means(seed))
        assert by_group(found)["l03"] == {"train"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split_group": "none", "keep_splits": "a.json"}, "--keep-splits is about groups"),
        ({"split_group": "none", "min_locs": 3}, "--min-locs is about groups"),
        ({"split_group": "none", "duplicates": "perceptual"}, "--duplicates perceptual is about groups"),
        ({"split_by_meta": "x", "split_method": "scored"}, "--split-by-meta says the splits"),
        ({"split_method": "dealt", "match_test": "a.json"}, "cannot keep earlier splits"),
        ({"split_percent": (0.5, 0.2, 0.2)}, "does not add up to 1"),
    ],
)
def test_settings_that_do_not_go_together_are_errors(options: dict[str, Any], message: str) -> None:
    """Before anything is read."""
    with pytest.raises(ValueError, match=message):
        config(**options)


@pytest.mark.parametrize("method", ["auto", "scored", "smallest_first", "dealt"])
@pytest.mark.parametrize("group", ["auto", "location", "seq"])
def test_a_class_in_one_group_is_in_train_however_groups_are_dealt(method: str, group: str) -> None:
    """Also where groups are fewer than splits: two bursts at two places, a species each, are all trained on."""
    records = [
        make_event(f"{i}", labels={"species": "ab"[i % 2]}, location=f"l{i % 2}", seq=f"q{i % 2}", pictures=[f"{i}.jpg"])
        for i in range(8)
    ]
    found = split(records, split_method=method, split_group=group)
    assert set(found.splits) == {"train"}
    warnings = warnings_of(found, not_evaluable(found))
    assert "cannot be evaluated: a, b (in one group only)" in warnings
    more = [*records, *(make_event(f"m{i}", labels={"species": "c"}, location=f"m{i}", seq=f"m{i}") for i in range(20))]
    found = split(more, split_method=method, split_group=group)
    assert {
        one for one, place in zip(found.splits, found.inventory.meta("location"), strict=True) if place in ("l0", "l1")
    } == {"train"}
    assert set(found.splits) == {"train", "val", "test"}


@pytest.mark.parametrize("method", ["auto", "scored", "smallest_first", "dealt"])
def test_fewer_groups_than_splits_are_an_error_that_names_them(method: str) -> None:
    """Unless all of them go to train anyway."""
    records = [make_event(f"{i}", labels={"species": "a"}, location=f"l{i % 2}") for i in range(8)]
    with pytest.raises(SettingError, match=r"2 groups by 'location' cannot fill 3 splits \(train, val, test\); take fewer"):
        split(records, split_group="location", split_method=method)


def test_events_that_stay_whole_are_told() -> None:
    """Two locations are too few for three splits; so the sequences stay whole, and are named as what was dealt."""
    records = [make_event(f"{i}", labels={"species": "a"}, location=f"l{i % 2}", seq=f"q{i // 3}") for i in range(30)]
    found = split(records)
    assert (found.method, found.group_field) == ("dealt", "seq")
    assert how_text(found)[0] == "10 groups by 'seq'; method dealt; classes of species spread"


def sized(*sizes: int) -> list[CaptureEvent]:
    """Returns records of two species at locations of these sizes."""
    return [
        make_event(f"{place}-{i}", labels={"species": "ab"[i % 2]}, location=f"l{place}")
        for place, size in enumerate(sizes)
        for i in range(size)
    ]


def test_shares_that_are_far_off_are_told() -> None:
    """Smallest first, test ends with the third largest location on top of the small ones. Equal locations fit. One location
    with more than half of the records fits nowhere, whatever the method."""
    unequal = sized(30, 28, 26, 4, 4, 4, 4)
    told = shares_told(unequal, split_method="smallest_first")
    assert told == [
        "shares of the records are off: train 30.0 % (due 60 %), test 42.0 % (due 20 %); --split-method scored comes nearer "
        "where the groups allow it"
    ]
    assert shares_told(sized(*[10] * 10)) == []
    (text,) = shares_told(sized(60, 20, 4, 4, 4, 4, 4), split_percent=(0.34, 0.33, 0.33))
    assert "60.0 % (due 3" in text
    assert "too few groups, or too unequal ones" in text


def test_a_tenth_of_all_records_is_far_off() -> None:
    """Not less, on either side; a split without a share that is due is none."""
    reached = {"train": 0.51, "val": 0.305, "test": 0.095, "new": 0.09}
    due = {"train": 0.6, "val": 0.2, "test": 0.2, "new": None}
    assert shares_off(reached, due) == ["val 30.5 % (due 20 %)", "test 9.5 % (due 20 %)"]


def shares_told(records: list[CaptureEvent], **options: Any) -> list[str]:
    """Returns what is said of the shares."""
    return [text for text in warnings_of(split(records, duplicates="off", **options), []) if "are off" in text]
