# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What is solved first when a process changes (V6)."""

from __future__ import annotations

from midwire.hw.timing.surroundings import surroundings


def test_what_is_around_a_process() -> None:
    """0 -> 1 -> (2 -> 3 | 4) -> 5 -> 6, with 7 beside 5."""
    edges = [(0, 1), (1, 2), (2, 3), (1, 4), (3, 5), (4, 5), (5, 6), (5, 7)]
    neighbours: list[set[int]] = [set() for _ in range(8)]
    for one, other in edges:
        neighbours[one].add(other)
        neighbours[other].add(one)
    assert surroundings(neighbours, 4) == surroundings(neighbours, 3) == [1, 2, 3, 4, 5]
    assert surroundings(neighbours, 6) == [6]
