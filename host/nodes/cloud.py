# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The cloud process: the last layers, and every slice that was not executed on the way.

A node serves several models, told apart by the model hash. A message comes from the last hop with
the slice cursor in its header. Cursor 0 means that no hop executed the slice (declined, or no NIC
on the path): ``slice.onnx`` runs here, to the same bits, then ``cloud.onnx``. The reply goes back
to where the message came from: a hop on the path hands it on to the edge, so the cloud needs no
list of edges.

A bad datagram is counted and forgotten. A good request that cannot be served gets a typed error.
Nothing here stops the process but its own end.

Rules of what is lost, cited by tests as C1 to C4:

C1. Whoever sent a request or a result is asked for the fragments that do not come (rules A6 and A7
    of ``wire/reassembly.py``).
C2. The latest answers are kept (rule M3 of ``wire/sent.py``), and fragments of them are sent again
    to whom they were sent, if he asks.
C3. A request has one answer, by its sender, model and id, at whichever cursor it came: the slice
    gives the same bits wherever it runs. Once it is answered, what else comes of it is not put
    together again: a fragment that is flagged as sent again, and came ``ASK_SECONDS`` after the
    answer left, brings the whole answer again; others are copies that the network made, or parts of
    one repeat, dropped and counted as duplicates.
C4. Who asks for an answer to a request of which nothing has come is asked for the result of it: it
    was lost with all its fragments, or the request was. Where something of it has come, whoever
    sent that is asked for the rest at once: he waits, so what was asked before was lost.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ...hw.console import Console, JsonFlag, counters_text, seconds
from ...hw.formats.bundle import Bundle
from ...hw.formats.wire import Header, MessageType, WireError
from ..errors import StartError
from ..model_parts import load_part
from ..wire import message, missing
from ..wire.outbox import Outbox
from ..wire.reassembly import ASK_SECONDS, Message, Reassembler
from ..wire.sent import KeptMessages, MessageKey, SentMessage
from ..wire.short_waits import ShortWaits
from ..wire.tensors import Buffer, fingerprint_of, from_buffers
from ..wire.udp import Address, Datagram, Train, UdpPort, format_address, parse_address

MAX_BUNDLES = 64
"""Of one node: each keeps two ONNX Runtime sessions."""


class ServedModel:
    """One bundle, loaded: what the cloud needs to answer its requests."""

    def __init__(self, bundle: Bundle, threads: int) -> None:
        self.bundle = bundle
        self._slice = load_part(bundle, "slice", threads)
        self._cloud = load_part(bundle, "cloud", threads)
        manifest = bundle.manifest
        self._sides = manifest.inputs, manifest.outputs
        self._sizes = [[spec.wire_bytes for spec in side] for side in self._sides]

    def sizes(self, header: Header) -> Sequence[int] | None:
        """Bytes of each tensor at the header's cursor; None if the model has no such cursor."""
        if header.slice_count != 1 or header.cursor >= len(self._sizes):
            return None
        return self._sizes[header.cursor]

    def run(self, request: Message) -> list[Buffer]:
        """The reply to a request: the slice, if nobody has executed it, and the last layers."""
        by_nic = request.header.cursor == 1
        wire = from_buffers(self._sides[request.header.cursor], request.tensors)
        if not by_nic:
            wire = self._slice.run(wire)
        results = self._cloud.run(wire)
        return message.pack_reply(
            dict(zip(self._cloud.outputs, results, strict=True)),
            executed_by="nic" if by_nic else "cloud",
            slice_sha256=fingerprint_of(self._sides[1], wire),
        )


