# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The shipped model through the real pipeline: edge, Verilated NIC and cloud on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midwire.host.client.edge_client import EdgeClient
from midwire.host.client.requests import Request, RequestOutcome
from midwire.host.errors import DeadlineError, UnreachableError
from midwire.host.nodes.nic_process import NicProcess, UdpWire, start_nic
from midwire.host.policy.permission import EXECUTE_IN_CLOUD
from midwire.host.wire.tensors import fingerprint_of
from midwire.host.wire.udp import UdpPort
from midwire.hw.formats import fragments
from midwire.hw.formats.bundle import Bundle
from midwire.hw.formats.tensor import AnyArray
from midwire.hw.formats.wire import Header, encode
from midwire.hw.kernels.reference import Reference

from ..conftest import Cloud, alive, changed, send, straight, wait_for_the_end_of
from .loop import HERE, SMALL_MTU


@pytest.fixture
def far(digits: Bundle) -> Iterator[Cloud]:
    with Cloud(digits) as node:
        yield node


@pytest.fixture
def nic(digits: Bundle, far: Cloud) -> Iterator[NicProcess]:
    hop = far.port.address
    with start_nic(digits, UdpWire(HERE, [hop]), hop) as running:
        yield running


def correct(digits: Bundle, client: EdgeClient, sample: AnyArray) -> str:
    """Fingerprint that the numpy reference gives."""
    quantised = [array.ravel()[None] for array in client.part.run([sample])]
    results = Reference.of_bundle(digits).run_wire(quantised)
    return fingerprint_of(digits.manifest.outputs, [result[0] for result in results])


@pytest.mark.parametrize("mtu", [172, SMALL_MTU, 1500, 9000])
def test_fragments_of_any_size_give_the_reference_bits(
    mtu: int, digits: Bundle, nic: NicProcess, samples: AnyArray
) -> None:
    with EdgeClient(digits, straight(nic.address), mtu=mtu) as client:
        for outcome in client.stream(Request([x], tag=x) for x in samples[:6]):
            assert outcome.error is None and outcome.executed_by == "nic"
            assert outcome.cycles == digits.manifest.latency_cycles
            assert outcome.slice_sha256 == correct(digits, client, outcome.request.tag)
    counted = nic.statistics()["pipeline"]
    assert (counted["requests"], counted["results"], counted["evicted"]) == (6, 6, 0)


def test_a_declined_request_gives_the_same_bits(
    digits: Bundle, nic: NicProcess, samples: AnyArray
) -> None:
    with EdgeClient(digits, straight(nic.address)) as client:
        near = client.infer(Request([samples[0]]))
        far = client.infer(Request([samples[0]], permission=EXECUTE_IN_CLOUD))
    with EdgeClient(digits, straight(nic.address), tenant=9) as client:
        other = client.infer(Request([samples[0]]))
    assert [o.executed_by for o in (near, far, other)] == ["nic", "cloud", "cloud"]
    assert [o.declined for o in (near, far, other)] == ["", "policy", "wrong_tenant"]
    assert near.slice_sha256 == far.slice_sha256 == other.slice_sha256
    assert near.outputs is not None and far.outputs is not None
    for name, array in near.outputs.items():
        assert far.outputs[name].tobytes() == array.tobytes()


def test_a_second_nic_leaves_results_alone(
    digits: Bundle, nic: NicProcess, samples: AnyArray
) -> None:
    """What the first one executed is no business of the second, and is told as it was."""
    hop = nic.address
    with (
        start_nic(digits, UdpWire(HERE, [hop]), hop) as first,
        EdgeClient(digits, straight(first.address), mtu=SMALL_MTU) as client,
    ):
        for outcome in client.stream(Request([x], tag=x) for x in samples[:6]):
            assert outcome.error is None
            assert (outcome.executed_by, outcome.declined) == ("nic", "")
            assert outcome.cycles == digits.manifest.latency_cycles
            assert outcome.slice_sha256 == correct(digits, client, outcome.request.tag)
        assert first.statistics()["pipeline"]["results"] == 6
    counted = nic.statistics()["pipeline"]
    assert (counted["results"], counted["forwarded"]) == (0, 6)


