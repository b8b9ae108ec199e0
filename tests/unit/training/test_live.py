"""The display of a running epoch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from camtrap_tf.training import live
from camtrap_tf.training.live import EpochDisplay, duration


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Puts such a clock in the place of the real one."""
    made = Clock()
    monkeypatch.setattr(live.time, "monotonic", made)
    return made


def slow_batches(clock: Clock, count: int, *, wait_s: float) -> Iterator[dict[str, np.ndarray]]:
    """Yields batches of 8 records, each after some time."""
    for _ in range(count):
        clock.now += wait_s
        yield {"records": np.arange(8)}


def test_what_is_left_is_not_guessed_from_one_step(clock: Clock) -> None:
    """Time left is told once two steps after the first, and five seconds, have shown what a step takes."""
    with EpochDisplay("Epoch 1 of 1", total=100, done=0, terminal=False) as display:
        told = []
        for _ in display.batches(slow_batches(clock, 5, wait_s=1.0)):
            told.append(any("left" in part for part in display.parts()))
            clock.now += 1.0
    # at the start of step n, n - 2 steps have been timed, 2 s each, and the wait for step n itself
    assert told == [False, False, False, True, True]


def test_plain_lines(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """Off a terminal a line says step, loss, scores, speed, time left and how long input was waited for."""
    with EpochDisplay("Epoch 2 of 9", total=40, done=10, terminal=False) as display:
        for _ in display.batches(slow_batches(clock, 10, wait_s=1.0)):
            clock.now += 3.0
            display.tell(2.0, {"species": 0.625, "count": None})
    lines = capsys.readouterr().err.splitlines()
    # after 12 s three steps are done, two of them after the first, 4 s each: 8 pictures in 4 s, 27 steps to come
    assert lines[0] == (
        "Epoch 2 of 9: step 13 of 40, loss 2.0000, species 62.5%, 2 images/s, about 2 min left, waiting for input 25%"
    )
    assert len(lines) == 3
    assert display.waiting_s == 10.0


def test_batches_pass_through_in_order_and_empty_ones_too() -> None:
    """Nothing is lost or added, whatever the number of batches."""
    for count in (0, 1, 5):
        batches = [{"records": np.arange(i)} for i in range(count)]
        with EpochDisplay("Epoch", total=count, terminal=False) as display:
            assert list(display.batches(batches)) == batches


def test_live_drawing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """On a terminal it is drawn at most four times a second, on stderr."""
    drawn = []
    with EpochDisplay("Epoch 1 of 3", total=100, terminal=True) as display:
        display._drawing.update = lambda shown, refresh: drawn.append(shown)
        for _ in display.batches(slow_batches(clock, 100, wait_s=0.01)):
            clock.now += 0.04
            display.tell(1.0)
    assert 15 <= len(drawn) <= 21  # 5 s
    assert capsys.readouterr().out == ""


def test_rendering(capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    """What is drawn holds the title, the step and the numbers."""
    from rich.console import Console

    display = EpochDisplay("Epoch 1 of 3", total=4, terminal=True)
    for _ in itertools.islice(display.batches(slow_batches(clock, 4, wait_s=0.5)), 3):
        display.tell(0.5, {"species": 0.25})
    Console(width=120).print(display._drawn())
    text = capsys.readouterr().out
    assert "Epoch 1 of 3" in text
    assert "2/4 steps" in text
    assert "loss 0.5000 · species 25.0%" in text


def test_scores_are_asked_for_now_and_then(clock: Clock) -> None:
    """Between two drawings scores are fetched about once, not at every step."""
    display = EpochDisplay("Epoch", total=10, terminal=False)
    asked = 0
    for _ in range(100):
        clock.now += 0.1
        asked += display.wants_scores()
    assert 1 <= asked <= 2


@pytest.mark.parametrize(("seconds", "text"), [(4.4, "4 s"), (89, "89 s"), (150, "2 min"), (7500, "2 h 05 min")])
def test_duration(seconds: float, text: str) -> None:
    """Time spans are said in the unit that fits."""
    assert duration(seconds) == text
