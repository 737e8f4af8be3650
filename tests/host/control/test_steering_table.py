# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rules S1 and S2 of midwire.host.control.steering_table, and the numpy reference's table while
frames move: rules T1 to T8 of midwire.hw.nic.entries."""

from __future__ import annotations

import ipaddress
import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from midwire.host.control.register_bus import RegisterBus
from midwire.host.control.register_buses import RegisterBuses
from midwire.host.control.steering_table import NextHop, SteeringEntry, SteeringTable
from midwire.host.errors import RegisterError
from midwire.host.nodes.nic_process import NicProcess, UdpWire, start_nic
from midwire.host.wire.udp import UdpPort
from midwire.hw.formats import csr, fragments
from midwire.hw.formats.actions import ENTRIES, Action
from midwire.hw.formats.bundle import Bundle
from midwire.hw.formats.wire import DeclineReason, Header, decode

from ..conftest import send

HERE = ("127.0.0.1", 0)


class Scene(NamedTuple):
    """A client, a NIC around the numpy reference, its default next hop and two others."""

    client: UdpPort
    nic: NicProcess
    hops: list[UdpPort]
    bundle: Bundle
    table: SteeringTable

    def request(self, **changes: Any) -> list[bytes]:
        """Fragments of a request that the NIC executes."""
        spec = self.bundle.manifest.inputs[0]
        header = Header(
            model_hash=self.bundle.model_hash,
            request_id=random.getrandbits(64),
            deadline_us=10**6,
        )
        changed = replace(header, **changes)
        return list(fragments.datagrams(changed, bytes(spec.wire_bytes), 128 + 100))

    def entry(self, action: Action, hop: int, **changes: Any) -> SteeringEntry:
        """An entry for them."""
        ip, port = self.hops[hop].address
        to = NextHop(0x02007F000001, port, ipaddress.IPv4Address(ip))
        return replace(SteeringEntry(0, self.bundle.model_hash, 0, action, to), **changes)

    def send(self, *datagrams: bytes) -> None:
        for data in datagrams:
            send(self.client, data, len(data), self.nic.address)

    def left(self, count: int) -> list[tuple[int, Header]]:
        """So many frames that leave, each with the number of the hop that it goes to."""
        found: list[tuple[int, Header]] = []
        for _ in range(200):
            for number, hop in enumerate(self.hops):
                found += [(number, decode(bytes(data))) for data, _ in hop.receive(0.02)]
            if len(found) >= count:
                break
        assert len(found) == count
        return found


@pytest.fixture
def scene(digits: Bundle) -> Iterator[Scene]:
    with UdpPort() as client, UdpPort() as default, UdpPort() as one, UdpPort() as two:
        hops = [default, one, two]
        wire = UdpWire(HERE, [hop.address for hop in hops])
        with start_nic(digits, wire, default.address, datapath="reference") as nic:
            yield Scene(client, nic, hops, digits, SteeringTable(nic.bus))


def any_entry(source: random.Random) -> SteeringEntry:
    ip = ipaddress.IPv4Address(source.randrange(1, 1 << 32))
    ip6 = ipaddress.IPv6Address(source.randrange(1, 1 << 128))
    whole = NextHop(source.getrandbits(48), source.getrandbits(16), ip, ip6)
    hop = source.choice((whole, replace(whole, ip=None), replace(whole, ip6=None), None))
    return SteeringEntry(
        source.getrandbits(16),
        source.randbytes(8),
        source.getrandbits(8),
        source.choice(list(Action)[1:]),
        hop,
        source.getrandbits(16),
        bool(source.getrandbits(1)),
        source.randrange(1 << 31, 1 << 32),
    )


def test_entries_come_back(scene: Scene) -> None:
    table, source = scene.table, random.Random(5)
    assert table.entries() == {}
    written = {index: any_entry(source) for index in range(ENTRIES)}
    for index, entry in written.items():
        table.write(index, entry)
    assert table.entries() == written
    table.remove(3)
    table.remove(3)
    del written[3]
    assert table.entries() == written and table.read(3) is None


@pytest.mark.parametrize("count", [0, 1, 7, ENTRIES])
def test_s1_the_whole_table_at_once(scene: Scene, count: int) -> None:
    table, source = scene.table, random.Random(count)
    table.replace([any_entry(source) for _ in range(ENTRIES)])
    entries = [any_entry(source) for _ in range(count)]
    table.replace(entries)
    assert table.entries() == dict(enumerate(entries))


def test_s1_two_programs_never_mix_tables(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "control"
    hop = scene.hops[0].address
    wire, stop = UdpWire(HERE, [hop]), threading.Event()
    tables = [[any_entry(random.Random(seed))] * (seed + 1) for seed in range(ENTRIES)]
    with start_nic(scene.bundle, wire, hop, datapath="reference", control=path):

        def rewrite(seed: int) -> None:
            source = random.Random(seed)
            with RegisterBuses.connect(path) as bus:
                while not stop.is_set():
                    SteeringTable(bus).replace(source.choice(tables))

        threads = [threading.Thread(target=rewrite, args=(k,)) for k in range(2)]
        for thread in threads:
            thread.start()
        try:
            with RegisterBus.connect(path) as bus:
                for _ in range(100):
                    assert list(SteeringTable(bus).entries().values()) in [[], *tables]
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def test_s1_two_programs_never_mix_entries(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "control"
    hop = scene.hops[0].address
    wire, stop = UdpWire(HERE, [hop]), threading.Event()
    with start_nic(scene.bundle, wire, hop, datapath="reference", control=path):

        def rewrite(seed: int, entries: list[SteeringEntry]) -> None:
            source = random.Random(seed)
            with RegisterBuses.connect(path) as bus:
                while not stop.is_set():
                    SteeringTable(bus).write(source.randrange(3), source.choice(entries))

        entries = [any_entry(random.Random(seed)) for seed in range(6)]
        threads = [threading.Thread(target=rewrite, args=(k, entries)) for k in range(2)]
        for thread in threads:
            thread.start()
        try:
            with RegisterBus.connect(path) as bus:
                for _ in range(100):
                    assert set(SteeringTable(bus).entries().values()) <= set(entries)
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def test_s2_what_is_wrong_is_said(scene: Scene) -> None:
    table, good = scene.table, scene.entry(Action.FORWARD, 1)
    for index in (-1, ENTRIES):
        with pytest.raises(RegisterError) as caught:
            table.write(index, good)
        assert str(caught.value) == (
            f"index: no such entry of the steering table; expected 0 to 15; found {index}."
        )
        for ask in (table.remove, table.read):
            with pytest.raises(RegisterError, match="expected 0 to 15"):
                ask(index)
    with pytest.raises(RegisterError, match="expected 8 bytes; found 7 bytes"):
        table.write(0, replace(good, model_hash=bytes(7)))
    with pytest.raises(RegisterError, match="expected one of EXECUTE, FORWARD, REDIRECT"):
        table.write(0, replace(good, action=Action.NONE))
    with pytest.raises(RegisterError, match=r"hop: .* expected an IPv4 address, an IPv6 address"):
        table.write(0, replace(good, hop=NextHop(1, 2)))
    with pytest.raises(RegisterError, match=r"hop: .* expected an IPv4 address, an IPv6 address"):
        table.write(0, replace(good, hop=NextHop(1, 2, ipaddress.IPv4Address(0))))
    with pytest.raises(RegisterError, match=r"table: .* expected at most 16 entries; found 17"):
        table.replace([good] * (ENTRIES + 1))
    with pytest.raises(RegisterError, match="expected 8 bytes; found 7 bytes"):
        table.replace([good, replace(good, model_hash=bytes(7))])
    with pytest.raises(RegisterError, match="table_tenant: the value does not fit the register"):
        table.replace([good, replace(good, tenant=1 << 16)])
    with pytest.raises(RegisterError, match="table_tenant: the value does not fit the register"):
        table.write(0, replace(good, tenant=1 << 16))
    assert table.entries() == {}


def test_every_action_while_frames_move(scene: Scene) -> None:
    count = len(scene.request())
    for action, hop in ((Action.EXECUTE, 1), (Action.FORWARD, 2), (Action.REDIRECT, 1)):
        scene.table.write(4, scene.entry(action, hop))
        scene.send(*scene.request())
        left = scene.left(1 if action is Action.EXECUTE else count)
        assert {number for number, _ in left} == {hop}
        (fate,) = {(h.result, h.declined, h.reason) for _, h in left}
        assert (
            fate
            == {
                Action.EXECUTE: (True, False, DeclineReason.NONE),
                Action.FORWARD: (False, False, DeclineReason.NONE),
                Action.REDIRECT: (False, True, DeclineReason.POLICY),
            }[action]
        )
    scene.table.remove(4)
    scene.send(*scene.request())
    [(number, header)] = scene.left(1)
    assert number == 0 and header.result


def test_t4_requests_keep_their_fate(scene: Scene) -> None:
    """What is collected goes on being collected, and what was forwarded being forwarded."""
    first, *others = scene.request()
    scene.table.write(0, scene.entry(Action.EXECUTE, 1))
    scene.send(first)
    while scene.nic.bus.counters()["collected"] < 1:
        pass
    scene.table.write(0, scene.entry(Action.FORWARD, 2))
    scene.send(*others)
    [(number, header)] = scene.left(1)
    assert number == 1 and header.result

    first, *others = scene.request()
    scene.send(first)
    [(number, header)] = scene.left(1)
    assert number == 2 and not header.declined
    scene.table.write(0, scene.entry(Action.EXECUTE, 1))
    scene.send(*others)
    for number, header in scene.left(len(others)):
        assert number == 1 and not (header.declined or header.result)
    assert scene.nic.bus.counters()["requests"] == 1


def test_t8_frames_are_counted_while_they_move(scene: Scene) -> None:
    table, count = scene.table, len(scene.request())
    other = scene.entry(Action.FORWARD, 2, tenant=8)
    table.write(3, scene.entry(Action.EXECUTE, 1))
    table.write(15, other)
    scene.send(*scene.request(), *scene.request(tenant=8), *scene.request(tenant=9))
    scene.left(1 + 2 * count)
    assert table.counted() == {3: (scene.entry(Action.EXECUTE, 1), count), 15: (other, count)}
    counters = scene.nic.bus.counters()
    assert counters["table_3_hits"] == counters["table_15_hits"] == count
    assert sum(counters[name] for name in csr.HITS) == 2 * count
    table.write(3, scene.entry(Action.REDIRECT, 1))
    table.remove(15)
    assert table.counted() == {3: (scene.entry(Action.REDIRECT, 1), 0)}
    assert scene.nic.bus.read("table_15_hits") == 0


def test_t6_an_entry_expires(scene: Scene) -> None:
    scene.table.write(0, scene.entry(Action.FORWARD, 1, lifetime_us=300_000))
    scene.send(*scene.request())
    assert {number for number, _ in scene.left(len(scene.request()))} == {1}
    while scene.table.read(0) is not None:
        pass
    scene.send(*scene.request())
    [(number, header)] = scene.left(1)
    assert number == 0 and header.result
