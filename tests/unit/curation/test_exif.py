"""The stages `exif check` and `exif set`: tables, copies, and pictures that nobody touches."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from camtrap_tf.config.exif import ExifCheckConfig, ExifSetConfig
from camtrap_tf.curation import exif_serials
from camtrap_tf.curation.exif_check import ExifChecked, check_exif
from camtrap_tf.curation.exif_serials import SerialsSet, set_serials
from camtrap_tf.errors import CamtrapError, SettingError, TooManyRejectsError
from camtrap_tf.files import sha256_file, write_csv
from camtrap_tf.images.jpeg_exif import camera_facts, with_serial_number
from tests.factories import make_jpeg, write_pictures
from tests.reading import rows_of


def check(tmp_path: Path, **settings: object) -> ExifChecked:
    """Looks at `pictures`, writes `exif.csv`."""
    config = ExifCheckConfig.model_validate(
        {"path": tmp_path / "pictures", "output": tmp_path / "exif.csv", "workers": 2, **settings}
    )
    return check_exif(config)


def put(tmp_path: Path, **settings: object) -> SerialsSet:
    """Writes the numbers of `table.csv` into copies in `copies`."""
    config = {"path": tmp_path / "table.csv", "output_dir": tmp_path / "copies", "workers": 2, "max_rejected_share": 1}
    return set_serials(ExifSetConfig.model_validate({**config, **settings}))


def table(tmp_path: Path, *rows: tuple[object, str]) -> None:
    """Writes `table.csv`: path and serial number per row."""
    write_csv(tmp_path / "table.csv", ("absolute_path", "serial_number"), rows)


def state(folder: Path) -> dict[str, tuple[str, int]]:
    """Returns file → digest and time of change of everything below a folder."""
    return {
        str(path.relative_to(folder)): (sha256_file(path), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_check_lists_every_jpeg_or_says_why_not(tmp_path: Path) -> None:
    """In = out + rejected; the columns are those of the older script, quoted where that is needed."""
    pictures = tmp_path / "pictures"
    write_pictures(pictures, ["plain, with comma.jpg", "cam 1/numbered.JPEG"])
    numbered = pictures / "cam 1" / "numbered.JPEG"
    numbered.write_bytes(with_serial_number(numbered.read_bytes(), "SN1"))
    (pictures / "cut.jpg").write_bytes(make_jpeg()[:20])
    (pictures / "empty.jpg").touch()
    (pictures / "notes.txt").touch()
    (pictures / "gone.jpg").symlink_to("nowhere")
    os.mkfifo(pictures / "pipe.jpg")  # whoever opened it would wait for ever
    done = check(tmp_path)
    head = "absolute_path,date_time_original,file_size,file_too_big,make,model,serial_number,user_comment"
    assert (tmp_path / "exif.csv").read_text().splitlines()[0] == head
    rows = rows_of(tmp_path / "exif.csv")
    assert [(row["absolute_path"], row["serial_number"], row["make"]) for row in rows] == [
        (str(pictures / "plain, with comma.jpg"), "unknown", "unknown"),
        (str(numbered), "SN1", "unknown"),
    ]
    assert [row["file_size"] for row in rows] == [str(Path(row["absolute_path"]).stat().st_size) for row in rows]
    rejects = {Path(row["item"]).name: row["reason"] for row in rows_of(tmp_path / "exif.rejects.csv")}
    assert rejects == {"cut.jpg": "truncated", "empty.jpg": "empty_file", "gone.jpg": "missing_file", "pipe.jpg": "unreadable"}
    assert "6 JPEGs in = 2 listed + 4 rejected" in done.text()
    assert "1 file of other kinds passed over" in done.text()
    assert "serial_number of 1" in done.text()


def test_meta_data_far_into_a_file_are_read(tmp_path: Path) -> None:
    """EXIF behind more segments than the first piece that is read is found, too."""
    numbered = with_serial_number(make_jpeg(), "FAR")
    jfif_end = 2 + 2 + int.from_bytes(numbered[4:6], "big")
    padding = (b"\xff\xec\xff\xff" + bytes(65_533)) * 3
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "far.jpg").write_bytes(numbered[:jfif_end] + padding + numbered[jfif_end:])
    check(tmp_path)
    assert [row["serial_number"] for row in rows_of(tmp_path / "exif.csv")] == ["FAR"]


def test_size_limit_is_obeyed(tmp_path: Path) -> None:
    """Files above the limit are marked, one of exactly that size is not."""
    write_pictures(tmp_path / "pictures", ["a.jpg"])
    size = (tmp_path / "pictures" / "a.jpg").stat().st_size
    for limit, expected in ((size, "False"), (size - 1, "True")):
        done = check(tmp_path, too_big_bytes=limit)
        assert [row["file_too_big"] for row in rows_of(tmp_path / "exif.csv")] == [expected]
        assert done.too_big == (expected == "True")


def test_check_refuses_before_it_reads(tmp_path: Path) -> None:
    """A folder without JPEGs and a share of rejects above the limit write nothing; nor does a plan."""
    (tmp_path / "pictures").mkdir()
    with pytest.raises(SettingError, match="no file there or below ends in"):
        check(tmp_path)
    (tmp_path / "pictures" / "a.jpg").touch()
    with pytest.raises(TooManyRejectsError, match="1 of 1 JPEGs"):
        check(tmp_path, max_rejected_share=0.5)
    assert "would write" in check(tmp_path, dry_run=True).text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pictures"]


def test_copies_have_the_number_and_pictures_stay(tmp_path: Path) -> None:
    """Copies keep sub-folders, so that equal names do not collide, and times; pictures are as they were, to the byte."""
    pictures = tmp_path / "pictures"
    write_pictures(pictures, ["a/x.jpg", "b/x.jpg", "c/x.jpg"])
    os.utime(pictures / "a" / "x.jpg", ns=(10**18, 10**18))
    before = state(pictures)
    table(tmp_path, (pictures / "a/x.jpg", "SN1"), (pictures / "b/x.jpg", "SN2"), (pictures / "c/x.jpg", "unknown"))
    done = put(tmp_path)
    assert state(pictures) == before
    copies = tmp_path / "copies"
    assert {name: camera_facts((copies / name).read_bytes()).serial_number for name in ("a/x.jpg", "b/x.jpg")} == {
        "a/x.jpg": "SN1",
        "b/x.jpg": "SN2",
    }
    assert sorted(str(path.relative_to(copies)) for path in copies.rglob("*") if path.is_file()) == [
        "a/x.jpg", "b/x.jpg", "exif.csv"
    ]  # fmt: skip
    assert (copies / "a/x.jpg").stat().st_mtime_ns == 10**18
    assert "3 rows in = 2 written + 0 kept + 1 without a serial number + 0 rejected" in done.text()
    assert [row["file"] for row in rows_of(copies / "exif.csv")] == ["a/x.jpg", "b/x.jpg"]


def test_table_of_check_is_taken(tmp_path: Path) -> None:
    """What `exif check` writes is what `exif set` reads; paths do not depend on how many numbers are known yet."""
    write_pictures(tmp_path / "pictures", ["a/x.jpg", "b/x.jpg"])
    path = tmp_path / "pictures" / "b" / "x.jpg"
    path.write_bytes(with_serial_number(path.read_bytes(), "SN7"))
    check(tmp_path)
    done = put(tmp_path, path=tmp_path / "exif.csv")
    assert (done.made["written"], done.same, done.unknown) == (1, 1, 1)
    assert (tmp_path / "copies" / "b" / "x.jpg").read_bytes() == path.read_bytes()


def test_the_same_command_again_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a break, copies that are there are left alone, and the table lists all of them; no copy is ever half there."""
    names = [f"{number}.jpg" for number in range(6)]
    write_pictures(tmp_path / "pictures", names)
    table(tmp_path, *((tmp_path / "pictures" / name, f"SN{name[0]}") for name in names))
    whole, calls = exif_serials.with_serial_number, []

    def full(data: bytes, serial: str) -> bytes:
        """Fails at the fourth picture, as a full disk does."""
        calls.append(serial)
        if len(calls) == 4:
            raise OSError(28, "No space left on device")
        return whole(data, serial)

    monkeypatch.setattr(exif_serials, "with_serial_number", full)
    with pytest.raises(CamtrapError, match="cannot write"):
        put(tmp_path, workers=1)
    assert not (tmp_path / "copies" / "exif.csv").exists()
    there = state(tmp_path / "copies")
    there = {name: value for name, value in there.items() if name.endswith(".jpg")}
    assert 3 <= len(there) < 6
    done = put(tmp_path)
    assert (done.made["written"], done.made["kept"]) == (6 - len(there), len(there))
    assert there.items() <= state(tmp_path / "copies").items()
    assert [row["file"] for row in rows_of(tmp_path / "copies" / "exif.csv")] == names
    assert not list(tmp_path.rglob("*.part"))


