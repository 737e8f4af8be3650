# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""A bump in the wire between two interfaces: each rule of it, one by one."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from itertools import chain
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
from .crafted import cut, train
from .namespaces import (
    ADDRESSES,
    FAR,
    FAR_MAC,
    LOOP,
    NEAR,
    SIDES,
    Namespaces,
    kernel_counters,
    midwire,
)

SERVER = """
import hashlib, socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
with socket.create_server((sys.argv[1], 7000), family=family) as server:
    print("ready", flush=True)
    peer, _ = server.accept()
    print(hashlib.sha256(b"".join(iter(lambda: peer.recv(65536), b""))).hexdigest())
"""
CLIENT = """
import random, socket, sys
with socket.create_connection((sys.argv[1], 7000), timeout=20) as peer:
    peer.sendall(random.Random(1).randbytes(int(sys.argv[2])))
"""


def arrives(network: Namespaces, client: str, server: str, address: str, size: int) -> bool:
    """Whether a TCP server got every byte, in order."""
    words = network.inside(server, sys.executable, "-c", SERVER, address)
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as listening:
        assert listening.stdout is not None and listening.stdout.readline() == "ready\n"
        try:
            network.python(client, CLIENT, address, str(size))
            data = random.Random(1).randbytes(size)
            return listening.stdout.readline().strip() == hashlib.sha256(data).hexdigest()
        finally:
            listening.kill()


LOST = ("rx_not_cut", "rx_too_long", "rx_too_short", "rx_failed", "tx_failed")


def test_two_machines_and_a_nic_between_them(
    network: Namespaces, digits: Bundle, samples: AnyArray, tmp_path: Path
) -> None:
    np.savez(tmp_path / "in.npz", in0=samples[:6])
    root = str(digits.root)
    cloud = midwire(network, "far", "cloud", root, "--listen", f"{FAR}:5220")
    with cloud:
        cloud.ready(30)
        hop = ["--next", f"{FAR}:5220", "--next-mac", FAR_MAC]
        nic = midwire(network, "middle", "nic", root, "--wire", *SIDES, *hop, "--stats", "0.2")
        with nic:
            assert nic.ready(120)["transport"] == "interfaces"
            # Everybody else's packets: address resolution and TCP, both ways.
            assert arrives(network, "near", "far", FAR, 200_000)
            assert arrives(network, "far", "near", NEAR, 200_000)
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
    assert last["rx_frames"] == last["frames_in"] + last["frames_answered"]
    assert last["tx_frames"] == last["frames_out"] + last["frames_again"]
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
    hop = ["--listen", f"{FAR}:5220", "--next", f"{FAR}:5220", "--next-mac", FAR_MAC]
    options = ["--wire", *SIDES, *hop, "--datapath", "reference"]
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
    words = [str(passthrough), *LOOP]
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
    words = [str(passthrough), *LOOP]
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


def wrong_checksums(network: Namespaces) -> list[str]:
    """Which checksums were wrong on either machine."""
    counted = (kernel_counters(network, name).items() for name in ADDRESSES)

    return [
        f"{key} {number}"
        for key, number in chain(*counted)
        if number and key.endswith("CsumErrors")
    ]


@pytest.mark.parametrize("which", [0, 1])
def test_a_virtual_interface_hands_on_trains_and_tcp_bears_it(
    which: int, network: Namespaces, passthrough: Path
) -> None:
    """Nobody switches anything off: what TCP left to the hardware to cut is cut in the loop."""
    with Child("pipeline", network.inside("middle", str(passthrough), *LOOP)) as nic:
        nic.ready(30)
        nic.tell("start")
        assert arrives(network, "near", "far", ADDRESSES["far"][which], 300_000)
        counted = statistics(nic)
    assert counted["rx_merged"] > 0
    assert counted["rx_frames"] == counted["tx_frames"] > 200
    assert [counted[name] for name in LOST] == [0] * len(LOST)
    assert wrong_checksums(network) == []


