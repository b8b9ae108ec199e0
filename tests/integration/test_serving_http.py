"""`camtrap serve` as a process of its own, asked over a real connection."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from camtrap_tf.config.delivery import ExportConfig
from tests.factories import make_jpeg

COMMAND = "import sys; from camtrap_tf.cli.main import main; sys.exit(main())"


class Service:
    """A running `camtrap serve`."""

    def __init__(self, models: Path, *flags: str) -> None:
        command = [sys.executable, "-c", COMMAND, "serve", "--saved-model", str(models), *flags]
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        self.lines: list[str] = []
        self.address = ""
        for line in self.process.stderr:
            self.lines.append(line)
            if found := re.search(r"Serving .* on (http://\S+)", line):
                self.address = found[1]
                break

    def stop(self) -> tuple[int, str, str]:
        """Sends SIGTERM; returns exit code, stdout and the rest of stderr."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, "".join(self.lines) + err


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of versions with one export."""
    from camtrap_tf.export.exporting import export
    from tests.unit.export.support import write_bundle

    folder = tmp_path_factory.mktemp("models")
    export(ExportConfig(model=write_bundle(folder / "bundle"), output_dir=folder / "savanna"))
    return folder / "savanna"


@pytest.fixture(scope="module")
def service(models: Path) -> Iterator[Service]:
    """The service on a free port."""
    running = Service(models, "--port", "0", "--max-upload-mb", "1", "--max-images", "3")
    assert running.address, "".join(running.lines)
    yield running
    running.stop()


def test_a_real_multipart_request_is_answered(service: Service) -> None:
    """Health says ok, and two pictures sent as an HTTP client sends them come back as named classes."""
    assert httpx.get(f"{service.address}/health").json()["status"] == "ok"
    files = [("image", (f"IMG {seed}.JPG", make_jpeg(400, 300, seed=seed), "image/jpeg")) for seed in (1, 2)]
    reply = httpx.post(f"{service.address}/identify", files=files, data={"label": "species", "nb_results": "2"}).json()
    assert {result["name"] for result in reply["results"]} < {"blank", "impala", "zebra"}
    assert reply["results"][0]["score"] >= reply["results"][1]["score"] > 0
    assert reply["model"]["version"] == "1"
    assert "camtrap_pictures_total 2.0" in httpx.get(f"{service.address}/metrics").text


def test_an_upload_without_end_is_cut_off(service: Service) -> None:
    """A chunked upload over the limit gets its 413 while it still sends; the service lives on."""

    def chunks() -> Iterator[bytes]:
        """Yields an upload of 3 MB, piece by piece."""
        yield b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        for _ in range(60):
            yield b"x" * 50_000

    headers = {"content-type": "multipart/form-data; boundary=b"}
    reply = httpx.post(f"{service.address}/identify", content=chunks(), headers=headers, timeout=30)
    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "too_large")
    assert httpx.get(f"{service.address}/health").status_code == 200


def test_bytes_that_are_not_http_do_no_harm(service: Service) -> None:
    """A client that speaks something else, or hangs up half-way, leaves the service as it was."""
    host, port = service.address.removeprefix("http://").split(":")
    for data in (b"\x16\x03\x01\0\xff" * 50, b"POST /identify HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nabc", b""):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(data)
    assert httpx.get(f"{service.address}/health").status_code == 200


def test_a_second_service_on_the_port_is_one_line(service: Service, models: Path) -> None:
    """The port in use is said in one line with exit code 2, before the model is loaded."""
    second = Service(models, "--port", service.address.rpartition(":")[2])
    code, out, err = second.stop()
    assert (code, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
    assert "another program listens there already" in err


def test_sigterm_ends_it_in_order(models: Path) -> None:
    """SIGTERM: exit code 0, a closing line, no traceback."""
    running = Service(models, "--port", "0")
    httpx.post(f"{running.address}/identify", files={"image": make_jpeg()})
    code, out, err = running.stop()
    assert code == 0
    assert out.strip() == f"Stopped serving on {running.address}; 1 picture was identified."
    assert "Traceback" not in err
