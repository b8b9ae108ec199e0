"""`predict export`: predictions that are there already in all forms, what is refused, and that nothing loads TensorFlow."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from camtrap_tf.config.predictions_out import PredictExportConfig
from camtrap_tf.errors import CamtrapError, SettingError, SourceError
from camtrap_tf.inventory.table import Inventory
from camtrap_tf.prediction.dry_run import DryRun
from camtrap_tf.prediction.exporting import export_predictions
from camtrap_tf.prediction.writers import open_table
from camtrap_tf.records import CaptureEvent, Media, Observation
from tests.reading import rows_of
from tests.unit.prediction.export_support import CLASSES, DEPLOYMENTS, EMPTY, FACTS, record

MAY = "2020-05-03 10:00:00"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Writes predictions of three pictures and one that failed, with deployments and facts beside them."""
    records = [
        record(["/pictures/lake/1.jpg"], datetime=MAY),
        record(["/pictures/lake/2.jpg"], EMPTY, datetime=MAY),
        record(["/pictures/sea/3.jpg"], datetime=MAY),
        record(["/pictures/lake/4.jpg"], None, datetime=MAY),
    ]
    path = tmp_path / "p.json"
    with open_table(path, file_type="json", legacy=False, class_names=CLASSES, meta_fields=("datetime",)) as write:
        for one in records:
            write(one)
    (tmp_path / "deployments.csv").write_text(DEPLOYMENTS, encoding="utf-8")
    (tmp_path / "facts.yaml").write_text(json.dumps(FACTS), encoding="utf-8")  # JSON is YAML
    return path


def config(table: Path, /, *forms: str, **options: Any) -> PredictExportConfig:
    """Returns settings that name everything there is."""
    given = {
        "results": table, "export": forms, "export_root": Path("/"), "deployments": table.parent / "deployments.csv",
        "package_facts": table.parent / "facts.yaml", "classified_by": "fox 1",
    } | options  # fmt: skip
    return PredictExportConfig(**given)


def test_all_forms_at_once(results: Path) -> None:
    """Each form is written beside the table and named after it; pictures without a place are counted."""
    summary = export_predictions(config(results, "camtrap-dp", "megadetector", "timelapse"))
    folder = results.parent
    assert summary.records == 4
    assert len(json.loads((folder / "p.megadetector.json").read_text())["images"]) == 4
    assert len(rows_of(folder / "p.timelapse.csv")) == 4
    assert sorted(path.name for path in (folder / "p.camtrap-dp").iterdir()) == [
        "datapackage.json", "deployments.csv", "media.csv", "observations.csv",
    ]  # fmt: skip
    lines = summary.text().splitlines()
    assert [line.partition(":")[0] for line in lines] == ["records", "camtrap-dp", "megadetector", "timelapse"]
    assert "4 pictures = 2 in it + 2 left out (no_deployment 1, truncated 1; p.camtrap-dp.rejects.csv)" in lines[1]


def test_everything_that_is_missing_is_named_at_once(results: Path) -> None:
    """Without deployments and facts, one line names all of them and where to give them; nothing is written."""
    before = sorted(results.parent.iterdir())
    with pytest.raises(SettingError) as caught:
        export_predictions(config(results, "camtrap-dp", deployments=None, package_facts=None))
    said = str(caught.value)
    assert "\n" not in said
    for part in (
        "latitude",
        "longitude",
        "deploymentStart",
        "deploymentEnd",
        "--deployments",
        "contributors",
        "--package-facts",
    ):
        assert part in said
    assert sorted(results.parent.iterdir()) == before


