"""Where probabilities come from. The service knows a backend by this protocol alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from camtrap_tf.errors import ModelError
from camtrap_tf.export.layout import FRAMES_PER_STACK, Export, find_version
from camtrap_tf.images.stored_form import StoredForm


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What the service says about its model.

    Attributes:
        name: of the folder of versions.
        version: of the export.
        model_sha256: digest of the model file that was exported; None if it is not known.
        classes: label type → class names in index order; the first label type is the default one.
        stored_form: what pictures are brought to before the model sees them.
        blanks: label types with a sigmoid head → name for nothing being there.
    """

    name: str
    version: str
    model_sha256: str | None
    classes: Mapping[str, tuple[str, ...]]
    stored_form: StoredForm
    blanks: Mapping[str, str] = field(default_factory=dict)


class Backend(Protocol):
    """Answers for pictures in stored form; safe to be called from several threads."""

    @property
    def card(self) -> ModelCard:
        """What model this is."""
        ...

    def probabilities(self, pictures: Sequence[bytes]) -> dict[str, np.ndarray]:
        """Returns label type → `[N, C]` float32, probabilities; of a sigmoid head they do not add up to 1.

        N is the number of pictures, whose mean is the answer; or 1 for a backend that puts the frames together itself.

        Args:
            pictures: encoded, in stored form, the frames of one event in time order; at least one.
        """
        ...


class Embedded:
    """A SavedModel in this process."""

    def __init__(self, export: Export, loaded: Any) -> None:
        self._export = export
        self._loaded = loaded  # signatures live as long as what they were loaded with
        self._together = export.aggregation_mode == "mean_logits" and not export.preprocessing.stacked
        self._signature = loaded.signatures["event" if self._together else "serving_default"]
        self._card = ModelCard(
            name=export.name,
            version=export.version,
            model_sha256=export.model_sha256,
            classes=export.classes,
            stored_form=export.preprocessing.stored_form or StoredForm(),
            blanks=export.blanks,
        )

    @classmethod
    def load(cls, path: Path) -> Embedded:
        """Loads an export and answers once with it, so that the first client does not wait.

        Args:
            path: a version folder, or the folder of versions, whose highest is taken.

        Raises:
            ModelError: there is no export, or none that works here.
        """
        export = Export.read(find_version(path))
        import tensorflow as tf  # takes seconds, which a wrong path need not

        with suppress(RuntimeError):  # GPUs in use already keep their setting
            for gpu in tf.config.list_physical_devices("GPU"):
                tf.config.experimental.set_memory_growth(gpu, True)
        try:
            loaded = tf.saved_model.load(str(export.folder))
            backend = cls(export, loaded)
        except (OSError, ValueError, KeyError, tf.errors.OpError) as err:
            raise ModelError(
                f"{export.folder}: cannot be loaded as a SavedModel ({_first_line(err)}); export the bundle again"
            ) from err
        backend._warm_up()
        return backend

    @property
    def card(self) -> ModelCard:
        """What model this is."""
        return self._card

    def probabilities(self, pictures: Sequence[bytes]) -> dict[str, np.ndarray]:
        """Returns label type → `[N, C]`; see `Backend`."""
        import tensorflow as tf

        if self._export.preprocessing.stacked:
            # Empty texts stand for no frame.
            frames = [*pictures[:FRAMES_PER_STACK], *[b""] * (FRAMES_PER_STACK - len(pictures))]
            outputs = self._signature(frames=tf.constant([frames]))
        elif self._together:
            outputs = self._signature(frames=tf.constant([list(pictures)]))
        else:
            outputs = self._signature(image=tf.constant(list(pictures)))
        return {label: outputs[names.scores].numpy() for label, names in self._export.outputs.items()}

    def _warm_up(self) -> None:
        import tensorflow as tf

        grey = tf.io.encode_jpeg(tf.fill([64, 64, 3], tf.constant(128, tf.uint8))).numpy()
        try:
            answers = [self.probabilities([grey] * count) for count in (1, 2)]
        except (KeyError, TypeError, ValueError, tf.errors.OpError) as err:
            raise ModelError(f"{self._export.folder}: the model does not answer ({_first_line(err)}); export it again") from err
        for label, values in answers[0].items():
            classes = len(self._card.classes[label])
            if values.shape != (1, classes):
                raise ModelError(
                    f"{self._export.folder}: label {label!r} has {classes} classes but the model answers with {values.shape}; "
                    "export the bundle again"
                )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
