# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The text of a network: what changes cycles changes it, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from midwire.hw.kernels.geometry import Geometry
from midwire.hw.timing.components import Schedule
from midwire.hw.timing.describe import described
from midwire.hw.timing.moving import reorder


def network(
    *,
    names: str = "abcde",
    beats: int = 16,
    depth: int | None = 3,
    latency: int = 4,
    blocks: int = 2,
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    turned: bool = False,
) -> Schedule:
    """A fork, a window and a reorder buffer of one branch, a FIFO in the other."""
    schedule = Schedule()
    i = schedule.source(names[0], beats)
    left, right, queue, moved, o = (schedule.edge(name, beats) for name in [*names[1:], "out"])
    schedule.fork(i, [left, right])
    schedule.fifo(right, queue, depth)
    reorder(schedule, names[2], left, moved, blocks=blocks, latency=latency, depth=2)
    inputs = [queue, moved] if turned else [moved, queue]
    schedule.stream("join", inputs, o, latency=1)
    geometry = Geometry((4, beats // 4), (1, 1) if not any(pads) else (3, 3), pads=pads)
    last = schedule.edge("last", geometry.out_pixels)
    schedule.window("window", o, last, geometry=geometry, folds=1, passes=1, steps=2, latency=3)
    schedule.sink(last)
    return schedule


def test_what_does_not_change_cycles_is_not_in_it() -> None:
    assert described(network()) == described(network(names="vwxyz"))


@pytest.mark.parametrize(
    "change",
    [
        {"beats": 20},
        {"depth": 4},
        {"depth": None},
        {"latency": 5},
        {"blocks": 4},
        {"pads": (1, 1, 1, 1)},
        {"turned": True},
    ],
    ids=str,
)
def test_what_changes_cycles_is_in_it(change: dict[str, Any]) -> None:
    assert described(network(**change)) != described(network())


def test_a_run_does_not_change_it() -> None:
    schedule = network(depth=None)
    before = described(schedule)
    schedule.run(3)
    assert described(schedule) == before


def test_functions_of_one_name_and_what_they_take_by_default_are_told_apart() -> None:
    def text(update: Callable[[int], tuple[np.ndarray]]) -> str:
        schedule = network()
        schedule.add_batch("odd", update, [], [schedule.edges[0].offer])
        return described(schedule)

    def waiting(by: int) -> Callable[[int], tuple[np.ndarray]]:
        def late(n: int, by: int = by) -> tuple[np.ndarray]:
            return (np.array([n + by]),)

        return late if by else lambda n: (np.array([n]),)

    assert text(waiting(1)) == text(waiting(1))
    assert len({text(waiting(by)) for by in (0, 1, 2)}) == 3


def test_what_has_no_text_is_refused() -> None:
    schedule = network()
    edge, held = schedule.edges[0], object()

    def update(n: int) -> tuple[np.ndarray]:
        return (np.array([id(held) + n]),)

    schedule.add_batch("odd", update, [], [edge.offer])
    with pytest.raises(TypeError, match=r"^a timing process must not close over object$"):
        described(schedule)