def test_mistakes_of_deployments_facts_and_model_are_one_message(results: Path, tmp_path: Path) -> None:
    """Wrong places, times without a zone, a deployment that is there twice, a wrong design, nameless classes and a model
    that nobody named are told in one go, each once; by the dry run each in a line of its own."""
    deployments = DEPLOYMENTS.replace("51.5", "95", 1).replace("d3", "d2").replace("2020-07-01T00:00:00+02:00", "2020-07-01")
    (tmp_path / "deployments.csv").write_text(deployments, encoding="utf-8")
    facts = {**FACTS, "project": {**FACTS["project"], "samplingDesign": "foo"}}
    (tmp_path / "facts.yaml").write_text(json.dumps(facts), encoding="utf-8")
    results.write_text(results.read_text(encoding="utf-8").replace("Vulpes vulpes", "tall one"), encoding="utf-8")
    settings = config(results, "camtrap-dp", classified_by=None, export_root=None)
    with pytest.raises(SettingError) as caught:
        export_predictions(settings)
    said = str(caught.value)
    assert "\n" not in said
    told = {
        "line 2 (d1): latitude 95 is not in -90 … 90": 0,
        "line 3 (d2): deploymentStart '2020-07-01' has no time zone (add it, or give --utc-offset)": 0,
        "line 4 (d2): deployment d2 is there twice": 0,
        "project.samplingDesign has to be 'simpleRandom'": 1,
        "no scientific name is known for tall one; give --taxa": 2,
        "which model was it? give --model-path or --classified-by": 3,
        "--export-root is missing": 4,
    }
    for part in told:
        assert said.count(part) == 1, part
    plan = export_predictions(settings.model_copy(update={"dry_run": True}))
    assert isinstance(plan, DryRun)
    assert len(plan.refusals) == 5
    for part, place in told.items():
        assert part in plan.refusals[place]


def test_of_a_package_that_cannot_be_read_nothing_else_is_said(results: Path, tmp_path: Path) -> None:
    """Facts and names that it may have are not called missing."""
    (tmp_path / "datapackage.json").write_text("{", encoding="utf-8")
    with pytest.raises(SourceError, match=r"datapackage\.json") as caught:
        export_predictions(config(results, "camtrap-dp", deployments=tmp_path, package_facts=None))
    assert "contributors" not in str(caught.value)


def test_classes_without_a_scientific_name(results: Path, tmp_path: Path) -> None:
    """They are listed; a table of taxa names them."""
    text = results.read_text(encoding="utf-8").replace("Vulpes vulpes", "fox")
    results.write_text(text, encoding="utf-8")
    with pytest.raises(SettingError, match=r"no scientific name is known for fox; give --taxa"):
        export_predictions(config(results, "camtrap-dp"))
    (tmp_path / "taxa.csv").write_text("model_class,scientificName\nfox,Vulpes vulpes\n", encoding="utf-8")
    export_predictions(config(results, "camtrap-dp", taxa=tmp_path / "taxa.csv"))
    assert "Vulpes vulpes" in (tmp_path / "p.camtrap-dp" / "observations.csv").read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"classified_by": None}, "--model-path or --classified-by"),
        ({"export_root": None}, "--export-root is missing"),
        ({"export_root": Path("/elsewhere")}, "does not lie below it"),
        ({"package_facts": Path("nowhere.yaml")}, "no such file"),
        ({"deployments": Path("nowhere.csv")}, "nowhere.csv"),
        ({"results": Path("nowhere.json")}, "no such table of predictions"),
        ({"species_label": "spezies"}, "did you mean 'species'"),
    ],
)
def test_what_is_refused(results: Path, options: dict[str, Any], said: str) -> None:
    """Each mistake is one line that says what to give."""
    with pytest.raises(CamtrapError, match=said):
        export_predictions(config(results, "camtrap-dp", **options))
    assert not (results.parent / "p.camtrap-dp").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"export": ()}, "without --export"),
        ({"export": ("megadetector", "megadetector")}, "twice"),
        ({"export": ("addaxai",)}, "--model-path"),
        ({"utc_offset": "2 hours"}, "not a time zone"),
        ({"media_url": "pictures"}, "not an http"),
        ({"timelapse_columns": ("species",)}, "not a pair"),
        ({"timelapse_columns": ("species=my art",)}, "letters, digits"),
        ({"timelapse_columns": ("species=File",)}, "every template has"),
    ],
)
def test_settings_that_cannot_be(results: Path, options: dict[str, Any], said: str) -> None:
    """Settings are refused before anything is read."""
    with pytest.raises(ValidationError, match=said):
        config(results, "megadetector", **options)


