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
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..hw import cache
from ..hw.elaborate import Elaborator
from ..hw.errors import MidwireError, ToolError
from ..hw.jobs import StoppedError
from .emit.write import elaborate_early, elaborate_fifos, resources_of
from .errors import checked
from .ir.dataflow import Dataflow, verify
from .ir.graph import Graph
from .ir.quant import QGraph
from .map.assemble import assemble
from .map.balance import Balanced, balance
from .map.implement import implement, target_interval
from .map.targets import Target
from .quantise.widths import Widths, parse


@dataclass(frozen=True, eq=False)
class Hardware:
    """What goes on beside other work.

    Attributes
    ----------
    flow : the stages
    balanced : with FIFOs of the depths that they need
    resources : what all of it takes
    """

    flow: Dataflow
    balanced: Future[Balanced]
    resources: Future[dict[str, int]]


class Stages:
    """The hardware of a slice, worked on from when its stages are known.

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
        self._last: tuple[QGraph, Hardware] | None = None
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
            self.of(rounded, integers)

    def of(self, rounded: Graph, integers: QGraph) -> Hardware:
        """The hardware, in place of any other that was begun with.

        Raises
        ------
        ModelError
            If the rate is out of reach.
        """
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
        hardware = self._last[1] if self._last is not None else None
        if hardware is None or not _same(hardware.flow, flow):
            if hardware is not None:
                self._elaborator.forget()
            stopped = self._elaborator.unwanted()
            hardware = self._begun(flow, lambda: balance(flow, interval, stopped), stopped)
        self._last = integers, hardware
        return hardware

    def fitted(self, balanced: Balanced) -> Hardware:
        """The hardware of what was balanced before."""
        return self._begun(balanced.flow, lambda: balanced, self._elaborator.unwanted())

    def _begun(
        self, flow: Dataflow, balancing: Callable[[], Balanced], stopped: Callable[[], bool]
    ) -> Hardware:
        """Elaboration takes longest and needs no depths, so it is first."""
        elaborator = self._elaborator
        elaborate_early(checked(flow, verify(flow)), self._target, elaborator)

        def with_depths() -> Balanced:
            done = balancing()
            if stopped():
                raise StoppedError
            elaborate_fifos(checked(done.flow, verify(done.flow)), elaborator)
            return done

        balanced = elaborator.beside(with_depths)
        resources = elaborator.beside(
            lambda: resources_of(balanced.result().flow, self._target, elaborator, stopped)
        )
        return Hardware(flow, balanced, resources)


def _same(flow: Dataflow, other: Dataflow) -> bool:
    """Whether both are the same hardware with the same contents and meaning."""
    borders = (flow.inputs, flow.outputs) == (other.inputs, other.outputs)
    stages = ([(s.name, s.built, s.node, s.images) for s in each.stages] for each in (flow, other))
    return borders and flow.channels == other.channels and next(stages) == next(stages)


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
