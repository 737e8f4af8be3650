# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What the client keeps of requests under way and of paths."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...hw.formats.wire import Header
from ..errors import DeadlineError, RequestError, UnreachableError
from ..steer.paths import NetworkPath
from ..wire.outbox import Outbox
from ..wire.udp import Address, UdpPort
from .requests import Request


@dataclass
class Pending:
    """A request that has been sent and has not ended.

    Attributes
    ----------
    header : what all its fragments share
    tensors : bytes of each slice input, where ``edge.onnx`` put them
    path : that it takes, by its place in the client's sequence
    started, give_up, deadline, resend : seconds on the monotonic clock
    attempts, attempts_here : in all, and by this path
    refused : how often the machine of this path's first hop said that nobody listens
    errors : of sending
    """

    request: Request
    header: Header
    tensors: list[memoryview]
    path: int
    started: float
    give_up: float
    deadline: float
    resend: float
    attempts: int = 0
    attempts_here: int = 0
    refused: int = 0
    errors: list[str] = field(default_factory=list)


class Way:
    """A path with its socket, and what still has to leave by it."""

    def __init__(self, path: NetworkPath, bind: Address, window: int) -> None:
        self.path = path
        self.port = UdpPort(bind, path.first)
        self.outbox: Outbox[int] = Outbox(self.port, limit=window)


def given_up(pending: Pending, path: NetworkPath, deadline: float) -> RequestError:
    """The error for a request that nobody answered."""
    where = f"request {pending.header.request_id:016x}"
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
