"""Real pictures, tables and weights that some tests use where they lie beside the checkout; a test skips without them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("CAMTRAP_SHARED", Path(__file__).resolve().parents[2] / "shared"))


def shared(relative: str) -> Path:
    """Returns a path below the shared folder (`data/missouri_6species`, `weights/…`); skips the test where it is absent."""
    path = SHARED / relative
    if not path.exists():
        pytest.skip(f"{relative} is not beside this checkout (set CAMTRAP_SHARED to the folder that holds it)")
    return path
