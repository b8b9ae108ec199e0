"""Cropping: pictures per CPU-second of `camtrap crop` against decoding each picture once and encoding its crops, alone.

Everything is a ratio of things measured in this run, the median of several rounds. The command runs in a process of its own,
over few and over many pictures, of which the difference counts: start-up cancels out. The loop runs beside it for as long, so
that whatever else the machine does slows both. It knows the windows before and keeps files out; the command reads the
pictures, names, checks, marks and writes every crop.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import simplejpeg

SHARED = Path(os.environ.get("CAMTRAP_SHARED", Path(__file__).resolve().parents[3] / "shared"))
PICTURES = SHARED / "data" / "cct20_21images" / "images"
COPIES_SMALL, COPIES_LARGE = 2, 32
ROUNDS = 5
LOOP = "--loop"
QUALITY = 90
BOXES = ((0.1, 0.2, 0.3, 0.3), (0.55, 0.4, 0.2, 0.35))
"""Two animals a picture, of about a third of its sides."""
LEAST = 0.8

CROP = """
import sys
from pathlib import Path
from camtrap_tf.config.crop import CropConfig
from camtrap_tf.curation.cropping import crop
if __name__ == "__main__":
    path, root, output = map(Path, sys.argv[1:4])
    done = crop(CropConfig(path=path, image_root=root, output_dir=output, workers=1))
    assert done.made == int(sys.argv[4]), done.text()
"""


def windows(width: int, height: int) -> list[tuple[int, int, int]]:
    """Returns the square windows of the boxes: x, y, side."""
    found = []
    for x, y, w, h in BOXES:
        side = round(max(w * width, h * height))
        left = min(max(round(x * width) - (side - round(w * width)) // 2, 0), width - side)
        top = min(max(round(y * height) - (side - round(h * height)) // 2, 0), height - side)
        found.append((left, top, side))
    return found


def loop() -> int:
    """Prints the CPU seconds per picture of decoding once and encoding the crops, in memory, until stdin is closed."""
    files = [path.read_bytes() for path in sorted(PICTURES.glob("*.jpg"))]

    def cut(data: bytes) -> int:
        """Decodes a picture and encodes its crops."""
        pixels = simplejpeg.decode_jpeg(data, "RGB")
        size = 0
        for x, y, side in windows(pixels.shape[1], pixels.shape[0]):
            crop = np.ascontiguousarray(pixels[y : y + side, x : x + side])
            size += len(simplejpeg.encode_jpeg(crop, QUALITY, "RGB", "420", fastdct=False))
        return size

    for data in files[:2]:
        cut(data)
    passes = 0
    started = time.process_time()
    while not (passes and select.select([sys.stdin], [], [], 0)[0]):
        for data in files:
            cut(data)
        passes += 1
    print((time.process_time() - started) / passes / len(files))
    return 0


def write_detections(folder: Path, sources: list[Path], copies: int) -> Path:
    """Links every picture `copies` times and returns MegaDetector results for them."""
    images = []
    (folder / "pictures").mkdir(exist_ok=True)
    for copy in range(copies):
        for source in sources:
            link = folder / "pictures" / f"{copy:05d}_{source.name}"
            if not link.exists():
                link.hardlink_to(source)
            found = [{"category": "1", "conf": 0.9, "bbox": list(box)} for box in BOXES]
            images.append({"file": link.name, "detections": found})
    path = folder / f"md_{copies}.json"
    info = {"format_version": "1.4", "detector": "bench"}
    path.write_text(json.dumps({"info": info, "detection_categories": {"1": "animal"}, "images": images}))
    return path


def measured(detections: Path, folder: Path, crops: int) -> tuple[float, float]:
    """Returns the CPU seconds of cutting crops, in a process of its own, and those per picture of the loop beside it.

    Raises:
        RuntimeError: it failed.
    """
    script = folder / "crop.py"
    script.write_text(CROP)
    command = [sys.executable, __file__, LOOP]
    # Crops stay until all is measured: ext4 searches past every file deleted in the last five seconds for each new one.
    output = tempfile.mkdtemp(dir=folder)
    beside = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    child = subprocess.Popen(
        [sys.executable, str(script), str(detections), str(folder / "pictures"), output, str(crops)],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    alone = float(beside.communicate()[0])
    if child.returncode:
        raise RuntimeError(f"cropping ended with {child.returncode}")
    return usage.ru_utime + usage.ru_stime, alone


def main() -> int:
    """Prints PASS or FAIL; 1 where the goal is missed, 0 where it is met or the pictures are absent."""
    sources = sorted(PICTURES.glob("*.jpg"))
    if not sources:
        print(f"SKIP: no pictures in {PICTURES} (set CAMTRAP_SHARED)")
        return 0
    ratios = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # On the disk of the crops: how long a shared folder takes to open a file is nothing of ours.
        sources = [Path(shutil.copy(source, folder)) for source in sources]
        results = {copies: write_detections(folder, sources, copies) for copies in (COPIES_SMALL, COPIES_LARGE)}
        more = len(sources) * (COPIES_LARGE - COPIES_SMALL)
        for number in range(ROUNDS):
            cpu = {n: measured(path, folder, n * len(sources) * len(BOXES)) for n, path in results.items()}
            cropped = (cpu[COPIES_LARGE][0] - cpu[COPIES_SMALL][0]) / more
            alone = cpu[COPIES_LARGE][1]
            ratios.append(alone / cropped)
            print(f"  round {number + 1}: CPU ms a picture: alone {1000 * alone:.2f}, cropped {1000 * cropped:.2f}", flush=True)
    ratio = statistics.median(ratios)
    passed = ratio >= LEAST
    print(
        f"{'PASS' if passed else 'FAIL'} pictures per CPU-second, of decode once + encode crops: {ratio:.2f} (at least {LEAST})"
    )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(loop() if LOOP in sys.argv else main())