RAW_OUT = """
import socket, sys
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
    out.bind(("eth0", 0))
    out.setsockopt(263, 15, 1)  # PACKET_VNET_HDR
    out.send(bytes.fromhex(sys.argv[1]))
"""
RAW_IN = """
import socket, struct, sys
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as port:
    port.setsockopt(263, 8, 1)  # PACKET_AUXDATA: tags are told beside the frame
    port.bind(("eth0", 0x0003))
    port.settimeout(10)
    print("ready", flush=True)
    found = []
    while len(found) < int(sys.argv[1]):
        data, [(_, _, about)], _, _ = port.recvmsg(70000, socket.CMSG_SPACE(20))
        status, *_, control, protocol = struct.unpack("=IIIHHHH", about)
        if status & 16:
            data = data[:12] + struct.pack(">HH", protocol, control) + data[12:]
        if data[:12] == bytes.fromhex("020000000202" "020000000101"):
            found.append(data.hex())
    print(*found)
"""
TAG = bytes.fromhex("81006005")
TWO_TAGS = bytes.fromhex("88a8000781006005")


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("tag", [b"", TAG, TWO_TAGS])
@pytest.mark.parametrize(("size", "chunk"), [(3500, 1000), (9000, 8940), (1204, 301)])
def test_a_train_is_cut_into_the_frames_that_it_was_made_of(
    version: int, tag: bytes, size: int, chunk: int, network: Namespaces, passthrough: Path
) -> None:
    """Every byte of them: lengths, identification, sequence numbers, flags and checksums."""
    network.mtu(9008)  # with room for two tags: the kernel allows one 802.1Q tag beyond it at most
    payload = random.Random(size).randbytes(size)
    expected = cut(version, tag, payload, chunk)
    words = network.inside("far", sys.executable, "-c", RAW_IN, str(len(expected)))
    with (
        Child("pipeline", network.inside("middle", str(passthrough), *LOOP)) as nic,
        subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as listening,
    ):
        try:
            nic.ready(30)
            nic.tell("start")
            assert listening.stdout is not None and listening.stdout.readline() == "ready\n"
            network.python("near", RAW_OUT, train(version, tag, payload, chunk).hex())
            found = listening.communicate(timeout=20)[0].split()
            counted = statistics(nic)
        finally:
            listening.kill()
    assert found == [item.hex() for item in expected]
    assert counted["rx_merged"] == 1


TRAIN = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
with socket.socket(family, socket.SOCK_DGRAM) as out:
    out.setsockopt(socket.IPPROTO_UDP, 103, 1000)  # UDP_SEGMENT
    out.sendto(bytes(range(250)) * 15, (sys.argv[1], 7000))
"""
DATAGRAMS = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
with socket.socket(family, socket.SOCK_DGRAM) as port:
    port.bind((sys.argv[1], 7000))
    port.settimeout(10)
    print("ready", flush=True)
    found = [port.recv(2000) for _ in range(4)]
    assert b"".join(found) == bytes(range(250)) * 15
    print(*map(len, found))
"""


@pytest.mark.parametrize("which", [0, 1])
def test_a_train_of_datagrams_is_cut_too(
    which: int, network: Namespaces, passthrough: Path
) -> None:
    address = ADDRESSES["far"][which]
    words = network.inside("far", sys.executable, "-c", DATAGRAMS, address)
    with (
        Child("pipeline", network.inside("middle", str(passthrough), *LOOP)) as nic,
        subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as listening,
    ):
        try:
            nic.ready(30)
            nic.tell("start")
            assert listening.stdout is not None and listening.stdout.readline() == "ready\n"
            network.python("near", TRAIN, address)
            assert listening.communicate(timeout=20)[0] == "1000 1000 1000 750\n"
            counted = statistics(nic)
        finally:
            listening.kill()
    assert counted["rx_merged"] == 1
    assert wrong_checksums(network) == []


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
    network.know_each_other()
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


BURST = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
    for size in (0, *[3000] * 9, 500, 500):
        data = bytes.fromhex(sys.argv[3]) if not size else bytes(size)
        out.sendto(data, (sys.argv[1], int(sys.argv[2])))
