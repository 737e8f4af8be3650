# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A running NIC sends fragments of results again to who lacks them: K1 to K4 and K6 (kept.h)."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from midwire.host.client.edge_client import EdgeClient
from midwire.host.client.requests import Request
from midwire.host.nodes.nic_instances import start_instances
from midwire.host.nodes.nic_process import UdpWire, start_nic
from midwire.host.wire import missing
from midwire.host.wire.udp import Address, UdpPort
from midwire.hw.formats import csr, fragments
from midwire.hw.formats.bundle import Bundle
from midwire.hw.formats.tensor import AnyArray
from midwire.hw.formats.wire import Header, MessageType, decode

from ..conftest import Cloud, relay, send, straight
from .loop import DATAPATHS, HERE, SMALL_MTU, Forger, Live, take
from .namespaces import FAR, FAR_MAC, SIDES, Namespaces, midwire

PIECES = 4


@pytest.fixture(params=DATAPATHS)
def kept(request: pytest.FixtureRequest, digits: Bundle, hop: UdpPort) -> Iterator[Live]:
    """A NIC that keeps results, of four fragments each."""
    wire = UdpWire(HERE, [hop.address])
    with (
        start_nic(digits, wire, hop.address, datapath=request.param) as nic,
        UdpPort() as client,
    ):
        nic.bus.write("fragment_bytes", 64)
        nic.bus.write("timeout_us", 60_000_000)  # however slow the machine is for a moment
        nic.bus.write("ask_us", 0)  # nor does it ask the client meanwhile
        yield Live(nic, hop, client)


def execute(kept: Live, header: Header, tensor: bytes) -> tuple[list[bytes], Address]:
    """A result's fragments, and where the next hop got them from."""
    kept.send(*fragments.datagrams(header, tensor, SMALL_MTU))
    found = take(kept.hop, PIECES)
    assert [decode(data).fragment_index for data, _ in found] == list(range(PIECES))
    return [data for data, _ in found], found[0][1]


def ask(kept: Live, flow: Address, result: bytes, *indices: int, **fields: Any) -> None:
    question = missing.pack(replace(decode(result), **fields), indices)
    send(kept.hop, question, len(question), flow)


def counted(kept: Live) -> dict[str, int]:
    found: dict[str, int] = kept.nic.bus.counters()
    assert sum(found[outcome.name.lower()] for outcome in csr.FrameOutcome) == found["frames_in"]
    return found


def timeless(datagram: bytes) -> bytes:
    """Without what tells when it left."""
    head = replace(decode(datagram), deadline_us=0)
    return repr(head).encode() + datagram[64:]


def test_who_got_a_result_may_ask_for_its_fragments(
    kept: Live, header: Header, tensor: bytes
) -> None:  # K1, K2
    result, flow = execute(kept, header, tensor)
    ask(kept, flow, result[0], 1, 3)
    again = kept.comes(2)
    assert [timeless(data) for data in again] == [timeless(result[1]), timeless(result[3])]
    assert decode(again[0]).deadline_us < decode(result[1]).deadline_us
    found = counted(kept)
    assert (found["answered"], found["result_frames"]) == (1, PIECES + 2)
    assert (found["requests"], found["results"], found["passed"]) == (1, 1, 0)
    assert take(kept.client, 1, 0.2) == []  # the question did not go on


def test_a_result_of_which_nothing_came_is_asked_for_by_its_first_fragment(
    kept: Live, header: Header, tensor: bytes
) -> None:  # K3
    result, flow = execute(kept, header, tensor)
    ask(kept, flow, result[0], 0, fragment_count=1, total_bytes=0)
    [first] = kept.comes(1)
    assert decode(first).resend and not decode(result[0]).resend
    assert first[64:] == result[0][64:]


@pytest.mark.parametrize(
    "fields",
    [
        {"cursor": 0},
        {"cursor": 2},
        {"request_id": 8},
        {"model_hash": bytes(8)},
        {"tenant": 1},
        {"epoch": 1},
        {"slice_count": 2},
        {"tensor_index": 1},
        {"fragment_count": 5},
    ],
)
def test_what_is_no_question_for_a_kept_result_passes(
    kept: Live, header: Header, tensor: bytes, fields: dict[str, Any]
) -> None:  # K1
    result, flow = execute(kept, header, tensor)
    ask(kept, flow, result[0], 1, **fields)
    [(question, source)] = take(kept.client, 1)
    assert source == kept.nic.address
    assert decode(question) == replace(
        decode(result[0]),
        **{
            "message_type": MessageType.MISSING,
            "last": True,
            "offset": 0,
            "hop_limit": 8,
            **fields,
        },
    )
    assert kept.nothing_comes()
    found = counted(kept)
    assert (found["answered"], found["passed"]) == (0, 1)


