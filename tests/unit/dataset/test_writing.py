"""Building a dataset: what gets into shards, what is rejected, what is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.config.dataset import DatasetConfig
from camtrap_tf.dataset import writing
from camtrap_tf.dataset.framing import read_records, scan_offsets
from camtrap_tf.dataset.manifest import DatasetManifest
from camtrap_tf.dataset.schema import Example, decode_example
from camtrap_tf.dataset.summary import DatasetPlan, WrittenDataset
from camtrap_tf.dataset.writing import create_dataset
from camtrap_tf.errors import CamtrapError, DatasetError, RunLockedError, SettingError, TooManyRejectsError
from camtrap_tf.files import locked_folder, sha256_file
from camtrap_tf.inventory.table import Inventory
from camtrap_tf.labels import LabelMapping
from camtrap_tf.records import CaptureEvent
from tests.factories import make_event, write_pictures
from tests.reading import rows_of


def make_events(count: int, *, pictures: int = 1) -> list[CaptureEvent]:
    """Records of two classes, each with its own pictures, every tenth label missing."""
    return [
        make_event(
            f"e{i:03d}",
            pictures=[f"{i:03d}_{k}.jpg" for k in range(pictures)],
            labels={"species": "-1" if i % 10 == 9 else ("zebra", "lion")[i % 2], "count": str(i % 3)},
            location=f"L{i % 8}",
        )
        for i in range(count)
    ]


def make_config(tmp_path: Path, events: list[CaptureEvent], *, draw: bool = True, **changes: Any) -> DatasetConfig:
    """Settings for records whose pictures lie in `tmp_path/pictures`."""
    if draw:
        write_pictures(tmp_path / "pictures", [media.path for event in events for media in event.media], width=24, height=16)
    (tmp_path / "pictures").mkdir(exist_ok=True)
    Inventory.from_records(events).write(tmp_path / "inventory.json")
    values: dict[str, Any] = {
        "inventory": tmp_path / "inventory.json",
        "output_dir": tmp_path / "out",
        "image_root_path": tmp_path / "pictures",
        "split_percent": (0.6, 0.2, 0.2),
        "workers": 1,
    }
    return DatasetConfig(**{**values, **changes})


def build(config: DatasetConfig) -> WrittenDataset:
    """Builds, and makes sure that it was no dry run."""
    result = create_dataset(config)
    assert isinstance(result, WrittenDataset)
    return result


def examples(folder: Path, split: str = "*") -> list[Example]:
    """All records of the shards of a split."""
    return [decode_example(data) for path in sorted(folder.glob(f"{split}_*.tfrecord")) for data in read_records(path)]


def rejects(folder: Path) -> list[dict[str, str]]:
    """The rows of the rejects table."""
    return rows_of(folder / "rejects.csv")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_every_record_is_in_one_shard_with_its_facts(tmp_path: Path) -> None:
    """What goes in comes out: ids, labels, meta data, pictures."""
    events = make_events(30, pictures=2)
    build(make_config(tmp_path, events, max_records_per_file=7))
    found = {example.id: example for example in examples(tmp_path / "out")}
    assert sorted(found) == [event.event_id for event in events]
    for event in events:
        example = found[event.event_id]
        assert example.image_paths == tuple(media.path for media in event.media)
        assert example.labels == {label: (value,) for label, value in event.observations[0].labels.items()}
        assert example.meta_data == dict(event.meta_data)


def test_manifest_counts_what_the_shards_hold(tmp_path: Path) -> None:
    """Counts, sizes, digests and offsets of the manifest agree with the files, counted again."""
    result = build(make_config(tmp_path, make_events(40, pictures=2), max_records_per_file=6))
    out = tmp_path / "out"
    manifest = DatasetManifest.read(out)
    assert manifest == result.manifest
    for shard in manifest.shards:
        assert sha256_file(out / shard.name) == shard.sha256
        assert (out / shard.name).stat().st_size == shard.bytes
        assert scan_offsets(out / shard.name)[0].tolist() == list(shard.offsets)
        assert shard.records <= 6
    for split, counts in manifest.splits.items():
        held = examples(out, split)
        assert counts.records == len(held)
        assert counts.images == sum(len(example.images) for example in held)
        species = [example.labels["species"][0] for example in held]
        assert counts.labels["species"] == {name: species.count(name) for name in sorted({*species} - {"-1"})}
        assert counts.missing["species"] == species.count("-1")
    assert sum(counts.records for counts in manifest.splits.values()) == 40
    assert manifest.inventory == Inventory.read(tmp_path / "inventory.json").digest()
    assert manifest.group_field == "location"


def test_label_mapping_is_written(tmp_path: Path) -> None:
    """Classes are numbered by name, missing ones left out; label_num in the shards agrees."""
    build(make_config(tmp_path, make_events(20)))
    mapping = LabelMapping.read(tmp_path / "out" / "label_mapping.json")
    assert mapping.as_json() == {"count": {"0": 0, "1": 1, "2": 2}, "species": {"lion": 0, "zebra": 1}}


def test_splits_are_told_beside_the_shards(tmp_path: Path) -> None:
    """Who is where agrees with the shards; a picture that two locations share keeps them together; a rebuild says it again."""
    events = make_events(40)
    config = make_config(tmp_path, events, max_group_share=0.5)
    (tmp_path / "pictures" / "001_0.jpg").write_bytes((tmp_path / "pictures" / "002_0.jpg").read_bytes())
    build(config)
    rows = {row["id"]: row["split"] for row in rows_of(tmp_path / "out" / "splits" / "splits.csv")}
    for split in ("train", "val", "test"):
        held = [one.id for one in examples(tmp_path / "out", split)]
        assert held
        assert {rows[one] for one in held} == {split}
    assert len(rows) == 40
    assert rows["e001"] == rows["e002"]
    leakage = json.loads((tmp_path / "out" / "splits" / "leakage.json").read_text())
    assert leakage["groups"]["joined_by_duplicates"] == [["L1", "L2"]]
    before = contents(tmp_path / "out")
    build(config.model_copy(update={"overwrite": True}))
    assert contents(tmp_path / "out") == before


def test_without_groups_nothing_is_told_of_splits(tmp_path: Path) -> None:
    """As camera-trap-classifier has it: by the hash of the id, and no further files."""
    config = make_config(tmp_path, make_events(20))
    build(config)
    assert (tmp_path / "out" / "splits").exists()
    build(config.model_copy(update={"split_group": "none", "overwrite": True}))
    assert not (tmp_path / "out" / "splits").exists()


def test_the_number_of_workers_does_not_show(tmp_path: Path) -> None:
    """One process and two give the same bytes, and so does another order of the inventory's keys."""
    config = make_config(tmp_path, make_events(40))
    build(config)
    build(config.model_copy(update={"output_dir": tmp_path / "two", "workers": 2}))
    assert contents(tmp_path / "out") == contents(tmp_path / "two")
    assert not (tmp_path / "out" / ".partial").exists()


