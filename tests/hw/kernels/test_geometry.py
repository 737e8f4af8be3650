# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Windows that make no sense are refused."""

from __future__ import annotations

import pytest

from midwire.hw.kernels.geometry import Geometry


def test_messages() -> None:
    with pytest.raises(ValueError, match=r"kernel \(4, 4\) with dilation \(1, 1\) does not fit in"):
        Geometry(3, 3, (4, 4))
    with pytest.raises(ValueError, match="height must be at least 1, not 0"):
        Geometry(0, 3)
    with pytest.raises(ValueError, match=r"stride must be two numbers of at least 1"):
        Geometry(3, 3, stride=(0, 1))
    with pytest.raises(ValueError, match="pads must be four numbers of at least 0"):
        Geometry(3, 3, pads=(0, -1, 0, 0))


@pytest.mark.parametrize(
    ("geometry", "padded"),
    [
        (Geometry(3, 3, (3, 3)), False),
        (Geometry(3, 3, (3, 3), pads=(0, 0, 1, 0)), True),
        (Geometry(4, 4, (3, 3), (2, 2), pads=(0, 0, 0, 1)), True),
        (Geometry(4, 4, (2, 2), (3, 3), pads=(0, 0, 1, 1)), True),
        (Geometry(5, 5, (2, 2), (3, 3), pads=(0, 0, 0, 0)), False),
        # No window reaches the last column's padding.
        (Geometry(4, 4, (1, 1), (3, 3), pads=(0, 0, 2, 2)), False),
    ],
)
def test_whether_any_window_leaves_the_image(geometry: Geometry, padded: bool) -> None:
    assert geometry.padded == padded
    rows = [oy * geometry.stride[0] - geometry.pads[0] for oy in range(geometry.out_height)]
    columns = [ox * geometry.stride[1] - geometry.pads[1] for ox in range(geometry.out_width)]
    outside = min(rows) < 0 or min(columns) < 0
    outside |= max(rows) + geometry.reach[0] >= geometry.height
    outside |= max(columns) + geometry.reach[1] >= geometry.width
    assert outside == padded
