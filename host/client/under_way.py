# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What the client keeps of requests under way and of paths."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ..errors import DeadlineError, RequestError, UnreachableError
from ..steer.paths import NetworkPath
from ..wire.outbox import Outbox
from ..wire.round_trip import RoundTrip
from ..wire.sent import SentMessage
from ..wire.udp import Address, UdpPort
from .requests import Request

MAX_DEADLINE_US = (1 << 32) - 1
"""The header has 32 bits for it."""

FLOOR_SECONDS = 0.2
"""Least wait for an answer: whoever lacks fragments asks for them much sooner, and what is slow for
a moment is not to be asked twice."""

FLOOR_SHARE = 1 / 4
"""Of the request's time, where that is so short that the floor would leave no time to repeat."""

UNMEASURED_SHARE = 1 / 8
"""Of the request's time: the first wait by a path that has not answered yet."""

PATIENCE_SECONDS = 0.004
"""Least time until a result may have been lost; fragments that are asked for come within that."""

ANSWER_PATIENCE_SECONDS = 0.001
"""Least time until an answer may have been lost: processes are stopped for as long at any time."""

UNHEARD_TIMES, UNHEARD_SECONDS = 2, 0.05
"""A result of which nothing has come counts as lost after so many times the patience, as who
executes may be busy for a moment and is not to be given the same again for that; but not later than
after so many seconds, where the patience is no longer itself."""

RESEND_PAUSE_SECONDS = 0.01
"""From one attempt to the next at least, however short the deadline: nodes take milliseconds."""


@dataclass
class Pending:
    """A request that has been sent and has not ended.

    Attributes
    ----------
    sent : its fragments: the bytes of each slice input lie where ``edge.onnx`` put them
    path : that it takes, by its place in the client's sequence
    started, give_up, deadline, resend, inquire : seconds on the monotonic clock
    wait : from the latest attempt to ``resend``
    attempts, attempts_here : in all, and by this path
    refused : how often the machine of this path's first hop said that nobody listens
    overtaken : a request that was sent later, by this path, has been answered
    excused : although no answer came in time, that was not asked for
    disturbed : somebody lacked a fragment of it or of its answer, in the latest attempt
    errors : of sending
    """

    request: Request
    sent: SentMessage
    path: int
    started: float
    give_up: float
    deadline: float
    resend: float
    wait: float = 0.0
    inquire: float = math.inf
    attempts: int = 0
    attempts_here: int = 0
    refused: int = 0
    overtaken: bool = False
    excused: bool = False
    disturbed: bool = False
    errors: list[str] = field(default_factory=list)

    @property
    def request_id(self) -> int:
        """As in its header."""
        return self.sent.header.request_id

    @property
    def time(self) -> float:
        """Seconds that it has in all."""
        return self.give_up - self.started

    @property
    def overdue(self) -> float:
        """When it is to be sent again or given up."""
        return min(self.resend, self.give_up)

    @property
    def due(self) -> float:
        """When there is something to do about it."""
        return min(self.overdue, self.inquire)

    def left_us(self, now: float) -> int:
        """Microseconds to its deadline, as its header says them."""
        return min(max(1, int((self.deadline - now) * 1e6)), MAX_DEADLINE_US)


class Way:
    """A path with its socket, and what still has to leave by it.

    Attributes
    ----------
    round_trip : to all answers that tell how long one takes
    undisturbed : to those of which nobody lacked a fragment
    """

    def __init__(self, path: NetworkPath, bind: Address | None, window: int) -> None:
        self.path = path
        self.port = UdpPort(bind, path.first)
        self.outbox: Outbox[int] = Outbox(self.port, limit=window)
        self.round_trip, self.undisturbed = RoundTrip(), RoundTrip()

    def measured(self, pending: Pending, seconds: float) -> None:
        """An answer came to a request that was sent once."""
        self.round_trip.measured(seconds)
        if not pending.disturbed:
            self.undisturbed.measured(seconds)

    def first_wait(self, pending: Pending) -> float:
        """How long to wait for an answer to a request that has just been sent by this path."""
        floor = max(RESEND_PAUSE_SECONDS, min(FLOOR_SECONDS, FLOOR_SHARE * pending.time))
        return max(floor, self.round_trip.wait(UNMEASURED_SHARE * pending.time))

    def answer_patience(self, pending: Pending) -> float:
        """How long an answer may take until it is asked for; endless by a path without any yet."""
        known = self.round_trip if self.undisturbed.smoothed is None else self.undisturbed
        return self._patience(known, pending, ANSWER_PATIENCE_SECONDS)

    def result_patience(self, pending: Pending, overtaken: bool) -> float:
        """How long a result may take until it is lost; ``overtaken``: others show that it is not
        only slow."""
        patience = self._patience(self.round_trip, pending, PATIENCE_SECONDS)
        if not overtaken:
            patience = max(patience, min(UNHEARD_TIMES * patience, UNHEARD_SECONDS))
        return min(pending.wait, patience)

    @staticmethod
    def _patience(trips: RoundTrip, pending: Pending, least: float) -> float:
        if trips.smoothed is None:
            return math.inf
        return max(least, trips.wait(UNMEASURED_SHARE * pending.time))


def given_up(pending: Pending, path: NetworkPath, deadline: float) -> RequestError:
    """The error for a request that nobody answered."""
    where = f"request {pending.request_id:016x}"
    tries = f"{pending.attempts} attempt(s)"
    if pending.refused >= pending.attempts_here:
        return UnreachableError(
            "nobody listens at the first hop",
            where=where,
            expected=f"a node at {path}",
            found=f"refused by its machine, {tries}",
            remedy="Start the NIC or the cloud node, or correct --target",
        )
    return DeadlineError(
        "no reply in time",
        where=where,
        expected=f"a reply by way of {path} within {deadline:g} s",
        found=f"none after {tries}"
        + (f"; sending failed: {pending.errors[-1]}" if pending.errors else ""),
        remedy="Look at the counters of the NIC and of the cloud node, or raise --deadline",
    )
