# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A bump in the wire between two interfaces, in network namespaces that the test makes itself.

``near`` and ``far`` are machines, the test's own process stands between them: two pairs of virtual
interfaces, both of whose middle ends are in a third namespace, where the packet loop runs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midwire.host.nodes.nic_process import UdpWire
from midwire.host.nodes.process import Child
from midwire.host.wire.peers import ANYBODY
from midwire.hw.formats.bundle import Bundle
from midwire.hw.formats.fragments import datagrams
from midwire.hw.formats.tensor import AnyArray
from midwire.hw.formats.wire import Header, MessageType, decode

from ..conftest import HELLO, cpu_ticks

NEAR, FAR = "10.111.0.1", "10.111.0.2"
FAR_MAC = "02:00:00:00:02:02"


class Namespaces:
    """Three network namespaces, held open by a process each; gone with it."""

    def __init__(self) -> None:
        self.pids: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("near", "middle", "far"):
            # `cat` ends with our end of its standard input.
            self.pids[name] = subprocess.Popen(
                ["unshare", "--net", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            held = self.pids[name]
            assert held.stdin is not None and held.stdout is not None
            held.stdin.write(b"ready\n")
            held.stdin.flush()
            if held.stdout.readline() != b"ready\n":
                raise OSError("unshare --net does not work here")

    def inside(self, name: str, *words: str) -> list[str]:
        return ["nsenter", "--net", f"--target={self.pids[name].pid}", *words]

    def run(self, name: str, *words: str) -> None:
        subprocess.run(self.inside(name, *words), check=True, capture_output=True)

    def connect(self) -> None:
        ends = (("near", "left", NEAR, "02:00:00:00:01:01"), ("far", "right", FAR, FAR_MAC))
        for machine, side, address, mac in ends:
            pid = str(self.pids[machine].pid)
            # One segment: whoever sends has its trains cut before they reach the wire.
            self.run("middle", "ip", "link", "add", side, "type", "veth", "peer", "name", "eth0",
                     "address", mac, "netns", pid, "gso_max_segs", "1")  # fmt: skip
            self.run("middle", "ip", "link", "set", side, "up")
            self.run(machine, "ip", "address", "add", f"{address}/24", "dev", "eth0")
            self.run(machine, "ip", "link", "set", "eth0", "up")
            self.run(machine, "ip", "link", "set", "lo", "up")

    def close(self) -> None:
        for held in self.pids.values():
            held.kill()
            held.communicate()


@pytest.fixture
def network() -> Iterator[Namespaces]:
    found: Namespaces | None = None
    try:
        found = Namespaces()
        found.connect()
    except (OSError, subprocess.CalledProcessError) as error:
        if found is not None:
            found.close()
        pytest.skip(
            "needs network namespaces: run as root with unshare, nsenter and ip installed "
            f"({getattr(error, 'stderr', None) or error})"
        )
    try:
        yield found
    finally:
        found.close()


def midwire(network: Namespaces, name: str, *words: str) -> Child:
    command = [sys.executable, "-m", "midwire.host.cli", *words, "--json"]
    return Child(words[0], network.inside(name, *command))


SERVER = """
import socket, sys
with socket.create_server((sys.argv[1], 7000)) as server:
    print("ready", flush=True)
    peer, _ = server.accept()
    print(sum(len(data) for data in iter(lambda: peer.recv(65536), b"")))
"""
CLIENT = """
import socket, sys
with socket.create_connection((sys.argv[1], 7000), timeout=20) as peer:
    peer.sendall(bytes(200_000))
"""


def talk(network: Namespaces, client: str, server: str, address: str) -> int:
    """Bytes that a TCP server got."""
    words = [sys.executable, "-c", SERVER, address]
    with subprocess.Popen(network.inside(server, *words), stdout=subprocess.PIPE) as listening:
        assert listening.stdout is not None and listening.stdout.readline() == b"ready\n"
        try:
            network.run(client, sys.executable, "-c", CLIENT, address)
            return int(listening.stdout.readline())
        finally:
            listening.kill()


LOST = ("rx_merged", "rx_too_long", "rx_too_short", "rx_failed", "tx_failed")


def test_two_machines_and_a_nic_between_them(
    network: Namespaces, digits: Bundle, samples: AnyArray, tmp_path: Path
) -> None:
    np.savez(tmp_path / "in.npz", in0=samples[:6])
    root = str(digits.root)
    cloud = midwire(network, "far", "cloud", root, "--listen", f"{FAR}:5220")
    with cloud:
        cloud.ready(30)
        between = ["--transport", "interfaces", "--interface", "left", "--interface", "right"]
        hop = ["--listen", f"{FAR}:5220", "--next", f"{FAR}:5220", "--next-mac", FAR_MAC]
        nic = midwire(network, "middle", "nic", root, *between, *hop, "--stats", "0.2")
        with nic:
            assert nic.ready(120)["transport"] == "interfaces"
            # Everybody else's packets: address resolution and TCP, both ways.
            assert talk(network, "near", "far", FAR) == 200_000
            assert talk(network, "far", "near", NEAR) == 200_000
            where = ["--target", f"{FAR}:5220", "--bind", f"{NEAR}:0"]
            options = ["--inputs", str(tmp_path / "in.npz"), "--decline", "2"]
            edge = midwire(network, "near", "edge", root, *where, *options)
            with edge:
                edge.ready(30)
                events: list[dict[str, Any]] = list(iter(edge.events.get, None))
            replies = [event for event in events if event["event"] == "reply"]
            assert [e["executed_by"] for e in replies] == ["nic"] * 6 + ["cloud"]
            assert replies[2]["slice_sha256"] == replies[6]["slice_sha256"]
            assert replies[6]["declined"] == "policy"
            last = [event for event in nic.stop() if event.get("event") == "stopped"][-1]
    assert last["pipeline"]["results"] == 6
    assert last["rx_frames"] == last["tx_frames"] == last["frames_in"]
    assert all(last[name] == 0 for name in LOST)


SENDER = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
    port.settimeout(20)
    port.sendto(bytes.fromhex(sys.argv[2]), (sys.argv[1], 5220))
    data, (host, number) = port.recvfrom(2000)
    print(data.hex(), host, number)
"""


def test_a_sender_is_asked_on_its_own_side(network: Namespaces, digits: Bundle) -> None:  # W8
    """What the NIC asks for leaves where its sender is, in the name of whom it was sent to."""
    model, total = digits.model_hash, digits.manifest.inputs[0].wire_bytes
    header = Header(model_hash=model, request_id=7, deadline_us=10**6)
    first = next(datagrams(header, bytes(total), 236))
    between = ["--transport", "interfaces", "--interface", "left", "--interface", "right"]
    hop = ["--listen", f"{FAR}:5220", "--next", f"{FAR}:5220", "--next-mac", FAR_MAC]
    options = [*between, *hop, "--datapath", "reference"]
    with midwire(network, "middle", "nic", str(digits.root), *options) as nic:
        nic.ready(120)
        words = network.inside("near", sys.executable, "-c", SENDER, FAR, first.hex())
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        last = [event for event in nic.stop() if event.get("event") == "stopped"][-1]
    data, *source = done.stdout.split()
    asking = decode(bytes.fromhex(data))
    assert source == [FAR, "5220"]
    assert (asking.message_type, asking.request_id) == (MessageType.MISSING, 7)
    assert bytes.fromhex(data)[64:] == bytes([0b0111_0000, *bytes(7)])
    assert last["pipeline"]["asked"] >= 1
    assert all(last[name] == 0 for name in LOST)


def test_an_interface_that_is_not_there_is_said(passthrough: Path) -> None:
    words = ["--transport", "interfaces", "--interface", "nosuch0", "--interface", "nosuch1"]
    done = subprocess.run(
        [str(passthrough), *words, "--listen", "10.0.0.1:1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    expected = (
        "no interface nosuch0" if os.geteuid() == 0 else "it needs the capability CAP_NET_RAW"
    )
    assert expected in done.stderr


TAGGED = """
import socket
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
    out.bind(("eth0", 0))
    head = bytes.fromhex("020000000202" "020000000101")
    out.send(head + bytes.fromhex("8100" "6005" "88b5") + bytes(range(50)))
    out.send(head + bytes.fromhex("88b5") + bytes(range(50)))
"""
LISTENER = """
import socket, struct
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(0x0003)) as port:
    port.bind(("eth0", 0x0003))
    port.setsockopt(263, 8, 1)  # PACKET_AUXDATA: tags are told beside the frame
    print("ready", flush=True)
    found = []
    while len(found) < 2:
        data, [(_, _, about)], _, _ = port.recvmsg(2000, socket.CMSG_SPACE(20))
        if data[12:14] == bytes.fromhex("88b5") and data[14:] == bytes(range(50)):
            found.append(hex(struct.unpack("=IIIHHHH", about)[5]))
    print(*found)
"""


def test_vlan_tags_stay(network: Namespaces, passthrough: Path) -> None:
    between = ["--transport", "interfaces", "--interface", "left", "--interface", "right"]
    words = [str(passthrough), *between, "--listen", f"{FAR}:5220", "--quiet", "100"]
    listener = network.inside("far", sys.executable, "-c", LISTENER)
    with (
        Child("pipeline", network.inside("middle", *words)) as nic,
        subprocess.Popen(listener, stdout=subprocess.PIPE, text=True) as listening,
    ):
        try:
            nic.ready(30)
            nic.tell("start")
            assert listening.stdout is not None and listening.stdout.readline() == "ready\n"
            network.run("near", sys.executable, "-c", TAGGED)
            assert listening.communicate(timeout=20)[0] == "0x6005 0x0\n"
        finally:
            listening.kill()


STATIONS = """
import socket
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
    out.bind(("eth0", 0))
    for number in (0x00, 0x10, 0x20):  # equal in their last bytes, and to nobody known
        source = bytes([2, 0, 0, number, 0xAA, 0xAA])
        out.send(bytes.fromhex("020000000099") + source + bytes.fromhex("88b5") + bytes(range(50)))
"""
NEIGHBOUR = """
import socket
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(0x88B5)) as port:
    port.bind(("eth0", 0x88B5))
    port.settimeout(10)
    print("ready", flush=True)
    print(*(port.recv(2000)[6:12].hex() for _ in range(3)))
