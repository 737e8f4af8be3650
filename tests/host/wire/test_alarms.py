# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Alarms against a table that is searched."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from midwire.host.wire.alarms import Alarms

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 4), st.integers(0, 20)),
        st.tuples(st.just("discard"), st.integers(0, 4), st.just(0)),
        st.tuples(st.just("rung"), st.just(0), st.integers(0, 20)),
    ),
    max_size=60,
)


@given(STEPS)
def test_who_rings_is_whose_time_has_come(steps: list[tuple[str, int, int]]) -> None:
    alarms: Alarms[int] = Alarms()
    table: dict[int, float] = {}
    for step, key, time in steps:
        if step == "set":
            alarms.set(key, time)
            table[key] = time
        elif step == "discard":
            alarms.discard(key)
            table.pop(key, None)
        else:
            found = alarms.rung(time)
            assert sorted(found) == sorted(k for k, at in table.items() if at <= time)
            table = {k: at for k, at in table.items() if at > time}
            if table:  # nothing that was put off makes the owner look again and again
                assert alarms.due is not None and time < alarms.due
        assert len(alarms) == len(table)
        assert (alarms.due is None) == (not table)
        assert alarms.due is None or alarms.due <= min(table.values())


def test_the_queue_does_not_grow_with_what_is_put_off() -> None:
    alarms: Alarms[str] = Alarms()
    for time in range(1000):
        alarms.set("a", float(time))
    assert len(alarms._queue) == 1
    assert alarms.rung(998.0) == [] and alarms.due == 999.0
    assert alarms.rung(999.0) == ["a"] and alarms.due is None
