"""When pictures were taken."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from camtrap_tf.sources.picture_times import exif_time, parse_time, parse_times
from tests.shared_data import shared


@pytest.mark.parametrize(
    ("text", "iso", "moment"),
    [
        ("2011-12-17 01:34:43", "2011-12-17T01:34:43", "2011-12-17T01:34:43+00:00"),
        ("2011-12-17T01:34:43Z", "2011-12-17T01:34:43Z", "2011-12-17T01:34:43+00:00"),
        ("2020-05-30T04:57:37+02:00", "2020-05-30T04:57:37+02:00", "2020-05-30T02:57:37+00:00"),
        ("2020-05-30T04:57:37-0130", "2020-05-30T04:57:37-01:30", "2020-05-30T06:27:37+00:00"),
        ("2016:03:24 10:30:12", "2016-03-24T10:30:12", "2016-03-24T10:30:12+00:00"),
        ("2018-07-03 18:34:36.573636", "2018-07-03T18:34:36.573636", "2018-07-03T18:34:36.573636+00:00"),
        ("24-Mar-2016 10:30:12", "2016-03-24T10:30:12", "2016-03-24T10:30:12+00:00"),
        (" 2016-3-4 1:02 ", "2016-03-04T01:02:00", "2016-03-04T01:02:00+00:00"),
    ],
)
def test_spellings(text: str, iso: str, moment: str) -> None:
    """Each usual spelling becomes ISO 8601, and the very moment."""
    found = parse_time(text)
    assert found is not None
    assert found[0] == iso
    assert found[1] == pytest.approx(dt.datetime.fromisoformat(moment).timestamp())


def test_a_day_has_no_moment() -> None:
    """A date alone is kept, but says nothing about gaps."""
    found = parse_time("2016-03-24")
    assert found is not None
    assert found[0] == "2016-03-24"
    assert math.isnan(found[1])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0000:00:00 00:00:00",
        "2016-02-30 10:00:00",
        "2016-03-24 25:00:00",
        "yesterday",
        "24-Foo-2016",
        "2016-01-01T00:00:00+99:00",
    ],
)
def test_what_is_no_time(text: str) -> None:
    """Days and hours that do not exist are none."""
    assert parse_time(text) is None


@pytest.mark.parametrize(
    "texts",
    [
        ["2011-12-17 01:34:43", "2012-02-29T23:59:59"],
        ["2011-12-17 01:34:43", "2011-02-30 01:34:43"],
        ["2011-12-17 01:34:43", None, "2011-12-17 01:34:43", "x", "2020-05-30T04:57:37+02:00"],
        [None],
        [],
    ],
)
def test_a_column_is_read_like_its_texts(texts: list[str | None]) -> None:
    """The quick way for columns of one spelling and the slow one agree with the reading of single texts."""
    iso, seconds = parse_times(pa.array(texts, pa.string()))
    single = [None if text is None else parse_time(text) for text in texts]
    assert iso.to_pylist() == [None if one is None else one[0] for one in single]
    assert [None if s != s else s for s in seconds.tolist()] == [None if one is None else one[1] for one in single]


def test_exif(tmp_path: Path) -> None:
    """DateTimeOriginal counts, with its offset; a picture without it, or no picture, has no time."""
    exif = Image.Exif()
    exif[0x0132] = "2001:01:01 00:00:00"
    exif.get_ifd(0x8769)[0x9003] = "2016:03:24 10:30:12"
    exif.get_ifd(0x8769)[0x9011] = "+02:00"
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=exif)
    assert exif_time(tmp_path / "a.jpg") == "2016-03-24T10:30:12+02:00"
    del exif.get_ifd(0x8769)[0x9003]
    Image.new("RGB", (8, 8)).save(tmp_path / "b.jpg", exif=exif)
    assert exif_time(tmp_path / "b.jpg") == "2001-01-01T00:00:00"
    Image.new("RGB", (8, 8)).save(tmp_path / "c.jpg")
    (tmp_path / "d.jpg").write_bytes(b"no picture")
    assert [exif_time(tmp_path / name) for name in ("c.jpg", "d.jpg", "e.jpg")] == [None, None, None]


def test_exif_of_a_camera() -> None:
    """A picture of a real camera says what is burned into it."""
    assert exif_time(shared("data/ena24_small/ena24_small/49.jpg")) == "2016-03-24T10:30:12"
