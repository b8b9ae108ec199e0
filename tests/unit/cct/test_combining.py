"""Several documents in one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from camtrap_tf.cct.combining import combine, combine_files, dataset_name
from camtrap_tf.cct.working import summary
from camtrap_tf.config.cct import CctCombineConfig
from camtrap_tf.errors import SettingError
from camtrap_tf.sources.cct_document import CctDocument
from tests.unit.cct.documents import ids, make_annotation, make_document, make_image, reasons

BOTH = frozenset(("ids", "locations"))


def two() -> list[CctDocument]:
    """Returns two documents that share image ids, locations, category names and category ids."""
    first = make_document(
        [make_image("1", "hill", seq_id="s")], [make_annotation("1", "1")], {3: "fox", 0: "empty"}, info={"version": "a"}
    )
    second = make_document(
        [make_image("1", "hill", file_name="other.jpg")],
        [make_annotation("1", "1", category=3), make_annotation("2", "1", category=9)],
        {9: "Fox", 3: "rat", 30: "blank"},
    )
    return [first, second]


def test_names_go_in_front_and_categories_are_joined_by_name() -> None:
    """Ids, sequences and locations get their data set's name; `Fox` is `fox`; a taken id is replaced by a free one."""
    change = combine(two(), ["a", "b"], prefix=BOTH)
    document = change.document
    assert [(one["id"], one["dataset"], one["location"], one.get("seq_id")) for one in document.images] == [
        ("a_1", "a", "a_hill", "a_s"),
        ("b_1", "b", "b_hill", None),
    ]
    assert document.category_names() == {"0": "empty", "3": "fox", "1": "rat"}
    assert [(one["id"], one["image_id"], one["category_id"]) for one in document.annotations] == [
        ("a_1", "a_1", 3),
        ("b_1", "b_1", 1),
        ("b_2", "b_1", 3),
    ]
    assert document.others["info"]["original_info"]["a"] == {"version": "a"}


def test_empty_is_first_and_order_is_that_of_the_files() -> None:
    """Category order follows the files, whatever Python's hashing is, with the empty one first."""
    assert [one["name"] for one in combine(two(), ["a", "b"], prefix=BOTH).document.categories] == ["empty", "fox", "rat"]
    assert [one["name"] for one in combine(two()[::-1], ["b", "a"], prefix=BOTH).document.categories] == ["empty", "Fox", "rat"]


def test_a_category_with_the_id_of_empty_gets_another() -> None:
    """An animal that a file numbers 0 is not taken for empty."""
    change = combine(
        [make_document([make_image("1")], [make_annotation("1", "1", category=0)], {0: "fox"})], ["a"], prefix=BOTH
    )
    assert change.document.category_names() == {"1": "fox"}
    assert change.document.annotations[0]["category_id"] == 1


def test_clashes_are_errors_that_say_what_to_add() -> None:
    """Without names in front, equal ids and equal files are refused."""
    with pytest.raises(SettingError, match=r"several entries have the image id '1'; add --prefix ids"):
        combine(two(), ["a", "b"], prefix=frozenset())
    twins = [make_document([make_image("1"), make_image("2")], [])] * 2
    with pytest.raises(SettingError, match=r"have the file_name '1.jpg' \(and 1 more such\); add --prefix files ids"):
        combine(twins, ["a", "b"], prefix=frozenset(("ids",)))
    whole = combine(twins, ["a", "b"], prefix=frozenset(("ids", "files"))).document
    assert [image["file_name"] for image in whole.images] == ["a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg"]


def test_what_points_nowhere_is_listed() -> None:
    """Annotations of unknown images and categories are rejected by row."""
    document = make_document([make_image("1")], [make_annotation("x", "nowhere"), make_annotation("y", "1", category=99)])
    assert reasons(combine([document], ["a"], prefix=BOTH).rejects) == [("x", "unknown_image"), ("y", "unknown_category")]


def test_ids_of_several_names_have_a_reason_of_their_own() -> None:
    """Such an annotation is not of an unknown category: nobody can tell which of two it is of."""
    document = make_document([make_image("1")], [make_annotation("x", "1", category=5)])
    document = document.with_parts(categories=[{"id": 5, "name": "fox"}, {"id": 5, "name": "rat"}])
    change = combine([document], ["a"], prefix=BOTH)
    assert reasons(change.rejects) == [("x", "category_clash")]
    assert change.document.categories == []


def test_files_are_combined_alike_each_time(tmp_path: Path) -> None:
    """Twice the same files give twice the same bytes; data sets are named by the files."""
    for document, name in zip(two(), ("animl_clean_cct.json", "lila_cct.json"), strict=True):
        document.write(tmp_path / name)
    paths = (tmp_path / "animl_clean_cct.json", tmp_path / "lila_cct.json")
    for name in ("x.json", "y.json"):
        done = combine_files(CctCombineConfig(paths=paths, output=tmp_path / name))
        assert "2 images read = 2 kept + 0 left out" in done.text()
    assert (tmp_path / "x.json").read_bytes() == (tmp_path / "y.json").read_bytes()
    datasets = {image["dataset"] for image in json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))["images"]}
    assert datasets == {"animl", "lila"}


@pytest.mark.parametrize(
    ("name", "dataset"), [("animl_clean_cct.json", "animl"), ("a.json", "a"), ("cct.json", "cct"), ("x-cct.json", "x")]
)
def test_data_set_is_named_by_its_file(name: str, dataset: str) -> None:
    """`_clean` and `_cct` are no part of a data set's name."""
    assert dataset_name(Path(name)) == dataset


def test_two_files_of_one_name_need_names(tmp_path: Path) -> None:
    """Files of one name in two folders are no two data sets until they are named."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        make_document([make_image("1")], []).write(tmp_path / folder / "x.json")
    paths = (tmp_path / "a/x.json", tmp_path / "b/x.json")
    with pytest.raises(SettingError, match="--names"):
        combine_files(CctCombineConfig(paths=paths, output=tmp_path / "o.json"))


def test_combined_files_can_be_combined_again() -> None:
    """Images that name their data set already keep it."""
    once = combine(two(), ["a", "b"], prefix=BOTH).document
    again = combine([once], ["c"], prefix=BOTH).document
    assert [image["dataset"] for image in again.images] == ["a", "b"]
    assert ids(again.images) == ["c_a_1", "c_b_1"]


@pytest.mark.parametrize("nowhere", [None, "unknown_location"])
def test_a_missing_location_is_not_one_of_each_data_set(nowhere: str | None) -> None:
    """Two documents with one located and one other image each have two locations together."""
    parts = [make_document([make_image(f"{key}1", "hill"), make_image(f"{key}2", nowhere)], []) for key in "ab"]
    whole = combine(parts, ["a", "b"], prefix=BOTH).document
    assert "2 locations (2 images without a location)" in summary(whole)
    assert [image.get("location") for image in whole.images] == ["a_hill", nowhere, "b_hill", nowhere]
