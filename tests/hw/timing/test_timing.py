# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The cycle model by itself; every component's own test compares it with the simulator."""

from __future__ import annotations

import pytest

from midwire.hw.kernels.geometry import Geometry
from midwire.hw.timing.components import (
    Schedule,
    ScheduleDeadlock,
    outlet_depth,
    tree_stages,
    window_lines,
)


def test_a_windowed_component_has_no_gaps() -> None:
    """W2, T3: with input in time, an inference takes exactly its steps."""
    geometry = Geometry((6, 6), (3, 3), pads=(1, 1, 1, 1))
    schedule = Schedule()
    source, target = schedule.source("in", 36 * 2), schedule.edge("out", 36 * 4)
    schedule.window(
        "conv", source, target, geometry=geometry, folds=2, passes=4, steps=18, latency=8
    )
    schedule.sink(target)
    run = schedule.run(4)
    assert run.cycles_per_inference == 36 * 4 * 18
    # Row 1, column 1 is needed first: 8 pixels of 2 beats.
    assert run.last_out[0] == 8 * 2 + 36 * 4 * 18 - 1 + 8 + 1
    assert run.latency == run.last_out[0] + 1


@pytest.mark.parametrize(
    "geometry",
    [
        Geometry((8, 8), (3, 3)),
        Geometry((5, 6), (5, 6)),
        Geometry((9, 4), (3, 2), (2, 1), (2, 1)),
        Geometry((1, 1)),
        Geometry((6, 6), (2, 2), (3, 3)),
        Geometry((7, 1), (4, 1), (2, 1), pads=(3, 0, 2, 0)),
        Geometry((4, 5, 3), (3, 3, 3), pads=(1,) * 6),
        Geometry((4, 6, 4), (2, 2, 2), (2, 2, 2)),
        Geometry((5, 4, 2), (3, 1, 2), (1, 2, 1), (2, 1, 1), (2, 0, 0, 2, 1, 0)),
        Geometry((2, 3, 2, 3), (2, 1, 2, 2)),
    ],
)
def test_images_follow_without_gaps(geometry: Geometry) -> None:
    """W2 with the default number of rows, where the steps are not fewer than the input's beats."""
    passes = 4
    steps = geometry.taps * 2
    pixels = geometry.out_pixels
    schedule = Schedule()
    source = schedule.source("in", geometry.pixels * 2)
    target = schedule.edge("out", pixels * passes)
    schedule.window(
        "conv", source, target, geometry=geometry, folds=2, passes=passes, steps=steps, latency=8
    )
    schedule.sink(target)
    assert schedule.run(5).cycles_per_inference == max(source.beats, pixels * passes * steps)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 8, 9, 20])
@pytest.mark.parametrize("latency", [3, 6, 8, 9])
def test_a_narrow_reader_costs_nothing(steps: int, latency: int) -> None:
    """The default output FIFO, before a reader that looks at every beat for a whole pass."""
    schedule = Schedule()
    source, wide, out = schedule.source("in", 1), schedule.edge("w", 50), schedule.edge("o", 50)
    narrow = schedule.edge("n", 50 * steps)
    schedule.window(
        "conv",
        source,
        wide,
        geometry=Geometry((1, 1), (1, 1)),
        folds=1,
        passes=50,
        steps=steps,
        latency=latency,
    )
    schedule.narrow(wide, narrow) if steps > 1 else schedule.fork(wide, [out])
    schedule.sink(narrow if steps > 1 else out)
    assert schedule.run().cycles_per_inference == 50 * steps


def test_first_input_limits() -> None:
    """One step an output beat and more input beats than steps: the input sets the rate."""
    schedule = Schedule()
    source, target = schedule.source("in", 16), schedule.edge("out", 4)
    schedule.window(
        "pool",
        source,
        target,
        geometry=Geometry((4, 4), stride=(2, 2)),
        folds=1,
        passes=1,
        steps=1,
        latency=3,
    )
    schedule.sink(target)
    assert schedule.run(5).cycles_per_inference == 16


