"""What is to be fetched: a URL, the file it becomes, and what is known of it. Read from lists, or from `failed.csv`.

URLs and names come from others. A name never leads out of the folder it is for, and only http, https and object stores are
spoken to. Private addresses are not refused: the list is the user's own, and so may be the network.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from camtrap_tf.errors import SourceError
from camtrap_tf.files import join_inside, path_hint, unreadable

HTTP = ("http", "https")
OBJECT_STORES = ("s3", "gs", "gcs", "az", "abfs")
FAILED_COLUMNS = ("id", "url", "path", "reason", "detail", "size", "sha256", "md5")

PICTURE_SUFFIX = ".jpg"
"""What pictures get whose URL has no suffix: nearly all are JPEGs, and readers look at the bytes."""

MAX_URL = 8192
MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 3000
RESERVED = (".partial", "failed.csv")
"""Names at the top of the output folder that are the download's own."""

_ODD = re.compile(r'[\x00-\x1f\x7f\\/:*?"<>|]')
_DIGESTS = {"sha256": re.compile(r"[0-9a-f]{64}"), "md5": re.compile(r"[0-9a-f]{32}")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A file to fetch.

    Attributes:
        url: where it is.
        path: what it becomes, relative to the output folder.
        id: what it belongs to, for the list of failures.
        size: bytes it has, where known.
        sha256: its digest in hexadecimal, where known.
        md5: its digest in hexadecimal, where known.
    """

    url: str
    path: str
    id: str = ""
    size: int | None = None
    sha256: str | None = None
    md5: str | None = None

    def row(self, reason: str, detail: str) -> tuple[object, ...]:
        """Returns its row in `failed.csv`, in the order of `FAILED_COLUMNS`."""
        size = "" if self.size is None else self.size
        return (self.id, self.url, self.path, reason, detail, size, self.sha256 or "", self.md5 or "")


def shown(url: str) -> str:
    """Returns a URL for messages: without the user and the query, which may hold secrets, and not too long."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        text = urlunsplit((parts.scheme, host, parts.path, "", ""))
    except ValueError:
        text = url.partition("?")[0]
    return text if len(text) <= 200 else text[:199] + "…"


def url_problem(url: str) -> str | None:
    """Returns what is wrong with a URL, or None."""
    if not url:
        return "there is none"
    if len(url) > MAX_URL:
        return f"has {len(url)} characters"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as err:
        return str(err)
    if parts.scheme.lower() not in HTTP + OBJECT_STORES:
        return f"its scheme {parts.scheme[:20]!r} is none of {', '.join(HTTP + OBJECT_STORES)}"
    if not host:
        return "names no server"
    return "holds control characters" if re.search(r"[\x00-\x20\x7f]", url) and parts.scheme.lower() in HTTP else None


def safe_path(path: str) -> str:
    """Returns a path relative to the output folder in plain form, `/` between its parts.

    Raises:
        ValueError: it leads out of the folder, is too long, or is a name that the download keeps for itself.
    """
    plain = join_inside(Path(), path).as_posix()
    parts = PurePosixPath(plain).parts
    if not parts:
        raise ValueError("path is empty")
    if parts[0].lower() in RESERVED:
        raise ValueError(f"path begins with {parts[0]!r}, a name of the download's own files")
    try:
        long = max(len(part.encode()) for part in parts) > MAX_NAME_BYTES or len(plain.encode()) > MAX_PATH_BYTES
    except UnicodeEncodeError as err:
        raise ValueError("path holds half of a surrogate pair, which is no character") from err
    if long:
        raise ValueError("path is too long for a file system")
    return plain


def path_of_url(url: str, *, suffix: str = "") -> str:
    """Returns the path that a URL without a name of its own becomes: server, folders, name.

    What file systems do not like is replaced; where that or a query leaves something out, a digest of the URL tells names
    apart.

    Args:
        url: the URL.
        suffix: what a name gets that has none, as in `https://…/assets/07840dcc/file`; programs find pictures by it.
    """
    parts = urlsplit(url)
    names = [unquote(part) for part in parts.path.split("/") if part not in ("", ".", "..")] or ["index"]
    cleaned = [plain_name(name) for name in (parts.netloc.rpartition("@")[2], *names)]
    if parts.query or parts.fragment or cleaned[1:] != names:
        last = PurePosixPath(cleaned[-1])
        digest = hashlib.sha256(url.encode("utf-8", "replace")).hexdigest()[:12]
        cleaned[-1] = f"{last.stem[:150]}_{digest}{last.suffix[:20]}"
    if suffix and not PurePosixPath(cleaned[-1]).suffix:
        cleaned[-1] += suffix
    return "/".join(cleaned)


def plain_name(name: str) -> str:
    """Returns a name as one that every file system takes: `_` for what they do not like, at most 200 bytes."""
    cleaned = _ODD.sub("_", name).strip() or "_"
    cleaned = "_" if set(cleaned) == {"."} else cleaned
    return cleaned.encode("utf-8", "replace")[:200].decode("utf-8", "ignore")


def join_url(base: str, key: str) -> str:
    """Returns the URL of a key below a base; a query of the base, such as a shared access signature, stays at the end.

    Args:
        base: URL of the folder, with or without a slash at its end.
        key: path below it, not quoted.
    """
    parts = urlsplit(base)
    key = key.lstrip("/")
    if parts.scheme.lower() in OBJECT_STORES:
        return f"{base.rstrip('/')}/{key}"
    quoted = quote(key.encode("utf-8", "replace"), safe="/!$&'()*+,;=:@~")
    return urlunsplit((parts.scheme, parts.netloc, f"{parts.path.rstrip('/')}/{quoted}", parts.query, ""))


def is_url(text: str) -> bool:
    """Tells whether a text is a URL rather than a path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text) is not None


def read_list(path: Path, base_url: str | None = None, *, suffix: str = "") -> Iterator[Wanted]:
    """Yields what a list asks for: a CSV with a column `url`, or a text with one URL a line.

    A CSV may have the columns path, id, size, sha256 and md5 too; `failed.csv` is such a list. Lines are read one by one.

    Args:
        path: the list; it is a CSV where its name ends in .csv.
        base_url: put before entries that are no URLs.
        suffix: what names get that have none, where the list names no path.

    Raises:
        SourceError: it cannot be read, has no column `url`, or a cell of it is no number or digest.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = _rows(file, path) if path.suffix.lower() == ".csv" else _lines(file)
            for row in rows:
                yield _wanted(row, base_url, path, suffix)
    except FileNotFoundError as err:
        raise SourceError(f"{path}: no such list{path_hint(path)}") from err
    except OSError as err:
        raise SourceError(f"{path}: {unreadable(err, 'list of URLs')}") from err
    except (UnicodeDecodeError, csv.Error) as err:
        raise SourceError(f"{path}: cannot be read as a list of URLs: {err}") from err


def count_list(path: Path) -> int:
    """Returns how many entries a list has.

    Raises:
        SourceError: it cannot be read.
    """
    return sum(1 for _ in read_list(path))


def _rows(file: Iterator[str], path: Path) -> Iterator[dict[str, str]]:
    reader = csv.DictReader(file)
    if "url" not in (reader.fieldnames or ()):
        raise SourceError(f"{path}: has no column 'url' in its first line; a list of URLs needs one")
    for row in reader:
        cells = {key: value.strip() for key, value in row.items() if isinstance(key, str) and isinstance(value, str)}
        if any(cells.values()):
            yield cells


def _lines(file: Iterator[str]) -> Iterator[dict[str, str]]:
    for line in file:
        text = line.strip()
        if text and not text.startswith("#"):
            yield {"url": text}


def _wanted(row: dict[str, str], base_url: str | None, path: Path, suffix: str) -> Wanted:
    entry = row.get("url", "")
    below = base_url is not None and not is_url(entry)
    url = join_url(base_url, entry) if below and base_url is not None else entry
    return Wanted(
        url=url,
        path=row.get("path") or (entry if below else path_or_empty(url, suffix)),
        id=row.get("id", ""),
        size=_size(row.get("size", ""), path),
        sha256=_digest(row.get("sha256", ""), "sha256", path),
        md5=_digest(row.get("md5", ""), "md5", path),
    )


def path_or_empty(url: str, suffix: str = PICTURE_SUFFIX) -> str:
    """Returns the path of a URL; an empty one for what is no URL, which is listed as failed later."""
    return "" if url_problem(url) else path_of_url(url, suffix=suffix)


def _size(text: str, path: Path) -> int | None:
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise SourceError(f"{path}: size {text[:30]!r} is not a whole number of bytes")
    return int(text)


def _digest(text: str, kind: str, path: Path) -> str | None:
    if not text:
        return None
    if not _DIGESTS[kind].fullmatch(text.lower()):
        raise SourceError(f"{path}: {kind} {text[:30]!r} is not a digest in hexadecimal")
    return text.lower()
