# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Slices with several inputs and outputs: edge, hops and cloud, to the same bits."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from midwire.host.client.edge_client import EdgeClient
from midwire.host.client.requests import Request, RequestOutcome
from midwire.host.nodes.nic_process import UdpWire, start_nic
from midwire.host.wire import message
from midwire.host.wire.udp import UdpPort
from midwire.hw.formats import fragments
from midwire.hw.formats.bundle import Bundle
from midwire.hw.formats.tensor import AnyArray
from midwire.hw.formats.wire import DeclineReason, Header, decode

from ..conftest import WIDE_SIZES, Cloud, changed, make_wide_bundle, relay, send, straight

HERE = ("127.0.0.1", 0)


@pytest.fixture
def wide(tmp_path: Path) -> Bundle:
    return make_wide_bundle(tmp_path / "wide")


@pytest.fixture
def far(wide: Bundle) -> Iterator[Cloud]:
    with Cloud(wide) as node:
        yield node


def sample(seed: int) -> list[AnyArray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(-128, 128, n).astype(np.float32) / 2 for n in WIDE_SIZES[0]]


def check(outcome: RequestOutcome, given: list[AnyArray]) -> None:
    assert outcome.error is None and outcome.outputs is not None
    doubled = np.clip(given[0] * 4, -128, 127) / 2
    np.testing.assert_array_equal(outcome.outputs["y0"], doubled)
    np.testing.assert_array_equal(outcome.outputs["y1"], np.concatenate(given))


def test_the_cloud_puts_all_inputs_together(wide: Bundle, far: Cloud) -> None:
    with EdgeClient(wide, straight(far.port.address), window=4) as client:
        for outcome in client.stream(Request(sample(i), tag=i) for i in range(20)):
            check(outcome, sample(outcome.request.tag))
            assert (outcome.executed_by, outcome.wire_bytes) == ("cloud", 3004)
    assert far.node.counters["by_cloud"] == 20


def test_tensors_may_come_in_any_order_twice_and_declined(wide: Bundle, far: Cloud) -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    held: list[bytes] = []

    def hop(datagram: bytes) -> list[bytes]:
        # Only what belongs to tensor 1 was declined: the other came by a hop that was not asked.
        of_second = decode(datagram).tensor_index == 1
        reason = DeclineReason.BUSY if of_second else DeclineReason.NONE
        held.append(changed(datagram, declined=of_second, reason=reason))
        if len(held) < 4:  # one fragment of the first tensor, three of the second
            return []
        sent = [*held, held[0]]
        held.clear()
        rng.shuffle(sent)
        return sent

    with relay(hop, far.port.address) as address, EdgeClient(wide, straight(address)) as client:
        for i in range(10):
            outcome = client.infer(Request(sample(i)))
            check(outcome, sample(i))
            assert (outcome.executed_by, outcome.declined) == ("cloud", "busy")


def test_a_hop_that_executes_sends_every_output(wide: Bundle, far: Cloud) -> None:
    tensors: dict[int, dict[int, bytes]] = defaultdict(dict)

    def hop(datagram: bytes) -> list[bytes]:
        header, payload = message.parse(memoryview(datagram))
        tensors[header.tensor_index][header.offset] = bytes(payload)
        wire = [b"".join(dict(sorted(tensors[i].items())).values()) for i in (0, 1)]
        if [len(data) for data in wire] != list(WIDE_SIZES[0]):
            return []
        doubled = np.clip(np.frombuffer(wire[0], np.int8).astype(int) * 2, -128, 127)
        outputs = [doubled.astype(np.int8).tobytes(), wire[0] + wire[1]]
        tensors.clear()
        done = replace(header, cursor=1, result=True, telemetry=True, cycles=99)
        return [b"".join(d) for d in message.datagrams(done, [[data] for data in outputs])]

    with relay(hop, far.port.address) as address, EdgeClient(wide, straight(address)) as client:
        near = client.infer(Request(sample(3)))
    with EdgeClient(wide, straight(far.port.address)) as client:
        other = client.infer(Request(sample(3)))
    check(near, sample(3))
    assert (near.executed_by, near.cycles) == ("nic", 99)
    assert near.slice_sha256 == other.slice_sha256
    assert far.node.counters["by_nic"] == 1


def test_a_nic_hands_every_tensor_on_as_declined(wide: Bundle, far: Cloud) -> None:
    hop = far.port.address
    with start_nic(wide, UdpWire(HERE, [hop]), hop, datapath="reference") as nic:
        with EdgeClient(wide, straight(nic.address), window=4) as client:
            for outcome in client.stream(Request(sample(i), tag=i) for i in range(8)):
                check(outcome, sample(outcome.request.tag))
                assert (outcome.executed_by, outcome.declined) == ("cloud", "wrong_tensor")
        assert nic.bus.read("capability") == 8 | 2 << 16 | 2 << 24  # no slots: never executes
        assert nic.bus.read("input_bytes") == nic.bus.read("output_bytes") == 0
        assert nic.bus.read("declined_wrong_tensor") == 8 * 4
        assert nic.bus.read("requests") == 0


def test_half_of_a_request_is_not_an_answer(wide: Bundle, far: Cloud) -> None:
    header = Header(model_hash=wide.model_hash, request_id=9, source_count=2)
    first = next(fragments.datagrams(header, bytes(4)))
    with EdgeClient(wide, straight(far.port.address)) as client:
        with UdpPort() as other:
            send(other, first, len(first), far.port.address)
        check(client.infer(Request(sample(1))), sample(1))
    assert far.node.counters["by_cloud"] == 1
