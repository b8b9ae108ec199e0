"""The table of classes and splits, and what leaks, counted by hand."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from camtrap_tf.config.splits import SplitConfig
from camtrap_tf.curation.dealing import Means, Splitting, split_inventory
from camtrap_tf.curation.leakage import leakage_report, warnings_of
from camtrap_tf.curation.split_files import SPLIT_FILES, write_split_files
from camtrap_tf.curation.split_tables import HEADER, draw_table, not_evaluable, split_table, table_text
from camtrap_tf.inventory.table import Inventory
from tests.factories import make_event, write_pictures
from tests.reading import rows_of

original = FigureCanvasAgg.__init__

# Split, location, event, pictures and species of each record; the location "b" and the event "a"/"2" are torn.
ROWS = (
    ("train", "a", "1", "p q", "zebra"),
    ("train", "a", "1", "r", "zebra"),
    ("train", "a", "2", "s", "lion"),
    ("test", "a", "2", "t", "zebra"),
    ("train", "b", "1", "u", "zebra"),
    ("val", "b", "3", "v", "zebra"),
    ("val", "", "", "w", "gnu"),
    ("test", "c", "1", "x", "-1"),
)


def splitting(root: Path | None = None, *, duplicates: str = "exact") -> Splitting:
    """Returns the records above, with their splits as given."""
    records = []
    for number, (split, place, event, pictures, species) in enumerate(ROWS):
        meta = {"split": split, **({"location": place} if place else {}), **({"seq": event} if event else {})}
        names = [f"{name}.jpg" for name in pictures.split()]
        records.append(make_event(f"r{number}", pictures=names, labels={"species": species, "n": "1"}, **meta))
    wishes = {"image_root_path": root, "split_by_meta": "split", "duplicates": duplicates}
    settings = SplitConfig.model_validate({"inventory": "i.json", "output_dir": "o", **wishes})
    return split_inventory(Inventory.from_records(records), settings, Means(hash_all=True, workers=1))


def test_table_counts_records_images_events_and_locations() -> None:
    """By hand; a record without event is one, and a missing location is none."""
    table = split_table(splitting())
    rows = {(row[1], row[2]): row[3:] for row in table.rows() if row[0] == "species"}
    assert rows == {
        ("zebra", "train"): (3, 4, 2, 2), ("zebra", "val"): (1, 1, 1, 1), ("zebra", "test"): (1, 1, 1, 1),
        ("lion", "train"): (1, 1, 1, 1), ("lion", "val"): (0, 0, 0, 0), ("lion", "test"): (0, 0, 0, 0),
        ("gnu", "train"): (0, 0, 0, 0), ("gnu", "val"): (1, 1, 1, 0), ("gnu", "test"): (0, 0, 0, 0),
    }  # fmt: skip
    text = table_text(table.of_labels(("species",))).splitlines()
    assert text[0].split("  ")[0] == "class"
    assert [line.split()[0] for line in text[1:]] == ["zebra", "gnu", "lion"]
    assert text[1].split("  ")[-1].strip() == "1 / 1 / 1"


def test_groups_and_events_on_two_sides_are_listed() -> None:
    """Events are told apart by location: event 1 of a and event 1 of b are two."""
    found = splitting()
    report = leakage_report(found, not_evaluable(found))
    assert report["groups"]["list"] == [
        {"group": "a", "records": {"train": 3, "test": 1}},
        {"group": "b", "records": {"train": 1, "val": 1}},
    ]
    assert report["events"]["list"] == [{"event": "2", "records": {"train": 1, "test": 1}}]
    assert report["groups"]["records_without_the_field"] == 1
    assert report["splits"]["train"] == {"target": None, "share": 0.5, "records": 4, "groups": 2}


def test_classes_that_cannot_be_evaluated_are_listed() -> None:
    """With the reason, and in a warning."""
    found = splitting()
    lacking = not_evaluable(found)
    assert [(one.name, one.places, one.lacking) for one in lacking] == [
        ("gnu", 1, ("test",)),
        ("lion", 1, ("val", "test")),
    ]
    report = leakage_report(found, lacking)["cannot_be_evaluated"]
    assert report[1] == {
        "label": "species", "class": "lion", "groups": 1, "in_splits": ["train"], "lacking_in": ["val", "test"],
        "reason": "in one group only",
    }  # fmt: skip
    warnings = warnings_of(found, lacking)
    assert "cannot be evaluated: gnu, lion (in one group only)" in warnings
    assert any("2 of 3 groups by 'location'" in one for one in warnings)
    assert "never seen in training: gnu (only in val, not in train)" in warnings
    assert leakage_report(found, lacking)["never_seen_in_training"] == [{"class": "gnu", "in_splits": ["val"]}]
    assert any("1 of 8 records have no 'location'" in one for one in warnings)


def test_pictures_on_two_sides_are_listed(tmp_path: Path) -> None:
    """First those in two splits, then those that are only in two groups; a warning counts the first."""
    write_pictures(tmp_path, [f"{name}.jpg" for name in "pqrstuvwx"])
    (tmp_path / "x.jpg").write_bytes((tmp_path / "u.jpg").read_bytes())
    (tmp_path / "v.jpg").write_bytes((tmp_path / "r.jpg").read_bytes())
    Image.open(tmp_path / "p.jpg").save(tmp_path / "u2.jpg", quality=60)
    (tmp_path / "u.jpg").write_bytes((tmp_path / "u2.jpg").read_bytes())
    found = splitting(tmp_path, duplicates="perceptual")
    report = leakage_report(found, [])["duplicates"]
    kinds = {(one["kind"], *sorted(one["pictures"]), *sorted(one["splits"])) for one in report["list"]}
    assert ("exact", "r.jpg", "v.jpg", "train", "val") in kinds
    assert ("perceptual", "p.jpg", "u.jpg", "train", "train") in kinds
    assert report["list"][0]["splits"] != report["list"][-1]["splits"]
    assert report["pairs"] == len(report["list"]) == 2
    assert any("1 picture of one split is in another" in one for one in warnings_of(found, []))


def test_files_hold_the_same_as_the_report(tmp_path: Path) -> None:
    """All of them are written; the picture has a bar for each class; no infinite number is in the JSON."""
    found = splitting()
    written = write_split_files(found, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(SPLIT_FILES)
    rows = rows_of(tmp_path / "splits.csv")
    assert [(row["id"], row["split"], row["group"], row["location"], row["seq"]) for row in rows[:1]] == [
        ("r0", "train", "a", "a", "1")
    ]
    assert rows[6]["group"] == "record r6"
    assert json.loads((tmp_path / "splits.json").read_text())["test"] == ["a", "c"]
    assert json.loads((tmp_path / "leakage.json").read_text())["method"] == "split_by_meta"
    assert (tmp_path / "split_table.csv").read_text().splitlines()[0] == ",".join(HEADER)
    pixels = np.asarray(Image.open(tmp_path / "split_table.png").convert("RGB"))
    assert pixels.shape[0] > 150
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 5
    assert written.moved is None


def test_what_moved_since_an_earlier_splitting_is_told(tmp_path: Path) -> None:
    """Where the files of an earlier splitting are replaced."""
    found = splitting()
    write_split_files(found, tmp_path)
    (tmp_path / "splits.json").write_text(json.dumps({"val": ["c"], "test": ["gone"]}))
    moved = write_split_files(found, tmp_path).moved
    assert moved is not None
    assert moved.startswith("1 of 1 groups that were split here before are in another split now, e.g. 'c' (val → test)")
    (tmp_path / "splits.json").write_text("no JSON")
    assert write_split_files(found, tmp_path).moved is None


@pytest.mark.parametrize("name", ["$x$", "a_b^{", "éland 🦓", "<b>"])
def test_any_class_name_can_be_drawn(tmp_path: Path, name: str) -> None:
    """Names are text, not mathematics."""
    records = [make_event(str(i), labels={"species": name}, location=f"{i % 5}") for i in range(20)]
    shares = {"split_names": ("train", "_$v", "test"), "split_percent": (0.6, 0.2, 0.2)}
    settings = SplitConfig.model_validate({"inventory": "i.json", "output_dir": "o", **shares})
    write_split_files(split_inventory(Inventory.from_records(records), settings, Means()), tmp_path)
    assert Image.open(tmp_path / "split_table.png").size[0] > 500


def test_the_picture_has_the_number_of_each_class_in_each_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each panel shows the counts of its unit, a row per class and a column per split, beside the bars and apart."""
    drawn: list[Any] = []
    monkeypatch.setattr(FigureCanvasAgg, "__init__", lambda self, figure: drawn.append(figure) or original(self, figure))
    table = split_table(splitting()).of_labels(("species",))
    draw_table(table, [0.6, 0.2, 0.2], tmp_path / "t.png")
    figure = drawn[0]
    for axis, unit in zip(figure.axes, ("images", "events", "locations"), strict=True):
        placed = [(text.get_position(), text.get_text()) for text in axis.texts]
        rows = [[text for (_, y), text in sorted(placed) if y == number] for number in range(len(table.classes))]
        assert rows == [[str(count) for count in row] for row in table.counts[unit].tolist()]
        boxes = [text.get_window_extent() for text in axis.texts]
        assert min(box.x0 for box in boxes) > axis.get_window_extent().x1
        assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
        assert all(box.x1 < figure.bbox.x1 for box in boxes)


@pytest.mark.parametrize(
    ("meta", "group", "expected"), [({"seq": "q"}, "auto", 0), ({}, "none", 0), ({"valley": "v"}, "valley", 3)]
)
def test_events_and_records_are_no_locations(meta: dict[str, str], group: str, expected: int) -> None:
    """Where no location is known, the table has none; the field that the user named for groups stands for it."""
    records = [
        make_event(str(i), labels={"species": "a"}, **{name: f"{value}{i % 3}" for name, value in meta.items()})
        for i in range(9)
    ]
    wishes = {"split_group": group, "duplicates": "off"}
    settings = SplitConfig.model_validate({"inventory": "i.json", "output_dir": "o", **wishes})
    table = split_table(split_inventory(Inventory.from_records(records), settings, Means()))
    assert int(table.counts["locations"].sum()) == expected
