"""`camtrap dataset preview`: contact sheets of what is in shards, and of what training makes of it.

The pictures go through the very functions that training uses, with the same seeds: what is drawn here is what a model
would be shown at the beginning of that epoch. The original is the same frame without anything left to chance.
"""

from __future__ import annotations

import functools
import io
import itertools
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import yaml
from PIL import Image, ImageDraw, ImageFont
from pydantic import ValidationError

from camtrap_tf.config.names import BACKBONES
from camtrap_tf.config.variation import PreviewConfig, VariationConfig
from camtrap_tf.dataset.schema import Example
from camtrap_tf.errors import DatasetError, LabelError, SettingError, counted, suggestion
from camtrap_tf.files import writable_folder, write_bytes
from camtrap_tf.input_pipeline.augment import augment_batch
from camtrap_tf.input_pipeline.batches import example_count, training_batches
from camtrap_tf.input_pipeline.failures import plain_failures
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.input_pipeline.shard_set import ShardSet
from camtrap_tf.input_pipeline.strong_augment import StrongAugmentation, mix_batch, strengthen_batch
from camtrap_tf.labels import LabelMapping
from camtrap_tf.records import MISSING

CONFIG_FILE = "config.yaml"
DEFAULT_SIDE_PX = 224
BATCH = 64
"""Examples varied at once; pictures are mixed within these."""
COLUMNS, ROWS = 4, 4
"""Examples on one sheet."""
NOTHING = "–"
_GAP, _MARGIN, _FONT, _LINE = 12, 16, 13, 17
_MIN_CELL = 140
_PAPER, _INK, _FAINT = (250, 250, 247), (30, 30, 30), (120, 120, 120)


@dataclass(frozen=True, slots=True)
class Preview:
    """What was drawn.

    Attributes:
        files: the sheets.
        examples: examples on them.
        unreadable: of these, how many could not be decoded.
        epochs: of training that they are from.
    """

    files: tuple[Path, ...]
    examples: int
    unreadable: int
    epochs: int

    def text(self) -> str:
        """Returns the summary for people."""
        bad = f", {self.unreadable} of them cannot be decoded" if self.unreadable else ""
        of = f" of {self.epochs} epochs" if self.epochs > 1 else ""
        told = f"{counted(self.examples, 'example')}{of} on {counted(len(self.files), 'sheet')}{bad}"
        return "\n".join([told, *map(str, self.files)])


@dataclass(frozen=True, slots=True)
class Cell:
    """One example on a sheet.

    Attributes:
        pictures: uint8 `[H, W, 3]` each, side by side: the original, and what training makes of it if asked for.
        captions: texts below each of them.
        name: id of the record.
    """

    pictures: tuple[np.ndarray, ...]
    captions: tuple[tuple[str, ...], ...]
    name: str


