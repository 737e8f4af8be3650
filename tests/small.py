# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A small net, and bundles without the NIC shell or without any RTL, for tests of whole models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from midwire.compiler import ahead, pipeline
from midwire.compiler.emit import rtl, write
from midwire.compiler.map.price import estimate
from midwire.hw.elaborate import Description, Elaborator
from midwire.hw.kernels.adapt import StreamFifo
from midwire.hw.kernels.base import StreamPort
from midwire.hw.numeric import IntType

NET = """
g (float[N, 2, 4, 4] x) => (float[N, 3] y)
<float[3, 2, 3, 3] w = {W}, float[3, 3] m = {1, -2, 3, 0, 1, 2, 0.5, 0.25, -1}>
{ a = Conv <pads = [1, 1, 1, 1]> (x, w)
  b = Relu (a)
  p = GlobalAveragePool (b)
  q = Flatten (p)
  y = MatMul (q, m) }
""".replace("{W}", "{" + ", ".join(["0.5", "-1", "0.25"] * 18) + "}")


@contextmanager
def without_shell() -> Iterator[None]:
    """Bundles get a FIFO in place of the NIC shell, which takes seconds and has its own tests."""
    stand_in = StreamFifo(StreamPort(IntType(1, False), 1, 1), 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write, "_nic", lambda *_: stand_in)
        yield


class Idle(Elaborator):
    """Elaborates nothing."""

    def start(self, descriptions: Sequence[Description]) -> None:
        del descriptions

    def verilog_of(self, descriptions: Sequence[Description]) -> list[str]:
        return [""] * len(descriptions)


@contextmanager
def without_rtl() -> Iterator[None]:
    """Bundles without any Verilog; what makes that stays as it is for whoever asks it directly."""

    def empty(*arguments: Any) -> dict[str, str]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rtl, "slice_verilog", lambda *_: "")
            return rtl.slice_files(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "Elaborator", Idle)
        patch.setattr(write, "slice_files", empty)
        patch.setattr(ahead, "resources_of", lambda flow, target, *_: estimate(flow, target))
        yield
