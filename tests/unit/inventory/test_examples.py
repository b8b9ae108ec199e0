"""The examples beside the formats' descriptions."""

from __future__ import annotations

from pathlib import Path

import pytest

from camtrap_tf.inventory.table import Inventory
from camtrap_tf.labels import LabelMapping

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("path", sorted((ROOT / "inventories").glob("*.json")), ids=lambda path: path.name)
def test_example_inventories_are_good(path: Path) -> None:
    """Every entry of an example is a record."""
    inventory = Inventory.read(path)
    assert len(inventory) > 1
    assert inventory.rejects == ()


@pytest.mark.parametrize("path", sorted((ROOT / "label_mappings").glob("*.json")), ids=lambda path: path.name)
def test_example_mappings_are_good(path: Path) -> None:
    """An example mapping can be read."""
    assert LabelMapping.read(path).label_types
