"""A sample is written whole, kept, finished and refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from camtrap_tf.config.sample import SampleConfig
from camtrap_tf.errors import CamtrapError, SettingError
from camtrap_tf.files import PARTIAL, sha256_file
from camtrap_tf.sample import drawing
from camtrap_tf.sample.drawing import draw_sample
from tests.unit.sample.conftest import EVENTS, SEED


def digests(folder: Path) -> dict[str, str]:
    """Returns the digest of every file of a sample."""
    return {
        str(path.relative_to(folder)): sha256_file(path)
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def config(folder: Path, **changes: object) -> SampleConfig:
    """Returns the settings of a tiny sample."""
    return SampleConfig.model_validate({"output_dir": folder, "events": 12, "seed": 1, "workers": 1, **changes})


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of a sample of 12 events."""
    folder = tmp_path_factory.mktemp("tiny")
    draw_sample(config(folder))
    return folder


def test_two_workers_draw_the_same_bytes(sample: Path, tmp_path: Path) -> None:
    """Every file is the same, however many processes drew it."""
    draw_sample(SampleConfig(output_dir=tmp_path / "s", events=EVENTS, seed=SEED, workers=2))
    assert digests(tmp_path / "s") == digests(sample)


def test_another_seed_draws_other_pictures(tiny: Path, tmp_path: Path) -> None:
    """The seed decides what is drawn."""
    draw_sample(config(tmp_path / "s", seed=2))
    mine, other = digests(tmp_path / "s"), digests(tiny)
    assert [name for name in mine.keys() & other.keys() if name.endswith(".jpg")]
    same = [name for name in mine.keys() & other.keys() if name.endswith(".jpg") and mine[name] == other[name]]
    assert not [name for name in same if (tiny / name).stat().st_size > 100]


def test_a_finished_sample_is_kept(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same command again draws nothing and says so."""
    monkeypatch.setattr(drawing, "draw_piece", lambda piece: pytest.fail("drew again"))
    again = draw_sample(config(tiny))
    assert again.kept
    assert "kept" in again.text()


def test_an_interrupted_sample_is_finished_the_same(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a stop in the middle the same command goes on, keeps finished pieces, and ends with the same bytes."""
    real, drawn = drawing.draw_piece, []

    def stops(piece: drawing.Piece) -> int:
        """Draws a piece; is interrupted at the sixth."""
        if len(drawn) == 5:
            raise KeyboardInterrupt
        drawn.append(piece)
        return real(piece)

    monkeypatch.setattr(drawing, "draw_piece", stops)
    with pytest.raises(KeyboardInterrupt):
        draw_sample(config(tmp_path / "s"))
    assert not (tmp_path / "s" / "sample.json").exists()
    rest: list[drawing.Piece] = []
    monkeypatch.setattr(drawing, "draw_piece", lambda piece: (rest.append(piece), real(piece))[1])
    draw_sample(config(tmp_path / "s"))
    assert len(rest) == 7
    assert digests(tmp_path / "s") == digests(tiny)
    assert not (tmp_path / "s" / PARTIAL).exists()


def test_another_plan_in_the_folder_is_refused_or_replaced(tiny: Path, tmp_path: Path) -> None:
    """A sample with another seed is refused in one line; --overwrite draws the new one, as if the folder had been empty."""
    folder = tmp_path / "s"
    draw_sample(config(folder, seed=9))
    with pytest.raises(SettingError, match=r"another sample \(12 events, seed 9\).*--overwrite"):
        draw_sample(config(folder))
    draw_sample(config(folder, overwrite=True))
    assert digests(folder) == digests(tiny)


def test_files_that_are_no_sample_are_left_alone(tmp_path: Path) -> None:
    """A folder with pictures of somebody is refused even with --overwrite."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "mine.jpg").write_bytes(b"precious")
    with pytest.raises(SettingError, match="not of a sample"):
        draw_sample(config(tmp_path, overwrite=True))
    assert (tmp_path / "images" / "mine.jpg").read_bytes() == b"precious"


def test_a_changed_table_is_noticed(tiny: Path, tmp_path: Path) -> None:
    """A finished sample whose table was edited is not passed off as kept."""
    shutil.copytree(tiny, tmp_path / "s")
    (tmp_path / "s" / "sample.csv").write_text("edited")
    with pytest.raises(CamtrapError, match="changed or removed"):
        draw_sample(config(tmp_path / "s"))
