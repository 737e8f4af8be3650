# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Slices of several bundles side by side in one NIC, by both datapaths: D8, D9 and C8."""

from __future__ import annotations

import ipaddress
import json
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from midwire.compiler.pipeline import compile_model
from midwire.host import cli
from midwire.host.client.edge_client import EdgeClient
from midwire.host.client.requests import Request, RequestOutcome
from midwire.host.control.register_bus import RegisterBus
from midwire.host.control.steering_table import NextHop, SteeringEntry, SteeringTable
from midwire.host.errors import RegisterError, StartError
from midwire.host.nodes.nic_instances import start_instances
from midwire.host.nodes.nic_process import UdpWire, start_nic
from midwire.host.wire import missing
from midwire.host.wire.udp import Address, UdpPort, format_address
from midwire.hw.formats import csr, fragments
from midwire.hw.formats.actions import Action
from midwire.hw.formats.bundle import Bundle
from midwire.hw.formats.slots import slots_of
from midwire.hw.formats.tensor import AnyArray
from midwire.hw.formats.wire import Header, decode

from ...hw.nic.stacks import NEXT_IP6, OWN_IP6
from ..conftest import Cloud, send, straight
from .loop import DATAPATHS, HERE, SMALL_MTU, take
from .recordings import CLIENT, HOP, NIC, frame, header_of, read_pcap, replay, timeless, write_pcap
from .test_several_tensors import any_fragments, sizes_of

MODELS = {
    "bending": """bend (float[N, 4, 15, 25] a) => (float[N, 4, 15, 25] c)
<float s = {0.5}, int8 z = {0}>
{ p = QuantizeLinear (a, s, z)
  e = DequantizeLinear (p, s, z)
  g = Relu (e)
  i = QuantizeLinear (g, s, z)
  c = DequantizeLinear (i, s, z) }""",
    "joining": """join (float[N, 4, 15, 25] a, float[N, 4, 15, 25] b) => (float[N, 4, 15, 25] c)
<float s = {0.5}, int8 z = {0}>
{ p = QuantizeLinear (a, s, z)
  q = QuantizeLinear (b, s, z)
  e = DequantizeLinear (p, s, z)
  f = DequantizeLinear (q, s, z)
  g = Add (e, f)
  i = QuantizeLinear (g, s, z)
  c = DequantizeLinear (i, s, z) }""",
}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[Bundle]:
    """Two bundles whose modules and images have the same prefix."""
    folder = tmp_path_factory.mktemp("pair")
    found = []
    for name, text in MODELS.items():
        model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["" : 13]>\n' + text)
        onnx.save(model, str(folder / f"{name}.onnx"))
        found.append(compile_model(folder / f"{name}.onnx", folder / name).bundle)
    assert len({bundle.manifest.prefix for bundle in found}) == 1
    return found


@pytest.fixture(scope="module")
def three(pair: list[Bundle]) -> list[Bundle]:
    """The first of them twice."""
    return [*pair, pair[0]]


def samples_of(bundle: Bundle, count: int) -> list[list[AnyArray]]:
    rng = np.random.default_rng(4)
    shapes = [tensor.shape for tensor in bundle.manifest.inputs]
    return [
        [(rng.integers(-128, 128, shape) / 2).astype(np.float32) for shape in shapes]
        for _ in range(count)
    ]


def inferred(bundle: Bundle, address: Address, count: int, window: int) -> list[RequestOutcome]:
    """What is answered to a client of one model, in the order of its samples."""
    requests = [Request(x, tag=i) for i, x in enumerate(samples_of(bundle, count))]
    with EdgeClient(bundle, straight(address), window=window, mtu=SMALL_MTU) as client:
        found = {outcome.request.tag: outcome for outcome in client.stream(iter(requests))}
    return [found[tag] for tag in range(count)]


