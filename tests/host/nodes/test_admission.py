# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""What the packet loop takes in over UDP, and from whom (rules G1 to G5 of cpp/admission.h)."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from midwire.host.errors import StartError
from midwire.host.nodes.nic_process import NicProcess, UdpWire, start_nic
from midwire.host.wire.peers import Peer
from midwire.host.wire.udp import Address, UdpPort
from midwire.hw.formats.bundle import Bundle
from midwire.hw.formats.csr import Register
from midwire.hw.formats.wire import MessageType, decode

from ..conftest import HELLO, changed, send
from .loop import HERE, Forger, free_descriptor, greet, loop_words, take

REGISTERS = [Register("frames", 0, 32, "counter", 0, "frames")]
OF_SOURCE = 256
"""Flows of one source address, as ``Flows::kMostOfSource`` in cpp/flows.h."""


@contextlib.contextmanager
def started(program: Path, words: list[str]) -> Iterator[NicProcess]:
    with NicProcess(program, words, registers=REGISTERS) as running:
        running.start()
        yield running


@pytest.fixture
def nic(passthrough: Path, hop: UdpPort) -> Iterator[NicProcess]:
    with started(passthrough, loop_words(hop.address)) as running:
        yield running


def free_port() -> int:
    with UdpPort() as port:
        return port.address[1]


def nothing_comes(port: UdpPort) -> bool:
    return take(port, 1, 0.2) == []


BAD = {
    "rx_no_header": HELLO[:63],
    "rx_bad_magic": b"XX" + HELLO[2:],
    "rx_bad_version": HELLO[:2] + b"\x07" + HELLO[3:],
    "rx_bad_crc": HELLO[:20] + b"\xff" + HELLO[21:],
    "rx_other_type": changed(HELLO, message_type=MessageType.REPLY),
}


@pytest.mark.parametrize("counter", BAD)
def test_garbage_opens_no_flow(counter: str, nic: NicProcess, hop: UdpPort) -> None:  # G5
    with UdpPort() as client:
        send(client, BAD[counter], len(BAD[counter]), nic.address)
        assert nothing_comes(hop)
        counted = nic.statistics()
        assert (counted[counter], counted["flows"], counted["frames_in"]) == (1, 0, 0)
        greet(client, nic.address, hop)
        # From here on it is judged by the datapath, which passes what is not midwire's.
        send(client, BAD[counter], len(BAD[counter]), nic.address)
        assert [data for data, _ in take(hop, 1)] == [BAD[counter]]
    assert nic.statistics()[counter] == 1


def test_a_client_that_is_no_peer(passthrough: Path, hop: UdpPort) -> None:  # G3
    peers = [
        Peer(ipaddress.IPv4Network("127.0.0.8/30")),
        Peer(ipaddress.IPv4Network("127.1.0.1"), free_port()),
    ]
    with started(passthrough, loop_words(hop.address, peers=peers)) as nic:
        for source in (("127.0.0.1", 0), ("127.0.0.12", 0), ("127.1.0.1", free_port())):
            with UdpPort(source) as stranger:
                send(stranger, HELLO, len(HELLO), nic.address)
        assert nothing_comes(hop)
        for source in (("127.0.0.11", 0), ("127.1.0.1", peers[1].port)):
            with UdpPort(source) as client:
                greet(client, nic.address, hop)
        counted = nic.statistics()
    assert (counted["rx_not_peer"], counted["flows"]) == (3, 2)


def test_an_address_that_others_reach_needs_peers() -> None:
    with pytest.raises(StartError) as caught:
        UdpWire(("10.1.2.3", 5210), [("10.1.2.4", 5220)]).words()
    assert str(caught.value) == (
        "--peer: who may send requests is not said, and datagrams do not prove who sent them; "
        "expected networks that may send: other machines reach 10.1.2.3:5210; found none. "
        "Give the clients' network, as in --peer 10.1.2.0/24; --peer 0.0.0.0/0 is anybody."
    )


@pytest.mark.parametrize("hop", [("0.0.0.0", 5220), ("224.0.0.1", 5220), ("255.255.255.255", 9)])
def test_a_next_hop_that_is_no_one_machine(hop: Address) -> None:
    with pytest.raises(StartError, match=r"--next: the next hop is no one machine; .* found"):
        UdpWire(HERE, [hop]).check()


def test_a_next_hop_that_loopback_does_not_reach() -> None:
    with pytest.raises(StartError, match=r"no way to the other side; .* 127.0.0.1 reaches this"):
        UdpWire(HERE, [("192.0.2.1", 5220)]).check()


def test_a_loop_that_would_send_to_itself_says_so(passthrough: Path) -> None:
    at = f"127.0.0.1:{free_port()}"
    words = [str(passthrough), "--listen", at, "--next", at]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        f"nic: --next {at} is where this NIC listens itself, and it would send to itself again and "
        "again: give the address of the cloud, or of another NIC\n"
    )


def test_its_own_addresses_are_nobodys(nic: NicProcess, hop: UdpPort, forger: Forger) -> None:  # G1
    with UdpPort() as client:
        flow = greet(client, nic.address, hop)
        for source in (nic.address, flow):
            for to in (nic.address, flow):
                forger.send(HELLO, source, to)
        assert nothing_comes(hop) and nothing_comes(client)
        send(hop, b"answer", 100, flow)
        assert [data for data, _ in take(client, 1)] == [b"answer"]
    counted = nic.statistics()
    assert (counted["rx_own_address"], counted["flows"], counted["frames_in"]) == (4, 1, 2)


