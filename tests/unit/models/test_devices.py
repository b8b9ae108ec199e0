"""From `--n-gpus` to devices."""

from typing import Literal

import pytest

from camtrap_tf.errors import SettingError
from camtrap_tf.models.devices import choose_devices, choose_gpus


@pytest.mark.parametrize(
    ("n_gpus", "there", "expected"),
    [("auto", 0, ["CPU:0"]), ("auto", 2, ["GPU:0", "GPU:1"]), (0, 2, ["CPU:0"]), (1, 2, ["GPU:0"])],
)
def test_devices(n_gpus: int | Literal["auto"], there: int, expected: list[str]) -> None:
    """`auto` takes all GPUs, 0 the CPU, a number that many."""
    assert choose_devices(n_gpus, there=there) == expected


def test_more_than_there_are() -> None:
    """More GPUs than there are is an error that says how many there are."""
    with pytest.raises(SettingError, match="--n-gpus 4: there is 1"):
        choose_devices(4, there=1)


def test_fewer_can_be_allowed(caplog: pytest.LogCaptureFixture) -> None:
    """Where fewer are allowed, those there are and a warning."""
    assert choose_devices(4, there=1, fewer_ok=True) == ["GPU:0"]
    assert choose_devices(1, there=0, fewer_ok=True) == ["CPU:0"]
    assert "there is 1" in caplog.text


def test_no_gpu_is_asked_for() -> None:
    """0 means the processor; more GPUs than there are is a setting error that says how many there are."""
    assert choose_gpus(0) == 0
    with pytest.raises(SettingError, match=r"--n-gpus 99: there (is|are) "):
        choose_gpus(99)
