# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Which registers of the pipeline a bundle and a next hop need, and which ones to show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..hw.bundle import Bundle
from .udp import Address


@dataclass(frozen=True)
class Setup:
    """Registers for :mod:`.nic`.

    Attributes
    ----------
    writes : (address, value) in the order in which they are written at the start
    counters : name to address, shown in the statistics
    busy : (address, mask): the pipeline has work inside while any masked bit is set
    quiet : cycles to run on after the last beat, where there is no such register
    """

    writes: tuple[tuple[int, int], ...] = ()
    counters: Mapping[str, int] = field(default_factory=dict)
    busy: tuple[tuple[int, int], ...] = ()
    quiet: int = 1000


def setup_for(bundle: Bundle, hop: Address) -> Setup:
    """The registers of ``midwire_nic`` for a bundle whose results go to a next hop."""
    return Setup(quiet=bundle.manifest.latency_cycles * 2 + 1000)
