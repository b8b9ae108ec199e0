"""Pictures of COCO Camera Traps files, of LILA and of inventories, fetched from a local server that stands for theirs."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from camtrap_tf.acquire import lila_index
from camtrap_tf.acquire.downloading import download_urls
from camtrap_tf.cct.downloading import LilaListed, download_cct, download_lila
from camtrap_tf.cli.main import main
from camtrap_tf.config.download import CctDownloadConfig, InventoryDownloadConfig, LilaDownloadConfig, UrlsDownloadConfig
from camtrap_tf.errors import SettingError, SourceError
from camtrap_tf.inventory.downloading import download_inventory
from camtrap_tf.inventory.table import Inventory
from camtrap_tf.records import CaptureEvent, Media, Observation
from tests.factories import make_event
from tests.reading import rows_of
from tests.servers import Site, picture
from tests.unit.cct.documents import make_annotation, make_document, make_image


def animl(folder: Path, site: Site) -> Path:
    """Writes a file as Animl exports it, whose pictures are on the site under their keys; one is not."""
    images = [
        make_image(
            f"p:{n}", "Gate 1", file_name=f"proj/cam/gate_1/p-{n}.jpg", serving_bucket_key=f"original/p:{n}-original #é.jpg"
        )
        for n in range(4)
    ]
    images[3]["file_name"] = "../../evil.jpg"
    for image in images[:3]:
        site.files["/bucket/" + quote(str(image["serving_bucket_key"]), safe="/:")] = picture(str(image["id"]))
    site.files.pop("/bucket/" + quote("original/p:2-original #é.jpg", safe="/:"))
    document = make_document(images, [make_annotation(str(n), f"p:{n}", 7) for n in range(4)])
    document.write(folder / "animl_cct.json")
    return folder / "animl_cct.json"


def test_keys_of_images_are_joined_to_the_base(tmp_path: Path, site: Site) -> None:
    """Files get the image's file_name, the URL its key; missing and hostile ones are listed; the rest is a file of its own."""
    config = CctDownloadConfig(
        path=animl(tmp_path, site),
        base_url=f"{site.url}/bucket/?sv=secret",
        key_field="serving_bucket_key",
        output_dir=tmp_path / "out",
        cct_output=tmp_path / "there_cct.json",
    )
    done = download_cct(config)
    assert (done.counts.fetched, done.counts.reasons) == (2, {"not_found": 1, "outside_root": 1})
    assert (tmp_path / "out" / "proj/cam/gate_1/p-1.jpg").read_bytes() == picture("p:1")
    assert not (tmp_path / "evil.jpg").exists()
    written = json.loads((tmp_path / "there_cct.json").read_text())
    assert [one["id"] for one in written["images"]] == ["p:0", "p:1"]
    assert [one["image_id"] for one in written["annotations"]] == ["p:0", "p:1"]
    assert len(written["categories"]) == 3
    assert [row["id"] for row in rows_of(tmp_path / "there_cct.rejects.csv")] == ["p:2", "p:3"]
    assert [(row["id"], row["reason"]) for row in rows_of(tmp_path / "out" / "failed.csv")] == [
        ("p:3", "outside_root"),
        ("p:2", "not_found"),
    ]
    assert done.exit_code == 3
    assert "secret" not in done.text()


def test_what_cannot_lead_to_urls_is_said_first(tmp_path: Path, site: Site) -> None:
    """A missing base, a key that no image has, and a base that is none are errors before anything is asked."""
    config = CctDownloadConfig(path=animl(tmp_path, site), output_dir=tmp_path / "out")
    with pytest.raises(SettingError, match="--base-url is needed"):
        download_cct(config)
    with pytest.raises(SettingError, match="did you mean 'serving_bucket_key'"):
        download_cct(config.model_copy(update={"key_field": "serving_key", "base_url": site.url}))
    for base in ("ftp://example.org/a", "example.org/a", "http://"):
        with pytest.raises(SettingError, match="--base-url"):
            download_cct(config.model_copy(update={"base_url": base}))
    assert site.requests == []


