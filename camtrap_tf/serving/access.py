"""Who may ask: keys from a file, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request

from camtrap_tf.errors import SettingError
from camtrap_tf.serving.refusals import RefusedError

KEY_PARAMETER = "api-key"
"""Query parameter that clients of the c4c protocol send."""
KEY_HEADER = "x-api-key"
LEAST_LENGTH = 16
MOST_BYTES = 1 << 20
"""A larger file is not a list of keys."""


@dataclass(frozen=True, slots=True)
class ApiKeys:
    """The keys that open the service; with none of them it is open to all.

    Attributes:
        digests: SHA-256 of each key; the keys themselves are not kept.
    """

    digests: tuple[bytes, ...] = ()

    @classmethod
    def read(cls, path: Path | None) -> ApiKeys:
        """Reads a text file with a key a line; empty lines and those that begin with # are skipped.

        Raises:
            SettingError: the file cannot be read, has no key, or one that is too short or has blanks in it.
        """
        if path is None:
            return cls()
        try:
            if path.stat().st_size > MOST_BYTES:
                raise SettingError(f"--api-keys {path}: larger than 1 MiB; it should have a key a line")
            lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        except OSError as err:
            raise SettingError(f"--api-keys {path}: cannot be read: {err.strerror}") from err
        except UnicodeDecodeError as err:
            raise SettingError(f"--api-keys {path}: is not UTF-8 text; it should have a key a line") from err
        keys = [(number, line) for number, line in enumerate(lines, 1) if line and not line.startswith("#")]
        if not keys:
            raise SettingError(f"--api-keys {path}: has no key; write one a line, or leave the setting out")
        for number, key in keys:
            if len(key) < LEAST_LENGTH or not key.isprintable() or " " in key:
                raise SettingError(
                    f"--api-keys {path}, line {number}: a key has {LEAST_LENGTH} or more characters and no blanks"
                )
        return cls(tuple(_digest(key) for _, key in keys))

    def check(self, request: Request) -> None:
        """Lets a request pass that brings a key: `api-key` in the query, or the header `X-API-Key` or `Authorization: Bearer`.

        Raises:
            RefusedError: it brings none (401) or another one (403).
        """
        if not self.digests:
            return
        given = request.query_params.get(KEY_PARAMETER) or request.headers.get(KEY_HEADER) or _bearer(request)
        if not given:
            message = "this service needs a key: ?api-key=…, or the header X-API-Key or Authorization: Bearer …"
            raise RefusedError(401, "no_key", message)
        digest = _digest(given)
        # All are compared, so that the time taken tells nothing.
        if not sum(hmac.compare_digest(digest, known) for known in self.digests):
            raise RefusedError(403, "bad_key", "the key is not one of this service's")


def _digest(key: str) -> bytes:
    """Returns the SHA-256 of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _bearer(request: Request) -> str:
    """Returns the token of an `Authorization: Bearer` header, or nothing."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