class CloudNode:
    """The cloud's work, one datagram at a time.

    Parameters
    ----------
    bundles : the models
    port : where requests come in; replies leave by it
    slots : requests under way at most
    timeout : seconds that a request's fragments may take
    threads : of ONNX Runtime
    """

    def __init__(
        self,
        bundles: Sequence[Bundle],
        port: UdpPort,
        *,
        slots: int = 64,
        timeout: float = 5.0,
        threads: int = 1,
    ) -> None:
        if not 1 <= len(bundles) <= MAX_BUNDLES:
            raise StartError(
                "no usable set of bundles",
                where="the cloud",
                expected=f"1 to {MAX_BUNDLES} bundles",
                found=str(len(bundles)),
            )
        self._models = {bundle.model_hash: ServedModel(bundle, threads) for bundle in bundles}
        self._port = port
        self._outbox: Outbox[MessageKey] = Outbox(port, limit=slots)
        self._answers = KeptMessages()
        self._reassembler = Reassembler(self._expected, slots=slots, timeout=timeout)
        self._counters: Counter[str] = Counter()
        self._served: Counter[bytes] = Counter()
        self._stopped = False
        self._wake, self._waker = socket.socketpair()
        self._selector = ShortWaits()
        self._selector.register(port, selectors.EVENT_READ)
        self._selector.register(self._wake, selectors.EVENT_READ)

    @property
    def counters(self) -> dict[str, int]:
        """What has happened so far."""
        return dict(self._counters + self._reassembler.counters)

    @property
    def models(self) -> list[dict[str, object]]:
        """What is served, and how many requests of each model were answered."""
        return [
            {"hash": key.hex(), "name": m.bundle.manifest.name, "replies": self._served[key]}
            for key, m in self._models.items()
        ]

    def serve(self) -> None:
        """Work until :meth:`stop`; waits for datagrams and deadlines only."""
        while not self._stopped:
            self.turn()

    def stop(self) -> None:
        """End :meth:`serve`, from any thread."""
        self._stopped = True
        self._waker.send(b"!")

    def close(self) -> None:
        """Let go of what :meth:`serve` waits by; the port stays."""
        self._selector.close()
        self._wake.close()
        self._waker.close()

    def turn(self) -> None:
        """Wait for datagrams or the next deadline, and work on what there is."""
        timers = [due for due in (self._reassembler.due, self._outbox.due) if due is not None]
        wait = max(0.0, min(timers) - time.monotonic()) if timers else None
        ready = self._selector.select(wait)
        came_by = time.monotonic()
        if any(key.fileobj is self._port for key, _ in ready):
            try:
                for datagram, source in self._port.take():
                    self.take(datagram, source)
            except OSError:
                self._counters["receive_failed"] += 1
            came_by = self._port.arrived
        now = time.monotonic()
        self._reassembler.expire(now)
        self._ask(came_by)
        self._counters["reply_failed"] += len(self._outbox.pump(now))

    def _ask(self, came_by: float) -> None:
        """Ask for what had not come by then (C1)."""
        for ask in self._reassembler.ask(came_by, time.monotonic()):
            with contextlib.suppress(OSError):  # the next ask may get there
                self._port.send(Train.of(ask.datagram), ask.to)

    def take(self, datagram: memoryview, source: Address) -> None:
        """Work on one datagram; whatever is wrong with it ends in a counter."""
        self._counters["datagrams"] += 1
        try:
            header, payload = message.parse(datagram)
        except WireError as error:
            self._counters[message.reason_of(error)] += 1
            return
        if header.message_type == MessageType.MISSING:
            self._asked(header, payload, source)
            return
        if header.message_type != MessageType.TENSOR:
            self._counters["not_for_the_cloud"] += 1
            return
        if header.model_hash not in self._models:
            self._counters["unknown_model"] += 1
            if header.fragment_index == 0 and header.tensor_index == 0:
                self._refuse(header, source, self._not_served(header.model_hash))
            return
        arrived = self._port.arrived
        if self._was_answered(header, source, arrived):
            return
        whole = self._reassembler.add(header, payload, source, arrived)
        if whole is not None:
            self._answer(whole)

    def _was_answered(self, header: Header, source: Address, arrived: float) -> bool:
        """Whether the request has its answer; sends that again where it did not arrive (C3)."""
        key = (source, header.model_hash, header.request_id)
        answer = self._answers.get(key)
        if answer is None:
            return False
        if header.resend and key not in self._outbox and arrived - answer.sent >= ASK_SECONDS:
            answer.refill()
            self._counters["answered_again"] += 1
            self._send(key, answer, time.monotonic())
        else:
            self._counters["duplicate"] += 1
        return True

    def _asked(self, header: Header, bitmap: memoryview, source: Address) -> None:
        """Somebody lacks fragments of an answer (C2)."""
        key = (source, header.model_hash, header.request_id)
        answer = self._answers.get(key)
        if answer is None:
            self._has_no_answer(key, header)
            return
        # What leaves just now need not be sent twice.
        datagrams = [] if key in self._outbox else answer.asked(header, bitmap)
        if not datagrams:
            self._counters["asks_ignored"] += 1
            return
        self._counters["asks_answered"] += 1
        self._counters["fragments_resent"] += len(datagrams)
        self._let_go(key, datagrams, time.monotonic())

    def _has_no_answer(self, key: MessageKey, ask: Header) -> None:
        """Ask for the result, if nothing of that or of the request has come (C4)."""
        known = key[1] in self._models and ask.cursor < ask.slice_count
        if not known or self._reassembler.remind(*key, self._port.arrived):
            self._counters["asks_late"] += 1
            return
        self._counters["results_asked"] += 1
        result = replace(ask, cursor=ask.slice_count, fragment_count=1)
        with contextlib.suppress(OSError):  # he asks again
            self._port.send(Train.of(missing.pack(result, [0])), key[0])

    def _not_served(self, model_hash: bytes) -> str:
        names = ", ".join(key.hex() for key in self._models)
        many = "s" if len(self._models) > 1 else ""
        return f"the cloud serves model{many} {names}, not {model_hash.hex()}"

    def _expected(self, header: Header) -> Sequence[int] | None:
        return self._models[header.model_hash].sizes(header)

    def _answer(self, request: Message) -> None:
        started = time.monotonic()
        header = request.header
        try:
            payload = self._models[header.model_hash].run(request)
        except Exception as error:
            # ONNX Runtime may raise anything, and one request must not end the node.
            self._counters["failed"] += 1
            self._refuse(header, request.source, f"{type(error).__name__}: {error}")
            return
        self._served[header.model_hash] += 1
        self._counters["by_nic" if header.cursor == 1 else "by_cloud"] += 1
        self._counters["microseconds"] += int((time.monotonic() - started) * 1e6)
        self._reply(header, MessageType.REPLY, payload, request.source)

    def _refuse(self, header: Header, to: Address, why: str) -> None:
        self._counters["refused"] += 1
        self._reply(header, MessageType.ERROR, [message.pack_error(why)], to)

    def _reply(
        self, request: Header, kind: MessageType, payload: Sequence[Buffer], to: Address
    ) -> None:
        key = (to, request.model_hash, request.request_id)
        answer = SentMessage(message.answer_header(request, kind), [payload])
        if request.model_hash in self._models:
            self._answers.keep(key, answer)
            self._reassembler.discard(*key)  # what came of it at another cursor
        self._send(key, answer, time.monotonic())

    def _send(self, key: MessageKey, answer: SentMessage, now: float) -> None:
        answer.sent = now
        self._let_go(key, answer.whole(), now)

    def _let_go(self, key: MessageKey, datagrams: Iterable[Datagram], now: float) -> None:
        try:
            sent = self._outbox.send(key, datagrams, key[0], now)
        except OSError:
            sent = False
        self._counters["reply_failed"] += not sent  # the edge asks again


