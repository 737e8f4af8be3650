# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What becomes of frames, tags and registers in each shell (rules A1 to A4 and O1 to O4)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from midwire.hw.formats import csr, wire
from midwire.hw.shells.merge import MOST_BEFORE

from ..nic.conftest import Request, Tools
from .conftest import HOST, NET, WINDOW, Bench, Out

PAUSES = [(0, 0), (30, 60), (70, 20)]
LENGTHS = (60, 61, 63, 64, 65, 127, 128, 129, 200, 511, 512, 513, 1514, 9014)


def others(tools: Tools, length: int) -> bytes:
    """A frame to somebody else."""
    inner = Ether(src="02:00:00:00:00:aa", dst="02:00:00:00:00:bb", type=0x88B5)
    return bytes(inner / Raw(tools.random.randbytes(length - 14)))


def check_users(bench: Bench, found: list[Out], port: int, made: bool = False) -> None:
    """What stands beside frames that came from the network: to the host, or made here (A2, O2,
    O3)."""
    for out in found:
        size, source, target = out.user & 0xFFFF, out.user >> 16 & 0xFFFF, out.user >> 32
        if bench.sized:
            way = 1 << 6 + port if made else 1 << port
            assert (size, source, target) == (len(out.data), 1 << 6 + port, way)
        else:
            assert out.user == 0


def check_from_host(bench: Bench, found: list[Out], port: int, tags: list[int]) -> None:
    """What stands beside frames of the host, on their way to the network."""
    if bench.sized:
        sizes = [(len(out.data), 1 << port, 1 << 6 + port) for out in found]
        assert sizes == [(o.user & 0xFFFF, o.user >> 16 & 0xFFFF, o.user >> 32) for o in found]
    else:
        assert [out.user for out in found] == [tag << 1 for tag in tags]


@pytest.mark.parametrize("pauses", PAUSES)
def test_what_is_not_ours_passes_both_ways(
    bench: Bench, tools: Tools, pauses: tuple[int, int]
) -> None:
    bench.send(f"pause {pauses[0]} {pauses[1]} {tools.random.getrandbits(31)}")
    inward = [[others(tools, n) for n in LENGTHS] for _ in range(2)]
    outward = [[others(tools, n) for n in reversed(LENGTHS)] for _ in range(2)]
    tags = [0x8000 | k for k in range(len(LENGTHS))]
    for port in range(2):
        for frame in inward[port]:
            bench.from_network(port, frame)
        for tag, frame in zip(tags, outward[port], strict=True):
            bench.from_host(port, frame, tag)
    found = bench.drain()
    for port in range(2):
        assert [out.data for out in found[HOST[port]]] == inward[port]
        assert [out.data for out in found[NET[port]]] == outward[port]
        check_users(bench, found[HOST[port]], port)
        check_from_host(bench, found[NET[port]], port, tags)
        if not bench.sized:
            assert bench.completed[port] == tags
        if port < bench.pipelines:
            assert bench.counter("passed", port) == len(LENGTHS)


def test_others_go_at_the_full_width(bench: Bench, tools: Tools) -> None:
    """Through a pipeline as by a wire: a beat each cycle."""
    frames = [others(tools, 512) for _ in range(60)]
    for frame in frames:
        bench.from_network(0, frame)
    out = bench.drain()[HOST[0]]
    assert [frame.data for frame in out] == frames
    cycles = 512 // bench.shell.port.beat_bytes
    assert {b.last - a.last for a, b in pairwise(out)} == {cycles}


@pytest.mark.parametrize("pauses", PAUSES)
def test_requests_become_results_on_the_same_port(
    bench: Bench, tools: Tools, pauses: tuple[int, int]
) -> None:
    """Among others' frames, on both ports at once; the driver hears of its own frames only (A2)."""
    bench.send(f"pause {pauses[0]} {pauses[1]} {tools.random.getrandbits(31)}")
    requests = [[tools.request(bench.sizes) for _ in range(3)] for _ in range(bench.pipelines)]
    passing = [[others(tools, 60 + 50 * k) for k in range(6)] for _ in range(bench.pipelines)]
    sent = [[others(tools, 64 + 70 * k) for k in range(12)] for _ in range(bench.pipelines)]
    tags = [0x8000 | 7 * k for k in range(12)]
    for port in range(bench.pipelines):
        for k, request in enumerate(requests[port]):
            bench.from_network(port, passing[port][2 * k])
            for frame in request.frames():
                bench.from_network(port, frame)
            bench.from_network(port, passing[port][2 * k + 1])
        for tag, frame in zip(tags, sent[port], strict=True):
            bench.from_host(port, frame, tag)
    found = bench.drain()
    for port in range(bench.pipelines):
        assert [out.data for out in found[HOST[port]]] == passing[port]
        check_users(bench, found[HOST[port]], port)
        ours = [out for out in found[NET[port]] if out.data not in sent[port]]
        rest = [out for out in found[NET[port]] if out.data in sent[port]]
        assert [out.data for out in rest] == sent[port]
        check_from_host(bench, rest, port, tags)
        check_users(bench, ours, port, made=True)
        check_results(tools, requests[port], [out.data for out in ours])
        if not bench.sized:
            assert bench.completed[port] == tags
        assert bench.counter("results", port) == 3


