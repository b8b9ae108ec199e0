"""The key `event` of records."""

from __future__ import annotations

import json

from camtrap_tf.records import BoundingBox, CaptureEvent, Media, Observation
from camtrap_tf.sources.event_facts import facts_text, media_with_facts, observations_with_facts
from tests.factories import make_event


def test_nothing_to_say_is_none() -> None:
    """A record of paths and labels alone has no further facts."""
    event = make_event(pictures=("a", "b"), labels=[{}, {}])
    assert facts_text(event.media, event.observations) is None


def test_facts_survive_json() -> None:
    """What is written as JSON gives the same pictures and observations."""
    event = CaptureEvent(
        event_id="1",
        media=(Media(path="a"), Media(path="b", media_id="m", timestamp="t", licence="l")),
        observations=(
            Observation(labels={"s": "x"}),
            Observation(labels={}, media_id="m", box=BoundingBox(0, 0.1, 0.7, 1 / 7)),
        ),
    )
    facts = json.loads(facts_text(event.media, event.observations) or "")
    assert media_with_facts(["a", "b"], facts) == event.media
    assert observations_with_facts([{"s": "x"}, {}], facts) == event.observations


def test_parts_are_independent() -> None:
    """Boxes without media facts, and the other way round."""
    plain, boxed = Observation(labels={"s": "x"}), Observation(labels={}, box=BoundingBox(0, 0, 1, 0.5))
    assert facts_text([Media(path="a")], [plain, boxed]) == '{"observations": [{}, {"box": [0.0, 0.0, 1.0, 0.5]}]}'
    assert facts_text([Media(path="a", timestamp="ü")], [plain]) == '{"media": [{"timestamp": "ü"}]}'
