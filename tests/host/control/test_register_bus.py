# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Rules B1 to B3 of midwire.host.control.register_bus."""

from __future__ import annotations

import ipaddress
import json
import os
import signal
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from midwire.host.control.command import register
from midwire.host.control.register_bus import MAX_RECORDS, RegisterBus
from midwire.host.control.registers import registers_for
from midwire.host.errors import NodeLostError, RegisterError, StartError
from midwire.host.nodes.nic_process import NicProcess, UdpWire, start_nic
from midwire.host.wire.udp import UdpPort
from midwire.hw.formats import csr

from ..conftest import HELLO, make_wide_bundle, send

HERE = ("127.0.0.1", 0)


@pytest.fixture
def hop() -> Iterator[UdpPort]:
    with UdpPort() as port:
        yield port


@pytest.fixture
def nic(hop: UdpPort, tmp_path: Path) -> Iterator[NicProcess]:
    """A NIC without a Verilated build: its registers are the same."""
    with start_nic(
        make_wide_bundle(tmp_path / "wide"),
        UdpWire(HERE, [hop.address]),
        hop.address,
        datapath="reference",
        tenant=7,
        control=tmp_path / "control",
    ) as running:
        yield running


def test_values_of_any_width_come_back(nic: NicProcess, hop: UdpPort) -> None:  # B1
    bus = nic.bus
    assert bus.read("tenant") == 7 and bus.read("own_port") == nic.address[1]
    assert bus.read("next_port") == hop.address[1]
    bus.write("model_hash", 0x0123456789ABCDEF)
    assert bus.read_all(["model_hash_high", "model_hash_low"]) == {
        "model_hash_high": 0x01234567, "model_hash_low": 0x89ABCDEF,
    }  # fmt: skip
    assert bus.read("model_hash") == 0x0123456789ABCDEF
    bus.write("own_mac", 0xFEDCBA987654)
    assert bus.read("own_mac") == 0xFEDCBA987654
    address = 0x20010DB8_00000001_00000002_F0000003
    bus.write("own_ip6", address)
    assert bus.read("own_ip6") == address and bus.read("own_ip6_3") == 0xF0000003
    with pytest.raises(RegisterError, match="the value does not fit the register"):
        bus.write("own_ip6", 1 << 128)


def test_registers_while_frames_move(nic: NicProcess, hop: UdpPort) -> None:  # B1
    stop = threading.Event()
    arrived = 0

    def load() -> None:
        with UdpPort() as client:
            send(client, HELLO, len(HELLO), nic.address)
            while not stop.is_set():
                send(client, b"not midwire", 11, nic.address)

    def drain() -> None:
        nonlocal arrived
        while not stop.is_set():
            arrived += sum(1 for _ in hop.receive(0.05))

    threads = [threading.Thread(target=target) for target in (load, drain)]
    for thread in threads:
        thread.start()
    try:
        frames = []
        for value in range(300):
            nic.bus.write("tenant", value)
            assert nic.bus.read("tenant") == value
            frames.append(nic.bus.read("frames_in"))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert frames == sorted(frames) and frames[-1] > frames[0]
    assert arrived > 0


def test_a_disabled_nic_passes_everything(nic: NicProcess, hop: UdpPort) -> None:
    nic.bus.write("control", 0)
    with UdpPort() as client:
        for data in (HELLO, b"MW and so on"):
            send(client, data, len(data), nic.address)
            assert [bytes(passed) for passed, _ in hop.receive(5.0)] == [data]
    assert nic.bus.counters()["passed"] == 2


def test_what_the_hardware_refuses_names_the_register(nic: NicProcess) -> None:  # B2
    with pytest.raises(RegisterError) as caught:
        nic.bus.write("frames_in", 1)
    assert str(caught.value) == (
        "frames_in (address 0x100, counter): the register cannot be written; expected a register "
        "that takes it; found SLVERR on 0x1. docs/nic.md says which registers can be written."
    )
    with pytest.raises(RegisterError, match=r"nonsense: no such register; expected one of type, "):
        nic.bus.read("nonsense")
    with pytest.raises(RegisterError) as caught:
        nic.bus.write("tenant", 1 << 16)
    assert str(caught.value) == (
        "tenant: the value does not fit the register; expected 0 to 0xffff; found 0x10000."
    )


def test_many_registers_in_one_call(nic: NicProcess) -> None:  # B3
    names = [register.name for register in csr.REGISTERS] * 6
    assert len(names) > MAX_RECORDS
    found = nic.bus.read_all(names)
    assert list(found) == [register.name for register in csr.REGISTERS]
    assert found["type"] == csr.TYPE and found["version"] == csr.BLOCK_VERSION


def test_writes_and_reads_in_order(nic: NicProcess) -> None:  # B3
    steps = [({"tenant": value}, ["tenant", "frames_in"]) for value in (3, 0xFFFF, 5)]
    found = nic.bus.transact([*steps, ({"cursor": 9}, ()), ({}, ["cursor", "tenant"])])
    assert found == [
        {"tenant": 3, "frames_in": 0},
        {"tenant": 0xFFFF, "frames_in": 0},
        {"tenant": 5, "frames_in": 0},
        {},
        {"cursor": 9, "tenant": 5},
    ]
    with pytest.raises(RegisterError, match="no such register"):
        nic.bus.transact([({"tenant": 1}, ()), ({}, ["nothing"])])
    assert nic.bus.read("tenant") == 5


