"""The stored form of pictures."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from camtrap_tf.config.dataset import DatasetConfig
from camtrap_tf.errors import PictureError
from camtrap_tf.images.stored_form import StoredForm, read_stored, to_stored_form
from tests.factories import make_jpeg
from tests.shared_data import shared


def opened(data: bytes) -> Image.Image:
    """A stored picture, which has to be a JPEG in RGB."""
    picture = Image.open(io.BytesIO(data))
    assert (picture.format, picture.mode) == ("JPEG", "RGB")
    return picture


@pytest.mark.parametrize(
    ("form", "stored", "expected"),
    [
        (StoredForm(side_smallest_px=100), (400, 200), (200, 100)),
        (StoredForm(side_smallest_px=100), (200, 401), (100, 200)),
        (StoredForm(side_smallest_px=None, side_max_px=100), (400, 200), (100, 50)),
        (StoredForm(side_smallest_px=100, side_max_px=150), (400, 200), (150, 75)),
        (StoredForm(side_smallest_px=100, side_max_px=300), (400, 200), (200, 100)),
        (StoredForm(side_smallest_px=500), (400, 200), (400, 200)),
        (StoredForm(side_smallest_px=None), (4000, 2000), (4000, 2000)),
        (StoredForm(side_smallest_px=None, side_max_px=16), (4000, 20), (16, 1)),
    ],
)
def test_size(form: StoredForm, stored: tuple[int, int], expected: tuple[int, int]) -> None:
    """Both limits hold, the aspect ratio is kept, nothing is enlarged; lying and standing pictures alike."""
    assert form.size(*stored) == expected
    assert form.size(*stored[::-1]) == expected[::-1]


def test_default_is_500_px_quality_90() -> None:
    """The defaults are those of camera-trap-classifier; a limit on the larger side replaces them."""
    config = DatasetConfig(inventory=Path("i.json"), output_dir=Path("o"))
    assert StoredForm.from_config(config) == StoredForm(side_smallest_px=500, side_max_px=None, quality=90)
    config = DatasetConfig(inventory=Path("i.json"), output_dir=Path("o"), image_save_side_max=300, truncated="recover")
    assert StoredForm.from_config(config) == StoredForm(side_smallest_px=None, side_max_px=300, truncated="recover")


def test_json_round_trip() -> None:
    """A form survives being written and read."""
    form = StoredForm(side_smallest_px=None, side_max_px=300, quality=80, truncated="recover", max_pixels=5)
    assert StoredForm.from_json(json.loads(json.dumps(form.as_json()))) == form


def test_pictures_are_shrunk_and_encoded_anew() -> None:
    """A large picture becomes a smaller JPEG that looks the same."""
    data = make_jpeg(320, 240, seed=3)
    stored = opened(to_stored_form(data, StoredForm(side_smallest_px=100)))
    assert stored.size == (133, 100)
    expected = np.asarray(Image.open(io.BytesIO(data)).resize((133, 100), Image.Resampling.BILINEAR))
    assert np.abs(np.asarray(stored).astype(int) - expected.astype(int)).mean() < 2


def test_meta_data_of_pictures_is_dropped() -> None:
    """No EXIF (which may hold the place), no comment, no profile gets into a shard."""
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    exif[0x8825] = {1: "N", 2: (51.0, 30.0, 0.0)}
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32)).save(buffer, "JPEG", exif=exif, comment=b"secret", icc_profile=b"secret")
    stored = to_stored_form(buffer.getvalue(), StoredForm())
    assert b"secret" not in stored
    assert not opened(stored).getexif()


def test_the_same_picture_gives_the_same_bytes() -> None:
    """Encoding is a function of the picture and the form."""
    form = StoredForm(side_smallest_px=20)
    assert to_stored_form(make_jpeg(), form) == to_stored_form(make_jpeg(), form)


def test_quality_is_used() -> None:
    """A lower quality gives fewer bytes."""
    data = make_jpeg(200, 200)
    assert len(to_stored_form(data, StoredForm(quality=30))) < len(to_stored_form(data, StoredForm(quality=95)))


def test_a_picture_too_long_for_jpeg_is_rejected() -> None:
    """JPEG ends at 65500 px a side; such a picture has a reason, not a crash."""
    buffer = io.BytesIO()
    Image.new("RGB", (70_000, 2)).save(buffer, "PNG")
    with pytest.raises(PictureError, match="unreadable: 70000 x 2 px"):
        to_stored_form(buffer.getvalue(), StoredForm())


def test_reading_files(tmp_path: Path) -> None:
    """Files that cannot be opened have a reason too; a pipe does not block."""
    (tmp_path / "a.jpg").write_bytes(make_jpeg())
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    assert opened(read_stored(tmp_path / "a.jpg", StoredForm())).size == (64, 48)
    expected = {
        "gone.jpg": "missing_file",
        "a.jpg/b.jpg": "missing_file",
        "empty.jpg": "empty_file",
        "folder.jpg": "unreadable",
        "pipe.jpg": "unreadable",
        "n" * 300: "unreadable",
    }
    for name, reason in expected.items():
        with pytest.raises(PictureError) as caught:
            read_stored(tmp_path / name, StoredForm())
        assert caught.value.reason == reason, name
        assert str(tmp_path) not in caught.value.detail


def test_real_odd_pictures() -> None:
    """Real awkward files: converted where possible, else rejected with the right reason."""
    folder = shared("data/image_edge_cases")
    form = StoredForm()
    assert opened(read_stored(folder / "bmp_named_jpg_23.jpg", form)).size == (334, 257)
    with pytest.raises(PictureError, match="truncated"):
        read_stored(folder / "3437265929.jpg", form)
    recovered = opened(read_stored(folder / "3437265929.jpg", StoredForm(truncated="recover")))
    assert min(recovered.size) == 500
    with pytest.raises(PictureError, match="empty_file"):
        read_stored(folder / "error_img.JPG", form)
