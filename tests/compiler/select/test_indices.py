# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Sets of indices do as Python's own sets do."""

from __future__ import annotations

import random

import pytest

from midwire.compiler.select.indices import Indices


@pytest.mark.parametrize("most", [1, 5, 200])
def test_they_do_as_sets_do(most: int) -> None:
    rng = random.Random(most)
    for _ in range(100):
        plain = [frozenset(rng.sample(range(most), rng.randint(0, most))) for _ in range(2)]
        ours = [Indices(each) for each in plain]
        for some, same in zip(ours, plain, strict=True):
            assert some == same
            assert hash(some) == hash(same)
            assert (list(some), len(some)) == (sorted(same), len(same))
            assert [k in some for k in range(-1, most + 1)] == [
                k in same for k in range(-1, most + 1)
            ]
        for other in (ours[1], plain[1]):
            assert ours[0] - other == plain[0] - plain[1]
            assert ours[0] | other == plain[0] | plain[1]
            assert (ours[0] < other) == (plain[0] < plain[1])
            assert (ours[0] <= other) == (plain[0] <= plain[1])
            assert (ours[0] == other) == (plain[0] == plain[1])
            assert ours[0].isdisjoint(other) == plain[0].isdisjoint(plain[1])


@pytest.mark.parametrize(
    ("indices", "wanted"),
    [((), range(0)), ((3,), range(3, 4)), ((4, 2, 3), range(2, 5)), ((0, 2), None)],
)
def test_a_range_is_known(indices: tuple[int, ...], wanted: range | None) -> None:
    assert Indices(indices).range == wanted


def test_those_below() -> None:
    assert Indices.below(70) == frozenset(range(70))
    assert not Indices.below(0)
