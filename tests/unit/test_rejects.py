"""The table of rejects beside what a command writes."""

from __future__ import annotations

import collections
from pathlib import Path

from camtrap_tf.records import Reject
from camtrap_tf.rejects import counts_text, reasons_text, rejects_line, rejects_path, write_rejects

REJECTS = [Reject(str(n), f"{n}.jpg", "picture", reason, "said, so") for n, reason in enumerate(("cut", "gone", "gone"))]


def test_rejects_stand_beside_the_file(tmp_path: Path) -> None:
    """A row per reject under the columns' names; a run without any removes the table of an earlier one."""
    path = rejects_path(tmp_path / "a.b.json")
    assert path == tmp_path / "a.b.rejects.csv"
    write_rejects(path, REJECTS)
    assert path.read_text().splitlines() == [
        "id,item,unit,reason,detail",
        '0,0.jpg,picture,cut,"said, so"',
        '1,1.jpg,picture,gone,"said, so"',
        '2,2.jpg,picture,gone,"said, so"',
    ]
    for _ in range(2):
        write_rejects(path, [])
        assert list(tmp_path.iterdir()) == []


def test_reasons_are_summed_up() -> None:
    """The most frequent reason comes first; without rejects there is nothing to say."""
    assert reasons_text(REJECTS) == counts_text(collections.Counter(cut=1, gone=2)) == " (2 × gone, 1 × cut)"
    assert reasons_text([]) == counts_text(collections.Counter()) == ""


def test_a_plan_does_not_say_that_a_table_is_there() -> None:
    """Where nothing is written, the line about the table says what it would hold."""
    assert rejects_line(Path("a.json")) == "a.rejects.csv: what is not in it, and why"
    assert rejects_line(Path("a.json"), dry_run=True) == "a.rejects.csv: would say what is not in it, and why"
