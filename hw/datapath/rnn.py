# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The cell of a plain recurrent layer."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Value

from ..kernels.rnn import FoldedRnn
from .recurrent import RecurrentLayer, Serving


class RnnCell(RecurrentLayer[FoldedRnn]):
    """Hardware of :class:`~midwire.hw.kernels.rnn.FoldedRnn` (N18)."""

    def _cell(self, m: Any, sums: list[Value], old: Value, serving: Serving) -> tuple[Value, ...]:
        del old, serving
        return (self._looked_up(m, "state", "f", sums[0], self._built.drops[0]),)