def test_rows_that_cannot_be_used_have_a_reason(tmp_path: Path) -> None:
    """Each is a reject with its line; the others are copied; in = out + rejected."""
    write_pictures(tmp_path / "pictures", ["a.jpg", "b.jpg"])
    root = tmp_path / "pictures"
    (root / "cut.jpg").write_bytes(make_jpeg()[:20])
    rows = [("a.jpg", "SN1"), ("a.jpg", "SN2"), ("none.jpg", "SN1"), ("../x.jpg", "SN1"), ("/etc/hosts.jpg", "SN1")]
    rows += [("notes.txt", "SN1"), ("", "SN1"), ("b.jpg", "Gerät"), ("cut.jpg", "SN1"), ("b.jpg", "")]
    table(tmp_path, *rows)
    done = put(tmp_path, image_root=root)
    found = {row["item"]: row["reason"] for row in rows_of(tmp_path / "copies" / "rejects.csv")}
    assert found == {
        "line 3": "repeated_file", "line 4": "missing_file", "line 5": "outside_root", "line 6": "outside_root",
        "line 7": "not_a_jpeg", "line 8": "no_path", "line 9": "bad_serial", "line 10": "truncated",
    }  # fmt: skip
    assert "10 rows in = 1 written + 0 kept + 1 without a serial number + 8 rejected" in done.text()
    assert put(tmp_path, image_root=root, max_rejected_share=0.5).exit_code == 3
    assert done.exit_code == 0


