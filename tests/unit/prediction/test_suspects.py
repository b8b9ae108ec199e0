"""Records whose label predictions speak against, compared with a plain loop over dictionaries."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.config.predictions_used import PredictSuspectsConfig
from camtrap_tf.errors import CamtrapError
from camtrap_tf.inventory.table import Inventory
from camtrap_tf.prediction.suspects import SuspectsSummary, find_suspects
from camtrap_tf.prediction.writers import open_table
from camtrap_tf.records import CaptureEvent
from tests.factories import make_event
from tests.reading import rows_of
from tests.unit.prediction.export_support import record

NAMES = ("cat", "dog", "owl")
CLASSES = {"species": NAMES, "sex": ("female", "male")}


def event(record_id: str, paths: list[str], *species: str, **meta: str) -> CaptureEvent:
    """Returns a record of an inventory with an observation per species."""
    return make_event(record_id, pictures=paths, labels=[{"species": name, "sex": "male"} for name in species], **meta)


def write_inventory(folder: Path, *events: CaptureEvent) -> Path:
    """Writes an inventory."""
    Inventory.from_records(events).write(folder / "inventory.json")
    return folder / "inventory.json"


def write_table(path: Path, answers: dict[str, tuple[float, ...] | None], paths: dict[str, list[str]] | None = None) -> Path:
    """Writes predictions of species; a record has the picture of its name unless others are given."""
    with open_table(path, file_type=path.suffix[1:], legacy=False, class_names=CLASSES) as add:
        for record_id, values in answers.items():
            given = None if values is None else {"species": values, "sex": (0.9, 0.1)}
            add(record((paths or {}).get(record_id, [record_id]), given, record_id=record_id))
    return path


def suspects(folder: Path, *tables: Path, **settings: object) -> tuple[SuspectsSummary, list[dict[str, str]]]:
    """Returns the summary and the rows that were written."""
    config = PredictSuspectsConfig.model_validate({"results_file": tables, "output": folder / "s.csv", **settings})
    return find_suspects(config), rows_of(folder / "s.csv")


@pytest.mark.parametrize("margin", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("name", ["p.json", "p.csv"])
def test_as_a_loop_finds_them(tmp_path: Path, name: str, margin: float) -> None:
    """Every record another class of which is likelier by the margin is listed, the widest gap first, and no other."""
    dice = random.Random(3)
    answers: dict[str, Any] = {}
    truth: dict[str, str] = {}
    for number in range(200):
        parts = sorted([dice.randrange(101), dice.randrange(101)])
        answers[f"{number:03}.jpg"] = (parts[0] / 100, (parts[1] - parts[0]) / 100, (100 - parts[1]) / 100)
        truth[f"{number:03}.jpg"] = dice.choice(NAMES)
    inventory = write_inventory(tmp_path, *(event(key, [key], label, location=f"at {key}") for key, label in truth.items()))
    expected = {}
    for key, values in answers.items():
        hundredths = {one: round(100 * value) for one, value in zip(NAMES, values, strict=True)}
        best = max(hundredths, key=lambda one: hundredths[one])
        gap = hundredths[best] - hundredths[truth[key]]
        if best != truth[key] and gap >= round(100 * margin):
            expected[key] = (truth[key], best, gap / 100)
    summary, rows = suspects(tmp_path, write_table(tmp_path / name, answers), inventory=inventory, margin=margin)
    assert expected
    found = {row["id"]: (row["label"], row["predicted"], float(row["gap"])) for row in rows}
    assert found == expected
    assert [float(row["gap"]) for row in rows] == sorted((one[2] for one in expected.values()), reverse=True)
    for row in rows:
        own, other = answers[row["id"]][NAMES.index(row["label"])], answers[row["id"]][NAMES.index(row["predicted"])]
        assert (float(row["label_probability"]), float(row["predicted_probability"])) == (own, other)
        assert (row["pictures"], row["location"]) == (row["id"], f"at {row['id']}")
    for label in NAMES:
        assert summary.compared[label] == list(truth.values()).count(label)


def test_every_record_is_counted(tmp_path: Path) -> None:
    """Records without prediction, label, class or place in the inventory are counted apart; all together are all."""
    sure = (0.0, 0.1, 0.9)
    table = write_table(tmp_path / "p.json", {"a": sure, "b": None, "c": sure, "d": sure, "e": sure, "f": sure})
    events = [event("a", ["a"], "cat"), event("b", ["b"], "cat"), event("c", ["c"], "-1"), event("d", ["d"], "newt")]
    summary, rows = suspects(tmp_path, table, inventory=write_inventory(tmp_path, *events, event("e", ["e"], "owl")))
    assert [row["id"] for row in rows] == ["a"]
    said = summary.text()
    assert (
        "records: 6 in = 2 compared + 1 without a prediction + 1 without a label + 1 with a label that is no class of the "
        "table (newt 1) + 1 that the inventory does not have"
    ) in said
    assert "suspects: 1 of 2" in said
    assert "cat: 1 of 1, most often owl (1)" in said


def test_records_are_found_by_id_or_picture(tmp_path: Path) -> None:
    """An event is found by its id and has the inventory's pictures; a picture by its path below the root."""
    inventory = write_inventory(
        tmp_path, event("e1", ["w/1.jpg", "w/2.jpg"], "cat", camera="c7"), event("e2", ["w/3.jpg"], "owl")
    )
    events = write_table(tmp_path / "events.csv", {"e1": (0.0, 1.0, 0.0)}, {"e1": ["x", "y"]})
    pictures = write_table(tmp_path / "pictures.csv", {f"{tmp_path}/root/./w/2.jpg": (0.0, 0.2, 0.8)})
    summary, rows = suspects(tmp_path, events, pictures, inventory=inventory, image_root=tmp_path / "root")
    assert [(row["id"], row["pictures"], row["location"], row["results_file"]) for row in rows] == [
        ("e1", "w/1.jpg; w/2.jpg", "c7", str(events)),
        ("e1", f"{tmp_path}/root/./w/2.jpg", "c7", str(pictures)),
    ]
    assert summary.records == 2


