# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The packet loop from outside: what opens a flow, what comes out, and who may forge a source."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from midwire.host.nodes.nic_process import NicProcess, UdpWire
from midwire.host.nodes.nic_program import FOLDER, GENERATED
from midwire.host.wire.peers import Peer
from midwire.host.wire.udp import Address, UdpPort
from midwire.sim.program import build_program

from ..conftest import HELLO, send

HERE = ("127.0.0.1", 0)
SMALL_MTU = 236  # 128 tensor bytes a fragment: four for the digits
DATAPATHS = ["rtl", "reference"]


def program_of(source: str, *others: str) -> Path:
    """The program of a source in this folder, and others of the NIC, with its headers."""
    headers = {path.name: path.read_text() for path in FOLDER.glob("*.h")}
    own = Path(__file__).with_name(source)
    sources = [own, *(FOLDER / name for name in others)]
    return build_program(own.stem, sources, {**headers, **GENERATED})


def loop_words(hop: Address, listen: Address = HERE, peers: Sequence[Peer] = ()) -> list[str]:
    """Arguments of the loop around the pipeline that passes every frame on."""
    return [*UdpWire(listen, [hop], peers).words(), "--quiet", "100"]


def take(port: UdpPort, count: int, seconds: float = 5.0) -> list[tuple[bytes, Address]]:
    """Datagrams as they come, until there are enough or nothing comes any more."""
    found: list[tuple[bytes, Address]] = []
    while len(found) < count:
        new = [(bytes(data), source) for data, source in port.receive(seconds)]
        if not new:
            break
        found += new
    return found


def greet(client: UdpPort, nic: Address, hop: UdpPort) -> Address:
    """Open the client's flow; returns the address of its socket."""
    send(client, HELLO, len(HELLO), nic)
    [(data, flow)] = take(hop, 1)
    assert data == HELLO
    return flow


def free_descriptor(pid: int) -> int:
    """The number that a process's next descriptor would have."""
    used = {int(item.name) for item in Path(f"/proc/{pid}/fd").iterdir()}
    return min(set(range(len(used) + 1)) - used)


class Forger:
    """Sends datagrams from any source; skips the test where it may not."""

    def __init__(self) -> None:
        try:
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        except PermissionError as error:
            pytest.skip(
                f"forging a source needs the capability CAP_NET_RAW, as root has it ({error})"
            )

    def send(self, data: bytes, source: Address, to: Address) -> None:
        udp = struct.pack(">HHHH", source[1], to[1], 8 + len(data), 0) + data
        ips = socket.inet_aton(source[0]) + socket.inet_aton(to[0])
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0)
        self._socket.sendto(head + ips + udp, (to[0], 0))

    def close(self) -> None:
        self._socket.close()


@dataclass(frozen=True)
class Live:
    """A running NIC between a client and the next hop."""

    nic: NicProcess
    hop: UdpPort
    client: UdpPort

    def send(self, *datagrams: bytes, client: UdpPort | None = None) -> None:
        for data in datagrams:
            send(client or self.client, data, len(data), self.nic.address)

    def comes(self, count: int, seconds: float = 10.0) -> list[bytes]:
        """Datagrams that the next hop gets."""
        return [data for data, _ in take(self.hop, count, seconds)]

    def nothing_comes(self, seconds: float = 0.2) -> bool:
        return self.comes(1, seconds) == []

    def wait(self, name: str, value: int) -> bool:
        """Whether a register has a value within some seconds."""
        return self.wait_for(lambda: self.nic.bus.read(name) == value)

    def wait_for(self, found: Callable[[], bool]) -> bool:
        until = time.monotonic() + 20
        while not found():
            if time.monotonic() > until:
                return False
            time.sleep(0.002)
        return True
