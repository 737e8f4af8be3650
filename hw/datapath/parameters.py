# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the channels that come in this cycle: constants, and words of a memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Const, Mux, Shape, Signal, Value
from amaranth.lib import data

from ..finish.parameters import Parameter
from .ranges import shape_for
from .rom import Writer, memory


def parameters(
    m: Any,
    fields: Sequence[Parameter],
    lanes: int,
    folds: int,
    valid: Value,
    file: str,
    writer: Writer | None = None,
) -> list[dict[str, Value]]:
    """For each lane its parameters by name, beside the accumulators that come in this cycle.

    Those that are the same in every beat are constants; the others come from a memory named
    ``file`` of ``folds`` words, one a beat in which there is ``valid``. It has two banks if there
    is a ``writer``.
    """
    values: list[dict[str, Value]] = [
        {f.name: Const(f.values[lane], shape_for(f.type)) for f in fields if f.values}
        for lane in range(lanes)
    ]
    stored = [f for f in fields if f.values is None]
    if not stored:
        return values
    layout = data.StructLayout({f.name: shape_for(f.type) for f in stored})
    words = data.ArrayLayout(layout, lanes)
    m.submodules.rom = rom = memory(m, Shape.cast(words).width, folds, file, writer)
    word = Signal(words)
    fold = Signal(range(folds))
    coming = Signal(range(folds))
    m.d.comb += [
        coming.eq(Mux(valid, Mux(fold == folds - 1, 0, fold + 1), fold)),
        rom.addr.eq(coming),
        word.as_value().eq(rom.data),
    ]
    m.d.sync += fold.eq(coming)
    for lane, each in enumerate(values):
        each.update({f.name: getattr(word[lane], f.name) for f in stored})
    return values