@pytest.mark.parametrize("datapath", DATAPATHS)
def test_each_model_is_executed_while_others_are(three: list[Bundle], datapath: str) -> None:
    """As the cloud does it, to the same bits; a client of each at the same time."""
    models = three[:2]
    with Cloud(*models) as cloud, ThreadPoolExecutor(2) as threads:
        hop = cloud.port.address
        with start_nic(three, UdpWire(HERE, [hop]), hop, datapath=datapath) as nic:
            asked = [threads.submit(inferred, each, nic.address, 24, 4) for each in models]
            near = [each.result() for each in asked]
            counted = nic.bus.counters()
            registers = [_registers(nic.bus, core) for core in range(len(three))]
        far = [inferred(each, hop, 24, 4) for each in models]
    for ours, others in zip(near, far, strict=True):
        for outcome, expected in zip(ours, others, strict=True):
            assert (outcome.executed_by, expected.executed_by) == ("nic", "cloud")
            assert outcome.slice_sha256 == expected.slice_sha256
            assert outcome.outputs is not None and expected.outputs is not None
            for name, values in expected.outputs.items():
                np.testing.assert_array_equal(outcome.outputs[name], values)
    assert counted["results"] == counted["requests"] >= 48
    for found, bundle in zip(registers, three, strict=True):
        inputs, outputs = bundle.manifest.inputs, bundle.manifest.outputs
        slots = slots_of(sum(spec.wire_bytes for spec in inputs), len(three))
        assert found["cores"] == 3
        assert found["capability"] == 8 | slots << 8 | len(inputs) << 16 | len(outputs) << 24
        halves = found["model_hash_high"], found["model_hash_low"]
        assert halves[0] << 32 | halves[1] == int.from_bytes(bundle.model_hash)


@pytest.mark.parametrize("datapath", DATAPATHS)
def test_each_result_is_kept_under_its_own_name(three: list[Bundle], datapath: str) -> None:
    """Of one id of one sender; what was lost of either is sent again (K1 of host/cpp/kept.h)."""
    models = three[:2]
    with UdpPort() as hop, UdpPort() as client:
        wire = UdpWire(HERE, [hop.address])
        with start_nic(three, wire, hop.address, datapath=datapath) as nic:
            nic.bus.write_all({"fragment_bytes": 192, "timeout_us": 60_000_000, "ask_us": 0})
            for value, bundle in enumerate(models, 1):
                header = Header(model_hash=bundle.model_hash, request_id=7, deadline_us=10**7)
                count = len(sizes_of(bundle))
                for tensor, size in enumerate(sizes_of(bundle)):
                    of = replace(header, tensor_index=tensor, source_count=count)
                    for data in fragments.datagrams(of, bytes([value] * size)):
                        send(client, data, len(data), nic.address)
            results = take(hop, 16)
            for bundle in models:
                pieces = [
                    data for data, _ in results if decode(data).model_hash == bundle.model_hash
                ]
                question = missing.pack(decode(pieces[0]), [1, 7])
                send(hop, question, len(question), results[0][1])
                again = [data for data, _ in take(hop, 2)]
                assert [data[64:] for data in again] == [pieces[1][64:], pieces[7][64:]]
                assert {decode(data).model_hash for data in again} == {bundle.model_hash}
            assert nic.bus.counters()["answered"] == nic.statistics()["results_kept"] == 2


def _registers(bus: RegisterBus, core: int) -> dict[str, int]:
    names = ["cores", "capability", "model_hash_high", "model_hash_low"]
    (found,) = bus.transact([({"core_index": core}, names)])
    return found


@pytest.mark.parametrize("attempt", range(3))
def test_both_datapaths_do_alike(three: list[Bundle], tmp_path: Path, attempt: int) -> None:
    """To the same frames and counters, whatever the recording has; for each model, and for none."""
    seed = random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    source = random.Random(seed)
    frames: list[bytes] = []
    cases: tuple[tuple[Bundle, dict[str, Any]], ...] = (
        (three[0], {}),
        (three[1], {}),
        (three[0], {"epoch": 1}),
        (three[1], {"cursor": 1, "slice_count": 2}),
        (three[1], {"model_hash": bytes(8)}),
        (three[1], {"tenant": 3}),
        (three[1], {"result": True, "cursor": 1, "slice_count": 2}),
    )
    for bundle, changes in cases:
        sizes = sizes_of(bundle)
        header = Header(model_hash=bundle.model_hash, source_count=len(sizes), deadline_us=10**7)
        frames += any_fragments(replace(header, **changes), sizes, source)
    for at in range(len(frames) - 60):
        other = at + source.randrange(60)
        frames[at], frames[other] = frames[other], frames[at]
    own, following = (int(ipaddress.IPv6Address(ip)) for ip in (OWN_IP6, NEXT_IP6))
    registers = {"own_ip6": own, "next_ip6": following, "ask_us": 0, "timeout_us": 10**6}
    rtl, counted_rtl = replay(three, "rtl", frames, tmp_path, **registers)
    reference, counted = replay(three, "reference", frames, tmp_path, **registers)
    assert counted == counted_rtl
    assert timeless(rtl) == timeless(reference)
    assert counted["results"] and counted["frames_in"] == len(frames)
    assert counted["forwarded"] and counted["declined_wrong_model"]
    del attempt