def test_a_column_per_class_beside_an_inventory(tmp_path: Path) -> None:
    """A table without label types is compared with the label type of the inventory that was asked for."""
    (tmp_path / "p.csv").write_text("path,female,male\na,1,0\nb,0,1\n", encoding="utf-8")
    inventory = write_inventory(tmp_path, event("a", ["a"], "cat"), event("b", ["b"], "cat"))
    _, rows = suspects(tmp_path, tmp_path / "p.csv", inventory=inventory, label="sex", image_root=Path.cwd())
    assert [(row["id"], row["label"], row["predicted"], row["gap"]) for row in rows] == [("a", "male", "female", "1.000000")]


def test_several_recorded_classes(tmp_path: Path) -> None:
    """A record of two species is not suspect where one of them is predicted; else the likelier one counts."""
    table = write_table(tmp_path / "p.json", {"a": (0.0, 0.0, 1.0), "b": (0.1, 0.2, 0.7)})
    inventory = write_inventory(tmp_path, event("a", ["a"], "cat", "owl"), event("b", ["b"], "cat", "dog"))
    _, rows = suspects(tmp_path, table, inventory=inventory)
    assert [(row["id"], row["label"], row["gap"]) for row in rows] == [("b", "dog", "0.500000")]


def test_records_that_share_a_picture(tmp_path: Path) -> None:
    """A picture of two records, e.g. boxes, has the classes of both; one of them predicted makes it no suspect."""
    table = write_table(tmp_path / "p.csv", {f"{tmp_path}/a/1.jpg": (1.0, 0.0, 0.0), f"{tmp_path}/a/2.jpg": (0.0, 1.0, 0.0)})
    boxes = [event("b1", ["a\\1.jpg"], "cat"), event("b2", ["a/1.jpg"], "owl"), event("b3", ["a/2.jpg"], "owl")]
    _, rows = suspects(tmp_path, table, inventory=write_inventory(tmp_path, *boxes), image_root=tmp_path)
    assert [(row["id"], row["label"]) for row in rows] == [("b3", "owl")]


def test_labels_of_the_tables_themselves(tmp_path: Path) -> None:
    """Without an inventory the true classes of the tables count, of a split and of a run."""
    (tmp_path / "outputs_val.csv").write_text(
        "path,label,weight,cat,dog\n1.jpg,cat,1,0.2,0.8\n2.jpg,dog,1,0.2,0.8\n3.jpg,,1,0.2,0.8\n", encoding="utf-8"
    )
    entry = {
        "images": [{"path": "from_iterator", "predictions": {}}],
        "aggregated_pred": {"species": {"cat": "0.9", "dog": "0.1"}},
    }
    entries = {"7": {**entry, "ground_truth": {"species": "dog"}}, "8": {**entry, "ground_truth": {"species": "-1"}}}
    (tmp_path / "test_preds.json").write_text(json.dumps(entries), encoding="utf-8")
    summary, rows = suspects(tmp_path, tmp_path / "outputs_val.csv", tmp_path / "test_preds.json")
    assert [(row["id"], row["pictures"], row["label"]) for row in rows] == [("7", "", "dog"), ("1.jpg", "1.jpg", "cat")]
    assert (summary.records, summary.unlabelled) == (5, 2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"label": "specis"}, "--label specis: .*did you mean 'species'"),
        ({"inventory": None}, "--inventory is missing: .*p.csv has predictions alone"),
        ({"image_root": "elsewhere"}, "knows none of 1 record in the tables, e.g. pictures/1.jpg; .*elsewhere/pictures/1.jpg"),
        ({"label": "sex"}, "--label sex: .*inventory.json has no such label type; choose from: species"),
    ],
)
def test_mistakes(tmp_path: Path, settings: dict[str, object], message: str) -> None:
    """A label type that is not there, missing labels, and pictures that are looked for elsewhere are told apart."""
    table = write_table(tmp_path / "p.csv", {"pictures/1.jpg": (1.0, 0.0, 0.0)})
    inventory = write_inventory(tmp_path, make_event("e", pictures=["pictures/1.jpg"], labels={"species": "dog"}))
    given = {"inventory": inventory, **settings}
    with pytest.raises(CamtrapError, match=message):
        suspects(tmp_path, table, **given)
    assert not (tmp_path / "s.csv").exists()


