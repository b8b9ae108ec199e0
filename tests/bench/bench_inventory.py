"""A CSV of a million rows becomes a Parquet inventory in less than 1.5 GB, also where rows of one id lie far apart."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROWS = int(os.environ.get("CAMTRAP_BENCH_ROWS", "1000000"))
LIMIT_GB = 1.5
HEADER = "capture_id,image_1,image_2,image_3,empty,species,count,standing,survey,location,datetime,split_name"
COMMAND = """
import sys
from camtrap_tf.config.inventory import CsvInventoryConfig
from camtrap_tf.inventory.building import build_from_csv
print(build_from_csv(CsvInventoryConfig(
    path=sys.argv[1], export_path=sys.argv[2], capture_id_field="capture_id", image_fields=("image_1", "image_2", "image_3"),
    label_fields=("empty", "species", "count", "standing"), count_fields=("count",),
    meta_data_fields=("survey", "location", "datetime", "split_name"))).text())
"""


def write_table(path: Path, *, rows_per_id: int) -> None:
    """Writes a table like a season of camera traps; rows of one id are spread over the whole of it."""
    draw = random.Random(0)
    events = ROWS // rows_per_id
    with path.open("w", encoding="utf-8") as file:
        file.write(HEADER + "\n")
        for row in range(ROWS):
            event = row % events
            place = f"S1_B{event % 225:03d}_R{event % 9}"
            pictures = ",".join(f"S1/{place}/S1_{place}_PICT{row * 3 + frame:07d}.JPG" for frame in range(3))
            labels = f"{draw.random() < 0.7},{draw.choice(SPECIES)},{draw.randint(1, 60)},{draw.choice(('', '0', '1'))}"
            file.write(f"S1_2013_{event:08d},{pictures},{labels},S1,{place},2013-05-{event % 28 + 1:02d} 11:22:33,train\n")


SPECIES = ("zebra", "wildebeest", "gazelleThomsons", "lionFemale", "elephant", "NA", "", "éland")


def measure(table: Path, inventory: Path) -> tuple[float, float]:
    """Returns peak memory in GB and seconds of the command in a process of its own.

    Raises:
        RuntimeError: the command failed.
    """
    started = time.monotonic()
    child = subprocess.Popen([sys.executable, "-c", COMMAND, str(table), str(inventory)])
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"the command ended with {child.returncode}")
    return usage.ru_maxrss * 1024 / 1e9, time.monotonic() - started


def main() -> int:
    """Prints a line per case; returns 1 if one needs too much memory."""
    failed = False
    for rows_per_id in (1, 3):
        with tempfile.TemporaryDirectory() as folder:
            table, inventory = Path(folder) / "season.csv", Path(folder) / "season.parquet"
            write_table(table, rows_per_id=rows_per_id)
            size_mb = table.stat().st_size / 1e6
            peak_gb, seconds = measure(table, inventory)
            passed = peak_gb < LIMIT_GB
            failed |= not passed
            print(
                f"{'PASS' if passed else 'FAIL'} inventory csv, {ROWS} rows ({size_mb:.0f} MB), {rows_per_id} per id: "
                f"peak {peak_gb:.2f} GB (limit {LIMIT_GB}), {seconds:.0f} s, {inventory.stat().st_size / 1e6:.0f} MB of Parquet"
            )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
