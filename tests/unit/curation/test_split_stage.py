"""The command `camtrap split`."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.config.splits import SplitConfig
from camtrap_tf.curation import picture_hashes
from camtrap_tf.curation.split_stage import split
from camtrap_tf.errors import SettingError
from camtrap_tf.files import sha256_file
from camtrap_tf.inventory.table import Inventory
from camtrap_tf.records import CaptureEvent
from tests.factories import make_event, write_pictures
from tests.reading import rows_of


def records(locations: int = 9, each: int = 6) -> list[CaptureEvent]:
    """Returns records of three species at some locations, and one of a rare species."""
    draw = random.Random(0)
    made = [
        make_event(
            f"l{place}-{i}", pictures=[f"l{place}-{i}.jpg"], labels={"species": draw.choice("abc")}, location=f"l{place}"
        )
        for place in range(locations)
        for i in range(each)
    ]
    return [*made, make_event("rare", pictures=["rare.jpg"], labels={"species": "okapi"}, location="l4")]


def make_config(folder: Path, *, suffix: str = ".json", pictures: bool = True, **options: Any) -> SplitConfig:
    """Writes inventory and pictures, and returns settings."""
    inventory = Inventory.from_records(records())
    inventory.write(folder / f"in{suffix}")
    if pictures:
        write_pictures(folder / "images", [f"{one.event_id}.jpg" for one in inventory], width=24, height=18)
    return SplitConfig(
        inventory=folder / f"in{suffix}", output_dir=folder / "out", image_root_path=folder / "images" if pictures else None,
        split_percent=(0.5, 0.25, 0.25), workers=1, **options,
    )  # fmt: skip


@pytest.mark.parametrize("suffix", [".json", ".parquet"])
def test_inventory_comes_back_with_splits_and_hashes(tmp_path: Path, suffix: str) -> None:
    """All records, unchanged but for the new fields; the field, the CSV table and the text agree."""
    result = split(make_config(tmp_path, suffix=suffix, split_field="part"))
    out = Inventory.read(tmp_path / "out" / f"inventory{suffix}")
    given = Inventory.read(tmp_path / f"in{suffix}")
    assert out.ids == given.ids
    assert out.meta_fields == ("location", "part", "sha256")
    assert [one.media for one in out] == [one.media for one in given]
    assert out.meta("sha256")[0] == sha256_file(tmp_path / "images" / "l0-0.jpg")
    rows = {row["id"]: row["split"] for row in rows_of(tmp_path / "out" / "splits.csv")}
    assert rows == dict(zip(out.ids, out.meta("part"), strict=True))
    text = result.text()
    assert "55 records read = 55 split + 0 left out" in text
    assert "warning: cannot be evaluated: okapi (in one group only)" in text
    counts = [int(line.split()[1]) for line in text.splitlines() if line.split(":")[0] in ("train", "val", "test")]
    assert sum(counts) == 55


def test_locations_on_two_sides_are_in_the_file_as_in_the_warning(tmp_path: Path) -> None:
    """Split by event, locations are torn: `leakage.json` counts and lists those that the console tells of."""
    made = [
        make_event(
            f"{place}-{i}", labels={"species": "ab"[i % 2]}, sequence=f"s{place}-{i // 2}",
            **({"location": f"l{place}"} if place < 5 else {}),
        )
        for place in range(6)
        for i in range(6)
    ]  # fmt: skip
    Inventory.from_records(made).write(tmp_path / "in.json")
    result = split(
        SplitConfig(inventory=tmp_path / "in.json", output_dir=tmp_path / "out", split_group="sequence", duplicates="off")
    )
    rows = rows_of(tmp_path / "out" / "splits.csv")
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        if row["location"]:
            counts[row["location"]][row["split"]] += 1
    torn = {location: dict(held) for location, held in counts.items() if len(held) > 1}
    facts = json.loads((tmp_path / "out" / "leakage.json").read_text(encoding="utf-8"))
    assert {one["location"]: one["records"] for one in facts["locations"].pop("list")} == torn
    assert facts["locations"] == {"count": 5, "records_without_the_field": 6, "in_several_splits": len(torn)}
    assert facts["groups"]["in_several_splits"] == 0
    assert torn
    assert f"{len(torn)} of 5 groups by 'location' have records in more than one split" in result.text()


def test_hashes_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new inventory, split again, gives the same splits without reading a picture."""
    config = make_config(tmp_path, duplicates="perceptual")
    first = split(config)
    again = config.model_copy(update={"inventory": first.path, "output_dir": tmp_path / "again"})
    monkeypatch.setattr(picture_hashes, "fingerprints", None)
    second = split(again)
    assert second.splitting.splits == first.splitting.splits
    assert Inventory.read(second.path).digest() == Inventory.read(first.path).digest()