def test_nothing_of_the_machine_gets_into_the_files(tmp_path: Path) -> None:
    """No absolute path of input or output is in any file of the dataset."""
    events = make_events(12)
    build(make_config(tmp_path, [*events, make_event("up", pictures=["../up.jpg"])], max_rejected_share=1))
    files = contents(tmp_path / "out")
    assert {"dataset.json", "rejects.csv"} <= {str(name) for name in files}
    for name, data in files.items():
        assert str(tmp_path).encode() not in data, name


def test_the_same_plan_is_kept(tmp_path: Path) -> None:
    """A finished dataset is verified and left alone; it says so."""
    config = make_config(tmp_path, make_events(12))
    assert "; kept" not in build(config).text()
    shard = tmp_path / "out" / "train_001-of-001.tfrecord"
    written = shard.stat().st_mtime_ns
    again = build(config)
    assert again.kept
    assert "complete already" in again.text()
    assert shard.stat().st_mtime_ns == written
    assert not (tmp_path / "out" / ".partial").exists()


def test_a_damaged_dataset_is_not_kept(tmp_path: Path) -> None:
    """A shard that changed since is named; with --overwrite it is made again."""
    config = make_config(tmp_path, make_events(12))
    build(config)
    before = contents(tmp_path / "out")
    shard = tmp_path / "out" / "train_001-of-001.tfrecord"
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    with pytest.raises(DatasetError, match=f"{shard.name}: not the file that was written here"):
        build(config)
    build(config.model_copy(update={"overwrite": True}))
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize("change", [{"image_save_quality": 50}, {"seed": 5}, {"max_records_per_file": 3}])
def test_another_plan_is_refused_or_replaced(tmp_path: Path, change: dict[str, Any]) -> None:
    """Shards of other settings are in the way, and are swept away on request, leaving no stale one."""
    config = make_config(tmp_path, make_events(12), max_records_per_file=4)
    build(config)
    before = contents(tmp_path / "out")
    other = config.model_copy(update=change)
    with pytest.raises(DatasetError, match=r"another plan.*--overwrite"):
        build(other)
    assert contents(tmp_path / "out") == before
    build(other.model_copy(update={"overwrite": True}))
    fresh = other.model_copy(update={"output_dir": tmp_path / "fresh"})
    build(fresh)
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_another_inventory_is_another_plan(tmp_path: Path) -> None:
    """One label changed is enough."""
    events = make_events(12)
    build(make_config(tmp_path, events))
    events[0] = make_event("e000", pictures=["000_0.jpg"], labels={"species": "gnu", "count": "0"}, location="L0")
    with pytest.raises(DatasetError, match="another plan"):
        build(make_config(tmp_path, events))