"""
SIZES = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
    port.bind((sys.argv[1], 7000))
    port.settimeout(10)
    print("ready", flush=True)
    print(*(len(port.recv(9000)) for _ in range(12)))
"""


def test_datagrams_longer_than_the_mtu_leave_one_by_one(
    network: Namespaces, passthrough: Path
) -> None:
    """The kernel cuts no train into what it would have to make fragments of."""
    network.bridge()
    wire = UdpWire((NEAR, 0), [(FAR, 7000)], [ANYBODY])
    words = network.inside("far", sys.executable, "-c", SIZES, FAR)
    near = network.inside("near", str(passthrough), *wire.words(), "--quiet", "100")
    with (
        Child("pipeline", near) as nic,
        subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as listening,
    ):
        try:
            host, _, port = nic.ready(30)["listen"].partition(":")
            assert listening.stdout is not None and listening.stdout.readline() == "ready\n"
            network.python("near", BURST, host, port, HELLO.hex())
            nic.tell("start")  # all of them are there when it looks
            found = listening.communicate(timeout=20)[0].split()
            counted = statistics(nic)
        finally:
            listening.kill()
    assert found == [str(size) for size in (len(HELLO), *[3000] * 9, 500, 500)]
    assert (counted["tx_datagrams"], counted["tx_failed"]) == (12, 0)


def test_what_the_kernel_drops_between_interfaces_is_counted(
    network: Namespaces, passthrough: Path
) -> None:
    network.know_each_other()
    words = [str(passthrough), *LOOP]
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


PROBES = """
import socket, sys, time
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
    out.bind(("eth0", 0))
    for number in range(int(sys.argv[1])):
        out.send(bytes.fromhex(sys.argv[2]) + number.to_bytes(4, "big") + bytes(int(sys.argv[3])))
"""
GROUP = bytes.fromhex("3333000000fb02000000010188b5")  # multicast, from the near machine


def probe(network: Namespaces, count: int) -> None:
    network.python("near", PROBES, str(count), GROUP.hex(), "1382")


def test_an_interface_that_goes_down_is_waited_for(network: Namespaces, passthrough: Path) -> None:
    with Child("pipeline", network.inside("middle", str(passthrough), *LOOP)) as nic:
        nic.ready(30)
        nic.tell("start")
        assert arrives(network, "near", "far", FAR, 20_000)
        network.run("middle", "ip", "link", "set", "right", "down")
        before = cpu_ticks(nic.pid)
        probe(network, 10)
        time.sleep(0.5)
        assert cpu_ticks(nic.pid) - before <= 10
        down = statistics(nic)
        assert down["rx_failed"] == 1 and down["tx_failed"] >= 10
        network.run("middle", "ip", "link", "set", "right", "up")
        assert arrives(network, "near", "far", FAR, 20_000)
        assert arrives(network, "far", "near", NEAR, 20_000)
        assert statistics(nic)["rx_failed"] == 1


def test_an_interface_that_is_removed_ends_it_with_a_sentence(
    network: Namespaces, passthrough: Path
) -> None:
    with Child("pipeline", network.inside("middle", str(passthrough), *LOOP)) as nic:
        nic.ready(30)
        nic.tell("start")
        network.run("middle", "ip", "link", "delete", "left")
        assert nic.events.get(timeout=20) is None
        lost = str(nic.lost())
    assert "status 1" in lost and "the interface left was removed" in lost


GRO = """
import array, fcntl, socket, struct, sys
GET, SET = 0x2B, 0x2C
name, *value = sys.argv[1:]
about = array.array("I", [SET if value else GET, int(*value)])
with socket.socket() as port:
    fcntl.ioctl(port, 0x8946, struct.pack("16sP", name.encode(), about.buffer_info()[0]))
print(about[1])
"""


