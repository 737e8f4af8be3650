# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Quotients, rounded half to even (N8): a restoring division, unrolled into a pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Mux, Signal, Value

from ..kernels.groups import QUOTIENT_STEPS


def quotients(m: Any, numerators: Sequence[Value], divisor: Value, bits: int) -> list[Value]:
    """``rne(numerator / divisor)`` of unsigned numbers, a division started in every cycle.

    They come :func:`~midwire.hw.kernels.groups.quotient_stages` cycles later.

    Parameters
    ----------
    numerators : below ``divisor << bits``
    divisor : of all of them, positive
    bits : of the quotients before they are rounded
    """
    width = len(divisor)
    rests = [_sized(n[bits:], width) for n in numerators]
    # The numerator's low bits leave at the top while the quotient's come in at the bottom.
    shifted = [_sized(n[:bits], bits) for n in numerators]
    for begin in range(0, bits, QUOTIENT_STEPS):
        for _ in range(min(QUOTIENT_STEPS, bits - begin)):
            for k, (rest, low) in enumerate(zip(rests, shifted, strict=True)):
                wide = Cat(low[-1], rest)
                fits = wide >= divisor
                rests[k] = Mux(fits, wide - divisor, wide)[:width]
                shifted[k] = Cat(fits, low[:-1])
        rests = [_register(m, rest, f"rest{begin}_{k}") for k, rest in enumerate(rests)]
        shifted = [_register(m, low, f"low{begin}_{k}") for k, low in enumerate(shifted)]
        divisor = _register(m, divisor, f"divisor{begin}")
    found: list[Value] = []
    for k, (rest, whole) in enumerate(zip(rests, shifted, strict=True)):
        twice = Cat(Const(0, 1), rest)
        up = (twice > divisor) | ((twice == divisor) & whole[0])
        found.append(_register(m, whole + up, f"quotient_{k}"))
    return found


def _sized(value: Value, width: int) -> Value:
    """The lowest bits of an unsigned number, filled up with zeros."""
    return Cat(value, Const(0, width))[:width]


def _register(m: Any, value: Value, name: str) -> Value:
    register = Signal(value.shape(), name=name)
    m.d.sync += register.eq(value)
    return register