def test_shards_without_manifest_are_not_mixed_with_ours(tmp_path: Path) -> None:
    """Shards of another program are refused or replaced; files that are not named like shards are never removed."""
    config = make_config(tmp_path, make_events(12))
    out = tmp_path / "out"
    out.mkdir()
    (out / "train_001-of-009.tfrecord").write_bytes(b"")
    with pytest.raises(DatasetError, match="shards of another plan, image root or program \\(1, "):
        build(config)
    assert sorted(contents(out)) == ["train_001-of-009.tfrecord"]
    (out / "precious.tfrecord").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"precious\.tfrecord is not named like our shards"):
        build(config.model_copy(update={"overwrite": True}))
    (out / "precious.tfrecord").unlink()
    (out / "notes.txt").write_text("mine")
    build(config.model_copy(update={"overwrite": True}))
    assert "train_001-of-009.tfrecord" not in contents(out)
    assert (out / "notes.txt").read_text() == "mine"


def test_rejected_pictures_are_listed_and_counted(tmp_path: Path) -> None:
    """Each unusable picture has a row with its reason; in = out + rejected, for pictures and records."""
    events = [
        *make_events(30),
        make_event("half", pictures=["half_0.jpg", "gone.jpg"], location="L1"),
        make_event("none", pictures=["gone.jpg", "text.jpg"], location="L1"),
        make_event("out", pictures=["../secret.jpg"], location="L1"),
    ]
    config = make_config(tmp_path, events, draw=False, max_rejected_share=0.5)
    write_pictures(tmp_path / "pictures", [f"{i:03d}_0.jpg" for i in range(30)] + ["half_0.jpg"])
    (tmp_path / "pictures" / "text.jpg").write_text("no picture")
    result = build(config)
    rows = [(row["id"], row["item"], row["unit"], row["reason"]) for row in rejects(tmp_path / "out")]
    assert rows == [
        ("half", "gone.jpg", "picture", "missing_file"),
        ("none", "gone.jpg", "picture", "missing_file"),
        ("none", "none", "record", "no_picture"),
        ("none", "text.jpg", "picture", "not_a_picture"),
        ("out", "../secret.jpg", "picture", "outside_root"),
        ("out", "out", "record", "no_picture"),
    ]
    text = result.text()
    assert "records: 33 in = 31 out + 2 rejected (no_picture 2)" in text
    assert "pictures: 35 in = 31 out + 4 rejected (missing_file 2, not_a_picture 1, outside_root 1)" in text
    half = next(example for example in examples(tmp_path / "out") if example.id == "half")
    assert (half.image_paths, half.image_index, len(half.images)) == (("half_0.jpg",), (0,), 1)


