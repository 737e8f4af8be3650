# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Sums: adders whose only reader is another adder are one sum of many words, as Yosys's pass
``alumacc`` merges them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .words import Bit, Cell, Word, Words

ADDERS = ("$add", "$sub", "$neg")


@dataclass(frozen=True)
class Term:
    """A word of a sum; its integers are negative too if it is signed."""

    word: Word
    signed: bool
    minus: bool


@dataclass(frozen=True)
class Sum:
    """The sum of terms, cut off to the bits of ``y``."""

    terms: tuple[Term, ...]
    y: Word


def sums_of(words: Words, cells: Sequence[Cell]) -> list[Sum]:
    """Sums of adders, merged."""
    made = {cell.ports["Y"]: Sum(_terms(cell), cell.ports["Y"]) for cell in cells}
    merged: set[Word] = set()

    def whole(each: Sum) -> Sum:
        terms: list[Term] = []
        for term in each.terms:
            inner = made.get(term.word)
            if inner is None or not _joins(words, inner, term, each.y):
                terms.append(term)
                continue
            merged.add(inner.y)
            for own in whole(inner).terms:
                terms.append(Term(own.word, own.signed, own.minus != term.minus))
        return Sum(tuple(terms), each.y)

    found = [whole(each) for each in made.values()]
    return [each for each in found if each.y not in merged]


def _terms(cell: Cell) -> tuple[Term, ...]:
    def term(port: str, minus: bool) -> Term:
        return Term(cell.ports[port], bool(cell.numbers.get(f"{port}_SIGNED")), minus)

    if cell.kind == "$neg":
        return (term("A", True),)
    return term("A", False), term("B", cell.kind == "$sub")


def _joins(words: Words, inner: Sum, term: Term, y: Word) -> bool:
    """Whether a sum is read by this term only, and does not wrap around before it does."""
    if any(words.users[bit] > 1 for bit in inner.y):
        return False
    return len(inner.y) == len(y) or not _may_wrap(inner, term.signed)


def _may_wrap(inner: Sum, signed: bool) -> bool:
    """Whether bits of a sum may be lost at its width."""
    low = high = 0
    for term in inner.terms:
        size = len(term.word)
        ends = (-(1 << size - 1), (1 << size - 1) - 1) if term.signed else (0, (1 << size) - 1)
        least, most = sorted((-ends[0], -ends[1])) if term.minus else ends
        low, high = low + least, high + most
    size = len(inner.y)
    if signed:
        return low < -(1 << size - 1) or high >= 1 << size - 1
    return low < 0 or high >= 1 << size


def alone(each: Sum) -> int:
    """How many low bits are those of one term, as where the others are shifted: of these there is
    no carry. Of a difference they are the first one's, where nothing is taken from it (Yosys's
    ``opt_expr -fine``).
    """
    minus = [term.minus for term in each.terms]
    words = [extended(term, len(each.y)) for term in each.terms]
    if minus == [False, True]:
        return next((k for k, bit in enumerate(words[1]) if bit != "0"), len(each.y))
    if any(minus):
        return 0
    places = enumerate(zip(*words, strict=True))
    return next((k for k, bits in places if sum(b != "0" for b in bits) > 1), len(each.y))


def extended(term: Term, width: int) -> tuple[Bit, ...]:
    """The bits of a term at a width."""
    top: Bit = term.word[-1] if term.word and term.signed else "0"
    return (term.word + (top,) * (width - len(term.word)))[:width]


def packed(
    words: Sequence[Sequence[object]], width: int
) -> tuple[list[list[object]], list[object]]:
    """Rows that a sum of many words has, which are its columns' bits: constants, signals without a
    name, the latest first, and then nets. Bits that find room in the carries of its full adders,
    and in that of its chain, are none of a row; they come second.

    Twice the same bit is one in the next column. Source: ``maccmap`` of Yosys, and the order of its
    names.
    """
    columns: list[dict[object, None]] = [{} for _ in range(width)]
    for word in words:
        for start, bit in enumerate(word):
            place = start
            while place < width and bit in columns[place]:
                del columns[place][bit]
                place += 1
            if bit != "0" and place < width:
                columns[place][bit] = None
    left = [_order(column) for column in columns]
    rows: list[list[object]] = []
    carried: list[object] = []
    while any(left):
        rows.append([column.pop() if column else "0" for column in left])
        free = len(rows) - 1 - len(carried)
        for place, column in enumerate(left):
            while column and 1 << place <= free:
                carried += [column.pop()] * (1 << place)
                free -= 1 << place
    return rows, carried


def _order(column: Iterable[object]) -> list[object]:
    """The bits of a column, the first one last."""
    bits = list(column)
    nets = [bit for bit in bits if isinstance(bit, int)]
    unnamed = [bit for bit in bits if not isinstance(bit, int | str)]
    return [*reversed(nets), *unnamed, *(bit for bit in bits if isinstance(bit, str))]
