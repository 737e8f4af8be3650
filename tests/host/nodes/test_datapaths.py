# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The numpy reference and the Verilated pipeline, on the same recorded frames."""

from __future__ import annotations

import copy
import os
import signal
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Dot1Q, Ether

from midwire.host.client.edge_client import EdgeClient
from midwire.host.client.requests import Request
from midwire.host.errors import NodeLostError
from midwire.host.model_parts import load_part
from midwire.host.nodes import reference_helper
from midwire.host.nodes.nic_process import FileWire, UdpWire, start_nic
from midwire.host.nodes.reference_helper import ReferenceHelper
from midwire.host.wire import message
from midwire.host.wire.tensors import fingerprint_of, to_buffers
from midwire.host.wire.udp import UdpPort
from midwire.hw.console import Console
from midwire.hw.formats import csr, fragments
from midwire.hw.formats.bundle import Bundle
from midwire.hw.formats.tensor import AnyArray, Layout, TensorSpec
from midwire.hw.formats.wire import (
    DeclineReason,
    Header,
    MessageType,
    WireError,
    decode,
    encode,
)
from midwire.hw.kernels.reference import Reference
from midwire.hw.numeric import QType

from ..conftest import Cloud, changed, cpu_ticks, send, straight
from .recordings import ethernet, frame, read_pcap, write_pcap

HERE = ("127.0.0.1", 0)
CLIENT, NIC, HOP = ("10.0.0.1", 4000), ("10.0.0.2", 5210), ("10.0.0.3", 5220)
ELSEWHERE = ("10.0.0.9", 5210)
SMALL_MTU = 236  # 128 tensor bytes a fragment: four for the digits


@pytest.fixture(scope="module")
def tensor(digits: Bundle, samples: AnyArray) -> bytes:
    wires = load_part(digits, "edge").run([samples[0]])
    return b"".join(to_buffers(digits.manifest.inputs, wires))


def replay(
    digits: Bundle, datapath: str, frames: Sequence[bytes], folder: Path
) -> tuple[list[bytes], dict[str, Any]]:
    wire = FileWire(folder / "in.pcap", folder / f"{datapath}.pcap")
    write_pcap(wire.read, frames)
    with start_nic(digits, wire, HOP, datapath=datapath, listen=NIC) as running:
        [last] = running.events()
    return read_pcap(wire.write), last["pipeline"]


def strangers(header: Header, tensor: bytes) -> list[bytes]:
    """Frames of every fate but declined and collected."""
    sound = encode(replace(header, last=True, total_bytes=len(tensor))) + tensor
    broken = bytearray(sound)
    broken[20] ^= 1
    whole = frame(sound, CLIENT, NIC)
    datagrams = [
        b"MW",
        b"XX" + sound[2:],
        sound[:2] + b"\x07" + sound[3:],
        bytes(broken),
        changed(sound, message_type=MessageType.REPLY),
        sound[:-8],
        sound + bytes(8),
        changed(sound, fragment_index=3),
        changed(sound, hop_limit=0),
    ]
    return [
        *(frame(data, CLIENT, NIC) for data in datagrams),
        frame(sound, CLIENT, ELSEWHERE),
        frame(sound, CLIENT, (NIC[0], 5211)),
        frame(sound, CLIENT, NIC, frag=3),
        bytes(ethernet() / Dot1Q(vlan=5) / whole[14:]),
        bytes(ethernet(type=0x88B5) / (b"x" * 46)),
        whole[:-1] + bytes([whole[-1] ^ 1]),  # UDP checksum
        whole[:24] + b"\x12\x34" + whole[26:],  # IPv4 checksum
        whole[:60],
    ]


def declined(header: Header, tensor: bytes) -> list[bytes]:
    """Frames that nobody executes, each for a reason of its own, or that nobody is asked for."""
    sound = encode(replace(header, last=True, total_bytes=len(tensor))) + tensor
    changes: list[dict[str, Any]] = [
        {"tenant": 9},
        {"model_hash": bytes(8)},
        {"cursor": 1},
        {"slice_count": 2},
        {"epoch": 3},
        {"tensor_index": 1, "source_count": 2},
        {"may_execute": False},
        {"deadline_us": 0},
        {"cursor": 1, "result": True, "cycles": 5},
        {"tenant": 9, "result": True, "declined": True, "reason": DeclineReason.BUSY},
        {"epoch": 3, "result": True},
    ]
    found = [changed(sound, **change) for change in changes]
    found.append(changed(sound, tensor + bytes(16), encrypted=True))
    found.append(changed(sound, tensor[:-1], total_bytes=len(tensor) - 1))
    return [frame(data, CLIENT, NIC, tos=8, ttl=33) for data in found]