def test_too_many_rejects_end_the_work(tmp_path: Path) -> None:
    """Above the share the work stops with exit code 3, how many of what reason, and where they are listed."""
    config = make_config(tmp_path, make_events(40), draw=False)
    with pytest.raises(TooManyRejectsError) as caught:
        build(config)
    assert caught.value.exit_code == 3
    message = str(caught.value)
    assert message.startswith("20 of 20 pictures so far cannot be used (missing_file 20), more than --max-rejected-share 0.05")
    assert str(tmp_path / "out" / "rejects.csv") in message
    assert len([row for row in rejects(tmp_path / "out") if row["unit"] == "picture"]) == 20
    assert not (tmp_path / "out" / "dataset.json").exists()


def test_few_pictures_are_judged_at_the_end(tmp_path: Path) -> None:
    """Below 20 pictures the share is judged once all are seen; allowing more finishes the same dataset."""
    events = make_events(10)
    config = make_config(tmp_path, events)
    (tmp_path / "pictures" / "000_0.jpg").unlink()
    with pytest.raises(TooManyRejectsError, match="1 of 10 pictures"):
        build(config)
    result = build(config.model_copy(update={"max_rejected_share": 0.1}))
    assert result.manifest.pictures.rejected == {"missing_file": 1}


def test_pieces_of_killed_processes_are_swept_away(tmp_path: Path) -> None:
    """What killed processes left unfinished is gone even where the next run ends with too many rejects."""
    config = make_config(tmp_path, make_events(10))
    (tmp_path / "pictures" / "000_0.jpg").unlink()
    partial = tmp_path / "out" / ".partial"
    for _ in range(2):
        with pytest.raises(TooManyRejectsError):
            build(config)
        assert not list(partial.glob("*.part")) + list(partial.glob(".*.part"))
        for process in (101, 102):
            (partial / f".train_001-of-001.tfrecord.{process}.part").write_bytes(b"torn")


def test_a_mended_picture_is_taken_up(tmp_path: Path) -> None:
    """After too many rejects, mending a picture and running the same command again is enough; other shards are kept."""
    config = make_config(tmp_path, make_events(10), max_records_per_file=5)
    broken = tmp_path / "pictures" / "000_0.jpg"
    good = broken.read_bytes()
    broken.write_bytes(b"")
    with pytest.raises(TooManyRejectsError, match="1 of 10 pictures"):
        build(config)
    broken.write_bytes(good)
    build(config)
    build(config.model_copy(update={"output_dir": tmp_path / "fresh"}))
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")
    assert rejects(tmp_path / "out") == []


def test_what_was_begun_over_other_pictures_is_not_taken_up(tmp_path: Path) -> None:
    """Shards begun under another image root are refused, and swept away on request."""
    config = make_config(tmp_path, make_events(10), max_records_per_file=5)
    (tmp_path / "empty").mkdir()
    wrong = config.model_copy(update={"image_root_path": tmp_path / "empty"})
    with pytest.raises(TooManyRejectsError, match=r"\d{3}_0\.jpg was looked for in .*empty \(--image-root-path\)"):
        build(wrong)
    with pytest.raises(DatasetError, match="image root"):
        build(config)
    build(config.model_copy(update={"overwrite": True}))
    assert rejects(tmp_path / "out") == []


def test_a_root_that_is_in_the_paths_already_is_named(tmp_path: Path) -> None:
    """Paths that are found without the image root are no riddle."""
    events = [make_event("e1", pictures=[str(tmp_path / "a.jpg")])]
    write_pictures(tmp_path, ["a.jpg"])
    config = make_config(tmp_path, events, draw=False)
    with pytest.raises(TooManyRejectsError, match="it is there without --image-root-path; leave that flag out"):
        build(config)