def check_results(tools: Tools, requests: list[Request], frames: list[bytes]) -> None:
    """Exactly the results of these, in order."""
    each = len(frames) // len(requests)
    for k, request in enumerate(requests):
        tools.check_result(request, frames[each * k : each * (k + 1)])


def test_what_cannot_be_executed_goes_on_by_the_network(bench: Bench, tools: Tools) -> None:
    request, port = tools.request(bench.sizes, tenant=1), bench.pipelines - 1
    for frame in request.frames():
        bench.from_network(port, frame)
    found = bench.drain()
    for sent, got in zip(request.frames(), found[NET[port]], strict=True):
        tools.check_declined(sent, got.data, wire.DeclineReason.WRONG_TENANT)
    check_users(bench, found[NET[port]], port, made=True)
    assert sum(map(len, found)) == len(request.frames())
    assert bench.completed == ([], [])


def test_what_is_only_sent_to_our_address_goes_to_the_host(bench: Bench, tools: Tools) -> None:
    """And everything does, while the pipeline is not enabled."""
    stranger = tools.frame(b"no tensor at all, but long enough for a header" * 3)
    bench.from_network(0, stranger)
    found = bench.drain()
    assert [out.data for out in found[HOST[0]]] == [stranger]
    bench.configure(0, control=0)
    request = tools.request(bench.sizes)
    for frame in request.frames():
        bench.from_network(0, frame)
    found = bench.drain()
    assert [out.data for out in found[HOST[0]]] == request.frames()
    check_users(bench, found[HOST[0]], 0)
    assert not found[NET[0]]


def test_a_question_leaves_by_the_port_its_request_came_from(bench: Bench, tools: Tools) -> None:
    bench.configure(0, timeout_us=60, ask_us=4, clock_mhz=100)
    request = tools.request(bench.sizes)
    first, _ = request.frames()
    bench.from_network(0, first)
    found = bench.drain()
    *questions, given_up = found[NET[0]]
    assert questions
    for out in questions:
        packet = Ether(out.data)
        header = wire.decode(bytes(packet[UDP].payload))
        assert header.message_type is wire.MessageType.MISSING
        assert (packet[IP].dst, packet[UDP].dport) == request.client
    tools.check_declined(first, given_up.data, wire.DeclineReason.INCOMPLETE)


def test_bad_frames_stay_bad_and_are_never_executed(bench: Bench, tools: Tools) -> None:
    """Corundum marks what its FIFO cut off (A3); OpenNIC brings no such frames."""
    if bench.sized:
        return
    bad, good = others(tools, 300), others(tools, 400)
    request = tools.request(bench.sizes)
    first, second = request.frames()
    for frame, is_bad in ((bad, True), (good, False), (first, True), (second, False)):
        bench.from_network(0, frame, is_bad)
    bench.from_network(0, first)
    found = bench.drain()
    assert [(out.data, out.user & 1) for out in found[HOST[0]]] == [(bad, 1), (good, 0)]
    tools.check_result(request, [out.data for out in found[NET[0]]])
    assert bench.counter("dropped_bad_frame") == 1
    bench.queue(2, bad, 0x8001 << 1 | 1)
    assert [out.user for out in bench.drain()[NET[0]]] == [0x8001 << 1 | 1]


def test_a_result_waits_for_few_frames_of_the_host_only(bench: Bench, tools: Tools) -> None:
    """While the host's never pause, and all of them leave in order."""
    request = tools.request(bench.sizes)
    sent = [others(tools, 60 + k % 9) for k in range(200)]
    bench.send("block 2 1")
    for frame in sent:
        bench.from_host(0, frame, 0x8000)
    bench.send("cycles 100")
    for frame in request.frames():
        bench.from_network(0, frame)
    bench.send("cycles 20000")  # the result is made
    bench.send("block 2 0")
    out = [frame.data for frame in bench.drain()[NET[0]]]
    known = set(sent)
    at = [k for k, data in enumerate(out) if data not in known]
    tools.check_result(request, [out[k] for k in at])
    assert [data for data in out if data in known] == sent
    in_skid = 2
    assert 0 < at[0] <= MOST_BEFORE + in_skid
    assert [b - a for a, b in pairwise(at)] == [MOST_BEFORE + 1]


