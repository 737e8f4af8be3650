# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""After any input whatever, the next good request of every client succeeds, with its first attempt.

The attacker shares the network with everybody, sends from any address, and sees all ports. Requests
are executed by the NIC; while others hold all its request slots it declines them as busy, and the
cloud executes, to the same bits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from midwire.host.client.edge_client import EdgeClient
from midwire.host.client.requests import Request
from midwire.host.nodes.nic_process import NicProcess, UdpWire, start_nic
from midwire.host.wire.tensors import fingerprint_of
from midwire.host.wire.udp import Address
from midwire.hw.formats import csr, fragments
from midwire.hw.formats.bundle import Bundle
from midwire.hw.formats.tensor import AnyArray
from midwire.hw.formats.wire import DeclineReason, Header, MessageType, encode
from midwire.hw.kernels.reference import Reference

from ..conftest import HELLO, Cloud, changed, straight
from .loop import DATAPATHS, HERE, SMALL_MTU, Forger

STRANGER = ("127.9.9.9", 4000)
Shot = tuple[bytes, Address, Address]
"""A datagram, where it says that it comes from, and where it goes to."""


@dataclass(frozen=True)
class Scene:
    """A NIC, its cloud and two clients, all on loopback, and who attacks them."""

    nic: NicProcess
    hop: Address
    clients: list[EdgeClient]
    digits: Bundle
    forger: Forger

    @property
    def flows(self) -> list[Address]:
        """Addresses of the sockets towards the cloud."""
        return [at for at in udp_sockets(self.nic.about["pid"]) if at != self.nic.address]

    @property
    def sound(self) -> bytes:
        """A whole request that the NIC would execute."""
        return encode(replace(self.header, last=True)) + bytes(self.header.total_bytes)

    @property
    def header(self) -> Header:
        total = self.digits.manifest.inputs[0].wire_bytes
        model = self.digits.model_hash
        return Header(model_hash=model, request_id=5, deadline_us=10**6, total_bytes=total)

    def all_ask(self, sample: AnyArray) -> set[str]:
        """Who executed a request of each client, which sends it once; its bits must be right."""
        executed = set()
        for client in self.clients:
            outcome = client.infer(Request([sample]))
            assert outcome.error is None
            wires = [array.ravel()[None] for array in client.part.run([sample])]
            right = [result[0] for result in Reference.of_bundle(self.digits).run_wire(wires)]
            assert outcome.slice_sha256 == fingerprint_of(self.digits.manifest.outputs, right)
            executed.add(outcome.executed_by)
        return executed


def udp_sockets(pid: int) -> list[Address]:
    """Addresses of a process's UDP sockets."""
    links = [str(item.readlink()) for item in Path(f"/proc/{pid}/fd").iterdir()]
    found = []
    for line in Path(f"/proc/{pid}/net/udp").read_text().splitlines()[1:]:
        words = line.split()
        ip, port = words[1].split(":")
        if f"socket:[{words[9]}]" in links:
            found.append((".".join(map(str, bytes.fromhex(ip)[::-1])), int(port, 16)))
    return found


@pytest.fixture(params=DATAPATHS)
def scene(
    request: pytest.FixtureRequest, digits: Bundle, forger: Forger, samples: AnyArray
) -> Iterator[Scene]:
    with ExitStack() as stack:
        far = stack.enter_context(Cloud(digits))
        hop = far.port.address
        wire = UdpWire(HERE, [hop])
        nic = stack.enter_context(start_nic(digits, wire, hop, datapath=request.param))
        clients = [
            stack.enter_context(EdgeClient(digits, straight(nic.address), bind=(ip, 0), retries=0))
            for ip in ("127.0.0.1", "127.0.0.2")
        ]
        found = Scene(nic, hop, clients, digits, forger)
        assert found.all_ask(samples[0]) == {"nic"}
        yield found


def next_hop(scene: Scene) -> list[Shot]:
    """The next hop's address, where clients send and where it answers."""
    reply = changed(scene.sound, message_type=MessageType.REPLY)
    places = [scene.nic.address, *scene.flows]
    return [(data, scene.hop, to) for data in (scene.sound, reply, b"garbage") for to in places]


def own_addresses(scene: Scene) -> list[Shot]:
    """The NIC's addresses, to each other."""
    places = [scene.nic.address, *scene.flows]
    data = (scene.sound, b"garbage")
    return [(what, source, to) for what in data for source in places for to in places]


def other_client(scene: Scene) -> list[Shot]:
    """A client's address, with what it would never send."""
    sources = [client.address for client in scene.clients]
    data = [*garbage_of(scene), scene.sound]
    return [(what, source, scene.nic.address) for source in sources for what in data]


def garbage_of(scene: Scene) -> list[bytes]:
    sound = scene.sound
    rng = np.random.default_rng(7)
    return [
        b"",
        b"M",
        sound[:63],
        sound[:64],
        sound[:-1],
        b"XX" + sound[2:],
        sound[:2] + b"\x07" + sound[3:],
        sound[:20] + b"\xff" + sound[21:],
        changed(sound, fragment_index=3),
        changed(sound, hop_limit=0),
        changed(sound, total_bytes=4 << 20),
        changed(sound, message_type=MessageType.ERROR),
        *(rng.bytes(int(size)) for size in rng.integers(1, 8000, 50)),
    ]


