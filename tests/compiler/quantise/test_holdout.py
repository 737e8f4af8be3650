# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Which samples calibration sees: rules O1 to O3."""

from __future__ import annotations

import numpy as np
import pytest

from midwire.compiler.quantise.holdout import FEW, Data, hold_out, whole

SAMPLES = np.random.default_rng(8).normal(size=(12, 1, 3)).astype(np.float32)


def test_content_decides_and_not_the_order() -> None:
    """O1."""
    split = hold_out({"x": SAMPLES})
    assert (len(split.held), len(split.seen), split.apart, split.distinct) == (3, 9, True, 12)
    assert sorted([*split.held, *split.seen]) == list(range(12))
    assert split.text == "3 held-out samples"
    order = np.random.default_rng(9).permutation(12)
    other = hold_out({"x": SAMPLES[order]})
    assert {int(order[row]) for row in other.held} == set(split.held.tolist())
    both = hold_out({"x": SAMPLES, "t": np.arange(12)})
    assert len(both.held) == 3


def test_equal_samples_stay_together() -> None:
    """O2."""
    doubled = np.repeat(SAMPLES, 3, axis=0)
    split = hold_out({"x": doubled})
    assert len(split.held) == 9
    held = {doubled[row].tobytes() for row in split.held}
    assert held.isdisjoint({doubled[row].tobytes() for row in split.seen})


@pytest.mark.parametrize(("count", "share"), [(1, 0.25), (12, 0.0), (FEW - 1, None)])
def test_nothing_is_held_out(count: int, share: float | None) -> None:
    """O3."""
    split = hold_out({"x": SAMPLES[:count]}, share)
    assert not split.apart and split.held.tolist() == split.seen.tolist() == list(range(count))
    assert split.text == f"{count} calibration samples"


def test_both_sides_have_one_at_least() -> None:
    assert [len(hold_out({"x": SAMPLES[:2]}, share).held) for share in (0.01, 0.99)] == [1, 1]


def test_labels_go_with_their_samples() -> None:
    labels = np.arange(12)
    data = Data({"x": SAMPLES}, labels, hold_out({"x": SAMPLES}))
    assert data.held_labels is not None
    np.testing.assert_array_equal(data.held["x"], SAMPLES[data.held_labels])
    assert len(data.seen["x"]) == 9
    assert whole({"x": SAMPLES}).held_labels is None
    assert len(whole({"x": SAMPLES}, labels).held["x"]) == 12
