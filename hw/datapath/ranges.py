# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Amaranth shapes of ranges of integers, and the checks that the components share."""

from __future__ import annotations

from amaranth.hdl import Shape

from ..numeric import Requantiser, bits_for

Range = tuple[int, int]
"""Smallest and largest integer, both included."""


def shape_of(ends: Range) -> Shape:
    """Narrowest shape of a range."""
    return Shape(*bits_for(*ends))


def ends_of(shape: Shape) -> Range:
    """All that a shape holds."""
    if shape.signed:
        return -(1 << (shape.width - 1)), (1 << (shape.width - 1)) - 1
    return 0, (1 << shape.width) - 1


def check_fold(what: str, channels: int, by: str, lanes: int) -> None:
    """Refuse lanes that do not divide channels."""
    if lanes < 1 or channels < 1 or channels % lanes:
        raise ValueError(
            f"{what} must be a multiple of {by}, but {channels} is not one of {lanes}; "
            f"choose {by} that divides it"
        )


def check_channels(what: str, requantiser: Requantiser, channels: int) -> None:
    """Refuse a requantiser of another number of channels."""
    if requantiser.channels != channels:
        raise ValueError(
            f"the requantiser has parameters for {requantiser.channels} channels, "
            f"{what} has {channels}"
        )
