# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""IPv6 over UDP sockets and between interfaces: what IPv4's tests say of the loop, as far as it is
another code, and the shipped model through both datapaths."""

from __future__ import annotations

import ipaddress
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midwire.host.client.edge_client import EdgeClient
from midwire.host.client.requests import Request
from midwire.host.errors import StartError
from midwire.host.nodes.nic_instances import start_instances
from midwire.host.nodes.nic_process import NicProcess, UdpWire, start_nic
from midwire.host.policy.permission import EXECUTE_IN_CLOUD
from midwire.host.wire.peers import Peer
from midwire.host.wire.udp import Address, UdpPort, format_address
from midwire.hw.formats.bundle import Bundle
from midwire.hw.formats.csr import Register
from midwire.hw.formats.tensor import AnyArray

from ..conftest import HELLO, Cloud, send, straight
from .loop import DATAPATHS, SMALL_MTU, greet, loop_words, take
from .namespaces import FAR, FAR_6, FAR_MAC, NEAR, NEAR_6, SIDES, Namespaces, midwire

HERE = ("::1", 0)
REGISTERS = [Register("frames", 0, 32, "counter", 0, "frames")]
LARGEST = 8952
"""Bytes of a datagram in the largest frame."""


@pytest.fixture
def hop() -> Iterator[UdpPort]:
    with UdpPort(HERE) as port:
        yield port


@pytest.fixture
def nic(passthrough: Path, hop: UdpPort) -> Iterator[NicProcess]:
    words = loop_words(hop.address, HERE)
    with NicProcess(passthrough, words, registers=REGISTERS) as running:
        running.start()
        yield running


def free_port() -> int:
    with UdpPort(HERE) as port:
        return port.address[1]


def test_datagrams_of_all_sizes_pass_unchanged_and_in_order(nic: NicProcess, hop: UdpPort) -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    sizes = [*range(1, 80), 1408, 1452, LARGEST, *(rng.randrange(1, LARGEST) for _ in range(40))]
    with UdpPort(HERE) as client:
        greet(client, nic.address, hop)
        for size in sizes:
            data = rng.randbytes(size)
            send(client, data, size, nic.address)
            assert [part for part, _ in take(hop, 1)] == [data]
        send(client, bytes(LARGEST + 1), LARGEST + 1, nic.address)
        send(client, b"next", 100, nic.address)
        assert [data for data, _ in take(hop, 1)] == [b"next"]
    assert nic.statistics()["rx_too_long"] == 1


def test_what_leaves_in_trains_arrives_as_it_came(nic: NicProcess, hop: UdpPort) -> None:
    sizes = [100] * 5 + [50, 100, 100, 7, 200, 100] + [LARGEST] * 9 + [64] * 130
    datagrams = [(b"%4d" % n + bytes(size))[:size] for n, size in enumerate(sizes)]
    with UdpPort(HERE) as client:
        greet(client, nic.address, hop)
        os.kill(nic.about["pid"], signal.SIGSTOP)  # all of them are there when it looks
        for data in datagrams:
            send(client, data, 9000, nic.address)
        os.kill(nic.about["pid"], signal.SIGCONT)
        assert [data for data, _ in take(hop, len(datagrams))] == datagrams


def test_answers_find_their_client_and_strangers_none(nic: NicProcess, hop: UdpPort) -> None:
    with UdpPort(HERE) as one, UdpPort(HERE) as two, UdpPort(HERE) as stranger:
        flows = [greet(client, nic.address, hop) for client in (one, two)]
        for number, flow in enumerate(flows):
            send(stranger, b"forged", 100, flow)
            send(hop, b"answer %d" % number, 100, flow)
        assert take(one, 1) == [(b"answer 0", nic.address)]
        assert take(two, 1) == [(b"answer 1", nic.address)]
    assert nic.statistics()["rx_stranger"] == 2


def test_two_that_point_at_each_other_end_by_hop_limit(passthrough: Path) -> None:
    ports: list[Address] = [("::1", free_port()), ("::1", free_port())]
    one, other = (loop_words(ports[1 - i], ports[i]) for i in range(2))
    with (
        NicProcess(passthrough, one, registers=REGISTERS) as first,
        NicProcess(passthrough, other, registers=REGISTERS) as second,
    ):
        first.start()
        second.start()
        with UdpPort(HERE) as client:
            send(client, HELLO, len(HELLO), ports[0])
            assert take(client, 1, 0.2) == []
        counted = [nic.statistics() for nic in (first, second)]
    assert sum(nic["tx_expired"] for nic in counted) == 1
    assert sum(nic["tx_datagrams"] for nic in counted) == 63


@pytest.mark.parametrize(
    ("network", "taken"),
    [("::/0", 1), ("::1/128", 1), ("::/127", 1), ("::2/127", 0), ("8000::/1", 0), ("::1", 1)],
)
def test_a_client_that_is_no_peer(
    passthrough: Path, hop: UdpPort, network: str, taken: int
) -> None:
    peers = [Peer(ipaddress.IPv6Network(network)), Peer(ipaddress.IPv4Network("0.0.0.0/0"))]
    words = loop_words(hop.address, HERE, peers)
    with NicProcess(passthrough, words, registers=REGISTERS) as nic:
        nic.start()
        with UdpPort(HERE) as client:
            send(client, HELLO, len(HELLO), nic.address)
            assert len(take(hop, 1, 5.0 if taken else 0.2)) == taken
        counted = nic.statistics()
    assert (counted["rx_not_peer"], counted["flows"]) == (1 - taken, taken)


def test_hops_of_the_other_ip_version_are_refused(passthrough: Path) -> None:
    for listen, to in ((HERE, ("127.0.0.1", 9)), (("127.0.0.1", 0), ("::1", 9))):
        with pytest.raises(StartError) as caught:
            UdpWire(listen, [to]).check()
        assert str(caught.value) == (
            "--next: what comes in one IP version does not leave in the other; expected the "
            f"address of the cloud, or of another NIC; found {format_address(to)}, where --listen "
            f"is {format_address(listen)}."
        )
        words = ["--listen", format_address(listen), "--next", format_address(to)]
        done = subprocess.run([passthrough, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 1 and "of another IP version than" in done.stderr


@pytest.mark.parametrize("datapath", DATAPATHS)
@pytest.mark.parametrize("mtu", [SMALL_MTU, 1280, 9000])
def test_the_shipped_model_over_udp(
    datapath: str, mtu: int, digits: Bundle, samples: AnyArray
) -> None:
    with Cloud(digits, listen=HERE) as far:
        to = far.port.address
        with (
            start_nic(digits, UdpWire(HERE, [to]), to, datapath=datapath) as nic,
            EdgeClient(digits, straight(nic.address), mtu=mtu) as client,
        ):
            near = list(client.stream(Request([x]) for x in samples[:4]))
            cloud = client.infer(Request([samples[0]], permission=EXECUTE_IN_CLOUD))
            counted = nic.statistics()["pipeline"]
    assert [outcome.executed_by for outcome in near] == ["nic"] * 4
    assert (cloud.executed_by, cloud.declined) == ("cloud", "policy")
    assert cloud.slice_sha256 == near[0].slice_sha256
    assert (counted["results"], counted["evicted"]) == (4, 0)


def test_instances_behind_one_address(digits: Bundle, samples: AnyArray) -> None:
    with Cloud(digits, listen=HERE) as far:
        to = far.port.address
        wire = UdpWire(HERE, [to])
        with start_instances(digits, wire, to, 2, datapath="reference") as nic:
            for _ in range(4):
                with EdgeClient(digits, straight(nic.address)) as client:
                    assert client.infer(Request([samples[0]])).executed_by == "nic"
            assert nic.statistics()["pipeline"]["results"] == 4


def test_a_whole_topology(digits: Bundle, tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", in0=np.zeros((3, 1, 1, 8, 8), np.float32))
    listen = 'listen = "[::1]:0"'
    tables = f'[cloud]\n{listen}\n[nic]\n{listen}\ndatapath = "reference"\n[edge]\n'
    topology = tmp_path / "topology.toml"
    topology.write_text(f'bundle = "{digits.root}"\n{tables}inputs = "in.npz"\n')
    command = [sys.executable, "-m", "midwire.host.cli", "up", str(topology), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    ready, *_, last = map(json.loads, done.stdout.splitlines())
    assert ready["target"].startswith("[::1]:")
    assert last["nodes"]["cloud"]["counters"]["by_nic"] == 3


def answers(network: Namespaces, root: str, target: str, bind: str, path: Path) -> list[Any]:
    """Who answered the requests of an edge at the near machine."""
    words = ["--target", target, "--bind", bind, "--inputs", str(path), "--decline", "0"]
    with midwire(network, "near", "edge", root, *words) as edge:
        edge.ready(30)
        events: list[dict[str, Any]] = list(iter(edge.events.get, None))
    return [event["executed_by"] for event in events if event["event"] == "reply"]


@pytest.mark.parametrize("datapath", DATAPATHS)
@pytest.mark.parametrize("versions", ["IPv6", "both"])
def test_a_bump_in_the_wire(
    datapath: str,
    versions: str,
    network: Namespaces,
    digits: Bundle,
    samples: AnyArray,
    tmp_path: Path,
) -> None:
    """Requests of IPv6, and of IPv4 where that is asked for; else these pass."""
    np.savez(tmp_path / "in.npz", in0=samples[:3])
    root, port = str(digits.root), 5220
    hops = [f"[{FAR_6}]:{port}", *([f"{FAR}:{port}"] if versions == "both" else [])]
    words = [word for hop in hops for word in ("--next", hop)]
    words += ["--wire", *SIDES, "--next-mac", FAR_MAC, "--datapath", datapath]
    with (
        midwire(network, "far", "cloud", root, "--listen", f"[{FAR_6}]:{port}") as six,
        midwire(network, "far", "cloud", root, "--listen", f"{FAR}:{port}") as four,
        midwire(network, "middle", "nic", root, *words) as nic,
    ):
        for node in (six, four, nic):
            node.ready(120)
        path = tmp_path / "in.npz"
        of_six = answers(network, root, hops[0], f"[{NEAR_6}]:0", path)
        of_four = answers(network, root, f"{FAR}:{port}", f"{NEAR}:0", path)
        last = [event for event in nic.stop() if event.get("event") == "stopped"][-1]
    assert of_six == ["nic"] * 3 + ["cloud"]
    assert of_four == (of_six if versions == "both" else ["cloud"] * 4)
    assert last["pipeline"]["results"] == of_six.count("nic") + of_four.count("nic")


MANY = """
import socket, sys, time
target, hello = (sys.argv[1], int(sys.argv[2])), bytes.fromhex(sys.argv[3])
sources = [f"fd00:9::{n % 3 + 1}" for n in range(260)] + ["fd00:9:0:1::1"]
ports = []
for source in sources:
    port = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    port.bind((source, 0))
    port.sendto(hello, target)
    ports.append(port)
    time.sleep(0.004)  # all at once are more than a socket holds while its reader waits for a core
"""


def test_a_source_is_64_bits(network: Namespaces, digits: Bundle) -> None:
    """Whoever has these has all addresses behind them: together they have 256 flows."""
    network.address("near", "lo", "fd00:9::1", "fd00:9::2", "fd00:9::3", "fd00:9:0:1::1")
    words = ["--listen", "[fd00:9::1]:5210", "--next", "[fd00:9::1]:9", "--peer", "fd00:9::/32"]
    root = str(digits.root)
    with midwire(network, "near", "nic", root, *words, "--datapath", "reference") as nic:
        nic.ready(60)
        network.python("near", MANY, "fd00:9::1", "5210", HELLO.hex())
        last = [event for event in nic.stop() if event.get("event") == "stopped"][-1]
    assert (last["flows"], last["flows_replaced"]) == (257, 4)
    assert last["rx_not_peer"] == 0
