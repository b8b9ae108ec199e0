"""What commands wrote, read back with the standard library alone."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any


def rows_of(path: Path) -> list[dict[str, str]]:
    """Returns the rows of a CSV, packed (`.gz`) or not, by the names in its first."""
    packed = path.suffix == ".gz"
    with gzip.open(path, "rt", encoding="utf-8", newline="") if packed else path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def json_of(path: Path) -> Any:
    """Returns what a JSON file holds."""
    return json.loads(path.read_text(encoding="utf-8"))
