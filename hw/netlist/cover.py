# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Look-up tables of a network of small functions.

What a function computes does not matter here, only which signals it reads: any function of K
signals is one table. A function that one other reads joins that one's table while it fits, as in
the covers of Cong and Ding, "FlowMap" (IEEE TCAD, 1994), but for area and without looking back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Passing:
    """A function that has no table of its own: whoever reads it reads its signals."""

    inputs: tuple[object, ...]


def _flat(signals: Iterable[object]) -> Iterator[object]:
    for each in signals:
        if isinstance(each, Passing):
            yield from _flat(each.inputs)
        elif not isinstance(each, str):
            yield each


class Logic:
    """Functions of bits. Signals are nets, or tuples for what has no name in the netlist."""

    def __init__(self) -> None:
        self._inputs: dict[object, tuple[object, ...]] = {}
        self._named = 0
        self._ends: list[object] = []

    def function(
        self, inputs: Iterable[object], output: object = None, *, key: object = None
    ) -> object:
        """A function of signals, of which constants are left out; returns its output.

        Functions of one ``key`` are the same one.
        """
        read = tuple(dict.fromkeys(_flat(inputs)))
        if key is not None:
            output = ("key", key)
        if output is None and len(read) < 2:
            return read[0] if read else "0"
        if output is None:
            self._named += 1
            output = (self._named,)
        self._inputs[output] = read
        return output

    def joined(self, parts: Iterable[object], *, key: object) -> object:
        """A dedicated multiplexer of tables, which joins none and takes none."""
        self.end(parts)
        del key
        return ("joined",)

    def tree(
        self, inputs: Iterable[object], output: object = None, *, key: object = None
    ) -> object:
        """A function of any number of signals, two by two."""
        level = list(dict.fromkeys(_flat(inputs)))
        while len(level) > 2:
            pairs = [level[k : k + 2] for k in range(0, len(level), 2)]
            level = [pair[0] if len(pair) == 1 else self.function(pair) for pair in pairs]
        if len(level) == 1 and output is None:
            return level[0]
        return self.function(level, output, key=key)

    def end(self, signals: Iterable[object]) -> None:
        """Signals that something other than a function reads."""
        for each in signals:
            if isinstance(each, Passing):
                self._ends.append(self.function(each.inputs))
            elif not isinstance(each, str):
                self._ends.append(each)

    def tables(self, inputs: int) -> int:
        """Tables of at most ``inputs`` signals. What inverts a signal joins what reads it."""

        def origin(signal: object) -> object:
            while len(read := self._inputs.get(signal, ())) == 1:
                (signal,) = read
            return signal

        ends = dict.fromkeys(map(origin, self._ends))
        sources = {
            signal: tuple(dict.fromkeys(map(origin, read)))
            for signal, read in self._inputs.items()
            if len(read) > 1
        }
        readers: dict[object, int] = {}
        alive, order = set(), []
        stack: list[tuple[object, bool]] = [(each, False) for each in ends]
        for each in ends:
            readers[each] = 2  # never joins
        while stack:
            signal, done = stack.pop()
            if done:
                order.append(signal)
                continue
            if signal in alive or signal not in sources:
                continue
            alive.add(signal)
            stack.append((signal, True))
            for each in sources[signal]:
                readers[each] = readers.get(each, 0) + 1
                stack.append((each, False))
        supports: dict[object, frozenset[object]] = {}
        count = 0
        for signal in order:
            support = frozenset(sources[signal])
            joined = [each for each in support if readers[each] == 1 and each in supports]
            taken = 0
            for each in sorted(joined, key=lambda one: len(supports[one])):
                wider = (support - {each}) | supports[each]
                if len(wider) <= inputs:
                    support = wider
                    taken += 1
            supports[signal] = support
            count += 1 - taken
        return count
