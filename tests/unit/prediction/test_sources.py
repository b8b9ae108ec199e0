"""Folders and tables of pictures to predict."""

from __future__ import annotations

from pathlib import Path

import pytest

from camtrap_tf.config.delivery import PredictConfig
from camtrap_tf.errors import CamtrapError, SettingError, SourceError
from camtrap_tf.prediction.sources import PictureFolder, PictureTable
from tests.factories import write_pictures


def write_table(path: Path, *rows: str) -> Path:
    """Writes lines of text."""
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def read_table(path: Path, **options) -> PictureTable:
    """Returns a checked table with the columns id and image."""
    table = PictureTable(path, "id", options.pop("image_columns", ("image",)), **options)
    table.check()
    return table


def test_folder_is_searched_through(tmp_path: Path) -> None:
    """Every file with a picture's ending, in any case, has a picture, in the order of names; other files have none."""
    write_pictures(tmp_path, ["b.JPG", "a.jpeg", "deep/er/c.png", "deep/a.b.Tif"])
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "README").write_text("x")
    (tmp_path / "empty.bmp").write_bytes(b"")
    folder = PictureFolder(tmp_path)
    captures = list(folder.captures())
    found = [Path(capture.id).relative_to(tmp_path).as_posix() for capture in captures if capture.paths]
    assert found == ["a.jpeg", "b.JPG", "empty.bmp", "deep/a.b.Tif", "deep/er/c.png"]
    assert dict(folder.skipped) == {".txt": 1, "README": 1}
    assert {Path(capture.id).name for capture in captures if capture.passed_over} == {"notes.txt", "README"}
    assert len(folder) == len(captures) == 7
    assert len(PictureFolder(tmp_path, pictures_only=True)) == 5


def test_what_crop_leaves_beside_crops_is_not_looked_at(tmp_path: Path) -> None:
    """Its tables and logs are no files of the folder, at any depth; those of the same names of somebody else are."""
    write_pictures(tmp_path, ["set/a.jpg", "b.jpg"])
    names = ("crops.csv", "rejects.csv", "run_info.log", "crop_detections_log_20260102_030405.json")
    for folder in (tmp_path, tmp_path / "set"):
        for name in (*names, "notes.txt"):
            (folder / name).write_text("x")
    (tmp_path / "set/crops.json").write_text('{"kind": "crops", "digest": "0", "settings": {}}')
    (tmp_path / "crops.json").write_text('{"kind": "harvest"}')
    folder = PictureFolder(tmp_path)
    passed = [Path(one.id).relative_to(tmp_path).as_posix() for one in folder.captures() if one.passed_over]
    assert passed == [
        "crop_detections_log_20260102_030405.json",
        *sorted(("crops.json", *names[:3], "notes.txt")),
        "set/notes.txt",
    ]


def test_folder_that_links_to_itself_ends(tmp_path: Path) -> None:
    """Linked folders are searched, a link back to a folder above is not searched again."""
    write_pictures(tmp_path / "real", ["a.jpg"])
    write_pictures(tmp_path / "top", ["b.jpg"])
    (tmp_path / "top" / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "back").symlink_to(tmp_path / "top")
    assert sorted(Path(c.id).name for c in PictureFolder(tmp_path / "top").captures()) == ["a.jpg", "b.jpg"]


def test_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    """A folder with no picture, or no folder at all, is a setting error."""
    with pytest.raises(SettingError, match="no file there or below"):
        PictureFolder(tmp_path).check()
    with pytest.raises(SettingError, match="no such folder"):
        PictureFolder(tmp_path / "nowhere").check()


def test_repeated_ids_unite_their_pictures(tmp_path: Path) -> None:
    """Rows of one id are one record with the pictures of all of them, each once, in order; ids keep their order."""
    path = write_table(tmp_path / "t.csv", "id,image,image2", "e2,a.jpg,", "e1,b.jpg,c.jpg", "e2,d.jpg,a.jpg")
    captures = list(read_table(path, image_columns=("image", "image2")).captures())
    assert [(c.id, c.paths) for c in captures] == [("e2", ("a.jpg", "d.jpg")), ("e1", ("b.jpg", "c.jpg"))]


