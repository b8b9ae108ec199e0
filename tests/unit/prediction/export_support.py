"""Predictions as rows, for tests of what writes them in other forms."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import numpy as np

from camtrap_tf.prediction.export_model import ModelFacts
from camtrap_tf.prediction.results import PicturePrediction, RecordPrediction

CLASSES = {
    "species": ("empty", "Vulpes vulpes", "human", "car"),
    "count": ("1", "2", "11-50"),
    "sex": ("female", "unknown"),
    "weather": ("dry", "rain"),
}
MODEL = ModelFacts.of(CLASSES, {}, classifier="fox-model 0123456789ab")
NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)

FOX = {"species": (0.1, 0.7, 0.15, 0.05), "count": (0.1, 0.8, 0.1), "sex": (0.9, 0.1), "weather": (0.3, 0.7)}
EMPTY = {"species": (0.9, 0.06, 0.03, 0.01), "count": (0.8, 0.1, 0.1), "sex": (0.5, 0.5), "weather": (0.6, 0.4)}

FACTS = {
    "title": "Foxes",
    "contributors": [{"title": "A. Person", "role": "contact"}],
    "licenses": [{"name": "CC0-1.0", "scope": "data"}, {"name": "CC-BY-4.0", "scope": "media"}],
    "project": {
        "title": "Foxes",
        "samplingDesign": "simpleRandom",
        "captureMethod": ["activityDetection"],
        "individualAnimals": False,
    },
}
DEPLOYMENTS = (
    "deploymentID,locationID,latitude,longitude,deploymentStart,deploymentEnd\n"
    "d1,wood,51.5,4.5,2020-05-01T00:00:00+02:00,2020-06-01T00:00:00+02:00\n"
    "d2,wood,51.5,4.5,2020-07-01T00:00:00+02:00,2020-08-01T00:00:00+02:00\n"
    "d3,lake,51.6,4.6,2020-05-01T00:00:00+02:00,2020-06-01T00:00:00+02:00\n"
)


def probabilities(values: Mapping[str, Sequence[float]]) -> dict[str, np.ndarray]:
    """Returns label type → `[C]`."""
    return {label: np.array(one, np.float32) for label, one in values.items()}


def record(
    paths: Sequence[str], values: Mapping[str, Sequence[float]] | None = FOX, *, record_id: str | None = None, **meta: str
) -> RecordPrediction:
    """Returns a record whose pictures all have the same answer; without one they failed."""
    problem = None if values is not None else ("truncated", "the file ends too early")
    found = probabilities(values or {})
    pictures = tuple(PicturePrediction(path, found, problem) for path in paths)
    return RecordPrediction(record_id or paths[0], pictures, found, meta)
