# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The edge's side of a request: first layers, fragments out, one outcome back.

Rules, cited by tests as R1 to R5:

R1. Every request ends in exactly one outcome, a reply or a typed error, before its deadline.
R2. A request is sent again, flagged as such, when nothing has come for a share of its time; at most
    ``retries`` times. Inference has no side effects, so being executed twice does no harm.
R3. At most ``window`` requests are under way; the next one starts when one ends.
R4. Request ids have a random high half and count up: a reply to an earlier run, or a second reply,
    is counted and forgotten.
R5. A bad datagram is counted and changes nothing.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...hw.formats.bundle import Bundle
from ...hw.formats.fragments import DEFAULT_MTU, fragment_bytes
from ...hw.formats.tensor import AnyArray
from ...hw.formats.wire import ElementType, Header, MessageType, WireError
from ..errors import DeadlineError, RefusedError, RequestError, UnreachableError
from ..nodes.model_parts import fingerprint, load_part, to_bytes
from ..wire import message
from ..wire.reassembly import Reassembler
from ..wire.udp import LOOPBACK, Address, UdpPort, format_address

GUARD = 0.05
"""Share of the deadline that is kept for saying that it will not be met (R1)."""

MAX_DEADLINE_US = (1 << 32) - 1
"""The header has 32 bits for it."""

REFUSED_PAUSE_SECONDS = 0.1
"""Pause before the next try where nobody listens; long enough for a node to be started again."""


@dataclass(frozen=True)
class Request:
    """One sample to infer.

    Attributes
    ----------
    inputs : arrays in the order of the model's inputs
    may_execute : the policy bit that lets a hop on the path execute the slice
    tag : anything; comes back with the outcome
    """

    inputs: Sequence[AnyArray]
    may_execute: bool = True
    tag: Any = None


@dataclass(frozen=True)
class RequestOutcome:
    """How a request ended: with ``outputs``, or with ``error``.

    Attributes
    ----------
    executed_by : ``"nic"`` or ``"cloud"``: who ran the slice
    declined : reason why a hop did not execute it; empty if none declined
    cycles : that the slice took in the hop that executed it
    slice_sha256 : fingerprint of the slice's outputs; equal bits, equal fingerprint
    wire_bytes : tensor bytes that left the edge, once
    attempts : how often it was sent
    seconds : from the start of the first layers to the outcome
    """

    request: Request
    request_id: int
    outputs: dict[str, AnyArray] | None
    error: RequestError | None
    executed_by: str
    declined: str
    cycles: int
    slice_sha256: str
    wire_bytes: int
    attempts: int
    seconds: float


@dataclass
class _Pending:
    request: Request
    header: Header
    tensors: list[bytes]
    started: float
    give_up: float
    deadline: float
    resend: float
    attempts: int = 0
    refused: int = 0
    errors: list[str] = field(default_factory=list)


