"""Sockets and addresses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from camtrap_tf.config.delivery import ServeConfig
from camtrap_tf.errors import ModelError, SettingError
from camtrap_tf.serving.app import serve
from camtrap_tf.serving.server import open_socket
from camtrap_tf.serving.uploads import Limits


def test_port_zero_is_a_free_one() -> None:
    """The address names the port that was found."""
    listening, address = open_socket("127.0.0.1", 0)
    with listening:
        assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d+", address)


def test_a_port_in_use_is_one_line() -> None:
    """A second service on the same port is told which flag to change, and ends with exit code 2."""
    listening, address = open_socket("127.0.0.1", 0)
    with listening:
        port = int(address.rpartition(":")[2])
        with pytest.raises(SettingError, match=f"--port {port}: another program listens there") as caught:
            open_socket("127.0.0.1", port)
        assert caught.value.exit_code == 2
    again, _ = open_socket("127.0.0.1", port)
    again.close()


@pytest.mark.parametrize("host", ["no such host", "203.0.113.7", "a" * 300, "127.0.0.1.5"])
def test_addresses_of_others_are_refused(host: str) -> None:
    """A host that is no address, or not of this machine, is one line that names the flag."""
    with pytest.raises(SettingError, match="--host"):
        open_socket(host, 0)


def test_serve_without_an_export_gives_the_port_back(tmp_path: Path) -> None:
    """A missing export ends `serve` before it answers anything."""
    with pytest.raises(ModelError, match="make an export first"):
        serve(ServeConfig(saved_model=tmp_path, port=0))


def test_limits_come_from_the_settings() -> None:
    """Megabytes become bytes; pictures and pixels are taken over."""
    limits = Limits.from_config(ServeConfig(saved_model=Path("x"), max_upload_mb=3, max_images=2, max_pixels=5))
    assert (limits.max_bytes, limits.max_images, limits.max_pixels) == (3_000_000, 2, 5)
