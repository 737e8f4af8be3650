# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Hardware that is begun with before it is known whether it will do.

Elaborating takes longest of a compile, and measuring what widths lose leaves a core to it. So it
begins with widths that will probably be taken: 8 bits, and where a network like this was compiled
before, what it got then. None of this decides anything: what loses too much is given up, and a
bundle is the same whatever was begun with.
"""

from __future__ import annotations

import contextlib
import hashlib
from functools import cached_property
from pathlib import Path

from ..hw import cache
from ..hw.elaborate import Elaborator
from ..hw.errors import MidwireError, ToolError
from .emit.write import elaborate_early
from .ir.dataflow import Dataflow
from .ir.graph import Graph
from .ir.quant import QGraph
from .map.assemble import assemble
from .map.implement import implement, target_interval
from .map.targets import Target
from .quantise.widths import Widths, parse


class Stages:
    """The stages of a slice, elaborated from when they are known.

    Parameters
    ----------
    rate, strategy : of :class:`~.pipeline.Options`
    fixed : whether nothing else decides how fast the slice is; nothing is begun with otherwise
    """

    def __init__(
        self,
        target: Target,
        rate: float | None,
        strategy: str,
        fixed: bool,
        elaborator: Elaborator,
    ) -> None:
        self._target, self._rate, self._strategy = target, rate, strategy
        self._fixed = fixed
        self._elaborator = elaborator
        self._last: tuple[QGraph, Dataflow] | None = None
        self._expected = False

    def expect(self, rounded: Graph, integers: QGraph) -> None:
        """Begin with these, and with no others before they are asked for (:meth:`of`)."""
        self.begin(rounded, integers)
        self._expected = True

    def begin(self, rounded: Graph, integers: QGraph) -> None:
        """Begin with these, in place of those before, unless others are expected."""
        if self._expected or not self._fixed:
            return
        # What is wrong with them is said if they are taken.
        with contextlib.suppress(MidwireError):
            elaborate_early(self.of(rounded, integers), self._target, self._elaborator)

    def of(self, rounded: Graph, integers: QGraph) -> Dataflow:
        """The stages; remembered until others are asked for."""
        if self._last is not None and self._last[0] is integers:
            return self._last[1]
        interval = target_interval(integers, self._rate, self._target.clock_mhz)
        built = implement(
            integers,
            self._target,
            interval,
            strict=self._rate is not None,
            strategy=self._strategy,
        )
        flow = assemble(integers, rounded, built)
        if self._last is not None and _hardware(self._last[1]) != _hardware(flow):
            self._elaborator.forget()
        self._last = integers, flow
        return flow


def _hardware(flow: Dataflow) -> list[object]:
    return [stage.built for stage in flow.stages]


class Guess:
    """The widths that midwire chose for a network like this one, other weights apart.

    Parameters
    ----------
    real : the slice before any of it is rounded; names, operators and shapes count
    options : what else widths depend on, each with a text of its own
    """

    def __init__(self, real: Graph, options: tuple[object, ...]) -> None:
        nodes = [(node.name, type(node.op).__name__, node.outputs) for node in real.nodes]
        shapes = [(name, value.shape) for name, value in sorted(real.values.items())]
        text = repr((nodes, shapes, options))
        self._key = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    @cached_property
    def last(self) -> Widths | None:
        """Those of the last time; None if there was none."""
        found = cache.stored(_folder(), self._key)
        with contextlib.suppress(MidwireError, UnicodeDecodeError):
            return None if found is None else parse(found.decode())
        return None

    def keep(self, widths: Widths) -> None:
        """For the next time. A cache that cannot be written is no error: there is no guess then."""
        if widths != self.last:
            with contextlib.suppress(ToolError, UnicodeEncodeError):
                cache.store(_folder(), {self._key: widths.text.encode()}, anew=True)


def _folder() -> Path:
    return cache.default_folder("widths")
