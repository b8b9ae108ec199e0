"""One document per split."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.cct.splitting import CctSplitWritten, split_by_image, split_document, split_file
from camtrap_tf.config.cct import CctSplitConfig
from camtrap_tf.errors import SettingError
from camtrap_tf.sources.cct_document import CctDocument
from tests.reading import rows_of
from tests.unit.cct.documents import ids, make_annotation, make_document, make_image

SPLITS: Mapping[str, Sequence[tuple[str, str]]] = {"train": [("x", "a")], "val": [("x", "b")], "test": [("y", "a")]}


def whole() -> CctDocument:
    """Returns an image at each of four places, two of which share a location name, with a fox on each; a rat at x/a."""
    places = [("1", "x", "a"), ("2", "x", "b"), ("3", "y", "a"), ("4", "y", "c")]
    images = [make_image(key, location, dataset=dataset) for key, dataset, location in places]
    return make_document(images, [*(make_annotation(f"f{key}", key) for key, _, _ in places), make_annotation("r", "1", 7)])


def parts(**options: Any) -> dict[str, list[Any]]:
    """Returns the annotation ids of each part."""
    done = split_document(whole(), SPLITS, **options)
    return {name: ids(document.annotations) for name, document in done.documents.items()}


def test_images_go_where_they_are_said_to() -> None:
    """Annotations go with their images; an image without a split is in no part; a part without one is there, empty."""
    found = split_by_image(whole(), {"1": "val", "3": "train", "4": "val"}, ("train", "val", "test"))
    assert {name: ids(part.images) for name, part in found.items()} == {"train": ["3"], "val": ["1", "4"], "test": []}
    assert {name: ids(part.annotations) for name, part in found.items()} == {
        "train": ["f3"],
        "val": ["f1", "f4", "r"],
        "test": [],
    }
    assert all(part.categories == whole().categories for part in found.values())


def test_data_set_and_location_decide_together() -> None:
    """Location `a` of two data sets goes two ways; all parts have the same categories; what is in none is listed."""
    done = split_document(whole(), SPLITS)
    assert {name: ids(part.annotations) for name, part in done.documents.items()} == {
        "train": ["f1", "r"],
        "val": ["f2"],
        "test": ["f3"],
    }
    assert done.unplaced == (("y", "c"),)
    assert [(one.unit, one.item) for one in done.rejects] == [("image", "4.jpg"), ("annotation", "f4")]
    assert len({json.dumps(part.categories) for part in done.documents.values()}) == 1


def test_rare_labels_are_left_out_everywhere() -> None:
    """A label at one location goes from every part, and, pruned, from the categories of all parts alike."""
    assert parts(min_locs=2) == {"train": ["f1"], "val": ["f2"], "test": ["f3"]}
    done = split_document(whole(), SPLITS, min_locs=2, prune=True)
    assert [part.category_names() for part in done.documents.values()] == [{"3": "fox"}] * 3


def test_only_labels_of_the_index_stay() -> None:
    """Labels that the data set left out do not come back by their location."""
    assert parts(labels=["rat"]) == {"train": ["r"], "val": [], "test": []}


def test_combined_splits_go_by_location_where_that_is_clear() -> None:
    """Animl's splits name no data sets: they hold for any, unless two have a location of one name."""
    alone = whole().with_parts(images=whole().images[:2])
    done = split_document(alone, {"train": [("combined", "a")], "val": [("combined", "b")]})
    assert ids(done.documents["val"].images) == ["2"]
    with pytest.raises(SettingError, match=r"locations stand in several of them, e\.g\. 'a'"):
        split_document(whole(), {"train": [("combined", "a")]})


def test_images_without_location_match_both_spellings() -> None:
    """A missing location is `unknown_location`, which older documents call `unknown`."""
    document = make_document([make_image("1", None)], [make_annotation("1", "1")])
    for name in ("unknown_location", "unknown"):
        done = split_document(document, {"train": [("d", name)]})
        assert ids(done.documents["train"].images) == ["1"]


def test_a_location_in_two_splits_is_refused() -> None:
    """Splits have to be disjoint."""
    with pytest.raises(SettingError, match="'train' and 'val'"):
        split_document(whole(), {"train": [("x", "a")], "val": [("x", "a")]})


def test_files_are_written_and_add_up(tmp_path: Path) -> None:
    """The command writes one file per split, `test` too where splits.json has none, and its counts add up."""
    whole().write(tmp_path / "in.json")
    (tmp_path / "splits.json").write_text(json.dumps({"train": [["x", "a"]], "val": [["y", "a"]]}), encoding="utf-8")
    config = CctSplitConfig(path=tmp_path / "in.json", splits=tmp_path / "splits.json", output_dir=tmp_path / "o")
    text = split_file(config).text()
    assert "4 images = 1 train + 1 val + 0 test + 2 left out (2 × no_split)" in text
    assert "warning: 2 locations are in no split: x/b, y/c" in text
    assert text.endswith(f"{tmp_path / 'o' / 'rejects.csv'}: what is in none of them, and why")
    assert len(rows_of(tmp_path / "o" / "rejects.csv")) == 4
    assert CctDocument.read(tmp_path / "o/test_cct.json").images == []
    assert CctDocument.read(tmp_path / "o/val_cct.json").images == [whole().images[2]]


def test_the_file_that_is_cut_is_not_written_over(tmp_path: Path) -> None:
    """A file that has the name of a part and lies in the output folder stays as it is."""
    path, splits = tmp_path / "train_cct.json", tmp_path / "splits.json"
    whole().write(path)
    before = path.read_bytes()
    splits.write_text(json.dumps({"train": [["x", "a"]], "val": [["y", "a"]]}), encoding="utf-8")
    with pytest.raises(SettingError, match=r"train_cct\.json: is the file that is read"):
        split_file(CctSplitConfig(path=path, splits=splits, output_dir=tmp_path))
    assert path.read_bytes() == before
    assert not (tmp_path / "val_cct.json").exists()


def test_only_some_of_many_unplaced_locations_are_named() -> None:
    """Eight of ten, with a sign that there are more."""
    images = [make_image(str(number), f"l{number}") for number in range(11)]
    written = CctSplitWritten(
        CctSplitConfig(path=Path("i.json"), splits=Path("s.json"), output_dir=Path("o")),
        make_document(images, []),
        split_document(make_document(images, []), {"train": [("d", "l0")]}),
    )
    line = next(line for line in written.text().splitlines() if line.startswith("warning"))
    assert line == "warning: 10 locations are in no split: l1, l2, l3, l4, l5, l6, l7, l8 and 2 more"


@pytest.mark.parametrize(
    "splits", [{"train": [["z", "nowhere"]]}, {"train": [["y", "b"]], "val": ["elsewhere"]}, {"train": []}]
)
def test_splits_of_another_data_set_are_refused(tmp_path: Path, splits: Any) -> None:
    """They would give empty documents; the message names a location of each side, and nothing is written."""
    whole().write(tmp_path / "in.json")
    (tmp_path / "splits.json").write_text(json.dumps(splits), encoding="utf-8")
    config = CctSplitConfig(path=tmp_path / "in.json", splits=tmp_path / "splits.json", output_dir=tmp_path / "o")
    for dry_run in (True, False):
        with pytest.raises(SettingError, match=r"name no location of the file, which has 4, e\.g\. 'x/a'; the(irs are|y name)"):
            split_file(config.model_copy(update={"dry_run": dry_run}))
    assert not (tmp_path / "o").exists()
