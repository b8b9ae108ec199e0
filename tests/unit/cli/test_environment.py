"""`camtrap env`, and recipes as they are printed."""

import re

import pytest

from camtrap_tf.cli.environment import Environment, advice, look
from camtrap_tf.cli.main import main
from camtrap_tf.config.environment import EnvironmentConfig


def test_this_machine_can_multiply_and_decode() -> None:
    """Where tests run, TensorFlow works, and the versions are said."""
    found = look(EnvironmentConfig())
    assert found.exit_code == 0
    assert len(found.trials) >= 2
    assert all(outcome.startswith("works") for outcome in found.trials.values())
    assert "tensorflow: 2." in found.text()


def test_what_fails_is_said_and_changes_the_exit_code() -> None:
    """A trial that fails gives exit code 2 and a line of what to do."""
    trials = {"matrix product on GPU:0": "FAILS: no kernel image"}
    lines = advice(True, 1, True, trials)
    assert lines == ["matrix product on GPU:0: no kernel image"]
    assert Environment({}, trials, tuple(lines)).exit_code == 2


@pytest.mark.parametrize(
    ("driver", "gpus", "cuda", "said"),
    [
        (True, 0, True, r"camtrap_tf\[gpu\]"),
        (True, 0, False, "and-cuda"),
        (False, 0, True, "driver 525"),
        (True, 1, True, None),
    ],
)
def test_advice(driver: bool, gpus: int, cuda: bool, said: str | None) -> None:
    """A driver without a usable GPU needs libraries, a machine without one a driver, a working one nothing."""
    lines = advice(driver, gpus, cuda, {})
    assert (lines == []) if said is None else re.search(said, lines[0])


def test_recipe_is_printed_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    """`camtrap train recipe NAME` prints YAML; a name that is none is answered with the nearest."""
    assert main(["train", "recipe", "legacy"]) == 0
    assert "optimizer: sgd" in capsys.readouterr().out
    assert main(["train", "recipe", "legacee"]) == 2
    assert "did you mean 'legacy'" in capsys.readouterr().err
