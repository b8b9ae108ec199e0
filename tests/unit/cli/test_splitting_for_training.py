"""One COCO Camera Traps file for a whole training: what is in its splits, and when they are made again."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from camtrap_tf.cli.splitting_for_training import CutFiles, cut_by_location, expected_splits
from camtrap_tf.cli.training_from_files import train_from_files
from camtrap_tf.config.training_files import TrainFilesConfig
from camtrap_tf.curation.split_files import SPLIT_FILES
from camtrap_tf.errors import LabelError, SettingError
from camtrap_tf.inventory.of_splits import SplitFiles
from camtrap_tf.sources.cct_document import CctDocument
from camtrap_tf.training.plan import Plan

ANT, ZEBRA, RARE = 0, 1, 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Gives a folder with pictures of ten locations, two classes at each and a third at one of them, and their document."""
    images, annotations = [], []
    for number in range(40):
        place = number % 10
        images.append({"id": number, "file_name": f"{number}.png", "location": f"hill{place}"})
        category = RARE if number == 3 else (ANT, ZEBRA)[number // 10 % 2]
        annotations.append({"id": number, "image_id": number, "category_id": category})
        pixels = np.random.default_rng(number).integers(0, 255, (20, 30, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    categories = [{"id": ZEBRA, "name": "zebra"}, {"id": ANT, "name": "ant"}, {"id": RARE, "name": "rare"}]
    CctDocument(images=images, annotations=annotations, categories=categories).write(tmp_path / "all.json")
    return tmp_path


def config(folder: Path, **changes: Any) -> TrainFilesConfig:
    """Returns settings with changes."""
    settings: dict[str, Any] = {"train_cct": folder / "all.json", "crops_dir": folder, "split_percent": (0.6, 0.2, 0.2)}
    places = {"run_outputs_dir": folder / "run", "model_save_dir": folder / "bundle", "model": "small_cnn", "workers": 1}
    return TrainFilesConfig(**{**settings, **places, "n_gpus": 0, "max_epochs": 1, **changes})


def cut(folder: Path, into: str = "splits", *, dry_run: bool = False, **changes: Any) -> CutFiles:
    """Cuts the document of a folder."""
    settings = config(folder, **changes)
    return cut_by_location(settings, SplitFiles.from_config(settings, "species"), folder / into, dry_run=dry_run)


def members(done: CutFiles) -> dict[str, list[int]]:
    """Returns split → ids of its images."""
    return {split: [one["id"] for one in CctDocument.read(path).images] for split, path in done.files.documents.items()}


def test_locations_stay_whole(folder: Path) -> None:
    """Every picture is in one split, and so is every location; the class at one location is in train; categories stay."""
    done = cut(folder)
    found = members(done)
    assert sorted(itertools.chain(*found.values())) == list(range(40))
    splits_of_place = defaultdict(set)
    for split, ids in found.items():
        for one in ids:
            splits_of_place[one % 10].add(split)
    assert all(len(splits) == 1 for splits in splits_of_place.values())
    assert 3 in found["train"]
    assert set(found) == {"train", "val", "test"}
    for path in done.files.documents.values():
        document = CctDocument.read(path)
        assert [one["name"] for one in document.categories] == ["zebra", "ant", "rare"]
        assert [one["image_id"] for one in document.annotations] == [one["id"] for one in document.images]


def test_what_tells_of_the_splitting_lies_beside(folder: Path) -> None:
    """The files of `camtrap split` are there; `splits.json` has the locations of the documents."""
    done = cut(folder)
    assert {name for name in SPLIT_FILES if (folder / "splits" / name).is_file()} == set(SPLIT_FILES)
    said = json.loads((folder / "splits/splits.json").read_text(encoding="utf-8"))
    assert said == {split: sorted({f"hill{one % 10}" for one in ids}) for split, ids in members(done).items()}


def test_equal_settings_cut_equally(folder: Path) -> None:
    """Another folder gets the same splits, also in a dry run; the same folder keeps its files until a picture changes."""
    first = cut(folder)
    assert members(cut(folder, "others")) == members(cut(folder, "planned", dry_run=True)) == members(first)
    written = first.files.documents["train"].stat().st_mtime_ns
    again = cut(folder)
    assert again.lines[-1].endswith("as they were")
    assert again.files == first.files
    assert again.files.documents["train"].stat().st_mtime_ns == written
    Image.new("RGB", (40, 40)).save(folder / "7.png")
    assert not cut(folder).lines[-1].endswith("as they were")


def test_other_seeds_and_shares_cut_otherwise(folder: Path) -> None:
    """A seed decides which locations are where; without a share there is no test split."""
    found = [members(cut(folder, f"seed{seed}", seed=seed)) for seed in range(4)]
    assert any(one != found[0] for one in found)
    assert set(cut(folder, split_percent=(0.8, 0.2, 0)).files.documents) == {"train", "val"}


def test_splits_are_known_before_and_after_the_cut(folder: Path) -> None:
    """A training that goes on is compared with the settings it began with, before anything is cut again."""
    for shares in ((0.6, 0.2, 0.2), (0.8, 0.2, 0.0)):
        settings = config(folder, split_percent=shares)
        before = expected_splits(settings, folder / "splits")
        assert before == list(cut(folder, split_percent=shares).files.documents) == expected_splits(settings, folder / "splits")
        (folder / "splits/made_from.json").unlink()


def test_pictures_that_are_not_there_are_in_no_split(folder: Path) -> None:
    """They are counted with their reason, and listed."""
    (folder / "5.png").unlink()
    done = cut(folder)
    assert 5 not in set(itertools.chain(*members(done).values()))
    assert "40 pictures read = 39 used + 1 rejected (1 × missing_file)" in done.lines[0]
    assert (folder / "splits/whole.rejects.csv").is_file()


def test_too_few_locations_are_told(folder: Path) -> None:
    """The message names the file and what helps."""
    document = CctDocument.read(folder / "all.json")
    images = [{**one, "location": "hill", "seq_id": "s"} for one in document.images]
    document.with_parts(images=images).write(folder / "all.json")
    with pytest.raises(SettingError, match=r"--train-cct .*all\.json.*--val-cct"):
        cut(folder)


def test_a_plan_says_what_is_in_the_splits(folder: Path) -> None:
    """It names the files that would be written, the classes by index, and writes nothing."""
    plan = train_from_files(config(folder, dry_run=True))
    assert isinstance(plan.result, Plan)
    assert plan.exit_code == 0
    assert f"val: {folder / 'run/cache/splits/val_cct.json'}: 8 records" in plan.text()
    assert "classes of species, by index: zebra, ant, rare" in plan.text()
    assert not (folder / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split_percent": (0.5, 0.2, 0.2)}, "does not add up to 1"),
        ({"split_percent": (0.8, 0, 0.2)}, "train and val both need a share"),
        ({"split_percent": (0.8, 0.2)}, "split_percent"),
        ({"val_cct": Path("v.json")}, "--split-percent is for --train-cct alone"),
        ({"test_cct": Path("t.json")}, "--test-cct goes with --val-cct"),
    ],
)
def test_settings_that_do_not_fit(folder: Path, changes: dict[str, Any], message: str) -> None:
    """They are refused before a file is read."""
    with pytest.raises(ValueError, match=message):
        config(folder, **changes)


def test_classes_are_counted_before_anything_is_written(folder: Path) -> None:
    """Another number of classes than was said ends the command first."""
    with pytest.raises(LabelError, match="has 3 classes"):
        train_from_files(config(folder, num_classes=2))
    assert not (folder / "run").exists()
