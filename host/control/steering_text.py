# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Entries of the steering table as people and programs write them: in options, files and JSON.

What reads a text raises ValueError with a sentence that says what was expected and what was found.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from ...hw.formats.actions import ANY_REGION, Action
from ...hw.formats.bundle import Bundle
from ..wire.mac import EXAMPLE, format_mac, parse_mac
from .steering_table import NextHop, SteeringEntry

REGIONS = ANY_REGION.bit_length()
"""Values that ``region`` has in a header, from 0 on."""

MOST_SECONDS = ((1 << 32) - 1) / 1e6
"""The longest lifetime of an entry, some 71 minutes."""

NEXT_HOP = f"MAC,IP,PORT, as in {EXAMPLE},10.0.0.9,5220, perhaps with an IPv6 address, too"

_HASH = re.compile(r"[0-9a-fA-F]{16}")


class ActionName(StrEnum):
    """What an entry does, by name."""

    EXECUTE = "execute"
    FORWARD = "forward"
    REDIRECT = "redirect"

    @property
    def action(self) -> Action:
        """What it is in the registers."""
        return Action[self.name]


class Key(NamedTuple):
    """Whose frames an entry is for."""

    tenant: int
    model_hash: bytes
    cursor: int

    def described(self) -> dict[str, Any]:
        """In JSON's types."""
        return {"tenant": self.tenant, "model": self.model_hash.hex(), "cursor": self.cursor}

    @classmethod
    def of(cls, entry: SteeringEntry) -> Key:
        """That of an entry."""
        return cls(entry.tenant, entry.model_hash, entry.cursor)

    def __str__(self) -> str:
        return f"tenant {self.tenant}, model {self.model_hash.hex()}, cursor {self.cursor}"


def model_of(text: str, folder: Path) -> bytes:
    """The model hash: 16 hexadecimal digits, or that of a bundle, by its path from ``folder``.

    Raises
    ------
    BundleError
        If the bundle is none.
    """
    if _HASH.fullmatch(text):
        return bytes.fromhex(text)
    path = folder / text
    if not path.is_dir():
        raise ValueError(f"expected 16 hexadecimal digits, or a bundle's folder; found {text!r}")
    return Bundle.load(path).model_hash


def next_hop_of(text: str) -> NextHop:
    """Read ``MAC,IP,PORT`` or ``MAC,IP,IP,PORT``, the addresses of IPv4 or IPv6 or one of each."""
    first, *addresses, last = text.split(",") if text.count(",") in (2, 3) else ["", ""]
    mac = parse_mac(first)
    port = int(last) if last.isascii() and last.isdecimal() else 0
    if mac is None or not addresses or not 1 <= port <= 0xFFFF:
        raise ValueError(f"expected {NEXT_HOP}; found {text!r}")
    found: dict[str, Any] = {}
    for address in addresses:
        ip = _one_machine(address)
        name = "ip" if ip.version == 4 else "ip6"
        if name in found:
            raise ValueError(f"expected one address of each IP version; found {text!r}")
        found[name] = ip
    return NextHop(mac, port, **found)


def _one_machine(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"expected an IPv4 or IPv6 address; found {text!r}") from None
    if ip.is_unspecified or ip.is_multicast or int(ip) == 0xFFFF_FFFF or "%" in text:
        raise ValueError(f"expected the address of one machine, without a zone; found {text!r}")
    return ip


def next_hop_text(hop: NextHop) -> str:
    """What :func:`next_hop_of` reads."""
    addresses = [str(ip) for ip in (hop.ip, hop.ip6) if ip is not None]
    return ",".join([format_mac(hop.mac), *addresses, str(hop.port)])


def regions_of(text: str) -> int:
    """The mask of regions: ``any``, ``none``, or numbers and ranges as in ``0,4-7``."""
    if text in ("any", "none"):
        return ANY_REGION if text == "any" else 0
    mask = 0
    for part in text.split(","):
        ends = re.fullmatch(r"(\d{1,2})(?:-(\d{1,2}))?", part, re.ASCII)
        first = int(ends[1]) if ends else REGIONS
        last = int(ends[2] or first) if ends else REGIONS
        if not first <= last < REGIONS:
            raise ValueError(
                f"expected any, none, or regions from 0 to {REGIONS - 1}, as in 0,4-7; found "
                f"{text!r}"
            )
        mask |= (1 << last + 1) - (1 << first)
    return mask


def regions_list(mask: int) -> list[int]:
    """The regions of a mask."""
    return [region for region in range(REGIONS) if mask >> region & 1]


def regions_text(mask: int) -> str:
    """What :func:`regions_of` reads."""
    if mask in (ANY_REGION, 0):
        return "any" if mask else "none"
    runs: list[list[int]] = []
    for region in regions_list(mask):
        if not runs or runs[-1][-1] != region - 1:
            runs.append([])
        runs[-1].append(region)
    return ",".join(f"{run[0]}-{run[-1]}" if run[1:] else str(run[0]) for run in runs)


def lifetime_of(seconds: float) -> int:
    """Microseconds of a lifetime, at least one."""
    if not 0 < seconds <= MOST_SECONDS:  # so no NaN either
        raise ValueError(
            f"expected seconds, more than 0 and at most {MOST_SECONDS:.0f} (71 minutes); found "
            f"{seconds:g}"
        )
    return max(1, round(seconds * 1e6))


def described(entry: SteeringEntry) -> dict[str, Any]:
    """An entry in JSON's types."""
    hop = entry.hop
    return {
        **Key.of(entry).described(),
        "action": entry.action.name.lower(),
        "next_hop": None if hop is None else described_hop(hop),
        "regions": regions_list(entry.regions),
        "must_encrypt": entry.must_encrypt,
        "expires": entry.lifetime_us / 1e6 if entry.lifetime_us else None,
    }


def described_hop(hop: NextHop) -> dict[str, Any]:
    """A next hop in JSON's types."""
    return {
        "mac": format_mac(hop.mac),
        "ip": None if hop.ip is None else str(hop.ip),
        "ip6": None if hop.ip6 is None else str(hop.ip6),
        "port": hop.port,
    }


def remarks(index: int, entries: Mapping[int, SteeringEntry], loaded: Key) -> list[str]:
    """What is odd about an entry of a table, in a NIC in which a slice is loaded."""
    entry = entries[index]
    key = Key.of(entry)
    found = []
    before = next((k for k in sorted(entries) if k < index and Key.of(entries[k]) == key), None)
    if before is not None:
        found.append(f"no frame comes here: entry {before} has the same")
    if entry.action is Action.EXECUTE and key != loaded:
        found.append("another slice is loaded, so frames are declined")
    if entry.action is Action.EXECUTE and entry.must_encrypt:
        found.append("executes nothing: the NIC cannot decrypt")
    if not entry.regions:
        found.append("allows no region, so frames are declined")
    return found
