# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The edge's side of a request: first layers, fragments out, one outcome back.

Rules, cited by tests as R1 to R8:

R1. Every request ends in exactly one outcome, a reply or a typed error, before its deadline.
R2. A request is sent again, flagged as such, when no answer has come for as long as one takes by
    its path (RFC 6298), then after twice as long each time, at most ``retries`` times. The last
    wait is what is left of its time, so short waits end no request early. By the same path it
    is a *probe*, the first fragment of each tensor: who has nothing of the request asks for the
    rest, who has sent the answer sends it again. Inference has no side effects, so being executed
    twice does no harm.
R3. At most ``window`` requests are under way; the next one starts when one ends.
R4. Request ids have a random high half and count up: a reply to an earlier run, or a second reply,
    is counted and forgotten.
R5. A bad datagram is counted and changes nothing.
R6. A request is given one path, by the steering; all its fragments and resends take it, until the
    steering says that it is dead. A request that moves is sent as a whole. An answer that comes by
    an earlier path counts.
R7. Whoever lacks fragments of a request under way asks for them (rule W8 of the wire format) and
    gets those, by the path that the request takes now, within bounds (rule M2 of
    ``wire/sent.py``); the wait for an answer begins anew. Who lacks a *result* gets the whole
    request again, flagged, as one of the ``retries``: at once if something of it has come, for then
    others have overtaken what lacks; where it was sent again before, when an answer to that should
    have come; where nothing of the result has, then too if a request that was sent later has been
    answered, or else after twice that. Only who executed had its bytes, and executes again. Where a
    reply lacks fragments, the client asks for them (A6 of ``wire/reassembly.py``).
R8. Where nothing has come for as long as an answer takes by the path to a request of which nobody
    lacks anything, long before the least wait of R2, the client asks for the first fragment of the
    answer, again when twice as long has passed and so on. Whoever asks for fragments of the request
    begins that anew, and who asked for an answer waits twice as long for others (T4 of
    ``wire/round_trip.py``), until one comes to a request that nobody asked about. But where others
    wait too, and none that was sent later was answered, all may only be slow, and have that time
    once more. If the cloud has answered, that brings the answer, and no hop executes twice; if it
    has nothing of the request, it asks for the result (R7), and if it lacks some of it, for that.
