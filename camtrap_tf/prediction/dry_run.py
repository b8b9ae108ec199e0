"""What `--dry-run` of prediction, evaluation and export says: model, inputs with counts, what would be written, or refused.

Nothing is written and TensorFlow stays unloaded: classes are taken from the description beside the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from camtrap_tf.errors import CamtrapError, counted
from camtrap_tf.labels import LabelMapping
from camtrap_tf.models.companions import check_companions, heads_of, read_description, require_companions
from camtrap_tf.models.locating import MAPPING_NAMES, ModelPlace, find_json

EXIT_REFUSED = 2


@dataclass
class DryRun:
    """What a command would do; `text` is printed.

    Attributes:
        command: its name.
        lines: what is known so far.
        refusals: why it would stop before it begins, an error each.
        warning: why it would run, and end with another exit code than 0; empty where it would not.
        ends_with: that exit code.
    """

    command: str
    lines: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    warning: str = ""
    ends_with: int = 0

    @property
    def exit_code(self) -> int:
        """2 where the command would be refused, else what it would end with as far as that can be told."""
        return EXIT_REFUSED if self.refusals else self.ends_with

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Takes down an error of the block instead of raising it, so that all of them are found at once."""
        try:
            yield
        except CamtrapError as err:
            self.refusals.append(str(err))

    def would_write(self, what: str, path: Path, note: str = "") -> None:
        """Adds a line about an output."""
        there = " (is there already, would be replaced)" if path.is_file() else ""
        self.lines.append(f"{what}: would write {path}{there}{note}")

    def text(self) -> str:
        """Returns the plan for a person."""
        refused = ["would be refused:", *(f"  {one}" for one in self.refusals)] if self.refusals else []
        warned = [f"warning: {self.warning}"] if self.warning else []
        return "\n".join([f"Plan of {self.command} (nothing is written, no model runs)", *self.lines, *warned, *refused])


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """A model as the files beside it describe it.

    Attributes:
        place: where it is.
        info: content of `bundle.json` or `run.json`; empty for a bare model file.
        class_names: label type → class names by index.
        blank_classes: label types with a sigmoid head → classes that mean nothing is there.
    """

    place: ModelPlace
    info: Mapping[str, Any]
    class_names: Mapping[str, tuple[str, ...]]
    blank_classes: Mapping[str, tuple[str, ...]]

    @property
    def blanks(self) -> dict[str, str]:
        """Label types with a sigmoid head → name for nothing being there."""
        return {label: names[0] for label, names in self.blank_classes.items()}

    @property
    def mapping(self) -> LabelMapping:
        """Its label types and classes."""
        return LabelMapping.from_classes(self.class_names)

    def line(self) -> str:
        """Returns where it is and what it answers, for a person."""
        heads = ", ".join(f"{label} ({counted(len(names), 'class', 'es')})" for label, names in self.class_names.items())
        return f"model: {self.place.file}, answers {heads}"


def describe_model(
    path: Path, *, class_mapping_json: Path | None = None, pre_processing_json: Path | None = None, flag: str = "--model-path"
) -> ModelDescription:
    """Returns what a model is by the files beside it; whether its own file can be read is seen when it runs.

    Args:
        path: as for `Bundle.read`.
        class_mapping_json: label mapping to use instead of the bundle's.
        pre_processing_json: image processing to use instead of the bundle's.
        flag: how the path was given, for messages.

    Raises:
        ModelError: no model there, or its label mapping or image processing is not beside it.
        SettingError: a file that is given is not there, is no image processing, or does not fit the model.
        LabelError: the label mapping is not usable.
        SourceError: a JSON file cannot be read.
    """
    place = check_companions(path, class_mapping_json=class_mapping_json, pre_processing_json=pre_processing_json, flag=flag)
    mapping_file = None if class_mapping_json is None else find_json(class_mapping_json, MAPPING_NAMES)
    mapping_file, _ = require_companions(place, mapping_file, pre_processing_json, flag=flag)
    info = read_description(place)
    heads = heads_of(info)
    blanks = {
        label: tuple(head["blank_classes"])
        for label, head in heads.items()
        if head.get("type") == "sigmoid" and head.get("blank_classes")
    }
    described = all(isinstance(head.get("classes"), list) for head in heads.values())
    if heads and described and class_mapping_json is None:
        names = {label: tuple(map(str, head["classes"])) for label, head in heads.items()}
    else:
        mapping = LabelMapping.read(mapping_file)
        labels = [label for label in heads if label in mapping.label_types] or mapping.label_types
        names = {label: mapping.names(label) for label in labels}
    own = {label: tuple(name for name in found if name not in blanks.get(label, ())) for label, found in names.items()}
    return ModelDescription(place, info, own, {label: found for label, found in blanks.items() if label in own})
