# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Amaranth shapes of types and of ranges of integers."""

from __future__ import annotations

from amaranth.hdl import Shape

from ..numeric import IntType, bits_for

Range = tuple[int, int]
"""Smallest and largest integer, both included."""


def shape_of(ends: Range) -> Shape:
    """Narrowest shape of a range."""
    return Shape(*bits_for(*ends))


def shape_for(type_: IntType) -> Shape:
    """Shape of an element."""
    return Shape(type_.bits, type_.signed)


def ends_of(shape: Shape) -> Range:
    """All that a shape holds."""
    if shape.signed:
        return -(1 << (shape.width - 1)), (1 << (shape.width - 1)) - 1
    return 0, (1 << shape.width) - 1
