# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Which values a bundle, a next hop and a tenant give to the registers of a NIC."""

from __future__ import annotations

import ipaddress

from ...hw.formats.bundle import Bundle
from ...hw.formats.wire import ElementType
from ..wire.reassembly import ASK_SECONDS
from ..wire.udp import Address

PATIENCE_SECONDS = 0.5
"""Without a new fragment, until a request is given up."""


def made_up_mac(ip: str) -> int:
    """The address that ``cpp/frame.h`` makes up for a machine: 02:00 and its IPv4 address."""
    return 0x0200 << 32 | int(ipaddress.IPv4Address(ip))


def registers_for(
    bundle: Bundle,
    listen: Address,
    hop: Address,
    *,
    tenant: int = 0,
    next_mac: int | None = None,
) -> dict[str, int]:
    """Values of registers by name, for :meth:`.register_bus.RegisterBus.configure`.

    Parameters
    ----------
    bundle : whose slice is loaded
    listen : address that requests are sent to
    hop : where results and declined tensors go
    tenant : that may execute
    next_mac : of the next hop; made up, as everywhere behind UDP sockets, by default
    """
    manifest = bundle.manifest
    return {
        "model_hash": int.from_bytes(bundle.model_hash, "big"),
        "tenant": tenant,
        "element_type": int(ElementType.of(manifest.outputs[0].qtype.wire_dtype)),
        "clock_mhz": 0,  # time is real, and no cycles tell it: the process writes `time_us`
        "timeout_us": round(PATIENCE_SECONDS * 1e6),
        "ask_us": round(ASK_SECONDS * 1e6),
        "own_mac": made_up_mac(listen[0]),
        "own_ip": int(ipaddress.IPv4Address(listen[0])),
        "own_port": listen[1],
        "next_mac": made_up_mac(hop[0]) if next_mac is None else next_mac,
        "next_ip": int(ipaddress.IPv4Address(hop[0])),
        "next_port": hop[1],
        "control": 1,
    }
