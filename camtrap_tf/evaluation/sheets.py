"""Sheets of pictures that a results file is right or wrong about, as PNG."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from camtrap_tf.evaluation.results_file import Results
from camtrap_tf.files import write_bytes
from camtrap_tf.progress import track

FOLDER = "sheets"
SIDE_PX = 160
COLUMNS = 6
_PAPER = (225, 225, 220)


@dataclass(frozen=True, slots=True)
class PictureSheet:
    """Pictures that are shown together.

    Attributes:
        title: with how many there are.
        rows: of the results, in order.
        name: what the file is called after.
        file: its path, relative to the page; empty until it is written.
    """

    title: str
    rows: tuple[int, ...]
    name: str
    file: str = ""


def write_sheets(
    results: Results,
    sheets: Sequence[PictureSheet],
    folder: Path,
    place: Callable[[int], Path],
    lines: Callable[[Results, int], Sequence[str]],
) -> tuple[list[PictureSheet], int]:
    """Writes `sheets/<number>_<name>.png`; what was there goes.

    Args:
        results: whose pictures they are.
        sheets: what to draw.
        folder: of the page.
        place: returns where the picture of a row is.
        lines: returns what stands below it.

    Returns:
        The sheets with their files, and how many pictures could not be opened.
    """
    target = folder / FOLDER
    if target.exists():
        shutil.rmtree(target)
    if not sheets:
        return [], 0
    from camtrap_tf.input_pipeline.preview import Cell, draw_sheet  # brings TensorFlow along

    absent, written = 0, []
    for number, sheet in enumerate(track(sheets, total=len(sheets), description="Drawing sheets", unit="sheets"), 1):
        cells = []
        for row in sheet.rows:
            pixels = thumb(place(row))
            absent += pixels is None
            shown = blank() if pixels is None else pixels
            cells.append(Cell((shown,), (tuple(lines(results, row)),), results.paths[row]))
        drawn = io.BytesIO()
        draw_sheet(cells, ("",), columns=COLUMNS).save(drawn, "PNG")
        name = f"{number:03d}_{_file_name(sheet.name)}.png"
        write_bytes(target / name, drawn.getvalue())
        written.append(PictureSheet(sheet.title, sheet.rows, sheet.name, f"{FOLDER}/{name}"))
    return written, absent


def blank() -> np.ndarray:
    """Returns an empty square, uint8 `[SIDE_PX, SIDE_PX, 3]`."""
    return np.full((SIDE_PX, SIDE_PX, 3), _PAPER, np.uint8)


def thumb(path: Path) -> np.ndarray | None:
    """Returns a picture in a square, uint8 `[SIDE_PX, SIDE_PX, 3]`; None where it cannot be opened."""
    square = Image.fromarray(blank())
    try:
        with Image.open(path) as picture:
            picture.draft("RGB", (SIDE_PX, SIDE_PX))
            small = ImageOps.contain(picture.convert("RGB"), (SIDE_PX, SIDE_PX))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    square.paste(small, ((SIDE_PX - small.width) // 2, (SIDE_PX - small.height) // 2))
    return np.asarray(square)


def _file_name(name: str) -> str:
    return re.sub(r"[^\w-]+", "_", name).strip("_")[:80] or "_"
