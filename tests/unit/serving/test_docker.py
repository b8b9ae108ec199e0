"""The container files, as far as they can be checked without a container engine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from camtrap_tf.cli.main import parse

ROOT = Path(__file__).resolve().parents[3]
DOCKERFILES = sorted((ROOT / "docker").glob("Dockerfile.*"))
COMPOSE = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8"))


def instructions(file: Path) -> list[tuple[str, str]]:
    """Returns the instructions of a Dockerfile: word and rest, continued lines joined."""
    text = re.sub(r"\\\n\s*", " ", file.read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def last(file: Path, word: str) -> str:
    """Returns the last instruction of a kind, which is the one that counts."""
    return [rest for name, rest in instructions(file) if name == word][-1]


@contextmanager
def answering(status: int, body: bytes, port: int = 0) -> Iterator[int]:
    """Runs an HTTP server that gives one answer to everything; yields its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answers as told."""
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.name)
def test_copied_files_exist(file: Path) -> None:
    """Whatever the build copies from the checkout is there."""
    copies = [rest.split()[:-1] for name, rest in instructions(file) if name == "COPY" and not rest.startswith("--from")]
    assert copies
    assert all((ROOT / source).exists() for sources in copies for source in sources)


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.name)
def test_images_do_not_run_as_root(file: Path) -> None:
    """The user that is in force at the end is not root."""
    assert last(file, "USER") == "camtrap"


def test_the_flags_of_the_service_image_are_flags_of_serve() -> None:
    """ENTRYPOINT and CMD make a command line that `camtrap` understands, and the health check asks its port."""
    file = ROOT / "docker" / "Dockerfile.serving"
    command = [*json.loads(last(file, "ENTRYPOINT")), *json.loads(last(file, "CMD"))]
    assert command[0] == "camtrap"
    config = parse(command[1:]).config
    assert (config.host, config.port) == ("0.0.0.0", 8080)
    assert "127.0.0.1:8080/health" in last(file, "HEALTHCHECK")
    volumes = COMPOSE["services"]["service"]["volumes"]
    assert [volume.rsplit(":", 2)[1] for volume in volumes] == [str(config.saved_model)]


def test_mounts_of_compose_exist_and_are_read_only() -> None:
    """The batching settings are where compose looks for them; nothing can be written through a mount."""
    serving = COMPOSE["services"]["tf-serving"]
    assert all(volume.endswith(":ro") for service in COMPOSE["services"].values() for volume in service["volumes"])
    mounted = [volume.split(":") for volume in serving["volumes"] if volume.startswith("./")]
    assert [(ROOT / "docker" / source).is_file() for source, *_ in mounted] == [True]
    assert f"--batching_parameters_file={mounted[0][1]}" in serving["command"]


def test_batching_settings_are_well_formed() -> None:
    """Each line is a comment or `name { value: number }` with a name that TensorFlow Serving knows."""
    lines = (ROOT / "docker" / "batching.config").read_text(encoding="utf-8").splitlines()
    settings = [re.fullmatch(r"(\w+) \{ value: (\d+) \}", line) for line in lines if not line.startswith("#")]
    known = {"max_batch_size", "batch_timeout_micros", "num_batch_threads", "max_enqueued_batches"}
    assert {setting[1] for setting in settings} == known


def status_of(command: list[str], port: int, changed: str) -> bool:
    """Runs a health check against another port."""
    return (
        subprocess.run([part.replace(changed, str(port)) for part in command], capture_output=True, check=False).returncode == 0
    )


@pytest.mark.parametrize("check", ["service", "tf-serving"])
def test_health_checks_tell_healthy_from_sick(check: str) -> None:
    """Both health checks pass for the answer of a healthy server, and fail for errors and for nobody there."""
    if check == "service":
        command = json.loads(last(ROOT / "docker" / "Dockerfile.serving", "HEALTHCHECK").partition("CMD ")[2])
        command[0], port, good = sys.executable, "8080", b'{"status": "ok"}'
    else:
        command = COMPOSE["services"]["tf-serving"]["healthcheck"]["test"][1:]
        port, good = "8501", b'{"model_version_status": [{"version": "1", "state": "AVAILABLE"}]}'
    with answering(200, good) as healthy:
        assert status_of(command, healthy, port)
    with answering(503, b'{"error": "UNAVAILABLE"}') as sick:
        assert not status_of(command, sick, port)
    assert not status_of(command, sick, port)