"""


def test_stations_are_told_apart_by_their_whole_address(
    network: Namespaces, passthrough: Path
) -> None:
    """No frame goes back to where it came from, though all were seen before the first one left."""
    between = ["--transport", "interfaces", "--interface", "left", "--interface", "right"]
    words = [str(passthrough), *between, "--listen", f"{FAR}:5220", "--quiet", "100"]
    listener = network.inside("near", sys.executable, "-c", NEIGHBOUR)
    with (
        Child("pipeline", network.inside("middle", *words)) as nic,
        subprocess.Popen(listener, stdout=subprocess.PIPE, text=True) as listening,
    ):
        try:
            nic.ready(30)
            assert listening.stdout is not None and listening.stdout.readline() == "ready\n"
            network.run("far", sys.executable, "-c", STATIONS)
            nic.tell("start")
            found = listening.communicate(timeout=20)[0]
            assert found == "02000000aaaa 02000010aaaa 02000020aaaa\n"
        finally:
            listening.kill()


MERGES = """
import socket, sys, time
with socket.create_connection((sys.argv[1], 7000), timeout=20) as peer:
    peer.sendall(bytes(4000))
    time.sleep(0.5)
"""


def test_frames_that_come_merged_are_counted_as_such(
    network: Namespaces, passthrough: Path
) -> None:
    network.run("near", "ip", "link", "set", "eth0", "gso_max_segs", "64")
    between = ["--transport", "interfaces", "--interface", "left", "--interface", "right"]
    words = [str(passthrough), *between, "--listen", f"{FAR}:5220", "--quiet", "100"]
    listener = network.inside("far", sys.executable, "-c", SERVER, FAR)
    with (
        Child("pipeline", network.inside("middle", *words)) as nic,
        subprocess.Popen(listener, stdout=subprocess.PIPE) as listening,
    ):
        try:
            nic.ready(30)
            nic.tell("start")
            assert listening.stdout is not None and listening.stdout.readline() == b"ready\n"
            network.run("near", sys.executable, "-c", MERGES, FAR)
            nic.tell("stats")
            counted = nic.events.get(timeout=5)
        finally:
            listening.kill()
    assert counted is not None and counted["rx_merged"] > 0
    assert [counted[name] for name in LOST[1:]] == [0, 0, 0, 0]


FLOOD = """
import socket, sys, time
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
    out.sendto(bytes.fromhex(sys.argv[3]), (sys.argv[1], int(sys.argv[2])))
    for i in range(8000):
        out.sendto(bytes(1400), (sys.argv[1], int(sys.argv[2])))
        if i % 200 == 0:
            time.sleep(0.02)
