"""Names of crops: one function makes them, older spellings are accepted."""

from __future__ import annotations

from typing import Any

import pytest

from camtrap_tf.detections.crop_names import accepted_names, crop_name, detector_version

NAMES: list[tuple[str, dict[str, Any]]] = [
    ("a/b.jpg___crop_x1.jpg", {"annotation_id": "x1"}),
    ("a/b.jpg___crop00.jpg", {"place": 0}),
    ("a/b.jpg___crop07_md_v5b.0.0.pt.jpg", {"place": 7, "detector": "md_v5b.0.0.pt"}),
    ("a/b.jpg___crop123_mdv4.1.jpg", {"place": 123, "detector": "mdv4.1"}),
]


@pytest.mark.parametrize(("name", "parts"), NAMES)
def test_name_is_made_of_its_parts(name: str, parts: dict[str, Any]) -> None:
    """Each kind of crop has its own kind of name."""
    assert crop_name("a/b.jpg", **parts) == name


def test_ids_cannot_leave_the_folder() -> None:
    """Slashes and other signs that file systems refuse become hyphens, in our names; the older name is read too."""
    assert crop_name("b.jpg", annotation_id="../x:1") == "b.jpg___crop_..-x-1.jpg"
    assert accepted_names("b.jpg", annotation_id="x:1") == ("b.jpg___crop_x-1.jpg", "b.jpg___crop_x:1.jpg")


def test_names_by_detector_are_accepted_in_all_spellings() -> None:
    """The detector as it calls itself, by its version, or not at all."""
    assert accepted_names("b.jpg", place=1, detector="md_v5b.0.0.pt") == (
        "b.jpg___crop01_md_v5b.0.0.pt.jpg",
        "b.jpg___crop01_mdv5b.jpg",
        "b.jpg___crop01.jpg",
    )


@pytest.mark.parametrize(
    ("detector", "version"), [("md_v5b.0.0.pt", "5b"), ("v4.1", "4.1"), ("MDv5.0b", "5.0b"), ("cct_to_md", None)]
)
def test_version_of_a_detector(detector: str, version: str | None) -> None:
    """The version is found in the names that detectors have had."""
    assert detector_version(detector) == version


@pytest.mark.parametrize("parts", [{}, {"annotation_id": "1", "place": 1}, {"annotation_id": "1", "detector": "x"}])
def test_name_needs_one_of_annotation_and_place(parts: dict[str, Any]) -> None:
    """A crop is of an annotation or of a place, and only places have detectors."""
    with pytest.raises(ValueError, match="a crop is named by"):
        crop_name("a.jpg", **parts)
