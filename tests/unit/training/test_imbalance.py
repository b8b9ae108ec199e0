"""Weights of records and classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from camtrap_tf.errors import LabelError
from camtrap_tf.input_pipeline.shard_set import ShardSet
from camtrap_tf.labels import LabelMapping
from camtrap_tf.models.heads import SOFTMAX, HeadSpec
from camtrap_tf.training.imbalance import equal_weights, inverse_log_weights, make_sampling, record_groups, root_weights
from camtrap_tf.training.inputs import gather
from tests.unit.training.helpers import MAPPING, make_config, write_dataset

AABB = np.array([0, 0, 0, 0, 1, 1])


def test_golden_weights_of_records() -> None:
    """The worked example: with confidences, and with all of them 1."""
    found = equal_weights(AABB, np.array([1, 1, 0.5, 0.5, 1, 0.2]))
    np.testing.assert_allclose(found, [0.70, 0.70, 0.35, 0.35, 1.75, 0.35])
    np.testing.assert_allclose(equal_weights(AABB), [0.75] * 4 + [1.5] * 2)


def test_records_without_a_class_keep_weight_one() -> None:
    """They take no part in the sums of the others."""
    np.testing.assert_allclose(equal_weights(np.array([-1, *AABB, -1])), [1, *[0.75] * 4, *[1.5] * 2, 1])


def test_root_weights() -> None:
    """The sums of classes go by the roots of their sizes, and the mean weight is 1."""
    groups = np.repeat([0, 1, 2], [100, 25, 4])
    weights = root_weights(groups)
    np.testing.assert_allclose(np.bincount(groups, weights) / weights.sum(), np.array([10, 5, 2]) / 17)
    assert weights.mean() == pytest.approx(1)


def test_inverse_log_weights() -> None:
    """Classes weigh against each other as 1 / log2(1 + n); over all records the mean is 1; no record counts as one."""
    weights = np.array(inverse_log_weights([1023, 7, 0]))
    np.testing.assert_allclose(weights / weights[0], [1, 10 / 3, 10])
    assert (weights * [1023, 7, 0]).sum() / 1030 == pytest.approx(1)


def test_class_weights_are_on_the_right_classes(tmp_path: Path) -> None:
    """Weights follow the indices of the label mapping, not the order in which classes come in files."""
    from camtrap_tf.training.imbalance import set_up_balance

    mapping = LabelMapping({"species": {"zebra": 0, "lion": 1, "leo": 1, "frog": 2}, "is/there": {"no": 0, "yes": 1}})
    data = write_dataset(tmp_path / "data", mapping=mapping, classes=("zebra", "zebra", "zebra", "lion"))
    config = make_config(data, tmp_path, class_weights="inverse_log", labels=["species"])
    inputs = gather(config)
    assert not inputs.problems
    weights = set_up_balance(config, inputs)[1]["species"].class_weights
    assert weights == pytest.approx(inverse_log_weights([9, 3, 0]))


def test_groups_of_records(tmp_path: Path) -> None:
    """Records go by their class; in a sigmoid head by the rarest one that is there, or the group of nothing."""
    shards = ShardSet.open([write_dataset(tmp_path / "data")], ["train"])
    assert record_groups(shards, MAPPING, "species", SOFTMAX).tolist() == [0, 1] * 6
    assert record_groups(shards, MAPPING, "is/there", SOFTMAX).tolist() == [1, 0, -1, 0, 1, -1, 1, 0, -1, 0, 1, -1]
    without = MAPPING.without("species", ["zebra"])
    several = HeadSpec("sigmoid", blanks=("zebra",))
    assert record_groups(shards, without, "species", several).tolist() == [0, 1] * 6  # 1: nothing there
    assert record_groups(shards, without, "species", HeadSpec("sigmoid", blanks=("x",))).tolist() == [0, -1] * 6


def test_sampling_needs_a_class(tmp_path: Path) -> None:
    """Where no record has one, the label is refused."""
    config = make_config(tmp_path, tmp_path, label_weighted=True)
    with pytest.raises(LabelError, match="--sampling-label species: no training record"):
        make_sampling(config, "species", np.full(4, -1))
    assert make_sampling(make_config(tmp_path, tmp_path), "species", AABB) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"head_types": ["species"]}, "is not label=type"),
        ({"head_types": ["species=softmx"]}, "did you mean 'softmax'"),
        ({"head_types": ["specis=sigmoid"]}, "did you mean 'species'"),
        ({"head_types": ["species=sigmoid", "species=softmax"]}, "twice"),
        ({"label_weighted": True, "sampling": "balanced"}, "--label-weighted and --sampling exclude each other"),
        ({"sampling_label": "species"}, "goes with --label-weighted"),
        ({"sampling_label": "specis", "max_per_class": 4}, "did you mean 'species'"),
    ],
)
def test_bad_settings(tmp_path: Path, changes: dict, message: str) -> None:
    """Settings that do not go together are refused with what to do."""
    with pytest.raises(ValueError, match=message):
        make_config(tmp_path, tmp_path, **changes)


def test_head_types_as_a_mapping(tmp_path: Path) -> None:
    """YAML may say `head_types: {species: sigmoid}`; a label type may have any characters."""
    config = make_config(tmp_path, tmp_path, head_types={"species": "sigmoid", "is/there": "softmax"})
    assert (config.head_type("species"), config.head_type("is/there")) == ("sigmoid", "softmax")


def test_classes_that_training_never_sees(tmp_path: Path) -> None:
    """They are found by index: of several names for one class one record is enough."""
    mapping = LabelMapping({"species": {"frog": 0, "lion": 1, "leo": 1, "zebra": 2}, "is/there": {"no": 0, "yes": 1}})
    data = write_dataset(tmp_path / "data", mapping=mapping)
    unseen = gather(make_config(data, tmp_path)).unseen
    assert {label: one.tolist() for label, one in unseen.items()} == {"species": [True, False, False]}
