"""The category map, and ids and order of categories."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.cct.categories import (
    apply_category_map,
    category_map,
    change_categories,
    ordered,
    pruned,
    read_category_map,
    renumbered,
    write_category_map,
)
from camtrap_tf.config.cct import CctCategoriesConfig, CctCategoryMapConfig
from camtrap_tf.errors import SettingError, SourceError
from camtrap_tf.sources.cct_document import CctDocument
from tests.unit.cct.documents import make_annotation, make_document, make_image, reasons


def document() -> CctDocument:
    """Returns two images with a fox and a rat on the first and a fox on the second."""
    annotations = [make_annotation("1", "i", 3), make_annotation("2", "i", 7), make_annotation("3", "j", 3)]
    return make_document([make_image("i"), make_image("j")], annotations)


def edited(**changes: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the map of the document with some entries changed."""
    return [{**entry, **changes.get(entry["name"], {})} for entry in category_map(document())]


def test_map_keeps_what_occurs() -> None:
    """Categories with annotations are kept, others not; nothing is converted."""
    assert [(one["name"], one["keep"], one["convert_to"]) for one in category_map(document())] == [
        ("empty", False, None),
        ("fox", True, None),
        ("rat", True, None),
    ]


def test_converting_into_a_new_category_takes_a_free_id() -> None:
    """A target that does not exist is appended above all ids, where the number of categories would clash with fox."""
    change = apply_category_map(document(), edited(rat={"convert_to": "rodent"}))
    assert change.document.category_names() == {"3": "fox", "8": "rodent"}
    assert [one["category_id"] for one in change.document.annotations] == [3, 8, 3]
    assert "converted rat:rodent: 1 annotation" in change.notes


def test_what_is_not_kept_goes_with_the_images_it_leaves_bare() -> None:
    """Annotations of a category that is not kept are listed, and an image that keeps none, too."""
    change = apply_category_map(document(), edited(fox={"keep": False}))
    assert [(one.unit, one.id, one.reason) for one in change.rejects] == [
        ("annotation", "i", "dont_keep"),
        ("annotation", "j", "dont_keep"),
        ("image", "j", "no_annotation_left"),
    ]
    assert [one["name"] for one in change.document.categories] == ["rat"]


def write_map(path: Path, entries: Any) -> Path:
    """Writes a map."""
    path.write_text(json.dumps({"categories": entries}), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("entries", "error", "said"),
    [
        (edited()[:2], SettingError, "are not the 3 of the file"),
        (edited(rat={"convert_to": "fox"}, fox={"convert_to": "dog"}), SettingError, "itself converted to 'dog'"),
        (edited(rat={"convert_to": "empty"}), SettingError, "which is not kept"),
        (edited(rat={"keep": "true"}), SourceError, "write true or false without quotes"),
        (edited(rat={"convert": "x"}), SourceError, "did you mean 'convert_to'"),
        (edited(rat={"convert_to": 3}), SourceError, "write a category's name"),
        ("x", SourceError, "not a category map"),
    ],
)
def test_map_that_does_not_fit_says_why(entries: Any, error: type[Exception], said: str, tmp_path: Path) -> None:
    """Maps of other files, chains, targets that are not kept and wrong kinds end in one sentence."""
    with pytest.raises(error, match=said):
        read_category_map(write_map(tmp_path / "m.json", entries), document())


def test_names_that_are_no_texts_are_left_alone(tmp_path: Path) -> None:
    """A category whose name is a list cannot be converted to, and does not stop the others."""
    odd = document().with_parts(categories=[*document().categories, {"id": 9, "name": ["x"]}])
    entries = read_category_map(write_map(tmp_path / "m.json", category_map(odd)), odd)
    assert len(apply_category_map(odd, entries).document.annotations) == 3


def test_commands_write_map_and_file(tmp_path: Path) -> None:
    """The map that is written, unedited, keeps every annotation and drops the categories that never occur."""
    document().write(tmp_path / "in.json")
    write_category_map(CctCategoryMapConfig(path=tmp_path / "in.json", output=tmp_path / "m.json"))
    config = CctCategoriesConfig(path=tmp_path / "in.json", output=tmp_path / "o.json", category_map=tmp_path / "m.json")
    done = change_categories(config)
    assert "3 annotations read = 3 kept" in done.text()
    assert CctDocument.read(tmp_path / "o.json").category_names() == {"3": "fox", "7": "rat"}


def test_order_and_numbers_depend_on_names_alone() -> None:
    """By name, empty first, numbered from 0; annotations follow; without an empty category 0 stays free."""
    shuffled = make_document([make_image("i")], [make_annotation("1", "i", 9)], {9: "rat", 4: "Empty", 5: "ape"})
    done = ordered(shuffled, by="name", renumber=True)
    assert done.category_names() == {"0": "Empty", "1": "ape", "2": "rat"}
    assert done.annotations[0]["category_id"] == 2
    assert ordered(make_document([], [], {5: "b", 2: "a"}), by="id", renumber=True).category_names() == {"1": "a", "2": "b"}


def test_ids_of_another_file_by_name() -> None:
    """A second export of a project gets the first one's ids; new names come after all of those."""
    second = make_document(
        [make_image("i")], [make_annotation("1", "i", 1), make_annotation("2", "i", 2)], {1: "RAT", 2: "owl"}
    )
    done = renumbered(second, like=document().categories)
    assert done.category_names() == {"0": "empty", "3": "fox", "7": "rat", "8": "owl"}
    assert [one["category_id"] for one in done.annotations] == [7, 8]


@pytest.mark.parametrize("how", ["renumber", "like"])
def test_ids_of_several_names_are_not_renumbered(how: str, tmp_path: Path) -> None:
    """What they stand for is left out with a reason of its own, instead of becoming the first of the names."""
    document().write(tmp_path / "other.json")
    annotations = [make_annotation("1", "i", 5), make_annotation("2", "i", 3), make_annotation("3", "j", 5)]
    categories = [{"id": 5, "name": "fox"}, {"id": 5, "name": "rat"}, {"id": 3, "name": "owl"}]
    odd = make_document([make_image("i"), make_image("j")], annotations).with_parts(categories=categories)
    odd.write(tmp_path / "in.json")
    setting = {"renumber": True} if how == "renumber" else {"like": tmp_path / "other.json"}
    done = change_categories(CctCategoriesConfig(path=tmp_path / "in.json", output=tmp_path / "out.json", **setting))
    assert reasons(done.change.rejects) == [("1", "category_clash"), ("3", "category_clash"), ("j.jpg", "no_annotation_left")]
    (left,) = done.change.document.annotations
    assert done.change.document.category_names()[str(left["category_id"])] == "owl"
    assert "stand for several names, left out: 5" in done.text()


@pytest.mark.parametrize("renumber", [False, True])
def test_what_a_map_leaves_out_is_listed_whatever_comes_after_it(renumber: bool, tmp_path: Path) -> None:
    """In = out + rejected, with and without new numbers."""
    document().write(tmp_path / "in.json")
    write_map(tmp_path / "m.json", edited(fox={"keep": False}))
    paths = {"path": tmp_path / "in.json", "output": tmp_path / "out.json", "category_map": tmp_path / "m.json"}
    done = change_categories(CctCategoriesConfig(**paths, renumber=renumber))
    assert reasons(done.change.rejects) == [("1", "dont_keep"), ("3", "dont_keep"), ("j.jpg", "no_annotation_left")]


def test_pruned_keeps_what_is_used() -> None:
    """Categories without annotation go."""
    assert pruned(document()).category_names() == {"3": "fox", "7": "rat"}