def test_broken_entries_of_the_inventory_are_in_the_table_too(tmp_path: Path) -> None:
    """What the inventory could not take is listed and counted with the rest."""
    config = make_config(tmp_path, make_events(12))
    value = json.loads((tmp_path / "inventory.json").read_text())
    value["broken"] = {"images": []}
    (tmp_path / "inventory.json").write_text(json.dumps(value))
    manifest = build(config).manifest
    assert (manifest.records.into, manifest.records.out) == (13, 12)
    assert [row["id"] for row in rejects(tmp_path / "out")] == ["broken"]


def test_without_a_root_paths_stand_for_themselves(tmp_path: Path) -> None:
    """Absolute paths work without --image-root-path."""
    events = [make_event(f"e{i}", pictures=[str(tmp_path / "pictures" / f"{i}.jpg")]) for i in range(5)]
    write_pictures(tmp_path / "pictures", [f"{i}.jpg" for i in range(5)])
    build(make_config(tmp_path, events, draw=False, image_root_path=None, split_group="none"))
    assert len(examples(tmp_path / "out")) == 5


def test_absolute_paths_are_looked_up_below_the_root(tmp_path: Path) -> None:
    """Leading separators are stripped, as camera-trap-classifier does; links out of the root may be followed."""
    write_pictures(tmp_path / "elsewhere", ["b.jpg"])
    config = make_config(tmp_path, [make_event("e", pictures=["/a/b.jpg"])], draw=False)
    (tmp_path / "pictures" / "a").symlink_to(tmp_path / "elsewhere")
    build(config)
    assert len(examples(tmp_path / "out")) == 1


def test_all_observations_are_stored_on_request(tmp_path: Path) -> None:
    """With --keep-multi-observation a record has a class per observation."""
    events = [*make_events(9), make_event("z", pictures=["z.jpg"], labels=[{"species": "lion"}, {"species": "gnu"}])]
    build(make_config(tmp_path, events, keep_multi_observation=True))
    both = next(example for example in examples(tmp_path / "out") if example.id == "z")
    assert both.labels == {"species": ("lion", "gnu"), "count": ("-1", "-1")}


def test_an_empty_split_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """On the way where there is one, before hours of work, else in the plan; the manifest has it in any case."""
    events = [
        make_event(str(i), pictures=[f"{i}.jpg"], labels={"species": "abcd"[i % 4]}, location=f"l{i % 4}") for i in range(8)
    ]
    for settings in ({}, {"dry_run": True}, {}):  # built, planned, complete already
        caplog.clear()
        with caplog.at_level("WARNING", "camtrap_tf"):
            result = create_dataset(make_config(tmp_path, events, **settings))
        said = [*caplog.messages, *result.text().splitlines()]
        assert sum("have no record" in line for line in said) == 1
    assert any("have no record" in text for text in DatasetManifest.read(tmp_path / "out").warnings)


def test_dry_run_writes_nothing(tmp_path: Path) -> None:
    """The plan has splits with counts, shards, stored form and workers; no file appears."""
    config = make_config(tmp_path, make_events(30), max_records_per_file=10, dry_run=True, keep_label_name=("species",),
                         keep_label_value=("zebra",))  # fmt: skip
    before = contents(tmp_path)
    plan = create_dataset(config)
    assert isinstance(plan, DatasetPlan)
    assert plan.exit_code == 0
    assert contents(tmp_path) == before
    assert not (tmp_path / "out").exists()
    for part in ("keep species=zebra", "train: ", "together: 15 records, 15 pictures", "quality 90", "1 worker process"):
        assert part in plan.text(), part


