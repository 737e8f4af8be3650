# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Accumulators of convolutions against the definition."""

from __future__ import annotations

import numpy as np
import pytest

from midwire.hw.kernels import convolve as convolving
from midwire.hw.kernels.convolve import convolve
from midwire.hw.kernels.geometry import Geometry


def slow(x: np.ndarray, w: np.ndarray, g: Geometry, zero: int, groups: int) -> np.ndarray:
    """A convolution as the definition reads, in Python integers."""
    n, outputs, depth = len(x), w.shape[0], w.shape[-1]
    y = np.zeros((n, *g.out_size, outputs), dtype=object)
    for b, *out, o in np.ndindex(*y.shape):
        for *tap, c in np.ndindex(*w.shape[1:]):
            axes = zip(out, g.stride, tap, g.dilation, g.begins, strict=True)
            at = [p * s + k * d - pad for p, s, k, d, pad in axes]
            inside = all(0 <= place < size for place, size in zip(at, g.size, strict=True))
            channel = o // (outputs // groups) * depth + c
            value = int(x[(b, *at, channel)]) if inside else zero
            y[(b, *out, o)] += value * int(w[(o, *tap, c)])
    return y.astype(np.int64)


@pytest.mark.parametrize("seed", range(24))
def test_convolve(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random geometry, groups and widths: float32, float64 and int64 sums, in parts of any size."""
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    monkeypatch.setattr(convolving, "_PART", int(2 ** rng.uniform(0, 12)))
    rank = int(rng.integers(2, 4))

    def each(low: int, high: int, count: int = rank) -> tuple[int, ...]:
        return tuple(int(n) for n in rng.integers(low, high, count))

    geometry = Geometry(
        each(5, 7),
        kernel=each(1, 4),
        stride=each(1, 3),
        dilation=each(1, 3),
        pads=each(0, 3, 2 * rank),
    )
    groups = (1, 1, 2, 3)[seed % 4]
    bits = (8, 16, 30)[seed % 3]
    depth = 1 if groups == 3 else 2
    top = 1 << (bits - 1)
    x = rng.integers(-top, top, (2, *geometry.size, groups * depth))
    w = rng.integers(-top, top, (2 * groups, *geometry.kernel, depth))
    got = convolve(x, w, geometry, pad_value=-3, groups=groups)
    np.testing.assert_array_equal(got, slow(x, w, geometry, -3, groups))


def test_convolve_of_narrow_types() -> None:
    """The container types of the wire may come in as they are."""
    geometry = Geometry((3, 3), (2, 2), pads=(1, 0, 0, 1))
    x = np.full((1, 3, 3, 1), 200, dtype=np.uint8)
    w = np.full((1, 2, 2, 1), -128, dtype=np.int8)
    got = convolve(x, w, geometry, pad_value=255)
    np.testing.assert_array_equal(got, slow(x, w, geometry, 255, 1))


def test_one_large_weight_among_many_is_exact() -> None:
    """The widest sum tells what holds it, not the widest weight times all places."""
    x = np.full((1, 1, 1, 1024), 2**31)
    w = np.zeros((1, 1, 1, 1024), np.int64)
    w[..., 7] = 2**31
    assert convolve(x, w, Geometry((1, 1))).item() == 2**62


def test_messages() -> None:
    with pytest.raises(ValueError, match="need 4 input channels and a multiple of 2 outputs"):
        convolve(
            np.zeros((1, 3, 3, 2), dtype=int),
            np.zeros((2, 1, 1, 2), int),
            Geometry((3, 3)),
            groups=2,
        )
    with pytest.raises(ValueError, match=r"weights have a kernel \[2, 1\], the geometry has"):
        convolve(np.zeros((1, 3, 3, 1), int), np.zeros((1, 2, 1, 1), int), Geometry((3, 3)))
    wide = np.full((1, 1, 1, 1), 1 << 40)
    with pytest.raises(ValueError, match=r"^accumulators of up to \d+ do not fit in 63 bits; use"):
        convolve(wide, wide, Geometry((1, 1)))
