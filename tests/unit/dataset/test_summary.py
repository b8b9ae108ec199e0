"""Texts about datasets."""

from __future__ import annotations

from camtrap_tf.dataset.summary import class_text, form_text
from camtrap_tf.images.stored_form import StoredForm


def test_class_text_shows_the_most_frequent_classes_first() -> None:
    """Counts fall, ties go by name, the rest is told by number, missing ones come last."""
    assert class_text({"a": 1, "c": 5, "b": 5}, 0) == "b (5), c (5), a (1)"
    assert (
        class_text({str(i): i for i in range(1, 10)}, 3) == "9 (9), 8 (8), 7 (7), 6 (6), 5 (5), 4 (4) … 9 classes, missing (3)"
    )
    assert class_text({}, 2) == "no class, missing (2)"


def test_form_text_names_every_limit() -> None:
    """Both limits are said, and what becomes of truncated pictures."""
    both = form_text(StoredForm(side_smallest_px=300, side_max_px=500, truncated="recover"))
    assert "smaller side at most 300 px and larger side at most 500 px" in both
    assert "recover" in both
    assert "full size" in form_text(StoredForm(side_smallest_px=None))
