"""Events from time gaps: pictures of one camera that follow each other closely belong to one event."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def gap_events(cameras: npt.NDArray[np.int64], seconds: npt.NDArray[np.float64], gap_s: float) -> npt.NDArray[np.int64]:
    """Returns the event of each picture, `[n]`: the row of its first picture; -1 where there is no time to go by.

    A picture begins an event where the one before it, of the same camera, was taken more than `gap_s` earlier. So an event
    may last longer than the gap.

    Args:
        cameras: `[n]` number of the camera (or location) of each picture.
        seconds: `[n]` when it was taken, in s; NaN where unknown.
        gap_s: longest time between pictures of one event, in s.
    """
    events = np.full(len(seconds), -1, np.int64)
    known = np.flatnonzero(~np.isnan(seconds))
    order = known[np.lexsort((seconds[known], cameras[known]))]
    if not len(order):
        return events
    begins = np.ones(len(order), bool)
    begins[1:] = (np.diff(cameras[order]) != 0) | (np.diff(seconds[order]) > gap_s)
    firsts = order[begins]
    events[order] = firsts[np.cumsum(begins) - 1]
    return events
