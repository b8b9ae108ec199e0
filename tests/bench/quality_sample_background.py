"""How far the sample's backgrounds mislead: a model that sees little but them, split at random and by location.

Pictures are shrunk until animals are a few pixels and given to a logistic regression. Split at random it scores high, for
each location has its favourite species; at new locations it knows nearly nothing. Exits with 1 where that is not so.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a file, the package may not be installed

from camtrap_tf.config.sample import SampleConfig
from camtrap_tf.sample.drawing import draw_sample

EVENTS = 1000
SIZE = (20, 14)
RATIO_GOAL = 1.5


def thumbnails(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the first pictures of a sample as `[N, 840]` values, their species, and their locations."""
    pixels, species, places = [], [], []
    with (folder / "sample.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if not row["species"]:
                continue
            try:
                with Image.open(folder / row["image_1"]) as picture:
                    small = picture.convert("RGB").crop((0, 0, 400, 282)).resize(SIZE)
            except (UnidentifiedImageError, OSError):
                continue
            pixels.append(np.asarray(small).ravel() / 255)
            species.append(row["species"])
            places.append(row["location"])
    return np.array(pixels), np.array(species), np.array(places)


def main() -> int:
    """Prints both accuracies and their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        draw_sample(SampleConfig(output_dir=Path(folder), events=EVENTS))
        pixels, species, places = thumbnails(Path(folder))
    splits = {
        "at random": list(StratifiedKFold(5, shuffle=True, random_state=0).split(pixels, species)),
        "by location": list(GroupKFold(5).split(pixels, species, places)),
    }
    scores = {}
    for name, folds in splits.items():
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
        scores[name] = float(np.mean(cross_val_predict(model, pixels, species, cv=folds) == species))
        print(f"species from {SIZE[0]} x {SIZE[1]} px, split {name}: {scores[name]:.3f}")
    ratio = scores["at random"] / scores["by location"]
    print(f"ratio {ratio:.2f} (goal: at least {RATIO_GOAL})")
    return int(ratio < RATIO_GOAL)


if __name__ == "__main__":
    sys.exit(main())
