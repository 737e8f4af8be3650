# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Products, trees and delays, with exact widths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from amaranth.hdl import Const, Mux, Shape, Signal, Value

from ..timing.components import TREE_LEVELS


def product_shape(a: Value, b: Value) -> Shape:
    """Exact shape of a product."""
    return (Value.cast(a) * Value.cast(b)).shape()


def adder_tree(m: Any, terms: Sequence[Value], name: str) -> Value:
    """Balanced sum with exact widths, see :func:`tree`."""
    return tree(m, terms, name, lambda a, b: a + b)


def tree(m: Any, terms: Sequence[Value], name: str, join: Callable[[Value, Value], Value]) -> Value:
    """All terms joined by twos, with a register after every few levels.

    It comes :func:`~midwire.hw.timing.components.tree_stages` cycles later.
    """
    level = 0
    while len(terms) > 1:
        level += 1
        pairs = [join(terms[k], terms[k + 1]) for k in range(0, len(terms) - 1, 2)]
        terms = pairs + list(terms[len(pairs) * 2 :])
        if level % TREE_LEVELS == 0 or len(terms) == 1:
            registers = []
            for k, term in enumerate(terms):
                register = Signal(term.shape(), name=f"{name}_{level}_{k}")
                m.d.sync += register.eq(term)
                registers.append(register)
            terms = registers
    return terms[0]


def larger(a: Value, b: Value) -> Value:
    """The larger of two numbers."""
    return Mux(a > b, a, b)


def delayed(m: Any, value: Value, cycles: int, name: str) -> Value:
    """A value, some cycles later; a constant is not delayed."""
    if isinstance(value, Const):
        return value
    for k in range(cycles):
        register = Signal(value.shape(), name=f"{name}_{k}")
        m.d.sync += register.eq(value)
        value = register
    return value
