# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Sets of indices, a bit for each: a model has as many cuts as units, and each has such a set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from typing import Any


class Indices(Set[int]):
    """A set of small natural numbers, as an immutable mapping of bits."""

    __slots__ = ("_bits",)

    def __init__(self, indices: Iterable[int] = ()) -> None:
        bits = 0
        for index in indices:
            bits |= 1 << index
        self._bits = bits

    @classmethod
    def _of(cls, bits: int) -> Indices:
        found = cls()
        found._bits = bits
        return found

    @classmethod
    def below(cls, end: int) -> Indices:
        """All indices below one."""
        return cls._of((1 << end) - 1)

    @property
    def range(self) -> range | None:
        """The range that it is, if it is one."""
        first = (self._bits & -self._bits).bit_length() - 1 if self._bits else 0
        found = range(first, self._bits.bit_length())
        return found if len(found) == len(self) else None

    def __contains__(self, index: object) -> bool:
        return isinstance(index, int) and index >= 0 and bool(self._bits >> index & 1)

    def __iter__(self) -> Iterator[int]:
        bits = self._bits
        return (index for index in range(bits.bit_length()) if bits >> index & 1)

    def __len__(self) -> int:
        return self._bits.bit_count()

    def __hash__(self) -> int:
        return self._hash()  # that of any set with these

    def __eq__(self, other: object) -> bool:
        return self._bits == other._bits if isinstance(other, Indices) else super().__eq__(other)

    def __le__(self, other: Set[Any]) -> bool:
        if isinstance(other, Indices):
            return not self._bits & ~other._bits
        return super().__le__(other)

    def __lt__(self, other: Set[Any]) -> bool:
        return self <= other and self != other

    def __or__(self, other: Set[Any]) -> Indices:
        return self._of(self._bits | _indices(other)._bits)

    def __sub__(self, other: Set[Any]) -> Indices:
        return self._of(self._bits & ~_indices(other)._bits)

    def __repr__(self) -> str:
        return f"Indices({list(self)})"


def _indices(some: Set[Any]) -> Indices:
    return some if isinstance(some, Indices) else Indices(some)
