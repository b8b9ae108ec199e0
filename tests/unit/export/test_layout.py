"""Folders of versions and names of outputs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from camtrap_tf.errors import ModelError
from camtrap_tf.export.layout import (
    ASSETS,
    EXPORT_JSON,
    Export,
    OutputNames,
    export_facts,
    find_version,
    output_names,
    versions,
)
from camtrap_tf.files import write_json
from camtrap_tf.images.stored_form import StoredForm
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.labels import LabelMapping


def test_outputs_are_called_like_their_labels() -> None:
    """Names that TensorFlow and its REST API can carry stay as they are, other alphabets included."""
    assert output_names(["species", "is blank", "größe", "label/x"]) == {
        label: OutputNames(label, f"{label}_classes") for label in ("species", "is blank", "größe", "label/x")
    }


@pytest.mark.parametrize(
    ("label", "name"), [("a\nb", "a_b"), ("", "label"), (" ", "label"), ("size_bytes", "size_bytes_"), ("\0", "_")]
)
def test_names_that_cannot_be_carried_are_changed(label: str, name: str) -> None:
    """Unprintable characters, empty names and the suffix that REST encodes are replaced."""
    assert output_names([label])[label].scores == name


@pytest.mark.parametrize(
    "labels", [["species", "species_classes"], ["species_classes", "species"], ["", "label"], ["a\n", "a_", "a\t"]]
)
def test_no_two_outputs_share_a_name(labels: list[str]) -> None:
    """Labels whose outputs would collide get different names."""
    names = [name for pair in output_names(labels).values() for name in (pair.scores, pair.classes)]
    assert len(set(names)) == 2 * len(labels)
    assert not any(name.endswith("_bytes") for name in names)


def make_version(folder: Path, number: str) -> Path:
    """Makes a folder that looks like a SavedModel."""
    version = folder / number
    version.mkdir(parents=True)
    (version / "saved_model.pb").write_bytes(b"")
    return version


def test_the_highest_complete_version_is_found(tmp_path: Path) -> None:
    """Versions are numbers, not texts; unfinished folders, odd names and files do not count."""
    for number in ("2", "9", "10", "x11", "012"):
        make_version(tmp_path, number)
    (tmp_path / "11").mkdir()
    (tmp_path / "12").write_bytes(b"")
    assert versions(tmp_path) == [2, 9, 10, 11]
    assert find_version(tmp_path) == tmp_path / "10"
    assert find_version(tmp_path / "9") == tmp_path / "9"


def test_a_folder_without_an_export_says_how_to_make_one(tmp_path: Path) -> None:
    """Nothing there, an empty folder, and a bundle are told apart."""
    with pytest.raises(ModelError, match=r"no such folder.*camtrap export"):
        find_version(tmp_path / "absent")
    with pytest.raises(ModelError, match="neither a SavedModel"):
        find_version(tmp_path)
    (tmp_path / "bundle.json").write_text("{}")
    with pytest.raises(ModelError, match="this is a bundle, not an export of it; make an export first"):
        find_version(tmp_path)


def write_assets(version: Path) -> None:
    """Writes what an export says of itself."""
    assets = version / ASSETS
    assets.mkdir(parents=True)
    LabelMapping({"species": {"b": 1, "a": 0, "bee": 1}}).write(assets / "label_mappings.json")
    Preprocessing(output_height=32, output_width=32, stored_form=StoredForm(side_smallest_px=99)).write(assets)
    write_json(assets / EXPORT_JSON, export_facts(outputs=output_names(["species"]), input_name="image", model_sha256="ab"))


def test_an_export_describes_itself(tmp_path: Path) -> None:
    """Model name, version, canonical class names by index and preprocessing come from the folder alone."""
    version = make_version(tmp_path / "savanna", "3")
    write_assets(version)
    export = Export.read(version)
    assert (export.name, export.version, export.model_sha256) == ("savanna", "3", "ab")
    assert export.classes == {"species": ("a", "b")}
    assert export.preprocessing.stored_form == StoredForm(side_smallest_px=99)


def test_a_saved_model_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """A SavedModel without our description cannot be served."""
    with pytest.raises(ModelError, match="only exports of `camtrap export`"):
        Export.read(make_version(tmp_path, "1"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, "format 2 .* export the bundle again"),
        ({"kind": "bundle"}, "of a 'bundle'"),
        ({"outputs": {"count": {"scores": "count", "classes": "c"}}}, "damaged .*count"),
        ({"outputs": [1]}, "damaged"),
        ({"outputs": {"species": {"scores": "species"}}}, "damaged"),
    ],
)
def test_incompatible_descriptions_are_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    """Another format, another kind of artefact, or a table that does not fit the mapping: one line with what to do."""
    version = make_version(tmp_path, "1")
    write_assets(version)
    file = version / ASSETS / EXPORT_JSON
    write_json(file, {**json.loads(file.read_text()), **change})
    with pytest.raises(ModelError, match=message):
        Export.read(version)


def test_a_list_for_a_description_is_refused(tmp_path: Path) -> None:
    """JSON of another form is damaged assets, not a crash."""
    version = make_version(tmp_path, "1")
    write_assets(version)
    (version / ASSETS / EXPORT_JSON).write_text("[]")
    with pytest.raises(ModelError, match="damaged"):
        Export.read(version)
