"""A download that is killed in the middle, and run again."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.servers import Site, picture, send_file, serving

SMALL = {f"/{n}.jpg": picture(str(n), 2000) for n in range(30)}
LARGE = picture("large", 3_000_000)


def slowly(request: Any, handler: Any) -> None:
    """Sends the first time at 0.5 MB/s, later at once."""
    if request.count > 1:
        send_file(handler, request, LARGE)
        return
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(LARGE)))
    handler.send_header("ETag", f'"{hashlib.md5(LARGE).hexdigest()}"')
    handler.end_headers()
    for start in range(0, len(LARGE), 50_000):
        handler.wfile.write(LARGE[start : start + 50_000])
        time.sleep(0.1)


def test_a_killed_download_is_completed_by_the_next(tmp_path: Path) -> None:
    """After kill -9 the same command asks for no finished file again, and goes on within the large one."""
    with serving(Site(files=dict(SMALL), answers={"/large.jpg": slowly})) as site:
        urls = tmp_path / "urls.txt"
        urls.write_text("\n".join(site.url + path for path in ["/large.jpg", *SMALL]))
        command = [
            sys.executable,
            "-m",
            "camtrap_tf.cli.main",
            "download",
            "urls",
            str(urls),
            "--output-dir",
            str(tmp_path / "out"),
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            parts = list((tmp_path / "out" / ".partial").glob("*.part"))
            if parts and max(part.stat().st_size for part in parts) > 1_000_000 and len(site.counts) == 31:
                break
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert not list((tmp_path / "out").rglob("large.jpg"))
        site.requests.clear()
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        assert "31 files = 1 fetched + 30 there already + 0 failed" in done.stdout
        (folder,) = [path for path in (tmp_path / "out").iterdir() if path.name != ".partial"]
        assert {f"/{path.name}": path.read_bytes() for path in folder.iterdir()} == {**SMALL, "/large.jpg": LARGE}
        asked = site.asked("/large.jpg")
        assert len(asked) == 1
        assert int(asked[0].headers["range"].removeprefix("bytes=").rstrip("-")) > 500_000
        assert {one.path for one in site.requests} == {"/large.jpg"}