def cloud(
    bundle: Annotated[
        list[Path], typer.Argument(help="Bundle folders, one a model.", metavar="BUNDLE...")
    ],
    listen: Annotated[
        str, typer.Option(help="Address to listen at; port 0 takes any free one.")
    ] = "127.0.0.1:0",
    slots: Annotated[int, typer.Option(min=1, max=65536, help="Requests under way at most.")] = 64,
    timeout: Annotated[
        float,
        typer.Option(parser=seconds(0.01), help="Seconds that a request's fragments may take."),
    ] = 5.0,
    threads: Annotated[int, typer.Option(min=1, help="Threads of ONNX Runtime.")] = 1,
    as_json: JsonFlag = False,
) -> None:
    """Run the cloud node: the last layers, and slices that nobody executed on the way.

    Listens on loopback unless told otherwise: datagrams are neither encrypted nor authenticated.
    """
    console = Console(as_json)
    with UdpPort(parse_address(listen, "--listen")) as port, contextlib.ExitStack() as stack:
        bundles = [Bundle.load(path) for path in bundle]
        node = CloudNode(bundles, port, slots=slots, timeout=timeout, threads=threads)
        stack.callback(node.close)
        at = format_address(port.address)
        console.event(
            {
                "event": "ready",
                "node": "cloud",
                "listen": at,
                "pid": os.getpid(),
                "models": [model["hash"] for model in node.models],
            },
            f"cloud: listening at {at}; Ctrl-C stops it",
        )
        try:
            node.serve()
        finally:
            text = counters_text(node.counters)
            stopped = {"event": "stopped", "counters": node.counters, "models": node.models}
            console.event(stopped, f"cloud: {text}")
