# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Slices with several inputs and outputs: edge, hops and cloud, to the same bits."""

from __future__ import annotations

import ipaddress
import itertools
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from scapy.layers.inet import IP, UDP

from midwire.compiler.pipeline import compile_model
from midwire.host.client.edge_client import EdgeClient
from midwire.host.client.requests import Request, RequestOutcome
from midwire.host.nodes.nic_process import UdpWire, start_nic
from midwire.host.wire import message
from midwire.host.wire.udp import UdpPort
from midwire.hw.formats import fragments
from midwire.hw.formats.bundle import Bundle
from midwire.hw.formats.slots import slots_of
from midwire.hw.formats.tensor import AnyArray
from midwire.hw.formats.wire import DeclineReason, Header, MessageType, decode

from ...hw.nic.stacks import CLIENT_PORT, NEXT_IP6, OWN_IP6, Stack, decision_place, ipv4, ipv6, tags
from ..conftest import WIDE_SIZES, Cloud, changed, make_wide_bundle, relay, send, straight
from .loop import DATAPATHS, HERE, SMALL_MTU
from .recordings import HOP, NIC, frame, replay, timeless


@pytest.fixture
def wide(tmp_path: Path) -> Bundle:
    return make_wide_bundle(tmp_path / "wide")


MODELS = {
    "two to two": """two (float[N, 8] a, float[N, 1500] b) => (float[N, 8] c, float[N, 1508] d)
<float s = {0.5}, int8 z = {0}>
{ p = QuantizeLinear (a, s, z)
  q = QuantizeLinear (b, s, z)
  e = DequantizeLinear (p, s, z)
  f = DequantizeLinear (q, s, z)
  g = Relu (e)
  h = Concat <axis = 1> (e, f)
  i = QuantizeLinear (g, s, z)
  j = QuantizeLinear (h, s, z)
  c = DequantizeLinear (i, s, z)
  d = DequantizeLinear (j, s, z) }""",
    "two to one": """join (float[N, 4, 15, 25] a, float[N, 4, 15, 25] b) => (float[N, 4, 15, 25] c)
<float s = {0.5}, int8 z = {0}>
{ p = QuantizeLinear (a, s, z)
  q = QuantizeLinear (b, s, z)
  e = DequantizeLinear (p, s, z)
  f = DequantizeLinear (q, s, z)
  g = Add (e, f)
  i = QuantizeLinear (g, s, z)
  c = DequantizeLinear (i, s, z) }""",
    "one to two": """fork (float[N, 4, 15, 25] a) => (float[N, 4, 15, 25] c, float[N, 4, 15, 25] d)
<float s = {0.5}, int8 z = {0}>
{ p = QuantizeLinear (a, s, z)
  e = DequantizeLinear (p, s, z)
  g = Relu (e)
  h = Neg (e)
  i = QuantizeLinear (g, s, z)
  j = QuantizeLinear (h, s, z)
  c = DequantizeLinear (i, s, z)
  d = DequantizeLinear (j, s, z) }""",
}
"""Slices of several tensors on either side."""