def packed(document: dict[str, Any], *more: str) -> bytes:
    """Returns a zip file with the document in it, and further JSON files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("cct.json", json.dumps(document))
        file.writestr("__MACOSX/._cct.json", "junk")
        for name in more:
            file.writestr(name, "{}")
    return buffer.getvalue()


def lila(site: Site) -> None:
    """Makes the site a small LILA: an island with rats at two of three places, and a forest."""
    images = [make_image(str(n), None, file_name=f"isle {n % 3}/c/{n}.jpg") for n in range(9)]
    annotations = [make_annotation(str(n), str(n), 7 if n in (0, 1, 4) else 3) for n in range(9)]
    document = dict(make_document(images, annotations).members())
    site.files |= {f"/gcp/{quote(str(one['file_name']))}": picture(str(one["id"])) for one in images}
    site.files["/island.json.zip"] = packed(document)
    site.files["/two.zip"] = packed(document, "other.json")
    site.files["/forest_boxes.json"] = json.dumps(document).encode()
    rows = [
        ("Island Conservation Camera Traps", "island-conservation", "Oceania", "island.json.zip", "gcp", ""),
        ("Forest", "forest", "Asia", "two.zip", "gcp/", "forest_boxes.json"),
    ]
    text = "name,short_name,continent,metadata_url_gcp,image_base_url_gcp,bbox_url_gcp,image_base_url_aws\n"
    for name, short, place, annotation, pictures, boxes in rows:
        text += (
            f"{name},{short},{place},{site.url}/{annotation},{site.url}/{pictures},{site.url + '/' + boxes if boxes else ''},\n"
        )
    site.files["/index.csv"] = text.encode()


def of_lila(folder: Path, site: Site, *datasets: str, **more: Any) -> LilaDownloadConfig:
    """Returns settings that fetch from the small LILA."""
    return LilaDownloadConfig(index_url=f"{site.url}/index.csv", output_dir=folder / "lila", dataset=datasets, **more)


def test_lila_lists_its_data_sets(tmp_path: Path, site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a name the data sets are listed, and nothing is written."""
    lila(site)
    flags = ["--index-url", f"{site.url}/index.csv", "--output-dir", str(tmp_path / "lila")]
    assert main(["download", "lila", *flags]) == 0
    said = capsys.readouterr().out
    assert "2 data sets at LILA:" in said
    assert "island-conservation" in said
    assert not (tmp_path / "lila").exists()


def test_locations_that_have_rats_and_everything_else_there(tmp_path: Path, site: Site) -> None:
    """Of the island all pictures of the places with rats come, the foxes there too, and a file of these pictures."""
    lila(site)
    config = of_lila(tmp_path, site, "Island-Conservation", location_from_path=2, at_locations_with=("rat",))
    done = download_lila(config)
    assert not isinstance(done, LilaListed)
    assert done.counts.fetched == 6
    there = sorted(path.name for path in (tmp_path / "lila" / "island-conservation").rglob("*.jpg"))
    assert there == [f"{n}.jpg" for n in (0, 1, 3, 4, 6, 7)]
    written = json.loads((tmp_path / "lila" / "island-conservation_cct.json").read_text())
    assert {one["location"] for one in written["images"]} == {"isle 0/c", "isle 1/c"}
    assert "9 images = 6 chosen + 3 left out (3 by what else is at the location); 2 locations searched for" in done.text()
    site.requests.clear()
    again = download_lila(config)
    assert not isinstance(again, LilaListed)
    assert again.counts.there == 6
    assert {one.path for one in site.requests} == {"/index.csv"}


def test_a_plan_of_lila_writes_nothing(tmp_path: Path, site: Site) -> None:
    """--dry-run counts the pictures of a category and their bytes, and leaves no folder."""
    lila(site)
    done = download_lila(of_lila(tmp_path, site, "island-conservation", category=("rat",), dry_run=True))
    assert not isinstance(done, LilaListed)
    assert "would fetch 3 files, 12.0 kB" in done.text()
    assert not (tmp_path / "lila").exists()


