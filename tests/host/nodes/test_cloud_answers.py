# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Answers that the cloud sends again: its rules C2 to C4, a datagram at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from midwire.host.nodes.cloud import CloudNode
from midwire.host.wire import message, missing
from midwire.host.wire.sent import ASKED_TIMES
from midwire.host.wire.udp import UdpPort
from midwire.hw.formats import fragments
from midwire.hw.formats.bundle import Bundle
from midwire.hw.formats.wire import ElementType, Header, MessageType

from ..conftest import send

Heard = list[tuple[Header, bytes]]


class Asking:
    """One sender, and the cloud that it talks to, turn by turn."""

    def __init__(self, bundle: Bundle) -> None:
        self._port, self._cloud_port = UdpPort(), UdpPort()
        self.address = self._port.address
        self.node = CloudNode([bundle], self._cloud_port)
        self.header = Header(
            model_hash=bundle.model_hash, request_id=7, element_type=ElementType.INT8
        )

    def tell(self, *datagrams: bytes) -> Heard:
        """What the cloud says to these."""
        heard: Heard = []
        for datagram in datagrams:
            send(self._port, datagram, len(datagram), self._cloud_port.address)
            self.node.turn()
            while True:
                got = [message.parse(memoryview(bytes(d))) for d, _ in self._port.receive(0.0)]
                heard += [(header, bytes(payload)) for header, payload in got]
                if not got:
                    break
        return heard

    def request(self, **changes: int) -> bytes:
        [datagram] = fragments.datagrams(replace(self.header, **changes), bytes(4))  # type: ignore[arg-type]
        return datagram

    def close(self) -> None:
        self.node.close()
        self._port.close()
        self._cloud_port.close()


@pytest.fixture
def asking(bundle: Bundle) -> Iterator[Asking]:
    made = Asking(bundle)
    yield made
    made.close()


def test_c3_a_copy_that_the_network_made_is_dropped(asking: Asking) -> None:
    [(header, _)] = asking.tell(asking.request())
    assert header.message_type == MessageType.REPLY
    assert asking.tell(asking.request(), asking.request(cursor=1, result=True)) == []
    assert asking.node.counters["duplicate"] == 2
    assert asking.node.counters["by_cloud"] == 1


def test_c3_a_repeat_brings_the_same_answer_at_any_cursor(asking: Asking) -> None:
    first = asking.tell(asking.request())
    for changes in ({"resend": True}, {"resend": True, "cursor": 1, "result": True}):
        again: Heard = []
        while not again:  # what comes within ASK_SECONDS belongs to the same repeat
            again = asking.tell(asking.request(**changes))
        assert again == first
    assert asking.node.counters["answered_again"] == 2
    assert asking.node.counters["by_cloud"] == 1
    assert [model["replies"] for model in asking.node.models] == [1]


def test_c2_fragments_of_an_answer_are_sent_again_within_bounds(asking: Asking) -> None:
    [(header, payload)] = asking.tell(asking.request())
    ask = missing.pack(header, [0])
    most = ASKED_TIMES + missing.GROUP
    heard = asking.tell(*[ask] * (most + 9))
    assert heard == [(header, payload)] * most
    assert asking.node.counters["asks_answered"] == asking.node.counters["fragments_resent"] == most
    assert asking.node.counters["asks_ignored"] == 9


def test_c4_who_asks_about_nothing_is_asked_for_the_result(asking: Asking) -> None:
    ask = missing.pack(asking.header, [0])
    [(header, bitmap)] = asking.tell(ask)
    assert (header.message_type, header.cursor, header.request_id) == (MessageType.MISSING, 1, 7)
    assert missing.wanted(header, bitmap) == [0]
    assert asking.node.counters["results_asked"] == 1


def test_c4_but_not_where_something_has_come_or_nothing_is_known(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = replace(asking.header, request_id=8, fragment_count=2, total_bytes=4)
    monkeypatch.setattr(asking.node._reassembler, "_ask", 0.0)
    asking.node._reassembler.add(half, memoryview(bytes(3)), asking.address, time.monotonic())
    others = (
        half,
        replace(asking.header, model_hash=bytes(8)),
        replace(asking.header, cursor=1),
    )
    assert asking.tell(*(missing.pack(header, [0]) for header in others)) == []
    assert asking.node.counters["asks_late"] == 3


def test_c4_who_waits_for_an_answer_has_what_lacks_of_the_request_asked_for(asking: Asking) -> None:
    half = replace(asking.header, request_id=8, cursor=1, fragment_count=2, total_bytes=4)
    asking.node._reassembler.add(half, memoryview(bytes(3)), asking.address, time.monotonic())
    waiting = missing.pack(replace(half, cursor=0, fragment_count=1, total_bytes=0), [0])
    for _ in range(2):
        (header, bitmap), *_ = asking.tell(waiting)
        assert (header.message_type, header.cursor, header.request_id) == (
            MessageType.MISSING,
            1,
            8,
        )
        assert missing.wanted(header, bitmap) == [1]
