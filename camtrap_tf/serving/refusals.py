"""Why the service does not answer a request: an HTTP status, a short code for programs, and one line for people."""

from __future__ import annotations

from typing import Any

from camtrap_tf.errors import CamtrapError, PictureError

PICTURE_STATUS: dict[str, int] = {"not_a_picture": 415, "too_many_pixels": 413}
"""HTTP status per reason of a `PictureError`; every other reason is 400."""


class RefusedError(CamtrapError):
    """A request that is answered with an error.

    Attributes:
        status: HTTP status, 4xx or 5xx.
        code: reason for programs and metrics, e.g. `too_many_images`; from a small fixed set.
        image: which picture is meant, counted from 0 in the order they were sent; None: the request as a whole.
    """

    def __init__(self, status: int, code: str, message: str, *, image: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = " ".join(message.split())
        self.image = image

    @classmethod
    def of_picture(cls, error: PictureError, image: int) -> RefusedError:
        """Returns the refusal for a picture that cannot be used."""
        return cls(PICTURE_STATUS.get(error.reason, 400), error.reason, error.detail, image=image)

    def as_json(self) -> dict[str, Any]:
        """Returns the body of the reply."""
        return error_body(self.code, self.message, image=self.image)


def error_body(code: str, message: str, *, image: int | None = None) -> dict[str, Any]:
    """Returns the body that every error reply has: `{"error": {"code", "message", "image"}}`."""
    return {"error": {"code": code, "message": message, "image": image}}
