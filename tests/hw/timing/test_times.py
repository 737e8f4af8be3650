# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What the cycle model computes with, against the same event by event."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midwire.hw.timing.times import ALWAYS, Times, evenly, spaced


@given(
    st.lists(st.integers(-5, 60), min_size=1, max_size=12), st.integers(-3, 30), st.integers(0, 4)
)
def test_events_are_spaced(ready: list[int], first: int, step: int) -> None:
    """Also where they are so already."""
    wanted, at = [], first - step
    for each in ready:
        at = max(each, at + step)
        wanted.append(at)
    assert spaced(np.array(ready), first, step).tolist() == wanted
    assert spaced(np.array(wanted), first, step).tolist() == wanted


@pytest.mark.parametrize(
    ("places", "even"),
    [([], False), ([3], False), ([0, 1, 2], True), ([2, 5, 8], True), ([0, 3, 4], False)],
)
def test_evenly_spaced_places_are_a_slice(places: list[int], even: bool) -> None:
    events = np.arange(10, 20)
    found = evenly(np.array(places, np.int64))
    assert isinstance(found, slice) == even
    np.testing.assert_array_equal(events[found], events[np.array(places, np.int64)])


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.integers(1, 20))
def test_what_is_before_in_a_row(gaps: list[int], lag: int) -> None:
    """Of tensors that repeat themselves: an event some tensors ago was as many periods earlier."""
    each, period = len(gaps), 100
    times = Times(each)
    times.allot(2)
    times.period = period
    times.of(1)[:] = np.cumsum(gaps)
    row = [tensor * period + at for tensor in range(-21, 1) for at in np.cumsum(gaps)]
    start = len(row) - each - lag
    assert times.before(1, lag).tolist() == row[start : start + each]
    lone = times.before(0, lag).tolist()
    assert lone == [ALWAYS] * min(lag, each) + times.of(0)[: max(0, each - lag)].tolist()
