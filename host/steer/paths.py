# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Ways in which a request can be sent."""

from __future__ import annotations

from dataclasses import dataclass

from ..wire.udp import Address, format_address, parse_peer

MAX_PATHS = 16
"""Of one client: each has a socket."""


@dataclass(frozen=True)
class NetworkPath:
    """One way from the edge to a cloud.

    Attributes
    ----------
    first : address of the first hop: that is where fragments are sent
    via : what is on it, in order, as in ``("nic", "cloud")``; empty where it is not known. The
        client needs only ``first``; planning and explaining need the rest
    """

    first: Address
    via: tuple[str, ...] = ()

    def __str__(self) -> str:
        first = format_address(self.first)
        return f"{first} ({', '.join(self.via)})" if self.via else first

    @classmethod
    def parse(cls, text: str, what: str = "--target") -> NetworkPath:
        """Read ``HOST:PORT``, or ``nic,cloud@HOST:PORT`` to say what is on it.

        Raises
        ------
        StartError
            If it is neither.
        """
        names, _, address = text.rpartition("@")
        return cls(parse_peer(address, what), tuple(name for name in names.split(",") if name))
