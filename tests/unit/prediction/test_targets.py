"""Coarser classes in the place of a model's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from camtrap_tf.errors import LabelError, SourceError
from camtrap_tf.prediction.split_tables import SplitAnswers
from camtrap_tf.prediction.targets import read_targets

CLASSES = ("cat", "owl", "dog", "crow")


def write(folder: Path, mapping: object, index: Sequence[str] | None = None) -> tuple[Path, Path | None]:
    """Writes a mapping, and the order of its targets where one is given."""
    (folder / "map.json").write_text(json.dumps(mapping), encoding="utf-8")
    if index is None:
        return folder / "map.json", None
    (folder / "index.json").write_text(json.dumps(dict(enumerate(index))), encoding="utf-8")
    return folder / "map.json", folder / "index.json"


@pytest.mark.parametrize(
    ("mapping", "index", "names", "members"),
    [
        ({"mammal": ["dog", "cat"], "bird": ["owl", "crow"]}, None, ("bird", "mammal"), ((1, 3), (2, 0))),
        ({"bird": ["owl"]}, None, ("bird", "other"), ((1,), (0, 2, 3))),
        ({"other": ["owl"], "a": ["cat"]}, ["other", "a"], ("other", "a"), ((1, 2, 3), (0,))),
        ({"all": list(CLASSES), "none": []}, ["none", "all"], ("none", "all"), ((), (0, 1, 2, 3))),
    ],
)
def test_members(
    tmp_path: Path, mapping: Mapping[str, list[str]], index: list[str] | None, names: tuple[str, ...], members: object
) -> None:
    """Targets stand by name or as the index says; classes that none names are in `other`."""
    columns = read_targets(*write(tmp_path, mapping, index)).over(CLASSES)
    assert (columns.names, columns.members) == (names, members)


def test_sums_and_truths(tmp_path: Path) -> None:
    """A target has the sum of its classes; a true class is its target, or the target that it names itself."""
    columns = read_targets(*write(tmp_path, {"bird": ["owl", "crow"], "cat": ["cat"]})).over(CLASSES)
    assert np.allclose(columns.summed(np.array([0.1, 0.2, 0.3, 0.4])), [0.6, 0.1, 0.3])
    assert [columns.truth(name) for name in ("owl", "bird", "dog", "newt", "")] == ["bird", "bird", "other", "other", None]


def test_splits_get_the_same_probabilities(tmp_path: Path) -> None:
    """Logits of targets give the sums of the probabilities that the logits of the classes give."""
    logits = np.array([[2.0, -1.0, 0.5, 0.0], [0.0, 3.0, 1.0, -2.0]])
    answers = SplitAnswers(
        split="val", names=CLASSES, ids=("1", "2"), paths=("1", "2"), files=("1", "2"), stated=("crow", ""),
        targets=np.array([3, -1]), logits=logits,
    )  # fmt: skip
    targets = read_targets(*write(tmp_path, {"bird": ["owl", "crow"]}))
    found, columns = targets.applied(answers), targets.over(CLASSES)
    assert np.allclose(*found.scores(), [columns.summed(row) for piece in answers.scores() for row in piece], atol=1e-6)
    assert found.targets.tolist() == [0, -1]


@pytest.mark.parametrize(
    ("mapping", "index", "message"),
    [
        ({"a": ["cat"], "b": ["cat"]}, None, "'cat' is in 'a' and in 'b'; keep one"),
        ({"a": ["cat", "cat"]}, None, "'cat' is twice in 'a'; keep one"),
        ({"a": ["cot"]}, None, "'a' has 'cot', no class of the model; did you mean 'cat'"),
        ({"a": ["cat"]}, ["b"], "'a' is in one only"),
        (["cat"], None, "not a target mapping"),
        ({"a": "cat"}, None, "not a target mapping"),
    ],
)
def test_mappings_that_cannot_be(tmp_path: Path, mapping: object, index: list[str] | None, message: str) -> None:
    """A class that is there twice or not at all is named, and so is a file that is no mapping."""
    with pytest.raises((LabelError, SourceError), match=message):
        read_targets(*write(tmp_path, mapping, index)).over(CLASSES)
