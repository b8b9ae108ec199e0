"""When too many records or pictures could not be used, and what is advised then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.cli.main import parse
from camtrap_tf.config.delivery import PredictConfig
from camtrap_tf.prediction.rejected_share import RejectedShare


def share(records: tuple[int, int], pictures: tuple[int, int], limit: float = 0.05, **reasons: int) -> RejectedShare:
    """Returns a share with reasons."""
    return RejectedShare(records=records, pictures=pictures, reasons=reasons, limit=limit)


@pytest.mark.parametrize(
    ("records", "pictures", "limit", "exceeding"),
    [
        ((5, 100), (5, 100), 0.05, []),
        ((6, 100), (6, 100), 0.05, ["6 of 100 pictures"]),
        ((0, 50), (6, 100), 0.05, ["6 of 100 pictures"]),
        ((6, 100), (1, 100), 0.05, ["6 of 100 records"]),
        ((99, 100), (99, 100), 1, []),
        ((100, 100), (100, 100), 1, ["100 of 100 pictures"]),
        ((1, 1), (0, 0), 1, ["1 of 1 records"]),
        ((0, 0), (0, 0), 0, []),
    ],
)
def test_what_is_too_much(records: tuple[int, int], pictures: tuple[int, int], limit: float, exceeding: list[str]) -> None:
    """Records and pictures are judged each; nothing at all is too much loss only where there was something to predict."""
    found = share(records, pictures, limit)
    assert found.exceeding == exceeding
    assert found.exit_code == (3 if exceeding else 0)


@pytest.mark.parametrize(
    ("settings", "reasons", "said"),
    [
        ({"image_dir": "p", "detections": "d.json"}, {"missing_file": 3, "truncated": 1}, "--image-dir, the folder that"),
        ({"csv_path": "t", "csv_id_col": "i", "csv_images_cols": ("c",)}, {"missing_file": 3}, "--csv-images-root-path"),
        ({"image_dir": "p", "detections": "d.json"}, {"missing_file": 1, "truncated": 2}, "the rejects say why"),
        ({"image_dir": "p"}, {}, "the rejects say why"),
    ],
)
def test_what_to_do(settings: dict[str, Any], reasons: dict[str, int], said: str) -> None:
    """Where most pictures are not there the flag of their folder is named, else the table of rejects."""
    config = PredictConfig(model_path=Path("m"), results_file=Path("r.csv"), **settings)
    sentence = share((4, 4), (4, 4), **reasons).sentence(config)
    assert sentence.startswith("4 of 4 pictures cannot be used, more than --max-rejected-share 0.05 allows (exit code 3); ")
    assert said in sentence


@pytest.mark.parametrize(
    ("words", "limit"),
    [
        ("legacy ctc.predict -image_dir p -results_file r.csv -model_path m", 1),
        ("legacy predict -image_dir p -results_file r.csv -model_path m -max_rejected_share 0.2", 0.2),
        ("predict --image-dir p --results-file r.csv --model-path m", 0.05),
    ],
)
def test_the_older_program_has_no_limit(words: str, limit: float) -> None:
    """A call in the older spelling ends well with any share of lost pictures, as it did there, unless it gives a limit."""
    config = parse(words.split()).config
    assert isinstance(config, PredictConfig)
    assert config.max_rejected_share == limit
