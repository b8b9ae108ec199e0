"""What every source of an inventory has in common. A new source joins `SOURCES`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from camtrap_tf.config.inventory import PantheraInventoryConfig
from camtrap_tf.config.names import RowsAre
from camtrap_tf.config.picture_sources import (
    CamtrapDpInventoryConfig,
    CocoInventoryConfig,
    MegadetectorInventoryConfig,
    RecordsAre,
    TimelapseInventoryConfig,
    WildlifeInsightsInventoryConfig,
)
from camtrap_tf.errors import CamtrapError
from camtrap_tf.inventory.table import Inventory
from camtrap_tf.records import CaptureEvent, Reject
from camtrap_tf.sources import Source
from camtrap_tf.sources.camtrap_dp import CamtrapDpSource
from camtrap_tf.sources.classification_csv import ClassificationCsvSource
from camtrap_tf.sources.coco import CocoSource
from camtrap_tf.sources.csv_table import CsvColumns, CsvSource
from camtrap_tf.sources.folders import FolderSource
from camtrap_tf.sources.json_records import JsonSource
from camtrap_tf.sources.megadetector import MegadetectorSource
from camtrap_tf.sources.panthera import panthera_source
from camtrap_tf.sources.queried_images import QueriedImagesSource
from camtrap_tf.sources.timelapse import TimelapseSource
from camtrap_tf.sources.wildlife_insights import WildlifeInsightsSource

TABLE = """image,dir,species,count,location
1,a.jpg,zebra,2,höhle
2,b.jpg,,12,
1,c.jpg,lion,1,höhle
3,,gnu,1,
,d.jpg,gnu,1,
broken
"""


def csv_table(folder: Path, *, rows_are: RowsAre) -> CsvSource:
    """Returns the source of a table with good and bad rows."""
    (folder / "t.csv").write_text(TABLE, encoding="utf-8")
    columns = CsvColumns(id="image", images=["dir"], labels=["species", "count"], meta=["location"], rows_are=rows_are)
    return CsvSource(folder / "t.csv", columns)


def panthera(folder: Path) -> Source:
    """Returns the source of the same table, as Panthera's."""
    (folder / "t.csv").write_text(TABLE, encoding="utf-8")
    return panthera_source(PantheraInventoryConfig(path=folder / "t.csv", export_path=folder / "i.json"), folder / "t.csv")


def folders(folder: Path, *, nested: bool) -> Source:
    """Returns the source of class folders with pictures and other files."""
    for name in ("Cat/1.jpg", "Cat/1.png", "Dog/ü.v2.JPG", "Dog/deep/1.jpg", "Dog/Thumbs.db", "note.txt"):
        (folder / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "root" / name).write_bytes(b"")
    return FolderSource(folder / "root", nested=nested)


def json_file(folder: Path) -> Source:
    """Returns the source of a JSON inventory with good and bad entries."""
    good = {"labels": [{"species": "ü"}], "images": ["a.jpg"], "event": {"media": [{"timestamp": "2020"}]}}
    entries = {"1": good, "2": {**good, "meta_data": {"location": "x"}}, "3": {**good, "images": []}, "4": 5, "": good}
    (folder / "i.json").write_text(json.dumps(entries), encoding="utf-8")
    return JsonSource(folder / "i.json")


def classification_csv(folder: Path) -> ClassificationCsvSource:
    """Returns the source of a table of crops with good and bad rows."""
    rows = ["a.jpg,d,hö,c,1,ü", '"b,c.jpg",d,2,c,0.5,"x,ü"', "../c.jpg,d,2,c,1,x", "a.jpg,d,1,c,1,x", "e.jpg,d,1,c,1,", "f.jpg"]
    (folder / "c.csv").write_text("\n".join(["path,dataset,location,dataset_class,confidence,label", *rows]), encoding="utf-8")
    return ClassificationCsvSource(folder / "c.csv", splits={"train": [("d", "hö")]})


