"""When too much is rejected; the single checks are tested with the sources."""

from __future__ import annotations

import pytest

from camtrap_tf.sources.picture_checks import too_many
from camtrap_tf.sources.picture_tables import Tally


@pytest.mark.parametrize(
    ("rejected", "share", "problem"), [(5, 0.5, False), (6, 0.5, True), (10, 1.0, False), (1, 0.0, True), (0, 0.0, False)]
)
def test_the_share_is_a_limit_and_not_beyond(rejected: int, share: float, problem: bool) -> None:
    """As many as the share are allowed; of more, the tally is found."""
    pictures = Tally("pictures", 10, 10 - rejected, rejected)
    assert too_many([Tally("rows", 0, 0, 0), pictures], share) is (pictures if problem else None)
