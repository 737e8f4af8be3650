# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Which values a bundle, a next hop and a tenant give to the registers of a NIC."""

from __future__ import annotations

import ipaddress
import struct
from functools import reduce
from operator import xor

from ...hw.formats.bundle import Bundle
from ...hw.formats.wire import ElementType
from ..wire.reassembly import ASK_SECONDS
from ..wire.udp import Address, is_ipv6

PATIENCE_SECONDS = 0.5
"""Without a new fragment, until a request is given up."""


NOWHERE = int(ipaddress.IPv4Address("0.0.0.1"))
"""Where requests of IPv4 are sent to while there is no such address: no packet goes there (RFC
1122, 3.2.1.3), and 0 would be any."""


def made_up_mac(ip: str) -> int:
    """The address that ``cpp/frame.h`` makes up for a machine: 02:00 and its IP address, folded."""
    words = ipaddress.ip_address(ip).packed
    return 0x0200 << 32 | reduce(xor, (word for (word,) in struct.iter_unpack(">I", words)))


def model_registers(bundle: Bundle, tenant: int = 0) -> dict[str, int]:
    """Values of the registers of a core (access ``model``) for a bundle's slice."""
    return {
        "model_hash": int.from_bytes(bundle.model_hash, "big"),
        "weights_hardware": bundle.hardware,
        "tenant": tenant,
        "element_type": int(ElementType.of(bundle.manifest.outputs[0].qtype.wire_dtype)),
    }


def registers_for(
    bundle: Bundle,
    listen: Address,
    hop: Address,
    *,
    other: tuple[Address, Address] | None = None,
    tenant: int = 0,
    next_mac: int | None = None,
) -> dict[str, int]:
    """Values of registers by name, for :meth:`.register_bus.RegisterBus.configure`.

    Parameters
    ----------
    bundle : whose slice is loaded, of several the first one's: the others' have
        :func:`model_registers`
    listen : address that requests are sent to
    hop : where results and declined tensors go; of the same IP version as ``listen``
    other : both in the other IP version, with the same ports; None: that passes through
    tenant : that may execute
    next_mac : of the next hop; made up, as everywhere behind UDP sockets, by default
    """
    ends = [(listen, hop), *([other] if other else [])]
    own = {is_ipv6(at): int(ipaddress.ip_address(at[0])) for at, _ in ends}
    following = {is_ipv6(to): int(ipaddress.ip_address(to[0])) for _, to in ends}
    return {
        **model_registers(bundle, tenant),
        "clock_mhz": 0,  # time is real, and no cycles tell it: the process writes `time_us`
        "timeout_us": round(PATIENCE_SECONDS * 1e6),
        "ask_us": round(ASK_SECONDS * 1e6),
        "own_mac": made_up_mac(listen[0]),
        "own_ip": own.get(False, NOWHERE),
        "own_ip6": own.get(True, 0),
        "own_port": listen[1],
        "next_mac": made_up_mac(hop[0]) if next_mac is None else next_mac,
        "next_ip": following.get(False, 0),
        "next_ip6": following.get(True, 0),
        "next_port": hop[1],
        "control": 1,
    }