def test_nobody_else_may_ask(kept: Live, header: Header, tensor: bytes, forger: Forger) -> None:
    """Neither a stranger, nor the client itself, nor a forger who is another sender."""  # K1
    result, flow = execute(kept, header, tensor)
    with UdpPort() as stranger, UdpPort(("127.0.0.9", 0)) as other:
        question = missing.pack(decode(result[0]), [1])
        send(stranger, question, len(question), flow)
        send(kept.client, question, len(question), kept.nic.address)
        kept.send(
            *fragments.datagrams(replace(header, request_id=9), tensor, SMALL_MTU), client=other
        )
        comes = take(kept.hop, 1 + PIECES)  # the client's question goes on, as it always has
        assert comes[0][0] == question
        others = comes[-1][1]
        forger.send(question, kept.hop.address, others)  # by the flow of another sender
        assert [data for data, _ in take(other, 1)] == [question]
    assert kept.nothing_comes()
    found = counted(kept)
    assert (found["answered"], found["passed_other_type"]) == (0, 1)
    assert kept.nic.statistics()["rx_stranger"] == 1
    ask(kept, flow, result[0], 1)
    assert [data[64:] for data in kept.comes(1)] == [result[1][64:]]


def test_a_flood_of_questions_is_bounded_and_breaks_nothing(
    kept: Live, header: Header, tensor: bytes
) -> None:  # K2
    result, flow = execute(kept, header, tensor)
    for _ in range(100):
        ask(kept, flow, result[0], *range(PIECES))
    again = take(kept.hop, 400, 0.5)
    assert 0 < len(again) <= 2 * PIECES + missing.GROUP
    result, _ = execute(kept, replace(header, request_id=8), tensor)
    assert [data[64:] for data in result] == [
        data[64:] for data in (first for first, _ in again[:PIECES])
    ]


def test_what_is_no_longer_kept_is_asked_of_the_client(
    kept: Live, header: Header, tensor: bytes
) -> None:  # K4
    kept.nic.bus.write("timeout_us", 200_000)
    result, flow = execute(kept, header, tensor)
    time.sleep(0.3)
    ask(kept, flow, result[0], 1)
    assert len(take(kept.client, 1)) == 1
    assert counted(kept)["answered"] == 0


def test_a_disabled_nic_answers_nothing(kept: Live, header: Header, tensor: bytes) -> None:
    result, flow = execute(kept, header, tensor)
    kept.nic.bus.write("control", 0)
    ask(kept, flow, result[0], 1)
    assert len(take(kept.client, 1)) == 1


def test_what_is_only_sent_on_is_not_kept(kept: Live, header: Header, tensor: bytes) -> None:  # K6
    """Neither a result of an earlier hop nor one that somebody made up as ours."""
    changes: list[dict[str, Any]] = [{"tenant": 9}, {"cursor": 1}]
    for change in changes:
        foreign = replace(header, result=True, **change)
        kept.send(*fragments.datagrams(foreign, tensor[:256], SMALL_MTU))
        found = take(kept.hop, 2)
        assert [decode(data).result for data, _ in found] == [True, True]
        ask(kept, found[0][1], found[0][0], 0)
        assert len(take(kept.client, 1)) == 1 and kept.nothing_comes()
    counters = counted(kept)
    assert (counters["answered"], counters["forwarded"], counters["result_frames"]) == (0, 4, 0)
    result, flow = execute(kept, replace(header, request_id=8), tensor)
    ask(kept, flow, result[0], 2)
    assert [data[64:] for data in kept.comes(1)] == [result[2][64:]]


