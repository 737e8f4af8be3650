# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What decides the cycles of a network, as text: networks of the same text have the same cycles.

A process is a function of this package, and what it closes over: numbers, arrays, and the times of
edges. So its name and those say all that it does, whoever made it, and no component needs to
describe itself. Names of edges and processes, and weights, are not in it.
"""

from __future__ import annotations

import hashlib
import types
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .components import Queue
from .schedule import Edge, Network
from .times import Times


def described(network: Network) -> str:
    """The text of a network that has not run yet.

    Raises
    ------
    TypeError
        If a process closes over something that has no text here: then nothing is known of it.
    """
    return "\n".join(_Describer(network).lines())


class _Describer:
    """Numbers the times of a network, and writes what its processes hold."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._places = {id(times): k for k, times in enumerate(network.all_times)}

    def lines(self) -> Iterator[str]:
        """One for what there is of times, and one for each process."""
        yield str([times.each for times in self._network.all_times])
        for edges in (self._network.sources, self._network.sinks):
            yield self._text(edges)
        for process in self._network.processes:
            reads, writes = self._text(process.reads), self._text(process.writes)
            yield f"{self._text(process.rule)} {reads} {writes}"

    def _text(self, value: Any) -> str:
        match value:
            case None | bool() | int() | float() | str():
                return repr(value)
            case np.integer():
                return repr(int(value))
            case Times():
                return f"times {self._places[id(value)]}"
            case np.ndarray():
                content = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
                return f"{value.dtype} {value.shape} {content}"
            case Edge():
                return f"edge {value.beats} {self._text(value.offer)} {self._text(value.take)}"
            case Queue():
                return f"queue {self._text([value.i, value.o, value.depth])}"
            case slice():
                return self._text(["slice", value.start, value.stop, value.step])
            case Network() if value is self._network:
                return "network"
            case types.MethodType():
                return f"{self._text(value.__func__)} of {self._text(value.__self__)}"
            case types.FunctionType():
                return self._function(value)
            case Sequence():
                return f"[{', '.join(map(self._text, value))}]"
        raise TypeError(f"a timing process must not close over {type(value).__name__}")

    def _function(self, function: types.FunctionType) -> str:
        # Two functions may have one name: branches that define it each, and every lambda.
        name = f"{function.__module__}.{function.__qualname__}:{function.__code__.co_firstlineno}"
        held = [cell.cell_contents for cell in function.__closure__ or ()]
        defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
        return f"{name}{self._text(held + defaults)}"
