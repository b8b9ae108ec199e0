"""Animals: body plans and poses."""

from __future__ import annotations

import numpy as np
import pytest

from camtrap_tf.sample.figures import draw_figure, extent
from camtrap_tf.sample.poses import Pose
from camtrap_tf.sample.species import POSTURES, SPECIES


@pytest.mark.parametrize("name", SPECIES)
@pytest.mark.parametrize("posture", POSTURES)
def test_feet_are_on_the_ground(name: str, posture: str) -> None:
    """Whatever its posture, an animal's lowest point is at the ground."""
    low = extent(draw_figure(SPECIES[name], Pose(posture=posture, variant=3)).patches)[1]
    assert -0.09 < low < 0.04


@pytest.mark.parametrize("name", SPECIES)
def test_postures_differ_in_shape(name: str) -> None:
    """A lying animal is lower than a standing one, and the eye of a grazing one is lower than that of an alert one."""
    standing, grazing, lying = (draw_figure(SPECIES[name], Pose(posture=posture, variant=3)) for posture in POSTURES)
    assert extent(lying.patches)[3] < extent(standing.patches)[3] - 0.2
    assert grazing.eye[1] < standing.eye[1] - 0.1


def test_back_is_one_unit_high() -> None:
    """Body plans are in heights of the back, but for the hyena, whose back slopes."""
    for species in SPECIES.values():
        back = max(y + radius for (_, y), radius in zip(species.body, species.body_radii, strict=True))
        assert back == pytest.approx(1.0, abs=0.08), species.name


def test_coat_is_the_same_in_every_frame() -> None:
    """Equal variants have equal coats; another variant differs."""

    def spots(variant: int) -> np.ndarray:
        """Returns the points of all patches."""
        return np.concatenate(
            [patch.points for patch in draw_figure(SPECIES["hyena"], Pose(posture="standing", variant=variant)).patches]
        )

    assert np.array_equal(spots(4), spots(4))
    assert not np.array_equal(spots(4), spots(5))