def test_a_host_that_takes_nothing_stops_its_own_port_only(bench: Bench, tools: Tools) -> None:
    """Nothing is lost, and the other port goes on; nor does the way out stop."""
    bench.send("block 0 1")
    waiting = [others(tools, 1514) for _ in range(40)]
    other = [others(tools, 1514) for _ in range(40)]
    for port, frames in enumerate((waiting, other)):
        for frame in frames:
            bench.from_network(port, frame)
    sent = others(tools, 100)
    bench.from_host(0, sent, 0x8000)
    bench.send("cycles 20000")
    bench.send("block 0 0")
    found = bench.drain()
    assert [out.data for out in found[HOST[0]]] == waiting
    assert [out.data for out in found[NET[0]]] == [sent]
    assert [out.data for out in found[HOST[1]]] == other
    assert max(out.last for out in found[HOST[1]]) < min(out.last for out in found[HOST[0]])


def test_a_network_that_takes_nothing_loses_nothing(bench: Bench, tools: Tools) -> None:
    bench.send("block 2 1")
    requests = [tools.request(bench.sizes) for _ in range(20)]
    passing = [others(tools, 200) for _ in range(20)]
    bench.configure(0, timeout_us=1_000_000)
    for request, frame in zip(requests, passing, strict=True):
        for part in request.frames():
            bench.from_network(0, part)
        bench.from_network(0, frame)
    bench.send("cycles 30000")
    bench.send("block 2 0")
    found = bench.drain()
    assert [out.data for out in found[HOST[0]]] == passing
    check_results(tools, requests, [out.data for out in found[NET[0]]])


def test_a_window_is_a_list_of_register_blocks(bench: Bench) -> None:
    """One for each pipeline (A4, O4)."""
    at = 0
    found: list[int] = []
    while not found or at:
        header = [bench.read_at(at + csr.ADDRESS[name]) for name in ("type", "version")]
        assert header == [(0, csr.TYPE), (0, csr.BLOCK_VERSION)]
        found.append(at)
        response, at = bench.read_at(at + csr.ADDRESS["next_block"])
        assert response == 0
    assert found == [WINDOW * k for k in range(bench.pipelines)]
    for address in (bench.pipelines * WINDOW, 0xF0000, 0xFFC):
        assert bench.read_at(address)[0] == 2
        assert bench.write_at(address, 1) == 2
    for k in range(bench.pipelines):
        bench.configure(k, tenant=70 + k)
    tenants = [bench.read_at(WINDOW * k + csr.ADDRESS["tenant"])[1] for k in range(bench.pipelines)]
    assert tenants == [70 + k for k in range(bench.pipelines)]


def test_a_port_without_a_pipeline_is_a_wire(single: Bench, tools: Tools) -> None:
    """And the first one's block is the last (A1, O1)."""
    assert single.read_at(csr.ADDRESS["next_block"]) == (0, 0)
    assert single.read_at(WINDOW)[0] == 2
    request = tools.request(single.sizes)
    for frame in request.frames():
        single.from_network(0, frame)
        single.from_network(1, frame)
    for port in range(2):
        single.from_host(port, others(tools, 90), 3)
    found = single.drain()
    assert [out.data for out in found[HOST[1]]] == request.frames()
    check_users(single, found[HOST[1]], 1)
    check_from_host(single, found[NET[1]], 1, [3])
    assert len(found[NET[1]]) == 1 and not found[HOST[0]]
    if not single.sized:
        assert single.completed[1] == [3]


def test_after_a_reset_in_the_midst_of_it_all_the_next_request_is_served(
    bench: Bench, tools: Tools
) -> None:
    for port in range(bench.pipelines):
        for frame in tools.request(bench.sizes).frames():
            bench.from_network(port, frame)
        bench.from_host(port, others(tools, 1000), 0x8000)
    bench.send("cycles 150")
    bench.send("reset")
    for port in range(bench.pipelines):
        bench.configure(port)
    bench.drain()
    request = tools.request(bench.sizes)
    for frame in request.frames():
        bench.from_network(0, frame)
    tools.check_result(request, [out.data for out in bench.drain()[NET[0]]])
