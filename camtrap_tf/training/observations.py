"""Whether the records that a sigmoid head learns from ever hold several species, as it is there for."""

from __future__ import annotations

from camtrap_tf.training.inputs import Inputs


def never_several(inputs: Inputs) -> list[str]:
    """Returns a warning per sigmoid head no training record of which has several observations.

    The first record that has several ends the search; where none has, the labels of all records are gone through, not their
    pictures.

    Args:
        inputs: what `gather` found, with problems perhaps.

    Raises:
        DatasetError: a shard cannot be read any more.
    """
    training = inputs.shards.get("training")
    if training is None:
        return []
    heads = [label for label, spec in inputs.specs.items() if spec.kind == "sigmoid" and label in training.label_types]
    return [
        f"label {label!r} has a sigmoid head, and no training record has several observations: `camtrap dataset` drops such "
        "records unless it is told --keep-multi-observation"
        for label in heads
        if not any(len(names) > 1 for names in training.observations(label))
    ]
