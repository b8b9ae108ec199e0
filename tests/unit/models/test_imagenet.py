"""ImageNet weights: names, places, and whether they can be had, against Keras and a server of our own."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from camtrap_tf.config.names import KERAS_BACKBONES
from camtrap_tf.models import imagenet

MODULES = ("convnext", "densenet", "efficientnet", "efficientnet_v2", "inception_resnet_v2", "inception_v3", "mobilenet",
           "mobilenet_v2", "mobilenet_v3", "nasnet", "resnet", "xception")  # fmt: skip


class AskedForError(Exception):
    """What Keras would have downloaded."""


@pytest.mark.slow
def test_files_are_those_that_keras_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """For one backbone of each family, address and name in the cache are those that Keras gives to its downloader."""
    from camtrap_tf.models.backbones import build_backbone

    def ask(fname: str, origin: str, **_: Any) -> None:
        """Stands in for the downloader."""
        raise AskedForError(fname, origin)

    for module in MODULES:
        monkeypatch.setattr(f"keras.src.applications.{module}.file_utils", SimpleNamespace(get_file=ask))
    for name in ("ResNet50V2", "MobileNetV2", "MobileNetV3Small", "EfficientNetB0", "EfficientNetV2B0", "ConvNeXtTiny",
                 "NASNetLarge"):  # fmt: skip
        side = KERAS_BACKBONES[name]
        with pytest.raises(Exception, match="out of reach") as raised:
            build_backbone(name, height=side, width=side, weights="imagenet")
        asked = raised.value.__cause__
        assert isinstance(asked, AskedForError)
        assert asked.args == (imagenet.file_of(name), imagenet.address_of(name))


def test_every_backbone_of_keras_has_a_file() -> None:
    """There is an address for each, and no two are the same."""
    assert len({imagenet.address_of(name) for name in KERAS_BACKBONES}) == len(KERAS_BACKBONES)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A server that has the weights of MobileNetV2 alone, and an empty cache."""

    class Files(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            """Says whether it has a file."""
            self.send_response(200 if "mobilenet_v2" in self.path else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(imagenet, "_HOST", f"http://127.0.0.1:{server.server_port}/")
    yield imagenet._HOST
    server.shutdown()
    server.server_close()


def test_what_the_server_has_is_within_reach(host: str) -> None:
    """A file that the server has can be had; one that it does not have cannot."""
    assert imagenet.address_of("MobileNetV2").startswith(host)
    assert imagenet.within_reach("MobileNetV2")
    assert not imagenet.within_reach("Xception")


@pytest.mark.usefixtures("host")
def test_what_is_in_the_cache_is_within_reach() -> None:
    """A file in Keras' folder need not be downloaded."""
    imagenet.folder().mkdir()
    (imagenet.folder() / "nasnet_mobile_no_top.h5").write_bytes(b"")
    assert imagenet.within_reach("NASNetMobile")
    assert not imagenet.within_reach("Xception")


def test_a_silent_resolver_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where nothing answers, the answer is no after the time allowed."""
    silent = threading.Event()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(imagenet, "_there", lambda *_: silent.wait(20))
    assert not imagenet.within_reach("MobileNetV2", timeout_s=0.05)
    silent.set()
