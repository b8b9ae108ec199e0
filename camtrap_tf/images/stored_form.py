"""The form in which pictures are kept in shards: oriented, RGB, shrunk, JPEG."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

from camtrap_tf.config.dataset import DatasetConfig
from camtrap_tf.config.names import TruncatedPolicy


@dataclass(frozen=True, slots=True)
class StoredForm:
    """How pictures are kept in shards, and brought to before prediction.

    Attributes:
        side_smallest_px: the smaller side is shrunk to this at most; None: no such limit.
        side_max_px: the larger side is shrunk to this at most; None: no such limit.
        quality: JPEG quality, 1 to 100.
        truncated: what becomes of pictures whose file is cut off.
        max_pixels: pictures with more pixels are rejected before they are decoded.
    """

    side_smallest_px: int | None = 500
    side_max_px: int | None = None
    quality: int = 90
    truncated: TruncatedPolicy = "reject"
    max_pixels: int = 100_000_000

    @classmethod
    def from_config(cls, config: DatasetConfig) -> Self:
        """Returns the form that the settings of a dataset ask for."""
        return cls(
            side_smallest_px=config.side_smallest_px,
            side_max_px=config.image_save_side_max,
            quality=config.image_save_quality,
            truncated=config.truncated,
            max_pixels=config.max_pixels,
        )

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Returns the form from what `as_json` gave; absent keys take the defaults, unknown ones are left out."""
        known = {field: value[field] for field in cls.__slots__ if field in value}
        return cls(**known)

    def as_json(self) -> dict[str, Any]:
        """Returns a plain dictionary, as it is written to manifests and bundles."""
        return asdict(self)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Returns width and height in stored form, in px: both limits kept, the aspect ratio too, never larger.

        Sides are rounded to the nearest pixel, at least one.
        """
        scale = 1.0
        if self.side_smallest_px is not None:
            scale = min(scale, self.side_smallest_px / min(width, height))
        if self.side_max_px is not None:
            scale = min(scale, self.side_max_px / max(width, height))
        if scale == 1.0:
            return width, height
        return max(1, round(width * scale)), max(1, round(height * scale))
