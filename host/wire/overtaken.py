# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""When a fragment counts as lost: others that were sent after it have come, or it took too long.

Rules, cited by tests as E1 to E5:

E1. A sender sends fragments in order: those of a tensor by their number, tensors by theirs, and a
    message behind the one before. One is *overtaken* when ``OVERTAKERS`` that were sent after it
    have come: it is lost, at once (as in RFC 8985, RACK, and with TCP's duplicate
    acknowledgements). What has been asked for has been sent again, and nobody knows behind what: it
    overtakes nothing, and is not overtaken until all that lacks is asked for once more.
E2. Later messages overtake an earlier one that came by the same way (:class:`Flow`): what of that
    lies in front of the last one that is here, and behind that only where fewer than
    ``OVERTAKERS`` lack. For a sender may pause within a message, and send of others meanwhile.
E3. What nothing can overtake has until the pause is longer than one between two fragments ever is:
    twice the smoothed pause and four deviations (RFC 6298; twice, as few pauses are much longer
    than most), or what the caller says, if that is longer.
    Fragments that came together have no pause between them; a message without any counts as one
    pause of no length, lest a long one is remembered for as long as there are no others. A pause in
    which somebody asked counts if it was asked twice, or if the sender then goes on behind what it
    was asked for.
E4. What was asked for has as long as answers take, smoothed alike. Only where it was asked once
    since the last new fragment, an answer is measured (Karn).
E5. Of the flows that have nothing under way, ``MOST_FLOWS`` are remembered.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator
from typing import Generic, NamedTuple, TypeVar

from ...hw.formats.slots import OVERTAKERS
from .round_trip import RoundTrip

MOST_FLOWS = 256


Key = TypeVar("Key", bound=Hashable)
"""What tells messages apart."""


class Position(NamedTuple):
    """Of a fragment in its message, in the order in which they are sent."""

    tensor: int
    fragment: int


_FIRST = Position(0, 0)


class Overtaking:
    """What of one message is overtaken (E1, E2).

    Attributes
    ----------
    asked_to : what is missing in front of it has been asked for, if anything
    """

    def __init__(self) -> None:
        self._latest: list[Position] = []  # a heap: of those that came, the last ones
        self._passed = 0  # fragments of later messages since the last one of this
        self.asked_to = _FIRST

    def came(self, position: Position) -> None:
        """A fragment that had not been here."""
        self._passed = 0
        if position < self.asked_to:
            return
        if len(self._latest) < OVERTAKERS:
            heapq.heappush(self._latest, position)
        else:
            heapq.heappushpop(self._latest, position)

    def passed(self) -> bool:
        """A fragment of a later message came; whether that tells anything."""
        self._passed += 1
        return self._passed == OVERTAKERS

    @property
    def last(self) -> Position:
        """Of what has come, as far as its order is known."""
        return max(self._latest, default=self.asked_to)

    def edge(self, end: Position) -> Position:
        """All in front of it was sent before what has come; ``end`` lies behind the last one."""
        if self._passed >= OVERTAKERS and self._latest:
            last = self.last
            near = last.tensor == end.tensor and end.fragment - last.fragment <= OVERTAKERS
            return end if near else last
        return self._latest[0] if len(self._latest) == OVERTAKERS else self.asked_to

    def asked(self, to: Position) -> None:
        """What is missing in front of ``to`` was asked for."""
        self._passed, self.asked_to = 0, to

    def begin_anew(self) -> None:
        """All that is missing was asked for: it is sent again, in order."""
        self._passed, self.asked_to = 0, _FIRST
        self._latest.clear()


class Flow(Generic[Key]):
    """What comes from one sender by one way, and how fast (E2 to E4).

    Attributes
    ----------
    under_way : messages that are not whole, by the caller's keys, in the order of their first
        fragments
    """

    def __init__(self) -> None:
        self.under_way: dict[Key, Overtaking] = {}
        self._pauses, self._answers = RoundTrip(), RoundTrip()

    def overtaken_by(self, key: Key) -> Iterator[Key]:
        """Messages that a fragment of a later one now tells something about."""
        for earlier, overtaking in self.under_way.items():
            if earlier == key:
                return
            if overtaking.passed():
                yield earlier

    def paused(self, seconds: float) -> None:
        """A new fragment of a message came so long after the one before."""
        if seconds > 0:
            self._pauses.measured(seconds)

    def never_paused(self) -> None:
        """All fragments of a message came together."""
        self._pauses.measured(0.0)

    def answered(self, seconds: float) -> None:
        """So long after it was asked for, something came."""
        self._answers.measured(seconds)

    def patience(self, least: float) -> float:
        """How long a pause may be (E3)."""
        return max(least, 2 * self._pauses.wait(0.0))

    def answer_patience(self, least: float) -> float:
        """How long what was asked for may take (E4)."""
        return max(least, self._answers.wait(least))


class Flows(Generic[Key]):
    """Flows by the caller's keys (E5)."""

    def __init__(self) -> None:
        self._flows: dict[Hashable, Flow[Key]] = {}

    def __len__(self) -> int:
        return len(self._flows)

    def get(self, key: Hashable) -> Flow[Key]:
        """The flow of that key, perhaps a new one."""
        flow = self._flows.pop(key, None) or Flow[Key]()
        if len(self._flows) >= MOST_FLOWS:  # insertion order is that of the last use
            oldest = next(iter(self._flows))
            idle = self._flows.pop(oldest)
            if idle.under_way:
                self._flows[oldest] = idle
        self._flows[key] = flow
        return flow
