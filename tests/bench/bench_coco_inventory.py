"""A COCO Camera Traps file of half a million images becomes a Parquet inventory in at most 3 × what parsing it takes.

The file is made up; its entries have the keys and the sizes of published ones. `json.load` and the command run in processes
of their own, in turns; CPU seconds of the best round count, imports left out. Memory is judged against what the parsed file
holds. `CAMTRAP_BENCH_IMAGES` sets another number of images.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

IMAGES = int(os.environ.get("CAMTRAP_BENCH_IMAGES", "500000"))
ROUNDS = 3
MOST_TIMES_PARSING = 3.0
MOST_TIMES_MEMORY = 3.0

MEASURE = """
import json, resource, sys, time
from pathlib import Path

def memory_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6

def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
"""
PARSE = """
before, started, wall = memory_mb(), time.process_time(), time.monotonic()
with open(sys.argv[1], encoding="utf-8") as file:
    document = json.load(file)
print(json.dumps({"cpu_s": time.process_time() - started, "wall_s": time.monotonic() - wall, "mb": memory_mb() - before}))
"""
BUILD = """
from camtrap_tf.config.picture_sources import CocoInventoryConfig
from camtrap_tf.inventory.building_from_standards import build_from_coco
started, wall = time.process_time(), time.monotonic()
built = build_from_coco(CocoInventoryConfig(path=sys.argv[1], export_path=sys.argv[2]))
cpu_s, wall_s = time.process_time() - started, time.monotonic() - wall
print(json.dumps({"cpu_s": cpu_s, "wall_s": wall_s, "mb": peak_mb(), "records": len(built.inventory)}))
"""


def write_document(path: Path) -> None:
    """Writes a file like those of the Caltech Camera Traps: sequences of three, a box on most pictures."""
    draw = random.Random(0)
    tail = "23d2-11e8-a6a3-ec086b02610b"
    with path.open("w", encoding="utf-8") as file:
        file.write('{"info": {"version": "made up"}, "images": [')
        for number in range(IMAGES):
            sequence = number // 3
            day = f"2012-{sequence % 12 + 1:02d}-{sequence % 28 + 1:02d}"
            image = {
                "file_name": f"{number:08x}-{tail}.jpg",
                "rights_holder": "Justin Brown",
                "height": 1494,
                "width": 2048,
                "frame_num": number % 3 + 1,
                "date_captured": f"{day} {sequence % 24:02d}:{sequence % 60:02d}:{number % 3:02d}",
                "location": sequence % 300,
                "seq_num_frames": 3,
                "seq_id": f"{sequence:08x}-5567-11e8-8b78-dca9047ef277",
                "id": f"{number:08x}-{tail}",
            }
            file.write((", " if number else "") + json.dumps(image))
        file.write('], "annotations": [')
        for number in range(IMAGES):
            note = {"image_id": f"{number:08x}-{tail}", "category_id": draw.randrange(16), "id": str(number)}
            if note["category_id"]:
                note["bbox"] = [
                    round(draw.uniform(0, 1000), 2),
                    round(draw.uniform(0, 700), 2),
                    draw.uniform(9, 900),
                    draw.uniform(9, 700),
                ]
            file.write((", " if number else "") + json.dumps(note))
        categories = [{"id": number, "name": f"class {number}" if number else "empty"} for number in range(16)]
        file.write(f'], "categories": {json.dumps(categories)}}}')


def measured(code: str, *arguments: Path) -> dict[str, float]:
    """Returns what a process that runs `code` prints; raises CalledProcessError if it fails."""
    command = [sys.executable, "-c", MEASURE + code, *map(str, arguments)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return dict(json.loads(output.splitlines()[-1]))


def main() -> int:
    """Prints a line for time and one for memory; returns 1 if either is too much."""
    with tempfile.TemporaryDirectory() as folder:
        document, inventory = Path(folder) / "cct.json", Path(folder) / "cct.parquet"
        write_document(document)
        rounds = [(measured(PARSE, document), measured(BUILD, document, inventory)) for _ in range(ROUNDS)]
        size_mb = document.stat().st_size / 1e6
    parsed, built = (min((pair[place] for pair in rounds), key=lambda one: one["cpu_s"]) for place in (0, 1))
    peak_mb = max(build["mb"] for _, build in rounds)
    times, memory = built["cpu_s"] / parsed["cpu_s"], peak_mb / parsed["mb"]
    quick, small = times <= MOST_TIMES_PARSING, memory < MOST_TIMES_MEMORY
    print(
        f"{'PASS' if quick else 'FAIL'} inventory coco, {built['records']:.0f} images ({size_mb:.0f} MB): "
        f"{built['cpu_s']:.1f} CPU s = {times:.2f} × json.load of {parsed['cpu_s']:.1f} CPU s (goal ≤ {MOST_TIMES_PARSING:g} ×)"
    )
    print(
        f"{'PASS' if small else 'FAIL'} its peak is {peak_mb:.0f} MB = {memory:.2f} × the {parsed['mb']:.0f} MB "
        f"of the parsed file (goal < {MOST_TIMES_MEMORY:g} ×)"
    )
    return int(not (quick and small))


if __name__ == "__main__":
    sys.exit(main())
