"""Records of several species, which a sigmoid head is there for."""

from pathlib import Path

from camtrap_tf.dataset.framing import frame
from camtrap_tf.dataset.schema import encode_example
from camtrap_tf.training.train import train
from tests.factories import make_event, make_jpeg
from tests.unit.training.helpers import MAPPING, make_config, write_dataset

WARNING = "label 'species' has a sigmoid head, and no training record has several observations"


def plan_of(data: Path, out: Path, *head_types: str) -> str:
    """Returns the plan of a training with these heads."""
    return train(make_config(data, out, head_types=head_types, dry_run=True)).text()


def test_sigmoid_head_without_records_of_several_species(tmp_path: Path) -> None:
    """A sigmoid head on records of one observation each is warned about with what keeps the others; other heads are not."""
    data = write_dataset(tmp_path / "data")
    said = plan_of(data, tmp_path, "species=sigmoid")
    assert WARNING in said
    assert "--keep-multi-observation" in said
    assert "several observations" not in plan_of(data, tmp_path)


def test_one_record_of_several_species_is_enough(tmp_path: Path) -> None:
    """As soon as one training record has several observations, nothing is said."""
    data = write_dataset(tmp_path / "data")
    labels = [{"species": "lion", "is/there": "yes"}, {"species": "zebra", "is/there": "yes"}]
    event = make_event("both", pictures=["a.jpg"], labels=labels)
    with (data / "train_002-of-002.tfrecord").open("wb") as file:
        file.write(frame(encode_example(event, [(0, make_jpeg(40, 32))], MAPPING, label_types=("species", "is/there"))))
    (data / "train_001-of-001.tfrecord").rename(data / "train_001-of-002.tfrecord")
    assert WARNING not in plan_of(data, tmp_path, "species=sigmoid")
