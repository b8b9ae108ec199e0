"""What a head is, as plain values: its kind, the order of its bins, its blank classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from camtrap_tf.config.names import HeadType


@dataclass(frozen=True, slots=True)
class HeadSpec:
    """What a head is.

    Attributes:
        kind: `softmax`, `sigmoid` or `ordinal`.
        order: class indices in the order of the bins; of ordinal heads.
        blanks: names of the classes that mean nothing is there; of sigmoid heads.
    """

    kind: HeadType = "softmax"
    order: tuple[int, ...] = ()
    blanks: tuple[str, ...] = ()

    @property
    def ranks(self) -> np.ndarray | None:
        """`[C]` place of each class in the order; None where there is none."""
        return np.argsort(self.order) if self.kind == "ordinal" else None


SOFTMAX = HeadSpec()
