"""Fewer annotations: samples and lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.cct.sampling import drop, drop_from_file, subsample
from camtrap_tf.config.cct import CctDropConfig, CctSubsampleConfig
from camtrap_tf.errors import SettingError, SourceError
from camtrap_tf.sources.cct_document import CctDocument
from tests.unit.cct.documents import ids, make_annotation, make_document, make_image, reasons


def document(count: int = 40) -> CctDocument:
    """Returns foxes at a and b, one per image, and one rat at a."""
    images = [make_image(str(number), "a" if number % 4 else "b") for number in range(count)]
    return make_document(images, [*(make_annotation(f"f{n}", str(n)) for n in range(count)), make_annotation("r", "1", 7)])


def sampled(whole: CctDocument, **options: Any) -> CctDocument:
    """Returns a sample of a document."""
    return subsample(whole, CctSubsampleConfig(path=Path("x"), output=Path("y"), **options)).document


def test_sample_is_per_category_and_location() -> None:
    """At most five of each category at each location stay: 5 foxes at a, 5 at b, the rat; images without any go."""
    done = sampled(document(), count=5)
    by_id = document().images_by_id()
    foxes = [by_id[one["image_id"]]["location"] for one in done.annotations if one["category_id"] == 3]
    assert (foxes.count("a"), foxes.count("b")) == (5, 5)
    assert "r" in ids(done.annotations)
    assert {image["id"] for image in done.images} == {one["image_id"] for one in done.annotations}


def test_only_what_is_chosen_is_sampled() -> None:
    """With a category and a location, the rest stays as it is."""
    done = sampled(document(), count=2, categories=("fox",), locations=("a",))
    assert len(done.annotations) == 10 + 2 + 1


def test_sample_depends_on_seed_and_ids_alone() -> None:
    """The order of the file does not matter, another seed chooses otherwise."""
    whole = document()
    turned = whole.with_parts(annotations=whole.annotations[::-1])
    first = set(ids(sampled(whole, count=5).annotations))
    assert set(ids(sampled(turned, count=5).annotations)) == first
    assert set(ids(sampled(whole, count=5, seed=1).annotations)) != first


def test_unknown_names_are_refused() -> None:
    """A category that is not there would sample nothing; it is an error."""
    with pytest.raises(SettingError, match="no such category; did you mean 'fox'"):
        sampled(document(), count=1, categories=("foxx",))
    with pytest.raises(SettingError, match=r"no such location; choose from: a, b$"):
        sampled(document(), count=1, locations=("nowhere",))


def dropped(**options: Any) -> Any:
    """Returns what dropping makes of a small document."""
    whole = make_document(
        [make_image("i", "a"), make_image("j", "b")],
        [make_annotation("1", "i"), make_annotation("2", "i", 7), make_annotation("3", "j")],
    )
    return drop(whole, CctDropConfig(path=Path("x"), output=Path("y"), **options))


def test_drop_by_each_list() -> None:
    """Annotations, images, locations and categories are left out by name, with reasons that add up."""
    assert ids(dropped(annotation_ids=("2", "9")).document.annotations) == ["1", "3"]
    assert "1 of 2 listed ids are no annotation of this file" in dropped(annotation_ids=("2", "9")).notes
    assert reasons(dropped(image_ids=("i",)).rejects) == [("i.jpg", "listed"), ("1", "image_dropped"), ("2", "image_dropped")]
    assert ids(dropped(locations=("b",)).document.images) == ["i"]
    done = dropped(categories=("fox",))
    assert [one["name"] for one in done.document.categories] == ["empty", "rat"]
    assert ids(done.document.images) == ["i"]


def test_drop_by_file(tmp_path: Path) -> None:
    """A list of ids is one a line, with comments; one that is not there is an error."""
    make_document([make_image("i")], [make_annotation("1", "i"), make_annotation("2", "i")]).write(tmp_path / "in.json")
    (tmp_path / "ids.txt").write_text("# bad boxes\n2  # too large\n\n", encoding="utf-8")
    config = CctDropConfig(path=tmp_path / "in.json", output=tmp_path / "o.json", ids_file=tmp_path / "ids.txt")
    drop_from_file(config)
    assert ids(CctDocument.read(tmp_path / "o.json").annotations) == ["1"]
    with pytest.raises(SourceError, match="cannot be read"):
        drop_from_file(config.model_copy(update={"ids_file": tmp_path / "none.txt"}))


def test_images_from_a_file(tmp_path: Path) -> None:
    """Images of a list go with their annotations; ids that are no image are counted in a note."""
    annotations = [make_annotation("1", "i"), make_annotation("2", "j"), make_annotation("3", "j")]
    make_document([make_image("i"), make_image("j")], annotations).write(tmp_path / "in.json")
    (tmp_path / "ids.txt").write_text("j\nk  # long gone\n", encoding="utf-8")
    config = CctDropConfig(path=tmp_path / "in.json", output=tmp_path / "o.json", image_ids_file=tmp_path / "ids.txt")
    assert "1 of 2 listed ids are no image of this file" in drop_from_file(config).text()
    assert ids(CctDocument.read(tmp_path / "o.json").annotations) == ["1"]
    with pytest.raises(SourceError, match=r"--image-ids-file .* cannot be read"):
        drop_from_file(config.model_copy(update={"image_ids_file": tmp_path / "none.txt"}))
