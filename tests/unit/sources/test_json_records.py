"""JSON inventories, good and bad."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.errors import SourceError
from camtrap_tf.records import BoundingBox, CaptureEvent, Reject
from camtrap_tf.sources.json_records import JsonSource, parse_record

GOOD: dict[str, Any] = {"labels": [{"species": "cat"}], "images": ["a.jpg"], "meta_data": {"place": "hill"}}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"labels": None}, "bad_labels"),
        ({"labels": []}, "bad_labels"),
        ({"labels": {"species": "cat"}}, "bad_labels"),
        ({"labels": ["cat"]}, "bad_labels"),
        ({"labels": [{"species": 12}]}, "bad_labels"),
        ({"labels": [{"species": True}]}, "bad_labels"),
        ({"labels": [{"species": None}]}, "bad_labels"),
        ({"labels": [{"species": ""}]}, "bad_labels"),
        ({"labels": [{"species": ["cat", "dog"]}]}, "bad_labels"),
        ({"labels": [{"species": []}]}, "bad_labels"),
        ({"labels": [{"": "cat"}]}, "bad_labels"),
        ({"labels": [{"species": "cat"}, {"species": 1}]}, "bad_labels"),
        ({"images": None}, "bad_images"),
        ({"images": "a.jpg"}, "bad_images"),
        ({"images": [1]}, "bad_images"),
        ({"images": []}, "no_picture"),
        ({"images": [""]}, "no_picture"),
        ({"images": ["", ""]}, "no_picture"),
        ({"meta_data": "hill"}, "bad_meta_data"),
        ({"meta_data": None}, "bad_meta_data"),
        ({"meta_data": {"place": 3}}, "bad_meta_data"),
        ({"meta_data": {"": "x"}}, "bad_meta_data"),
        ({"event": "x"}, "bad_event"),
        ({"event": {"weather": "x"}}, "bad_event"),
        ({"event": {"media": [{}, {}]}}, "bad_event"),
        ({"event": {"media": [{"timestamp": 5}]}}, "bad_event"),
        ({"event": {"media": [{"colour": "x"}]}}, "bad_event"),
        ({"event": {"observations": [{"media_id": 1}]}}, "bad_event"),
        ({"event": {"observations": [{"box": [0, 0, 1]}]}}, "bad_event"),
        ({"event": {"observations": [{"box": [0, 0, 0, 1]}]}}, "bad_event"),
        ({"event": {"observations": [{"box": [0, 0, "1", 1]}]}}, "bad_event"),
        ({"event": {"observations": [{"box": [0, 0, float("nan"), 1]}]}}, "bad_event"),
    ],
)
def test_what_is_no_record_is_rejected(change: dict[str, Any], reason: str) -> None:
    """Each way to be wrong has its reason."""
    found = parse_record("1", {**GOOD, **change}, item="entry 1")
    assert isinstance(found, Reject)
    assert found.reason == reason
    assert found.detail


@pytest.mark.parametrize("key", ["labels", "images"])
def test_required_keys(key: str) -> None:
    """A record without labels or images is rejected; without meta data it is fine."""
    assert isinstance(parse_record("1", {k: v for k, v in GOOD.items() if k != key}, item=""), Reject)
    assert isinstance(parse_record("1", {k: v for k, v in GOOD.items() if k != "meta_data"}, item=""), CaptureEvent)


@pytest.mark.parametrize("value", [[], "text", 3, None, True])
def test_values_that_are_no_objects(value: Any) -> None:
    """Anything but an object is no record."""
    found = parse_record("1", value, item="")
    assert isinstance(found, Reject)
    assert found.reason == "not_an_object"


def test_an_empty_id_is_none() -> None:
    """The empty text cannot name a record."""
    found = parse_record("", GOOD, item="entry 4")
    assert isinstance(found, Reject)
    assert (found.reason, found.item) == ("no_id", "entry 4")


def test_the_older_form_is_understood() -> None:
    """Classes as lists of one text."""
    found = parse_record("1", {"labels": [{"species": ["cat"], "count": "1"}], "images": ["a"]}, item="")
    assert isinstance(found, CaptureEvent)
    assert found.observations[0].labels == {"species": "cat", "count": "1"}


def test_empty_paths_go_with_their_facts() -> None:
    """An empty path among others is left out, and facts stay with their pictures."""
    media = [{"timestamp": "t0"}, {"timestamp": "t1"}]
    value = {**GOOD, "images": ["", "b"], "event": {"media": media, "observations": [{"box": [0, 0.5, 1, 0.5]}]}}
    found = parse_record("1", value, item="")
    assert isinstance(found, CaptureEvent)
    assert [(one.path, one.timestamp) for one in found.media] == [("b", "t1")]
    assert found.observations[0].box == BoundingBox(0, 0.5, 1, 0.5)


def entries(tmp_path: Path, text: str | bytes) -> list[CaptureEvent | Reject]:
    """Returns what a JSON file gives."""
    (tmp_path / "i.json").write_bytes(text.encode() if isinstance(text, str) else text)
    return list(JsonSource(tmp_path / "i.json").records())


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_records_come_in_the_order_of_the_file(tmp_path: Path, indent: int | None, ascii_only: bool) -> None:
    """However it is laid out, the file reads as `json` reads it."""
    value = {f"é {i} 🦊": {**GOOD, "images": [f"{i}.jpg"]} for i in range(5)}
    found = entries(tmp_path, "\ufeff \n" + json.dumps(value, indent=indent, ensure_ascii=ascii_only) + "\n ")
    assert [(one.event_id, one.media[0].path) for one in found if isinstance(one, CaptureEvent)] == [
        (key, one["images"][0]) for key, one in value.items()
    ]


def test_an_id_given_twice_is_rejected_once(tmp_path: Path) -> None:
    """The first record of an id is kept, the second listed."""
    good = json.dumps(GOOD)
    first, second = entries(tmp_path, f'{{"1": {good}, "1": {good}}}')
    assert isinstance(first, CaptureEvent)
    assert isinstance(second, Reject)
    assert (second.item, second.reason) == ("entry 2", "repeated_id")


def test_half_a_surrogate_is_rejected(tmp_path: Path) -> None:
    """An escaped half of a character cannot be written again; a whole pair can."""
    text = json.dumps({"\ud83e": GOOD, "🦊": GOOD, "x": {**GOOD, "images": ["\udc00"]}})
    found = entries(tmp_path, text)
    assert [one.reason if isinstance(one, Reject) else one.event_id for one in found] == ["not_unicode", "🦊", "not_unicode"]
    assert all("\ud83e" not in one.id for one in found if isinstance(one, Reject))


def test_unknown_keys_are_told(tmp_path: Path) -> None:
    """Keys that inventories do not have are left out, with a note."""
    (tmp_path / "i.json").write_text(json.dumps({"1": {**GOOD, "weather": "sun"}, "2": GOOD}))
    source = JsonSource(tmp_path / "i.json")
    assert [one.event_id for one in source.records() if isinstance(one, CaptureEvent)] == ["1", "2"]
    assert source.notes == ["key 'weather' of 1 records is not one that inventories have; left out"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"1": ',
        '{"1": {}',
        '{"1": {},}',
        '{"1" {}}',
        "{1: {}}",
        "{} x",
        '{"1": {}} {}',
        '{"1": ' + "[" * 100_000,
        '{"1": ' + "9" * 5000 + "}",
        b"\xff\xfe",
        b'{"\xe4": {}}',
    ],
    ids=lambda text: repr(text[:14]),
)
def test_files_that_are_no_inventory(tmp_path: Path, text: str | bytes) -> None:
    """Broken, cut off, too deep, too long or wrongly encoded: one line that names the file."""
    with pytest.raises(SourceError, match=r"i\.json"):
        entries(tmp_path, text)


def test_absent_files(tmp_path: Path) -> None:
    """A path that is not there, or is a folder, gives one line."""
    with pytest.raises(SourceError, match="no such inventory"):
        list(JsonSource(tmp_path / "none.json").records())
    with pytest.raises(SourceError, match="is a folder, no inventory"):
        list(JsonSource(tmp_path).records())