def queried_images(folder: Path) -> QueriedImagesSource:
    """Returns the source of queried images with good and bad entries."""
    box = {"category": "animal", "bbox": [0.1, 0.1, 0.2, 0.2]}
    entries = {
        "d/a.jpg": {"label": ["ü"], "bbox": [box, box]},
        "d/b.jpg": {"label": ["x", "ü"]},
        "c.jpg": {"label": ["x"]},
        "d/e": 3,
    }
    (folder / "q.json").write_text(json.dumps(entries), encoding="utf-8")
    return QueriedImagesSource(folder / "q.json")


NOTES = [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}, {"id": 2, "image_id": 9, "category_id": 1}]
BOX = {"category": "1", "conf": 0.9, "bbox": [0.1, 0.1, 0.2, 0.2]}


def coco(folder: Path, *, records: RecordsAre) -> Source:
    """Returns the source of a COCO Camera Traps file with good and bad entries."""
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 9, "height": 9, "seq_id": "s", "location": "ü"} for n in (1, 2, 2)]
    document = {"images": images, "annotations": NOTES, "categories": [{"id": 1, "name": "fox"}]}
    (folder / "cct.json").write_text(json.dumps(document), encoding="utf-8")
    config = CocoInventoryConfig(path=folder / "cct.json", export_path=folder / "i.json", records=records)
    return CocoSource(config)


def megadetector(folder: Path) -> Source:
    """Returns the source of MegaDetector results with good and bad entries."""
    images = [{"file": "ü.jpg", "detections": [BOX, 5]}, {"file": "b.jpg", "failure": "x"}, {"file": "c.jpg", "detections": []}]
    document = {"detection_categories": {"1": "animal"}, "images": images}
    (folder / "md.json").write_text(json.dumps(document), encoding="utf-8")
    return MegadetectorSource(MegadetectorInventoryConfig(path=folder / "md.json", export_path=folder / "i.json"))


def camtrap_dp(folder: Path) -> Source:
    """Returns the source of a Camtrap DP package with good and bad lines."""
    tables = {
        "deployments": "deploymentID,locationID\nd,ü\n",
        "media": "mediaID,deploymentID,timestamp,filePath,fileMediatype\nm,d,2020-01-01T00:00:00Z,a.jpg,image/jpeg\nbad\n",
        "observations": "mediaID,eventID,observationType,scientificName\nm,e,animal,Vulpes\nx,e,,\n",
    }
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    (folder / "a.jpg").write_bytes(b"x" * 300)
    resources = [{"name": name, "path": f"{name}.csv"} for name in tables]
    (folder / "datapackage.json").write_text(json.dumps({"resources": resources}), encoding="utf-8")
    return CamtrapDpSource(CamtrapDpInventoryConfig(path=folder / "datapackage.json", export_path=folder / "i.json"))


def wildlife_insights(folder: Path) -> Source:
    """Returns the source of a Wildlife Insights table with good and bad lines."""
    rows = "deployment_id,image_id,filename,genus,species\nd,1,a.jpg,Vulpes,vulpes\nd,2,b.jpg,,\nd,,c.jpg,,\nbad\n"
    (folder / "images.csv").write_text(rows, encoding="utf-8")
    config = WildlifeInsightsInventoryConfig(path=folder / "images.csv", export_path=folder / "i.json")
    return WildlifeInsightsSource(config)


def timelapse(folder: Path) -> Source:
    """Returns the source of a Timelapse table with good and bad lines."""
    rows = "File,RelativePath,DateTime,Species\n1.jpg,ü,2020-01-01 00:00:00,fox\n2.jpg,ü,,\n,ü,,\nbad\n"
    (folder / "tl.csv").write_text(rows, encoding="utf-8")
    return TimelapseSource(TimelapseInventoryConfig(path=folder / "tl.csv", export_path=folder / "i.json"))


