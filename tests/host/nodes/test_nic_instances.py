# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rules N1 to N5 of midwire.host.nodes.nic_instances, and the command."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from midwire.host.client.edge_client import EdgeClient
from midwire.host.client.requests import Request
from midwire.host.control.command import register
from midwire.host.control.register_bus import RegisterBus
from midwire.host.control.register_buses import RegisterBuses
from midwire.host.errors import NodeLostError, RegisterError, StartError
from midwire.host.nodes.nic_instances import (
    NicInstances,
    shared_sockets,
    start_instances,
    summed,
    throw_away,
)
from midwire.host.nodes.nic_process import UdpWire, start_nic
from midwire.host.wire.udp import UdpPort, format_address
from midwire.hw.formats.bundle import Bundle
from midwire.hw.formats.tensor import AnyArray

from ..conftest import HELLO, Cloud, alive, make_wide_bundle, send, straight, wait_for_the_end_of
from .loop import HERE, SMALL_MTU, Forger, greet, take

INSTANCES = 3


@pytest.fixture
def wide(tmp_path: Path) -> Bundle:
    return make_wide_bundle(tmp_path / "wide")


@pytest.fixture
def far(wide: Bundle) -> Iterator[Cloud]:
    with Cloud(wide) as node:
        yield node


@pytest.fixture
def nic(wide: Bundle, far: Cloud, tmp_path: Path) -> Iterator[NicInstances]:
    with start_instances(
        wide,
        UdpWire(HERE, [far.port.address]),
        far.port.address,
        INSTANCES,
        datapath="reference",
        tenant=7,
        control=tmp_path / "nic.sock",
    ) as running:
        yield running


CLIENTS = 64
"""So many that an instance which had none of them would be a miracle (2 ** -35)."""


def greetings(nic: NicInstances) -> None:
    """Of many clients; returns when all have come, and the answers: the cloud has no such model."""
    with contextlib.ExitStack() as stack:
        for _ in range(CLIENTS):
            send(stack.enter_context(UdpPort()), HELLO, len(HELLO), nic.address)
        until = time.monotonic() + 20
        while nic.bus.read("frames_in") < 2 * CLIENTS and time.monotonic() < until:
            time.sleep(0.01)


def test_each_client_is_executed_by_one_instance(
    wide: Bundle, far: Cloud, nic: NicInstances
) -> None:  # N1, N4
    nic.bus.write("tenant", 0)
    sample = [np.ones((1, n), np.float32) for n in (4, 3000)]

    def all_of_one(_: int) -> list[str]:
        with EdgeClient(wide, straight(nic.address), window=4, mtu=SMALL_MTU) as client:
            return [outcome.executed_by for outcome in client.stream([Request(sample)] * 4)]

    with ThreadPoolExecutor(8) as threads:
        executed = [name for names in threads.map(all_of_one, range(8)) for name in names]
    assert executed == ["nic"] * 32
    counted = nic.statistics()
    # A client whose fragments two of them had got would have a flow in both.
    assert counted["flows"] == 8
    for each in counted["instances"]:
        fates = each["pipeline"]
        assert fates["requests"] == fates["results"] == 4 * each["flows"]
        assert fates["evicted"] == fates["declined_busy"] == 0
    assert counted["pipeline"]["results"] == 32
    assert len(counted["instances"]) == INSTANCES
    assert far.node.counters["by_nic"] == 32


def test_clients_are_spread_over_all(nic: NicInstances) -> None:  # N1
    greetings(nic)
    assert all(each["flows"] for each in nic.statistics()["instances"])


def test_a_client_stays_with_its_instance() -> None:  # N1
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(each) for each in shared_sockets(HERE, 5)]
        clients = [stack.enter_context(UdpPort()) for _ in range(20)]
        found: dict[Any, set[int]] = {client.address: set() for client in clients}
        for client in clients * 10:
            send(client, b"12345678", 2, sockets[0].getsockname())
        for number, each in enumerate(sockets):
            with contextlib.suppress(BlockingIOError):
                while True:
                    found[each.recvfrom(9, socket.MSG_DONTWAIT)[1]].add(number)
    assert {len(numbers) for numbers in found.values()} == {1}


def test_an_address_has_one_nic(wide: Bundle, far: Cloud, nic: NicInstances) -> None:  # N2
    hop = far.port.address
    wire = UdpWire(nic.address, [hop])
    with pytest.raises(StartError, match=r"cannot open a UDP socket"):
        start_instances(wide, wire, hop, 2, datapath="reference")
    with pytest.raises(StartError, match=r"cannot open a UDP socket"):
        start_nic(wide, wire, hop, datapath="reference")
    with pytest.raises(StartError) as caught:
        shared_sockets(nic.address, 2)
    assert str(caught.value) == (
        f"{format_address(nic.address)}: cannot be shared by 2 instances; expected an address of "
        "this machine and a free port; found Address already in use. Choose another address or "
        "port; port 0 is any free one."
    )