def test_a_package_that_is_there_is_kept(results: Path) -> None:
    """What exists is not written over; that is found out at once."""
    export_predictions(config(results, "camtrap-dp"))
    with pytest.raises(SettingError, match="is there already"):
        export_predictions(config(results, "camtrap-dp"))


def test_a_package_may_be_replaced(results: Path) -> None:
    """With `--overwrite` the package of an earlier export gives way, whole; nothing else lies there afterwards."""
    export_predictions(config(results, "camtrap-dp"))
    folder = results.parent / "p.camtrap-dp"
    before = sorted(path.name for path in results.parent.rglob("*"))
    older = (folder / "observations.csv").read_text(encoding="utf-8")
    export_predictions(config(results, "camtrap-dp", overwrite=True, classified_by="newt 2"))
    newer = (folder / "observations.csv").read_text(encoding="utf-8")
    assert ("fox 1" in older, "newt 2" in older) == (True, False)
    assert ("fox 1" in newer, "newt 2" in newer) == (False, True)
    assert sorted(path.name for path in results.parent.rglob("*")) == before


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "notes.txt").write_text("mine"), "holds 'notes.txt', which is no part"),
        (lambda folder: (folder / "pictures").mkdir(), "holds 'pictures'"),
        (lambda folder: (folder / "datapackage.json").write_text('{"name": "x"}'), "is a package of another program"),
        (lambda folder: (folder / "datapackage.json").unlink(), "is no exported package"),
        (lambda folder: (folder / "media.csv").unlink() or (folder / "media.csv").symlink_to("/x"), "holds 'media.csv'"),
    ],
)
def test_only_what_the_export_wrote_is_replaced(results: Path, spoil: Callable[[Path], Any], said: str) -> None:
    """A folder with anything else in it, or of another program, stays as it is."""
    export_predictions(config(results, "camtrap-dp"))
    folder = results.parent / "p.camtrap-dp"
    spoil(folder)
    before = {path.name: path.lstat().st_mtime_ns for path in folder.iterdir()}
    with pytest.raises(SettingError, match=said):
        export_predictions(config(results, "camtrap-dp", overwrite=True, classified_by="newt 2"))
    assert {path.name: path.lstat().st_mtime_ns for path in folder.iterdir()} == before


def test_facts_of_an_inventory(results: Path, tmp_path: Path) -> None:
    """Times, events and deployments of an inventory reach the pictures by their paths."""
    events = [
        CaptureEvent(
            event_id="night",
            media=tuple(Media(path=f"pictures/{name}", timestamp="2020-05-04T01:02:03", media_id=name) for name in names),
            observations=(Observation(labels={"species": "-1"}),),
            meta_data={"deployment": "d3", "sha256": "ab" * 32},
        )
        for names in [("lake/1.jpg", "lake/2.jpg")]
    ]
    inventory = tmp_path / "inventory.json"
    Inventory.from_records(events).write(inventory)
    export_predictions(config(results, "camtrap-dp", inventory=inventory))
    media = rows_of(tmp_path / "p.camtrap-dp" / "media.csv")
    assert [(row["mediaID"], row["timestamp"], row["mediaComments"]) for row in media] == [
        (name, "2020-05-04T01:02:03+02:00", "sha256:" + "ab" * 32) for name in ("lake/1.jpg", "lake/2.jpg")
    ]
    assert {row["eventID"] for row in rows_of(tmp_path / "p.camtrap-dp" / "observations.csv")} == {"night"}


def test_no_tensorflow(results: Path) -> None:
    """The command answers without loading TensorFlow."""
    code = (
        "import sys; from camtrap_tf.cli.main import main;"
        f"code = main(['predict', 'export', {str(results)!r}, '--export', 'megadetector']);"
        "sys.exit(code or ('tensorflow' in sys.modules and 9))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "megadetector: " in done.stdout
