# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""The steering table of a running NIC (:mod:`midwire.hw.nic.entries` has the rules).

Rules, cited by tests as S1 and S2:

S1. An entry is written or removed, and entries are read or the whole table replaced, in one packet
    (B3 of :mod:`.register_bus`): two programs that do so at once never mix what they say, and no
    frame sees half an entry.
S2. What is wrong with an entry is a :class:`~..errors.RegisterError` before anything is written.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ...hw.formats import csr
from ...hw.formats.actions import ANY_REGION, ENTRIES, Action
from ..errors import RegisterError
from .register_bus import RegisterBus, Step
from .register_buses import RegisterBuses

_INDEX, _COMMIT, _ACTION = "table_index", "table_commit", "table_action"
_REGISTERS = tuple(r.name for r in csr.REGISTERS if r.access == "entry")


@dataclass(frozen=True)
class NextHop:
    """Where frames go.

    Attributes
    ----------
    mac : 48 bits
    port : of UDP
    ip, ip6 : its addresses; frames of the IP version of one that is None go to the NIC's default
        next hop
    """

    mac: int
    port: int
    ip: ipaddress.IPv4Address | None = None
    ip6: ipaddress.IPv6Address | None = None


@dataclass(frozen=True)
class SteeringEntry:
    """What becomes of the frames of one (tenant, model hash, cursor).

    Attributes
    ----------
    tenant, model_hash (8 bytes), cursor : of the frames' headers
    action : EXECUTE, FORWARD or REDIRECT
    hop : where they go, and their results; None is the NIC's default next hop
    regions : bit k allows frames of ``region`` k; others are declined as ``policy``
    must_encrypt : frames in clear are declined as ``policy``
    lifetime_us : microseconds until the NIC removes the entry, from when it was written; 0 is never
    """

    tenant: int
    model_hash: bytes
    cursor: int
    action: Action
    hop: NextHop | None = None
    regions: int = ANY_REGION
    must_encrypt: bool = False
    lifetime_us: int = 0

    def registers(self) -> dict[str, int]:
        """Values of the registers ``table_*``, those of several words whole.

        Raises
        ------
        RegisterError
            If there is no such entry.
        """
        _check(len(self.model_hash) == 8, "model_hash", "8 bytes", f"{len(self.model_hash)} bytes")
        actions = [action for action in Action if action is not Action.NONE]
        names = ", ".join(action.name for action in actions)
        _check(self.action in actions, "action", f"one of {names}", str(self.action))
        hop = self.hop or NextHop(0, 0)
        some = bool(int(hop.ip or 0) | int(hop.ip6 or 0))
        _check(some or not self.hop, "hop", "an IPv4 address, an IPv6 address or both", "none")
        return {
            _ACTION: int(self.action),
            "table_tenant": self.tenant,
            "table_model_hash": int.from_bytes(self.model_hash, "big"),
            "table_cursor": self.cursor,
            "table_regions": self.regions,
            "table_must_encrypt": int(self.must_encrypt),
            "table_lifetime_us": self.lifetime_us,
            "table_next_mac": hop.mac,
            "table_next_ip": int(hop.ip or 0),
            "table_next_port": hop.port,
            "table_next_ip6": int(hop.ip6 or 0),
        }

    @classmethod
    def of_registers(cls, words: Mapping[str, int]) -> SteeringEntry:
        """The entry that registers say, each of its words by name."""

        def value(name: str) -> int:
            whole = 0
            for part in csr.parts_of(f"table_{name}"):
                whole = whole << 32 | words[part]
            return whole

        ip, ip6 = value("next_ip"), value("next_ip6")
        hop = NextHop(
            value("next_mac"),
            value("next_port"),
            ipaddress.IPv4Address(ip) if ip else None,
            ipaddress.IPv6Address(ip6) if ip6 else None,
        )
        return cls(
            value("tenant"),
            value("model_hash").to_bytes(8, "big"),
            value("cursor"),
            Action(value("action")),
            hop if ip or ip6 else None,
            value("regions"),
            bool(value("must_encrypt")),
            value("lifetime_us"),
        )


class SteeringTable:
    """Entries by their index; where several are of the same frames, the lowest one counts.

    Parameters
    ----------
    bus : registers of a running NIC, or of all its instances
    """

    def __init__(self, bus: RegisterBus | RegisterBuses) -> None:
        self._bus = bus

    def write(self, index: int, entry: SteeringEntry) -> None:
        """Put an entry in a place, whatever was there.

        Raises
        ------
        RegisterError
            If there is no such place or entry, or the NIC has gone.
        """
        _check_index(index)
        self._bus.write_all({_INDEX: index, **entry.registers(), _COMMIT: 1})

    def remove(self, index: int) -> None:
        """Leave a place empty; it may be so already.

        Raises
        ------
        RegisterError
            If there is no such place, or the NIC has gone.
        """
        _check_index(index)
        self._bus.write_all({_INDEX: index, _ACTION: Action.NONE, _COMMIT: 1})

    def read(self, index: int) -> SteeringEntry | None:
        """The entry in a place.

        Raises
        ------
        RegisterError
            If there is no such place, or the NIC has gone.
        """
        _check_index(index)
        return self._read([index])[index]

    def entries(self) -> dict[int, SteeringEntry]:
        """All of them by index, as of one moment (S1).

        Raises
        ------
        RegisterError
            If the NIC has gone.
        """
        found = self._read(range(ENTRIES))
        return {index: entry for index, entry in found.items() if entry is not None}

    def counted(self) -> dict[int, tuple[SteeringEntry, int]]:
        """All of them by index, with the frames that have had them since they were written, as of
        one moment (S1).

        Raises
        ------
        RegisterError
            If the NIC has gone.
        """
        hits, *found = self._bus.transact([({}, csr.HITS), *_reading(range(ENTRIES))])
        return {
            index: (SteeringEntry.of_registers(words), hits[csr.HITS[index]])
            for index, words in enumerate(found)
            if words[_ACTION]
        }

    def replace(self, entries: Sequence[SteeringEntry]) -> None:
        """Make these the whole table, the first one in place 0; places behind them are left empty.

        The NIC changes one place after the other, from 0 on, while frames move.

        Raises
        ------
        RegisterError
            If they are too many, one is none, or the NIC has gone.
        """
        _check(len(entries) <= ENTRIES, "table", f"at most {ENTRIES} entries", str(len(entries)))
        written = [entry.registers() for entry in entries]
        written += [{_ACTION: int(Action.NONE)}] * (ENTRIES - len(entries))
        self._bus.transact(
            [({_INDEX: place, **values, _COMMIT: 1}, ()) for place, values in enumerate(written)]
        )

    def _read(self, indices: Sequence[int]) -> dict[int, SteeringEntry | None]:
        """What is in some places."""
        found = self._bus.transact(_reading(indices))
        return {
            index: SteeringEntry.of_registers(words) if words[_ACTION] else None
            for index, words in zip(indices, found, strict=True)
        }


def _reading(indices: Iterable[int]) -> list[Step]:
    """What reads the entries in some places."""
    return [({_INDEX: index}, _REGISTERS) for index in indices]


def _check_index(index: int) -> None:
    _check(0 <= index < ENTRIES, "index", f"0 to {ENTRIES - 1}", str(index))


def _check(right: bool, where: str, expected: str, found: str) -> None:
    if not right:
        raise RegisterError(
            "no such entry of the steering table", where=where, expected=expected, found=found
        )