class EdgeClient:
    """Sends requests to the first hop and gives one outcome for each.

    Parameters
    ----------
    bundle : the model
    target : the first hop: a NIC, or the cloud itself
    bind : local address; loopback by default
    deadline : seconds from the start of a request to its end at the latest
    retries : how often a request is sent again at most
    window : requests under way at most
    tenant : number that steering tables match
    mtu : of IP on the way to the first hop, in bytes
    """

    def __init__(
        self,
        bundle: Bundle,
        target: Address,
        *,
        bind: Address = (LOOPBACK, 0),
        deadline: float = 10.0,
        retries: int = 2,
        window: int = 1,
        tenant: int = 0,
        mtu: int = DEFAULT_MTU,
        threads: int = 1,
    ) -> None:
        self._bundle = bundle
        self._target = target
        self._deadline = deadline
        self._retries = retries
        self._window = window
        self._tenant = tenant
        self._mtu = mtu
        fragment_bytes(mtu)  # raises if it is too small
        self.part = load_part(bundle, "edge", threads)
        self._pending: dict[int, _Pending] = {}
        self._next_id = secrets.randbits(32) << 32
        self.counters: Counter[str] = Counter()
        self._reassembler = Reassembler(self._expected, slots=4 * window, timeout=deadline)
        self._port = UdpPort(bind, target)

    @property
    def address(self) -> Address:
        """Where replies come in."""
        return self._port.address

    def infer(self, request: Request) -> RequestOutcome:
        """Run one request to its end."""
        return next(self.stream([request]))

    def stream(self, requests: Iterable[Request]) -> Iterator[RequestOutcome]:
        """Run requests, ``window`` at a time; yields outcomes in the order in which they end.

        Raises
        ------
        DataError
            If a sample does not fit the model: such a request is not accepted, and the others that
            are under way are given up with it.
        """
        waiting = iter(requests)
        more = True
        self._pending.clear()
        while True:
            while more and len(self._pending) < self._window:
                request = next(waiting, None)
                if request is None:
                    more = False
                else:
                    self._start(request)
            if not self._pending:
                return
            yield from self._turn()

    def close(self) -> None:
        """Close the socket."""
        self._port.close()

    def __enter__(self) -> EdgeClient:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def _start(self, request: Request) -> None:
        started = time.monotonic()
        manifest = self._bundle.manifest
        tensors = to_bytes(manifest.inputs, self.part.run(request.inputs))
        self._next_id = self._next_id >> 32 << 32 | (self._next_id + 1) % (1 << 32)
        deadline = started + self._deadline
        give_up = started + self._deadline * (1 - GUARD)
        header = Header(
            model_hash=self._bundle.model_hash,
            request_id=self._next_id,
            tenant=self._tenant,
            may_execute=request.may_execute,
        )
        pending = _Pending(request, header, tensors, started, give_up, deadline, started)
        self._pending[self._next_id] = pending
        self.counters["requests"] += 1
        self._send(pending)

    def _send(self, pending: _Pending) -> None:
        """Send all fragments; plan when to send them again (R2)."""
        now = time.monotonic()
        left_us = max(1, int((pending.deadline - now) * 1e6))
        header = replace(
            pending.header, resend=pending.attempts > 0, deadline_us=min(left_us, MAX_DEADLINE_US)
        )
        pending.attempts += 1
        if pending.attempts > 1:
            self.counters["resent"] += 1
        left = self._retries + 2 - pending.attempts
        pending.resend = now + max(0.0, pending.give_up - now) / left
        types = [ElementType.of(spec.qtype.wire_dtype) for spec in self._bundle.manifest.inputs]
        try:
            for train, size in message.trains(header, pending.tensors, self._mtu, types):
                self._port.send_train(train, size, self._target)
        except ConnectionRefusedError:
            self._refused()
        except OSError as error:
            self.counters["send_failed"] += 1
            pending.errors.append(error.strerror or str(error))

    def _refused(self) -> None:
        """The target's machine says that nobody listens: try again soon, or give up soon."""
        self.counters["refused_by_host"] += 1
        soon = time.monotonic() + REFUSED_PAUSE_SECONDS
        for pending in self._pending.values():
            pending.refused += 1
            pending.resend = min(pending.resend, soon)

    def _turn(self) -> Iterator[RequestOutcome]:
        """Wait for one reply or one timer."""
        now = time.monotonic()
        timers = [min(p.resend, p.give_up) for p in self._pending.values()]
        done: list[RequestOutcome] = []
        try:
            for datagram, source in self._port.receive(min(timers) - now):
                outcome = self._take(datagram, source)
                if outcome is not None:
                    done.append(outcome)
        except ConnectionRefusedError:
            self._refused()
        except OSError:
            self.counters["receive_failed"] += 1
        yield from done
        now = time.monotonic()
        self._reassembler.expire(now)
        for request_id, pending in list(self._pending.items()):
            out_of_tries = pending.attempts > self._retries
            if now >= pending.give_up or (
                out_of_tries and pending.refused and now >= pending.resend
            ):
                yield self._end(request_id, error=self._give_up(pending))
            elif now >= pending.resend:
                self._send(pending)

    def _give_up(self, pending: _Pending) -> RequestError:
        where = f"request {pending.header.request_id:016x}"
        target = format_address(self._target)
        tries = f"{pending.attempts} attempt(s)"
        if pending.refused >= pending.attempts:
            return UnreachableError(
                "nobody listens at the first hop",
                where=where,
                expected=f"a node at {target}",
                found=f"refused by its machine, {tries}",
                remedy="Start the NIC or the cloud node, or correct --target",
            )
        return DeadlineError(
            "no reply in time",
            where=where,
            expected=f"a reply by way of {target} within {self._deadline:g} s",
            found=f"none after {tries}"
            + (f"; sending failed: {pending.errors[-1]}" if pending.errors else ""),
            remedy="Look at the counters of the NIC and of the cloud node, or raise --deadline",
        )

    def _expected(self, header: Header) -> Sequence[int] | None:
        if header.request_id not in self._pending or header.total_bytes > message.MAX_REPLY_BYTES:
            return None
        return [header.total_bytes]

    def _take(self, datagram: memoryview, source: Address) -> RequestOutcome | None:
        try:
            header, payload = message.parse(datagram)
        except WireError as error:
            self.counters[message.reason_of(error)] += 1  # R5
            return None
        if header.message_type not in (MessageType.REPLY, MessageType.ERROR):
            self.counters["not_for_the_edge"] += 1
            return None
        pending = self._pending.get(header.request_id)
        if pending is None or header.model_hash != self._bundle.model_hash:
            self.counters["late_reply"] += 1  # R4
            return None
        whole = self._reassembler.add(header, payload, source, time.monotonic())
        if whole is None:
            return None
        try:
            if header.message_type == MessageType.ERROR:
                return self._end(
                    header.request_id,
                    error=RefusedError(
                        "the cloud cannot serve the request",
                        where=f"request {header.request_id:016x}",
                        expected="a result",
                        found=message.unpack_error(whole.tensors[0]),
                        remedy="Give the edge and the cloud the same bundle",
                    ),
                )
            outputs, about = message.unpack_reply(whole.tensors[0])
        except WireError as error:
            self.counters[message.reason_of(error)] += 1
            return None
        return self._end(header.request_id, header=header, outputs=outputs, about=about)

    def _end(
        self,
        request_id: int,
        *,
        error: RequestError | None = None,
        header: Header | None = None,
        outputs: dict[str, AnyArray] | None = None,
        about: dict[str, str] | None = None,
    ) -> RequestOutcome:
        """The only way out of the table (R1)."""
        pending = self._pending.pop(request_id)
        self.counters["failed" if error else "replied"] += 1
        return RequestOutcome(
            request=pending.request,
            request_id=request_id,
            outputs=outputs,
            error=error,
            executed_by=(about or {}).get("executed_by", ""),
            declined=header.reason.name.lower() if header is not None and header.declined else "",
            cycles=header.cycles if header is not None and header.telemetry else 0,
            slice_sha256=(about or {}).get("slice_sha256", ""),
            wire_bytes=sum(map(len, pending.tensors)),
            attempts=pending.attempts,
            seconds=time.monotonic() - pending.started,
        )


def expected_fingerprint(bundle: Bundle, wire: Sequence[AnyArray]) -> str:
    """Fingerprint of given wire outputs of a bundle's slice, as replies carry it."""
    return fingerprint(to_bytes(bundle.manifest.outputs, wire))
