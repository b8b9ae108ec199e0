"""From an inventory to the records of a data set."""

from __future__ import annotations

import collections
import random
from typing import Any

import pytest

from camtrap_tf.config.dataset import DatasetConfig
from camtrap_tf.curation.curating import Step, curate
from camtrap_tf.curation.splitting import split_by_hash
from camtrap_tf.errors import LabelError, SettingError
from camtrap_tf.inventory.table import Inventory
from camtrap_tf.records import CaptureEvent
from tests.factories import make_event


def config(**options: Any) -> DatasetConfig:
    """Returns settings with everything else at its default."""
    return DatasetConfig.model_validate({"inventory": "i.json", "output_dir": "out", **options})


def events(count: int = 240) -> list[CaptureEvent]:
    """Returns records of three species at 12 locations; every tenth has two observations."""
    made = []
    for i in range(count):
        one = {
            "species": ("empty", "zebra", "zebra", "lion")[i % 4],
            "count": str(i % 5),
            "empty": "empty" if i % 4 == 0 else "animal",
        }
        labels = [one, {**one, "species": "gnu"}] if i % 10 == 0 else [one]
        made.append(
            make_event(f"r{i}", labels=labels, location=f"l{i // 20}", split_name="train" if i // 20 % 3 else "test_S1")
        )
    return made


RECORDS = events()
INVENTORY = Inventory.from_records(RECORDS)


def test_steps_come_in_the_order_of_camera_trap_classifier() -> None:
    """Several observations, remove, keep, then balancing after the split; each step says what it left."""
    curated = curate(
        INVENTORY,
        config(
            remove_label_name=("species", "count"), remove_label_value=("empty", "4"),
            keep_label_name=("species", "species"), keep_label_value=("zebra", "lion"),
            balanced_sampling_min=True, balanced_sampling_label="species",
        ),
    )  # fmt: skip
    assert [step.name for step in curated.steps] == ["single observation", "remove classes", "keep classes", "balance species"]
    single = [one for one in RECORDS if len(one.observations) == 1]
    left = [one for one in single if one.label("species") != "empty" and one.label("count") != "4"]
    assert curated.steps[0] == Step("single observation", 240, len(single))
    assert curated.steps[1] == Step("remove classes", len(single), len(left))
    assert curated.steps[2] == Step("keep classes", len(left), len(left))
    assert curated.steps[3].records_after == len(curated.inventory) == len(curated.splits)
    counts = collections.Counter(zip(curated.splits, curated.inventory.first_labels("species"), strict=True))
    for split in ("train", "val", "test"):
        assert counts[split, "zebra"] == counts[split, "lion"] > 0


def test_mapping_is_made_after_filters_and_before_balancing() -> None:
    """Removed classes are not in it; classes that balancing happens to drop are."""
    curated = curate(
        INVENTORY,
        config(
            remove_label_name=("species",), remove_label_value=("lion",),
            balanced_sampling_min=True, balanced_sampling_label="species", split_by_meta="split_name",
        ),
    )  # fmt: skip
    assert curated.mapping.as_json()["species"] == {"empty": 0, "zebra": 1}
    assert curated.mapping.as_json()["count"] == {str(i): i for i in range(5)}
    records = [make_event(f"{i}", labels={"a": "x" if i else "y", "b": str(i)}) for i in range(30)]
    few = config(balanced_sampling_min=True, balanced_sampling_label="a", split_names=("all",), split_percent=(1.0,))
    balanced = curate(Inventory.from_records(records), few)
    assert len(balanced.inventory) == 2
    assert len(balanced.mapping.as_json()["b"]) == 30


def test_several_observations_stay_on_request() -> None:
    """All their classes are in the mapping then."""
    assert "gnu" not in curate(INVENTORY, config()).mapping.classes["species"]
    curated = curate(INVENTORY, config(keep_multi_observation=True))
    assert len(curated.inventory) == 240
    assert "gnu" in curated.mapping.classes["species"]
    assert curated.steps == ()


def test_locations_are_kept_together_by_default() -> None:
    """`auto` groups by location, and nothing leaks."""
    curated = curate(INVENTORY, config(split_percent=(0.6, 0.2, 0.2), duplicates="off"))
    assert curated.group_field == "location"
    assert curated.warnings == ()
    found = collections.defaultdict(set)
    for place, split in zip(curated.inventory.meta("location"), curated.splits, strict=True):
        found[place].add(split)
    assert all(len(splits) == 1 for splits in found.values())
    assert set(curated.splits) == {"train", "val", "test"}


def test_hash_splits_on_request_with_a_warning() -> None:
    """`none` gives the hash of the id, and says that locations straddle."""
    curated = curate(INVENTORY, config(split_group="none", split_percent=(0.7, 0.2, 0.1)))
    shares = [("train", 0.7), ("val", 0.2), ("test", 0.1)]
    assert list(curated.splits) == split_by_hash(curated.inventory.ids, shares)
    assert curated.group_field is None
    assert "12 of 12 groups by 'location'" in curated.warnings[0]


def test_splits_by_meta_data() -> None:
    """The field's values are the splits; torn locations are told, and refused where they were to be kept whole."""
    curated = curate(INVENTORY, config(split_by_meta="split_name", duplicates="off"))
    assert set(curated.splits) == {"train", "test_S1"}
    assert list(curated.splits) == curated.inventory.meta("split_name")
    assert curated.warnings == ()
    with pytest.raises(SettingError, match="did you mean 'split_name'"):
        curate(INVENTORY, config(split_by_meta="split_nam"))
    torn = Inventory.from_records([make_event(str(i), site="s", part=str(i % 2)) for i in range(4)])
    warning = curate(torn, config(split_by_meta="part")).warnings[0]
    assert "1 of 1 groups by 'site'" in warning
    assert "mend 'part'" in warning
    with pytest.raises(SettingError, match="1 of 1 groups by 'site'"):
        curate(torn, config(split_by_meta="part", split_group="site"))


@pytest.mark.parametrize(
    "options", [{}, {"split_group": "none"}, {"balanced_sampling_min": True, "balanced_sampling_label": "species"}]
)
def test_row_order_does_not_matter(options: dict[str, Any]) -> None:
    """A shuffled inventory gives the same records in the same splits."""
    shuffled = list(RECORDS)
    random.Random(3).shuffle(shuffled)
    one, other = (curate(Inventory.from_records(records), config(**options)) for records in (RECORDS, shuffled))
    assert dict(zip(one.inventory.ids, one.splits, strict=True)) == dict(zip(other.inventory.ids, other.splits, strict=True))


def test_missing_classes_are_not_balanced() -> None:
    """Records that miss the label are left out and do not set the size."""
    records = [make_event(str(i), labels={"s": "a" if i < 20 else "b" if i < 30 else "-1"}) for i in range(31)]
    options = {"split_names": ("all",), "split_percent": (1.0,), "balanced_sampling_min": True, "balanced_sampling_label": "s"}
    curated = curate(Inventory.from_records(records), config(**options))
    assert collections.Counter(curated.inventory.first_labels("s")) == {"a": 10, "b": 10}


def test_wrong_names_are_found() -> None:
    """Labels and classes that do not exist are errors with the nearest name."""
    for options, message in (
        ({"remove_label_name": ("specis",), "remove_label_value": ("lion",)}, "did you mean 'species'"),
        ({"keep_label_name": ("species",), "keep_label_value": ("Zebra",)}, "did you mean 'zebra'"),
        ({"balanced_sampling_min": True, "balanced_sampling_label": "counts"}, "did you mean 'count'"),
    ):
        with pytest.raises(LabelError, match=message):
            curate(INVENTORY, config(**options))


@pytest.mark.parametrize(
    ("options", "step"),
    [
        ({"remove_label_name": ("empty",) * 2, "remove_label_value": ("empty", "animal")}, "remove classes"),
        ({"keep_label_name": ("species",), "keep_label_value": ("gnu",)}, "keep classes"),
    ],
)
def test_a_step_that_leaves_nothing_is_named(options: dict[str, Any], step: str) -> None:
    """The error says which step emptied the data set."""
    with pytest.raises(SettingError, match=f"no record is left after the step '{step}'"):
        curate(INVENTORY, config(**options))


def test_only_several_observations_leave_nothing() -> None:
    """The error names the flag that keeps them."""
    with pytest.raises(SettingError, match="--keep-multi-observation"):
        curate(Inventory.from_records([make_event(labels=[{"s": "a"}, {"s": "b"}])]), config())


def test_an_empty_split_is_told() -> None:
    """Two records that nothing is known of cannot fill three splits; the hash of old command lines deals them all the same."""
    for options in ({}, {"split_group": "none"}):
        curated = curate(Inventory.from_records([make_event("1"), make_event("2")]), config(**options))
        assert any("no record: there are too few records for so small a share" in text for text in curated.warnings)


def test_a_split_that_a_rule_empties_is_told_on_the_way_too(caplog: pytest.LogCaptureFixture) -> None:
    """Each species stands at one location: all of them go to train; the warning says why and what to do."""
    records = [make_event(str(i), labels={"species": "abcdef"[i % 6]}, location=f"l{i % 6}") for i in range(24)]
    with caplog.at_level("WARNING", "camtrap_tf"):
        curated = curate(Inventory.from_records(records), config(duplicates="off"))
    assert set(curated.splits) == {"train"}
    text = next(text for text in curated.warnings if "have no record" in text)
    assert text.startswith("splits 'val' and 'test' have no record: 6 of 6 groups by 'location' hold a class that no other")
    assert "--min-locs 2" in text
    assert caplog.messages == [f"warning: {text}"]


def test_too_few_events_for_the_splits_are_an_error() -> None:
    """Two bursts that show the same species cannot fill three splits; the message says what they are, and the ways out."""
    records = [make_event(str(i), labels={"species": "a"}, location="l", seq=f"q{i % 2}") for i in range(12)]
    with pytest.raises(SettingError, match=r"2 groups by 'seq' cannot fill 3 splits .*--split-group; 'none'"):
        curate(Inventory.from_records(records), config())


def test_classes_that_old_command_lines_keep_from_training_are_told() -> None:
    """Dealt by hash, a class may miss in train."""
    records = [make_event(f"r{i}", labels={"species": "zebra"}, location=f"l{i}") for i in range(50)]
    home = next(one for one in records if split_by_hash([one.event_id], [("train", 0.5), ("val", 0.5)]) == ["val"])
    records[records.index(home)] = make_event(home.event_id, labels={"species": "okapi"}, location="l0")
    options = {"split_names": ("train", "val"), "split_percent": (0.5, 0.5)}
    curated = curate(Inventory.from_records(records), config(split_group="none", **options))
    assert any("train has no species okapi" in text for text in curated.warnings)
    assert "never seen in training: okapi (only in val, not in train)" in curated.warnings


def test_classes_that_a_split_lacks_are_told_in_one_line() -> None:
    """A class at one location alone is in one split alone; the others say that they have none, at most three classes each."""
    names = ("agouti", "coati", "deer", "ocelot")
    at_one_place = [make_event(f"x{i}", labels=[{"species": name}], location="l0") for i, name in enumerate(names)]
    everywhere = [make_event(f"e{i}", labels=[{"species": "zebra"}], location=f"l{i % 6}") for i in range(60)]
    curated = curate(Inventory.from_records([*at_one_place, *everywhere]), config())
    home = next(split for name, split in zip(curated.inventory.ids, curated.splits, strict=True) if name == "x0")
    others = sorted(set(curated.splits) - {home})
    told = [text for text in curated.warnings if "in a split" in text]
    assert told == [
        "classes without a record in a split: "
        + "; ".join(f"{name} has no species agouti, coati, deer and 1 more" for name in others)
    ]
    again = curate(Inventory.from_records(everywhere), config())
    assert not [text for text in again.warnings if "in a split" in text]


def test_only_the_first_of_many_splits_that_lack_classes_are_named() -> None:
    """With 32 splits by a meta column the line names eight of those that lack a class, and counts the others."""
    records = [
        make_event(f"r{i}", labels=[{"species": "cat" if i else "dog"}], location=f"l{i:02d}") for i in range(32)
    ]  # fmt: skip
    curated = curate(Inventory.from_records(records), config(split_by_meta="location"))
    told = next(text for text in curated.warnings if "in a split" in text)
    assert told.count(" has no species ") == 8
    assert told.endswith("l07 has no species dog and 24 more")