@pytest.mark.parametrize("datapath", DATAPATHS)
@pytest.mark.parametrize("lost", [[0], [1, 2], [3], [0, 1, 2, 3]])
def test_a_result_that_is_lost_behind_a_nic_is_not_computed_again(
    digits: Bundle, samples: AnyArray, lost: list[int], datapath: str
) -> None:
    """From edge to cloud: fragments of each fourth result, or all of it, do not come at first."""
    seen: set[tuple[int, int]] = set()

    def onward(datagram: bytes) -> list[bytes]:
        head = decode(datagram)
        key = head.request_id, head.fragment_index
        if head.message_type != MessageType.TENSOR or key in seen or head.request_id % 4:
            return [datagram]
        seen.add(key)
        return [] if head.fragment_index in lost else [datagram]

    with (
        Cloud(digits) as cloud,
        relay(onward, cloud.port.address) as hop,
        start_nic(digits, UdpWire(HERE, [hop]), hop, datapath=datapath) as nic,
        EdgeClient(digits, straight(nic.address), mtu=SMALL_MTU) as client,
    ):
        nic.bus.write("fragment_bytes", 64)
        for outcome in client.stream(Request([x]) for x in samples[:40]):
            assert (outcome.error, outcome.executed_by) == (None, "nic")
        found = nic.bus.counters()
        resent = client.counters.get("resent", 0)  # on a slow machine: executed anew, or in vain
        assert 40 <= found["requests"] <= 40 + resent
        assert found["answered"] >= 10 - resent


def test_each_instance_answers_for_its_clients(
    digits: Bundle, hop: UdpPort, header: Header, tensor: bytes
) -> None:
    """A question comes by the socket that the result left by: that of the one that has executed."""
    wire = UdpWire(HERE, [hop.address])
    with (
        start_instances(digits, wire, hop.address, 3, datapath="reference") as nic,
        contextlib.ExitStack() as stack,
    ):
        nic.bus.write_all({"fragment_bytes": 64, "timeout_us": 60_000_000, "ask_us": 0})
        for _ in range(12):
            client = stack.enter_context(UdpPort())
            for data in fragments.datagrams(header, tensor, SMALL_MTU):
                send(client, data, len(data), nic.address)
            result = take(hop, PIECES)
            question = missing.pack(decode(result[0][0]), [2])
            send(hop, question, len(question), result[0][1])
            [(again, flow)] = take(hop, 1)
            assert (again[64:], flow) == (result[2][0][64:], result[2][1])
        counted = nic.statistics()
    assert counted["pipeline"]["answered"] == counted["frames_answered"] == 12
    for each in counted["instances"]:
        assert each["pipeline"]["answered"] == each["results_kept"] == each["flows"]


ALL_AT_ONCE = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
    for data in sys.argv[2:]:
        port.sendto(bytes.fromhex(data), (sys.argv[1], 5220))
"""
ASKS_AGAIN = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
    port.bind((sys.argv[1], 5220))
    port.settimeout(60)
    print("ready", flush=True)
    first, client = port.recvfrom(2000)
    port.sendto(bytes.fromhex(sys.argv[2]), client)
    again, sender = port.recvfrom(2000)
    print(first[64:] == again[64:], client == sender)
"""


@pytest.mark.parametrize("datapath", DATAPATHS)
def test_what_got_lost_behind_it_is_sent_again(
    network: Namespaces, digits: Bundle, datapath: str
) -> None:  # K1
    """The next hop asks the client, whose result it is, and the NIC on the way answers."""
    model, total = digits.model_hash, digits.manifest.inputs[0].wire_bytes
    header = Header(model_hash=model, request_id=7, deadline_us=10**6)
    pieces = [data.hex() for data in fragments.datagrams(header, bytes(total), 236)]
    question = missing.pack(replace(header, cursor=1, fragment_count=1, total_bytes=0), [0])
    hop = ["--listen", f"{FAR}:5220", "--next", f"{FAR}:5220", "--next-mac", FAR_MAC]
    options = ["--wire", *SIDES, *hop, "--datapath", datapath]
    words = network.inside("far", sys.executable, "-c", ASKS_AGAIN, FAR, question.hex())
    with (
        midwire(network, "middle", "nic", str(digits.root), *options) as nic,
        subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as far,
    ):
        nic.ready(120)
        try:
            assert far.stdout is not None and far.stdout.readline() == "ready\n"
            network.python("near", ALL_AT_ONCE, FAR, *pieces)
            assert far.stdout.readline() == "True True\n"
        finally:
            far.kill()
        last = [event for event in nic.stop() if event.get("event") == "stopped"][-1]
    found = last["pipeline"]
    assert (found["requests"], found["answered"], found["result_frames"]) == (1, 1, 2)
