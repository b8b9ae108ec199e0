"""Label mappings put together, so that several data sets can be trained on with one."""

from __future__ import annotations

import collections
from dataclasses import dataclass
from pathlib import Path

from camtrap_tf.config.dataset import LabelsMergeConfig
from camtrap_tf.errors import shortened
from camtrap_tf.files import check_output_file
from camtrap_tf.labels import LabelMapping, merge_mappings


@dataclass(frozen=True, slots=True)
class MergedMapping:
    """A merged label mapping and what each source brought.

    Attributes:
        path: where it was written.
        mapping: the mapping.
        added: per file, its path and label type → classes that none of the files before it had.
        dry_run: nothing was written.
    """

    path: Path
    mapping: LabelMapping
    added: tuple[tuple[Path, dict[str, list[str]]], ...]
    dry_run: bool = False

    def text(self) -> str:
        """Returns the summary for a person."""
        lines = []
        for path, labels in self.added:
            lines.append(f"{path}: " + ("; ".join(_names(*item) for item in labels.items()) or "nothing new"))
        sizes = ", ".join(f"{label} {len(self.mapping.names(label))}" for label in self.mapping.label_types)
        start = "would write " if self.dry_run else ""
        return "\n".join([*lines, f"{start}{self.path}: classes per label: {sizes}"])


def _names(label: str, names: list[str]) -> str:
    return f"adds {label}: {shortened(names, most=10)}"


def merge_label_mappings(config: LabelsMergeConfig) -> MergedMapping:
    """Reads label mappings and writes the one that covers them all.

    Raises:
        SettingError: the new one cannot have that name.
        SourceError: one cannot be read.
        LabelError: one is not a label mapping, or they disagree on which names are one class.
    """
    check_output_file(config.output, "--output", suffixes=(".json",), sources=config.mappings)
    mappings = [LabelMapping.read(path) for path in config.mappings]
    merged = merge_mappings(mappings)
    known: dict[str, set[str]] = collections.defaultdict(set)
    added = []
    for path, mapping in zip(config.mappings, mappings, strict=True):
        new = {label: [name for name in names if name not in known[label]] for label, names in mapping.classes.items()}
        for label, names in new.items():
            known[label].update(names)
        added.append((path, {label: names for label, names in new.items() if names}))
    if not config.dry_run:
        merged.write(config.output)
    return MergedMapping(config.output, merged, tuple(added), config.dry_run)