def join(depth: int | None) -> Schedule:
    """A fork, a FIFO on one branch, widen and narrow on the other, and a join."""
    schedule = Schedule()
    source = schedule.source("in", 12)
    a, b, waited, wide, back, out = (
        schedule.edge(name, beats)
        for name, beats in (("a", 12), ("b", 12), ("b2", 12), ("w", 2), ("a2", 12), ("out", 12))
    )
    schedule.fork(source, [a, b])
    schedule.fifo(b, waited, depth)
    schedule.widen(a, wide)
    schedule.narrow(wide, back)
    schedule.stream("add", [back, waited], out, latency=3)
    schedule.sink(out)
    return schedule


def test_an_endless_fifo_says_the_depth() -> None:
    schedule = join(None)
    endless = schedule.run(4)
    depth = next(edge for edge in schedule.edges if edge.name == "b2").occupancy(4)
    assert join(depth).run(4).last_out == endless.last_out
    assert depth == 7


def test_deadlock_names_the_edges() -> None:
    with pytest.raises(ScheduleDeadlock, match="the network deadlocks") as caught:
        join(4).run()
    assert "fork of in waits for room on 'b' (1 beats are not taken)" in str(caught.value)
    assert "FIFO b -> b2 waits for room on 'b2' (4 beats are not taken)" in str(caught.value)
    assert "add waits for a beat on 'a2' (after 0)" in str(caught.value)


def test_a_schedule_runs_again() -> None:
    schedule = join(None)
    first = schedule.run(3)
    assert schedule.run(3) == first
    assert schedule.run(1).last_out == first.last_out[:1]


def test_defaults() -> None:
    assert window_lines(Geometry((8, 8), (3, 3), pads=(1, 1, 1, 1))) == 4
    assert window_lines(Geometry((8, 8), (3, 3))) == 6
    assert window_lines(Geometry((8, 8), (8, 8))) == 16
    assert window_lines(Geometry((1, 1))) == 2
    # Two planes, the rows of a window, and the one that comes next.
    assert window_lines(Geometry((8, 8, 8), (3, 3, 3), pads=(1,) * 6)) == 2 * 8 + 4
    assert window_lines(Geometry((8, 8), (3, 3), (2, 2), (2, 2))) == 11
    assert [tree_stages(n) for n in (1, 2, 8, 9, 64, 65)] == [0, 1, 1, 2, 2, 3]
    assert [outlet_depth(steps, 8) for steps in (1, 4, 9, 100)] == [10, 4, 3, 3]


def test_messages() -> None:
    schedule = Schedule()
    source = schedule.source("in", 4)
    with pytest.raises(ValueError, match="there is an edge 'in' already; names must differ"):
        schedule.edge("in", 4)
    out = schedule.edge("out", 3)
    with pytest.raises(
        ValueError,
        match="all edges of a FIFO must have the same number of beats, not 'in' 4, 'out'",
    ):
        schedule.fifo(source, out, 2)
    with pytest.raises(ValueError, match="'in' carries 4 beats of 2 lanes, 'out' 3 of 3"):
        schedule.adapter(source, out, 2, 3)
    with pytest.raises(ValueError, match="cannot widen: 4 beats are not a multiple of 3"):
        schedule.widen(source, out)
    with pytest.raises(ValueError, match=r"cannot widen: 3 beats of \(2, 1, 2\) parts in turn are"):
        schedule.widen(source, out, (2, 1, 2))
    with pytest.raises(ValueError, match="the output of 'p' is 4 beats, but edge 'out' has 3"):
        schedule.window(
            "p", source, out, geometry=Geometry((2, 2)), folds=1, passes=1, steps=1, latency=3
        )
    with pytest.raises(ValueError, match="a schedule needs at least one source and one sink"):
        schedule.run()
