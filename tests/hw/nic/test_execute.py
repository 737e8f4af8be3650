# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Requests that the NIC executes: rules F1 to F3, R1 to R3 and W3."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import IP
from scapy.layers.l2 import Ether

from midwire.hw.formats.actions import ANY_REGION, Action
from midwire.hw.formats.csr import STATUS_COLLECTING
from midwire.hw.formats.wire import DeclineReason

from .conftest import CURSOR, MODEL_HASH, TENANT, number
from .stacks import NEXT_IP, NEXT_MAC, NEXT_PORT


def test_one_fragment(small: Any, tools: Any) -> None:
    # R3: 3 beats of 2 words each, 1 cycle to turn round, 1 to start, 20 to wait, 10 beats.
    for _ in range(5):
        request = tools.request(small.sizes)
        assert tools.check_result(request, small.send(*request.frames())) == 36
    counts = small.check_counters()
    assert (counts["collected"], counts["requests"], counts["results"]) == (5, 5, 5)


def test_several_fragments(large: Any, tools: Any) -> None:
    for _ in range(3):
        request = tools.request(large.sizes)
        assert len(request.frames()) == 2
        tools.check_result(request, large.send(*request.frames()))
    counts = large.check_counters()
    assert (counts["collected"], counts["requests"], counts["result_frames"]) == (6, 3, 6)


@pytest.mark.parametrize("source", [0, 60])
@pytest.mark.parametrize("sink", [0, 60])
def test_pauses(large: Any, tools: Any, source: int, sink: int) -> None:
    large.pauses(source, sink, tools.random.getrandbits(31))
    for _ in range(8):
        request = tools.request(large.sizes)
        tools.check_result(request, large.send(*request.frames()))
    large.check_counters()


@pytest.mark.parametrize("mtu", [172, 300, 1000, 9000])
def test_fragments_of_any_size(large: Any, tools: Any, mtu: int) -> None:
    request = tools.request(large.sizes)
    sent = type(request)(request.header, request.tensor, request.sizes, mtu)
    tools.check_result(sent, large.send(*sent.frames()))


