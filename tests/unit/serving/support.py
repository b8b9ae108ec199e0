"""A backend without TensorFlow, and multipart bodies made by hand."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from camtrap_tf.images.stored_form import StoredForm
from camtrap_tf.serving.backends import ModelCard

CLASSES = {"species": ("blank", "impala", "zebra"), "count": ("1", "2")}


class FakeBackend:
    """Answers from the length of the pictures it was given; remembers them."""

    def __init__(self, answers: dict[str, np.ndarray] | None = None) -> None:
        self.card = ModelCard(
            name="fake", version="7", model_sha256="d" * 64, classes=CLASSES, stored_form=StoredForm(side_smallest_px=32)
        )
        self.answers = answers
        self.seen: list[bytes] = []
        self.thread: threading.Thread | None = None

    def probabilities(self, pictures: Sequence[bytes]) -> dict[str, np.ndarray]:
        """Returns fixed answers, or for every picture the same."""
        self.seen = list(pictures)
        self.thread = threading.current_thread()
        if self.answers is not None:
            return self.answers
        rows = len(pictures)
        return {
            "species": np.tile(np.float32([0.1, 0.2, 0.7]), (rows, 1)),
            "count": np.tile(np.float32([0.75, 0.25]), (rows, 1)),
        }


BOUNDARY = "----camtrap"


def part(name: str, content: bytes, *, filename: str | None = None) -> bytes:
    """Returns one part of a multipart body."""
    file = f'; filename="{filename}"' if filename is not None else ""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode() + content + b"\r\n"


def body(*parts: bytes) -> bytes:
    """Returns a whole multipart body."""
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


HEADERS = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
