"""What exports need to know about the model: its classes by label type, what each label type is for, its name and version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from camtrap_tf import __version__
from camtrap_tf.errors import SettingError, suggestion
from camtrap_tf.files import sha256_file
from camtrap_tf.models.companions import read_description
from camtrap_tf.models.locating import locate_model

SPECIES = "species"
ROLES: Mapping[str, tuple[str, ...]] = {
    "count": ("count", "counts", "number", "individualcount"),
    "lifeStage": ("lifestage", "age"),
    "sex": ("sex",),
    "behavior": ("behavior", "behaviour", "behaviors", "behaviours", "activity"),
}
"""What a label type is for → its names in small letters, without `_`, `-` and spaces."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The model whose predictions are exported.

    Attributes:
        class_names: label type → class names by index.
        blanks: label types with a sigmoid head → name for nothing being there.
        species: label type with the species.
        roles: `count`, `lifeStage`, `sex`, `behavior` → label type, of those there are.
        classifier: name and version; None where they are not known.
    """

    class_names: Mapping[str, Sequence[str]]
    blanks: Mapping[str, str]
    species: str
    roles: Mapping[str, str] = field(default_factory=dict)
    classifier: str | None = None

    @classmethod
    def of(
        cls,
        class_names: Mapping[str, Sequence[str]],
        blanks: Mapping[str, str],
        *,
        species_label: str | None = None,
        classifier: str | None = None,
    ) -> ModelFacts:
        """Finds out what the label types are for, by their names.

        Raises:
            SettingError: it is not clear which label type is the species, or there is none of that name.
        """
        species = species_label or (SPECIES if SPECIES in class_names else None)
        if species is None and len(class_names) == 1:
            species = next(iter(class_names))
        if species is None:
            raise SettingError(f"--species-label is missing: no label type is called {SPECIES}{suggestion('', class_names)}")
        if species not in class_names:
            raise SettingError(f"--species-label {species}: the model has no such label type{suggestion(species, class_names)}")
        roles: dict[str, str] = {}
        for label in class_names:
            plain = "".join(letter for letter in label.lower() if letter.isalnum())
            role = next((role for role, names in ROLES.items() if plain in names), None)
            if role is not None and label != species:
                roles.setdefault(role, label)
        return cls(class_names, blanks, species, roles, classifier)

    @property
    def others(self) -> tuple[str, ...]:
        """Label types without a role, in order."""
        return tuple(label for label in self.class_names if label != self.species and label not in self.roles.values())

    def names(self, label: str) -> list[str]:
        """Returns the names of a label type's classes by index; of a sigmoid head also that of nothing being there."""
        names = list(self.class_names[label])
        blank = self.blanks.get(label)
        return names if blank is None or blank in names else [*names, blank]


def classifier_name(model_path: Path, info: Mapping[str, Any]) -> str:
    """Returns name and version of a model: its folder's name, the start of its digest, the version that wrote it.

    Args:
        model_path: as it was given.
        info: content of `bundle.json` or `run.json`; may be empty.

    Raises:
        ModelError: no model is there.
    """
    place = locate_model(model_path)
    folder = model_path.resolve() if model_path.is_dir() else place.folder.resolve()
    digest = str(info.get("model_sha256") or sha256_file(place.file))
    versions = info.get("versions")
    version = versions.get("camtrap_tf", __version__) if isinstance(versions, dict) else __version__
    name = folder.name if place.kind in ("bundle", "run") else place.file.name
    return f"{name} {digest[:12]} (camtrap_tf {version})"


def described_model(model_path: Path) -> Mapping[str, Any]:
    """Returns the description beside a model, without loading the model; empty where there is none.

    Raises:
        ModelError: no model there, or its description cannot be read.
    """
    return read_description(locate_model(model_path))
