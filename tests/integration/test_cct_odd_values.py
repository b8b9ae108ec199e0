"""Odd values anywhere in a COCO Camera Traps file end in rejects or in one line, never in a bug."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.cli.main import main

ODD: list[Any] = [
    None, "", 0, -1, 1.5, 1e308, 10**400, True, [], {}, [1], {"a": 1}, "../x", "\0", "a,b", ["1", 2, 3, 4], [None] * 4,
    [1e308] * 4, [0.1, 0.1, 0.2, 0.2], "2999-01-01",
]  # fmt: skip
KEYS = ("dataset", "bbox_relative", "corrupt", "confidence", "orig_file_name")
PARTS = ("images", "annotations", "categories")


def odd_document(seed: int) -> dict[str, Any]:
    """Returns a document in which a few values were replaced."""
    value: dict[str, Any] = {
        "images": [
            {
                "id": f"i{n}",
                "file_name": f"d{n % 3}/{n}.jpg",
                "width": 100,
                "height": 60,
                "location": f"L {n % 4}",
                "seq_id": "s",
            }
            for n in range(8)
        ],
        "annotations": [
            {"id": f"a{n}", "image_id": f"i{n % 8}", "category_id": n % 3, "bbox": [1, 2, 30, 20]} for n in range(12)
        ],
        "categories": [{"id": 0, "name": "empty"}, {"id": 1, "name": "fox"}, {"id": 2, "name": "rat"}],
    }
    chance = random.Random(seed)
    for _ in range(chance.randint(1, 5)):
        entries = value[chance.choice(PARTS)]
        place = chance.randrange(len(entries))
        if isinstance(entries[place], dict) and entries[place] and chance.random() < 0.9:
            entries[place][chance.choice([*entries[place], *KEYS])] = copy.deepcopy(chance.choice(ODD))
        else:
            entries[place] = copy.deepcopy(chance.choice(ODD))
    return value


@pytest.mark.parametrize("seed", range(25))
def test_no_value_is_a_bug(seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every tool ends with 0, 2 or 3; what it wrote is a document again."""
    path, out = tmp_path / "x.json", tmp_path / "o.json"
    path.write_text(json.dumps(odd_document(seed)), encoding="utf-8")
    (tmp_path / "splits.json").write_text('{"train": [["combined", "L 0"]], "val": [["combined", "L 1"]]}', encoding="utf-8")
    commands: list[list[object]] = [
        ["cct", "validate", path, "--image-root", tmp_path],
        ["cct", "clean", path, "--normalize-locations", "--location-from-path", 1, "--bad-times", "reject"],
        ["cct", "clean", path, "--keep-empty", "--no-require-box", "--no-require-dimensions", "--outside", "reject"],
        ["cct", "combine", "--paths", path],
        ["cct", "category-map", path, "--output", tmp_path / "map.json"],
        ["cct", "categories", path, "--category-map", tmp_path / "map.json"],
        ["cct", "categories", path, "--order", "name", "--renumber", "--prune"],
        ["cct", "subsample", path, "--count", 1],
        ["cct", "drop", path, "--image-ids", "i1"],
        ["cct", "split", path, "--splits", tmp_path / "splits.json", "--output-dir", tmp_path / "s", "--min-locs", 2],
        ["cct", "locations-with", path, "--category", "fox", "--contrast"],
        ["cct", "to-md", path, "--detections-are", "animals", "--output", tmp_path / "md.json"],
        ["cct", "from-md", tmp_path / "md.json"],
        ["classification", "queried-images", path, "--dataset", "d", "--keep-several", "--output", tmp_path / "q.json"],
        [
            "classification",
            "create",
            tmp_path / "set",
            "--cct",
            path,
            "--val-frac",
            0.2,
            "--test-frac",
            0.2,
            "--split-draws",
            10,
        ],
    ]
    for command in commands:
        writes = command[1] in ("clean", "combine", "categories", "subsample", "drop", "from-md")
        words = [*command, *(["--output", out] if writes else [])]
        out.unlink(missing_ok=True)
        assert main([str(word) for word in words]) in (0, 2, 3), (command, capsys.readouterr().err)
        if out.exists():
            assert main(["cct", "counts", str(out)]) == 0
