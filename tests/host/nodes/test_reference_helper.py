# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The thread with the numpy reference: what it reads, and how it and the loop end."""

from __future__ import annotations

import copy
import os
import signal
import socket
import threading
import time
from dataclasses import replace

import pytest

from midwire.host.errors import NodeLostError
from midwire.host.nodes import reference_helper
from midwire.host.nodes.nic_process import UdpWire, start_nic
from midwire.host.nodes.reference_helper import ReferenceHelper
from midwire.host.wire.udp import UdpPort
from midwire.hw.console import Console
from midwire.hw.formats.bundle import Bundle
from midwire.hw.formats.tensor import AnyArray, Layout, TensorSpec
from midwire.hw.formats.wire import Header, encode
from midwire.hw.kernels.reference import Reference
from midwire.hw.numeric import QType

from ..conftest import send
from .loop import HERE


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
