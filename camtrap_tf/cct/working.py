"""What the tools share: how they name locations and data sets, how entries go, and what they say when they are done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from camtrap_tf.config.cct import CctChangeConfig
from camtrap_tf.errors import SettingError, SourceError, TooManyRejectsError, counted, suggestion
from camtrap_tf.files import check_output_file, check_writable, writable_folder
from camtrap_tf.records import Reject
from camtrap_tf.rejects import reasons_text, rejects_line, rejects_path, write_rejects
from camtrap_tf.sources.cct_document import CctDocument, Entry, text_of
from camtrap_tf.sources.split_files import UNKNOWN_LOCATION

EMPTY = "empty"
EMPTY_NAMES = frozenset(("empty", "blank"))
"""Names, in lower case, of the category of pictures with nothing in them."""

REFUSED_LINE = "no image is left: without --dry-run this is an error and nothing is written"
"""What a dry run says where `check_something_left` would refuse."""


@dataclass(frozen=True, slots=True)
class CctChange:
    """A document that a tool made of another, and what it left out.

    Attributes:
        document: the new one.
        rejects: images, annotations and categories of the old one that are not in it.
        notes: sentences on what was changed.
        advice: what would leave less out, for a message that it is too much; empty where nothing is known.
    """

    document: CctDocument
    rejects: tuple[Reject, ...] = ()
    notes: tuple[str, ...] = ()
    advice: str = ""


@dataclass(frozen=True, slots=True)
class CctWritten:
    """What a command on one file did.

    Attributes:
        source: name of what was read.
        output: what was written.
        read: how many entries were read, per unit.
        change: the new document and what is not in it.
        dry_run: nothing was written.
    """

    source: str
    output: Path
    read: dict[str, int]
    change: CctChange
    dry_run: bool = False

    @property
    def exit_code(self) -> int:
        """That of the command without `--dry-run`, where no image would be left."""
        return SourceError.exit_code if self._refused else 0

    @property
    def _refused(self) -> bool:
        return self.dry_run and bool(self.read["image"]) and not self.change.document.images

    def text(self) -> str:
        """Returns the summary for a person: per unit, in = out + rejected."""
        document, rejects = self.change.document, self.change.rejects
        kept = {"image": document.images, "annotation": document.annotations}
        lines = []
        for unit, entries in kept.items():
            gone = [reject for reject in rejects if reject.unit == unit]
            left_out = f"{len(gone)} left out{reasons_text(gone)}"
            lines.append(f"{self.source}: {counted(self.read[unit], unit)} read = {len(entries)} kept + {left_out}")
        lines += [*document.notes, *self.change.notes]
        lines.append(("would write " if self.dry_run else "") + f"{self.output}: {summary(document)}")
        if self._refused:
            lines.append(REFUSED_LINE)
        if rejects:
            lines.append(rejects_line(self.output, dry_run=self.dry_run))
        return "\n".join(lines)


def run_change(
    config: CctChangeConfig, change: Callable[[CctDocument], CctChange], *, max_rejected_share: float = 1.0
) -> CctWritten:
    """Reads a file, changes it, writes the result and what it left out; nothing of both with `--dry-run`.

    Raises:
        SettingError: the result cannot be written there.
        SourceError: the file cannot be read, or no image of it is left.
        TooManyRejectsError: more annotations are left out than allowed.
    """
    check_output(config.output, (config.path,))
    document = CctDocument.read(config.path)
    done = change(document)
    done = replace(done, rejects=(*document.rejects, *done.rejects))
    if not config.dry_run:
        read = sizes([document])["annotation"]
        check_share(done.rejects, read, max_rejected_share, "annotation", str(config.path), advice=done.advice)
    return finish(done, config.output, read=sizes([document]), source=str(config.path), dry_run=config.dry_run)


def finish(change: CctChange, output: Path, *, read: dict[str, int], source: str, dry_run: bool) -> CctWritten:
    """Writes a document and the list of what is not in it.

    Raises:
        SourceError: images were read, and none is left.
    """
    if not dry_run:
        check_something_left(len(change.document.images), change.rejects, source=source, advice=change.advice)
        writable_folder(output.parent, "--output")
        write_rejects(rejects_path(output), change.rejects)
        change.document.write(output)
    return CctWritten(source, output, read, change, dry_run)


def check_something_left(images: int, rejects: Iterable[Reject], *, source: str, advice: str = "") -> None:
    """Makes sure that a result has images, where any were read.

    Args:
        images: how many are left.
        rejects: what is left out.
        source: names what was read.
        advice: what would leave less out.

    Raises:
        SourceError: none is left; says the reasons.
    """
    if images:
        return
    gone = {unit: [one for one in rejects if one.unit == unit] for unit in ("image", "annotation")}
    if not gone["image"]:
        return
    said = "; ".join(f"{counted(len(found), unit)} left out{reasons_text(found)}" for unit, found in gone.items() if found)
    raise SourceError(
        f"{source}: no image is left: {said}; nothing is written; mend the file or change the options{_after(advice)}"
    )


def _after(advice: str) -> str:
    return f"; {advice}" if advice else ""


def check_share(rejects: Iterable[Reject], whole: int, allowed: float, unit: str, source: str, *, advice: str = "") -> None:
    """Makes sure that no larger share of what was read is left out than allowed.

    Raises:
        TooManyRejectsError: it is; says the reasons.
    """
    gone = [reject for reject in rejects if reject.unit == unit]
    if whole and len(gone) / whole > allowed:
        raise TooManyRejectsError(
            f"{source}: {len(gone)} of {whole} {unit}s are left out{reasons_text(gone)}, more than --max-rejected-share "
            f"{allowed} allows; nothing is written; mend the file or raise the share (--dry-run shows the counts)"
            + _after(advice)
        )


def sizes(documents: Iterable[CctDocument]) -> dict[str, int]:
    """Returns how many images and annotations were read, those that were no objects included."""
    counts = {"image": 0, "annotation": 0}
    for document in documents:
        counts["image"] += len(document.images)
        counts["annotation"] += len(document.annotations)
        for reject in document.rejects:
            if reject.unit in counts:
                counts[reject.unit] += 1
    return counts


def check_output(output: Path, sources: Sequence[Path], *, flag: str = "--output") -> None:
    """Makes sure that a command may and can write a document, or another JSON file, there, before it reads anything.

    Raises:
        SettingError: as `check_output_file`, or nothing can be written there.
    """
    check_output_file(output, flag, suffixes=(".json",), sources=sources)
    check_writable(output.parent, flag)


def summary(document: CctDocument) -> str:
    """Returns how many images, annotations, categories and locations a document has, as a phrase."""
    located = [place_of(image) for image in document.images if has_location(image)]
    bare = len(document.images) - len(located)
    return (
        f"{counted(len(document.images), 'image')}, {counted(len(document.annotations), 'annotation')}, "
        f"{len(document.categories)} {'category' if len(document.categories) == 1 else 'categories'}, "
        + counted(len(set(located)), "location")
        + (f" ({counted(bare, 'image')} without a location)" if bare else "")
    )


def has_location(image: Entry) -> bool:
    """Tells whether an image names a location; `unknown_location`, which tables write for none, is no location."""
    return location_of(image) != UNKNOWN_LOCATION


def location_of(image: Entry) -> str:
    """Returns the location of an image as text; `unknown_location` where it names none."""
    return text_of(image.get("location")) or UNKNOWN_LOCATION


def dataset_of(image: Entry, default: str = "") -> str:
    """Returns the data set that an image names, else the default."""
    return text_of(image.get("dataset")) or default


def place_of(image: Entry, default: str = "") -> tuple[str, str]:
    """Returns data set and location of an image: what splits keep whole."""
    return dataset_of(image, default), location_of(image)


def is_empty_name(name: str | None) -> bool:
    """Tells whether this is the category of pictures with nothing in them."""
    return name is not None and name.strip().lower() in EMPTY_NAMES


def normal_location(location: str) -> str:
    """Returns a location in lower case with `_` for spaces."""
    return location.replace(" ", "_").lower()


def location_in_path(file_name: str, parts: int) -> str | None:
    """Returns the first parts of a path as a location, joined by `/`; None where there are no folders."""
    folders = PurePosixPath(file_name.replace("\\", "/")).parts[:-1]
    return "/".join(folders[:parts]) or None


def with_location_from_path(images: Iterable[Entry], parts: int) -> list[Entry]:
    """Returns images whose location is the first parts of their path; those without folders keep theirs."""
    changed = []
    for image in images:
        location = location_in_path(text_of(image.get("file_name")) or "", parts)
        changed.append(image if location is None else {**image, "location": location})
    return changed


def reject_annotation(annotation: Entry, reason: str, detail: str) -> Reject:
    """Returns why an annotation is left out; its image is the record."""
    return Reject(text_of(annotation.get("image_id")) or "", text_of(annotation.get("id")) or "", "annotation", reason, detail)


def reject_image(image: Entry, reason: str, detail: str) -> Reject:
    """Returns why an image is left out."""
    return Reject(text_of(image.get("id")) or "", text_of(image.get("file_name")) or "", "image", reason, detail)


def without_images_left_bare(document: CctDocument, kept: list[Entry]) -> CctChange:
    """Returns the document with these annotations, and without the images that had some and keep none.

    An image whose annotations were all left out would otherwise look like one that nobody annotated.
    """
    had = {text_of(annotation.get("image_id")) for annotation in document.annotations}
    has = {text_of(annotation.get("image_id")) for annotation in kept}
    images, rejects = [], []
    for image in document.images:
        name = text_of(image.get("id"))
        if name in had and name not in has:
            rejects.append(reject_image(image, "no_annotation_left", "every annotation of it was left out"))
        else:
            images.append(image)
    return CctChange(document.with_parts(images=images, annotations=kept), tuple(rejects))


def check_known(names: Iterable[str], known: Iterable[str], flag: str, what: str) -> None:
    """Makes sure that what a flag names is there.

    Raises:
        SettingError: a name is not among the known ones; says the nearest.
    """
    there = sorted(set(known))
    for name in names:
        if name not in there:
            raise SettingError(f"{flag} {name}: no such {what}{suggestion(name, there)}")