def header_of(data: bytes) -> Header | None:
    """The midwire header of a frame; None if it has no good one."""
    try:
        return decode(data[42:])
    except WireError:
        return None


def timeless(frames: Sequence[bytes]) -> list[bytes]:
    """Frames without what time makes of them: deadline, cycles, and the checksum over these."""
    found = []
    for data in frames:
        if header_of(data) is not None:
            datagram = changed(data[42:], deadline_us=0, cycles=0, telemetry=False)
            data = data[:40] + b"\0\0" + datagram
        found.append(data)
    return sorted(found)


def test_both_datapaths_give_the_same_frames_and_counters(
    digits: Bundle, tensor: bytes, tmp_path: Path
) -> None:
    header = Header(model_hash=digits.model_hash, request_id=7, deadline_us=10**6, resend=True)
    other = replace(header, request_id=8)
    one = [frame(d, CLIENT, NIC) for d in fragments.datagrams(header, tensor, SMALL_MTU)]
    two = [frame(d, CLIENT, NIC, ttl=7) for d in fragments.datagrams(other, tensor)]
    # The Verilated pipeline has one slot: time for the first request to leave it.
    gap = [frame(bytes(1000), CLIENT, ELSEWHERE)] * 60
    frames = [*strangers(header, tensor), *declined(header, tensor), *one, *gap, *two]
    rtl, counted_rtl = replay(digits, "rtl", frames, tmp_path)
    reference, counted = replay(digits, "reference", frames, tmp_path)
    assert timeless(rtl) == timeless(reference)
    assert counted == counted_rtl
    assert counted["results"] == 2 and counted["frames_in"] == len(frames)
    assert {name for name, count in counted.items() if not count} == {
        "evicted", "dropped_bad_frame", "declined_busy", "declined_out_of_order",
    }  # fmt: skip


def test_checksums_of_the_reference_are_right(
    digits: Bundle, tensor: bytes, tmp_path: Path
) -> None:
    header = Header(model_hash=digits.model_hash, request_id=7, deadline_us=10**6)
    one = [frame(d, CLIENT, NIC) for d in fragments.datagrams(header, tensor, SMALL_MTU)]
    sent, _ = replay(digits, "reference", [*declined(header, tensor), *one], tmp_path)
    assert len(sent) == 14
    for data in sent:
        read, again = Ether(data), Ether(data)
        del again[IP].chksum, again[UDP].chksum
        again = Ether(bytes(again))
        assert (read[IP].chksum, read[UDP].chksum) == (again[IP].chksum, again[UDP].chksum)
        assert (read[IP].dst, read[UDP].dport, read[IP].src) == (*HOP, CLIENT[0])


def test_the_reference_executes_as_numpy_does(digits: Bundle, samples: AnyArray) -> None:
    with (
        Cloud(digits) as far,
        start_nic(
            digits, UdpWire(HERE, [far.port.address]), far.port.address, datapath="reference"
        ) as nic,
        EdgeClient(digits, straight(nic.address), window=16, mtu=SMALL_MTU) as client,
    ):
        wires = [client.part.run([x])[0].ravel() for x in samples[:64]]
        [right] = Reference.of_bundle(digits).run_wire([np.stack(wires)])
        for outcome in client.stream(Request([x], tag=i) for i, x in enumerate(samples[:64])):
            assert outcome.error is None
            assert (outcome.executed_by, outcome.declined, outcome.cycles) == ("nic", "", 0)
            expected = fingerprint_of(digits.manifest.outputs, [right[outcome.request.tag]])
            assert outcome.slice_sha256 == expected
        counted = nic.statistics()["pipeline"]
    assert (counted["requests"], counted["results"], counted["evicted"]) == (64, 64, 0)


