"""`download cct` and `download lila`: the pictures of COCO Camera Traps documents, or of parts of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from camtrap_tf.acquire.downloading import check_base, fetch, joined
from camtrap_tf.acquire.lila_index import (
    MAX_INDEX_MB,
    MAX_PACKED_MB,
    LilaDataset,
    choose,
    fetch_one,
    name_in,
    read_index,
    unpack,
)
from camtrap_tf.acquire.outcome import Downloaded, failed_in
from camtrap_tf.acquire.wanted import Wanted, is_url, path_or_empty, safe_path
from camtrap_tf.cct.counting import table_lines
from camtrap_tf.cct.selecting import choose_images, with_images
from camtrap_tf.cct.working import check_output, reject_image
from camtrap_tf.config.download import CctDownloadConfig, LilaDownloadConfig
from camtrap_tf.errors import SettingError, SourceError, counted, suggestion
from camtrap_tf.files import writable_folder
from camtrap_tf.rejects import rejects_path, write_rejects
from camtrap_tf.sources.cct_document import CctDocument, Entry, text_of


def download_cct(config: CctDownloadConfig) -> Downloaded:
    """Fetches the pictures of a document, or of the part of it that is asked for.

    Raises:
        SettingError: a category or location does not exist, there is no base URL, or images have no such key.
        SourceError: the file cannot be read.
    """
    if config.base_url is not None:
        check_base(config.base_url)
    if config.cct_output is not None:
        check_output(config.cct_output, (config.path,), flag="--cct-output")
    document = CctDocument.read(config.path)
    _check_key(document, config)
    subset = choose_images(document, config)
    images = subset.document.images
    notes = [subset.text()]
    done = fetch(
        lambda _: _wanted(images, config.base_url, config.key_field, ""), config, source=str(config.path), total=len(images)
    )
    if config.cct_output is not None and not config.dry_run:
        notes.append(write_there(subset.document, config.cct_output, config.output_dir, ""))
    return Downloaded(done.source, done.folder, done.counts, done.max_failed_share, done.plan, tuple(notes))


def _check_key(document: CctDocument, config: CctDownloadConfig) -> None:
    """Makes sure that images have the key, and that it leads to URLs."""
    keys = [text_of(one.get(config.key_field)) or "" for one in document.images[:1000]]
    if document.images and not any(keys):
        known = sorted({key for one in document.images[:1000] for key in one})
        raise SettingError(f"--key-field {config.key_field}: no image has it{suggestion(config.key_field, known)}")
    if config.base_url is None and not any(map(is_url, keys)):
        raise SettingError(
            f"--base-url is needed: {config.key_field!r} of images is no URL (e.g. {next(filter(None, keys), '')!r})"
        )


def _wanted(images: list[Entry], base_url: str | None, key_field: str, folder: str) -> Iterator[Wanted]:
    """Yields what to fetch for images; those without a key or a name are listed as failed by what they lack."""
    for image in images:
        key = text_of(image.get(key_field)) or ""
        url = joined(base_url, key) if key else ""
        yield Wanted(url=url, path=local_path(image, url, folder), id=text_of(image.get("id")) or "")


def local_path(image: Entry, url: str, folder: str) -> str:
    """Returns the path of an image's file: its `file_name`, and that of its URL where it has none or it is one."""
    name = text_of(image.get("file_name")) or text_of(image.get("original_relative_path")) or ""
    if is_url(name) or not name:
        name = path_or_empty(name or url)
    return f"{folder}/{name}" if folder and name else name


def write_there(document: CctDocument, output: Path, folder: Path, below: str) -> str:
    """Writes the document of the images whose files are there; lists the others beside it.

    Args:
        document: all images.
        output: file to write.
        folder: where the files are.
        below: folder in it that file names begin in; empty: in itself.

    Returns:
        A sentence on it.
    """
    failed = failed_in(folder, "path")
    kept, rejects = [], []
    for image in document.images:
        try:
            path = safe_path(local_path(image, "", below))
        except ValueError:
            path = ""
        if path and path not in failed and (folder / path).is_file():
            kept.append(image)
        else:
            rejects.append(reject_image(image, "not_fetched", "its file is not there"))
    writable_folder(output.parent, "--cct-output")
    write_rejects(rejects_path(output), rejects)
    with_images(document, kept).write(output)
    listed = f"; {rejects_path(output)}: {counted(len(rejects), 'image')} whose files are not there" if rejects else ""
    return f"{output}: {counted(len(kept), 'image')}{listed}"