def test_what_came_between_two_bindings_is_thrown_away() -> None:  # N1
    [made] = shared_sockets(HERE, 1)
    with made, UdpPort() as client:
        send(client, HELLO, len(HELLO), made.getsockname())
        throw_away(made)
        with pytest.raises(BlockingIOError):
            made.recv(1, socket.MSG_DONTWAIT)


def test_a_forged_source_of_another_instance_goes_nowhere(
    wide: Bundle, hop: UdpPort, forger: Forger
) -> None:  # N5
    wire = UdpWire(HERE, [hop.address])
    with (
        start_instances(wide, wire, hop.address, INSTANCES, datapath="reference") as nic,
        contextlib.ExitStack() as stack,
    ):
        nic.bus.write("control", 0)  # everything passes
        clients = [stack.enter_context(UdpPort()) for _ in range(CLIENTS)]
        for flow in [greet(client, nic.address, hop) for client in clients]:
            forger.send(HELLO, flow, nic.address)
        taken = take(hop, len(clients), 1.0)  # as clients', by those who do not know the address
        assert 0 < len(taken) < len(clients)
        for data, source in taken:
            send(hop, data, len(data), source)
        until = time.monotonic() + 20
        while nic.statistics()["rx_own_address"] < len(clients) and time.monotonic() < until:
            time.sleep(0.01)
        counted = nic.statistics()
        assert counted["rx_own_address"] == len(clients)
        assert counted["flows"] == len(clients) + len(taken)
        assert counted["tx_datagrams"] == len(clients) + 2 * len(taken)
        assert take(hop, 1, 0.2) == []


def test_one_that_is_killed_is_named_and_ends_the_others(nic: NicInstances) -> None:  # N3
    pids = nic.about["pids"]
    assert len(set(pids)) == INSTANCES and all(map(alive, pids))
    os.kill(pids[1], signal.SIGKILL)
    with pytest.raises(NodeLostError) as caught:
        next(nic.events())
    assert str(caught.value) == (
        "instance 1 of 3: ended although nobody had stopped it; expected a running process; found "
        "signal SIGKILL; it said nothing."
    )
    assert nic.stop() == {}
    assert wait_for_the_end_of(*pids)


def test_one_that_is_asked_to_end_ends_the_others(nic: NicInstances) -> None:  # N3
    os.kill(nic.about["pids"][2], signal.SIGTERM)
    with pytest.raises(NodeLostError, match=r"instance 2 of 3: .* found status 0; it said nothing"):
        next(nic.events())


def test_statistics_every_so_often(nic: NicInstances) -> None:  # N4
    greetings(nic)
    events = nic.events(0.05)
    assert [next(events)["event"] for _ in range(3)] == ["stats"] * 3
    last = nic.stop()
    assert last["event"] == "stopped" and last["rx_datagrams"] == 2 * CLIENTS
    for name in ("frames_in", "rx_datagrams", "flows"):
        assert last[name] == sum(each[name] for each in last["instances"]) > 0
    for name, count in last["pipeline"].items():
        assert count == sum(each["pipeline"][name] for each in last["instances"])


def test_sums() -> None:  # N4
    parts = [{"event": "stats", "a": 1, "pipeline": {"b": 2}}, {"event": "stats", "a": 5}]
    assert summed(parts) == {"event": "stats", "a": 6, "pipeline": {"b": 2}}
    assert parts[0] == {"event": "stats", "a": 1, "pipeline": {"b": 2}}


def test_registers_of_all_and_of_one(nic: NicInstances, tmp_path: Path) -> None:
    path = tmp_path / "nic.sock"
    greetings(nic)
    with (
        RegisterBuses.connect(path) as everyone,
        RegisterBus.connect(f"{path}.1") as one,
        RegisterBuses.connect(f"{path}.1") as same,
    ):
        assert everyone.read("tenant") == one.read("tenant") == 7
        everyone.write("tenant", 9)
        assert one.read("tenant") == 9
        address = 0x20010DB8_00000001_00000002_F0000003
        everyone.write("own_ip6", address)
        assert everyone.read("own_ip6") == one.read("own_ip6") == address
        assert everyone.read("capability") == one.read("capability")
        counted = everyone.read("frames_in")
        assert counted == everyone.read_all(["tenant", "frames_in"])["frames_in"] == 2 * CLIENTS
        assert everyone.counters()["frames_in"] == counted
        assert same.read("frames_in") == one.read("frames_in") < counted
        one.write("tenant", 5)
        assert everyone.read("tenant") == 9  # that of instance 0
    nic.stop()
    assert not list(tmp_path.glob("nic.sock*"))
    with pytest.raises(RegisterError, match=r"nic\.sock: no NIC at the control socket"):
        RegisterBuses.connect(path)


