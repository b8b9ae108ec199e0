"""Records check themselves."""

from __future__ import annotations

import math
import pickle
from typing import Any

import pytest

from camtrap_tf.records import REJECT_COLUMNS, BoundingBox, CaptureEvent, Media, Observation, Reject
from tests.factories import make_event


@pytest.mark.parametrize(
    "box", [(0, 0, 0, 1), (0, 0, 1, -1), (-0.1, 0, 1, 1), (0, 1.1, 1, 1), (0, 0, 1, 2), (math.nan, 0, 1, 1)]
)
def test_boxes_lie_in_the_picture(box: tuple[float, float, float, float]) -> None:
    """Empty boxes and coordinates outside [0, 1] are refused."""
    with pytest.raises(ValueError, match="box"):
        BoundingBox(*box)


@pytest.mark.parametrize("path", ["", None, 3])
def test_a_picture_needs_a_path(path: Any) -> None:
    """An empty path, or none, is refused."""
    with pytest.raises(ValueError, match="path"):
        Media(path=path)


@pytest.mark.parametrize("labels", [{"s": 1}, {"s": ""}, {"": "x"}, {1: "x"}, {"s": None}])
def test_labels_are_texts(labels: Any) -> None:
    """Numbers and empty texts are refused."""
    with pytest.raises(ValueError, match="not a pair of texts"):
        Observation(labels=labels)


@pytest.mark.parametrize("change", [{"event_id": ""}, {"media": ()}, {"observations": ()}])
def test_an_event_is_complete(change: dict[str, Any]) -> None:
    """An id, a picture and an observation are needed."""
    parts: dict[str, Any] = {"event_id": "1", "media": (Media(path="a"),), "observations": (Observation(labels={}),)}
    CaptureEvent(**parts)
    with pytest.raises(ValueError, match="record"):
        CaptureEvent(**{**parts, **change})


def test_records_cannot_be_changed() -> None:
    """Neither attributes nor the mappings in them, nor the mapping they were made of."""
    labels = {"species": "zebra"}
    event = make_event(labels=labels, place="hill")
    labels["species"] = "lion"
    assert event.label("species") == "zebra"
    with pytest.raises(AttributeError):
        event.event_id = "2"  # type: ignore[misc]  # that it is refused is the test
    with pytest.raises(TypeError):
        event.meta_data["place"] = "lake"  # type: ignore[index]  # that it is refused is the test
    with pytest.raises(TypeError):
        event.observations[0].labels["species"] = "lion"  # type: ignore[index]  # that it is refused is the test


def test_records_travel_between_processes() -> None:
    """Pickled and read back they are equal."""
    event = make_event(labels=[{"s": "a"}, {"s": "b"}], pictures=("x", "y"), place="hill")
    assert pickle.loads(pickle.dumps(event)) == event


def test_the_first_observation_is_the_one_that_counts() -> None:
    """A missing label is None, whether it is absent or "-1"."""
    event = make_event(labels=[{"s": "a", "t": "-1"}, {"s": "b", "t": "c"}])
    assert [event.label(label) for label in ("s", "t", "u")] == ["a", None, None]


def test_a_reject_is_a_row() -> None:
    """Values come in the order of the columns."""
    reject = Reject(id="1", item="a.jpg", unit="picture", reason="truncated", detail="ends early")
    assert reject.row() == tuple(getattr(reject, column) for column in REJECT_COLUMNS)
