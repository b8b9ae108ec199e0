"""Which pictures of a document are fetched."""

from __future__ import annotations

import collections
import json
from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.cct.selecting import choose_images, read_locations
from camtrap_tf.config.download import SubsetConfig
from camtrap_tf.errors import SettingError, SourceError
from camtrap_tf.sources.cct_document import CctDocument
from tests.unit.cct.documents import make_annotation, make_document, make_image

# Rats stand at a and b, foxes at a, b and c; image 5 of c shows nothing.
IMAGES = [make_image("1", "a"), make_image("2", "a"), make_image("3", "b"), make_image("4", "c"), make_image("5", "c")]
ANNOTATIONS = [make_annotation("1", "1", 7), make_annotation("2", "2", 3), make_annotation("3", "3", 7),
               make_annotation("4", "3", 3), make_annotation("5", "4", 3)]  # fmt: skip


def chosen(document: CctDocument | None = None, **wishes: Any) -> list[str]:
    """Returns the ids of the images that are chosen; checks that in = chosen + left out."""
    document = document or make_document(IMAGES, ANNOTATIONS)
    subset = choose_images(document, SubsetConfig(output_dir=Path("out"), **wishes))
    assert subset.read == len(subset.document.images) + sum(subset.left_out.values())
    assert subset.document.categories == document.categories
    ids = [one["id"] for one in subset.document.images]
    assert {one["image_id"] for one in subset.document.annotations} <= set(ids)
    return ids


def test_wishes_choose_images() -> None:
    """Categories (in any case) and locations choose images; all images without a wish; wishes narrow each other."""
    assert chosen() == ["1", "2", "3", "4", "5"]
    assert chosen(category=("RAT",)) == ["1", "3"]
    assert chosen(locations=("a", "c")) == ["1", "2", "4", "5"]
    assert chosen(category=("rat",), locations=("a",)) == ["1"]


def test_categories_that_are_not_there_can_be_passed_over() -> None:
    """On request, with a note, as long as one of them is there; otherwise they are errors."""
    document = make_document(IMAGES, ANNOTATIONS)
    assert chosen(category=("rat", "Pig", "cat"), absent_categories_ok=True) == ["1", "3"]
    config = SubsetConfig(output_dir=Path("out"), category=("rat", "Pig", "cat"), absent_categories_ok=True)
    assert choose_images(document, config).text().endswith("; without the categories cat, pig, which it does not have")
    with pytest.raises(SettingError, match="--category cat: no such category; did you mean 'rat'"):
        chosen(category=("rat", "cat"))
    with pytest.raises(SettingError, match="--category pig: no such category"):
        chosen(category=("pig",), absent_categories_ok=True)


def test_locations_that_have_rats_and_everything_else_there() -> None:
    """All images of the locations with rats are chosen, foxes too; location c, which has none, is not."""
    assert chosen(at_locations_with=("rat",)) == ["1", "2", "3"]


def test_a_location_in_two_data_sets_is_two_locations() -> None:
    """Rats at location a of one data set do not choose location a of another."""
    images = [make_image("1", "a", dataset="x"), make_image("2", "a", dataset="y")]
    annotations = [make_annotation("1", "1", 7), make_annotation("2", "2", 3)]
    assert chosen(make_document(images, annotations), at_locations_with=("rat",)) == ["1"]


def test_locations_come_from_paths_or_lists(tmp_path: Path) -> None:
    """Locations may be the first folders of paths, and come from the list that `cct locations-with` writes."""
    images = [
        {**make_image(str(n), "x"), "file_name": name} for n, name in enumerate(["i/c1/1.jpg", "i/c2/2.jpg", "j/c1/3.jpg"])
    ]
    document = make_document(images, [make_annotation("1", "0", 7)])
    assert chosen(document, location_from_path=2, locations=("i/c2",)) == ["1"]
    assert chosen(document, location_from_path=1, at_locations_with=("rat",)) == ["0", "1"]
    (tmp_path / "l.json").write_text(json.dumps({"locations": [{"location": "j/c1"}]}))
    (tmp_path / "l.csv").write_text('dataset,location\n"",i/c1\n')
    assert chosen(document, location_from_path=2, locations_file=tmp_path / "l.json") == ["2"]
    assert chosen(document, location_from_path=2, locations_file=tmp_path / "l.csv") == ["0"]
    (tmp_path / "bad.json").write_text("[1, 2")
    with pytest.raises(SourceError, match="locations-with"):
        read_locations(tmp_path / "bad.json")


def test_samples_are_seeded_and_hold_smaller_ones() -> None:
    """A sample is the same for the same seed, another for another, and not the head of the list; larger holds smaller."""
    images = [make_image(str(n), f"l{n % 5}") for n in range(100)]
    document = make_document(images, [make_annotation(str(n), str(n), 7 if n % 10 else 3) for n in range(100)])
    ten = chosen(document, max_pictures=10)
    assert len(ten) == 10
    assert ten == chosen(document, max_pictures=10) != chosen(document, max_pictures=10, seed=1)
    assert ten != [str(n) for n in range(10)]
    assert set(ten) < set(chosen(document, max_pictures=20))
    of_location = collections.Counter(int(name) % 5 for name in chosen(document, max_per_location=3))
    assert of_location == dict.fromkeys(range(5), 3)
    of_category = collections.Counter(int(name) % 10 == 0 for name in chosen(document, max_per_category=8))
    assert of_category == {True: 8, False: 8}


def test_only_pictures_with_boxes() -> None:
    """Images without any box are left out where only boxes are wanted."""
    annotations = [{**make_annotation("1", "1", 7), "bbox": [1, 2, 3, 4]}, {**make_annotation("2", "2", 7), "bbox": None}]
    assert chosen(make_document(IMAGES, annotations), with_boxes=True) == ["1"]


def test_names_that_are_not_there_are_said() -> None:
    """A category or location that does not exist is an error that names the nearest."""
    with pytest.raises(SettingError, match="did you mean 'rat'"):
        chosen(category=("rats",))
    with pytest.raises(SettingError, match="--locations z"):
        chosen(locations=("z",))
