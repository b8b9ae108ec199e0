"""The page: complete, self-contained, safe for any class name."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from camtrap_tf.evaluation.heads import HeadTally
from camtrap_tf.evaluation.report import OTHERS, number_of, ordered_classes, render_html, shown_matrix, write_report

EVIL = "lion<script>alert('1')</script>&\"'"


def make_head(names: list[str], *, records: int = 60, labelled: bool = True) -> dict[str, Any]:
    """Returns the part of a head with drawn answers."""
    rng = np.random.default_rng(len(names))
    made = HeadTally("label", names)
    for _ in range(records):
        values = rng.dirichlet(np.ones(len(names)), size=2)
        made.add(int(rng.integers(len(names))) if labelled else -1, values.mean(axis=0), values, int(rng.integers(6)))
    return made.report([f"place {i}" for i in range(6)])


def make_report(**heads: dict[str, Any]) -> dict[str, Any]:
    """Returns a report with some heads."""
    return {
        "schema_version": 1,
        "kind": "evaluation",
        "camtrap_tf": "1",
        "aggregation_mode": "mean",
        "model": {"name": "net", "digest": "ab", "stacked": False},
        "data": {
            "records": 60, "pictures": 1234, "pictures_unreadable": 1, "records_unreadable": 0, "patterns": ["test"],
            "locations": 6, "digest": "cd",
        },
        "heads": heads,
    }  # fmt: skip


class Page(HTMLParser):
    """Collects tags, their addresses and the text of a page, and checks that elements are closed in order."""

    VOID = ("meta", "input", "br", "line", "rect")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


HEADS = {
    "species": make_head(["zebra", EVIL, "a very long name of a class " * 5]),
    "count": make_head([*[str(i) for i in range(1, 11)], "11-50", "51+"]),
    "many": make_head([f"s{i:03d}" for i in range(90)], records=800),
    "empty": make_head(["yes", "no"], labelled=False),
    "nothing": make_head(["yes", "no"], records=0),
}


def test_page_is_well_formed_and_loads_nothing() -> None:
    """Elements close in order; there is no script, no image, no style sheet and no address outside the page."""
    html = render_html(make_report(**HEADS))
    page = Page(html)
    assert page.open == []
    assert not {"script", "img", "link", "iframe", "object"} & set(page.tags)
    assert len(page.addresses) >= len(HEADS)
    assert all(address.startswith("#") for address in page.addresses)
    assert not re.search(r"url\(|@import|https?:", html)


def test_class_names_are_text() -> None:
    """A class name with HTML in it is shown as it is, not run."""
    html = render_html(make_report(species=HEADS["species"]))
    assert "<script" not in html
    assert EVIL in Page(html).text


def test_a_head_without_labels_says_so() -> None:
    """A head with nothing labelled has a sentence instead of figures."""
    text = Page(render_html(make_report(empty=HEADS["empty"]))).text
    assert "nothing can be said about it" in text
    assert "missing in 60 records" in text


def test_no_head_at_all_is_a_page() -> None:
    """A report without heads still makes a page."""
    assert "How to read this" in Page(render_html(make_report())).text


def test_report_files(tmp_path: Path) -> None:
    """Both files are written; the JSON holds what went in."""
    report = make_report(**HEADS)
    as_json, as_html = write_report(report, tmp_path / "new")
    assert json.loads(as_json.read_text()) == report
    assert as_html.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_large_matrix_is_put_together() -> None:
    """Beyond the limit, classes are put together and no record is lost from the sums."""
    head = HEADS["many"]
    shown = shown_matrix(head["confusion"], head["classes"], limit=10)
    assert shown["names"][-1] == OTHERS
    assert len(shown["names"]) == 11
    assert shown["hidden"] == 80
    cells = np.array([[cell["n"] for cell in row["cells"]] for row in shown["rows"]])
    assert cells.sum() == np.sum(head["confusion"])
    kept = [head["classes"].index(name) for name in shown["names"][:-1]]
    np.testing.assert_array_equal(cells[:-1, :-1], np.array(head["confusion"])[np.ix_(kept, kept)])


def test_matrix_shows_classes_that_occur() -> None:
    """Classes without a record and without an answer are left out; a row without records has no shares."""
    shown = shown_matrix([[3, 0, 1], [0, 0, 0], [0, 0, 0]], ["a", "b", "c"])
    assert shown["names"] == ["a", "c"]
    assert shown["absent"] == ["b"]
    assert [cell["share"] for cell in shown["rows"][0]["cells"]] == [0.75, 0.25]
    assert [cell["share"] for cell in shown["rows"][1]["cells"]] == [None, None]


@pytest.mark.parametrize("what", ["matrix", "classes"])
def test_count_bins_stay_in_order(what: str) -> None:
    """Bins are shown by number, not by name or frequency."""
    head = HEADS["count"]
    if what == "matrix":
        shown = shown_matrix(head["confusion"], head["classes"], bins=head["within_one_bin"]["bins"])["names"]
    else:
        shown = [row["class"] for row in ordered_classes(head)]
    assert shown == [*[str(i) for i in range(1, 11)], "11-50", "51+"]


def test_one_record_is_said_as_one() -> None:
    """One has no ending; thousands are set apart by one narrow space."""
    assert number_of(1, "record") == "1 record"
    assert number_of(0, "record") == "0 records"
    assert number_of(1200, "picture").split() == ["1", "200", "pictures"]
