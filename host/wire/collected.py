# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What has come of one message, and what lacks (rules A1 to A7 of :mod:`.reassembly`)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...hw.formats.slots import MAX_ASKS, QUICK_ASKS
from ...hw.formats.wire import Header
from . import missing
from .overtaken import Flow, Overtaking, Position

_START = Position(0, 0)


@dataclass
class CollectedTensor:
    """One tensor of a message.

    Attributes
    ----------
    header : of the fragment that came first
    data : its bytes, as far as they are here
    pieces : begin and end of each fragment in it, by fragment number
    """

    header: Header
    data: bytearray
    pieces: dict[int, tuple[int, int]] = field(default_factory=dict)

    def whole(self) -> bool:
        """Whether all fragments are here."""
        return len(self.pieces) == self.header.fragment_count

    def ended(self) -> bool:
        """Whether the last one is here."""
        return self.header.fragment_count - 1 in self.pieces

    def sound(self) -> bool:
        """Whether the pieces lie edge to edge over the whole tensor."""
        at = 0
        for start, end in sorted(self.pieces.values()):
            if start != at:
                return False
            at = end
        return at == len(self.data)


class Collected:
    """One message that is not whole.

    Parameters
    ----------
    started : when its first fragment came, on the caller's clock
    sizes : bytes of each tensor
    flow : in which it comes
    ask : seconds without a new fragment until its sender is asked, unless he pauses for longer

    Attributes
    ----------
    tensors : what has come of each, by tensor index
    telling : the header in which a hop says something of itself, if one has come
    overtaking : what of it is overtaken
    """

    def __init__(self, started: float, sizes: Sequence[int], flow: Flow[Any], ask: float) -> None:
        self.started, self.flow = started, flow
        self.tensors: list[CollectedTensor | None] = [None] * len(sizes)
        self.telling: Header | None = None
        self.overtaking = Overtaking()
        self._sizes, self._ask = sizes, ask
        self._newest = started
        self._pause, self._asks_left = ask, MAX_ASKS
        self._asked_at: float | None = None  # until something of that has come
        self._asked_once = self._asked_for_all = False
        self._answer_due = 0.0  # so long after that, where no answer was measured
        self._asks_for_all = False  # next time
        self._doubt = 0.0  # a pause that an answer ended, unless its sender did
        self._together = True  # without a pause, so far

    def came(self, tensor: int, index: int, now: float) -> None:
        """A fragment that had not been here was put to the others."""
        position, pause = Position(tensor, index), now - self._newest
        asked = self._asked_for_all or position < self.overtaking.asked_to
        if not asked:
            self._asks_for_all = False  # its sender goes on
            if self._doubt:
                self.flow.paused(self._doubt)  # and had only paused
            self._doubt = 0.0
        self._together &= not pause and self._asked_at is None
        if self._asked_at is None:
            self.flow.paused(pause)
        elif asked:
            if self._asked_once:
                self.flow.answered(now - self._asked_at)
                self._doubt = pause
            else:
                self.flow.paused(pause)  # for all that anybody knows
            self._asked_at = None
        self.overtaking.came(position)

    def ended(self) -> None:
        """All of it is here."""
        fragments = sum(len(tensor.pieces) for tensor in self.tensors if tensor is not None)
        if self._together and fragments > 1:
            self.flow.never_paused()

    def is_overtaken(self) -> bool:
        """Whether something that is missing was overtaken, and nobody has asked for it since."""
        edge = self._edge()
        if next(self._holes(self.overtaking.asked_to, edge), None) is not None:
            return True
        self.overtaking.asked_to = max(self.overtaking.asked_to, edge)
        return False

    def begin_pause(self, now: float, *, resend: bool) -> None:
        """Its sender is there: it is asked if nothing follows (A6)."""
        ended = all(tensor is not None and tensor.ended() for tensor in self.tensors)
        quick = QUICK_ASKS if ended else 0
        self._newest, self._asks_left = now, MAX_ASKS + quick
        self._pause = self.flow.patience(self._ask / 2**quick)
        self._asks_for_all |= ended or resend

    def ask_for_overtaken(self, now: float) -> Iterator[bytes]:
        """Messages that ask for it, a group each."""
        start, edge = self.overtaking.asked_to, self._edge()
        self._asked(now, self._ask / 2)
        self.overtaking.asked(edge)
        return self._asking(self._holes(start, edge))

    def ask_by_time(self, now: float) -> Iterator[bytes]:
        """Messages that ask for what is missing, a group each (A6, A7)."""
        last, end = self.overtaking.last, Position(len(self.tensors), 0)
        self._asked(now, self._pause)
        self._asks_left -= 1
        self._pause *= 2
        following = None if self._asks_for_all else next(self._holes(last, end), None)
        if following is None:
            self._asked_for_all = True
            self.overtaking.begin_anew()
            return self._asking(self._holes(_START, end))
        self._asks_for_all = True
        self.overtaking.asked(following._replace(fragment=following.fragment + 1))
        return self._asking([*self._holes(_START, last), following])

    def next_ask(self) -> float | None:
        """When time alone asks, if nothing comes; None: no more."""
        if not self._asks_left:
            return None
        at = self._newest + self._pause
        if self._asked_at is None:
            return at
        # The answer comes after the ask, however long ago the last fragment came.
        return max(at, self._asked_at + self.flow.answer_patience(self._answer_due))

    def _asked(self, now: float, answer_due: float) -> None:
        self._asked_once, self._asked_at = self._asked_at is None, now
        self._answer_due, self._asked_for_all = answer_due, False

    def _edge(self) -> Position:
        last = self.tensors[-1]
        count = 0 if last is None else last.header.fragment_count
        return self.overtaking.edge(Position(len(self.tensors) - 1, count))

    def _holes(self, start: Position, end: Position) -> Iterator[Position]:
        """What is missing from ``start`` on and in front of ``end``.

        Of a tensor of which nothing has come, that is its first fragment (A7).
        """
        for number in range(start.tensor, min(end.tensor + 1, len(self.tensors))):
            tensor = self.tensors[number]
            count = 1 if tensor is None else tensor.header.fragment_count
            first = start.fragment if number == start.tensor else 0
            behind = min(end.fragment, count) if number == end.tensor else count
            for index in range(first, behind):
                if tensor is None or index not in tensor.pieces:
                    yield Position(number, index)

    def _asking(self, holes: Iterable[Position]) -> Iterator[bytes]:
        known = next(tensor.header for tensor in self.tensors if tensor is not None)
        by_group = itertools.groupby(
            holes, lambda hole: (hole.tensor, hole.fragment // missing.GROUP)
        )
        for (number, _), group in by_group:
            tensor = self.tensors[number]
            header = (
                tensor.header
                if tensor is not None
                else replace(
                    known, tensor_index=number, total_bytes=self._sizes[number], fragment_count=1
                )
            )
            yield missing.pack(header, [hole.fragment for hole in group])
