# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What hardware takes, in units that every target description can price."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """Primitives of an implementation; costs of parts add up.

    Attributes
    ----------
    products : widths of the operands (a, b) of every multiplier
    memories : (width, depth) of every memory
    adders : bits of all other adders, comparators and multiplexers
    registers : bits of registers outside of memories
    """

    products: tuple[tuple[int, int], ...] = ()
    memories: tuple[tuple[int, int], ...] = ()
    adders: int = 0
    registers: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.products + other.products,
            self.memories + other.memories,
            self.adders + other.adders,
            self.registers + other.registers,
        )