def test_the_reference_takes_fragments_in_any_order_and_gives_up_lost_ones(
    digits: Bundle, tensor: bytes
) -> None:
    header = Header(model_hash=digits.model_hash, request_id=7, deadline_us=10**6)
    pieces = list(fragments.datagrams(header, tensor, SMALL_MTU))
    with UdpPort() as hop, UdpPort() as client:
        wire = UdpWire(HERE, [hop.address])
        with start_nic(digits, wire, hop.address, datapath="reference") as nic:
            nic.bus.write("timeout", 200_000 * nic.bus.read("clock_mhz"))  # 0.2 s
            for piece in (pieces[2], pieces[0], pieces[0], pieces[3], pieces[1]):
                send(client, piece, len(piece), nic.address)
            [result] = [bytes(data) for data, _ in hop.receive(5.0)]
            found, payload = message.parse(memoryview(result))
            assert (found.result, found.cursor, found.hop_limit) == (True, 1, 7)
            assert found.deadline_us < 10**6 and not found.telemetry
            assert len(payload) == digits.manifest.outputs[0].wire_bytes
            part = changed(pieces[0], request_id=8)
            send(client, part, len(part), nic.address)
            assert list(hop.receive(0.5)) == []
            assert nic.bus.read("evicted") == 1
            assert nic.bus.read("status") == 0
            nic.bus.write("timeout", 1)  # a cycle is less than a microsecond, but only 0 is never
            send(client, part, len(part), nic.address)
            assert list(hop.receive(0.2)) == []
            assert (nic.bus.read("evicted"), nic.bus.read("status")) == (2, 0)


@pytest.mark.parametrize("datapath", ["rtl", "reference"])
def test_a_request_that_is_never_given_up_costs_nothing(
    digits: Bundle, tensor: bytes, datapath: str
) -> None:
    """``timeout`` 0: it waits for its fragments, and the simulation sleeps meanwhile."""
    header = Header(model_hash=digits.model_hash, request_id=7, deadline_us=10**6)
    pieces = list(fragments.datagrams(header, tensor, SMALL_MTU))
    with UdpPort() as hop, UdpPort() as client:
        wire = UdpWire(HERE, [hop.address])
        with start_nic(digits, wire, hop.address, datapath=datapath) as nic:
            nic.bus.write("timeout", 0)
            for piece in pieces[:2]:
                send(client, piece, len(piece), nic.address)
            assert list(hop.receive(0.3)) == []
            before = cpu_ticks(nic.about["pid"])
            assert list(hop.receive(1.0)) == []
            assert cpu_ticks(nic.about["pid"]) - before <= 2
            assert nic.bus.read("status") == csr.STATUS_COLLECTING
            for piece in pieces[2:]:
                send(client, piece, len(piece), nic.address)
            [result] = [bytes(data) for data, _ in hop.receive(10.0)]
            assert decode(result).result
            send(client, pieces[0], len(pieces[0]), nic.address)
            assert list(hop.receive(0.3)) == []
            nic.bus.write("timeout", 1)  # time passes for it again
            assert list(hop.receive(0.3)) == []
            assert (nic.bus.read("evicted"), nic.bus.read("status")) == (1, 0)


@pytest.mark.parametrize("datapath", ["rtl", "reference"])
def test_a_request_that_lacks_fragments_is_waited_for_asleep(
    digits: Bundle, tensor: bytes, datapath: str
) -> None:
    """For as long as the registers say, in real time, and without a loop that spins."""
    header = Header(model_hash=digits.model_hash, request_id=7, deadline_us=10**6)
    stray = next(fragments.datagrams(header, tensor, SMALL_MTU))
    with UdpPort() as hop, UdpPort() as client:
        wire = UdpWire(HERE, [hop.address])
        with start_nic(digits, wire, hop.address, datapath=datapath) as nic:
            nic.bus.write("timeout", 2_000_000 * nic.bus.read("clock_mhz"))  # 2 s
            send(client, stray, len(stray), nic.address)
            assert list(hop.receive(0.5)) == []
            ticks, before = cpu_ticks(nic.about["pid"]), nic.statistics()
            assert list(hop.receive(1.0)) == []
            after = nic.statistics()
            assert cpu_ticks(nic.about["pid"]) - ticks < 50
            if datapath == "rtl":
                assert after["cycles"] - before["cycles"] < 10_000
            assert nic.bus.read("status") == csr.STATUS_COLLECTING
            assert after["pipeline"]["evicted"] == 0
            until = time.monotonic() + 10
            while nic.bus.read("status") and time.monotonic() < until:
                time.sleep(0.05)
            assert nic.bus.read("evicted") == 1


def test_a_fragment_keeps_its_time_whatever_else_comes(digits: Bundle, tensor: bytes) -> None:
    """Cycles pass with every frame, and none of them shortens what is left to a request."""
    header = Header(model_hash=digits.model_hash, request_id=7, deadline_us=10**6)
    pieces = list(fragments.datagrams(header, tensor, SMALL_MTU))
    with UdpPort() as hop, UdpPort() as client, UdpPort() as other:
        wire = UdpWire(HERE, [hop.address])
        with start_nic(digits, wire, hop.address) as nic:
            nic.bus.write("timeout", 1_000_000 * nic.bus.read("clock_mhz"))  # 1 s
            send(client, pieces[0], len(pieces[0]), nic.address)
            started = time.monotonic()
            while time.monotonic() < started + 30 and not nic.bus.read("evicted"):
                late = changed(pieces[1], request_id=8)  # declined, whether the slot is free or not
                send(other, late, len(late), nic.address)
                assert [decode(bytes(data)).declined for data, _ in hop.receive(5.0)] == [True]
            assert 0.9 < time.monotonic() - started < 30