def reflected(scene: Scene) -> list[Shot]:
    """What the NIC itself would send on, back to it, from whom it came and from anybody."""
    result = changed(scene.sound, result=True, cursor=1, hop_limit=7)
    declined = changed(scene.sound, declined=True, reason=DeclineReason.BUSY, hop_limit=1)
    sources = [STRANGER, scene.hop, *(client.address for client in scene.clients)]
    places = [scene.nic.address, *scene.flows]
    return [
        (data, source, to) for data in (result, declined) for source in sources for to in places
    ]


def garbage(scene: Scene) -> list[Shot]:
    """Noise, cut headers, wrong CRCs, contradictions, to all addresses; a request from port 0."""
    places = [scene.nic.address, *scene.flows]
    nowhere = (STRANGER[0], 0)  # no answer can be sent there
    shots = [(data, STRANGER, to) for data in garbage_of(scene) for to in places]
    return [*shots, (scene.sound, nowhere, scene.nic.address)]


def many_sources(scene: Scene) -> list[Shot]:
    """Good headers from more sources than there are flows, and from one source's every port."""
    sources = [(f"127.3.{n // 256}.{n % 256}", 4000) for n in range(4200)]
    sources += [("127.0.0.1", 2000 + n) for n in range(300)]
    return [(HELLO, source, scene.nic.address) for source in sources]


@pytest.mark.parametrize(
    "attack", [next_hop, own_addresses, other_client, reflected, garbage, many_sources]
)
def test_the_next_good_request_of_every_client_succeeds(
    attack: Callable[[Scene], list[Shot]], scene: Scene, samples: AnyArray
) -> None:
    executed = set()
    for number, (data, source, to) in enumerate(attack(scene)):
        scene.forger.send(data, source, to)
        if number % 100 == 0:
            executed |= scene.all_ask(samples[1 + number % 50])
    for sample in samples[:3]:
        executed |= scene.all_ask(sample)
    assert executed <= {"nic", "cloud"}
    assert scene.all_ask(samples[3]) == {"nic"}


def test_a_stray_fragment(scene: Scene, samples: AnyArray) -> None:
    """Nobody waits for it, though it waits for the rest of its request."""
    scene.nic.bus.write("timeout_us", 0)  # for ever
    scene.nic.bus.write("ask_us", 0)
    parts = list(fragments.datagrams(scene.header, bytes(scene.header.total_bytes), SMALL_MTU))
    scene.forger.send(parts[0], STRANGER, scene.nic.address)
    assert scene.all_ask(samples[0]) == {"nic"}
    assert scene.nic.bus.read("status") == csr.STATUS_COLLECTING


def strays(scene: Scene) -> list[Shot]:
    """First fragments from more sources than there are slots, and many from one."""
    sources = [(f"127.4.{n // 256}.{n % 256}", 4000) for n in range(100)]
    sources += [(STRANGER[0], 5000 + n // 4) for n in range(100)]
    return [
        (parts_of(scene, n)[n % 4], source, scene.nic.address) for n, source in enumerate(sources)
    ]


def liars(scene: Scene) -> list[Shot]:
    """In clients' names and others', what contradicts itself or what came before."""
    sources = [STRANGER, *(client.address for client in scene.clients)]
    data = []
    for number in range(20):
        first, second, _, last = parts_of(scene, 1000 + number)
        data += [
            first,
            changed(second, fragment_count=5),
            changed(second, second[64:128], offset=64),
            changed(last, last[64:128], offset=448),
            changed(second, offset=64),
            changed(last, fragment_index=99, fragment_count=100),
        ]
    return [(what, source, scene.nic.address) for source in sources for what in data]


def parts_of(scene: Scene, request: int) -> list[bytes]:
    """A request's fragments."""
    header = replace(scene.header, request_id=request)
    return list(fragments.datagrams(header, bytes(header.total_bytes), SMALL_MTU))


@pytest.mark.parametrize("attack", [strays, liars])
def test_requests_that_are_never_whole(
    attack: Callable[[Scene], list[Shot]], scene: Scene, samples: AnyArray
) -> None:
    """They hold slots for as long as the registers say; everybody is answered meanwhile."""
    for number, (data, source, to) in enumerate(attack(scene)):
        scene.forger.send(data, source, to)
        if number % 30 == 0:
            assert scene.all_ask(samples[1 + number % 50]) <= {"nic", "cloud"}
    assert scene.all_ask(samples[2]) <= {"nic", "cloud"}
    until = time.monotonic() + 20
    while scene.nic.bus.read("status") & csr.STATUS_COLLECTING and time.monotonic() < until:
        time.sleep(0.05)
    assert scene.all_ask(samples[3]) == {"nic"}
    counted = scene.nic.bus.counters()
    assert counted["evicted_fragments"] >= counted["evicted"] > 0


def test_registers_that_send_results_to_itself(scene: Scene, samples: AnyArray) -> None:
    """A result that would go to an own address goes nowhere, and is counted."""
    scene.nic.bus.write("next_port", scene.flows[0][1])
    scene.forger.send(scene.sound, STRANGER, scene.nic.address)
    until = time.monotonic() + 10
    while not (counted := scene.nic.statistics())["tx_own_address"] and time.monotonic() < until:
        time.sleep(0.05)
    assert (counted["tx_own_address"], counted["rx_own_address"]) == (1, 0)
    scene.nic.bus.write("next_port", scene.hop[1])
    assert scene.all_ask(samples[0]) == {"nic"}
