"""What worker processes do."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from camtrap_tf.dataset.conversion import chunk_of, convert_chunk, read_picture
from camtrap_tf.dataset.schema import decode_example
from camtrap_tf.errors import PictureError
from camtrap_tf.images.stored_form import StoredForm
from camtrap_tf.labels import LabelMapping
from tests.factories import make_event, write_pictures

MAPPING = LabelMapping({"species": {f"s{i:04d}": i for i in range(5000)}, "count": {"1": 0}})


def test_a_chunk_carries_only_the_classes_it_needs() -> None:
    """Of a large mapping only what occurs travels to the workers, and numbers are those of the whole."""
    event = make_event("e", labels=[{"species": "s4999"}, {"species": "unknown"}])
    chunk = chunk_of([event], root=None, form=StoredForm(), mapping=MAPPING, label_types=("species", "count"))
    assert chunk.mapping.as_json() == {"species": {"s4999": 4999}, "count": {}}
    assert len(pickle.dumps(chunk)) < 2000


def test_records_are_converted_in_order(tmp_path: Path) -> None:
    """Framed records come back in order, with their counts; one without usable pictures has none."""
    write_pictures(tmp_path, ["a.jpg", "b.jpg"])
    events = [
        make_event("one", pictures=("a.jpg", "b.jpg"), labels={"species": "s0001"}),
        make_event("two", pictures=("gone.jpg",)),
        make_event("three", pictures=("gone.jpg", "b.jpg"), labels={"species": "-1"}),
    ]
    chunk = chunk_of(events, root=tmp_path, form=StoredForm(), mapping=MAPPING, label_types=("species",))
    one, two, three = convert_chunk(chunk)
    assert one.framed is not None
    assert three.framed is not None
    assert decode_example(one.framed[12:-4]).id == "one"
    assert decode_example(three.framed[12:-4]).image_index == (1,)
    assert [(r.images, r.pictures, r.classes) for r in (one, two, three)] == [
        (2, 2, ("s0001",)),
        (0, 1, ("zebra",)),
        (1, 2, (None,)),
    ]
    assert two.framed is None
    assert [(reject.unit, reject.reason) for reject in two.rejects] == [("picture", "missing_file"), ("record", "no_picture")]
    assert [reject.item for reject in three.rejects] == ["gone.jpg"]


@pytest.mark.parametrize(
    ("stored", "reason"), [("../a.jpg", "outside_root"), ("x/../../a.jpg", "outside_root"), ("a\0.jpg", "missing_file")]
)
def test_paths_stay_inside_the_root(tmp_path: Path, stored: str, reason: str) -> None:
    """A path that leads out of the root is refused, even where a picture lies there; a NUL does no harm."""
    write_pictures(tmp_path, ["a.jpg", "root/b.jpg"])
    with pytest.raises(PictureError) as caught:
        read_picture(tmp_path / "root", stored, StoredForm())
    assert caught.value.reason == reason
