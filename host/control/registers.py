# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Which registers of the pipeline a bundle and a next hop need, and which ones to show."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from ...hw.formats import csr
from ...hw.formats.bundle import Bundle
from ...hw.formats.wire import ElementType
from ..wire.udp import Address


@dataclass(frozen=True)
class Setup:
    """Registers for :mod:`~..nodes.nic`.

    Attributes
    ----------
    writes : (address, value) in the order in which they are written at the start
    own : addresses of the registers that take the IPv4 address and the port listened at; they are
        written first, because a free port is only known then
    counters : name to address, shown in the statistics
    busy : (address, mask): the pipeline has work inside while any masked bit is set
    quiet : cycles to run on after the last beat, where there is no such register
    """

    writes: tuple[tuple[int, int], ...] = ()
    own: tuple[int, int] | None = None
    counters: Mapping[str, int] = field(default_factory=dict)
    busy: tuple[tuple[int, int], ...] = ()
    quiet: int = 1000


def _number(ip: str) -> int:
    return int(ipaddress.IPv4Address(ip))


def _mac(ip: str) -> int:
    """The address that ``cpp/frame.h`` makes up for a machine: 02:00 and its IPv4 address."""
    return 0x0200 << 32 | _number(ip)


def setup_for(bundle: Bundle, listen: Address, hop: Address, *, tenant: int = 0) -> Setup:
    """The registers of ``midwire_nic`` for a bundle whose results go to a next hop."""
    manifest = bundle.manifest
    # Time also has to pass while a request lacks fragments, or it would never be given up.
    working = csr.STATUS_BUSY | csr.STATUS_COLLECTING | csr.STATUS_COMPUTING
    writes = csr.settings(
        control=1,
        model_hash=int.from_bytes(bundle.model_hash, "big"),
        tenant=tenant,
        element_type=ElementType.of(manifest.outputs[0].qtype.wire_dtype),
        clock_mhz=max(1, round(manifest.clock_mhz)),
        own_mac=_mac(listen[0]),
        next_mac=_mac(hop[0]),
        next_ip=_number(hop[0]),
        next_port=hop[1],
    )
    return Setup(
        writes=tuple(writes),
        own=(csr.ADDRESS["own_ip"], csr.ADDRESS["own_port"]),
        counters=csr.counters(),
        busy=((csr.ADDRESS["status"], working),),
    )