@pytest.fixture(scope="session", params=MODELS)
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A slice that both datapaths can execute."""
    folder = tmp_path_factory.mktemp("compiled")
    text = '<ir_version: 8, opset_import: ["" : 13]>\n' + MODELS[request.param]
    onnx.save(onnx.parser.parse_model(text), str(folder / "model.onnx"))
    bundle = compile_model(folder / "model.onnx", folder / "bundle").bundle
    sides = bundle.manifest.inputs, bundle.manifest.outputs
    names = {1: "one", 2: "two"}
    assert " to ".join(names[len(side)] for side in sides) == request.param
    return bundle


def sizes_of(compiled: Bundle) -> list[int]:
    return [tensor.elements for tensor in compiled.manifest.inputs]


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


def test_a_nic_joins_the_tensors_of_a_request(wide: Bundle, far: Cloud) -> None:  # D7
    hop = far.port.address
    with start_nic(wide, UdpWire(HERE, [hop]), hop, datapath="reference") as nic:
        with EdgeClient(wide, straight(nic.address), window=4) as client:
            for outcome in client.stream(Request(sample(i), tag=i) for i in range(8)):
                check(outcome, sample(outcome.request.tag))
                assert (outcome.executed_by, outcome.declined) == ("nic", "")
            last = client.infer(Request(sample(9)))
        with EdgeClient(wide, straight(hop)) as client:
            assert client.infer(Request(sample(9))).slice_sha256 == last.slice_sha256
        assert nic.bus.read("capability") == 8 | slots_of(3004) << 8 | 2 << 16 | 2 << 24
        assert nic.bus.read("input_bytes") == nic.bus.read("output_bytes") == 0
        counted = nic.bus.counters()
        assert (counted["requests"], counted["results"], counted["result_frames"]) == (9, 9, 36)


@pytest.mark.parametrize("datapath", DATAPATHS)
def test_a_compiled_slice_of_several_tensors_is_executed(compiled: Bundle, datapath: str) -> None:
    """As the cloud does it, to the same bits."""
    rng = np.random.default_rng(4)
    shapes = [tensor.shape for tensor in compiled.manifest.inputs]
    samples = [
        [(rng.integers(-128, 128, shape) / 2).astype(np.float32) for shape in shapes]
        for _ in range(12)
    ]
    with Cloud(compiled) as cloud:
        hop = cloud.port.address
        with start_nic(compiled, UdpWire(HERE, [hop]), hop, datapath=datapath) as nic:
            with EdgeClient(compiled, straight(nic.address), window=4, mtu=SMALL_MTU) as client:
                near = list(client.stream(Request(x, tag=i) for i, x in enumerate(samples)))
            counted = nic.bus.counters()
        with EdgeClient(compiled, straight(hop)) as client:
            other = {i: client.infer(Request(x)) for i, x in enumerate(samples)}
    assert counted["results"] == counted["requests"] >= 12
    for outcome in near:
        far = other[outcome.request.tag]
        assert (outcome.executed_by, far.executed_by, outcome.declined) == ("nic", "cloud", "")
        assert (outcome.cycles > 0) == (datapath == "rtl")
        assert outcome.slice_sha256 == far.slice_sha256
        assert outcome.outputs is not None and far.outputs is not None
        for name, expected in far.outputs.items():
            np.testing.assert_array_equal(outcome.outputs[name], expected)


REQUESTS = 12
SENDERS = ("10.0.16.1", "2001:db8:7::2f02", "10.0.48.3", "2001:db8:7::4f04")
"""What is decided on their requests is remembered in places of their own (D6): in one that two had,
what is late of the first would be new."""


def any_fragments(header: Header, sizes: Sequence[int], source: random.Random) -> list[bytes]:
    """Frames of several requests, mixed; their tensors by senders of IPv4 and IPv6, behind any
    headers, some of them lost, twice, damaged, or of somebody whose they are not."""
    inner = [ipv6(src=ip) if ":" in ip else ipv4(src=ip) for ip in SENDERS]
    stacks = [Stack(tags(k % 3), ip) for k, ip in enumerate(inner)]
    found = []
    for request_id in range(REQUESTS):
        for index, size in enumerate(sizes):
            mine = replace(header, request_id=request_id, tensor_index=index)
            mtu = source.choice((300, 700, 1500))
            stack = source.choice(stacks)
            for datagram in fragments.datagrams(mine, source.randbytes(size), mtu):
                chance = source.random()
                if chance < 0.03:
                    continue
                if chance < 0.06:
                    datagram = changed(datagram, tensor_index=source.randrange(4))
                if chance < 0.09:
                    datagram = changed(datagram, source_count=source.randrange(4))
                if chance < 0.12:
                    stack = source.choice(stacks)
                found += [stack.frame(datagram)] * source.choice((1, 1, 1, 1, 2))
    # Neighbours change places, so that most requests are whole before they are given up.
    for at in range(len(found) - 8):
        other = at + source.randrange(8)
        found[at], found[other] = found[other], found[at]
    return found


def test_decisions_on_these_requests_have_places_of_their_own() -> None:
    keys = itertools.product(range(REQUESTS), SENDERS)
    places = [decision_place(number, ip, CLIENT_PORT) for number, ip in keys]
    assert len(set(places)) == len(places) == REQUESTS * len(SENDERS)


@pytest.mark.parametrize("attempt", range(3))
def test_both_datapaths_join_alike(compiled: Bundle, tmp_path: Path, attempt: int) -> None:  # D7
    """To the same frames and counters, whatever the recording has."""
    seed = random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    sizes = sizes_of(compiled)
    header = Header(model_hash=compiled.model_hash, source_count=len(sizes), deadline_us=10**7)
    frames = any_fragments(header, sizes, random.Random(seed))
    own, following = (int(ipaddress.IPv6Address(ip)) for ip in (OWN_IP6, NEXT_IP6))
    # Nothing is executed or given up twice: what was decided is remembered, and nobody is asked.
    registers = {"own_ip6": own, "next_ip6": following, "ask_us": 0, "timeout_us": 10**6}
    rtl, counted_rtl = replay(compiled, "rtl", frames, tmp_path, **registers)
    reference, counted = replay(compiled, "reference", frames, tmp_path, **registers)
    assert counted == counted_rtl
    assert timeless(rtl) == timeless(reference)
    assert counted["results"] and counted["frames_in"] == len(frames)
    del attempt


def tensors_of(wide: Bundle) -> list[list[bytes]]:
    """The datagrams of each tensor of a request."""
    header = Header(model_hash=wide.model_hash, request_id=5, source_count=2, deadline_us=10**7)
    tensors = [array.astype(np.int8).tobytes() for array in sample(1)]
    return [
        list(fragments.datagrams(replace(header, tensor_index=index), data))
        for index, data in enumerate(tensors)
    ]


ONE, TWO = ("10.0.0.1", 4000), ("10.0.0.9", 4009)


def test_tensors_of_several_senders_are_joined_by_the_request(
    wide: Bundle, tmp_path: Path
) -> None:  # D7
    """The result goes out in the name of whoever sent tensor 0; nobody else adds to a tensor."""
    [small], [first, second, third] = tensors_of(wide)
    frames = [
        frame(first, TWO, NIC),
        frame(second, ONE, NIC),  # not the sender of this tensor
        frame(third, TWO, NIC),
        frame(small, ONE, NIC),
        frame(second, TWO, NIC),
    ]
    sent, counted = replay(wide, "reference", frames, tmp_path)
    assert (counted["collected"], counted["declined_wrong_tensor"]) == (4, 1)
    assert (counted["requests"], counted["results"], counted["result_frames"]) == (1, 1, 4)
    declined, *results = sent
    assert decode(declined[42:]).reason == DeclineReason.WRONG_TENSOR
    assert {IP(data[14:]).src for data in results} == {ONE[0]}
    headers = [decode(data[42:]) for data in results]
    assert [h.tensor_index for h in headers] == [0, 1, 1, 1]
    assert [h.total_bytes for h in headers] == [4, 3004, 3004, 3004]
    assert {(h.source_count, h.result, h.cursor) for h in headers} == {(2, True, 1)}
    joined = b"".join(data[42 + 64 :] for data in results)
    given = [array.astype(np.int8) for array in sample(1)]
    doubled = np.clip(given[0].astype(int) * 2, -128, 127).astype(np.int8)
    assert joined == doubled.tobytes() + given[0].tobytes() + given[1].tobytes()


def test_whoever_sends_the_tensor_that_lacks_is_asked(wide: Bundle, tmp_path: Path) -> None:  # D4
    [small], [first, _, third] = tensors_of(wide)
    frames = [frame(small, ONE, NIC), frame(third, TWO, NIC), frame(first, TWO, NIC)]
    sent, counted = replay(wide, "reference", frames, tmp_path, ask_us=4000, timeout_us=400_000)
    assert (counted["asked"], counted["evicted"], counted["evicted_fragments"]) == (9, 1, 3)
    asking, declined = sent[:9], sent[9:]
    for data in asking:
        assert (IP(data[14:]).dst, UDP(data[34:]).dport) == TWO
        header = decode(data[42:])
        assert (header.message_type, header.tensor_index) == (MessageType.MISSING, 1)
        assert data[42 + 64 :] == bytes([0b0100_0000, *bytes(7)])
    for data, given, source in zip(declined, (small, first, third), (ONE, TWO, TWO), strict=True):
        header, before = decode(data[42:]), decode(given)
        assert header.reason == DeclineReason.INCOMPLETE and data[42 + 64 :] == given[64:]
        places = [(h.tensor_index, h.fragment_index, h.offset, h.last) for h in (header, before)]
        assert places[0] == places[1]
        assert (IP(data[14:]).src, IP(data[14:]).dst) == (source[0], HOP[0])


def test_a_tensor_of_which_nothing_came_cannot_be_asked_for(
    wide: Bundle, tmp_path: Path
) -> None:  # D4
    [[small], _] = tensors_of(wide)
    sent, counted = replay(
        wide, "reference", [frame(small, ONE, NIC)], tmp_path, ask_us=4000, timeout_us=400_000
    )
    assert (counted["asked"], counted["evicted"]) == (0, 1)
    assert [decode(data[42:]).reason for data in sent] == [DeclineReason.INCOMPLETE]


def test_half_of_a_request_is_not_an_answer(wide: Bundle, far: Cloud) -> None:
    header = Header(model_hash=wide.model_hash, request_id=9, source_count=2)
    first = next(fragments.datagrams(header, bytes(4)))
    with EdgeClient(wide, straight(far.port.address)) as client:
        with UdpPort() as other:
            send(other, first, len(first), far.port.address)
        check(client.infer(Request(sample(1))), sample(1))
    assert far.node.counters["by_cloud"] == 1