"""


def statistics(child: Child) -> dict[str, Any]:
    child.tell("stats")
    event = child.events.get(timeout=30)
    assert event is not None
    return event


def test_a_way_out_that_is_full_is_waited_for(network: Namespaces, passthrough: Path) -> None:
    """One socket is full, the others could be written to: the loop sleeps all the same."""
    slow = ["root", "tbf", "rate", "8kbit", "burst", "10000", "limit", "100000000"]
    network.run("near", "ip", "neighbour", "add", FAR, "lladdr", FAR_MAC, "dev", "eth0")
    network.run("near", "tc", "qdisc", "add", "dev", "eth0", *slow)
    wire = UdpWire((NEAR, 0), [(FAR, 9)], [ANYBODY])
    words = [str(passthrough), *wire.words(), "--quiet", "100"]
    with Child("pipeline", network.inside("near", *words)) as nic:
        host, _, port = nic.ready(30)["listen"].partition(":")
        nic.tell("start")
        network.run("near", sys.executable, "-c", FLOOD, host, port, HELLO.hex())
        first, second = statistics(nic), statistics(nic)
        while second["tx_datagrams"] - first["tx_datagrams"] > 1:  # it is still at the flood
            time.sleep(0.2)
            first, second = second, statistics(nic)
        before = cpu_ticks(nic.pid)
        time.sleep(1.0)
        assert cpu_ticks(nic.pid) - before <= 5
        second = statistics(nic)
    # It was full indeed: there is no room for more in the loop, and next to nothing leaves.
    assert first["rx_datagrams"] > first["tx_datagrams"] > 0
    assert second["tx_datagrams"] - first["tx_datagrams"] < 100


def test_what_the_kernel_drops_between_interfaces_is_counted(
    network: Namespaces, passthrough: Path
) -> None:
    network.run("near", "ip", "neighbour", "add", FAR, "lladdr", FAR_MAC, "dev", "eth0")
    between = ["--transport", "interfaces", "--interface", "left", "--interface", "right"]
    words = [str(passthrough), *between, "--listen", f"{FAR}:5220", "--quiet", "100"]
    with Child("pipeline", network.inside("middle", *words)) as nic:
        nic.ready(30)
        network.run("near", sys.executable, "-c", FLOOD, FAR, "9", "00")
        full = statistics(nic)
        assert full["rx_kernel_dropped"] > 0 and full["rx_frames"] == 0  # it has not been started
        nic.tell("start")
        until = time.monotonic() + 30
        while (after := statistics(nic))["rx_frames"] + after["rx_kernel_dropped"] < 8001:
            assert time.monotonic() < until, after
            time.sleep(0.1)
