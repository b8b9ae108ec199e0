"""The inventory commands for the files of classification data sets: the table of crops, and queried images."""

from __future__ import annotations

from camtrap_tf.config.classification import ClassificationCsvInventoryConfig, QueriedImagesInventoryConfig
from camtrap_tf.inventory.building import BuiltInventory, build, check_target
from camtrap_tf.sources.classification_csv import ClassificationCsvSource
from camtrap_tf.sources.queried_images import QueriedImagesSource
from camtrap_tf.sources.split_files import read_splits


def build_from_classification_csv(config: ClassificationCsvInventoryConfig) -> BuiltInventory:
    """Reads the table of a classification data set and writes its inventory.

    Raises:
        SettingError: the inventory cannot be written there, or a location is in two splits.
        SourceError: a file cannot be read, or the table has no usable row.
    """
    check_target(config.export_path, (config.path,))
    splits = read_splits(config.splits) if config.splits is not None else None
    return build(ClassificationCsvSource(config.path, splits=splits, label=config.label), config)


def build_from_queried_images(config: QueriedImagesInventoryConfig) -> BuiltInventory:
    """Reads a `queried_images.json` and writes its inventory; raises as `build_from_classification_csv` does."""
    check_target(config.export_path, (config.path,))
    return build(QueriedImagesSource(config.path, label=config.label), config)