def test_what_is_left_out_is_listed(tmp_path: Path) -> None:
    """Rare classes are in the rejects table, counts add up, and an earlier table of rejects goes when there are none."""
    result = split(make_config(tmp_path, min_locs=2))
    assert "55 records read = 54 split + 1 left out (1 × too_few_locations)" in result.text()
    rejects = tmp_path / "out" / "inventory.rejects.csv"
    assert [(row["id"], row["reason"]) for row in rows_of(rejects)] == [("rare", "too_few_locations")]
    split(make_config(tmp_path))
    assert not rejects.exists()


def test_dry_run_reads_no_picture_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what would be split."""
    monkeypatch.setattr(picture_hashes, "fingerprints", None)
    text = split(make_config(tmp_path, dry_run=True)).text()
    assert not (tmp_path / "out").exists()
    assert text.startswith("Dry run")
    assert "9 groups by 'location'; method scored" in text


def test_the_inventory_read_is_not_written_over(tmp_path: Path) -> None:
    """Where it lies under the name of the new one."""
    config = make_config(tmp_path)
    (tmp_path / "in.json").rename(tmp_path / "inventory.json")
    with pytest.raises(SettingError, match="under the name of the new one"):
        split(config.model_copy(update={"inventory": tmp_path / "inventory.json", "output_dir": tmp_path}))


def test_earlier_splits_that_move_are_told(tmp_path: Path) -> None:
    """Another seed over the same folder moves groups; with --keep-splits none moves."""
    config = make_config(tmp_path, pictures=False)
    split(config)
    other = config.model_copy(update={"seed": 5})
    kept = split(other.model_copy(update={"keep_splits": tmp_path / "out" / "splits.json"}))
    assert "9 groups stay where" in kept.text()
    assert "another split now" not in kept.text()
    assert "another split now" in split(config.model_copy(update={"split_method": "dealt"})).text()


def test_where_no_picture_is_there_nothing_was_compared(tmp_path: Path) -> None:
    """It is a warning, with right counts; a dry run says that it did not look."""
    config = make_config(tmp_path, pictures=False)
    result = split(config)
    text = result.text()
    assert (
        "duplicates (exact): nothing compared, see the warning; 55 pictures, 0 with known hashes; 0 of 55 files could be"
        in text
    )
    assert "pairs of pictures" not in text
    assert any(
        "no pictures were compared, as 0 of 55 files could be read (55 × missing_file)" in one for one in result.warnings
    )
    facts = json.loads((tmp_path / "out" / "leakage.json").read_text(encoding="utf-8"))["duplicates"]
    assert (facts["files_read"], facts["files_wanted"], facts["unusable"]) == (0, 55, {"missing_file": 55})
    dry = split(config.model_copy(update={"dry_run": True}))
    assert "duplicates (exact): not looked for in a dry run" in dry.text()
    assert not any("compared" in one for one in dry.warnings)


def test_some_files_that_are_absent_are_counted(tmp_path: Path) -> None:
    """The others are compared."""
    config = make_config(tmp_path)
    (tmp_path / "images" / "l0-0.jpg").unlink()
    text = split(config).text()
    assert "54 of 55 files could be read, 1 picture cannot be compared (1 × missing_file)" in text


def test_an_empty_split_is_told_on_stderr(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With the reason and what to do; the result does not repeat it."""
    made = [
        make_event(f"{i}", pictures=[f"{i}.jpg"], labels={"species": "abcd"[i % 4]}, location=f"l{i % 4}") for i in range(12)
    ]
    Inventory.from_records(made).write(tmp_path / "i.json")
    with caplog.at_level("WARNING", "camtrap_tf"):
        result = split(SplitConfig(inventory=tmp_path / "i.json", output_dir=tmp_path / "out", duplicates="off"))
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("warning: splits 'val' and 'test' have no record: 4 of 4 groups by 'location' hold")
    assert "have no record" not in result.text()
