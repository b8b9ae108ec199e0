"""LILA's list of data sets, and its annotations: a CSV, and zip files with one JSON file in each.

Source: https://lila.science, «lila_camera_trap_datasets.csv»: a row per data set, a column per kind of file and cloud.
"""

from __future__ import annotations

import csv
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from camtrap_tf.acquire.engine import download
from camtrap_tf.acquire.outcome import FAILED
from camtrap_tf.acquire.wanted import Wanted, plain_name, shown
from camtrap_tf.config.download import DownloadConfig
from camtrap_tf.errors import SettingError, SourceError, suggestion
from camtrap_tf.files import atomic_file

MAX_INDEX_MB = 20.0
MAX_PACKED_MB = 4000.0
MAX_JSON_BYTES = 4 * 2**30
"""Annotations that unpack to more are refused; the largest of LILA's are below 2 GiB."""

_PIECE = 2**20


@dataclass(frozen=True, slots=True)
class LilaDataset:
    """A data set of LILA.

    Attributes:
        name: its name, e.g. `Island Conservation Camera Traps`.
        short_name: its name in paths.
        region: where it is from, as text.
        annotations: cloud → URL of its COCO Camera Traps file.
        boxes: cloud → URL of its file with boxes, where it has one of its own.
        pictures: cloud → URL that its file names are below.
    """

    name: str
    short_name: str
    region: str
    annotations: dict[str, str]
    boxes: dict[str, str]
    pictures: dict[str, str]


def read_index(path: Path, clouds: tuple[str, ...] = ("gcp", "aws", "azure")) -> tuple[LilaDataset, ...]:
    """Reads LILA's list of data sets.

    Raises:
        SourceError: it cannot be read, or is another table.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [{key: (value or "").strip() for key, value in row.items() if key} for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        raise SourceError(f"{path}: cannot be read as LILA's list of data sets: {err}") from err
    if not rows or "name" not in rows[0] or not any(f"metadata_url_{cloud}" in rows[0] for cloud in clouds):
        raise SourceError(f"{path}: not LILA's list of data sets: it needs the columns name and metadata_url_<cloud>")
    return tuple(_dataset(row, clouds) for row in rows if row["name"])


def _dataset(row: dict[str, str], clouds: tuple[str, ...]) -> LilaDataset:
    def column(kind: str) -> dict[str, str]:
        """Returns cloud → cell of one kind of file."""
        return {cloud: row[f"{kind}_{cloud}"] for cloud in clouds if row.get(f"{kind}_{cloud}")}

    place = dict.fromkeys(row.get(key, "") for key in ("region", "country", "continent"))
    return LilaDataset(
        name=row["name"],
        short_name=plain_name(row.get("short_name") or row["name"].replace(" ", "-").lower()),
        region=", ".join(part for part in place if part),
        annotations=column("metadata_url"),
        boxes=column("bbox_url"),
        pictures=column("image_base_url"),
    )


def choose(datasets: tuple[LilaDataset, ...], names: tuple[str, ...]) -> list[LilaDataset]:
    """Returns the data sets of these names, long or short; case does not matter.

    Raises:
        SettingError: there is none of that name; says the nearest.
    """
    by_name = {key.lower(): one for one in reversed(datasets) for key in (one.name, one.short_name)}
    for name in names:
        if name.lower() not in by_name:
            raise SettingError(f"--dataset {name}: no such data set at LILA{suggestion(name, [one.name for one in datasets])}")
    return list({by_name[name.lower()].name: by_name[name.lower()] for name in names}.values())


def fetch_one(url: str, folder: Path, name: str, config: DownloadConfig, *, max_mb: float, anew: bool = False) -> Path:
    """Fetches one file that is no picture into a folder of its own; returns it.

    Args:
        url: where it is.
        folder: where it goes.
        name: its name there.
        config: how to fetch.
        max_mb: refuse it if larger.
        anew: also where it is there already.

    Raises:
        SourceError: it is not to be had.
    """
    update = {"output_dir": folder, "expect": "anything", "max_file_mb": max_mb, "existing": "overwrite" if anew else "size"}
    counts = download(lambda _: [Wanted(url=url, path=name)], config.model_copy(update=update), total=1)
    if counts.failed:
        with (folder / FAILED).open(encoding="utf-8", newline="") as file:
            row = next(csv.DictReader(file))
        raise SourceError(f"{shown(url)}: cannot be fetched: {row['reason']}: {row['detail']}")
    return folder / name


def name_in(url: str) -> str:
    """Returns the name of the file that a URL is of."""
    return plain_name(PurePosixPath(unquote(urlsplit(url).path)).name or "annotations.json")


def unpack(packed: Path, target: Path) -> Path:
    """Unpacks the one JSON file of a zip file, whole or not at all; a file that is not packed is returned as it is.

    Args:
        packed: what was fetched.
        target: name of the JSON file.

    Raises:
        SourceError: it is broken, protected by a password, has another number of JSON files, or unpacks to too much.
    """
    if not zipfile.is_zipfile(packed):
        return packed
    try:
        with zipfile.ZipFile(packed) as file:
            members = [one for one in file.infolist() if _is_annotation(one)]
            if len(members) != 1:
                raise SourceError(f"{packed}: holds {len(members)} JSON files, not one; unpack it and use `download cct`")
            member = members[0]
            if member.file_size > MAX_JSON_BYTES:
                raise SourceError(f"{packed}: unpacks to {member.file_size / 2**30:.1f} GiB, more than is read")
            _copy(file, member, target, packed)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as err:
        raise SourceError(f"{packed}: cannot be unpacked: {err}; remove it and fetch it again") from err
    return target


def _is_annotation(member: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(member.filename)
    return path.suffix.lower() == ".json" and not path.name.startswith(".") and "__MACOSX" not in path.parts


def _copy(file: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, packed: Path) -> None:
    written = 0
    with file.open(member) as source, atomic_file(target) as out:
        while piece := source.read(_PIECE):
            written += len(piece)
            if written > MAX_JSON_BYTES:  # what a zip file says of its sizes may be wrong
                raise SourceError(f"{packed}: unpacks to more than {MAX_JSON_BYTES / 2**30:.0f} GiB")
            out.write(piece)