def test_outputs_that_would_hide_something(tmp_path: Path) -> None:
    """A folder, a name of another form and the inventory itself are no outputs; all stay as they are."""
    table = write_table(tmp_path / "p.csv", {"a": (1.0, 0.0, 0.0)})
    inventory = write_inventory(tmp_path, event("a", ["a"], "dog"))
    before = inventory.read_bytes()
    (tmp_path / "link.csv").symlink_to(inventory)
    for name, message in (
        ("", "is a folder"),
        ("s.json", "no .json file is written"),
        ("link.csv", "is the file that is read"),
    ):
        with pytest.raises(CamtrapError, match=message):
            suspects(tmp_path, table, inventory=inventory, output=tmp_path / name)
    assert inventory.read_bytes() == before


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    """The path of a picture whose name is not UTF-8 is written with escapes."""
    table = write_table(tmp_path / "p.json", {"e": (1.0, 0.0, 0.0)}, {"e": ["a\udcff.jpg"]})
    _, rows = suspects(tmp_path, table, inventory=write_inventory(tmp_path, event("e", ["b.jpg"], "dog")))
    assert [row["pictures"] for row in rows] == ["a\\udcff.jpg"]


def test_tables_without_any_label(tmp_path: Path) -> None:
    """A JSON, whose records could have labels, is refused when none has; so are several classes a record."""
    path = tmp_path / "p.json"
    with pytest.raises(CamtrapError, match="--inventory is missing"):
        suspects(tmp_path, write_table(path, {"a": (1.0, 0.0, 0.0)}))
    inventory = write_inventory(tmp_path, event("a", ["a"], "dog"))
    with open_table(path, file_type="json", legacy=False, class_names=CLASSES, blanks={"species": "blank"}) as add:
        add(record(["a"], {"species": (0.9, 0.8, 0.1), "sex": (0.9, 0.1)}))
    with pytest.raises(CamtrapError, match="any number of classes of 'species'"):
        suspects(tmp_path, path, inventory=inventory)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_root": "r"}, "--image-root does nothing without --inventory"),
        ({"results_file": ["p.csv", "p.csv"]}, "names a table twice"),
        ({"output": "p.csv"}, "--output p.csv is a table that is read"),
        ({"margin": 0}, "greater than 0"),
        ({"margin": 1.5}, "less than or equal to 1"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, object], message: str) -> None:
    """Settings that do nothing or contradict each other are refused."""
    with pytest.raises(ValueError, match=message):
        PredictSuspectsConfig.model_validate({"results_file": ["p.csv"], "output": "s.csv", **settings})


def test_a_plan_says_the_same_and_writes_nothing(tmp_path: Path) -> None:
    """Counts and suspects are those of the real thing; there is no list."""
    inventory = write_inventory(tmp_path, event("a.jpg", ["a.jpg"], "cat"), event("b.jpg", ["b.jpg"], "dog"))
    table = write_table(tmp_path / "p.json", {"a.jpg": (0.1, 0.9, 0.0), "b.jpg": (0.1, 0.9, 0.0)})
    given = {"results_file": (table,), "output": tmp_path / "s.csv", "inventory": inventory}
    plan = find_suspects(PredictSuspectsConfig.model_validate({**given, "dry_run": True}))
    assert not (tmp_path / "s.csv").exists()
    done, _ = suspects(tmp_path, table, inventory=inventory)
    assert plan.text().splitlines()[0] == "Plan of predict suspects (nothing is written)"
    assert plan.text().replace("would be listed in ", "").splitlines()[1:] == done.text().splitlines()
    assert len(plan.suspects) == 1