def changed_things(network: Namespaces) -> list[str]:
    """Which of the interfaces in the middle merge what arrives, and which are promiscuous."""
    found = []
    for side in SIDES:
        if network.python("middle", GRO, side) == "1\n":
            found.append(f"{side} merges")
        if "promiscuity 0" not in network.run("middle", "ip", "-details", "link", "show", side):
            found.append(f"{side} is promiscuous")
    return found


@pytest.mark.parametrize("ended_by", ["stop", "removal", "failure"])
def test_interfaces_are_left_as_they_were(
    ended_by: str, network: Namespaces, passthrough: Path
) -> None:
    middle, far = network.pids["middle"], network.pids["far"]
    network.python("middle", GRO, "left", "0")
    network.python("middle", GRO, "right", "1")
    assert changed_things(network) == ["right merges"]
    more = ["--nonsense", "1"] if ended_by == "failure" else []
    with Child("pipeline", network.inside("middle", str(passthrough), *LOOP, *more)) as nic:
        if ended_by != "failure":
            nic.ready(30)
            assert changed_things(network) == ["left is promiscuous", "right is promiscuous"]
        if ended_by == "removal":
            nic.tell("start")
            network.run("middle", "ip", "link", "set", "left", "netns", str(far.pid))
        if ended_by != "stop":
            assert nic.wait(20) == 1
    if ended_by == "removal":
        network.run("far", "ip", "link", "set", "left", "netns", str(middle.pid))
    assert changed_things(network) == ["right merges"]


def test_a_burst_over_a_process_that_stands_still_is_counted(
    network: Namespaces, passthrough: Path
) -> None:
    """Sent is through and dropped, to the frame."""
    count = 8000
    with Child("pipeline", network.inside("middle", str(passthrough), *LOOP)) as nic:
        nic.ready(30)
        nic.tell("start")
        quiet = statistics(nic)
        os.kill(nic.pid, signal.SIGSTOP)
        try:
            probe(network, count)
        finally:
            os.kill(nic.pid, signal.SIGCONT)
        after = statistics(nic)
        until = time.monotonic() + 60
        while (more := statistics(nic))["tx_frames"] > after["tx_frames"]:
            assert time.monotonic() < until
            after = more
            time.sleep(0.5)
    through = after["tx_frames"] - quiet["tx_frames"]
    dropped = after["rx_kernel_dropped"] - quiet["rx_kernel_dropped"]
    assert dropped > 0 and through > 1000
    others = through + dropped - count  # what the machines tell each other meanwhile (MLD)
    assert 0 <= others <= 20
    assert [after[name] for name in LOST] == [0] * len(LOST)


FROM_FAR = bytes.fromhex("3333000000fb02000000020288b5")
CROWDED = """
import socket
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as port:
    port.setsockopt(263, 23, 1)  # PACKET_IGNORE_OUTGOING
    port.bind(("eth0", 0x88B5))
    port.settimeout(10)
    print("ready", flush=True)
    print(*(int.from_bytes(port.recv(2000)[14:18], "big") for _ in range(200)))
"""


def test_a_crowd_on_one_side_keeps_out_nothing_of_the_other(
    network: Namespaces, passthrough: Path
) -> None:
    """More comes on one side than the pipeline can take; what comes on the other gets through."""
    crowd_words = network.inside(
        "near", sys.executable, "-c", PROBES, "10000000", GROUP.hex(), "1382"
    )
    words = network.inside("near", sys.executable, "-c", CROWDED)
    with (
        Child("pipeline", network.inside("middle", str(passthrough), *LOOP)) as nic,
        subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as listening,
        subprocess.Popen(crowd_words) as crowd,
    ):
        try:
            nic.ready(30)
            nic.tell("start")
            assert listening.stdout is not None and listening.stdout.readline() == "ready\n"
            while statistics(nic)["rx_kernel_dropped"] == 0:
                time.sleep(0.1)
            network.python("far", PROBES, "200", FROM_FAR.hex(), "42")
            found = listening.communicate(timeout=30)[0]
            assert crowd.poll() is None
        finally:
            crowd.kill()
            listening.kill()
    assert found.split() == [str(number) for number in range(200)]