@pytest.mark.parametrize(
    ("wanted", "step"), [(0, 64), (64, 64), (200, 192), (1985, 1984), (2048, 2048), (65535, 8832)]
)
def test_r2_result_fragments(large: Any, tools: Any, wanted: int, step: int) -> None:
    large.write(fragment_bytes=wanted)
    request = tools.request(large.sizes)
    out = large.send(*request.frames())
    assert len(out) == -(-large.sizes.out_bytes // step)
    tools.check_result(request, out, step)


def test_header_goes_through(small: Any, tools: Any) -> None:
    request = tools.request(
        small.sizes,
        resend=True,
        congestion=True,
        declined=True,
        reason=DeclineReason.BUSY,
        region=9,
        must_encrypt=True,
        hop_limit=1,
        telemetry=True,
        cycles=77,
    )
    tools.check_result(request, small.send(*request.frames()))


def test_w5_deadline(small: Any, tools: Any) -> None:
    small.write(clock_mhz=1)
    small.cycles(300)  # after a reset, what is known of requests is wiped
    request = tools.request(small.sizes, deadline_us=10_000)
    (out,) = small.send(*request.frames())
    cycles = tools.check_result(request, [out])
    header, _ = tools.unwrap(out)
    assert cycles < request.header.deadline_us - header.deadline_us < cycles + 80
    request = tools.request(small.sizes, deadline_us=5)
    (out,) = small.send(*request.frames())
    assert tools.unwrap(out)[0].deadline_us == 0


def test_no_udp_checksum(small: Any, tools: Any) -> None:
    request = tools.request(small.sizes)
    (frame,) = request.frames()
    tools.check_result(request, small.send(frame[:40] + bytes(2) + frame[42:]))


@pytest.mark.parametrize("flags", [2, 4, 6])
def test_p2_flags_of_no_fragment(small: Any, tools: Any, flags: int) -> None:
    """Do not fragment, as in what another NIC sends, and the reserved one."""
    request = tools.request(small.sizes)
    packet = Ether(request.frames()[0])
    packet[IP].flags = flags
    del packet[IP].chksum
    tools.check_result(request, small.send(bytes(packet)))


def test_padding_is_not_payload(small: Any, tools: Any) -> None:
    for padding in range(1, 20):
        request = tools.request(small.sizes)
        (frame,) = request.frames()
        padded = frame + tools.random.randbytes(padding)
        tools.check_result(request, small.send(padded))


@pytest.mark.parametrize("padding", [1, 9, 17, 200, 9000])
def test_padding_behind_part_of_a_word(padding: int, large: Any, tools: Any) -> None:
    """No word more is stored, or sent on, than the payload has."""
    request = tools.request(large.sizes)
    first, last = request.frames()
    padded = last + tools.random.randbytes(padding)
    assert large.send(padded) == []
    tools.check_result(request, large.send(first))
    (declined,) = large.send(request.with_header(tenant=0).frames()[1] + padded[len(last) :])
    tools.check_declined(
        request.with_header(tenant=0).frames()[1], declined, DeclineReason.WRONG_TENANT
    )


def test_any_address(small: Any, tools: Any) -> None:
    small.write(own_ip=0)
    request = tools.request(small.sizes)
    (data,) = request.datagrams()
    tools.check_result(request, small.send(tools.frame(data, to="192.0.2.1")))


def test_back_to_back(small: Any, tools: Any) -> None:
    """More than there are slots, as fast as they come: those for which there is room are executed,
    others declined as busy."""
    requests = [tools.request(small.sizes) for _ in range(150)]
    frames = [request.frames()[0] for request in requests]
    for frame in frames:
        small.queue(frame)
    out = [frame.data for frame in small.drain()]
    assert len(out) == len(requests)
    results = 0
    by_id = {tools.unwrap(data)[0].request_id: data for data in out}
    for request, frame in zip(requests, frames, strict=True):
        data = by_id[request.header.request_id]
        if tools.is_result(data):
            tools.check_result(request, [data])
            results += 1
        else:
            tools.check_declined(frame, data, DeclineReason.BUSY)
    counts = small.check_counters()
    assert counts["results"] == counts["collected"] == counts["requests"] == results
    assert counts["declined_busy"] == len(requests) - results
    assert results >= 51


def test_status(large: Any, tools: Any) -> None:
    assert large.read("status") == 0
    first, second = tools.request(large.sizes).frames()
    large.send(first)
    assert large.read("status") == STATUS_COLLECTING
    large.send(second)
    assert large.read("status") == 0


@pytest.mark.parametrize("entries", [0, 16])
def test_latency_of_one_fragment(entries: int, small: Any, tools: Any) -> None:
    """From the last beat in to the first beat out, beside the slice's own cycles; whether the frame
    has no entry of the steering table, or the last one that is looked at."""
    for index in range(entries):
        response = small.commit(
            index,
            action=Action.EXECUTE,
            tenant=TENANT,
            model_hash=int.from_bytes(MODEL_HASH, "big"),
            cursor=CURSOR + (index != entries - 1),
            regions=ANY_REGION,
            next_mac=number(NEXT_MAC),
            next_ip=number(NEXT_IP),
            next_port=NEXT_PORT,
        )
        assert response == 0
    small.drain()
    small.entered()
    waited = []
    for _ in range(8):
        request = tools.request(small.sizes)
        (frame,) = request.frames()
        small.queue(frame)
        (out,) = small.drain()
        (entered,) = small.entered()
        last_in = entered + -(-len(frame) // 8) - 1
        waited.append(out.first - last_in - tools.check_result(request, [out.data]))
    print("cycles beside the slice's:", waited)
    # The first one may come while memories are wiped after the reset.
    assert max(waited[1:]) <= 55