@pytest.mark.parametrize("datapath", ["rtl", "reference"])
def test_a_recording_of_half_a_request_ends_though_it_is_never_given_up(
    digits: Bundle, tensor: bytes, datapath: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = csr.settings
    monkeypatch.setattr(csr, "settings", lambda **values: settings(**{**values, "timeout": 0}))
    header = Header(model_hash=digits.model_hash, request_id=7, deadline_us=10**6)
    half = frame(next(fragments.datagrams(header, tensor, SMALL_MTU)), CLIENT, NIC)
    sent, counted = replay(digits, datapath, [half], tmp_path)
    assert sent == []
    assert (counted["collected"], counted["evicted"]) == (1, 0)


def test_an_idle_reference_sleeps(digits: Bundle) -> None:
    with UdpPort() as hop:
        wire = UdpWire(HERE, [hop.address])
        with start_nic(digits, wire, hop.address, datapath="reference") as nic:
            before = cpu_ticks(nic.about["pid"])
            assert list(hop.receive(1.0)) == []
            assert cpu_ticks(nic.about["pid"]) - before <= 2


def test_a_reference_that_fails_ends_the_nic(
    digits: Bundle, tensor: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def broken(*_: object) -> None:
        raise ZeroDivisionError("no")

    monkeypatch.setattr(Reference, "run_wire", broken)
    monkeypatch.setattr(Console, "say", lambda _, line: said.append(line))
    header = Header(model_hash=digits.model_hash, last=True, total_bytes=len(tensor), deadline_us=9)
    with UdpPort() as hop, UdpPort() as client:
        wire = UdpWire(HERE, [hop.address])
        with start_nic(digits, wire, hop.address, datapath="reference", console=Console()) as nic:
            send(client, encode(header) + tensor, 1400, nic.address)
            with pytest.raises(NodeLostError, match="the numpy reference has gone"):
                next(nic.events())
    assert "error: the numpy reference failed: ZeroDivisionError: no" in said


def test_a_killed_loop_leaves_no_helper(digits: Bundle) -> None:
    with UdpPort() as hop:
        wire = UdpWire(HERE, [hop.address])
        with start_nic(digits, wire, hop.address, datapath="reference") as nic:
            os.kill(nic.about["pid"], signal.SIGKILL)
            with pytest.raises(NodeLostError):
                next(nic.events())


def test_the_reference_reads_the_bits_that_the_hardware_reads(
    digits: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = TensorSpec("x", (4,), "float32", QType(3, True, 1.0), Layout.raster((4,)), 4)
    narrow = copy.copy(digits)
    narrow.manifest = replace(digits.manifest, inputs=(spec,), outputs=(spec,))
    given: list[AnyArray] = []

    def run_wire(_: Reference, wires: list[AnyArray]) -> list[AnyArray]:
        given.extend(wires)
        return wires

    monkeypatch.setattr(Reference, "run_wire", run_wire)
    with (
        ReferenceHelper(narrow, print) as helper,
        socket.socket(fileno=os.dup(helper.fd)) as loop,
    ):
        loop.sendall(bytes(8) + bytes([3, 4, 0x7F, 0x83]))
        assert loop.recv(12, socket.MSG_WAITALL) == bytes(8) + bytes([3, 0xFC, 0xFF, 3])
    assert given[0].tolist() == [[3, -4, -1, 3]]


def test_a_helper_that_computes_does_not_keep_the_nic_from_its_end(
    digits: Bundle, tensor: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, end = threading.Event(), threading.Event()

    def run_wire(_: Reference, wires: list[AnyArray]) -> list[AnyArray]:
        began.set()
        end.wait(20)
        return wires

    monkeypatch.setattr(Reference, "run_wire", run_wire)
    monkeypatch.setattr(reference_helper, "CLOSE_SECONDS", 0.1)
    with ReferenceHelper(digits, print) as helper, socket.socket(fileno=os.dup(helper.fd)) as loop:
        loop.sendall(bytes(8) + tensor)
        assert began.wait(5)
        started = time.monotonic()
        helper.close()
        assert time.monotonic() - started < 5
        end.set()
