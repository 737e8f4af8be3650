# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Recorded files (classic pcap) as tests write and read them, and datagrams in Ethernet frames."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from midwire.host.control.registers import registers_for
from midwire.host.control.steering_table import SteeringEntry, SteeringTable
from midwire.host.nodes import nic_process
from midwire.host.nodes.nic_process import Bundles, FileWire, NicProcess, start_nic
from midwire.host.wire.udp import Address
from midwire.hw.formats.wire import Header, WireError, decode

from ..conftest import changed

LITTLE = "<"
BIG = ">"

CLIENT, NIC, HOP = ("10.0.0.1", 4000), ("10.0.0.2", 5210), ("10.0.0.3", 5220)


def write_pcap(path: Path, frames: Iterable[bytes], order: str = LITTLE) -> None:
    with path.open("wb") as out:
        out.write(struct.pack(order + "IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for index, frame in enumerate(frames):
            out.write(struct.pack(order + "IIII", 1, index, len(frame), len(frame)) + frame)


def read_pcap(path: Path) -> list[bytes]:
    data = path.read_bytes()
    assert struct.unpack_from(">IHHiIII", data) == (0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    frames: list[bytes] = []
    at = 24
    while at < len(data):
        seconds, micros, size, whole = struct.unpack_from(">IIII", data, at)
        assert (seconds * 1_000_000 + micros, size) == (len(frames), whole)
        frames.append(data[at + 16 : at + 16 + size])
        at += 16 + size
    return frames


def ethernet(**fields: Any) -> Any:
    return Ether(src="02:00:00:00:00:11", dst="02:00:00:00:00:22", **fields)


def frame(payload: bytes, source: Address, target: Address, **ip: Any) -> bytes:
    layers = IP(src=source[0], dst=target[0], **ip) / UDP(sport=source[1], dport=target[1])
    return bytes(ethernet() / layers / payload)


def replay(
    bundles: Bundles,
    datapath: str,
    frames: Sequence[bytes],
    folder: Path,
    table: Mapping[int, SteeringEntry] | None = None,
    /,
    **registers: int,
) -> tuple[list[bytes], dict[str, Any]]:
    """What a NIC made of recorded frames, and its counters; with entries of its steering table, and
    other values of registers."""
    wire = FileWire(folder / "in.pcap", folder / f"{datapath}.pcap")
    write_pcap(wire.read, frames)

    def values(*args: Any, **kwargs: Any) -> dict[str, int]:
        return {**registers_for(*args, **kwargs), **registers}

    def start(running: NicProcess) -> None:
        steering = SteeringTable(running.bus)
        for index, entry in (table or {}).items():
            steering.write(index, entry)
        expected = {index: (entry, 0) for index, entry in sorted((table or {}).items())}
        assert steering.counted() == expected
        unpatched(running)

    unpatched = NicProcess.start
    with (
        patch.object(NicProcess, "start", start),
        patch.object(nic_process, "registers_for", values),
        start_nic(bundles, wire, HOP, datapath=datapath, listen=NIC) as running,
    ):
        [last] = running.events()
    return read_pcap(wire.write), last["pipeline"]


def header_at(data: bytes) -> int | None:
    """Where the midwire header of a frame of ours begins; None if it has no good one."""
    for place in (42, 46, 50, 62, 66, 70):  # IPv4 or IPv6, behind up to two tags
        try:
            decode(data[place:])
        except WireError:
            continue
        return place
    return None


def header_of(data: bytes) -> Header | None:
    """The midwire header of a frame; None if it has no good one."""
    place = header_at(data)
    return None if place is None else decode(data[place:])


def timeless(frames: Sequence[bytes]) -> list[bytes]:
    """Frames without what time makes of them: deadline, cycles, and the checksum over these."""
    found = []
    for data in frames:
        place = header_at(data)
        if place is not None:
            datagram = changed(data[place:], deadline_us=0, cycles=0, telemetry=False)
            data = data[: place - 2] + b"\0\0" + datagram
        found.append(data)
    return sorted(found)
