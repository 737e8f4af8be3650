# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Where windows read, pixel by pixel; those that make no sense are refused."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np
import pytest

from midwire.hw.kernels.geometry import Geometry


def test_messages() -> None:
    with pytest.raises(ValueError, match=r"kernel \(4, 4\) with dilation \(1, 1\) does not fit in"):
        Geometry((3, 3), (4, 4))
    with pytest.raises(ValueError, match="does not fit in an image of 2 x 3 x 4 with pads"):
        Geometry((2, 3, 4), (3, 1, 1))
    with pytest.raises(ValueError, match=r"size must be two or more numbers of at least 1, not"):
        Geometry((0, 3))
    with pytest.raises(ValueError, match=r"size must be two or more numbers"):
        Geometry((3,))
    with pytest.raises(ValueError, match=r"stride of 2 axes must be 2 numbers of at least 1"):
        Geometry((3, 3), stride=(0, 1))
    with pytest.raises(ValueError, match=r"kernel of 3 axes must be 3 numbers of at least 1"):
        Geometry((3, 3, 3), (1, 1))
    with pytest.raises(ValueError, match="pads of 2 axes must be 4 numbers of at least 0"):
        Geometry((3, 3), pads=(0, -1, 0, 0))


def read(geometry: Geometry, out: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Where an output pixel's taps lie, those outside of the image too."""
    return [
        tuple(
            o * s + k * d - pad
            for o, s, k, d, pad in zip(
                out, geometry.stride, tap, geometry.dilation, geometry.begins, strict=True
            )
        )
        for tap in np.ndindex(*geometry.kernel)
    ]


def inside(geometry: Geometry, place: tuple[int, ...]) -> bool:
    return all(0 <= at < n for at, n in zip(place, geometry.size, strict=True))


@pytest.mark.parametrize(
    ("geometry", "padded"),
    [
        (Geometry((3, 3), (3, 3)), False),
        (Geometry((3, 3), (3, 3), pads=(0, 0, 1, 0)), True),
        (Geometry((4, 4), (3, 3), (2, 2), pads=(0, 0, 0, 1)), True),
        (Geometry((4, 4), (2, 2), (3, 3), pads=(0, 0, 1, 1)), True),
        (Geometry((5, 5), (2, 2), (3, 3), pads=(0, 0, 0, 0)), False),
        # No window reaches the last column's padding.
        (Geometry((4, 4), (1, 1), (3, 3), pads=(0, 0, 2, 2)), False),
        (Geometry((2, 4, 4), (1, 2, 2), pads=(0, 0, 0, 1, 0, 0)), True),
        (Geometry((2, 4, 4), (2, 1, 3)), False),
    ],
)
def test_whether_any_window_leaves_the_image(geometry: Geometry, padded: bool) -> None:
    assert geometry.padded == padded
    places = [place for out in np.ndindex(*geometry.out_size) for place in read(geometry, out)]
    assert any(not inside(geometry, place) for place in places) == padded


@pytest.mark.parametrize("seed", range(8))
def test_what_is_needed_and_kept(seed: int, random_geometry: Callable[..., Geometry]) -> None:
    """No pixel of a window comes later than the one that is waited for, none is given up before;
    without pads, and where no dilation leaves lines out, neither is any earlier or later.
    """
    print(f"seed {seed}")
    rng = np.random.default_rng([20264, seed])
    for _ in range(40):
        geometry = random_geometry(rng, int(rng.integers(2, 5)))
        outs = list(np.ndindex(*geometry.out_size))
        needed = geometry.needed.tolist()
        kept = np.repeat(geometry.kept, geometry.out_size[-1]).tolist()
        first = geometry.lines
        for out, last, line in reversed(list(zip(outs, needed, kept, strict=True))):
            found = [
                int(np.ravel_multi_index(place, geometry.size))
                for place in read(geometry, out)
                if inside(geometry, place)
            ]
            first = min([first, *(pixel // geometry.width for pixel in found)])
            assert max(found, default=0) <= last < geometry.pixels
            assert line <= first
            if not geometry.padded:
                assert max(found) == last
                assert line == first or out[-1] != geometry.out_size[-1] - 1
        assert kept == sorted(kept)
        assert geometry.span <= geometry.lines
        lines = np.reshape(needed, (-1, geometry.out_size[-1])) // geometry.width
        assert geometry.last_lines.tolist() == lines[:, -1].tolist()
        assert prod(geometry.steps[:1]) * geometry.size[0] == geometry.pixels