SOURCES: dict[str, Callable[[Path], Source]] = {
    "csv, rows are observations": lambda folder: csv_table(folder, rows_are="observations"),
    "csv, rows are images": lambda folder: csv_table(folder, rows_are="images"),
    "panthera": panthera,
    "folders": lambda folder: folders(folder, nested=False),
    "nested folders": lambda folder: folders(folder, nested=True),
    "json": json_file,
    "classification csv": classification_csv,
    "queried images": queried_images,
}


@pytest.fixture(params=list(SOURCES), ids=list(SOURCES))
def make_source(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Source]:
    """Gives a function that makes the source anew."""
    return lambda: SOURCES[request.param](tmp_path)


def split(source: Source) -> tuple[list[CaptureEvent], list[Reject]]:
    """Returns records and rejects."""
    entries = list(source.records())
    assert all(isinstance(entry, CaptureEvent | Reject) for entry in entries)
    return [e for e in entries if isinstance(e, CaptureEvent)], [e for e in entries if isinstance(e, Reject)]


def test_records_have_ids_of_their_own(make_source: Callable[[], Source]) -> None:
    """No two records of a source share an id, and there are some."""
    records, _ = split(make_source())
    ids = [record.event_id for record in records]
    assert len(ids) == len(set(ids)) > 0


def test_everything_read_is_used_or_rejected(make_source: Callable[[], Source]) -> None:
    """Each unit is in at most one record, so records and rejects are no more than what was read; a reject is one unit."""
    source = make_source()
    records, rejects = split(source)
    assert len(rejects) < source.read
    assert len(records) + len(rejects) <= source.read
    assert source.unit


def test_rejects_say_why(make_source: Callable[[], Source]) -> None:
    """A reject has a place or an id, a unit, a reason code and a sentence, all of them writable."""
    _, rejects = split(make_source())
    assert rejects
    for reject in rejects:
        assert reject.item or reject.id
        assert reject.unit in ("record", "picture", "observation")
        assert reject.reason.replace("_", "").isalnum()
        assert reject.reason == reject.reason.lower()
        assert " " in reject.detail
        "".join(reject.row()).encode()


def test_reading_twice_gives_the_same(make_source: Callable[[], Source]) -> None:
    """Order and content do not change from one reading to the next."""
    assert split(make_source()) == split(make_source())


@pytest.mark.parametrize("suffix", ["json", "parquet"])
def test_records_make_an_inventory(make_source: Callable[[], Source], tmp_path: Path, suffix: str) -> None:
    """What a source yields is written and read back as it was."""
    inventory = Inventory.from_records(split(make_source())[0])
    inventory.write(tmp_path / f"out.{suffix}")
    again = Inventory.read(tmp_path / f"out.{suffix}")
    assert list(again) == list(inventory)
    assert again.digest() == inventory.digest()


@pytest.mark.parametrize(
    "make",
    [
        lambda path: CsvSource(path, CsvColumns(id="a", images=["b"], labels=["c"])),
        lambda path: panthera_source(PantheraInventoryConfig(path=path, export_path="i.json"), path),
        FolderSource,
        JsonSource,
        lambda path: CocoSource(CocoInventoryConfig(path=path, export_path="i.json")),
        lambda path: MegadetectorSource(MegadetectorInventoryConfig(path=path, export_path="i.json")),
        lambda path: CamtrapDpSource(CamtrapDpInventoryConfig(path=path, export_path="i.json")),
        lambda path: WildlifeInsightsSource(WildlifeInsightsInventoryConfig(path=path, export_path="i.json")),
        lambda path: TimelapseSource(TimelapseInventoryConfig(path=path, export_path="i.json")),
    ],
)
def test_absent_paths_are_told(make: Callable[[Path], Source], tmp_path: Path) -> None:
    """A path that does not exist is an error we foresee, and names the path."""
    with pytest.raises(CamtrapError, match="absent"):
        list(make(tmp_path / "absent").records())