@dataclass(frozen=True, slots=True)
class LilaListed:
    """LILA's data sets, or annotations that were fetched.

    Attributes:
        lines: what to print.
    """

    lines: tuple[str, ...]

    def text(self) -> str:
        """Returns them for a person."""
        return "\n".join(self.lines)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """A data set and the file of the images to fetch from it."""

    dataset: LilaDataset
    subset: Path
    images: int


def download_lila(config: LilaDownloadConfig) -> Downloaded | LilaListed:
    """Lists LILA's data sets, or fetches annotations and pictures of some, or of parts of them.

    Raises:
        SettingError: no such data set, category or location.
        SourceError: the list or annotations cannot be fetched or read.
    """
    check_base(config.index_url, "--index-url")
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="camtrap-lila-")))
        keep = scratch if config.dry_run or not config.dataset else config.output_dir
        plain = config.model_copy(update={"retry": None, "dry_run": False})
        index = fetch_one(config.index_url, scratch / "index", "datasets.csv", plain, max_mb=MAX_INDEX_MB, anew=True)
        datasets = read_index(index)
        if not config.dataset:
            rows = [(one.name, one.short_name, one.region, ", ".join(one.annotations)) for one in datasets]
            return LilaListed((f"{len(rows)} data sets at LILA:", *table_lines(("name", "short name", "from", "clouds"), rows)))
        chosen, notes, files = [], [], []
        for dataset in choose(datasets, config.dataset):
            path = _annotations(dataset, config, plain, keep)
            files.append(f"{path}: annotations of {dataset.name}")
            if config.what == "pictures":
                one, said = _subset(dataset, path, config, scratch)
                chosen.append(one)
                notes.append(said)
        if config.what == "annotations":
            return LilaListed(tuple(files))
        total = sum(one.images for one in chosen)
        done = fetch(lambda _: _of_lila(chosen, config.cloud), config, source=", ".join(config.dataset), total=total)
        if not config.dry_run:
            for one in chosen:
                name = one.dataset.short_name
                document = CctDocument.read(one.subset)
                notes.append(write_there(document, config.output_dir / f"{name}_cct.json", config.output_dir, name))
        return Downloaded(done.source, done.folder, done.counts, done.max_failed_share, done.plan, tuple(notes))


def _annotations(dataset: LilaDataset, config: LilaDownloadConfig, plain: LilaDownloadConfig, folder: Path) -> Path:
    """Fetches and unpacks the annotations of a data set; uses those of an earlier run where they are there."""
    urls = dataset.boxes if config.boxes else dataset.annotations
    kind = "file with boxes of its own" if config.boxes else "annotations"
    if config.cloud not in urls:
        raise SourceError(f"{dataset.name}: LILA lists no {kind} on {config.cloud}{suggestion(config.cloud, urls)}")
    name = name_in(urls[config.cloud])
    for place in (folder, config.output_dir):
        there = place / "annotations" / dataset.short_name / f"{Path(name).stem.removesuffix('.json')}.json"
        if there.is_file() and config.existing != "overwrite":
            return there
    target = folder / "annotations" / dataset.short_name
    packed = fetch_one(urls[config.cloud], target, name, plain, max_mb=MAX_PACKED_MB)
    unpacked = unpack(packed, target / f"{Path(name).stem.removesuffix('.json')}.json")
    if unpacked != packed:
        packed.unlink()
    return unpacked


def _subset(dataset: LilaDataset, path: Path, config: LilaDownloadConfig, scratch: Path) -> tuple[_Chosen, str]:
    """Writes the file of the images to fetch, so that only one data set is in memory at a time."""
    if config.cloud not in dataset.pictures:
        clouds = suggestion(config.cloud, dataset.pictures)
        raise SourceError(f"{dataset.name}: LILA lists no pictures on {config.cloud}{clouds}")
    check_base(dataset.pictures[config.cloud], f"--index-url lists for {dataset.name}")
    subset = choose_images(CctDocument.read(path), config)
    chosen = scratch / f"{dataset.short_name}.chosen.json"
    subset.document.write(chosen)
    return _Chosen(dataset, chosen, len(subset.document.images)), f"{dataset.name}: {subset.text()}"


def _of_lila(chosen: list[_Chosen], cloud: str) -> Iterator[Wanted]:
    for one in chosen:
        document = CctDocument.read(one.subset)
        yield from _wanted(document.images, one.dataset.pictures[cloud], "file_name", one.dataset.short_name)