def test_a_forged_next_hop_is_no_client(
    nic: NicProcess, hop: UdpPort, forger: Forger
) -> None:  # G2
    forger.send(HELLO, hop.address, nic.address)
    with UdpPort() as client:
        flow = greet(client, nic.address, hop)
        send(hop, b"answer", 100, flow)
        assert [data for data, _ in take(client, 1)] == [b"answer"]
    assert (nic.statistics()["rx_stranger"], nic.statistics()["flows"]) == (1, 1)


def test_two_that_point_at_each_other_end_by_ttl(passthrough: Path) -> None:
    ports = [("127.0.0.1", free_port()), ("127.0.0.1", free_port())]
    one, other = (loop_words(ports[1 - i], ports[i]) for i in range(2))
    with started(passthrough, one) as first, started(passthrough, other) as second:
        with UdpPort() as client:
            send(client, HELLO, len(HELLO), ports[0])
            assert nothing_comes(client)
        counted = [nic.statistics() for nic in (first, second)]
    assert sum(nic["tx_expired"] for nic in counted) == 1
    assert sum(nic["rx_datagrams"] for nic in counted) == 64
    assert sum(nic["tx_datagrams"] for nic in counted) == 63


def test_two_that_decline_to_each_other_end_by_hop_limit(digits: Bundle) -> None:
    ports = [("127.0.0.1", free_port()), ("127.0.0.1", free_port())]

    def nic(number: int) -> NicProcess:
        hop = ports[1 - number]
        return start_nic(digits, UdpWire(ports[number], [hop]), hop, datapath="reference")

    with nic(0) as first, nic(1) as second:
        with UdpPort() as client:
            send(client, HELLO, len(HELLO), ports[0])
            assert nothing_comes(client)
        counted = [running.statistics()["pipeline"] for running in (first, second)]
    assert sum(pipeline["declined_wrong_model"] for pipeline in counted) == decode(HELLO).hop_limit
    assert sum(pipeline["dropped_hop_limit"] for pipeline in counted) == 1


def test_a_source_cannot_push_out_another_one(nic: NicProcess, hop: UdpPort) -> None:
    with UdpPort(("127.0.0.2", 0)) as quiet, contextlib.ExitStack() as stack:
        flow = greet(quiet, nic.address, hop)
        flows = []
        for _ in range(OF_SOURCE + 5):
            client = stack.enter_context(UdpPort())  # open to the end: no port comes twice
            flows.append((client, greet(client, nic.address, hop)))
        send(hop, b"still there", 100, flow)
        assert [data for data, _ in take(quiet, 1)] == [b"still there"]
        for client, its in flows[5:]:
            send(hop, b"back", 100, its)
            assert [data for data, _ in take(client, 1)] == [b"back"]
    counted = nic.statistics()
    assert (counted["flows"], counted["flows_replaced"]) == (OF_SOURCE + 1, 5)


def test_flows_of_many_sources_are_bounded(nic: NicProcess, hop: UdpPort) -> None:
    """Where all are taken, the one that was not used for the longest gives way."""
    with UdpPort(("127.0.0.2", 0)) as regular:
        for number in range(4096 + 100):
            if number % 1000 == 0:
                greet(regular, nic.address, hop)
            source = f"127.{1 + number // 65536}.{number // 256 % 256}.{number % 256}"
            with UdpPort((source, 0)) as client:
                greet(client, nic.address, hop)
        counted = nic.statistics()
        send(hop, b"still there", 100, greet(regular, nic.address, hop))
        assert [data for data, _ in take(regular, 1)] == [b"still there"]
    assert (counted["flows"], counted["flows_replaced"]) == (4096, 101)


def test_without_a_descriptor_for_one_more_a_flow_gives_way(nic: NicProcess, hop: UdpPort) -> None:
    pid = nic.about["pid"]
    limit = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    with UdpPort(("127.0.0.2", 0)) as other, UdpPort() as first, UdpPort() as second:
        flow = greet(other, nic.address, hop)
        greet(first, nic.address, hop)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (free_descriptor(pid), limit[1]))
        greet(second, nic.address, hop)  # in place of the first one's: of the same source
        send(hop, b"still there", 100, flow)
        assert [data for data, _ in take(other, 1)] == [b"still there"]
        counted = nic.statistics()
    assert (counted["flows"], counted["flows_replaced"], counted["flows_failed"]) == (2, 1, 0)


def test_what_the_kernel_drops_is_counted(nic: NicProcess, hop: UdpPort) -> None:
    sizes, size = 6000, 8000
    with UdpPort() as client:
        flow = greet(client, nic.address, hop)
        os.kill(nic.about["pid"], signal.SIGSTOP)
        for port, to in ((client, nic.address), (hop, flow)):
            for _ in range(sizes // 8):
                send(port, bytes(8 * size), size, to)
        os.kill(nic.about["pid"], signal.SIGCONT)
        while take(hop, 1000, 0.5):
            pass
        counted = nic.statistics()
        assert counted["rx_kernel_dropped"] > 0
        assert counted["rx_datagrams"] + counted["rx_kernel_dropped"] == 1 + 2 * sizes
        # It is remembered of a flow that has gone.
        with contextlib.ExitStack() as stack:
            for _ in range(OF_SOURCE):
                greet(stack.enter_context(UdpPort()), nic.address, hop)
        again = nic.statistics()
        assert again["flows_replaced"] == 1
        assert again["rx_kernel_dropped"] == counted["rx_kernel_dropped"]