def preview(config: PreviewConfig) -> Preview:
    """Draws the sheets.

    Raises:
        CamtrapError: no shards, no such label type, a training that cannot be read, or no place to write to.
    """
    shards = ShardSet.open(config.path, config.pattern, substring=config.pattern_is_substring, flag="--path")
    labels = _labels(config.labels, shards.label_types)
    variation, side = _variation(config)
    preprocessing = Preprocessing.from_config(
        variation, input_size=side, normalisation="dataset", stored_form=shards.stored_form
    )
    folder = writable_folder(config.output_dir, "--output-dir")
    unreadable, files, cells = 0, [], []
    examples = _Examples(config, shards, preprocessing, StrongAugmentation.from_config(variation), labels)
    with plain_failures():
        for cell, valid in itertools.islice(examples.cells(), config.examples):
            cells.append(cell)
            unreadable += not valid
    if not cells:
        raise DatasetError(f"--path {' '.join(map(str, config.path))}: the shards hold no record")
    headings = ("original", "in training") if config.augmented else ("original",)
    for number, start in enumerate(range(0, len(cells), COLUMNS * ROWS), 1):
        sheet = draw_sheet(cells[start : start + COLUMNS * ROWS], headings)
        files.append(folder / f"preview_{number}.png")
        encoded = io.BytesIO()
        sheet.save(encoded, "PNG")
        write_bytes(files[-1], encoded.getvalue())
    return Preview(tuple(files), len(cells), unreadable, -(-len(cells) // example_count(shards, preprocessing)))


def _labels(asked: Sequence[str], there: Sequence[str]) -> tuple[str, ...]:
    for label in asked:
        if label not in there:
            raise LabelError(f"--labels {label}: no such label type in the shards{suggestion(label, there)}")
    return tuple(asked or there)


def _variation(config: PreviewConfig) -> tuple[VariationConfig, int]:
    """Returns size and variation: flags over those of the training, if one is given; and the side of its backbone."""
    given = {key: getattr(config, key) for key in config.model_fields_set if key in VariationConfig.model_fields}
    if config.training is None:
        return VariationConfig(**given), DEFAULT_SIDE_PX
    file = config.training / CONFIG_FILE if config.training.is_dir() else config.training
    try:
        settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
        raise SettingError(f"--training {file}: cannot be read as YAML; give a run folder or the file of its settings") from err
    if not isinstance(settings, dict):
        raise SettingError(f"--training {file}: holds no settings; give a run folder or the file of its settings")
    settings = {str(key).replace("-", "_"): value for key, value in settings.items()}
    known = {key: value for key, value in settings.items() if key in VariationConfig.model_fields}
    try:
        return VariationConfig(**{**known, **given}), BACKBONES.get(str(settings.get("model")), DEFAULT_SIDE_PX)
    except ValidationError as err:
        problem = err.errors()[0]
        raise SettingError(f"--training {file}: {problem['loc'][0]}: {problem['msg']}") from err


@dataclass(frozen=True, slots=True)
class _Examples:
    """Examples as training sees them.

    Attributes:
        config: which, and whether as training varies them.
        shards: they are in.
        preprocessing: size, crops and colours.
        strong: what is done to batches.
        labels: label types of the captions.
    """

    config: PreviewConfig
    shards: ShardSet
    preprocessing: Preprocessing
    strong: StrongAugmentation
    labels: Sequence[str]

    def cells(self) -> Iterator[tuple[Cell, bool]]:
        """Yields examples in the order of the epoch, and whether each could be decoded.

        Where pictures vary, those of the epochs after it follow, without an end: a small data set fills the sheets too.
        """
        first = self.config.epoch
        if not len(self.shards) or not example_count(self.shards, self.preprocessing):
            return
        for epoch in itertools.count(first) if self.config.augmented else (first,):
            yield from self._of_epoch(epoch)

    def _of_epoch(self, epoch: int) -> Iterator[tuple[Cell, bool]]:
        """Yields the examples of one epoch, and whether each could be decoded."""
        plain = self._batches(self.preprocessing.without_augmentation(), epoch)
        varied = self._batches(self.preprocessing, epoch) if self.config.augmented else itertools.repeat(None)
        for batch, other in zip(plain, varied, strict=False):
            examples = [self.shards.example(int(record)) for record in batch["records"].numpy()]
            texts = [_answers(example, self.labels) for example in examples]
            valid = batch["valid"].numpy()
            shown: list[tuple[np.ndarray, ...]] = [(image,) for image in as_pixels(batch["images"])]
            mixed: list[tuple[str, ...]] = [()] * len(examples)
            if other is not None:
                images, mixed = self._varied(other, texts)
                shown = [(*one, image) for one, image in zip(shown, images, strict=True)]
            for i, example in enumerate(examples):
                caption = _caption(texts[i]) if valid[i] else ("cannot be decoded: left out of training",)
                yield Cell(shown[i], (caption, mixed[i])[: len(shown[i])], example.id), bool(valid[i])

    def _batches(self, way: Preprocessing, epoch: int) -> tf.data.Dataset:
        """Returns the examples of an epoch, prepared in this way."""
        size, seed = min(BATCH, self.config.examples), self.config.seed
        return training_batches(self.shards, way, LabelMapping({}), batch_size=size, epoch=epoch, seed=seed)

    def _varied(self, batch: Mapping[str, Any], texts: Sequence[Mapping[str, str]]) -> tuple[np.ndarray, list[tuple[str, ...]]]:
        """Returns the pictures of a batch as training varies them, and what each is mixed with."""
        images = augment_batch(batch["images"], batch["seeds"], self.preprocessing)
        images = strengthen_batch(images, batch["seeds"], self.strong, stacked=self.preprocessing.stacked)
        if not self.strong.mixes:
            return as_pixels(images), [()] * len(texts)
        images, mixture = mix_batch(images, batch["seeds"], self.strong)
        return as_pixels(images), _mixed_with(mixture.share.numpy(), mixture.partner.numpy(), texts)


def as_pixels(images: Any) -> np.ndarray:
    """Returns pictures in 0…255 as uint8, rounded."""
    return np.clip(np.round(np.asarray(images)), 0, 255).astype(np.uint8)


def _answers(example: Example, labels: Sequence[str]) -> dict[str, str]:
    """Returns label type → its classes as text, those of several observations side by side."""
    texts = {}
    for label in labels:
        known = [name for name in example.labels.get(label, ()) if name not in (MISSING, "")]
        texts[label] = ", ".join(dict.fromkeys(known)) or NOTHING
    return texts


def _caption(texts: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{label}: {text}" if len(texts) > 1 else text for label, text in texts.items())


def _mixed_with(share: np.ndarray, partner: np.ndarray, texts: Sequence[Mapping[str, str]]) -> list[tuple[str, ...]]:
    """Returns lines about what was mixed in, per example."""
    return [
        (f"{left:.0%} of it, {1 - left:.0%} of", *_caption(texts[other])) if left < 0.995 else ()
        for left, other in zip(share, partner, strict=True)
    ]


def draw_sheet(cells: Sequence[Cell], headings: Sequence[str], *, columns: int = COLUMNS) -> Image.Image:
    """Returns a contact sheet: each example's pictures side by side, its labels below.

    Args:
        cells: examples, all of one size.
        headings: what stands above the pictures of a cell.
        columns: examples side by side.
    """
    height, width = cells[0].pictures[0].shape[:2]
    scale = max(1, -(-_MIN_CELL // width))
    height, width = height * scale, width * scale
    across = len(cells[0].pictures) * (width + 2) - 2
    columns = min(columns, len(cells))
    texts = [_wrapped(cell, width) for cell in cells]
    tall = height + max(len(lines) for text in texts for lines in text) * _LINE + _GAP
    size = (2 * _MARGIN + columns * (across + _GAP) - _GAP, 2 * _MARGIN + _LINE + -(-len(cells) // columns) * tall - _GAP)
    sheet = Image.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(sheet)
    for i, (cell, text) in enumerate(zip(cells, texts, strict=True)):
        x = _MARGIN + (i % columns) * (across + _GAP)
        y = _MARGIN + _LINE + (i // columns) * tall
        for k, (picture, lines) in enumerate(zip(cell.pictures, text, strict=True)):
            left = x + k * (width + 2)
            sheet.paste(Image.fromarray(picture).resize((width, height), Image.Resampling.NEAREST), (left, y))
            if i < columns:
                pen.text((left, y - _LINE), headings[k], fill=_FAINT, font=font())
            for row, (line, colour) in enumerate(lines):
                pen.text((left, y + height + 2 + row * _LINE), line, fill=colour, font=font())
    return sheet


def _wrapped(cell: Cell, width: int) -> list[list[tuple[str, tuple[int, int, int]]]]:
    """Returns the lines below each picture of an example with their colours, none wider than it; the id comes last."""
    letters = max(12, int(width / (font().getlength("nnnnnnnnnn") / 10)))
    texts = [
        [(part, _INK) for line in caption for part in textwrap.wrap(line, letters, max_lines=2, placeholder=" …")]
        for caption in cell.captions
    ]
    name = cell.name if len(cell.name) <= letters else "…" + cell.name[1 - letters :]
    texts[0].append((name, _FAINT))
    return texts


@functools.cache
def font() -> Any:
    """Returns the letters of captions: DejaVu Sans, which matplotlib brings along and which knows most alphabets."""
    import matplotlib

    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), _FONT)