def test_huge_files_are_not_held_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a camera's picture ever has is a reject, read no further."""
    write_pictures(tmp_path / "pictures", ["a.jpg"])
    monkeypatch.setattr(exif_serials, "MOST_BYTES", 1000)
    table(tmp_path, (tmp_path / "pictures" / "a.jpg", "SN1"))
    assert [reject.reason for reject in put(tmp_path).rejects] == ["too_large"]


def test_other_files_are_not_replaced_unasked(tmp_path: Path) -> None:
    """A file of other bytes under the name of a copy is a reject; with `--overwrite` it gives way."""
    write_pictures(tmp_path / "pictures", ["a.jpg"])
    table(tmp_path, (tmp_path / "pictures" / "a.jpg", "SN1"))
    (tmp_path / "copies").mkdir()
    (tmp_path / "copies" / "a.jpg").write_bytes(b"somebody's")
    done = put(tmp_path)
    assert [reject.reason for reject in done.rejects] == ["other_file"]
    assert (tmp_path / "copies" / "a.jpg").read_bytes() == b"somebody's"
    put(tmp_path, overwrite=True)
    assert camera_facts((tmp_path / "copies" / "a.jpg").read_bytes()).serial_number == "SN1"
    assert not (tmp_path / "copies" / "rejects.csv").exists()


@pytest.mark.parametrize("output", ["pictures", ".", "link", "linked"])
def test_copies_never_go_where_the_pictures_are(tmp_path: Path, output: str) -> None:
    """A folder that holds pictures, by its name or through a link, is refused before anything is written, overwrite or not."""
    write_pictures(tmp_path / "pictures", ["a/x.jpg", "b/x.jpg"])
    (tmp_path / "link").symlink_to("pictures")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "a").symlink_to("../pictures/a")
    table(tmp_path, *((tmp_path / "pictures" / name, "SN1") for name in ("a/x.jpg", "b/x.jpg")))
    before = state(tmp_path)
    with pytest.raises(SettingError, match="--output-dir"):
        put(tmp_path, output_dir=tmp_path / output, overwrite=True)
    assert state(tmp_path) == before


def test_a_link_in_the_place_of_a_copy_is_replaced_not_followed(tmp_path: Path) -> None:
    """Where a copy should be lies a link to its picture: the link gives way to the copy, the picture stays."""
    write_pictures(tmp_path / "pictures", ["x.jpg"])
    picture = tmp_path / "pictures" / "x.jpg"
    (tmp_path / "copies").mkdir()
    (tmp_path / "copies" / "x.jpg").symlink_to(picture)
    table(tmp_path, (picture, "SN1"))
    before = picture.read_bytes()
    put(tmp_path, overwrite=True)
    assert picture.read_bytes() == before
    assert not (tmp_path / "copies" / "x.jpg").is_symlink()


def test_a_plan_writes_nothing(tmp_path: Path) -> None:
    """It says how many copies, of how many cameras, with paths from where; absent pictures and bad numbers change nothing."""
    write_pictures(tmp_path / "pictures", ["a.jpg", "b.jpg", "c.jpg"])
    rows = [(tmp_path / "pictures" / name, "SN1") for name in ("a.jpg", "b.jpg")]
    table(tmp_path, *rows, (tmp_path / "pictures/c.jpg", "SN ö"), (tmp_path.parent / "none.jpg", "SN1"))
    text = put(tmp_path, dry_run=True).text()
    assert "4 rows in = 2 to copy + 0 without a serial number + 2 rejected" in text
    assert f"2 pictures of 1 serial number below {tmp_path / 'copies'}, with their paths from {tmp_path / 'pictures'}" in text
    assert not (tmp_path / "copies").exists()


def test_a_column_that_is_not_there_names_the_nearest(tmp_path: Path) -> None:
    """The table's own columns are told before anything is copied."""
    table(tmp_path)
    with pytest.raises(SettingError, match="did you mean 'serial_number'"):
        put(tmp_path, serial_column="serial_numbr")
