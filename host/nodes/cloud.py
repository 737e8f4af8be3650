# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The cloud process: the last layers, and every slice that was not executed on the way.

A message comes from the last hop with the slice cursor in its header. Cursor 0 means that no hop
executed the slice (declined, or no NIC on the path): ``slice.onnx`` runs here, to the same bits,
then ``cloud.onnx``. The reply goes back to where the message came from: a hop on the path hands it
on to the edge, so the cloud needs no list of edges.

A bad datagram is counted and forgotten. A good request that cannot be served gets a typed error.
Nothing here stops the process but its own end.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from ...hw.console import Console, JsonFlag, counters_text
from ...hw.formats.bundle import Bundle
from ...hw.formats.wire import Header, MessageType, WireError
from ..wire import message
from ..wire.reassembly import Message, Reassembler
from ..wire.udp import Address, UdpPort, format_address, parse_address
from .model_parts import fingerprint, from_bytes, load_part, to_bytes

TURN_SECONDS = 0.25
"""How often the loop looks at its timeouts when nothing comes."""


class CloudNode:
    """The cloud's work, one datagram at a time.

    Parameters
    ----------
    bundle : the model
    port : where requests come in; replies leave by it
    slots : requests under way at most
    timeout : seconds that a request's fragments may take
    threads : of ONNX Runtime
    """

    def __init__(
        self,
        bundle: Bundle,
        port: UdpPort,
        *,
        slots: int = 64,
        timeout: float = 5.0,
        threads: int = 1,
    ) -> None:
        self._bundle = bundle
        self._port = port
        self._slice = load_part(bundle, "slice", threads)
        self._cloud = load_part(bundle, "cloud", threads)
        specs = bundle.manifest.inputs, bundle.manifest.outputs
        self._sizes = [[spec.wire_bytes for spec in side] for side in specs]
        self._reassembler = Reassembler(self._expected, slots=slots, timeout=timeout)
        self._counters: Counter[str] = Counter()

    @property
    def counters(self) -> dict[str, int]:
        """What has happened so far."""
        return dict(self._counters + self._reassembler.counters)

    def turn(self, timeout: float = TURN_SECONDS) -> None:
        """Wait for datagrams up to ``timeout`` seconds and work on them."""
        try:
            for datagram, source in self._port.receive(timeout):
                self.take(datagram, source)
        except OSError:
            self._counters["receive_failed"] += 1
        self._reassembler.expire(time.monotonic())

    def take(self, datagram: memoryview, source: Address) -> None:
        """Work on one datagram; whatever is wrong with it ends in a counter."""
        self._counters["datagrams"] += 1
        try:
            header, payload = message.parse(datagram)
        except WireError as error:
            self._counters[message.reason_of(error)] += 1
            return
        if header.message_type != MessageType.TENSOR:
            self._counters["not_for_the_cloud"] += 1
            return
        if header.model_hash != self._bundle.model_hash:
            self._counters["unknown_model"] += 1
            if header.fragment_index == 0 and header.tensor_index == 0:
                self._refuse(
                    header,
                    source,
                    f"the cloud serves model {self._bundle.model_hash.hex()}, not "
                    f"{header.model_hash.hex()}",
                )
            return
        whole = self._reassembler.add(header, payload, source, time.monotonic())
        if whole is not None:
            self._serve(whole)

    def _expected(self, header: Header) -> Sequence[int] | None:
        if header.slice_count != 1 or header.cursor > 1:
            return None
        return self._sizes[header.cursor]

    def _serve(self, request: Message) -> None:
        started = time.monotonic()
        manifest = self._bundle.manifest
        by_nic = request.header.cursor == 1
        try:
            if by_nic:
                wire = from_bytes(manifest.outputs, request.tensors)
            else:
                wire = self._slice.run(from_bytes(manifest.inputs, request.tensors))
            outputs = self._cloud.run(wire)
            payload = message.pack_reply(
                dict(zip(self._cloud.outputs, outputs, strict=True)),
                executed_by="nic" if by_nic else "cloud",
                slice_sha256=fingerprint(to_bytes(manifest.outputs, wire)),
            )
        except Exception as error:
            # ONNX Runtime may raise anything, and one request must not end the node.
            self._counters["failed"] += 1
            self._refuse(request.header, request.source, f"{type(error).__name__}: {error}")
            return
        self._counters["by_nic" if by_nic else "by_cloud"] += 1
        self._counters["microseconds"] += int((time.monotonic() - started) * 1e6)
        self._reply(request.header, MessageType.REPLY, payload, request.source)

    def _refuse(self, header: Header, to: Address, why: str) -> None:
        self._counters["refused"] += 1
        self._reply(header, MessageType.ERROR, message.pack_error(why), to)

    def _reply(self, request: Header, kind: MessageType, payload: bytes, to: Address) -> None:
        try:
            for train, size in message.trains(message.answer_header(request, kind), [payload]):
                self._port.send_train(train, size, to)
        except OSError:
            self._counters["reply_failed"] += 1  # the edge asks again


def serve(node: CloudNode, running: Callable[[], bool] = lambda: True) -> None:
    """Turn until told to stop."""
    while running():
        node.turn()


def cloud(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder.", metavar="BUNDLE")],
    listen: Annotated[
        str, typer.Option(help="Address to listen at; port 0 takes any free one.")
    ] = "127.0.0.1:0",
    slots: Annotated[int, typer.Option(min=1, max=65536, help="Requests under way at most.")] = 64,
    timeout: Annotated[
        float, typer.Option(min=0.01, help="Seconds that a request's fragments may take.")
    ] = 5.0,
    threads: Annotated[int, typer.Option(min=1, help="Threads of ONNX Runtime.")] = 1,
    as_json: JsonFlag = False,
) -> None:
    """Run the cloud node: the last layers, and slices that nobody executed on the way.

    Listens on loopback unless told otherwise: datagrams are neither encrypted nor authenticated.
    """
    console = Console(as_json)
    with UdpPort(parse_address(listen, "--listen")) as port:
        node = CloudNode(Bundle.load(bundle), port, slots=slots, timeout=timeout, threads=threads)
        at = format_address(port.address)
        console.event(
            {"event": "ready", "node": "cloud", "listen": at, "pid": os.getpid()},
            f"cloud: listening at {at}; Ctrl-C stops it",
        )
        try:
            serve(node)
        finally:
            text = counters_text(node.counters)
            console.event({"event": "stopped", "counters": node.counters}, f"cloud: {text}")