def test_dry_run_lists_absent_inputs(tmp_path: Path) -> None:
    """Commands for another machine's paths still show their plan, and exit with 2."""
    config = DatasetConfig(
        inventory=Path("/nowhere/inv.json"), output_dir=tmp_path / "out", image_root_path=Path("/nowhere/p"), dry_run=True
    )
    plan = create_dataset(config)
    assert isinstance(plan, DatasetPlan)
    assert plan.exit_code == 2
    ending = plan.text().partition("\ncannot start:\n")[2].splitlines()
    assert [line.partition(":")[0] for line in ending] == ["  --inventory /nowhere/inv.json", "  --image-root-path /nowhere/p"]
    assert "train 0.9, val 0.05, test 0.05" in plan.text()


def test_bad_settings_stop_before_any_work(tmp_path: Path) -> None:
    """An absent root, a file in the place of the output folder and an unusable split name are one line each."""
    config = make_config(tmp_path, make_events(12))
    with pytest.raises(SettingError, match=r"--image-root-path .*: no such folder"):
        create_dataset(config.model_copy(update={"image_root_path": tmp_path / "gone"}))
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match=r"--output-dir .*cannot write there"):
        create_dataset(config.model_copy(update={"output_dir": tmp_path / "file" / "out"}))
    events = [make_event(f"e{i}", pictures=["000_0.jpg"], split_name=("train", "a/b")[i % 2]) for i in range(4)]
    bad = make_config(tmp_path, events, draw=False, split_by_meta="split_name")
    with pytest.raises(SettingError, match="'a/b' cannot begin the name of a shard"):
        create_dataset(bad)


def test_two_builders_do_not_meet(tmp_path: Path) -> None:
    """While one process builds in a folder, another is sent away."""
    config = make_config(tmp_path, make_events(12))
    with locked_folder(tmp_path / "out" / ".partial"), pytest.raises(RunLockedError, match="another process"):
        build(config)


def test_a_full_disk_leaves_no_half_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error while writing is one line; no shard appears under its name; the next run ends as if nothing happened."""
    config = make_config(tmp_path, make_events(12))
    build(config.model_copy(update={"output_dir": tmp_path / "whole"}))
    monkeypatch.setattr(writing, "convert_chunk", _full_disk)
    with pytest.raises(CamtrapError, match=r"out: cannot write \(No space left on device\)"):
        build(config)
    assert not list((tmp_path / "out").glob("**/*.tfrecord*"))
    monkeypatch.undo()
    build(config)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def _full_disk(_: object) -> list[Any]:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("after", range(1, 8))
def test_stopped_anywhere_and_run_again_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Stopped after any renaming of a file, the same command ends in the same bytes and keeps finished shards."""
    config = make_config(tmp_path, make_events(24, pictures=1), max_records_per_file=6)
    (tmp_path / "pictures" / "003_0.jpg").unlink()
    build(config.model_copy(update={"output_dir": tmp_path / "whole"}))
    place = writing.Workplace.place
    placed = []

    def stopping(self: writing.Workplace, name: str) -> None:
        """Puts a file in place, and is interrupted after some."""
        placed.append(tmp_path / "out" / name)
        place(self, name)
        if len(placed) == after:
            raise KeyboardInterrupt

    monkeypatch.setattr(writing.Workplace, "place", stopping)
    with pytest.raises(KeyboardInterrupt):
        build(config)
    monkeypatch.undo()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.tfrecord")}
    assert set(kept) == {path for path in placed if path.suffix == ".tfrecord"}
    build(config)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())


def test_a_torn_sidecar_or_shard_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an interrupted run only what proves sound is kept."""
    config = make_config(tmp_path, make_events(24), max_records_per_file=6)
    build(config.model_copy(update={"output_dir": tmp_path / "whole"}))
    monkeypatch.setattr(writing, "_finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        build(config)
    monkeypatch.undo()
    out = tmp_path / "out"
    shards = sorted(out.glob("*.tfrecord"))
    shards[0].write_bytes(b"?" * shards[0].stat().st_size)
    (out / ".partial" / f"{shards[1].name}.json").write_text('{"shard": ')
    shards[2].unlink()
    build(config)
    assert contents(out) == contents(tmp_path / "whole")
