# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Which values a bundle, a next hop and a tenant give to the registers of a NIC."""

from __future__ import annotations

import ipaddress

from ...hw.formats import csr
from ...hw.formats.bundle import Bundle
from ...hw.formats.wire import ElementType
from ..wire.udp import Address

# Time also has to pass while a request lacks fragments, or it would never be given up; unless it
# never is, and would keep the simulation at work for nothing.
WORKING: tuple[dict[str, int], ...] = (
    {"status": csr.STATUS_BUSY | csr.STATUS_COMPUTING},
    {"status": csr.STATUS_COLLECTING, "timeout": (1 << csr.WIDTH["timeout"]) - 1},
)
"""Masks by register: the pipeline needs clock cycles while, in one of these, each of the registers
has a masked bit set.
"""


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
    patience: float | None = None,
) -> dict[str, int]:
    """Values of registers by name, for :meth:`.register_bus.RegisterBus.configure`.

    Parameters
    ----------
    bundle : whose slice is loaded
    listen : address that requests are sent to
    hop : where results and declined tensors go
    tenant : that may execute
    next_mac : of the next hop; made up, as everywhere behind UDP sockets, by default
    patience : seconds without a new fragment after which a request is given up; what the hardware
        has after reset by default
    """
    manifest = bundle.manifest
    clock_mhz = max(1, round(manifest.clock_mhz))
    values = {
        "model_hash": int.from_bytes(bundle.model_hash, "big"),
        "tenant": tenant,
        "element_type": int(ElementType.of(manifest.outputs[0].qtype.wire_dtype)),
        "clock_mhz": clock_mhz,
        "own_mac": made_up_mac(listen[0]),
        "own_ip": int(ipaddress.IPv4Address(listen[0])),
        "own_port": listen[1],
        "next_mac": made_up_mac(hop[0]) if next_mac is None else next_mac,
        "next_ip": int(ipaddress.IPv4Address(hop[0])),
        "next_port": hop[1],
        "control": 1,
    }
    if patience is not None:
        values["timeout"] = min(0xFFFF_FFFF, round(patience * clock_mhz * 1e6))
    return values