def test_a_nic_that_has_gone_is_said(nic: NicProcess) -> None:
    os.kill(nic.about["pid"], signal.SIGKILL)
    with pytest.raises(RegisterError) as caught:
        for _ in range(10_000):
            nic.bus.read("tenant")
    assert str(caught.value).startswith(
        "its registers: the NIC does not answer; expected an answer within 5 s; found "
    )


def test_nonsense_on_the_channel_hangs_up_that_peer_only(nic: NicProcess, tmp_path: Path) -> None:
    for packet in (b"x", bytes(13), bytes(12 * (MAX_RECORDS + 1))):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
            peer.connect(str(tmp_path / "control"))
            peer.send(packet)
            assert peer.recv(100) == b""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
        peer.connect(str(tmp_path / "control"))
        peer.send(b"\x07" + bytes(11))
        assert peer.recv(100)[0] == 1  # not understood
    assert nic.bus.read("tenant") == 7


def test_others_reach_the_registers_by_a_path(nic: NicProcess, tmp_path: Path) -> None:
    path = tmp_path / "control"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with RegisterBus.connect(path) as one, RegisterBus.connect(path) as two:
        one.write("tenant", 99)
        assert two.read("tenant") == nic.bus.read("tenant") == 99
    nic.stop()
    assert not path.exists()
    with pytest.raises(RegisterError, match="no NIC at the control socket"):
        RegisterBus.connect(path)


def test_the_command(nic: NicProcess, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(register)
    runner, path = CliRunner(), str(tmp_path / "control")
    assert runner.invoke(app, [path, "tenant"]).output == "tenant 0x7\n"
    written = runner.invoke(app, [path, "tenant", "0x11", "--json"])
    assert json.loads(written.output) == {"tenant": 17}
    assert nic.bus.read("tenant") == 17
    everything = json.loads(runner.invoke(app, [path, "--json"]).output)
    assert list(everything) == [register.name for register in csr.REGISTERS]
    wrong = runner.invoke(app, [path, "tenant", "many"])
    assert wrong.exit_code == 2 and "'many' is no number" in wrong.output


def test_values_for_a_bundle(tmp_path: Path) -> None:
    bundle = make_wide_bundle(tmp_path / "bundle")
    values = registers_for(bundle, ("10.0.0.2", 5210), ("10.0.0.3", 5220))
    assert values["own_ip"] == 0x0A000002 and values["next_mac"] == 0x02000A000003
    assert (values["clock_mhz"], values["timeout_us"], values["ask_us"]) == (0, 500_000, 5000)
    assert csr.settings(**values)[-1] == (csr.ADDRESS["control"], 1)
    other = registers_for(bundle, ("10.0.0.2", 1), ("10.0.0.3", 2), next_mac=0x1234)
    assert other["next_mac"] == 0x1234


def test_values_of_both_ip_versions(tmp_path: Path) -> None:
    bundle = make_wide_bundle(tmp_path / "bundle")
    four = ("10.0.0.2", 5210), ("10.0.0.3", 5220)
    six = ("2001:db8::2", 5210), ("2001:db8::3", 5220)
    of_six = int(ipaddress.IPv6Address("2001:db8::2"))
    names = ("own_ip", "next_ip", "own_ip6", "next_ip6", "next_mac")
    for ends, other, expected in (
        (four, None, (0x0A000002, 0x0A000003, 0, 0, 0x02000A000003)),
        # No packet goes to 0.0.0.1, and 0 would take those to any address.
        (six, None, (1, 0, of_six, of_six + 1, 0x020020010DBB)),
        (four, six, (0x0A000002, 0x0A000003, of_six, of_six + 1, 0x02000A000003)),
        (six, four, (0x0A000002, 0x0A000003, of_six, of_six + 1, 0x020020010DBB)),
    ):
        values = registers_for(bundle, *ends, other=other)
        assert tuple(values[name] for name in names) == expected
        assert (values["own_port"], values["next_port"]) == (5210, 5220)
        csr.settings(**values)


def test_a_file_that_is_no_socket_is_not_replaced(hop: UdpPort, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_text("precious")
    with pytest.raises(StartError, match=r"cannot listen at .*: Address already in use"):
        start_nic(
            make_wide_bundle(tmp_path / "wide"),
            UdpWire(HERE, [hop.address]),
            hop.address,
            datapath="reference",
            control=path,
        )
    assert path.read_text() == "precious"


def test_the_socket_of_a_killed_nic_is_replaced(
    nic: NicProcess, hop: UdpPort, tmp_path: Path
) -> None:
    os.kill(nic.about["pid"], signal.SIGKILL)
    with pytest.raises(NodeLostError):
        next(nic.events())
    path = tmp_path / "control"
    assert path.is_socket()
    with (
        start_nic(
            make_wide_bundle(tmp_path / "again"),
            UdpWire(HERE, [hop.address]),
            hop.address,
            datapath="reference",
            tenant=8,
            control=path,
        ),
        RegisterBus.connect(path) as bus,
    ):
        assert bus.read("tenant") == 8