def test_annotations_of_lila_alone(tmp_path: Path, site: Site) -> None:
    """--what annotations unpacks them; --boxes takes the file with boxes; names, clouds and zip files are checked."""
    lila(site)
    done = download_lila(of_lila(tmp_path, site, "island-conservation", what="annotations"))
    assert isinstance(done, LilaListed)
    target = tmp_path / "lila" / "annotations" / "island-conservation" / "island.json"
    assert str(target) in done.text()
    assert len(json.loads(target.read_text())["images"]) == 9
    download_lila(of_lila(tmp_path, site, "forest", what="annotations", boxes=True))
    assert (tmp_path / "lila" / "annotations" / "forest" / "forest_boxes.json").is_file()
    with pytest.raises(SettingError, match="did you mean 'Forest'"):
        download_lila(of_lila(tmp_path, site, "forrest"))
    with pytest.raises(SourceError, match="holds 2 JSON files"):
        download_lila(of_lila(tmp_path, site, "forest"))
    with pytest.raises(SourceError, match="no annotations on aws; choose from: gcp"):
        download_lila(of_lila(tmp_path, site, "forest", cloud="aws"))
    del site.files["/island.json.zip"]
    with pytest.raises(SourceError, match="not_found"):
        download_lila(of_lila(tmp_path / "b", site, "island-conservation"))


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What unpacks to more than the limit is refused whatever it says of its size, and leaves nothing."""
    monkeypatch.setattr(lila_index, "MAX_JSON_BYTES", 100_000)
    honest = packed({"images": ["x" * 200_000]})
    size = (200_000 + len('{"images": [""]}')).to_bytes(4, "little")
    lying = honest.replace(size, (10).to_bytes(4, "little"))
    assert lying != honest
    for data in (honest, lying):
        (tmp_path / "a.zip").write_bytes(data)
        with pytest.raises(SourceError, match="unpack"):
            lila_index.unpack(tmp_path / "a.zip", tmp_path / "a.json")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def remote_inventory(folder: Path, site: Site, *records: CaptureEvent) -> Path:
    """Writes an inventory."""
    Inventory.from_records(records).write(folder / "inventory.json")
    return folder / "inventory.json"


def test_an_inventory_of_urls_becomes_one_of_files(tmp_path: Path, site: Site) -> None:
    """URLs become paths below the image root; pictures that are not there, and what was seen on them, are listed."""
    site.files = {f"/m/{n}.jpg": picture(str(n)) for n in range(3)}
    far = [Media(path=f"{site.url}/m/{n}.jpg", media_id=f"m{n}") for n in range(5)]
    zebra, lion = (
        Observation(labels={"species": "zebra"}, media_id="m0"),
        Observation(labels={"species": "lion"}, media_id="m3"),
    )
    path = remote_inventory(
        tmp_path,
        site,
        CaptureEvent(event_id="whole", media=(far[1], far[2]), observations=(Observation(labels={"species": "zebra"}),)),
        CaptureEvent(event_id="part", media=(far[0], far[3]), observations=(zebra, lion)),
        CaptureEvent(event_id="gone", media=(far[4],), observations=(Observation(labels={"species": "lion"}),)),
        CaptureEvent(event_id="unseen", media=(far[0], far[3]), observations=(lion,)),
        make_event("local", pictures=("near/a.jpg",)),
    )
    config = InventoryDownloadConfig(path=path, export_path=tmp_path / "new.parquet", output_dir=tmp_path / "root" / "far")
    with pytest.raises(SettingError, match="1 of its pictures are files already"):
        download_inventory(config)
    with pytest.raises(SettingError, match="is not in --image-root"):
        download_inventory(config.model_copy(update={"image_root": tmp_path / "elsewhere"}))
    done = download_inventory(config.model_copy(update={"image_root": tmp_path / "root"}))
    counts = done.counts
    assert (counts.read, counts.fetched, counts.repeated, counts.reasons) == (7, 3, 2, {"not_found": 2})
    new = {record.event_id: record for record in Inventory.read(tmp_path / "new.parquet")}
    assert sorted(new) == ["local", "part", "whole"]
    host = site.url.removeprefix("http://").replace(":", "_")
    assert [media.path for media in new["whole"].media] == [f"far/{host}/m/1.jpg", f"far/{host}/m/2.jpg"]
    assert (tmp_path / "root" / new["part"].media[0].path).read_bytes() == picture("0")
    assert [dict(one.labels) for one in new["part"].observations] == [{"species": "zebra"}]
    rejected = [(row["id"], row["unit"]) for row in rows_of(tmp_path / "new.rejects.csv")]
    assert rejected == [
        ("part", "picture"),
        ("gone", "picture"),
        ("gone", "record"),
        ("unseen", "picture"),
        ("unseen", "record"),
    ]


def test_the_list_of_remote_pictures_is_a_list_of_urls(tmp_path: Path, site: Site) -> None:
    """What inventory builders list as remote (<name>.remote.csv) can be fetched as it is."""
    site.files["/a.jpg"] = picture("a")
    (tmp_path / "inventory.remote.csv").write_text(f"id,item,url\nm1,row 1,{site.url}/a.jpg\n")
    config = UrlsDownloadConfig(path=tmp_path / "inventory.remote.csv", output_dir=tmp_path / "out")
    assert download_urls(config).counts.fetched == 1


def test_an_inventory_without_urls_is_said(tmp_path: Path, site: Site) -> None:
    """There is nothing to fetch where every picture is a file; and an inventory is not written over itself."""
    path = remote_inventory(tmp_path, site, make_event())
    config = InventoryDownloadConfig(path=path, export_path=tmp_path / "new.json", output_dir=tmp_path / "out")
    with pytest.raises(SourceError, match="there is nothing to fetch"):
        download_inventory(config)
    with pytest.raises(SettingError, match="is the file that is read"):
        download_inventory(config.model_copy(update={"export_path": path}))
