# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Look-up tables of a network of small functions.

What a function computes does not matter here, only which signals it reads: any function of K
signals is one table. Which functions are tables, and which are computed once more inside each that
reads them, is chosen by area flow (Manohararajah, Brown, Vranesic, "Heuristics for Area
Minimization in LUT-Based FPGA Technology Mapping", IEEE TCAD, 2006), as ABC does.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence

PASSES = 2
"""How often tables are chosen: from the second time on by how many tables really read a signal."""


class Logic:
    """Functions of bits. Signals are nets, or tuples for what has no name in the netlist."""

    def __init__(self) -> None:
        self._inputs: dict[object, tuple[object, ...]] = {}
        self._kinds: dict[object, Hashable] = {}
        self._named = 0
        self._ends: list[object] = []

    def function(
        self,
        inputs: Iterable[object],
        output: object = None,
        *,
        key: object = None,
        kind: Hashable = None,
    ) -> object:
        """A function of signals, of which constants are left out; returns its output.

        Functions of one ``key`` are the same one, and so are those of one ``kind`` that read the
        same.
        """
        given = tuple(inputs)
        read = tuple(dict.fromkeys(each for each in given if not isinstance(each, str)))
        if key is not None:
            output = ("key", key)
        if output is None and len(read) < 2:
            return read[0] if read else "0"
        if output is None:
            self._named += 1
            output = (self._named,)
        self._inputs[output] = read
        if kind is not None:
            # Where constants stand makes another function of the same signals.
            self._kinds[output] = kind, tuple(e if isinstance(e, str) else "" for e in given)
        return output

    def joined(self, parts: Iterable[object], *, key: object) -> object:
        """A dedicated multiplexer of tables, which joins none and takes none."""
        self.end(parts)
        return ("joined", key)

    def tree(
        self, inputs: Iterable[object], output: object = None, *, kind: Hashable = None
    ) -> object:
        """A function of any number of signals, one after the other: a table then takes in as many
        as it has inputs.
        """
        first, *rest = list(dict.fromkeys(e for e in inputs if not isinstance(e, str))) or ["0"]
        for each in rest[:-1]:
            first = self.function((first, each), kind=kind)
        if output is None and not rest:
            return first
        return self.function((first, *rest[-1:]), output, kind=kind)

    def end(self, signals: Iterable[object]) -> None:
        """Signals that something other than a function reads."""
        self._ends += [each for each in signals if not isinstance(each, str)]

    def tables(self, inputs: int) -> int:
        """Tables of at most ``inputs`` signals. What inverts a signal joins what reads it."""
        counts = [0] * PASSES
        for part, times in Counter(_parts(*self._network())).items():
            for k, count in enumerate(_Cover(part, inputs).counts):
                counts[k] += times * count
        return min(counts)

    def _network(self) -> tuple[list[tuple[int, ...]], set[int]]:
        """What each function reads, those that it reads before it, and which are ends; without
        functions of one signal, and without the second of two that are the same. What is no
        function reads nothing.
        """
        inputs, kinds = self._inputs, self._kinds
        number: dict[object, int] = {}
        same: dict[Hashable, int] = {}
        read: list[tuple[int, ...]] = []
        entered: set[object] = set()
        ends = [end for end in dict.fromkeys(self._ends) if end in inputs]
        stack = ends[::-1]
        while stack:
            signal = stack[-1]
            sources = inputs.get(signal, ())
            if signal not in number and signal not in entered and sources:
                entered.add(signal)
                missing = [each for each in sources if each not in number]
                if missing:
                    stack += missing
                    continue
            stack.pop()
            if signal in number:
                continue
            # A signal that has no number yet reads this one, which hardware without loops has not.
            own = tuple(dict.fromkeys([number[each] for each in sources if each in number]))
            found = len(read)
            if len(own) == 1:
                (found,) = own
            elif own and signal in kinds:
                found = same.setdefault((kinds[signal], own), found)
            number[signal] = found
            if found == len(read):
                read.append(own)
        return read, {number[end] for end in ends}


_Part = tuple[int, ...]
"""Functions that read each other, as numbers that are the same wherever in a netlist they are: for
each function the signals that it reads, counted as they come, then :data:`_INNER`, or :data:`_END`
where it is an end. Its output is the next signal.
"""

_INNER, _END = -1, -2


def _parts(read: Sequence[tuple[int, ...]], ends: Collection[int]) -> list[_Part]:
    """The network, taken apart where no function reads another: hardware is made of few that are
    different.
    """
    root = list(range(len(read)))
    for k, sources in enumerate(read):
        for each in sources:
            if read[each]:
                while (above := root[each]) != each:
                    root[each] = root[above]
                    each = above
                root[each] = k
    # Roots are behind what is theirs.
    for k in reversed(range(len(read))):
        root[k] = root[root[k]]
    places: dict[int, dict[int, int]] = {}
    parts: dict[int, list[int]] = {}
    for k, sources in enumerate(read):
        if sources:
            own, part = places.setdefault(root[k], {}), parts.setdefault(root[k], [])
            part += [own.setdefault(each, len(own)) for each in sources]
            part.append(_END if k in ends else _INNER)
            own[k] = len(own)
    return list(map(tuple, parts.values()))


class _Cover:
    """Tables of at most ``size`` signals that compute all ends of a part.

    Attributes
    ----------
    counts : how many, each time that they are chosen
    """

    def __init__(self, part: _Part, size: int) -> None:
        self._size = size
        self._read: list[tuple[int, ...]] = []
        self._ends: list[int] = []
        self._take_apart(part)
        self._cuts: dict[int, frozenset[int]] = {}
        self._few = self._behind()
        self._ended = frozenset(self._ends)
        self.counts: list[int] = []
        readers = self._readers(self._read)
        for _ in range(PASSES):
            self._choose(readers)
            used = self._used()
            self.counts.append(sum(self._cost(cut) for cut in used.values()))
            readers = self._readers(used.values())

    def _take_apart(self, part: _Part) -> None:
        """What each signal reads, and which are ends."""
        sources: list[int] = []
        for each in part:
            if each >= 0:
                sources.append(each)
                continue
            new = max(0, max(sources) + 1 - len(self._read))
            self._read += [()] * new
            if each == _END:
                self._ends.append(len(self._read))
            self._read.append(tuple(sources))
            sources = []

    def _readers(self, read: Iterable[Iterable[int]]) -> list[int]:
        """How many read each signal, of these and outside."""
        found = [0] * len(self._read)
        for each in itertools.chain(*read, self._ends):
            found[each] += 1
        return found

    def _cost(self, cut: frozenset[int]) -> int:
        """Tables of a function: one, or a chain of them if it reads more than a table does."""
        return max(1, -(-(len(cut) - 1) // (self._size - 1)))

    def _choose(self, readers: Sequence[int]) -> None:
        """For each function the signals that its table reads, so that the table and its share of
        those behind it are the fewest. What ends is there in any case: who reads it too, pays
        nothing for it.
        """
        flow = [0.0] * len(self._read)
        for k, sources in enumerate(self._read):
            if not sources:
                continue
            cut = self._grown(sources, flow)
            area = self._cost(cut) + sum(flow[each] for each in cut)
            few = self._few.get(k)
            if few is not None:
                other = 1 + sum(flow[each] for each in few)
                if (other, len(few)) <= (area, len(cut)):
                    cut, area = few, other
            self._cuts[k] = cut
            flow[k] = 0.0 if k in self._ended else area / max(1, readers[k])

    def _behind(self) -> dict[int, frozenset[int]]:
        """For functions of functions of few signals these signals, which may be read in many places
        between.
        """
        found: dict[int, frozenset[int]] = {}
        for k, sources in enumerate(self._read):
            if sources:
                parts = (found.get(each) or (each,) for each in sources)
                few = frozenset(itertools.chain.from_iterable(parts))
                if len(few) <= self._size:
                    found[k] = few
        return found

    def _grown(self, sources: tuple[int, ...], flow: Sequence[float]) -> frozenset[int]:
        """The signals, of which those are computed inside that fit and save tables."""
        cut = frozenset(sources)
        inner = [each for each in sources if self._read[each]]
        for each in sorted(inner, key=lambda one: (len(self._cuts[one]), -flow[one])):
            own = self._cuts[each]
            wider = (cut - {each}) | own
            if len(wider) <= self._size and flow[each] > sum(flow[n] for n in own - cut):
                cut = wider
        return cut

    def _used(self) -> Mapping[int, frozenset[int]]:
        """The tables that ends need."""
        used: dict[int, frozenset[int]] = {}
        stack = list(self._ends)
        while stack:
            k = stack.pop()
            if k in used or not self._read[k]:
                continue
            used[k] = self._cuts[k]
            stack += self._cuts[k]
        return used