def test_one_that_does_not_start_leaves_none(wide: Bundle, hop: UdpPort, tmp_path: Path) -> None:
    taken = tmp_path / "nic.sock.1"
    taken.write_text("precious")
    with pytest.raises(StartError) as caught:
        start_instances(
            wide,
            UdpWire(HERE, [hop.address]),
            hop.address,
            2,
            datapath="reference",
            control=tmp_path / "nic.sock",
        )
    assert str(caught.value) == (
        "instance 1 of 2: did not start; expected a ready line; found its last words: nic: cannot "
        f"listen at {taken}: Address already in use."
    )
    assert [path.name for path in tmp_path.glob("nic.sock*")] == ["nic.sock.1"]


def test_sockets_of_killed_nics_are_passed_over(nic: NicInstances, tmp_path: Path) -> None:
    path = tmp_path / "nic.sock"
    for left in (path, f"{path}.{INSTANCES}"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as killed:
            killed.bind(str(left))
    with RegisterBuses.connect(path) as everyone:
        everyone.write("tenant", 3)
    assert nic.bus.read("tenant") == 3


def test_the_command_takes_all_of_them_for_one(nic: NicInstances, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(register)
    runner, path = CliRunner(), str(tmp_path / "nic.sock")
    assert runner.invoke(app, [path, "tenant", "0x11"]).output == "tenant 0x11\n"
    for number in range(INSTANCES):
        assert runner.invoke(app, [f"{path}.{number}", "tenant"]).output == "tenant 0x11\n"


def test_pipelines_themselves(digits: Bundle, samples: AnyArray) -> None:
    with Cloud(digits) as far:
        hop = far.port.address
        with start_instances(digits, UdpWire(HERE, [hop]), hop, 2) as nic:
            for _ in range(4):
                with EdgeClient(digits, straight(nic.address), mtu=SMALL_MTU) as client:
                    for outcome in client.stream(Request([x]) for x in samples[:2]):
                        assert outcome.error is None and outcome.executed_by == "nic"
                        assert outcome.cycles == digits.manifest.latency_cycles
            counted = nic.statistics()
    assert counted["pipeline"]["results"] == 8
    assert [e["pipeline"]["results"] for e in counted["instances"]] == [
        2 * each["flows"] for each in counted["instances"]
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_the_command_ends_all(
    number: signal.Signals, wide: Bundle, tmp_path: Path
) -> None:
    words = ["--datapath", "reference", "--instances", "3", "--control", str(tmp_path / "nic.sock")]
    command = [sys.executable, "-m", "midwire.host.cli", "nic", str(wide.root), *words]
    command += ["--next", "127.0.0.1:9", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        ready: dict[str, Any] = json.loads(process.stdout.readline())
        assert ready["listen"].startswith("127.0.0.1:") and len(ready["pids"]) == 3
        process.send_signal(number)
        rest = process.stdout.read().decode()
        process.wait(20)
    assert wait_for_the_end_of(*ready["pids"])
    assert process.returncode == (-9 if number == signal.SIGKILL else 130)
    if number != signal.SIGKILL:
        (last,) = map(json.loads, rest.splitlines())
        assert last["event"] == "stopped" and len(last["instances"]) == 3
        assert not list(tmp_path.glob("nic.sock*"))


def test_a_topology_may_have_them(wide: Bundle, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    given = {f"in{i}": rng.standard_normal((5, n)) for i, n in enumerate((4, 3000))}
    np.savez(tmp_path / "in.npz", **{k: v.astype(np.float32) for k, v in given.items()})  # type: ignore[arg-type]
    topology = tmp_path / "topology.toml"
    topology.write_text(
        f'bundle = "{wide.root}"\n[nic]\ndatapath = "reference"\ninstances = 2\n'
        '[edge]\ninputs = "in.npz"\n'
    )
    command = [sys.executable, "-m", "midwire.host.cli", "up", str(topology), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    last = json.loads(done.stdout.splitlines()[-1])["nodes"]["nic"]
    assert last["pipeline"]["results"] == 5
    assert sorted(each["flows"] for each in last["instances"]) == [0, 1]
    assert sorted(each["pipeline"]["results"] for each in last["instances"]) == [0, 5]


def test_people_are_told_how_many(wide: Bundle) -> None:
    command = [sys.executable, "-m", "midwire.host.cli", "nic", str(wide.root), "--instances", "2"]
    command += ["--datapath", "reference", "--next", "127.0.0.1:9"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        last = process.stdout.read()
    assert line.startswith("nic: listening at 127.0.0.1:")
    assert line.endswith(" with 2 instances, next hop 127.0.0.1:9; Ctrl-C stops it\n")
    assert last == "nic: nothing happened\n"


def test_answers_come_back_by_the_same_instance(nic: NicInstances, far: Cloud) -> None:
    """Which each instance sees to by itself: its flows have sockets of its own."""
    nic.bus.write("control", 0)  # everything passes
    with UdpPort() as client:
        send(client, HELLO, len(HELLO), nic.address)
        [(_, source)] = take(client, 1)  # the cloud refuses the model
    assert source == nic.address
    assert sum(each["flows"] for each in nic.statistics()["instances"]) == 1
