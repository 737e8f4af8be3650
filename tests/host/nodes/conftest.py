# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The shipped model, compiled once, and the loop around a pipeline that passes every frame on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from midwire.host import demo
from midwire.host.client.samples import read_samples
from midwire.host.model_parts import load_part
from midwire.host.nodes.nic_process import UdpWire, start_nic
from midwire.host.nodes.nic_program import build_rtl
from midwire.host.wire.tensors import to_buffers
from midwire.host.wire.udp import UdpPort
from midwire.hw.formats.bundle import Bundle
from midwire.hw.formats.tensor import AnyArray
from midwire.hw.formats.wire import Header

from .loop import DATAPATHS, HERE, Forger, Live
from .namespaces import Namespaces, connected

PIPELINE = Path(__file__).resolve().parent / "passthrough_nic.v"


@pytest.fixture(scope="session")
def passthrough() -> Path:
    """The packet loop around a pipeline that passes every frame on."""
    return build_rtl([PIPELINE], "midwire_nic")


@pytest.fixture
def hop() -> Iterator[UdpPort]:
    """The next hop of a NIC."""
    with UdpPort() as port:
        yield port


@pytest.fixture(params=DATAPATHS)
def live(request: pytest.FixtureRequest, digits: Bundle, hop: UdpPort) -> Iterator[Live]:
    """A NIC of the shipped model, by both datapaths."""
    wire = UdpWire(HERE, [hop.address])
    with (
        start_nic(digits, wire, hop.address, datapath=request.param) as nic,
        UdpPort() as client,
    ):
        yield Live(nic, hop, client)


@pytest.fixture
def forger() -> Iterator[Forger]:
    """An attacker on the same network."""
    found = Forger()
    yield found
    found.close()


@pytest.fixture
def network() -> Iterator[Namespaces]:
    """Two machines, and a third between them; gone at the end, whatever happens."""
    found = connected()
    try:
        yield found
    finally:
        found.close()


@pytest.fixture(scope="session")
def samples(digits: Bundle) -> AnyArray:
    with demo.shipped_example() as example:
        return read_samples(example.heldout, load_part(digits, "edge"))[0]


@pytest.fixture(scope="session")
def tensor(digits: Bundle, samples: AnyArray) -> bytes:
    """The input of the shipped model's slice, for one sample."""
    wires = load_part(digits, "edge").run([samples[0]])
    return b"".join(to_buffers(digits.manifest.inputs, wires))


@pytest.fixture(scope="session")
def header(digits: Bundle) -> Header:
    """Of a request for the shipped model's slice."""
    return Header(model_hash=digits.model_hash, request_id=7, deadline_us=10**7)