def test_bad_datagrams_are_counted_and_the_next_request_succeeds(
    digits: Bundle, nic: NicProcess, far: Cloud, samples: AnyArray
) -> None:
    data = bytes(512)
    header = Header(model_hash=digits.model_hash, request_id=1, total_bytes=512, deadline_us=10**6)
    sound = encode(replace(header, last=True)) + data
    foreign = changed(sound, model_hash=bytes(8))
    broken = bytearray(sound)
    broken[20] ^= 1
    bad = [
        b"MW",
        b"no header at all, but long enough to hold one; it is text for somebody else",
        b"XX" + sound[2:],
        sound[:2] + b"\x07" + sound[3:],
        bytes(broken),
        sound[:-8],  # fewer bytes than it says
        sound + bytes(8),  # more
        encode(replace(header, last=True, fragment_index=3)) + data,  # fragment 3 of 1
        encode(replace(header, offset=1 << 20, fragment_count=2)) + data,
        encode(replace(header, last=True, total_bytes=4 << 20)) + data,
        encode(replace(header, last=True, hop_limit=0)) + data,
    ]
    with UdpPort() as client:
        send(client, foreign, len(foreign), nic.address)  # opens its flow, and the cloud refuses it
        for datagram in bad:
            send(client, datagram, len(datagram), nic.address)
    with EdgeClient(digits, straight(nic.address)) as edge:
        outcome = edge.infer(Request([samples[0]]))
        assert outcome.executed_by == "nic"
        assert outcome.slice_sha256 == correct(digits, edge, samples[0])
    counted = nic.statistics()
    fates = counted["pipeline"]
    assert fates["passed_malformed"] >= 1  # no room for a header
    assert fates["passed_bad_magic"] == 2
    assert fates["passed_bad_version"] == fates["passed_bad_crc"] == 1
    assert fates["dropped_bad_length"] >= 4
    assert fates["dropped_hop_limit"] == 1
    assert counted["tx_malformed"] == counted["frames_bad"] == 0
    # What passed was judged again by the cloud, which is still there, too.
    assert far.node.counters["bad_magic"] == 2
    assert far.node.counters["by_nic"] == 1


def test_half_a_request_does_not_block_the_next_one(
    digits: Bundle, nic: NicProcess, samples: AnyArray
) -> None:
    header = Header(model_hash=digits.model_hash, request_id=5, deadline_us=10**6)
    first = next(fragments.datagrams(header, bytes(512), SMALL_MTU))
    nic.bus.write("timeout_us", 0)  # it is never given up
    with UdpPort() as client:
        send(client, first, len(first), nic.address)
    with EdgeClient(digits, straight(nic.address)) as edge:
        outcome = edge.infer(Request([samples[0]]))
        assert outcome.error is None
        assert outcome.executed_by == "nic"
        assert outcome.slice_sha256 == correct(digits, edge, samples[0])


def test_more_requests_than_slots_lose_nothing(
    digits: Bundle, nic: NicProcess, samples: AnyArray
) -> None:
    with EdgeClient(digits, straight(nic.address), window=8) as client:
        outcomes = list(client.stream(Request([x], tag=i) for i, x in enumerate(samples[:100])))
        expected = [correct(digits, client, x) for x in samples[:100]]
    assert sorted(outcome.request.tag for outcome in outcomes) == list(range(100))
    for outcome in outcomes:
        assert outcome.error is None and outcome.slice_sha256 == expected[outcome.request.tag]
        assert outcome.declined in ("", "busy")
    assert "nic" in {outcome.executed_by for outcome in outcomes}


def test_kill_9_of_the_nic_is_a_typed_error(
    digits: Bundle, nic: NicProcess, samples: AnyArray
) -> None:
    found: list[RequestOutcome] = []
    with EdgeClient(digits, straight(nic.address), deadline=1.0) as client:
        for outcome in client.stream(Request([x]) for x in samples[:5]):
            found.append(outcome)
            if len(found) == 2:
                os.kill(nic.about["pid"], signal.SIGKILL)
    assert [outcome.error is None for outcome in found[:2]] == [True, True]
    assert len(found) == 5
    assert isinstance(found[-1].error, (UnreachableError, DeadlineError))
    assert all(outcome.seconds < 1.0 for outcome in found)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_of_a_topology_with_a_nic(
    number: signal.Signals, digits: Bundle, tmp_path: Path
) -> None:
    topology = tmp_path / "topology.toml"
    topology.write_text(f'bundle = "{digits.root}"\n[nic]\nlisten = "127.0.0.1:0"\n')
    command = [sys.executable, "-m", "midwire.host.cli", "up", str(topology), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        ready: dict[str, Any] = json.loads(process.stdout.readline())
        pids = [node["pid"] for node in ready["nodes"].values()]
        assert len(pids) == 2 and all(map(alive, pids))
        process.send_signal(number)
        process.wait(30)
        rest = process.stdout.read().decode()
    assert wait_for_the_end_of(*pids)
    if number == signal.SIGINT:
        assert process.returncode == 130
        (last,) = map(json.loads, rest.splitlines())
        assert last["event"] == "stopped" and set(last["nodes"]) == {"cloud", "nic"}


def test_up_gives_the_last_counters_of_the_nic(digits: Bundle, tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", in0=np.zeros((3, 1, 1, 8, 8), np.float32))
    topology = tmp_path / "topology.toml"
    topology.write_text(f'bundle = "{digits.root}"\n[nic]\n[edge]\ninputs = "in.npz"\n')
    command = [sys.executable, "-m", "midwire.host.cli", "up", str(topology), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["event"] == "stopped"
    assert last["nodes"]["nic"]["pipeline"]["results"] == 3
    assert last["nodes"]["cloud"]["counters"]["by_nic"] == 3