def test_the_command_says_what_a_core_has(
    three: list[Bundle], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of each, whatever was asked of others before."""

    def said(*words: str) -> dict[str, int]:
        assert cli.main(["register", str(path), *words, "--json"]) == 0
        return dict(json.loads(capsys.readouterr().out))

    path, hop = tmp_path / "nic.sock", ("127.0.0.1", 9)
    with start_nic(three, UdpWire(HERE, [hop]), hop, datapath="reference", control=path) as nic:
        assert said("tenant", "9", "--core", "1") == {"tenant": 9}
        assert said("tenant") == said("tenant", "--core", "2") == {"tenant": 0}
        assert said("--core", "1")["tenant"] == 9
        for core, bundle in enumerate(three):
            model_hash = int.from_bytes(bundle.model_hash)
            assert said("model_hash", "--core", str(core)) == {"model_hash": model_hash}
        assert nic.bus.read("core_index") == 0
        assert cli.main(["register", str(path), "tenant", "--core", "3"]) == 2
        assert "3 slice(s), 0 to 2, and no 3" in capsys.readouterr().err


@pytest.mark.parametrize("datapath", DATAPATHS)
def test_c8_registers_of_a_core_that_is_not_there(pair: list[Bundle], datapath: str) -> None:
    hop = ("127.0.0.1", 9)
    with start_nic(pair[0], UdpWire(HERE, [hop]), hop, datapath=datapath) as nic:
        assert nic.bus.read("cores") == 1
        nic.bus.write("tenant", 7)
        nic.bus.write("core_index", 1)
        assert nic.bus.read("tenant") == nic.bus.read("capability") == 0
        with pytest.raises(RegisterError, match="SLVERR"):
            nic.bus.write("tenant", 9)
        nic.bus.write("core_index", 0)
        assert nic.bus.read("tenant") == 7


def test_an_entry_is_for_one_model(three: list[Bundle]) -> None:
    """By its key, whatever others do (T1)."""
    with Cloud(*three[:2]) as cloud:
        hop = cloud.port.address
        with start_nic(three, UdpWire(HERE, [hop]), hop, datapath="reference") as nic:
            mac = nic.bus.read("next_mac")
            to = NextHop(mac=mac, port=hop[1], ip=ipaddress.IPv4Address(hop[0]))
            table = SteeringTable(nic.bus)
            table.write(3, SteeringEntry(0, three[0].model_hash, 0, Action.FORWARD, to))
            assert {o.executed_by for o in inferred(three[0], nic.address, 8, 2)} == {"cloud"}
            assert {o.executed_by for o in inferred(three[1], nic.address, 8, 2)} == {"nic"}
            ((_, hits),) = table.counted().values()
            assert hits == nic.bus.counters()["forwarded"] > 0


def test_instances_have_all_slices(three: list[Bundle]) -> None:
    with Cloud(*three[:2]) as cloud:
        hop = cloud.port.address
        with start_instances(three, UdpWire(HERE, [hop]), hop, 2, datapath="reference") as nic:
            for bundle in three[:2]:
                found = inferred(bundle, nic.address, 8, 2)
                assert {outcome.executed_by for outcome in found} == {"nic"}


def test_the_command_takes_several_bundles(pair: list[Bundle], tmp_path: Path) -> None:
    frames: list[bytes] = []
    for bundle in pair:
        sizes = sizes_of(bundle)
        header = Header(model_hash=bundle.model_hash, source_count=len(sizes), deadline_us=10**7)
        for index, size in enumerate(sizes):
            mine = replace(header, tensor_index=index)
            frames += [frame(d, CLIENT, NIC) for d in fragments.datagrams(mine, bytes(size))]
    write_pcap(tmp_path / "in.pcap", frames)
    words = ["nic", *(str(bundle.root) for bundle in pair), "--datapath", "reference"]
    words += ["--listen", format_address(NIC), "--next", format_address(HOP)]
    words += ["--read", str(tmp_path / "in.pcap"), "--write", str(tmp_path / "out.pcap")]
    assert cli.main(words) == 0
    left = [header_of(data) for data in read_pcap(tmp_path / "out.pcap")]
    assert all(header is not None and header.result for header in left)
    assert {header.model_hash for header in left if header} == {b.model_hash for b in pair}


def test_more_bundles_than_cores(pair: list[Bundle]) -> None:
    many = [pair[0]] * (csr.MAX_CORES + 1)
    hop = ("127.0.0.1", 9)
    with pytest.raises(StartError, match="too many bundles") as caught:
        start_nic(many, UdpWire(HERE, [hop]), hop, datapath="reference")
    assert "at most 8" in str(caught.value)
