# SPDX-FileCopyrightText: 2026 midwire contributors
# SPDX-License-Identifier: Apache-2.0
"""Clock and reset of modules with AXI ports."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import ClockDomain
from amaranth.lib.wiring import In


def clocking() -> dict[str, Any]:
    """Members of a module with AXI ports: ``clk``, and ``aresetn``, which is active-low as the AXI
    specification (ARM IHI 0022, A3.1.2) wants, and sampled at the rising edge of ``clk``.
    """
    return {"clk": In(1), "aresetn": In(1)}


def add_domain(m: Any, top: Any) -> None:
    """Make the members of :func:`clocking` of ``top`` the domain ``sync`` of its module ``m``."""
    domain = ClockDomain("sync")
    domain.clk = top.clk
    m.domains.sync = domain
    m.d.comb += domain.rst.eq(~top.aresetn)