"""

from __future__ import annotations

import contextlib
import secrets
import selectors
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from ...hw.formats.bundle import Bundle
from ...hw.formats.fragments import DEFAULT_MTU, fragment_bytes
from ...hw.formats.headers import IPV6_BYTES, MIN_IPV4_BYTES
from ...hw.formats.tensor import AnyArray
from ...hw.formats.wire import ElementType, Header, MessageType, WireError
from ..errors import RefusedError, RequestError, StartError
from ..model_parts import load_part
from ..steer.paths import MAX_PATHS, NetworkPath
from ..steer.steering import InOrder, Steering
from ..wire import message, missing
from ..wire.reassembly import Reassembler
from ..wire.sent import SentMessage
from ..wire.short_waits import ShortWaits
from ..wire.tensors import to_buffers
from ..wire.udp import Address, Datagram, Train, is_ipv6
from .requests import Request, RequestOutcome
from .under_way import Pending, Way, given_up

GUARD = 0.05
"""Share of the deadline that is kept for saying that it will not be met (R1)."""

DEFAULT_RETRIES = 8
"""With the default deadline all that there is time for: waits double, and a repeat is a probe."""

MAX_RETRIES = 100
"""More would be a flood and no help."""

REFUSED_PAUSE_SECONDS = 0.1
"""Pause before the next try where nobody listens; long enough for a node to be started again."""


class EdgeClient:
    """Sends requests by one of its paths and gives one outcome for each.

    Parameters
    ----------
    bundle : the model
    paths : how a request can be sent, at most ``MAX_PATHS``
    steering : chooses among them; the first that is alive by default
    bind : local address; by default loopback, in the IP version of each path. A port other than 0
        is that of the first path's socket, the others take any free one
    deadline : seconds from the start of a request to its end at the latest
    retries : how often a request is sent again at most, up to ``MAX_RETRIES``
    window : requests under way at most
    tenant : number that steering tables match
    mtu : of IP on the way to the first hop, in bytes

    Raises
    ------
    StartError
        If there are no paths or too many, ``retries`` are out of range, an address cannot be bound
        or ``edge.onnx`` cannot be opened.
    """

    def __init__(
        self,
        bundle: Bundle,
        paths: Sequence[NetworkPath],
        *,
        steering: Steering | None = None,
        bind: Address | None = None,
        deadline: float = 10.0,
        retries: int = DEFAULT_RETRIES,
        window: int = 1,
        tenant: int = 0,
        mtu: int = DEFAULT_MTU,
        threads: int = 1,
    ) -> None:
        if not 1 <= len(paths) <= MAX_PATHS:
            raise StartError(
                "no usable set of paths",
                where="the edge",
                expected=f"1 to {MAX_PATHS} paths",
                found=str(len(paths)),
            )
        if not 0 <= retries <= MAX_RETRIES:
            raise StartError(
                "no usable number of retries",
                where="the edge",
                expected=f"0 to {MAX_RETRIES}",
                found=str(retries),
                remedy="Raise the deadline instead: each wait is twice as long as the one before",
            )
        self._bundle = bundle
        self._deadline = deadline
        self._retries = retries
        self._window = window
        self._tenant = tenant
        longer = IPV6_BYTES - MIN_IPV4_BYTES  # than what an MTU is reckoned with
        self._mtu = mtu - longer * any(is_ipv6(path.first) for path in paths)
        fragment_bytes(self._mtu)  # raises if it is too small
        self.part = load_part(bundle, "edge", threads)
        self.paths = tuple(paths)
        self._steering = steering or InOrder()
        self._pending: dict[int, Pending] = {}
        self._next_id = secrets.randbits(32) << 32
        self._counters: Counter[str] = Counter()
        specs = bundle.manifest.inputs
        self._types = [ElementType.of(spec.qtype.wire_dtype) for spec in specs]
        self._reassembler = Reassembler(self._expected, slots=4 * window, timeout=deadline)
        self._selector = ShortWaits()
        self._ways: list[Way] = []
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            for index, path in enumerate(self.paths):
                at = bind if bind is None or index == 0 else (bind[0], 0)
                self._ways.append(Way(path, at, window))
                self._selector.register(self._ways[-1].port, selectors.EVENT_READ, index)
            undo.pop_all()

    @property
    def address(self) -> Address:
        """Where replies by the first path come in."""
        return self._ways[0].port.address

    @property
    def counters(self) -> dict[str, int]:
        """What has happened so far, to requests and to fragments of replies."""
        return dict(self._counters + self._reassembler.counters)

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
        for request_id in list(self._pending):  # of an earlier stream that was not read to its end
            self._forget(request_id)
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
        """Close the sockets."""
        for way in self._ways:
            way.port.close()
        self._selector.close()

    def __enter__(self) -> EdgeClient:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def _start(self, request: Request) -> None:
        started = time.monotonic()
        manifest = self._bundle.manifest
        tensors = to_buffers(manifest.inputs, self.part.run(request.inputs))
        self._next_id = self._next_id >> 32 << 32 | (self._next_id + 1) % (1 << 32)
        deadline = started + self._deadline
        give_up = started + self._deadline * (1 - GUARD)
        header = Header(
            model_hash=self._bundle.model_hash, request_id=self._next_id, tenant=self._tenant
        )
        header = request.permission.stamp(header)
        sent = SentMessage(header, [[view] for view in tensors], self._mtu, self._types)
        path = self._steering.choose(self.paths, started)
        pending = Pending(request, sent, path, started, give_up, deadline, started)
        self._pending[self._next_id] = pending
        self._counters["requests"] += 1
        self._send(pending, whole=True)

    def _send(self, pending: Pending, *, whole: bool) -> None:
        """Send all fragments or a probe; plan when to send again (R2)."""
        now = time.monotonic()
        sent = pending.sent
        sent.header = replace(
            sent.header, resend=pending.attempts > 0, deadline_us=pending.left_us(now)
        )
        sent.sent = now
        sent.refill()
        self._counters["resent"] += pending.attempts > 0
        if not pending.attempts_here:
            pending.wait = self._ways[pending.path].first_wait(pending)
        pending.attempts += 1
        pending.attempts_here += 1
        last = pending.attempts > self._retries
        pending.resend = pending.give_up if last else now + pending.wait
        pending.inquire = now + self._ways[pending.path].answer_patience(pending)
        pending.overtaken = pending.excused = pending.disturbed = False
        self._let_go(pending, sent.whole() if whole else sent.first(), now)

    def _send_again(self, pending: Pending) -> None:
        """Nothing has come in time: by the same path a probe, by another one all of it."""
        now = time.monotonic()
        pending.wait *= 2
        self._move(pending, self._steering.keep(pending.path, self.paths, now))
        self._send(pending, whole=not pending.attempts_here)

    def _let_go(self, pending: Pending, datagrams: Iterable[Datagram], now: float) -> None:
        way = self._ways[pending.path]
        try:
            way.outbox.send(pending.request_id, datagrams, way.path.first, now)
        except OSError as error:
            self._failed_to_send(pending.request_id, pending.path, error)

    def _move(self, pending: Pending, path: int) -> None:
        if path != pending.path:
            self._counters["moved"] += 1
            self._ways[pending.path].outbox.discard(pending.request_id)
            pending.path, pending.attempts_here, pending.refused = path, 0, 0

    def _failed_to_send(self, request_id: int, path: int, error: OSError) -> None:
        if isinstance(error, ConnectionRefusedError):
            self._refused(path)
            return
        self._counters["send_failed"] += 1
        if request_id in self._pending:
            self._pending[request_id].errors.append(error.strerror or str(error))

    def _refused(self, path: int) -> None:
        """The first hop's machine says that nobody listens: try again soon, or give up soon."""
        self._counters["refused_by_host"] += 1
        now = time.monotonic()
        self._steering.unanswered(path, now, refused=True)
        for pending in self._pending.values():
            if pending.path == path:
                pending.refused += 1
                pending.resend = min(pending.resend, now + REFUSED_PAUSE_SECONDS)

    def _turn(self) -> Iterator[RequestOutcome]:
        """Wait for replies or for the next timer."""
        timers: list[float | None] = [pending.due for pending in self._pending.values()]
        timers += [self._reassembler.due, *(way.outbox.due for way in self._ways)]
        first = min(due for due in timers if due is not None)
        ready = self._selector.select(max(0.0, first - time.monotonic()))
        came_by = time.monotonic()
        done: list[RequestOutcome] = []
        for key, _ in ready:
            done += self._receive(key.data)
            came_by = min(came_by, self._ways[key.data].port.arrived)
        yield from done
        now = time.monotonic()
        self._reassembler.expire(now)
        self._ask(came_by)
        for index, way in enumerate(self._ways):
            for request_id, error in way.outbox.pump(now):
                self._failed_to_send(request_id, index, error)
        for pending in list(self._pending.values()):
            if now >= pending.overdue:
                yield from self._overdue(pending, now)
            elif now >= pending.inquire:
                self._inquire(pending, now)

    def _overdue(self, pending: Pending, now: float) -> Iterator[RequestOutcome]:
        """No answer in time: try again or give up."""
        if not pending.refused:
            self._steering.unanswered(pending.path, now, refused=False)
            self._ways[pending.path].round_trip.timed_out(pending.wait)
        if now >= pending.give_up or pending.attempts > self._retries:
            error = given_up(pending, self.paths[pending.path], self._deadline)
            yield self._end(pending.request_id, error=error)
        else:
            self._send_again(pending)

    def _ask(self, came_by: float) -> None:
        """Ask for fragments of replies that had not come by then (R7)."""
        for ask in self._reassembler.ask(came_by, time.monotonic()):
            path = self._pending[ask.request_id].path
            paths = (path, *range(len(self._ways)))
            path = next(path for path in paths if self.paths[path].first == ask.to)
            self._send_ask(ask.request_id, path, ask.datagram)

    def _inquire(self, pending: Pending, now: float) -> None:
        """Ask for the first fragment of an answer that may have been lost whole (R8)."""
        way = self._ways[pending.path]
        if len(self._pending) > 1 and not (pending.overtaken or pending.excused):
            pending.excused = True
            pending.inquire = now + way.answer_patience(pending)
            return
        way.undisturbed.timed_out(now - pending.sent.sent)
        pending.disturbed = True
        pending.inquire = now + (now - pending.sent.sent)
        self._counters["answers_asked"] += 1
        ask = missing.pack(pending.sent.header, [0])
        self._send_ask(pending.request_id, pending.path, ask)

    def _send_ask(self, request_id: int, path: int, ask: bytes) -> None:
        way = self._ways[path]
        try:
            way.port.send(Train.of(ask), way.path.first)
        except OSError as error:
            self._failed_to_send(request_id, path, error)

    def _asked(self, header: Header, bitmap: memoryview, path: int) -> None:
        """Somebody lacks fragments of a request, or of its result (R7)."""
        pending = self._pending.get(header.request_id)
        if pending is None or header.model_hash != self._bundle.model_hash:
            self._counters["asks_late"] += 1
            return
        now = time.monotonic()
        way = self._ways[path]
        datagrams: list[Datagram] = []
        if path != pending.path or pending.request_id in way.outbox:
            pass  # what is asked for leaves just now, or by another path
        elif header.cursor == pending.sent.header.cursor:
            pending.sent.header = replace(pending.sent.header, deadline_us=pending.left_us(now))
            datagrams = pending.sent.asked(header, bitmap)
        elif self._is_lost(header, pending, way, now):
            self._counters["results_asked"] += 1
            way.round_trip.timed_out(now - pending.sent.sent)
            self._send(pending, whole=True)
            return
        if not datagrams:
            self._counters["asks_ignored"] += 1
            return
        self._counters["asks_answered"] += 1
        self._counters["fragments_resent"] += len(datagrams)
        pending.disturbed = True
        pending.resend = max(pending.resend, now + pending.wait)
        pending.inquire = max(pending.inquire, now + way.answer_patience(pending))
        self._let_go(pending, datagrams, now)

    def _is_lost(self, result: Header, pending: Pending, way: Way, now: float) -> bool:
        """Whether a result that somebody lacks can no longer be on its way (R7)."""
        if pending.attempts > self._retries:
            return False
        heard = result.total_bytes > 0  # of one that nobody knows the size of, nothing has come
        if heard and pending.attempts == 1:
            return True
        lost = pending.sent.sent + way.result_patience(pending, heard or pending.overtaken)
        if now < lost:
            pending.inquire = min(pending.inquire, lost)  # whether it has come by then
        return now >= lost

    def _receive(self, path: int) -> list[RequestOutcome]:
        done = []
        try:
            for datagram, source in self._ways[path].port.take():
                outcome = self._take(datagram, source, path)
                if outcome is not None:
                    done.append(outcome)
        except ConnectionRefusedError:
            self._refused(path)
        except OSError:
            self._counters["receive_failed"] += 1
        return done

    def _expected(self, header: Header) -> Sequence[int] | None:
        if header.request_id not in self._pending or header.total_bytes > message.MAX_REPLY_BYTES:
            return None
        return [header.total_bytes]

    def _take(self, datagram: memoryview, source: Address, path: int) -> RequestOutcome | None:
        try:
            header, payload = message.parse(datagram)
        except WireError as error:
            self._counters[message.reason_of(error)] += 1  # R5
            return None
        if header.message_type == MessageType.MISSING:
            self._asked(header, payload, path)
            return None
        if header.message_type not in (MessageType.REPLY, MessageType.ERROR):
            self._counters["not_for_the_edge"] += 1
            return None
        pending = self._pending.get(header.request_id)
        if pending is None or header.model_hash != self._bundle.model_hash:
            self._counters["late_reply"] += 1  # R4
            return None
        arrived = self._ways[path].port.arrived
        whole = self._reassembler.add(header, payload, source, arrived)
        if whole is None:
            return None
        header = whole.header
        try:
            if header.message_type == MessageType.ERROR:
                text = message.unpack_error(whole.tensors[0])
            else:
                outputs, about = message.unpack_reply(whole.tensors[0])
        except WireError as error:
            self._counters[message.reason_of(error)] += 1
            return None
        now = time.monotonic()
        self._steering.answered(path, now - pending.started)
        for other in self._pending.values():
            other.overtaken |= other.path == path and other.sent.sent < pending.sent.sent
        if pending.attempts == 1:
            self._ways[path].measured(pending, now - pending.sent.sent)  # T3
        if header.message_type == MessageType.REPLY:
            return self._end(header.request_id, header=header, outputs=outputs, about=about)
        refusal = RefusedError(
            "the cloud cannot serve the request",
            where=f"request {header.request_id:016x}",
            expected="a result",
            found=text,
            remedy="Give the edge and the cloud the same bundle",
        )
        return self._end(header.request_id, error=refusal)

    def _forget(self, request_id: int) -> Pending:
        for way in self._ways:
            way.outbox.discard(request_id)
            self._reassembler.discard(way.path.first, self._bundle.model_hash, request_id)
        return self._pending.pop(request_id)

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
        pending = self._forget(request_id)
        self._counters["failed" if error else "replied"] += 1
        return RequestOutcome(
            request=pending.request,
            request_id=request_id,
            outputs=outputs,
            error=error,
            executed_by=(about or {}).get("executed_by", ""),
            declined=header.reason.name.lower() if header is not None and header.declined else "",
            cycles=header.cycles if header is not None and header.telemetry else 0,
            slice_sha256=(about or {}).get("slice_sha256", ""),
            wire_bytes=pending.sent.bytes,
            attempts=pending.attempts,
            path=self.paths[pending.path],
            seconds=time.monotonic() - pending.started,
        )