def test_remaining_columns_are_meta_data(tmp_path: Path) -> None:
    """Columns that are neither id nor picture are meta data in the order of the table; the first non-empty value holds."""
    path = write_table(tmp_path / "t.csv", "site,id,image,night", ",e1,a.jpg,no", "A7,e1,b.jpg,yes")
    table = read_table(path)
    (capture,) = table.captures()
    assert table.meta_fields == ("site", "night")
    assert capture.meta_data == {"site": "A7", "night": "no"}
    assert table.disagreements == 1


def test_the_id_may_be_the_picture(tmp_path: Path) -> None:
    """One column can be both id and picture."""
    path = write_table(tmp_path / "t.csv", "image,site", "a.jpg,x")
    table = PictureTable(path, "image", ("image",))
    table.check()
    assert next(table.captures()).paths == ("a.jpg",)
    assert table.meta_fields == ("site",)


def test_root_is_put_before_paths(tmp_path: Path) -> None:
    """Paths are joined to the root without leading separators; one that leads out of it is marked, not opened."""
    path = write_table(tmp_path / "t.csv", "id,image", "e1,/a.jpg", "e2,../a.jpg")
    inside, outside = read_table(path, root=tmp_path).captures()
    assert inside.paths == (str(tmp_path / "a.jpg"),)
    assert outside.problems["../a.jpg"][0] == "outside_root"


def test_an_empty_root_leaves_absolute_paths(tmp_path: Path) -> None:
    """`-csv_images_root_path ""` means no root."""
    path = write_table(tmp_path / "t.csv", "id,image", f"e1,{tmp_path}/a.jpg")
    assert next(read_table(path, root=Path()).captures()).paths == (f"{tmp_path}/a.jpg",)


def test_rows_without_id_or_picture_stay(tmp_path: Path) -> None:
    """A row without a picture is a record without pictures; rows without an id do not melt into one."""
    path = write_table(tmp_path / "t.csv", "id,image", "e1,", ",a.jpg", ",b.jpg")
    captures = list(read_table(path).captures())
    assert [len(c.paths) for c in captures] == [0, 1, 1]
    assert len({c.id for c in captures}) == 3


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["ID,image", "1,a.jpg"], "--csv-id-col id: .* did you mean 'ID'"),
        (["id,images", "1,a.jpg"], "--csv-images-cols image: .* did you mean 'images'"),
        (["id,image"], "nothing to predict"),
        (["id,image", "1,a.jpg,x"], "row 2 has 3 cells, the header 2"),
        (["id,image,x,x", "1,a.jpg,,"], "names 'x' twice"),
    ],
)
def test_unusable_tables_are_refused(tmp_path: Path, rows: list[str], said: str) -> None:
    """Each mistake in a table is one line that names it."""
    with pytest.raises(CamtrapError, match=said):
        read_table(write_table(tmp_path / "t.csv", *rows))


def test_absent_and_foreign_files_are_refused(tmp_path: Path) -> None:
    """No file and a file that is not text are source errors."""
    with pytest.raises(SourceError, match="no such file"):
        read_table(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_bytes(b"id,image\n\xff\xfe\n")
    with pytest.raises(SourceError, match="cannot be read as CSV"):
        read_table(tmp_path / "t.csv")


def test_flags_of_a_table_need_a_table(tmp_path: Path) -> None:
    """Flags that describe a CSV are refused with a folder instead of being ignored; an empty root is no root."""
    PredictConfig(model_path=tmp_path, results_file=tmp_path, image_dir=tmp_path, csv_images_root_path=Path())
    with pytest.raises(ValueError, match="--csv-id-col goes with --csv-path"):
        PredictConfig(model_path=tmp_path, results_file=tmp_path, image_dir=tmp_path, csv_id_col="id")
