# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Quotients, rounded half to even (N8): a restoring division, unrolled into a pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Mux, Shape, Signal, Value

from ..kernels.groups import QUOTIENT_STEPS, quotient_stages
from .arithmetic import delayed


def quotients(
    m: Any, numerators: Sequence[Value], divisor: Value, bits: int, names: str = ""
) -> list[Value]:
    """``rne(numerator / divisor)`` of unsigned numbers, a division started in every cycle.

    They come :func:`~midwire.hw.kernels.groups.quotient_stages` cycles later.

    Parameters
    ----------
    numerators : below ``divisor << bits``
    divisor : of all of them, positive
    bits : of the quotients before they are rounded
    names : what those of registers begin with
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
        rests = [_register(m, rest, f"{names}rest{begin}_{k}") for k, rest in enumerate(rests)]
        shifted = [_register(m, low, f"{names}low{begin}_{k}") for k, low in enumerate(shifted)]
        divisor = _register(m, divisor, f"{names}divisor{begin}")
    found: list[Value] = []
    for k, (rest, whole) in enumerate(zip(rests, shifted, strict=True)):
        twice = Cat(Const(0, 1), rest)
        up = (twice > divisor) | ((twice == divisor) & whole[0])
        found.append(_register(m, whole + up, f"{names}quotient_{k}"))
    return found


def signed_quotients(
    m: Any,
    sizes: Sequence[Value],
    falls: Sequence[Value],
    divisor: Value,
    bits: int,
    shape: Shape,
    names: str = "",
) -> list[Value]:
    """:func:`quotients` of sizes, with a minus where ``falls``; one cycle later, of a shape that
    holds them.
    """
    late = [
        delayed(m, fall, quotient_stages(bits), f"{names}sign_{k}") for k, fall in enumerate(falls)
    ]
    found: list[Value] = []
    for k, quotient in enumerate(quotients(m, sizes, divisor, bits, names)):
        result = Signal(shape, name=f"{names}result_{k}")
        m.d.sync += result.eq(Mux(late[k], -quotient, quotient))
        found.append(result)
    return found


def _sized(value: Value, width: int) -> Value:
    """The lowest bits of an unsigned number, filled up with zeros."""
    return Cat(value, Const(0, width))[:width]


def _register(m: Any, value: Value, name: str) -> Value:
    register = Signal(value.shape(), name=name)
    m.d.sync += register.eq(value)
    return register
