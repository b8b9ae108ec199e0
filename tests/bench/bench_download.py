"""Downloads against `curl --parallel`, from a local server that gives each connection 2 MB/s and makes it wait 50 ms a request.

Also CPU seconds per file, and memory with eight times as many files.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

CONNECTIONS = 16
BYTES_PER_S = 2_000_000
LATENCY_S = 0.05
FILES, FILE_BYTES = 160, 1_000_000
ROUNDS = 2
SMALL_FILES, TIMES, SMALL_BYTES = 500, 8, 2_000
LEAST_RATIO = 0.9
MOST_GROWTH_MB = 16.0
JPEG = b"\xff\xd8\xff\xe0"
PIECE = 50_000


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serves `/<bytes>/<anything>` at the speed of a poor line; paths that begin with /fast/ come at once."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode()
            fast = path.startswith("/fast/")
            size = int(path.removeprefix("/fast").split("/")[1])
            await asyncio.sleep(0 if fast else LATENCY_S)
            body = JPEG + bytes(size - len(JPEG))
            writer.write(
                f'HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nContent-Type: image/jpeg\r\nETag: "{size}"\r\n\r\n'.encode()
            )
            began = time.monotonic()
            for start in range(0, size, PIECE):
                writer.write(body[start : start + PIECE])
                await writer.drain()
                behind = began + min(start + PIECE, size) / BYTES_PER_S - time.monotonic()
                if not fast and behind > 0:
                    await asyncio.sleep(behind)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


def serve(pipe: Connection) -> None:
    """Runs the server; sends its port."""

    async def run() -> None:
        """Serves until the process is ended."""
        server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=256)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def with_curl(urls: list[str], folder: Path) -> tuple[float, float]:
    """Returns wall and CPU seconds of curl."""
    lines = [f'url = "{url}"\noutput = "{folder}/{number}.jpg"\n' for number, url in enumerate(urls)]
    settings = folder / "curl.txt"
    settings.write_text("".join(lines))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    flags = ["--no-progress-meter", "--fail", "--parallel", "--parallel-max", str(CONNECTIONS), "--config", str(settings)]
    subprocess.run(["curl", *flags], check=True)
    wall = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ours(urls: list[str], folder: Path) -> dict[str, float]:
    """Returns wall and CPU seconds and peak memory (MB) of our download, in a process of its own."""
    (folder / "urls.txt").write_text("\n".join(urls))
    done = subprocess.run([sys.executable, __file__, "one", str(folder)], check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def one(folder: Path) -> None:
    """Downloads the list of a folder and prints what it took; what is imported beforehand is not counted."""
    from camtrap_tf.acquire.downloading import download_urls
    from camtrap_tf.config.download import UrlsDownloadConfig

    config = UrlsDownloadConfig(
        path=folder / "urls.txt", output_dir=folder / "out", connections=CONNECTIONS, per_host=CONNECTIONS
    )
    wall, cpu = time.monotonic(), time.process_time()
    done = download_urls(config)
    figures = {
        "wall": time.monotonic() - wall,
        "cpu": time.process_time() - cpu,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "fetched": done.counts.fetched,
    }
    print(json.dumps(figures))


def compare_with_curl(base: str, folder: Path) -> bool:
    """Prints the comparison, best of some rounds each; returns whether it is good enough."""
    if shutil.which("curl") is None:
        print("skip comparison with curl --parallel: curl is not installed")
        return True
    urls = [f"{base}/{FILE_BYTES}/{number}.jpg" for number in range(FILES)]
    best_curl, best_ours = (float("inf"), 0.0), {"wall": float("inf")}
    for number in range(ROUNDS):
        for name in ("curl", "ours"):
            (folder / f"{name}{number}").mkdir()
        best_curl = min(best_curl, with_curl(urls, folder / f"curl{number}"))
        best_ours = min(best_ours, ours(urls, folder / f"ours{number}"), key=lambda figures: figures["wall"])
        sizes = [path.stat().st_size for path in (folder / f"ours{number}" / "out").rglob("*.jpg")]
        if sizes != [FILE_BYTES] * FILES:
            print(f"FAIL {len(sizes)} files arrived of {FILES}")
            return False
        shutil.rmtree(folder / f"curl{number}")
        shutil.rmtree(folder / f"ours{number}")
    ratio = best_curl[0] / best_ours["wall"]
    megabytes = FILES * FILE_BYTES / 1e6
    print(
        f"{'ok  ' if ratio >= LEAST_RATIO else 'FAIL'} {FILES} files of {FILE_BYTES / 1e6:g} MB, {CONNECTIONS} connections: "
        f"{megabytes / best_ours['wall']:.1f} MB/s, curl --parallel {megabytes / best_curl[0]:.1f} MB/s: "
        f"ratio {ratio:.2f} (goal {LEAST_RATIO:g})"
    )
    print(f"     CPU per file: {best_ours['cpu'] / FILES * 1e3:.2f} ms, curl {best_curl[1] / FILES * 1e3:.2f} ms")
    return ratio >= LEAST_RATIO


def compare_memory(base: str, folder: Path) -> bool:
    """Prints peak memory for few and for many files; returns whether it is about the same."""
    peaks, cpu = [], 0.0
    for number, count in enumerate((SMALL_FILES, SMALL_FILES * TIMES)):
        (folder / f"memory{number}").mkdir()
        figures = ours([f"{base}/fast/{SMALL_BYTES}/{n}.jpg" for n in range(count)], folder / f"memory{number}")
        peaks.append(figures["peak_mb"])
        cpu = figures["cpu"] / count
        if figures["fetched"] != count:
            print(f"FAIL {figures['fetched']} files arrived of {count}")
            return False
    good = peaks[1] - peaks[0] <= MOST_GROWTH_MB
    print(
        f"{'ok  ' if good else 'FAIL'} peak memory: {peaks[0]:.0f} MB for {SMALL_FILES} files, {peaks[1]:.0f} MB for "
        f"{SMALL_FILES * TIMES} (goal: at most {MOST_GROWTH_MB:g} MB more); CPU per small file: {cpu * 1e3:.2f} ms"
    )
    return good


def main() -> int:
    """Prints both comparisons; returns 1 if one falls short."""
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    server.start()
    base = f"http://127.0.0.1:{here.recv()}"
    try:
        with tempfile.TemporaryDirectory(prefix="camtrap-bench-") as folder:
            good = [compare_with_curl(base, Path(folder)), compare_memory(base, Path(folder))]
    finally:
        server.terminate()
    return 0 if all(good) else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["one"]:
        one(Path(sys.argv[2]))
    else:
        sys.exit(main())
